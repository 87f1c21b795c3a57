// Package describe is a Telegraf aggregator that says what metrics look like: for every numeric field
// of every series and bucket of event time it emits count, min, max, mean, median, mode, percentiles
// and more.
package describe

import (
	_ "embed"
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

	key    []byte   // scratch of Add: the key of the metric's series
	values []sample // scratch of Add: the metric's values
	row    []float64
}

// grouping says which tags make a series.
type grouping struct {
	all  bool
	keep filter.Filter // nil keeps none
}

// sample is one numeric value of a metric.
type sample struct {
	field string
	hint  int // the position of the field in the metric
	value float64
}

// SampleConfig returns the documented options.
func (*Describe) SampleConfig() string { return sampleConfig }

// Add takes the metric's numeric values into the summaries of their bucket. It keeps nothing of the
// metric. A value that it has to drop is counted.
func (d *Describe) Add(m telegraf.Metric) {
	d.read(m)
	if len(d.values) == 0 {
		return
	}
	n := int64(len(d.values))
	t, ok := bucket.Nano(m.Time())
	if !ok {
		d.counters.outOfRange.Incr(n)
		return
	}
	start, ok := d.grid.Start(t)
	if !ok {
		d.counters.outOfRange.Incr(n)
		return
	}
	if d.MaxFuture > 0 && m.Time().After(d.now().Add(time.Duration(d.MaxFuture))) {
		d.counters.future.Incr(n)
		return
	}
	s := d.seriesOf(m)
	if s == nil {
		d.counters.seriesDropped.Incr(1)
		return
	}
	b := s.window.Open(start, d.grid.End(start))
	if b == nil {
		d.counters.late.Incr(n)
		return
	}
	b.State.add(s, d.values, t)
}

// read fills d.values with the metric's values.
func (d *Describe) read(m telegraf.Metric) {
	d.values = d.values[:0]
	for i, f := range m.FieldList() {
		v, ok := d.number(f.Value)
		switch {
		case !ok:
		case v-v != 0: // NaN or infinite
			d.counters.nan.Incr(1)
		default:
			d.values = append(d.values, sample{field: f.Key, hint: i, value: v})
		}
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
			if !b.State.changed {
				continue
			}
			d.emit(acc, s, b)
			b.State.changed = false
			b.Touched = now
		}
		if open := len(s.window.Buckets()); open > 0 {
			if s.window.Close(now, d.linger); len(s.window.Buckets()) < open {
				s.compact()
			}
		}
	}
	d.table.retire()
	d.warnForgotten()
	d.counters.observe(&d.table)
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
		Period:         defaultPeriod,
		now:            time.Now,
	}
}

func init() {
	aggregators.Add("describe", func() telegraf.Aggregator { return newDescribe() })
}
