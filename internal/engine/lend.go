package engine

import (
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// When the filters of blocks change, the values of a series, or of some of its fields, can come to another engine from then on. The
// bucket with the values that they had before may be open in the engine that got them before. So an engine that gets the first
// value of a field in a bucket borrows the field: it gets a copy of the summary.
//
//	lender      idle ── Lend ──▶ lent ── LentSafely ──▶ lent safely ── the bucket becomes final ──▶ dropped
//	                              └──────── a value of the field ───────────┴──▶ kept: both engines have the field
//	borrower    Store.Borrow ─▶ open, with the copy ─▶ Commit
//
// A field is idle if all its values came in an earlier run. Only idle fields are lent, because filters do not change within a run. A field
// that is lent has no rows and is not stored as final. A bucket whose fields are all lent is dropped.

// loan is a field of an open bucket that another engine has got.
type loan struct {
	position int    // of the field in the schema of the series
	count    uint64 // of the values that were lent: with more values, the field is kept
	safe     bool   // whether the store of the other engine has the copy, so that a crash does not lose it
}

// Two blocks can get the same values, and one of them can be new. It must not begin the buckets anew that the other one has open: the final
// rows of both would differ. If it gets a value first, it borrows the fields, and the lender keeps them. If the lender gets the value first,
// it makes a copy of the summary before, and lends that.

// Share tells the engine that there are others whose fields it can get, and that may get its fields. It must be called before the
// first point of a run. Without it, the engine does not note which fields are idle, and lends nothing. Others that get the same values
// may have begun at the wall time newest, nanoseconds since 1970, or before: they lack earlier values of open buckets that
// start before that.
func (e *Engine) Share(newest int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sharing {
		return
	}
	e.sharing = true
	for _, s := range e.table.order {
		for _, o := range s.open {
			o.noteIdle()
			o.copying = o.start < newest
		}
	}
}

// noteIdle notes that all values of the bucket came in an earlier run.
func (b *open) noteIdle() {
	b.before = make([]uint64, len(b.fields))
	for i := range b.fields {
		b.before[i] = b.fields[i].Count()
	}
}

// isIdle reports whether the field with that position has values, all of them of an earlier run. The stage must be empty.
func (b *open) isIdle(position int) bool {
	return b.has(position) && position < len(b.before) && b.fields[position].Count() == b.before[position]
}

// keepCopies copies the summaries of idle fields that are about to get the values of the stage.
func (b *open) keepCopies() {
	width := len(b.stage.schema.names)
	for position := range min(width, len(b.before)) {
		for i := position; i < len(b.stage.rows); i += width {
			if isNumber(b.stage.rows[i]) {
				b.keepCopy(position)
				break
			}
		}
	}
}

// keepCopy copies the summary of a field that is about to get a value, if the field is idle.
func (b *open) keepCopy(position int) {
	if !b.isIdle(position) || b.copies[position] != nil {
		return
	}
	if b.copies == nil {
		b.copies = make(map[int]*stats.Summary)
	}
	b.copies[position] = b.fields[position].Clone()
}

// lentAs returns the loan of the field with that position, or nil if it is not lent. The stage must be empty.
func (b *open) lentAs(position int) *loan {
	for i := range b.loans {
		if l := &b.loans[i]; l.position == position && b.fields[position].Count() == l.count {
			return l
		}
	}
	return nil
}

// Lend returns a copy of some fields of the open bucket of a series with that start and end for another engine, and the handle of
// the bucket. The copy has the fields that are idle and were not lent before. From then on they are lent, and lent has their names. The
// copy also has the fields of which this engine keeps a copy, which are not lent. It may have no fields.
//
// If the other engine keeps the lent fields, the caller must call [Engine.LentSafely] when its store has them. Otherwise the caller must
// call [Engine.TakeBack].
//
// It is called while another engine adds a point. So of all engines that lend each other fields, only one may add points
// at a time, as Telegraf does.
func (e *Engine) Lend(series string, start, end int64, fields []string) (b Bucket, handle uint64, lent []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.openBucket(series, start)
	if o == nil || o.end != end {
		return Bucket{}, 0, nil
	}
	e.settle(o)
	s := e.table.index[series]
	b = Bucket{Series: s.key(), Start: start, End: end, Revision: o.revision, Touched: o.touched.UnixNano()}
	for _, name := range fields {
		i := s.schema.leavingAs(name)
		switch {
		case o.isIdle(i) && o.lentAs(i) == nil:
			b.Fields, b.Summaries = append(b.Fields, name), append(b.Summaries, *o.fields[i].Clone())
			o.loans = append(o.loans, loan{position: i, count: o.fields[i].Count()})
			lent = append(lent, name)
		case o.copies[i] != nil:
			b.Fields, b.Summaries = append(b.Fields, name), append(b.Summaries, *o.copies[i].Clone())
		}
	}
	if o.allLent() {
		o.changed = false // after a crash, its rows would leave again
	}
	return b, o.handle, lent
}

// allLent reports whether the bucket has no values but those of lent fields.
func (b *open) allLent() bool {
	for i := range b.fields {
		if b.has(i) && b.lentAs(i) == nil {
			return false
		}
	}
	return true
}

// lends reports whether a field of b is lent.
func (b *open) lends(fields []string, schema *schema) bool {
	return slices.ContainsFunc(fields, func(name string) bool {
		i := schema.leavingAs(name)
		return b.has(i) && b.lentAs(i) != nil
	})
}

// hasUnsafe reports whether a crash would lose a field that is lent.
func (b *open) hasUnsafe() bool {
	return slices.ContainsFunc(b.loans, func(l loan) bool { return !l.safe && b.fields[l.position].Count() == l.count })
}

// loansOf returns the loans of fields in an open bucket that are lent, their names in the same order, and the bucket, or nil if it is not
// open. The loans are those in o.loans, valid until that changes. It empties the stage.
func (e *Engine) loansOf(series string, start int64, fields []string) (o *open, names []string, all []*loan) {
	if o = e.openBucket(series, start); o == nil {
		return nil, nil, nil
	}
	e.settle(o)
	s := e.table.index[series]
	for _, name := range fields {
		if i := s.schema.leavingAs(name); o.has(i) {
			if l := o.lentAs(i); l != nil {
				names, all = append(names, name), append(all, l)
			}
		}
	}
	return o, names, all
}

// Lent returns those of the fields of an open bucket that are still lent: the others have got values here since.
func (e *Engine) Lent(series string, start int64, fields []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, names, _ := e.loansOf(series, start, fields)
	return names
}

// LentSafely notes that another engine has saved its copy of fields of an open bucket.
func (e *Engine) LentSafely(series string, start int64, fields []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, names, all := e.loansOf(series, start, fields)
	for _, l := range all {
		l.safe = true
	}
	if len(names) > 0 {
		e.o.Store.Lent(o.handle, names)
	}
}

// TakeBack ends the loans of fields of an open bucket, because the other engine does not keep them.
func (e *Engine) TakeBack(series string, start int64, fields []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o, _, all := e.loansOf(series, start, fields); o != nil {
		kept := o.loans[:0:0]
		for i := range o.loans {
			// The result of loansOf points into o.loans. Loans that have ended because of values here are not in it: they stay, and have
			// no effect.
			if !slices.Contains(all, &o.loans[i]) {
				kept = append(kept, o.loans[i])
			}
		}
		o.loans = kept
	}
}

// GiveUp drops fields of an open bucket that another engine has, if a crash of the last run came before this engine noted that. It must
// be called before the first point. It does nothing if the bucket has another handle.
func (e *Engine) GiveUp(handle uint64, series string, start int64, fields []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.openBucket(series, start)
	if o == nil || o.handle != handle {
		return
	}
	s := e.table.index[series]
	for _, name := range fields {
		// Before Share, no field is noted as idle, but all are: no point has come.
		if i := s.schema.leavingAs(name); o.has(i) && (!e.sharing || o.isIdle(i)) {
			o.loans = append(o.loans, loan{position: i, count: o.fields[i].Count(), safe: true})
		}
	}
	if e.dropLent(o); o.isEmpty() {
		s.remove(func(b *open) bool { return b == o })
		e.budget.release(o)
		e.o.Store.Drop(handle)
		return
	}
	e.o.Store.Snapshot(handle, e.whole(s, o))
}

// Holding returns the fields of the open bucket of a series with that start and end, without those that are lent, and whether
// [Engine.Lend] would lend one of them.
func (e *Engine) Holding(series string, start, end int64) (fields []string, idle bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.openBucket(series, start)
	if o == nil || o.end != end {
		return nil, false
	}
	e.settle(o)
	s := e.table.index[series]
	for i := range o.fields {
		if o.has(i) && o.lentAs(i) == nil {
			fields, idle = append(fields, s.schema.names[i]), idle || o.isIdle(i) || o.copies[i] != nil
		}
	}
	return fields, idle
}

// dropLent removes the values of the fields that are lent safely. A value of one of them is looked for from then on.
func (e *Engine) dropLent(o *open) {
	kept := o.loans[:0]
	for _, l := range o.loans {
		switch {
		case o.fields[l.position].Count() != l.count: // it has got values here
		case l.safe:
			o.fields[l.position].Reset()
			o.looked, o.shared = nil, true
		default:
			kept = append(kept, l)
		}
	}
	o.loans = kept
	e.budget.hold(o)
}

// isEmpty reports whether the bucket has no values, apart from its stage.
func (b *open) isEmpty() bool {
	for i := range b.fields {
		if b.has(i) {
			return false
		}
	}
	return true
}

// snapshot logs the bucket as a whole, without the fields that are lent safely.
func (e *Engine) snapshot(s *series, o *open) {
	e.dropLent(o)
	e.o.Store.Snapshot(o.handle, e.whole(s, o))
}

// moveBefore is Engine.move for before, copies and loans, which have positions of fields too.
func (b *open) moveBefore(from, to *schema) {
	if b.before != nil {
		before := make([]uint64, len(to.names))
		for i, name := range to.names {
			if was := from.leavingAs(name); was >= 0 && was < len(b.before) {
				before[i] = b.before[was]
			}
		}
		b.before = before
	}
	if b.copies != nil {
		copies := make(map[int]*stats.Summary)
		for position, c := range b.copies {
			copies[to.leavingAs(from.names[position])] = c // it has values, so it is in both schemas
		}
		b.copies = copies
	}
	for i := range b.loans { // a field that is lent has values too
		b.loans[i].position = to.leavingAs(from.names[b.loans[i].position])
	}
}
