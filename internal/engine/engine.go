// Package engine computes statistics of a stream: [Engine.Add] takes points, and [Engine.Push] returns rows of
// statistics. It is the core of the aggregator and of the command. It does not import Telegraf.
//
// A point belongs to one series and to one bucket of event time. The bucket of a series has this life:
//
//	            first value             no value for linger, and it
//	                                    has ended or not begun yet
//	(unknown) ──────────────▶ open ──────────────────────────────▶ final
//	                          │  ▲ ▲                                 │
//	  each Push after values: └──┘ │           late value            │
//	  its rows leave               ├─────────────────────────────────┤
//	                               │ with a store: it opens again    │ without a store: the
//	                               │ with all it had, for a revision ▼ value is dropped and counted
//
// A point passes through these files:
//
//	Add ──▶ table.go   finds the series of the point
//	        schema.go  gives each field of the series a position
//	        life.go    finds or opens the bucket
//	        stage.go   collects some rows, then adds them to the summaries (package stats)
//	        budget.go  makes histograms of the largest summaries if all of them take too much memory
//	Push ─▶ push.go    collects the rows, commits the store, and lets the rows leave
//	        store.go   defines the [Store] that keeps buckets over a restart, and restores them
//	        lend.go    gives fields of a bucket to the engine of another block, if their values come there now
package engine

import (
	"math"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/handles"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Field is one value of a point, as a number: the caller converts integers and booleans.
type Field struct {
	Name  string
	Value float64
}

// Tag is one tag of a point.
type Tag = ids.Tag

// Point holds the values of one series at one time.
//
// The engine keeps no part of a point, so the caller may reuse the memory of its strings and slices after Add
// returns. Tags may be in any order; no two have the same key. Values that are NaN or infinite are dropped and
// counted.
type Point struct {
	Measurement string
	Tags        []Tag
	Fields      []Field
	Time        int64 // nanoseconds since 1970
}

// Options configure an engine. They do not change after [New], which does not check them.
type Options struct {
	Grid      bucket.Grid      // divides event time
	Selection *stats.Selection // the statistics of a record
	Prefix    string           // the name of a table is the prefix and the measurement
	// Keep reports whether a tag key is part of the identity of a series; nil keeps all tags. The engine caches its
	// results, so the result for a key must not change.
	Keep func(key string) bool
	// Taken reports whether rows use a tag key for another purpose, in addition to the keys of [record.Reserved]; nil
	// means no other keys. The tags of a series with such a key are renamed.
	Taken func(key string) bool
	// Linger is how long a bucket stays open after its last value.
	Linger time.Duration
	// MaxFuture is how far ahead of the clock the time of a value may be. Values further ahead are dropped and
	// counted. 0 means no limit.
	MaxFuture time.Duration
	// MaxSeries is the largest number of series in the table at a time; 0 means no limit.
	MaxSeries int
	// ExactLimit is the exact limit of the summaries: see [stats.New].
	ExactLimit int
	// MemoryLimit is the number of bytes of the open buckets above which the largest exact summaries become
	// histograms. It is above zero.
	MemoryLimit int
	// Encode appends the encoding of a summary to dst, for [record.Record.Summary]; nil leaves it empty.
	Encode func(dst []byte, s *stats.Summary) []byte
	// Emit selects the rows that Push returns.
	Emit Emit
	// Store keeps the buckets across restarts; nil keeps them in memory only.
	Store Store
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Notice receives messages for the operator; nil drops them. The engine calls it with its lock held, so Notice
	// must not call the engine.
	Notice func(Notice)
}

// Engine collects points in buckets and computes the statistics of each bucket. Its methods may be called
// concurrently.
//
// pushing is locked before mu, never the other way round. Push holds pushing all the time and mu for some buckets at a time, so that Add
// waits for milliseconds only. Between two of these times, points may be added, and with them buckets and series.
// Store.Commit and the yield of Push are called without mu.
//
// The values of the point that is added are in scratch memory from read to the end of its Add. They are all in samples if sparse is set.
// Otherwise they are in row, which has one place for each field of the schema of the series; samples then only has values of fields
// that share their place with another field of the point.
type Engine struct {
	o     Options
	timed bool         // whether a statistic needs the times of the values
	shape record.Shape // of the statistics in rows

	pushing sync.Mutex // serializes Push
	push    push       // scratch of Push, guarded by pushing

	mu       sync.Mutex // guards all fields below
	table    table
	budget   budget
	counters Counters
	noticed  notices
	span     span                   // the bucket of the last point
	previous *series                // the series of the last point, or nil
	handles  *handles.Table[opened] // the open buckets of a replay; nil except during one
	again    []again                // final buckets whose rows the next Push emits again
	held     []string               // while Adopt is running: the fields of its bucket that other engines have open
	sharing  bool                   // whether Share was called

	key     []byte    // scratch of Add: the key of the point's series
	row     []float64 // scratch of Add: the point's values by position; NaN for a field that the point does not have
	samples []sample  // scratch of Add: the values of the point that are not in row
	tags    []Tag     // scratch of Add: the kept tags of the point
	demoted []int     // scratch of Add and Push: the positions of the summaries that the last stage made histograms
	sparse  bool      // scratch of Add: whether all values of the point are in samples
}

// New returns an engine without buckets.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{o: o, shape: record.ShapeOf(o.Selection)}
	for _, s := range o.Selection.Statistics() {
		e.timed = e.timed || s.Kind() == stats.First || s.Kind() == stats.Last
	}
	e.table.init()
	e.budget.init(o.MemoryLimit)
	return e
}

// span is the bucket [start, end) of the grid, in nanoseconds since 1970. The zero span contains no time.
type span struct{ start, end int64 }

// sparseFields limits the share of empty places in staged rows. If a series has more than sparseFields times as many
// fields as a point, the point is not staged as a row, because most of the row would be empty.
const sparseFields = 4

// sample is one value of a point that is not part of a row.
type sample struct {
	position int // of its field in the schema of the series
	value    float64
}

// Add adds the point's values to their bucket, or drops and counts them: see [Counters]. It keeps no part of p. It waits while a
// Push holds the lock, which takes a few milliseconds at a time.
func (e *Engine) Add(p *Point) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// Most points are in the bucket of the point before, so the grid computes no bounds for them, which takes up to 64 ns (BenchmarkGrid of
	// package bucket). A point of BenchmarkAdd/series=100/data=cpu/limit=64 takes 260 ns.
	if p.Time < e.span.start || p.Time >= e.span.end {
		start, end, ok := e.o.Grid.Bounds(p.Time)
		if !ok {
			e.drop(p, &e.counters.OutOfRange)
			return
		}
		e.span = span{start, end}
	}
	if e.o.MaxFuture > 0 && time.Unix(0, p.Time).Sub(e.o.Now()) > e.o.MaxFuture {
		e.drop(p, &e.counters.Future)
		return
	}
	s := e.seriesOf(p)
	if s == nil {
		return
	}
	// The values are read before the bucket is opened, because open looks in the store for their fields. If the bucket in the store has
	// fields that the series does not have, open extends the schema and the row.
	n := e.read(s, p)
	if n == 0 {
		return
	}
	b := e.open(s, e.span)
	if b == nil || b.looked != s.schema && !e.claim(s, b) {
		e.counters.Late += int64(n)
		return
	}
	if !e.sparse {
		e.collect(s, b, p.Time)
	}
	e.addSamples(s, b, p.Time)
	if e.budget.exceeded() {
		e.demote()
	}
}

// DropOutOfRange counts the values of a point whose time int64 nanoseconds cannot hold. It does not read Time, and keeps no part of p.
func (e *Engine) DropOutOfRange(p *Point) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drop(p, &e.counters.OutOfRange)
}

// drop adds the number of the point's values to the counter of a reason. Those that are NaN or infinite count as NaN, whatever the
// reason is.
func (e *Engine) drop(p *Point, reason *int64) {
	for _, f := range p.Fields {
		if isNumber(f.Value) {
			*reason++
		} else {
			e.counters.NaN++
		}
	}
}

// isNumber reports whether v is neither NaN nor infinite. For those, v-v is NaN.
func isNumber(v float64) bool { return v-v == 0 }

// read copies the values of the point to their positions in e.row, or to e.samples if the series has many more fields.
// It extends the schema of the series by new fields, and returns the number of values.
func (e *Engine) read(s *series, p *Point) int {
	width := len(s.schema.names)
	e.samples = e.samples[:0]
	if e.sparse = sparseFields*len(p.Fields) < width; !e.sparse {
		if cap(e.row) < width {
			e.row = make([]float64, width, 2*width)
		}
		e.row = e.row[:width]
		// With as many known names as positions, no two names share a position: the index of a name in known is its position.
		if len(p.Fields) == width && len(s.schema.known) == width && readSame(e.row, s.schema.known, p.Fields) {
			return width
		}
		for i := range e.row {
			e.row[i] = missing
		}
	}
	return e.readAny(s, p)
}

// readSame fills the row if the fields are those of the schema in the same order, as in most points of a series.
// Otherwise it returns false, and the row is undefined. With readAny alone, BenchmarkAdd/series=100/data=cpu/limit=64 took 275 ns instead of
// 254, and with a search for each field 390.
func readSame(row []float64, known []known, fields []Field) bool {
	for i := range fields {
		f := &fields[i]
		if !isNumber(f.Value) || f.Name != known[i].name {
			return false
		}
		row[i] = f.Value
	}
	return true
}

// readAny is read for fields in any order. For each field, it first tries the position after the previous one,
// because most points have the order of the schema and lack some fields.
func (e *Engine) readAny(s *series, p *Point) (n int) {
	next := 0
	for i := range p.Fields {
		f := &p.Fields[i]
		if !isNumber(f.Value) {
			e.counters.NaN++
			continue
		}
		if next >= len(s.schema.known) || s.schema.known[next].name != f.Name {
			if next = s.schema.find(f.Name); next < 0 {
				e.extend(s, p)
				next = s.schema.find(f.Name)
			}
		}
		e.set(s.schema.known[next].position, f.Value)
		next++
		n++
	}
	return n
}

// set stores a value in e.row. If there is no row, or if the place has a value already, it appends the value to
// e.samples. A place has a value already if two fields of the point have the same name in rows.
func (e *Engine) set(position int, v float64) {
	if !e.sparse && math.IsNaN(e.row[position]) {
		e.row[position] = v
		return
	}
	e.samples = append(e.samples, sample{position, v})
}

// extend adds to the schema of the series every field of the point that has a number as its value. All are added at once, so that a
// point with many new fields makes one schema and not one for each field.
func (e *Engine) extend(s *series, p *Point) {
	var names []string
	for i := range p.Fields {
		if f := &p.Fields[i]; isNumber(f.Value) && s.schema.find(f.Name) < 0 {
			names = append(names, f.Name)
		}
	}
	s.schema = e.table.schemas.extend(s.schema, names)
	e.widen(s)
}

// widen extends e.row, if there is a row, to the width of the schema of the series.
func (e *Engine) widen(s *series) {
	for !e.sparse && len(e.row) < len(s.schema.names) {
		e.row = append(e.row, missing)
	}
}

// missing marks the place of a field that a point does not have. NaN is free for this, because NaN values are
// dropped.
var missing = math.NaN()
