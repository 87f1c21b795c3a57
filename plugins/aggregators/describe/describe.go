// Package describe is a Telegraf aggregator that says what metrics look like: for every numeric field
// of every series and bucket of event time it emits count, min, max, mean, median, mode, percentiles
// and more.
package describe

import (
	_ "embed"
	"slices"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/filter"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/selfstat"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

//go:embed sample.conf
var sampleConfig string

// Describe is the aggregator. Its options are those of sample.conf; Init checks them and must succeed
// before anything else is called. As Telegraf promises, Add, Push and Reset never overlap, so there is
// no lock.
type Describe struct {
	Bucket         string           `toml:"bucket"`
	Origin         string           `toml:"origin"`
	Stats          []string         `toml:"stats"`
	QuantileMethod string           `toml:"quantile_method"`
	GroupBy        []string         `toml:"group_by"`
	Booleans       string           `toml:"booleans"`
	Prefix         string           `toml:"prefix"`
	BucketTag      string           `toml:"bucket_tag"`
	Timestamp      string           `toml:"timestamp"`
	Emit           string           `toml:"emit"`
	Linger         *config.Duration `toml:"linger"`
	MaxFuture      config.Duration  `toml:"max_future"`
	MaxSeries      int              `toml:"max_series"`
	Accuracy       string           `toml:"accuracy"`
	ExactLimit     int              `toml:"exact_limit"`
	MemoryLimit    config.Size      `toml:"memory_limit"`
	EmitSummary    string           `toml:"emit_summary"`

	// Telegraf's own settings of an aggregator, which it decodes into the plugin too.
	Period       config.Duration  `toml:"period"`
	Grace        *config.Duration `toml:"grace"`
	Delay        *config.Duration `toml:"delay"`
	DropOriginal bool             `toml:"drop_original"`

	Log        telegraf.Logger     `toml:"-"`
	Statistics *selfstat.Collector `toml:"-"`

	now       func() time.Time
	grid      bucket.Grid
	linger    time.Duration
	selection *stats.Selection
	names     []string // of the selected statistics, as fields
	grouping  grouping
	table     seriesTable
	counters  counters
	once      warnings

	limit  int  // exact limit of the summaries
	timed  bool // whether a statistic needs the times of the values
	budget budget

	previous *series // of the last metric, or nil

	key     []byte    // scratch of Add: the key of the metric's series
	row     []float64 // scratch of Add: the metric's values by position, NaN where it has none
	samples []sample  // scratch of Add: the values that are not in the row
	sparse  bool      // scratch of Add: whether there is no row
	stats   []float64 // scratch of Push: the statistics of a summary
	bytes   []byte    // scratch of Push: an encoded summary
}

// grouping says which tags make a series.
type grouping struct {
	all, none bool
	keep      filter.Filter   // nil keeps none
	known     map[string]bool // what keep says of tags that came
}

// sparseFields is how many times as many fields as a metric a series has whose metrics are not staged as rows: these
// would be empty mostly.
const sparseFields = 4

// sample is one numeric value of a metric.
type sample struct {
	position int // of its field in the schema of the series
	value    float64
}

// SampleConfig returns the documented options.
func (*Describe) SampleConfig() string { return sampleConfig }

// Add takes the metric's numeric values into its bucket. It keeps nothing of the metric. A value that it
// has to drop is counted.
func (d *Describe) Add(m telegraf.Metric) {
	t, ok := bucket.Nano(m.Time())
	start, inRange := d.grid.Start(t)
	if !ok || !inRange {
		d.drop(m, d.counters.outOfRange)
		return
	}
	if d.MaxFuture > 0 && m.Time().After(d.now().Add(time.Duration(d.MaxFuture))) {
		d.drop(m, d.counters.future)
		return
	}
	s := d.seriesOf(m)
	if s == nil {
		return
	}
	n := d.read(s, m)
	if n == 0 {
		return
	}
	b := s.window.Open(start, d.grid.End(start))
	if b == nil {
		d.counters.late.Incr(int64(n))
		return
	}
	if !d.sparse {
		d.collect(s, &b.State, t)
	}
	d.addSamples(s, &b.State, t)
	if d.budget.exceeded() {
		d.demote()
	}
}

// drop counts the metric's values as dropped for a reason.
func (d *Describe) drop(m telegraf.Metric, reason selfstat.Stat) {
	var n int64
	for _, f := range m.FieldList() {
		switch v, ok := d.number(f.Value); {
		case !ok:
		case v-v != 0:
			d.counters.nan.Incr(1)
		default:
			n++
		}
	}
	reason.Incr(n)
}

// read takes the metric's values, by the schema of the series, which it extends where it has to, into d.row or,
// where they are few beside the fields of the series, into d.samples. It returns how many there are.
func (d *Describe) read(s *series, m telegraf.Metric) int {
	fields, width := m.FieldList(), len(s.schema.names)
	d.samples = d.samples[:0]
	if d.sparse = sparseFields*len(fields) < width; !d.sparse {
		d.row = slices.Grow(d.row[:0], width)[:width]
		if len(fields) == width && len(s.schema.known) == width && readSame(d.row, s.schema.known, fields) {
			return width
		}
		d.clear()
	}
	n, next := 0, 0
	for _, f := range fields {
		v, ok := d.number(f.Value)
		switch {
		case !ok:
			continue
		case v-v != 0: // NaN or infinite
			d.counters.nan.Incr(1)
			continue
		}
		if next >= len(s.schema.known) || s.schema.known[next].name != f.Key {
			if next = s.schema.find(f.Key); next < 0 {
				d.extend(s, m)
				next = s.schema.find(f.Key)
			}
		}
		d.set(s.schema.known[next].position, v)
		next++
		n++
	}
	return n
}

// readSame fills the row where all fields are floats and come in the order of the schema, as most metrics of a
// series do; otherwise it returns false.
func readSame(row []float64, known []known, fields []*telegraf.Field) bool {
	for i, f := range fields {
		v, ok := f.Value.(float64)
		if !ok || v-v != 0 || f.Key != known[i].name {
			return false
		}
		row[i] = v
	}
	return true
}

// clear makes d.row a row without values.
func (d *Describe) clear() {
	for i := range d.row {
		d.row[i] = missing
	}
}

// set puts a value into d.row, or into d.samples where there is one already, as of two fields whose names arrive
// alike, or no row.
func (d *Describe) set(position int, v float64) {
	if !d.sparse {
		if row := d.row[position]; row != row {
			d.row[position] = v
			return
		}
	}
	d.samples = append(d.samples, sample{position, v})
}

// extend makes the series know every numeric field of the metric.
func (d *Describe) extend(s *series, m telegraf.Metric) {
	var names []string
	for _, f := range m.FieldList() {
		if v, ok := d.number(f.Value); ok && v-v == 0 && s.schema.find(f.Key) < 0 {
			names = append(names, f.Key)
		}
	}
	s.schema = d.table.schemas.extend(s.schema, names)
	for !d.sparse && len(d.row) < len(s.schema.names) {
		d.row = append(d.row, missing)
	}
}

// number returns the value as a float64, or false where it is none.
func (d *Describe) number(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case bool:
		if d.Booleans == "ignore" {
			return 0, false
		}
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// Push emits every bucket that changed since the last Push, whole, and closes those that are due.
// Pushing again without new values emits nothing.
func (d *Describe) Push(acc telegraf.Accumulator) {
	begin, now := time.Now(), d.now()
	acc.SetPrecision(time.Nanosecond)
	for _, s := range d.table.order {
		for _, b := range s.window.Buckets() {
			if b.State.changed {
				d.settle(&b.State)
				d.emit(acc, s, b)
				b.State.changed = false
				b.Touched = now
			} else {
				b.State.stage.rows, b.State.stage.times = nil, nil // it went quiet
			}
			d.budget.hold(&b.State)
		}
		d.close(s, now)
	}
	d.table.retire()
	d.budget.relax()
	d.warnForgotten()
	d.counters.observe(d)
	d.counters.pushTime.Set(time.Since(begin).Nanoseconds())
}

// Reset does nothing: open buckets outlive a period.
func (*Describe) Reset() {}

func newDescribe() *Describe {
	return &Describe{
		Origin:         "0001-01-01T00:00:00Z",
		QuantileMethod: "linear",
		GroupBy:        []string{"*"},
		Booleans:       "number",
		Prefix:         "analytics_",
		Timestamp:      "start",
		Emit:           "update",
		Accuracy:       "auto",
		ExactLimit:     stats.DefaultExactLimit,
		MemoryLimit:    1 << 30,
		EmitSummary:    "off",
		Period:         defaultPeriod,
		now:            time.Now,
	}
}

func init() {
	aggregators.Add("describe", func() telegraf.Aggregator { return newDescribe() })
}
