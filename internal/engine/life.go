package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// This file is the life of a bucket and of its series, from top to bottom:
//
//	open      the bucket has summaries and takes values
//	  quiet   … but got none since the last Push: its stage gives its memory back
//	due       it got none for linger, and its end has come or its start lies ahead of the clock
//	final     its last row leaves; the summaries leave memory, for the store where there is one
//	spare     their memory waits one period for the next bucket of the series
//	retired   the series has neither an open bucket nor a spare: the table lets go of it. Without a store, the
//	          spans of its final buckets stay, so that late values are known as such
//	forgotten too many series are retired: the spans of the oldest go too

const (
	// maxQuiet is of how many series without open buckets the spans of final ones are remembered.
	maxQuiet = 1 << 18
	// fewFields is how many fields a series may have had beyond twice those that it has.
	fewFields = 16
	// bucketSize is about how many bytes an open bucket takes beside its summaries and rows.
	bucketSize = 200
	// quietSize is about how many bytes a retired series takes, beside its key and its spans.
	quietSize = 200
)

// open is an open bucket of a series.
type open struct {
	start, end int64
	touched    time.Time       // wall time of the last value, as of a Push
	fields     []stats.Summary // by position in the schema of the series
	stage      stage
	handle     uint64 // of the store
	revision   int64  // of its next final row
	footprint         // as the budget last counted it
	changed    bool   // since its rows left
	final      bool   // for the rest of a Push
}

// series is a measurement and the tags by which it is grouped.
type series struct {
	identity
	schema *schema
	open   []*open      // ascending by start
	recent *open        // the one found last, or nil
	final  bucket.Spans // of the final buckets, where no store knows them
	keys   []string     // under which the table finds it
	next   *series      // whose point came after one of this series the last time, or nil
	spare  *spare       // nil mostly
	gone   bool         // the table has let go of it
}

// spare is the memory of the bucket that became final last, for the next one to open, which most likely needs as
// much. It is let go where none opens in the next period.
type spare struct {
	fields []stats.Summary // empty, but not their memory
	stage  stage           // empty too
	bytes  int             // as the budget counts it
}

// open returns the bucket of the series at that span, and opens it when it is not open. It returns nil where the
// bucket is final and cannot be opened again.
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

// find returns where in s.open the bucket with that start is, or where it belongs.
func (s *series) find(start int64) (i int, found bool) {
	return slices.BinarySearchFunc(s.open, start, func(b *open, start int64) int { return cmp.Compare(b.start, start) })
}

// newBucket returns a bucket that was never open, or a final one as the store has it. It returns nil for a final one
// that no store has.
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

// reuse gives the spare memory of the series to a bucket that was just opened.
func (s *series) reuse(b *open) {
	if s.spare != nil {
		b.fields, b.stage, b.bytes = s.spare.fields, s.spare.stage, s.spare.bytes
		s.spare = nil
	}
}

// isDue reports whether the bucket, of which nothing is staged, becomes final. A bucket that lies ahead of the clock
// as a whole is due too: a device with a wrong clock would hold its memory for a year otherwise.
func (e *Engine) isDue(b *open, now time.Time) bool {
	wall := now.UnixNano()
	return (b.end <= wall || b.start > wall) && now.Sub(b.touched) >= e.o.Linger
}

// finish makes a due bucket of the series final. Its rows have left, or are about to.
func (e *Engine) finish(s *series, b *open, now time.Time) {
	if e.o.Store != nil {
		e.o.Store.Final(b.handle, e.whole(s, b), now)
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

// remove takes the buckets that became final off the series.
func (s *series) remove(isFinal func(*open) bool) {
	s.open = slices.DeleteFunc(s.open, isFinal)
	s.recent = nil
	if cap(s.open) > 4*len(s.open) {
		s.open = slices.Clone(s.open) // gives memory back, all of it where none is open
	}
}

func (e *Engine) dropSpare(s *series) {
	if s.spare != nil {
		e.budget.held -= s.spare.bytes
		s.spare = nil
	}
}

// compact drops the fields that no open bucket has values of, when these are most: else every bucket would
// carry every field that the series has ever had. Nothing is staged.
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

// move brings summaries from their positions in one schema to those in another.
func (e *Engine) move(fields []stats.Summary, from, to *schema) []stats.Summary {
	moved := e.grow(nil, len(to.names))
	for _, k := range to.known {
		if i := from.known[from.find(k.name)].position; i < len(fields) {
			moved[k.position] = fields[i]
		}
	}
	return moved
}

// retire lets go of the series that have had no open bucket for a period. Without a store it remembers which of
// their buckets were final; of too many series the oldest are forgotten.
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
	order       []retirement           // the oldest first; those that woke up since are among them
	bytes       int                    // that the series hold, about
	retirements int64                  // how many there were
}

// quietSeries is what stays of a retired series.
type quietSeries struct {
	final  bucket.Spans
	number int64 // of its retirement
}

// retirement names a series that was retired.
type retirement struct {
	key    string
	number int64
}

func (q *quiet) put(key string, final bucket.Spans) {
	q.retirements++
	s := quietSeries{final: final, number: q.retirements}
	q.series[key] = s
	q.order = append(q.order, retirement{key, s.number})
	q.bytes += s.size(key)
}

// wake takes a series out and returns its spans, or none where it is not there.
func (q *quiet) wake(key string) bucket.Spans {
	s, ok := q.series[key]
	if ok {
		delete(q.series, key)
		q.bytes -= s.size(key)
	}
	return s.final
}

func (s quietSeries) size(key string) int { return quietSize + len(key) + s.final.Bytes() }

// forget takes out the oldest series beyond the limit and returns how many these were.
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
