package cache

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// A sorted set for each bucket holds the revisions above 0 of its records, by hash field. Most buckets are never
// revised. So before it writes, a Put reads one set for each bucket in which a record has a revision, and most of
// these sets are empty. It reads nothing for other buckets. The alternatives cost more: a revision in the record's
// JSON would mean to read every record before it is written, and a comparison within Redis needs a script, which the
// documented ACL does not allow. Only one agent writes a hash field, so no other write can come between the reading
// and the writing.

// place identifies a record within its table: the start of its bucket, as text, and its field in the hash.
type place struct{ start, field string }

func placeOf(r *record.Record) place {
	return place{startText(r.Start), string(appendHashField(series.AppendTags(nil, r.Tags), r))}
}

// dropOutdated returns the records without those whose revision is lower than the stored one or than that of an equal
// record earlier in the slice. It never drops a record without a revision, which cannot be compared. It does not
// change the slice.
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
	var starts []string
	seen := make(map[string]bool)
	var last *record.Record
	for i := range records {
		r := &records[i]
		if !r.HasRevision || last != nil && last.Start.Equal(r.Start) {
			continue
		}
		last = r
		if start := startText(r.Start); !seen[start] {
			seen[start] = true
			starts = append(starts, start)
		}
	}
	return w.storedRevisions(ctx, t, starts)
}

// storedRevisions returns the stored revisions above 0 in the buckets that begin at starts.
func (w *Writer) storedRevisions(ctx context.Context, t record.Table, starts []string) (map[place]int64, error) {
	pipe := w.client.Pipeline()
	cmds := make([]*redis.ZSliceCmd, len(starts))
	for i, start := range starts {
		cmds[i] = pipe.ZRangeByScoreWithScores(ctx, revisionKey(t, start), &redis.ZRangeBy{Min: "1", Max: "+inf"})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	revisions := make(map[place]int64)
	for i, cmd := range cmds {
		for _, z := range cmd.Val() {
			if field, ok := z.Member.(string); ok {
				revisions[place{starts[i], field}] = int64(z.Score)
			}
		}
	}
	return revisions, nil
}
