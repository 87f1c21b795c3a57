package engine

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/handles"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Bucket is the whole state of one bucket of one series. Fields and Summaries have the same length.
type Bucket struct {
	Series     string          // key of the series as in its rows, such as "cpu,host=a"
	Start, End int64           // nanoseconds since 1970, [Start, End)
	Revision   int64           // of the last final row if the bucket is final, or of the next final row if it is open
	Touched    int64           // wall time of the last value, nanoseconds since 1970; 0 if it is unknown
	Fields     []string        // names in rows, by position
	Summaries  []stats.Summary // by position; an empty summary means that the bucket has no values of that field
}

// Store keeps the buckets of an engine over restarts. Its methods log every change of a bucket; Commit makes the log
// so far durable. Package state implements it.
//
// The engine calls all methods except Commit with its lock held, so one at a time. It calls Commit without the lock,
// and may call another method at the same time. No method may keep a part of its arguments, except Final.
type Store interface {
	// Open logs that a bucket opened, with the summaries that it has at the start, and returns a handle that
	// identifies the bucket in later calls.
	Open(b Bucket) (handle uint64)
	// Rows logs rows that were added to the summaries of an open bucket: row by row, len(fields) values each, NaN for
	// a field that a row does not have; and one time a row, or nil. Equal schemas other than 0 mean equal fields.
	Rows(handle, schema uint64, fields []string, rows []float64, times []int64)
	// Demoted logs that the summary of a field became a histogram, because of the memory limit or because of the exact
	// limit: a replay may have a larger one, and a bucket must not become exact again.
	Demoted(handle uint64, field string)
	// Old reports whether the engine should log the bucket as a whole, so that the store can delete older parts of
	// the log.
	Old(handle uint64) bool
	// Snapshot logs the open bucket as a whole.
	Snapshot(handle uint64, b Bucket)
	// Final logs that the bucket became final. Find returns the bucket from then on. The engine emits its rows after
	// the next Commit, and does not use the fields and summaries of b before that has returned: encoding them takes
	// much longer than the other methods, so Commit does it, without the lock of the engine.
	Final(handle uint64, b Bucket)
	// Lent logs that another store has a copy of fields of an open bucket and continues them. A later call of Rows with a value of one of
	// the fields takes that back for this field.
	Lent(handle uint64, fields []string)
	// Drop logs that an open bucket is not needed any more, because all its fields were lent.
	Drop(handle uint64)
	// Find returns the newest final version of the fields of a bucket with that series, start and end, in this store or another one,
	// or false if there is none. It ignores versions of these fields with a revision below from. The result also has the other fields of
	// the final bucket of this store, except those of which another store has a newer version.
	//
	// A bucket of the same start and another end has rows with the same time, so the next rows need a revision later than those. If
	// there is only such a bucket, the result has its revision and no fields.
	//
	// The error [ErrExpired] means that the bucket was removed after its retention, and may have had one of the fields: the result has the
	// revision of that. [ErrOthersExpired] means that it had other fields; then the results are those without an error. Any other error
	// means that the bucket may exist but cannot be read.
	Find(series string, start, end int64, fields []string, from int64) (Bucket, bool, error)
	// Borrow returns copies of those fields that other engines have open and that got no values there in this run, or false if there
	// are none. See [Engine.Lend]. The next call of Open or Snapshot is for a bucket with the copies. held are the fields that other
	// engines have open and keep.
	Borrow(series string, start, end int64, fields []string) (b Bucket, held []string, ok bool)
	// GiveBack notes that the engine does not use the fields that Borrow returned last.
	GiveBack()
	// Shared reports whether other stores may have fields of the bucket with values of earlier runs.
	Shared(series string, start, end int64) bool
	// Commit makes the log so far durable. If it fails, the next Commit tries again.
	Commit() error
}

// ErrExpired is wrapped by the error of [Store.Find] about a final bucket that the store keeps no longer. Values for it are
// late: a bucket of these values alone would replace the rows of all its values.
var ErrExpired = errors.New("final bucket has expired")

// ErrOthersExpired is wrapped by the error of [Store.Find] about a final bucket that the store keeps no longer, and that had other fields than
// the wanted ones. A bucket of only these is not begun, unless it has values that the store has not seen: see [Engine.Adopt].
var ErrOthersExpired = errors.New("other fields of the final bucket have expired")

// Replay receives the log of a store in the order in which it was written. After the replay, the engine has the
// summaries of the last run, equal to the last bit. Later values may reach a histogram in other blocks than without the restart: its sums
// may then differ in their last digits, and its mode within its error. Each method repeats the effect of the method of [Store] with the
// same name. [Engine.BeginReplay] returns a Replay.
//
//	BeginReplay ─▶ Expect ─▶ for each bucket: Open, then Rows, Demoted and Lent, then Final or Drop, ─▶ End
//	                         or neither if the last run had it open at its end
//
// After the end, the caller may make rows leave again ([Engine.Again]), take over buckets of other stores ([Engine.Adopt]) and, before
// the first point, connect engines ([Engine.Share]).
type Replay struct {
	e      *Engine
	began  time.Time
	placed placed       // of the last series, guarded by Engine.mu
	grown  atomic.Int64 // by how many bytes Rows made buckets larger, which the budget does not count before End
	rooms  sync.Pool    // of *stats.Room: each of several concurrent calls of Rows uses one
}

// opened is an open bucket of a replay.
type opened struct {
	series  *series
	bucket  *open
	demoted []int // the positions of summaries that became histograms without a record of that in the log
}

// BeginReplay begins a replay into the engine, which must not have got any point. [Replay.End] ends it.
func (e *Engine) BeginReplay() *Replay {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handles = &handles.Table[opened]{}
	return &Replay{e: e, began: e.o.Now(), rooms: sync.Pool{New: func() any { return new(stats.Room) }}}
}

// Expect makes memory for so many series. It must come before the first Open.
func (r *Replay) Expect(number int) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.e.table.index, r.e.table.order = make(map[string]*series, number), make([]*series, 0, number)
}

// Open opens a bucket with its summaries. If a bucket with this handle is open, Open replaces it: the bucket was
// logged as a whole. It returns an error if b.Series is not a series key.
func (r *Replay) Open(handle uint64, b Bucket) error {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	r.drop(handle)
	s, err := e.seriesByKey(b.Series)
	if err != nil {
		return err
	}
	o := &opened{series: s, bucket: &open{start: b.Start, end: b.End, handle: handle}}
	for f, position := range e.restore(s, o.bucket, b, r.began) {
		if b.Summaries[f].Exact() && !o.bucket.fields[position].Exact() {
			o.demoted = append(o.demoted, position)
		}
	}
	i, _ := s.find(b.Start)
	s.open = slices.Insert(s.open, i, o.bucket)
	e.handles.Put(handle, o)
	return nil
}

// Rows adds rows to an open bucket, as blocks of that many rows each: column by column, one value a row, NaN for a field that a row does
// not have. more is an estimate of how many rows of these fields will come later: Rows makes room for them. The log does not contain the
// time at which rows arrived. For linger and for [Replay.End], they arrived when the replay began.
//
// For example, with the fields a and b, blocks [2 1] are two blocks with three rows in all. columns then has six values, which are a of
// the three rows and then b of them, and times has three.
//
// Rows and Demoted may be called concurrently for buckets of different series, but not together with other methods.
func (r *Replay) Rows(handle uint64, fields []string, columns []float64, times []int64, blocks []int, more int) {
	o := r.e.handles.Find(handle)
	if o == nil {
		return
	}
	b, s := o.bucket, o.series
	b.touched = r.began
	room := r.rooms.Get().(*stats.Room)
	defer r.rooms.Put(room)
	var positions []int // nil if each field has the position that it has in the rows, as mostly
	if names := s.schema.names; len(fields) > len(names) || !slices.Equal(names[:len(fields)], fields) {
		positions = r.positions(s, fields)
	}
	if n := len(s.schema.names); len(b.fields) < n {
		b.fields = r.e.grow(b.fields, n)
	}
	n := len(columns) / len(fields)
	for f := range fields {
		position := f
		if positions != nil {
			position = positions[f]
		}
		summary := &b.fields[position]
		exact := summary.Exact()
		if room.AddBlocks(summary, columns[f*n:][:n], times, blocks, more); exact && !summary.Exact() {
			o.demoted = append(o.demoted, position)
		}
	}
	now := b.measure() // while the summaries are in the caches of the processor
	r.grown.Add(int64(now.bytes - b.bytes))
	b.footprint = now
}

// positions is Engine.positions for concurrent calls. It takes the lock, as series share schemas. The result must not be
// changed.
//
// Most series are new and have the same fields as the one before, so their schema and positions are those of the one
// before. To find them again took 19 % of a replay with one row in each of 6 blocks: BenchmarkRestart.
func (r *Replay) positions(s *series, fields []string) []int {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	p := &r.placed
	if p.from != s.schema || !slices.Equal(p.fields, fields) {
		*p = placed{from: s.schema, fields: slices.Clone(fields)}
		p.positions = r.e.positions(s, fields)
		p.to = s.schema
	}
	s.schema = p.to
	return p.positions
}

// placed are the positions that fields got in a series, and its schema before and after that.
type placed struct {
	fields    []string // as they were logged
	from, to  *schema  // nil before the first
	positions []int    // of these fields in to
}

// Lent marks fields of an open bucket as lent, or all of them if fields is empty. Later values of a field take that back.
func (r *Replay) Lent(handle uint64, fields []string) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	o := r.e.handles.Find(handle)
	if o == nil {
		return
	}
	b := o.bucket
	for i := range b.fields {
		if name := o.series.schema.names[i]; b.has(i) && (len(fields) == 0 || slices.Contains(fields, name)) {
			b.loans = append(b.loans, loan{position: i, count: b.fields[i].Count(), safe: true})
		}
	}
}

// Demoted makes a histogram of the summary of a field. See Rows.
func (r *Replay) Demoted(handle uint64, field string) {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.handles.Find(handle); o != nil {
		if i := o.series.schema.leavingAs(field); i >= 0 && i < len(o.bucket.fields) {
			o.bucket.fields[i].Demote()
			o.demoted = slices.DeleteFunc(o.demoted, func(position int) bool { return position == i })
			e.budget.hold(o.bucket)
		}
	}
}

// Final removes an open bucket and returns it without the fields that are lent, or false if the handle is not open.
func (r *Replay) Final(handle uint64) (b Bucket, ok bool) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	o := r.e.handles.Find(handle)
	if o == nil {
		return Bucket{}, false
	}
	r.e.dropLent(o.bucket)
	b = r.e.whole(o.series, o.bucket)
	r.drop(handle)
	return b, true
}

// Drop removes an open bucket.
func (r *Replay) Drop(handle uint64) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.drop(handle)
}

// drop removes the bucket with the handle from its series and from the budget, if it is open.
func (r *Replay) drop(handle uint64) {
	if o := r.e.handles.Find(handle); o != nil {
		o.series.remove(func(b *open) bool { return b == o.bucket })
		r.e.budget.release(o.bucket)
		r.e.handles.Remove(handle)
	}
}

// End ends the replay. It drops the fields that are lent: values that come from now on are for the copy, which another store has. The
// next Push emits again the rows of the buckets that got a value at or after since.
func (r *Replay) End(since time.Time) {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	for handle, o := range e.handles.All() {
		b := o.bucket
		if b.loans != nil {
			if e.dropLent(b); b.isEmpty() {
				r.drop(handle)
				e.o.Store.Drop(handle)
				continue
			}
			e.o.Store.Snapshot(handle, e.whole(o.series, b)) // else a later replay would add new values to the lent ones
		}
		b.changed = !b.touched.Before(since)
		for _, position := range o.demoted { // under a larger exact limit, whose log has no demotion
			if b.has(position) {
				e.o.Store.Demoted(handle, o.series.schema.names[position])
			}
		}
	}
	e.budget.held += int(r.grown.Swap(0))
	e.handles = nil
}

// Again makes the next Push emit the final rows of the buckets again, in tables with the given prefix. It has no
// other effect on buckets. The engine owns the memory of all from then on.
//
// With EmitUpdate, the next Push emits the current rows of a bucket that is open again instead, because its final
// rows have fewer values and would replace the newer ones.
func (e *Engine) Again(prefix string, all []Bucket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range all {
		if e.o.Emit == EmitUpdate && prefix == e.o.Prefix {
			if o := e.openBucket(b.Series, b.Start); o != nil {
				o.changed = true
				continue
			}
		}
		e.again = append(e.again, again{b, prefix})
	}
}

// openBucket returns the open bucket of a series with that start, or nil.
func (e *Engine) openBucket(key string, start int64) *open {
	s := e.table.index[key]
	if s == nil {
		return nil
	}
	i, found := s.find(start)
	if !found {
		return nil
	}
	return s.open[i]
}

// Adopted is the result of [Engine.Adopt]: numbers of buckets.
type Adopted struct {
	Final   int // that were stored as final
	Joined  int // whose values were added to an open or final bucket
	Expired int // that have expired or cannot be read; their values are dropped and counted as late
}

// Adopt takes over buckets that were open under other options. Each must be a bucket of the grid. The next Push emits
// their rows.
//
// There must not be two versions of a bucket: an open or final bucket of the same series and start gets the values, a
// final one as its next revision. Without such a bucket, the adopted one is stored as final, so that late values correct
// it. An adopted bucket that is a later revision of the final one is stored as final too, because it has all values of the
// earlier one, even if that has expired in the store. The engine must have a store, and the caller must commit that before the
// next Push.
//
// held returns the fields of a bucket that other engines have open. Adopt calls it before it takes the lock, so that two engines never
// wait for each other.
func (e *Engine) Adopt(all []Bucket, held func(series string, start, end int64) []string) (a Adopted) {
	fields := make([][]string, len(all))
	for i, b := range all {
		fields[i] = held(b.Series, b.Start, b.End)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.held = nil }()
	for i, b := range all {
		e.held = fields[i]
		e.adopt(b, &a)
	}
	return a
}

// adopt is Adopt for one bucket. The cases in their order, and the number of Adopted that counts them:
//
//	the bucket is open here, and lends none of the fields        its values are added to the open one               Joined
//	the bucket is open here, and lends one of them               refused                                            Expired
//	a final one has expired, and b is not a later revision       refused                                            Expired
//	the store fails, or the key of b is wrong                    refused, with a notice                             Expired
//	no final one has its fields in the same or a later revision  stored as final; its rows leave with the next Push Final
//	a final one has some of its fields                           the final one is opened again and gets the values  Joined
func (e *Engine) adopt(b Bucket, a *Adopted) {
	if len(b.Fields) == 0 { // another store has all of them
		return
	}
	if o := e.openBucket(b.Series, b.Start); o != nil {
		if s := e.table.index[b.Series]; !o.lends(b.Fields, s.schema) {
			e.merge(s, o, b)
			a.Joined++
			return
		}
		e.refuse(b, nil, a)
		return
	}
	found, ok, err := e.o.Store.Find(b.Series, b.Start, b.End, b.Fields, b.Revision)
	if errors.Is(err, ErrOthersExpired) {
		err = nil
	}
	s, keyErr := e.seriesByKey(b.Series)
	switch {
	case errors.Is(err, ErrExpired) && b.Revision == 0:
		e.refuse(b, nil, a)
		return
	case errors.Is(err, ErrExpired):
		b.Revision = max(b.Revision, found.Revision+1)
	case err != nil || keyErr != nil:
		e.refuse(b, cmp.Or(err, keyErr), a)
		return
	case ok:
		found = found.unheld(e.held, b.Fields)
		b.Revision = max(b.Revision, found.Revision+1)
	}
	if !slices.ContainsFunc(found.Fields, func(name string) bool { return slices.Contains(b.Fields, name) }) {
		b = b.With(found)
		e.o.Store.Final(e.o.Store.Open(b), b)
		e.again = append(e.again, again{b, e.o.Prefix})
		a.Final++
		return
	}
	found.Revision = b.Revision
	e.merge(s, e.reopen(s, found), b)
	e.counters.Revised++
	a.Joined++
}

// reopen opens a bucket with the values of a final one.
func (e *Engine) reopen(s *series, b Bucket) *open {
	o := &open{start: b.Start, end: b.End, shared: true}
	e.restore(s, o, b, e.o.Now())
	if e.sharing {
		o.noteIdle()
	}
	o.handle = e.o.Store.Open(b)
	i, _ := s.find(b.Start)
	s.open = slices.Insert(s.open, i, o)
	return o
}

// refuse drops and counts the values of a bucket that cannot be adopted. err is a failure of the store or of the key, or nil if the bucket
// is too old or lent.
func (e *Engine) refuse(b Bucket, err error, a *Adopted) {
	if err != nil {
		e.counters.StateErrors++
		e.notify(Notice{Kind: StateFailed, Err: err})
	}
	a.Expired++
	for i := range b.Summaries {
		e.counters.Late += int64(b.Summaries[i].Count())
	}
}

// With returns b with the fields of an older version that it does not have. It may write behind the ends of b.Fields and
// b.Summaries, so the caller must own their memory. The summaries are not copied.
func (b Bucket) With(older Bucket) Bucket {
	for i, field := range older.Fields {
		if !slices.Contains(b.Fields, field) {
			b.Fields, b.Summaries = append(b.Fields, field), append(b.Summaries, older.Summaries[i])
		}
	}
	return b
}

// Without returns b without the fields for which drop returns true. The result has slices of its own, but its summaries share the
// memory of those of b.
func (b Bucket) Without(drop func(field string) bool) Bucket {
	rest := b
	rest.Fields, rest.Summaries = nil, nil
	for i, field := range b.Fields {
		if !drop(field) {
			rest.Fields, rest.Summaries = append(rest.Fields, field), append(rest.Summaries, b.Summaries[i])
		}
	}
	return rest
}

// merge adds the values of b to an open bucket of the series, whose revision becomes that of b if this is larger. An idle field stays
// idle. The store gets the whole bucket, because its log has no record of a merge.
func (e *Engine) merge(s *series, o *open, b Bucket) {
	e.settle(o)
	positions := e.positions(s, b.Fields)
	o.fields = e.grow(o.fields, len(s.schema.names))
	if e.sharing && len(o.before) < len(o.fields) {
		o.before = append(o.before, make([]uint64, len(o.fields)-len(o.before))...)
	}
	for i, position := range positions {
		idle := e.sharing && (!o.has(position) || o.isIdle(position))
		if err := o.fields[position].Merge(&b.Summaries[i]); err != nil {
			e.notify(Notice{Kind: StateFailed, Err: err})
		}
		if idle {
			o.before[position] = o.fields[position].Count()
		}
	}
	o.revision, o.changed, o.touched = max(o.revision, b.Revision), true, e.o.Now()
	e.snapshot(s, o)
	e.budget.hold(o)
}

// again is a final bucket whose rows are emitted again, in a table with that prefix.
type again struct {
	Bucket
	prefix string
}

// Save calls open for each open bucket, and final for each span of final buckets that the engine remembers. The
// engine still owns the summaries. open and final must not keep them and must not call the engine.
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

// AddFinal marks the buckets of a series in [start, end) as final, so that values for them are late. The engine then
// has no values of these buckets. With a store, it has no effect.
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

// seriesByKey returns the series with that key and adds it if the table does not have it.
func (e *Engine) seriesByKey(key string) (*series, error) {
	if s := e.table.index[key]; s != nil {
		return s, nil
	}
	leaving, err := ids.ParseKey(key)
	if err != nil {
		return nil, err
	}
	return e.addSeries(key, identity{arriving: leaving}), nil
}

// restore copies b to an empty open bucket of the series at the time now. It returns the position of each field.
func (e *Engine) restore(s *series, o *open, b Bucket, now time.Time) (positions []int) {
	positions = e.positions(s, b.Fields)
	o.fields = e.grow(o.fields, len(s.schema.names))
	for i, position := range positions {
		_ = o.fields[position].Merge(&b.Summaries[i]) // never an overflow, because the summary is empty
	}
	o.revision = b.Revision
	// The time is relative to now, which has a reading of the monotonic clock: a clock that is set back later does not
	// keep the bucket open. A time ahead of the clock means that a clock was wrong, and would do the same.
	o.touched = now
	if ago := now.Sub(time.Unix(0, b.Touched)); b.Touched != 0 && ago > 0 {
		o.touched = now.Add(-ago)
	}
	e.budget.hold(o)
	return positions
}

// positions returns the position of each field in the schema of the series. It extends the schema by new fields.
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

// whole returns the whole state of an open bucket of the series. The result shares memory with the bucket, and lacks what is in its stage.
func (e *Engine) whole(s *series, o *open) Bucket {
	return Bucket{
		Series: s.key(), Start: o.start, End: o.end, Revision: o.revision, Touched: o.touched.UnixNano(),
		Fields: s.schema.names[:len(o.fields)], Summaries: o.fields,
	}
}
