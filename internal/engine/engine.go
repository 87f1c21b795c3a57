// Package engine describes a stream: points go in with [Engine.Add], rows of statistics come out of [Engine.Push]. It
// is the core of the aggregator and of the command, and imports nothing of Telegraf.
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
//	        store.go   is what a [Store] must do so that a restart loses nothing
package engine

import (
	"math"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Field is one numeric value of a point.
type Field struct {
	Name  string
	Value float64
}

// Tag is one tag of a point.
type Tag = ids.Tag

// Point holds the values of one series at one time.
//
// The engine keeps no part of a point, so the caller may reuse the memory of its strings and slices after Add returns.
// Tags are in any order and have different keys. Values that are NaN or infinite are dropped and counted.
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
	// Keep selects the tags that identify a series; nil keeps all. Its answer for a key must not change, because the
	// engine remembers answers.
	Keep func(key string) bool
	// Taken reports tag keys that a row needs for itself, in addition to [record.Reserved]; nil reports none. Tags of
	// a series with such a key are renamed.
	Taken func(key string) bool
	// Linger is how long a bucket must get no value before it becomes final.
	Linger time.Duration
	// MaxFuture is how far ahead of the clock a value may be. Others are dropped and counted; 0 drops none.
	MaxFuture time.Duration
	// MaxSeries is how many series there may be at a time; 0 is no limit.
	MaxSeries int
	// ExactLimit is the exact limit of the summaries, see [stats.New].
	ExactLimit int
	// MemoryLimit is how many bytes the open buckets may hold. Beyond it the largest exact summaries become histograms.
	MemoryLimit int
	// Encode appends the encoding of a summary to dst, for [record.Record.Summary]; nil leaves it empty.
	Encode func(dst []byte, s *stats.Summary) []byte
	// Emit selects the rows that leave.
	Emit Emit
	// Store keeps the buckets across restarts; nil keeps them in memory only.
	Store Store
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Notice receives what an operator should read; nil drops it. It is called with the lock of the engine held and
	// must not call the engine.
	Notice func(Notice)
}

// Engine collects points in buckets and describes each bucket. Its methods may be called concurrently.
type Engine struct {
	o      Options
	timed  bool     // whether a statistic needs the times of the values
	names  []string // of the selected statistics, as fields
	counts []bool   // which of them are counts, so integers

	pushing sync.Mutex // serializes Push
	push    push       // scratch of Push, guarded by pushing

	mu       sync.Mutex // guards all fields below
	table    table
	budget   budget
	counters Counters
	noticed  notices
	span     span              // the bucket of the last point
	previous *series           // the series of the last point, or nil
	handles  map[uint64]opened // the open buckets of a replay; nil except during one
	again    []again           // final buckets whose rows leave with the next Push

	key     []byte    // scratch of Add: the key of the point's series
	row     []float64 // scratch of Add: the point's values by position, NaN where it has none
	samples []sample  // scratch of Add: the values that are not in the row
	tags    []Tag     // scratch of Add: the kept tags of the point
	sparse  bool      // scratch of Add: whether all values are in samples
}

// New returns an engine without buckets.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &Engine{o: o}
	for _, s := range o.Selection.Statistics() {
		e.names = append(e.names, record.StatName(s))
		e.counts = append(e.counts, s.Kind() == stats.Count)
		e.timed = e.timed || s.Kind() == stats.First || s.Kind() == stats.Last
	}
	e.push.tables = make(map[string]string)
	e.table.init()
	e.budget.init(o.MemoryLimit)
	return e
}

// span is the bucket [start, end) of the grid.
type span struct{ start, end int64 }

// sparseFields bounds the rows of a stage: a point of a series that has more than sparseFields times as many fields is
// not staged as a row, which would be mostly empty.
const sparseFields = 4

// sample is one value of a point that is not part of a row.
type sample struct {
	position int // of its field in the schema of the series
	value    float64
}

// Add adds the point's values to their bucket, or drops and counts them, see [Counters].
func (e *Engine) Add(p *Point) {
	e.mu.Lock()
	defer e.mu.Unlock()
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
	n := e.read(s, p)
	if n == 0 {
		return
	}
	b := e.open(s, e.span)
	if b == nil {
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

// drop counts the point's values as dropped for a reason.
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
// Otherwise it returns false, and the row is undefined.
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

// readAny is read for fields in any order. It first looks for a field after the previous one: mostly the order is that
// of the schema, and some fields are missing.
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

// set puts a value into e.row. It goes to e.samples if there is no row, or if its place is taken: the names of two
// fields of the point may be one name in rows.
func (e *Engine) set(position int, v float64) {
	if !e.sparse && math.IsNaN(e.row[position]) {
		e.row[position] = v
		return
	}
	e.samples = append(e.samples, sample{position, v})
}

// extend adds every numeric field of the point to the schema of the series.
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

// missing takes the place of a field that a point does not have. No value is NaN.
var missing = math.NaN()
