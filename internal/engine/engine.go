// Package engine describes a stream: points go in with [Engine.Add], records of finished statistics come out of
// [Engine.Push]. It is the heart of the aggregator and of the command, and imports nothing of Telegraf.
//
// A point belongs to one series and one bucket of event time. The bucket of a series lives as follows:
//
//	             first value              no value for linger,
//	                                      and its end has come
//	(unknown) ───────────────▶ open ───────────────────────────▶ final ──▶ a late value …
//	                           │  ▲                                │
//	         Push: changed     │  │ values                         ├─ without a store: is dropped and counted
//	         rows leave as     ▼  │                                └─ with a store: opens the bucket again, with all
//	         open rows        (emitted)                               that it had; its next final row is a revision
//
// Values wait in a stage of a few rows (stage.go) before the summaries take them (package stats). A series whose
// buckets are all final is retired (life.go). A budget bounds the memory of the summaries (budget.go). A [Store], where
// there is one, has everything that is needed to go on after a crash before a row leaves (push.go).
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

// Point is what was measured at one time: a measurement, its tags and its numeric fields.
//
// The engine keeps no part of a point, so the caller may use the memory of its texts and slices for the next one.
// Tags are in any order, but each key is there once. NaN and infinite values are dropped and counted.
type Point struct {
	Measurement string
	Tags        []Tag
	Fields      []Field
	Time        int64 // nanoseconds since 1970
}

// Options of an engine. They do not change after [New].
type Options struct {
	Grid      bucket.Grid      // divides event time
	Selection *stats.Selection // the statistics of a record
	Prefix    string           // goes before the measurement in the name of a table
	// Keep selects the tags that make a series; nil keeps all. The engine remembers its answers for some tags.
	Keep func(key string) bool
	// Taken reports further tag keys that a row uses otherwise, beside [record.Reserved]; nil reports none.
	Taken func(key string) bool
	// Linger is how long a bucket gets no value before it is final.
	Linger time.Duration
	// MaxFuture drops values that are further ahead of the clock; 0 drops none.
	MaxFuture time.Duration
	// MaxSeries is how many series may have open buckets; 0 is no limit.
	MaxSeries int
	// ExactLimit is the exact limit of the summaries, see [stats.New].
	ExactLimit int
	// MemoryLimit is how many bytes summaries may hold before the largest become histograms.
	MemoryLimit int
	// Encode adds the encoded summary to a record; nil adds none. It appends to dst.
	Encode func(dst []byte, s *stats.Summary) []byte
	// Emit says which rows leave.
	Emit Emit
	// Store keeps the buckets over restarts; nil keeps them in memory only.
	Store Store
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Notice receives what an operator should read once, as sentences; nil drops it. It is called with the
	// engine's lock held and must not call the engine.
	Notice func(Notice)
}

// Engine collects points into buckets. Its methods may be called concurrently.
type Engine struct {
	o      Options
	timed  bool     // whether a statistic needs the times of the values
	names  []string // of the selected statistics, as fields
	counts []bool   // which of them are counts, so integers

	pushing sync.Mutex // serializes Push
	push    push       // what a Push works with, guarded by pushing

	mu       sync.Mutex // guards all below
	table    table
	budget   budget
	counters Counters
	noticed  notices
	span     span              // the bucket of the point before
	previous *series           // of the point before, or nil
	handles  map[uint64]opened // of the buckets that a store has handed back and replays, nil otherwise
	again    []Bucket          // final buckets whose rows leave again, after an unclean end

	key     []byte    // scratch of Add: the key of the point's series
	row     []float64 // scratch of Add: the point's values by position, NaN where it has none
	samples []sample  // scratch of Add: the values that are not in the row
	tags    []Tag     // scratch of Add: the tags that make the series
	sparse  bool      // scratch of Add: whether there is no row
}

// New returns an engine. The options are the caller's to check.
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

// sparseFields is how many times as many fields as a point a series has whose points are not staged as rows: these
// would be empty mostly.
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
		start, ok := e.o.Grid.Start(p.Time)
		if !ok {
			e.drop(p, &e.counters.OutOfRange)
			return
		}
		e.span = span{start, e.o.Grid.End(start)}
	}
	if e.o.MaxFuture > 0 && p.Time-e.o.Now().UnixNano() > int64(e.o.MaxFuture) {
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

// isNumber reports whether v is neither NaN nor infinite.
func isNumber(v float64) bool { return v-v == 0 }

// read brings the point's values, by the schema of the series, which it extends where it has to, into e.row or,
// where they are few beside the fields of the series, into e.samples. It returns how many there are.
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

// readSame fills the row where all fields come in the order of the schema, as most points of a series do; otherwise
// it returns false.
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

// readAny is read for fields in any order. Fields mostly come in the order of the schema, with some missing, so
// the one after the last is looked at first.
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

// set puts a value into e.row, or into e.samples where there is one already, as of two fields whose names leave
// alike, or no row.
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

// widen gives e.row, where there is one, the width of the schema of the series after that grew.
func (e *Engine) widen(s *series) {
	for !e.sparse && len(e.row) < len(s.schema.names) {
		e.row = append(e.row, missing)
	}
}

// missing marks in a row that the point has no value of the field: no value is NaN.
var missing = math.NaN()
