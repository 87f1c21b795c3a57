package engine

import (
	"slices"
	"time"

	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Bucket is all that there is to know of one bucket of one series.
type Bucket struct {
	Series     string          // key of the series as its rows leave
	Start, End int64           // nanoseconds since 1970, [Start, End)
	Revision   int64           // of a final bucket: of its last final row; of an open one: of its next
	Touched    int64           // wall time of the last value, nanoseconds since 1970
	Fields     []string        // names as they leave, by position
	Summaries  []stats.Summary // by position; an empty one is no field of the bucket
}

// Store keeps the buckets of an engine over restarts. It logs what changes as it changes; what was logged before a
// Commit is durable after it. Package state is one.
//
// The engine calls all methods but Commit with its lock held, so one at a time. It calls Commit without the lock:
// others may be called meanwhile.
type Store interface {
	// Open logs that a bucket opened, with the summaries that it begins with, and returns its handle.
	Open(b Bucket) (handle uint64)
	// Rows logs rows that the summaries of an open bucket took, as one block: len(fields) values a row, NaN where a
	// row has no value of the field, and one time a row unless times is nil. The same schema always means the same
	// fields; schema 0 means none. It keeps no part of its arguments.
	Rows(handle, schema uint64, fields []string, rows []float64, times []int64)
	// Demoted logs that the summary of a field became a histogram.
	Demoted(handle uint64, field string)
	// Old reports whether the bucket should be logged as a whole, so that its older log can go.
	Old(handle uint64) bool
	// Snapshot logs the open bucket as a whole.
	Snapshot(handle uint64, b Bucket)
	// Final logs that the bucket became final. Find finds it from then on. Its row leaves at that time.
	Final(handle uint64, b Bucket, at time.Time)
	// Find returns the final bucket of a series with that start, or false where there is none. An error means that
	// there is one, or may be one, which cannot be read.
	Find(series string, start int64) (Bucket, bool, error)
	// Commit makes what was logged durable. After an error it is not, and the next Commit tries again.
	Commit() error
}

// Replay receives the log of a store in its order. Its methods are those of [Store] of the same name, made again. An
// Engine is prepared for it by [Engine.BeginReplay].
type Replay struct{ e *Engine }

// opened is an open bucket that is replayed.
type opened struct {
	series *series
	bucket *open
}

// BeginReplay returns a Replay of the engine, to which nothing was added yet. EndReplay ends it.
func (e *Engine) BeginReplay() *Replay {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handles = make(map[uint64]opened)
	return &Replay{e}
}

// Open opens a bucket with its summaries. A handle that is open already is opened anew: the bucket was logged as a
// whole.
func (r *Replay) Open(handle uint64, b Bucket) error {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	r.drop(handle)
	s, err := e.seriesByKey(b.Series)
	if err != nil {
		return err
	}
	o := &open{start: b.Start, end: b.End, handle: handle}
	e.restore(s, o, b)
	i, _ := s.find(o.start)
	s.open = slices.Insert(s.open, i, o)
	e.handles[handle] = opened{s, o}
	return nil
}

// Rows adds rows to an open bucket as they were added before.
func (r *Replay) Rows(handle uint64, fields []string, rows []float64, times []int64) {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	o, ok := e.handles[handle]
	if !ok {
		return
	}
	positions := e.positions(o.series, fields)
	if n := len(o.series.schema.names); len(o.bucket.fields) < n {
		o.bucket.fields = e.grow(o.bucket.fields, n)
	}
	column := make([]float64, len(rows)/len(fields))
	for f, position := range positions {
		for i := range column {
			column[i] = rows[i*len(fields)+f]
		}
		o.bucket.fields[position].AddAll(column, times)
	}
}

// Demoted makes a histogram of the summary of a field.
func (r *Replay) Demoted(handle uint64, field string) {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if o, ok := e.handles[handle]; ok {
		if i := o.series.schema.leavingAs(field); i >= 0 && i < len(o.bucket.fields) {
			o.bucket.fields[i].Demote()
		}
	}
}

// Final takes a bucket out that became final and returns it.
func (r *Replay) Final(handle uint64) (b Bucket, ok bool) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	o, ok := r.e.handles[handle]
	if !ok {
		return Bucket{}, false
	}
	b = r.e.whole(o.series, o.bucket)
	r.drop(handle)
	return b, true
}

// Drop takes a bucket out.
func (r *Replay) Drop(handle uint64) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.drop(handle)
}

func (r *Replay) drop(handle uint64) {
	if o, ok := r.e.handles[handle]; ok {
		o.series.remove(func(b *open) bool { return b == o.bucket })
		r.e.budget.release(o.bucket)
		delete(r.e.handles, handle)
	}
}

// End ends the replay. Of the buckets that got a value since that time, the rows leave again with the next Push.
func (r *Replay) End(since time.Time) {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.handles {
		o.bucket.changed = !o.bucket.touched.Before(since)
		e.budget.hold(o.bucket)
	}
	e.handles = nil
}

// Again lets the final rows of buckets leave with the next Push, in tables with that prefix. The engine does not
// change the buckets otherwise, and they are its own from now on.
func (e *Engine) Again(prefix string, all []Bucket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range all {
		e.again = append(e.again, again{b, prefix})
	}
}

// again is a bucket whose final rows leave again.
type again struct {
	Bucket
	prefix string
}

// Save calls open for each open bucket, whose summaries stay the engine's, and final for each span of final buckets
// that it remembers. They must not call the engine.
func (e *Engine) Save(open func(Bucket), final func(series string, start, end int64)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.table.order {
		for _, b := range s.open {
			e.settle(b)
			open(e.whole(s, b))
		}
		for start, end := range s.final.All() {
			final(s.key(), start, end)
		}
	}
	for key, q := range e.table.quiet.series {
		for start, end := range q.final.All() {
			final(key, start, end)
		}
	}
}

// AddFinal makes the buckets of a series in [start, end) final, of which nothing else is known: values for them are
// late. It has no effect where there is a store.
func (e *Engine) AddFinal(series string, start, end int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.table.index[series]; s != nil {
		s.final.Add(start, end)
		return
	}
	final := e.table.quiet.wake(series)
	final.Add(start, end)
	e.table.quiet.put(series, final)
}

// seriesByKey returns the series of that key and adds it where the table does not have it.
func (e *Engine) seriesByKey(key string) (*series, error) {
	if s := e.table.index[key]; s != nil {
		return s, nil
	}
	s, err := ids.ParseKey(key)
	if err != nil {
		return nil, err
	}
	return e.addSeries(key, s), nil
}

// restore gives the open bucket of a series what b has.
func (e *Engine) restore(s *series, o *open, b Bucket) {
	positions := e.positions(s, b.Fields)
	o.fields = e.grow(o.fields, len(s.schema.names))
	for i, position := range positions {
		_ = o.fields[position].Merge(&b.Summaries[i]) // into an empty one, so never an overflow
	}
	o.revision = b.Revision
	if o.touched = time.Unix(0, b.Touched); b.Touched == 0 {
		o.touched = e.o.Now()
	}
	e.budget.hold(o)
}

// positions returns the position of each field in the schema of the series, which it extends where it has to.
func (e *Engine) positions(s *series, fields []string) []int {
	var missing []string
	for _, name := range fields {
		if s.schema.leavingAs(name) < 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		s.schema = e.table.schemas.extend(s.schema, missing)
	}
	positions := make([]int, len(fields))
	for i, name := range fields {
		positions[i] = s.schema.leavingAs(name)
	}
	return positions
}

// whole returns all that there is of an open bucket of the series. The summaries stay the bucket's.
func (e *Engine) whole(s *series, o *open) Bucket {
	return Bucket{
		Series: s.key(), Start: o.start, End: o.end, Revision: o.revision, Touched: o.touched.UnixNano(),
		Fields: s.schema.names[:len(o.fields)], Summaries: o.fields,
	}
}
