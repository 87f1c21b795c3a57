package engine

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// This file defines the life of a bucket and of its series:
//
//	open       The bucket takes values. If it gets none between two Pushes, its stage gives its memory back (quieten).
//	due        It got no value for linger, and its end has passed or its start is ahead of the clock (isDue).
//	final      Its last row leaves. Its summaries leave memory (finish), with a store when that has encoded them (release).
//	spare      Their memory waits until the next Push for another bucket of the series (reuse, dropSpare).
//	retired    The series has neither an open bucket nor a spare, and the table drops it (retire). Without a store, the
//	           spans of its final buckets stay, so that late values are recognized.
//	forgotten  Too many series are retired: the spans of the oldest are dropped (forget).

const (
	// maxQuiet is the largest number of retired series whose final buckets the engine remembers.
	maxQuiet = 1 << 18
	// fewFields limits the unused fields in the schema of a series: there may be as many as used ones, and fewFields
	// more.
	fewFields = 16
	// bucketSize is an estimate of the bytes of an open bucket, without its summaries and rows.
	bucketSize = 200
	// quietSize is an estimate of the bytes of a retired series, without its key and its spans.
	quietSize = 200
)

// open is an open bucket of a series, for the times [start, end) in nanoseconds since 1970.
//
// Its newest values may be in the stage only: Engine.settle comes before anything that needs all values. fields may be shorter than the
// schema of the series; the bucket then has no values of the other fields. Engine.mu guards it, except in Replay.Rows, and except while
// it is final and waits in push.lent, where nothing else refers to it.
type open struct {
	start, end int64
	touched    time.Time       // time of the first Push after the last value
	fields     []stats.Summary // by position in the schema of the series
	stage      stage
	looked     *schema                // no other store has earlier values of the fields in it; nil if that is not known
	handle     uint64                 // identifies the bucket in the store; 0 without a store
	revision   int64                  // the revision of the next final row: how often the bucket was final before
	footprint                         // what the budget counts for this bucket
	changed    bool                   // whether the bucket got values since the last Push
	final      bool                   // whether the running Push made the bucket final
	shared     bool                   // whether a store has more fields of the bucket, so each new field is looked for
	copying    bool                   // whether copies are made, for other engines
	before     []uint64               // by position: how many values came in an earlier run; see noteIdle. Nil means none
	loans      []loan                 // fields that other engines have got, usually nil
	copies     map[int]*stats.Summary // by position: what fields had before this run; usually nil
}

// series is a series in the table: its measurement, the tags that Options.Keep selects, and its buckets.
//
// recent is one of open or nil. Other series may still refer to a retired one as their next, so seriesOf checks gone. A series that comes
// back after that is another *series, with a schema that begins anew.
type series struct {
	identity
	schema *schema
	open   []*open      // in ascending order of start
	recent *open        // the open bucket of the last point, or nil
	final  bucket.Spans // the final buckets; empty if there is a store
	rowKey string       // the key of its rows
	// pointKeys are the other keys under which the table has the series: those of points whose names rows cannot carry.
	pointKeys []string
	next      *series // the series of the point that came after the last point of this series, or nil
	spare     *spare  // usually nil
	gone      bool    // whether the series is retired
}

// spare is the memory of a final bucket. The next bucket of the series uses it again, because it probably needs as
// much. If there is none until the next Push, that Push drops the spare. Without spares, BenchmarkAdd/series=1/data=continuous/limit=512 took
// 161 ns instead of 130.
type spare struct {
	fields []stats.Summary // empty summaries that keep memory
	stage  stage           // empty, with room for rows
	bytes  int             // what the budget counts for it
}

// open returns the open bucket of the series with that span. If there is none, it opens the bucket, with the earlier values of the
// fields of the point. It returns nil if the bucket is final and cannot be opened again. Without a look at recent first,
// BenchmarkAdd/series=100/data=cpu/limit=64 took 270 ns instead of 259.
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

// find returns the index in s.open of the bucket with that start. If there is none, it returns the index at which to
// insert it.
func (s *series) find(start int64) (i int, found bool) {
	return slices.BinarySearchFunc(s.open, start, func(b *open, start int64) int { return cmp.Compare(b.start, start) })
}

// newBucket returns an empty bucket or, for a final bucket, the bucket from the store with all its values. It returns
// nil for a final bucket if there is no store or if the bucket has expired in the store. It also returns nil if the
// store fails, because the rows of an empty bucket would replace those of the bucket that cannot be read.
func (e *Engine) newBucket(s *series, at span) *open {
	b := &open{start: at.start, end: at.end}
	if e.o.Store == nil {
		if s.final.Contains(at.start) {
			return nil
		}
		s.reuse(b)
		return b
	}
	found, ok, err := e.earlier(s, b, e.lacking(s, b))
	switch {
	case errors.Is(err, ErrOthersExpired):
		e.o.Store.GiveBack()
		return nil
	case errors.Is(err, ErrExpired):
		return nil
	case err != nil:
		e.counters.StateErrors++
		e.notify(Notice{Kind: StateFailed, Err: err})
		return nil
	case ok:
		e.restore(s, b, found, e.o.Now())
		e.widen(s) // the bucket may have fields that the schema no longer had
		if e.sharing {
			b.noteIdle()
		}
	default:
		s.reuse(b)
		found = Bucket{Series: s.key(), Start: at.start, End: at.end}
	}
	e.noteLooked(s, b)
	b.handle = e.o.Store.Open(found)
	return b
}

// noteLooked notes whether a store may have more fields of a bucket than those for which it was looked just now: another store, or the own
// one, as a field of the final bucket that was left to another engine can come back after a crash.
func (e *Engine) noteLooked(s *series, b *open) {
	if b.shared = b.revision > 0 || e.o.Store.Shared(s.key(), b.start, b.end); !b.shared {
		b.looked = s.schema
	}
}

// claim adds to an open bucket the earlier values of those fields of the point that have none in it. It reports false if they have
// expired, or if the store fails, which it notes.
func (e *Engine) claim(s *series, o *open) bool {
	if e.o.Store == nil {
		o.looked = s.schema
		return true
	}
	names := e.lacking(s, o)
	if len(names) > 0 { // perhaps their first values are in the stage
		e.settle(o)
		names = e.lacking(s, o)
	}
	if len(names) == 0 && o.shared { // other fields may still be in a store, so looked stays as it is
		return true
	}
	found, ok, err := e.earlier(s, o, names)
	if errors.Is(err, ErrOthersExpired) { // the open bucket has these fields, or had them
		err = nil
	}
	switch {
	case errors.Is(err, ErrExpired) && len(names) > 0:
		return false
	case err != nil && !errors.Is(err, ErrExpired):
		e.counters.StateErrors++
		e.notify(Notice{Kind: StateFailed, Err: err})
		return false
	case ok && len(names) > 0:
		found = found.Without(func(field string) bool { return !slices.Contains(names, field) })
		if len(found.Fields) > 0 || found.Revision > o.revision {
			e.merge(s, o, found)
			e.widen(s)
		}
	}
	e.noteLooked(s, o)
	return true
}

// lacking returns the fields of the point that have no values in the bucket, apart from its stage.
func (e *Engine) lacking(s *series, o *open) (names []string) {
	if !e.sparse {
		for i, v := range e.row {
			if isNumber(v) && !o.has(i) {
				names = append(names, s.schema.names[i])
			}
		}
	}
	for _, v := range e.samples {
		if name := s.schema.names[v.position]; !o.has(v.position) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// has reports whether the bucket has values of the field with that position, apart from its stage.
func (b *open) has(position int) bool {
	return position >= 0 && position < len(b.fields) && b.fields[position].Count() > 0
}

// earlier returns the bucket with the values that the fields had before: those of other engines, or of the final bucket. It has other
// fields of the final bucket too, if no other engine has got them since. Without fields, only its revision counts. The error is that of
// [Store.Find]. With ErrOthersExpired, the caller gives back what it does not use.
func (e *Engine) earlier(s *series, o *open, fields []string) (b Bucket, ok bool, err error) {
	// Before Find: a bucket that the other engine makes final meanwhile is found.
	lent, held, borrowed := e.o.Store.Borrow(s.key(), o.start, o.end, fields)
	b, ok, err = e.o.Store.Find(s.key(), o.start, o.end, fields, 0)
	// That the final bucket has expired does not matter if Borrow has returned all of the fields.
	lacks := func(field string) bool { return !slices.Contains(lent.Fields, field) }
	others := errors.Is(err, ErrOthersExpired)
	if borrowed && !slices.ContainsFunc(fields, lacks) && (others || errors.Is(err, ErrExpired)) {
		ok, others, err = ok && others, false, nil
	}
	switch {
	case err != nil && !others:
		if borrowed {
			e.o.Store.GiveBack()
		}
		return Bucket{}, ok, err
	case ok:
		b.Revision++ // from the last final row to the next one
	case !borrowed:
		return b, false, err
	}
	b = b.unheld(held, fields)
	if borrowed {
		lent.Revision = max(lent.Revision, b.Revision)
		return lent.With(b), true, err
	}
	if len(b.Fields) > 0 && o.revision == 0 && err == nil { // else it is counted already, or not opened
		e.counters.Revised++
	}
	return b, true, err
}

// unheld returns b without the fields that other engines have open, unless they are among the wanted ones.
func (b Bucket) unheld(held, wanted []string) Bucket {
	if len(held) == 0 {
		return b
	}
	return b.Without(func(field string) bool { return slices.Contains(held, field) && !slices.Contains(wanted, field) })
}

// reuse moves the spare memory of the series, if there is any, to an empty bucket.
func (s *series) reuse(b *open) {
	if s.spare != nil {
		b.fields, b.stage, b.bytes = s.spare.fields, s.spare.stage, s.spare.bytes
		s.spare = nil
	}
}

// isDue reports whether the bucket must become final. This includes buckets that begin ahead of the clock. Otherwise
// the values of a device whose clock is a year ahead would stay in memory for a year.
func (e *Engine) isDue(b *open, now time.Time) bool {
	wall := now.UnixNano()
	return (b.end <= wall || b.start > wall) && now.Sub(b.touched) >= e.o.Linger
}

// finish makes a due bucket of the series final, or drops it if all its fields are lent. Its rows have been collected, and its stage is
// empty. The caller removes it from s.open.
func (e *Engine) finish(s *series, b *open) {
	if b.loans != nil {
		if e.dropLent(b); b.isEmpty() {
			e.o.Store.Drop(b.handle)
			e.budget.release(b)
			return
		}
	}
	if e.o.Store != nil {
		e.o.Store.Final(b.handle, e.whole(s, b))
		e.push.lent = append(e.push.lent, lent{s, b}) // until the store has encoded it
		return
	}
	s.final.Add(b.start, b.end)
	b.empty()
	e.keepSpare(s, b)
}

// lent is a final bucket whose summaries the store uses until its next Commit has returned. This is not a loan of lend.go, which is
// a field that another engine has got.
type lent struct {
	series *series
	bucket *open
}

// release makes spares of the final buckets that the store does not use any more.
func (e *Engine) release() {
	for all := range slices.Chunk(e.push.lent, lockedBuckets) {
		for _, l := range all {
			l.bucket.empty() // without the lock: nothing else refers to the bucket
		}
		e.mu.Lock()
		for _, l := range all {
			e.keepSpare(l.series, l.bucket)
		}
		e.mu.Unlock()
	}
	clear(e.push.lent)
	e.push.lent = e.push.lent[:0]
}

// empty removes all values from a final bucket.
func (b *open) empty() {
	for i := range b.fields {
		b.fields[i].Reset()
	}
}

// keepSpare makes the memory of an empty bucket the spare of its series, unless the series has one or is retired. A spare keeps the share
// of the budget that the bucket had.
func (e *Engine) keepSpare(s *series, b *open) {
	if s.spare != nil {
		e.budget.release(b)
		return
	}
	e.budget.hold(b)
	s.spare = &spare{fields: b.fields, stage: b.stage, bytes: b.bytes}
}

// quieten releases the memory of the stage of a bucket that got no values.
func (e *Engine) quieten(b *open) {
	if cap(b.stage.rows) > 0 {
		b.stage = stage{}
		e.budget.hold(b)
	}
}

// remove removes the buckets for which isFinal returns true from s.open.
func (s *series) remove(isFinal func(*open) bool) {
	s.open = slices.DeleteFunc(s.open, isFinal)
	s.recent = nil
	if cap(s.open) > 4*len(s.open) {
		s.open = slices.Clone(s.open) // releases memory, and all of it if no bucket is open
	}
}

// dropSpare drops the spare memory of the series.
func (e *Engine) dropSpare(s *series) {
	if s.spare != nil {
		e.budget.held -= s.spare.bytes
		s.spare = nil
	}
}

// compact drops the fields that have no values in any open bucket, if most fields are so. Otherwise each bucket would
// have room for every field that the series ever had. The stages of all buckets are empty.
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
		b.fields, b.looked = e.move(b.fields, old, s.schema), nil
		b.moveBefore(old, s.schema)
		b.stage = stage{}
		e.budget.hold(b)
	}
}

// move returns the summaries in the order of another schema, all of whose fields the schema from has. A field of from that is not in the
// schema to is dropped.
func (e *Engine) move(fields []stats.Summary, from, to *schema) []stats.Summary {
	moved := e.grow(nil, len(to.names))
	for _, k := range to.known {
		if i := from.known[from.find(k.name)].position; i < len(fields) {
			moved[k.position] = fields[i]
		}
	}
	return moved
}

// retire removes the series without open buckets and without a spare from the table. Without a store, it remembers
// the spans of their final buckets, for at most maxQuiet series.
func (e *Engine) retire() {
	t := &e.table
	t.order = slices.DeleteFunc(t.order, func(s *series) bool {
		if len(s.open) > 0 || s.spare != nil {
			return false
		}
		delete(t.index, s.rowKey)
		for _, key := range s.pointKeys {
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

// quiet holds the spans of the final buckets of retired series, for engines without a store.
//
//	put ─▶ series by key ─ the series comes back ─▶ wake ─▶ series.final
//	                     └ among the oldest beyond limit ─▶ forget
//
// A series has its spans in one place: here while it is retired, and else in the table. order has the last retirement of each series, so
// it is never shorter than series.
type quiet struct {
	limit       int                    // the largest number of series
	series      map[string]quietSeries // by key
	order       []retirement           // the oldest first; includes series that are no longer retired
	bytes       int                    // an estimate of the memory of the series
	retirements int64                  // how many retirements there were so far
}

// quietSeries is a retired series.
type quietSeries struct {
	final  bucket.Spans // its final buckets; no value of them is taken
	number int64        // the number of its retirement
}

// retirement is the retirement of a series. It counts only if quiet.series has the series with that number: a series that came back, and
// perhaps retired again, leaves an old retirement in the order.
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

// wake removes a series and returns its spans. It returns none if the series is not in quiet.
func (q *quiet) wake(key string) bucket.Spans {
	s, ok := q.series[key]
	if ok {
		delete(q.series, key)
		q.bytes -= s.size(key)
	}
	return s.final
}

// size returns an estimate of the bytes of the series, including its key.
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
	// Removing old retirements copies the order, so it waits until they are about half of it.
	if len(q.order) > 2*len(q.series)+fewFields {
		q.order = slices.DeleteFunc(slices.Clone(q.order), func(r retirement) bool { return q.series[r.key].number != r.number })
	}
	return forgotten
}

// init makes an empty quiet.
func (q *quiet) init() { q.limit, q.series = maxQuiet, make(map[string]quietSeries) }
