package engine

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// This file is the life of a bucket and of its series:
//
//	open       The bucket takes values. If it gets none between two Pushes, its stage gives its memory back (quieten).
//	due        It got no value for linger, and its end has passed or its start is ahead of the clock (isDue).
//	final      Its last row leaves. Its summaries leave memory (finish); a store has them.
//	spare      Their memory waits until the next Push for another bucket of the series (reuse, dropSpare).
//	retired    The series has neither an open bucket nor a spare, and the table drops it (retire). Without a store, the
//	           spans of its final buckets stay, so that late values are recognized.
//	forgotten  Too many series are retired: the spans of the oldest are dropped (forget).

const (
	// maxQuiet is for how many retired series the spans of final buckets are remembered.
	maxQuiet = 1 << 18
	// fewFields is how many unused fields the schema of a series may have beside as many as used ones.
	fewFields = 16
	// bucketSize is about how many bytes an open bucket takes without its summaries and rows.
	bucketSize = 200
	// quietSize is about how many bytes a retired series takes without its key and its spans.
	quietSize = 200
)

// open is an open bucket of a series.
type open struct {
	start, end int64
	touched    time.Time       // time of the first Push after the last value
	fields     []stats.Summary // by position in the schema of the series
	stage      stage
	handle     uint64 // of the bucket in the store
	revision   int64  // of the next final row: how often the bucket was final
	footprint         // as the budget counts it
	changed    bool   // whether it got values since the last Push
	final      bool   // whether the Push that is running made it final
}

// series is a measurement and the tags by which it is grouped.
type series struct {
	identity
	schema *schema
	open   []*open      // in ascending order of start
	recent *open        // the open bucket of the last point, or nil
	final  bucket.Spans // of the final buckets; empty if there is a store
	keys   []string     // all keys that the table has for it; first the one of its rows
	next   *series      // the series of the point that followed the last point of this one, or nil
	spare  *spare       // nil mostly
	gone   bool         // whether it is retired
}

// spare is the memory of a final bucket for the next one of the series, which most likely needs as much. The next Push
// drops it if it was not used.
type spare struct {
	fields []stats.Summary // empty summaries that keep memory
	stage  stage           // empty, with room for rows
	bytes  int             // as the budget counts it
}

// open returns the bucket of the series at that span and opens it if it is not open. It returns nil if the bucket is
// final and cannot be opened again.
func (e *Engine) open(s *series, at span) *open {
	if s.recent != nil && s.recent.start == at.start {
		return s.recent
	}
	i, found := s.find(at.start)
	if !found {
		b := e.newBucket(s, at)
		if b == nil {
			return nil
		}
		s.open = slices.Insert(s.open, i, b)
	}
	s.recent = s.open[i]
	return s.recent
}

// find returns the index in s.open of the bucket with that start, or of the place to insert it.
func (s *series) find(start int64) (i int, found bool) {
	return slices.BinarySearchFunc(s.open, start, func(b *open, start int64) int { return cmp.Compare(b.start, start) })
}

// newBucket returns an empty bucket, or a final one as the store has it. It returns nil for a final bucket without a
// store, for one that has expired in the store, and if the store fails: an empty bucket would replace the rows of the one that cannot be read.
func (e *Engine) newBucket(s *series, at span) *open {
	b := &open{start: at.start, end: at.end}
	if e.o.Store == nil {
		if s.final.Contains(at.start) {
			return nil
		}
		s.reuse(b)
		return b
	}
	found, ok, err := e.o.Store.Find(s.key(), at.start)
	switch {
	case errors.Is(err, ErrExpired):
		return nil
	case err != nil:
		e.counters.StateErrors++
		e.notify(Notice{Kind: StateFailed, Err: err})
		return nil
	case ok:
		e.counters.Revised++
		found.Revision++
		e.restore(s, b, found)
		e.widen(s) // the bucket may have fields that the series had no more
	default:
		s.reuse(b)
		found = Bucket{Series: s.key(), Start: at.start, End: at.end}
	}
	b.handle = e.o.Store.Open(found)
	return b
}

// reuse gives the spare memory of the series, if there is any, to an empty bucket.
func (s *series) reuse(b *open) {
	if s.spare != nil {
		b.fields, b.stage, b.bytes = s.spare.fields, s.spare.stage, s.spare.bytes
		s.spare = nil
	}
}

// isDue reports whether the bucket becomes final. A bucket that begins ahead of the clock may be due too: otherwise the
// values of a device whose clock is a year ahead would stay in memory for a year.
func (e *Engine) isDue(b *open, now time.Time) bool {
	wall := now.UnixNano()
	return (b.end <= wall || b.start > wall) && now.Sub(b.touched) >= e.o.Linger
}

// finish makes a due bucket of the series final, after its rows were collected. Nothing is staged.
func (e *Engine) finish(s *series, b *open) {
	if e.o.Store != nil {
		e.o.Store.Final(b.handle, e.whole(s, b))
	} else {
		s.final.Add(b.start, b.end)
	}
	if s.spare != nil {
		e.budget.release(b)
		return
	}
	for i := range b.fields {
		b.fields[i].Reset()
	}
	e.budget.hold(b)
	s.spare = &spare{fields: b.fields, stage: b.stage, bytes: b.bytes}
}

// quieten gives back the memory of the stage of a bucket that got no values.
func (e *Engine) quieten(b *open) {
	if cap(b.stage.rows) > 0 {
		b.stage = stage{}
		e.budget.hold(b)
	}
}

// remove removes open buckets from the series.
func (s *series) remove(isFinal func(*open) bool) {
	s.open = slices.DeleteFunc(s.open, isFinal)
	s.recent = nil
	if cap(s.open) > 4*len(s.open) {
		s.open = slices.Clone(s.open) // gives memory back; all of it if none is open
	}
}

// dropSpare drops the spare memory of the series.
func (e *Engine) dropSpare(s *series) {
	if s.spare != nil {
		e.budget.held -= s.spare.bytes
		s.spare = nil
	}
}

// compact drops the fields that no open bucket has values of if these are most. Otherwise each bucket would have room for
// every field that the series has ever had. Nothing is staged.
func (e *Engine) compact(s *series) {
	used := make([]bool, len(s.schema.names))
	n := 0
	for _, b := range s.open {
		for i := range b.fields {
			if b.fields[i].Count() > 0 && !used[i] {
				used[i] = true
				n++
			}
		}
	}
	if len(used) <= 2*n+fewFields {
		return
	}
	e.dropSpare(s)
	old := s.schema
	var names []string
	for _, k := range old.known {
		if used[k.position] {
			names = append(names, k.name)
		}
	}
	s.schema = e.table.schemas.extend(e.table.schemas.empty, names)
	for _, b := range s.open {
		b.fields = e.move(b.fields, old, s.schema)
		b.stage = stage{}
		e.budget.hold(b)
	}
}

// move returns summaries, which are by position in one schema, by position in another.
func (e *Engine) move(fields []stats.Summary, from, to *schema) []stats.Summary {
	moved := e.grow(nil, len(to.names))
	for _, k := range to.known {
		if i := from.known[from.find(k.name)].position; i < len(fields) {
			moved[k.position] = fields[i]
		}
	}
	return moved
}

// retire removes the series without an open bucket and without a spare from the table. Without a store it remembers the
// spans of their final buckets, for a limited number of series.
func (e *Engine) retire() {
	t := &e.table
	t.order = slices.DeleteFunc(t.order, func(s *series) bool {
		if len(s.open) > 0 || s.spare != nil {
			return false
		}
		for _, key := range s.keys {
			delete(t.index, key)
		}
		s.gone, s.next = true, nil
		if e.o.Store == nil {
			t.quiet.put(s.key(), s.final)
		}
		return true
	})
	t.schemas.sweep(t.order)
	e.counters.Forgotten += t.quiet.forget()
}

// quiet holds the spans of final buckets of retired series.
type quiet struct {
	limit       int                    // of series
	series      map[string]quietSeries // by key
	order       []retirement           // the oldest first; some are of series that are not retired any more
	bytes       int                    // about how many the series hold
	retirements int64                  // how many there have been
}

// quietSeries is what remains of a retired series.
type quietSeries struct {
	final  bucket.Spans
	number int64 // of its retirement
}

// retirement is the retirement of a series.
type retirement struct {
	key    string
	number int64
}

// put adds a series that was retired.
func (q *quiet) put(key string, final bucket.Spans) {
	q.retirements++
	s := quietSeries{final: final, number: q.retirements}
	q.series[key] = s
	q.order = append(q.order, retirement{key, s.number})
	q.bytes += s.size(key)
}

// wake removes a series and returns its spans, or none if the series is not there.
func (q *quiet) wake(key string) bucket.Spans {
	s, ok := q.series[key]
	if ok {
		delete(q.series, key)
		q.bytes -= s.size(key)
	}
	return s.final
}

// size returns about how many bytes the series takes with its key.
func (s quietSeries) size(key string) int { return quietSize + len(key) + s.final.Bytes() }

// forget removes the oldest series beyond the limit and returns how many it removed.
func (q *quiet) forget() (forgotten int64) {
	for len(q.series) > q.limit {
		oldest := q.order[0]
		q.order = q.order[1:]
		if s, ok := q.series[oldest.key]; ok && s.number == oldest.number {
			q.wake(oldest.key)
			forgotten++
		}
	}
	if len(q.order) > 2*len(q.series)+fewFields {
		q.order = slices.DeleteFunc(slices.Clone(q.order), func(r retirement) bool { return q.series[r.key].number != r.number })
	}
	return forgotten
}

func (q *quiet) init() { q.limit, q.series = maxQuiet, make(map[string]quietSeries) }
