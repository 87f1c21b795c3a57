package cache

import (
	"context"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// A sorted set for each bucket holds the revisions above 0 of its records, by hash field. Most buckets are never
// revised. So before it writes, a Put reads one set for each bucket in which a record has a revision, and most of
// these sets have no revisions. It reads nothing for other buckets. To read every record before it is written would cost
// more, and a comparison within Redis needs a script, which the documented ACL does not allow. Only one agent writes a hash
// field, so no other write can come between the reading and the writing.
//
// Redis may have evicted the set and kept the records, whose JSON has the revisions too. So the set has a proof that it is
// complete: a member that a writer adds when it writes the first records of the bucket, or after it has read the JSON of
// all. Without the proof, a record may be written if the bucket has no records, or if the writer knows the record: it wrote
// it before, and that made a new hash field, or its revision was certain then. Otherwise the writer reads the JSON of the
// bucket's records, once.

// proof is a member with the score 0, which marks a set of revisions as complete. No hash field is equal to it, because these
// have a "|".
const proof = "complete"

// held is what Redis has of the revisions of a bucket. Whether these are all revisions is certain in three cases:
//
//	exists is false   there are no records, and so no revisions
//	proved            the set has the proof, which an eviction of the set would have taken too
//	read              the JSON of all records was read after the set
type held struct {
	exists    bool             // whether the bucket has records
	proved    bool             // whether the set has the proof
	read      bool             // whether the records were read, see learn
	revisions map[string]int64 // above 0, by hash field
	missing   map[string]int64 // those of them that only the records have
}

// certain reports whether revisions has those of all records.
func (h *held) certain() bool { return h.proved || h.read || !h.exists }

// lacks reports whether something is lost: the records of a bucket in which the writer keeps revised ones, or their revisions.
func (h *held) lacks(kept map[string]int64) bool {
	if h == nil || len(kept) == 0 {
		return false
	}
	for field, revision := range kept {
		if h.revisions[field] < revision {
			return true
		}
	}
	return !h.exists
}

// learn adds the revision of a stored record, given its hash field and JSON. It is called for all records of the bucket, or for none.
func (h *held) learn(field, text string) {
	h.read = true
	revision := record.RevisionOf(text)
	if revision <= h.revisions[field] {
		return
	}
	if h.missing == nil {
		h.missing = make(map[string]int64)
	}
	h.missing[field], h.revisions[field] = revision, revision
}

// dropOutdated removes the records from the batch whose revision is lower than the stored one, than that of the kept record or
// than that of an equal record earlier in the batch. It never removes a record without a revision, which cannot be compared.
// It returns how many it has removed.
func (w *Writer) dropOutdated(ctx context.Context, t record.Table, s *tableState, b *batch) (dropped int, err error) {
	var starts []string
	for _, part := range b.buckets {
		if part.revised {
			starts = append(starts, part.text)
		}
	}
	if len(starts) == 0 {
		return 0, nil
	}
	found, err := w.hold(ctx, t, starts)
	if err != nil {
		return 0, err
	}
	if err := w.resolve(ctx, t, s, b, found); err != nil {
		return 0, err
	}
	for _, part := range b.buckets {
		part.held = found[part.text]
		kept := w.recent.revisions(s, part)
		dropped += part.dropOutdated(kept)
		if part.held.lacks(kept) && w.recent.has(s, part.text, w.clock.now().Add(w.margin())) {
			w.repairer.request(true) // for what is lost; a write may not show it
		}
	}
	b.buckets = slices.DeleteFunc(b.buckets, func(part *bucket) bool { return len(part.records) == 0 })
	return dropped, nil
}

// hold reads the sets of revisions of the buckets that begin at starts, and whether the buckets have records. It takes one
// round trip. The result has an entry for each start, also for buckets that do not exist.
func (w *Writer) hold(ctx context.Context, t record.Table, starts []string) (map[string]*held, error) {
	pipe := w.client.Pipeline()
	sets, records := make([]*redis.ZSliceCmd, len(starts)), make([]*redis.StringCmd, len(starts))
	for i, start := range starts {
		sets[i] = pipe.ZRangeByScoreWithScores(ctx, revisionKey(t, start), &redis.ZRangeBy{Min: "0", Max: "+inf"})
		records[i] = pipe.Get(ctx, bucketKey(t, start))
	}
	_, _ = pipe.Exec(ctx) // the error of each command is checked below
	found := make(map[string]*held, len(starts))
	for i, start := range starts {
		if err := sets[i].Err(); err != nil {
			return nil, err
		}
		exists, err := existence(records[i].Err())
		if err != nil {
			return nil, err
		}
		h := &held{exists: exists, revisions: make(map[string]int64)}
		for _, z := range sets[i].Val() {
			switch field, _ := z.Member.(string); {
			case z.Score > 0:
				h.revisions[field] = int64(z.Score)
			case field == proof:
				h.proved = true
			}
		}
		found[start] = h
	}
	return found, nil
}

// resolve reads the records of the buckets whose revisions are in doubt, and completes their sets. A set that lacked revisions was evicted:
// Options.Restored is called then, with one table and no records.
func (w *Writer) resolve(ctx context.Context, t record.Table, s *tableState, b *batch, found map[string]*held) error {
	var doubtful []string
	for _, part := range b.buckets {
		if h := found[part.text]; h != nil && !h.certain() && !w.recent.knows(s, part) {
			doubtful = append(doubtful, part.text)
		}
	}
	err := w.eachRecord(ctx, t, doubtful, func(start, field, text string) { found[start].learn(field, text) })
	if err != nil {
		return err
	}
	if err := w.dropFound(ctx, t, found); err != nil {
		return err
	}
	mended, err := w.mendRevisions(ctx, t, found)
	if mended {
		w.o.Restored(1, 0)
	}
	return err
}

// dropFound reads those sets again that lack revisions, and forgets the revisions that are there now: they are not lost. Another
// agent may have written them after the set was read and before its records were.
func (w *Writer) dropFound(ctx context.Context, t record.Table, found map[string]*held) error {
	var starts []string
	for start, h := range found {
		if len(h.missing) > 0 {
			starts = append(starts, start)
		}
	}
	if len(starts) == 0 {
		return nil
	}
	again, err := w.hold(ctx, t, starts)
	if err != nil {
		return err
	}
	for _, start := range starts {
		now := again[start].revisions
		maps.DeleteFunc(found[start].missing, func(field string, revision int64) bool { return now[field] >= revision })
	}
	return nil
}

// eachRecord calls yield for each record of the buckets that begin at starts, in any order within a bucket, and sometimes twice. It
// reads large buckets in parts, unless the ACL of the user does not have HSCAN, and at most compatPipeline buckets in one round trip.
func (w *Writer) eachRecord(ctx context.Context, t record.Table, starts []string, yield func(start, field, text string)) error {
	for part := range slices.Chunk(starts, compatPipeline) {
		err := w.scanRecords(ctx, t, part, yield)
		if isRefused(err) {
			err = w.allRecords(ctx, t, part, yield)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanRecords is eachRecord for a few buckets, which it reads in parts.
func (w *Writer) scanRecords(ctx context.Context, t record.Table, starts []string, yield func(start, field, text string)) error {
	pipe := w.client.Pipeline()
	parts := make([]*redis.ScanCmd, len(starts))
	for i, start := range starts {
		parts[i] = pipe.HScan(ctx, bucketKey(t, start), 0, "", maxScan)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, start := range starts {
		for pairs, cursor := parts[i].Val(); ; {
			for i := 0; i+1 < len(pairs); i += 2 {
				yield(start, pairs[i], pairs[i+1])
			}
			if cursor == 0 {
				break
			}
			var err error
			if pairs, cursor, err = w.client.HScan(ctx, bucketKey(t, start), cursor, "", maxScan).Result(); err != nil {
				return err
			}
		}
	}
	return nil
}

// allRecords is eachRecord for a few buckets, which it reads whole.
func (w *Writer) allRecords(ctx context.Context, t record.Table, starts []string, yield func(start, field, text string)) error {
	pipe := w.client.Pipeline()
	reads := make([]*redis.MapStringStringCmd, len(starts))
	for i, start := range starts {
		reads[i] = pipe.HGetAll(ctx, bucketKey(t, start))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, start := range starts {
		for field, text := range reads[i].Val() {
			yield(start, field, text)
		}
	}
	return nil
}

// mendRevisions adds the revisions that only the records have to the sets, with the proof. It returns whether there were any.
func (w *Writer) mendRevisions(ctx context.Context, t record.Table, found map[string]*held) (mended bool, err error) {
	for _, h := range found {
		mended = mended || len(h.missing) > 0
	}
	if !mended {
		return false, nil
	}
	return true, w.transact(ctx, func(pipe redis.Pipeliner) {
		for start, h := range found {
			if len(h.missing) == 0 {
				continue
			}
			members := append(make([]redis.Z, 0, 1+len(h.missing)), redis.Z{Member: proof})
			for field, revision := range h.missing {
				members = append(members, redis.Z{Score: float64(revision), Member: field})
			}
			pipe.ZAdd(ctx, revisionKey(t, start), members...)
			w.lifetime().expire(ctx, pipe, revisionKey(t, start))
			h.proved = true
		}
	})
}

// dropOutdated removes the records whose revision is lower than the highest known one, which is in held, in kept or in a
// record before. It returns how many it has removed. Records of an equal revision stay: the later one replaces the earlier one.
//
//	stored   records of the batch, in order      written
//	r2       r1, r2, none                        r2, none
//	none     r3, r1                              r3
func (p *bucket) dropOutdated(kept map[string]int64) (dropped int) {
	if p.held == nil || len(p.revisions) == 0 && len(p.held.revisions) == 0 && len(kept) == 0 {
		return 0
	}
	newest := make(map[string]int64) // by hash field, among the records so far
	all := *p
	p.records, p.summaries, p.source, p.revisions = nil, nil, nil, nil
	for i, r := range all.source {
		field, _ := all.records[2*i].([]byte)
		if r.HasRevision {
			at := string(field)
			if r.Revision < max(newest[at], all.held.revisions[at], kept[at]) {
				dropped++
				continue
			}
			newest[at] = max(newest[at], r.Revision)
		}
		json, _ := all.records[2*i+1].([]byte)
		p.add(field, json, r)
	}
	return dropped
}
