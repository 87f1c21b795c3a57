package engine

import (
	"cmp"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Emit selects the rows that [Engine.Push] emits.
type Emit int

const (
	// EmitBoth emits the rows of buckets with new values as [record.Open], and the rows of buckets that become final
	// as [record.Final].
	EmitBoth Emit = iota
	// EmitFinal emits only the rows of buckets that become final, as [record.Unmarked].
	EmitFinal
	// EmitUpdate emits only the rows of buckets with new values, as [record.Unmarked].
	EmitUpdate
)

const (
	// lockedBuckets is about how many buckets a Push processes before it releases the lock for a moment. This takes a
	// few milliseconds.
	lockedBuckets = 64
	// committedRows is the number of rows that a Push collects before it commits the store and emits them. It bounds
	// the memory of a Push: about 100 bytes a row, and the encoded summaries, which committedBytes bounds. The rows of one more part of
	// lockedBuckets come on top.
	committedRows  = 16_384
	committedBytes = 4 << 20
	// committedFinals is the same for the buckets that became final, which the store keeps until the commit.
	committedFinals = 2048
)

// push is the scratch memory of Push. rows, values and bytes are empty at the start of each part of a Push: see [Engine.pushAll].
type push struct {
	rows   []pending
	values []float64   // the statistics of the rows, one row after another: as many each as are selected; NaN for none
	bytes  []byte      // the encoded summaries of the rows, one after another
	row    Row         // the one that yield gets
	lent   []lent      // the buckets that became final since the store was committed
	named  *ids.Series // the series of the row before, or nil
	prefix string      // the prefix of its table
	table  string      // the name of its table
}

// pending is a row that was collected but not yet emitted. Its statistics and its encoded summary are in push.
type pending struct {
	prefix     string       // of the table
	leaving    *ids.Series  // the series as rows have it; immutable, so that it may be read without the lock of the engine
	field      string       // its name in rows
	start, end int64        // of the bucket, in nanoseconds since 1970
	revision   int64        // of the bucket
	state      record.State // what the row is marked as
	summary    int          // the end of its encoded summary in push.bytes
}

// Row describes the values of one field of one bucket of one series.
type Row struct {
	record.Record
	End time.Time // of the bucket, exclusive
}

// Push calls yield for each row that Options.Emit selects, and makes due buckets final. A second Push without new
// values calls yield only for buckets that became due after the first.
//
// The row belongs to the engine and is valid until yield returns; its strings stay valid. If there is a store, Push
// commits it before it emits rows. If the commit fails, Push emits the rows nevertheless, because lost statistics are
// worse than a restart that loses values; it continues and returns the first error.
//
// Points may be added while Push runs, because it holds the lock of the engine only for some buckets at a time, and
// not while it calls yield. Concurrent calls of Push wait for each other.
func (e *Engine) Push(yield func(*Row)) error { return e.pushAll(yield, false) }

// Finish is the last Push of an engine. Without a store, it makes every bucket final. With a store, it is the same as
// Push, and the store keeps the open buckets.
func (e *Engine) Finish(yield func(*Row)) error {
	return e.pushAll(yield, e.o.Store == nil)
}

// pushAll is Push and, with all, makes every bucket final. It collects and emits rows in parts, which bounds its
// memory:
//
//	each part:  collectRows ────▶ commit ────▶ leave ──▶ the next part, until there is no other series; then retire
//	            some series at    the store,   yield of
//	            a time, with mu   without mu   each row
//
// Rows that leave again come first, in parts of their own. The time is the same in all parts. The index of the next series stays right
// between two parts: points only add series to the end of the table, and only retire removes some.
func (e *Engine) pushAll(yield func(*Row), all bool) (err error) {
	e.pushing.Lock()
	defer e.pushing.Unlock()
	now := e.o.Now()
	held := Counters{}
	again := e.collectAgain()
	committed := false // one commit for all final rows that leave again, as the store has them already
	for next := 0; next >= 0; {
		if len(again) > 0 {
			again = again[e.collectFinal(again):]
		} else {
			next, committed = e.collectRows(next, now, all, &held), false
		}
		if !committed {
			err, committed = cmp.Or(err, e.commit()), true
		}
		e.leave(yield)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retire()
	e.budget.relax()
	e.noticed.failed = false
	if e.counters.Forgotten > 0 {
		e.notify(Notice{Kind: SeriesForgotten})
	}
	c := &e.counters
	c.Series, c.Buckets, c.Exact, c.Histograms = int64(len(e.table.order)), held.Buckets, held.Exact, held.Histograms
	c.Memory = int64(e.budget.held + e.table.quiet.bytes)
	return err
}

// collectRows collects rows, beginning with the series at index next, until it has committedRows, committedBytes or
// committedFinals. It returns the index of the series to continue with, or −1 after the last series.
func (e *Engine) collectRows(next int, now time.Time, all bool, held *Counters) int {
	for len(e.push.rows) < committedRows && len(e.push.bytes) < committedBytes && len(e.push.lent) < committedFinals {
		if next = e.collectSome(next, now, all, held); next < 0 {
			break
		}
	}
	return next
}

// collectSome is collectRows for about lockedBuckets buckets. It acquires the lock. A series counts as one bucket more than it has, so that
// many series without buckets do not hold the lock for long.
func (e *Engine) collectSome(next int, now time.Time, all bool, held *Counters) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	for seen := 0; seen < lockedBuckets; next++ {
		if next >= len(e.table.order) {
			return -1
		}
		s := e.table.order[next]
		e.dropSpare(s)
		seen += 1 + len(s.open)
		e.collectSeries(s, now, all, held)
	}
	return next
}

// collectSeries settles the buckets of a series, collects the rows to emit, and removes the buckets that become
// final.
func (e *Engine) collectSeries(s *series, now time.Time, all bool, held *Counters) {
	final := 0
	for _, b := range s.open {
		changed := b.changed
		if changed {
			e.settle(b)
			b.changed, b.touched = false, now
		} else {
			e.quieten(b)
		}
		held.Buckets, held.Exact, held.Histograms = held.Buckets+1, held.Exact+int64(b.exact), held.Histograms+int64(b.histograms)
		// A bucket stays open while another engine has not saved what it borrowed from it: until then, this store keeps the fields.
		unsafely := b.loans != nil && b.hasUnsafe()
		if b.final = all || e.isDue(b, now) && !unsafely; b.final {
			final++
		}
		switch {
		case b.final && e.o.Emit != EmitUpdate:
			e.collectBucket(s, b, e.finalState())
		case changed && e.o.Emit == EmitBoth:
			e.collectBucket(s, b, record.Open)
		case changed && e.o.Emit == EmitUpdate:
			e.collectBucket(s, b, record.Unmarked)
		}
		switch {
		case b.final:
			e.finish(s, b)
		case e.o.Store != nil && !unsafely && e.o.Store.Old(b.handle):
			e.snapshot(s, b)
		}
	}
	if final > 0 {
		s.remove(func(b *open) bool { return b.final })
		e.compact(s)
	}
}

// finalState returns the state of a final row.
func (e *Engine) finalState() record.State {
	if e.o.Emit == EmitBoth {
		return record.Final
	}
	return record.Unmarked
}

// collectBucket collects a row for each field that has values in the bucket and is not lent.
func (e *Engine) collectBucket(s *series, b *open, state record.State) {
	for i := range b.fields {
		if b.loans != nil && b.lentAs(i) != nil {
			continue
		}
		e.collectRow(pending{
			prefix: e.o.Prefix, leaving: s.inRows(), field: s.schema.names[i], start: b.start, end: b.end, revision: b.revision, state: state,
		}, &b.fields[i])
	}
}

// collectRow appends the statistics and the encoded summary of a row to the scratch memory. It skips an empty
// summary, because the bucket has no values of the field.
func (e *Engine) collectRow(r pending, summary *stats.Summary) {
	if summary.Count() == 0 {
		return
	}
	p := &e.push
	p.values = e.o.Selection.Append(p.values, summary)
	if e.o.Encode != nil {
		p.bytes = e.o.Encode(p.bytes, summary)
	}
	r.summary = len(p.bytes)
	p.rows = append(p.rows, r)
}

// commit commits the store, if there is one. The lock is not held.
func (e *Engine) commit() error {
	if e.o.Store == nil {
		return nil
	}
	defer e.release()
	return e.o.Store.Commit()
}

// leave calls yield for each collected row. The lock is not held.
func (e *Engine) leave(yield func(*Row)) {
	p := &e.push
	values, summary := p.values, 0
	width := len(e.o.Selection.Statistics())
	for i := range p.rows {
		r := &p.rows[i]
		e.fill(r, values[:width], p.bytes[summary:r.summary])
		values, summary = values[width:], r.summary
		yield(&p.row)
	}
	p.rows, p.values, p.bytes = p.rows[:0], p.values[:0], p.bytes[:0]
}

// fill fills the scratch row with a collected row. It omits the statistics that the summary does not have. A summary
// never loses a statistic, so a later row of a bucket has at least the statistics of an earlier one.
func (e *Engine) fill(r *pending, values []float64, summary []byte) {
	row := &e.push.row
	*row = Row{
		Record: record.Record{
			Table: e.tableOf(r), Field: r.field, Tags: r.leaving.Tags, Start: time.Unix(0, r.start).UTC(),
			State: r.state, Stats: row.Stats[:0], Summary: summary,
		},
		End: time.Unix(0, r.end).UTC(),
	}
	// An update has no revision, because it must replace the row before it and so needs the same time.
	if e.o.Store != nil && e.o.Emit != EmitUpdate {
		row.HasRevision, row.Revision = true, r.revision
	}
	row.Stats = e.shape.Append(row.Stats, values)
}

// tableOf returns the name of the table of a row. Most rows have the series of the row before: with a new name for each row,
// BenchmarkPush/data=cpu/limit=64 took 760 ns a field instead of 680.
func (e *Engine) tableOf(r *pending) string {
	if p := &e.push; r.leaving != p.named || r.prefix != p.prefix {
		p.named, p.prefix, p.table = r.leaving, r.prefix, r.prefix+r.leaving.Measurement
	}
	return e.push.table
}

// collectAgain returns the final buckets whose rows must be emitted again, and removes them from the engine.
func (e *Engine) collectAgain() []again {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.again
	e.again = nil
	return all
}

// collectFinal is collectRows for final buckets. It returns how many buckets it has collected.
func (e *Engine) collectFinal(all []again) (n int) {
	for n < len(all) && len(e.push.rows) < committedRows && len(e.push.bytes) < committedBytes {
		b := &all[n]
		n++
		s, err := ids.ParseKey(b.Series)
		if err != nil {
			e.failState(err)
			continue
		}
		for i := range b.Summaries {
			r := pending{prefix: b.prefix, leaving: &s, field: b.Fields[i], start: b.Start, end: b.End, revision: b.Revision, state: e.finalState()}
			e.collectRow(r, &b.Summaries[i])
		}
	}
	return n
}

// failState counts a failure of the store and sends a notice. It acquires the lock.
func (e *Engine) failState(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counters.StateErrors++
	e.notify(Notice{Kind: StateFailed, Err: err})
}
