package cache

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// A sorted set for each bucket has the revisions of its records that are above 0, by hash field. Most buckets are never
// revised, so a Put reads an empty set for each bucket with a record that has a revision, and nothing for the others. The
// alternatives cost more: the revision within the record's JSON means to read every record before it is written, and a
// comparison within Redis needs a script, which no ACL of ours allows. Only one agent writes a hash field, so nothing
// changes between the reading and the write.

// place is where a record is: the start of its bucket, as text, and its field in the hash.
type place struct{ start, field string }

func placeOf(r *record.Record) place {
	return place{startText(r.Start), string(appendHashField(series.AppendTags(nil, r.Tags), r))}
}

// dropOutdated returns the records without those that are older than the stored revision or than a record before them. A
// record without a revision is never dropped: it cannot be compared. The records stay as they are.
func (w *Writer) dropOutdated(ctx context.Context, t record.Table, records []record.Record) ([]record.Record, error) {
	if !slices.ContainsFunc(records, func(r record.Record) bool { return r.HasRevision }) {
		return records, nil
	}
	newest, err := w.revisions(ctx, t, records)
	if err != nil {
		return nil, err
	}
	if len(newest) == 0 && !slices.ContainsFunc(records, func(r record.Record) bool { return r.Revision > 0 }) {
		return records, nil
	}
	kept := make([]record.Record, 0, len(records))
	for i := range records {
		r := &records[i]
		if r.HasRevision {
			at := placeOf(r)
			if r.Revision < newest[at] {
				continue
			}
			if r.Revision > 0 {
				newest[at] = r.Revision
			}
		}
		kept = append(kept, *r)
	}
	return kept, nil
}

// revisions returns the stored revisions above 0 in the buckets of the records that have a revision.
func (w *Writer) revisions(ctx context.Context, t record.Table, records []record.Record) (map[place]int64, error) {
	pipe := w.client.Pipeline()
	cmds := make(map[string]*redis.ZSliceCmd)
	var last *record.Record
	for i := range records {
		r := &records[i]
		if !r.HasRevision || last != nil && last.Start.Equal(r.Start) {
			continue
		}
		last = r
		if start := startText(r.Start); cmds[start] == nil {
			cmds[start] = pipe.ZRangeByScoreWithScores(ctx, revisionKey(t, start), &redis.ZRangeBy{Min: "1", Max: "+inf"})
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	revisions := make(map[place]int64)
	for start, cmd := range cmds {
		for _, z := range cmd.Val() {
			if field, ok := z.Member.(string); ok {
				revisions[place{start, field}] = int64(z.Score)
			}
		}
	}
	return revisions, nil
}
