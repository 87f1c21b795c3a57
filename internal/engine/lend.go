package engine

import "slices"

// When the filters of two blocks change, the values of a series can come to another engine from then on. Its bucket of
// that series may be open in the engine that had the series before. So an engine that begins a bucket borrows it: it gets a
// copy with all values. The lender drops its bucket instead of making it final, unless it gets values for it in the same run:
// then both engines have the series.

// lending is whether another engine has a copy of an open bucket.
type lending uint8

const (
	notLent      lending = iota
	lentUnsafely         // the copy would be lost by a crash
	lentSafely           // the store of the other engine has the copy
)

// Lend returns a copy of the open bucket of a series with that start and end for another engine, or false if there is
// none with one of the fields, or if it was lent before. The handle must be that of the bucket, which has got no values in this run. When the other
// engine has committed its store, the caller must call [Engine.LentSafely].
//
// It is called while another engine adds a point. So of all engines that lend each other buckets, only one may add points
// at a time, as Telegraf does.
func (e *Engine) Lend(handle uint64, series string, start, end int64, fields []string) (Bucket, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.openBucket(series, start)
	if o == nil || o.handle != handle || o.lent != notLent || o.end != end || len(o.stage.rows) > 0 {
		return Bucket{}, false
	}
	b := e.whole(e.table.index[series], o)
	if !b.hasField(fields) {
		return Bucket{}, false
	}
	b.Fields, b.Summaries = slices.Clone(b.Fields), slices.Clone(b.Summaries)
	for i := range b.Summaries {
		b.Summaries[i] = *b.Summaries[i].Clone()
	}
	o.lent, o.changed = lentUnsafely, false
	return b, true
}

// LentSafely notes that another engine has saved its copy of an open bucket.
func (e *Engine) LentSafely(series string, start int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.openBucket(series, start); o != nil && o.lent == lentUnsafely && !o.changed {
		o.lent = lentSafely
		e.o.Store.Lent(o.handle)
	}
}

// hasField reports whether the bucket has values of one of the fields.
func (b *Bucket) hasField(fields []string) bool {
	for i, name := range b.Fields {
		if b.Summaries[i].Count() > 0 && slices.Contains(fields, name) {
			return true
		}
	}
	return false
}
