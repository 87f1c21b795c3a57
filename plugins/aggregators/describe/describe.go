// Package describe is a Telegraf aggregator that describes metrics: for every numeric field of every series and
// bucket of event time it emits count, min, max, mean, median, mode, percentiles and more.
//
// It is an adapter: it translates its options to those of an engine, metrics to points, and rows to metrics. Package
// engine does the work.
//
//	telegraf.Metric ─ Add, metric.go ─▶ engine.Point ─▶ engine ─▶ engine.Row ─ rows.go, row.go ─▶ telegraf.Metric
//	                                                   │    ▲
//	                       open, closed and late buckets ▼    │ restart, late values
//	                                             state.Store, with the option state: state.go, inherit.go
//
// The other files: options.go checks the options, host.go has what only a program around the plugin knows, unhosted.go
// replaces that on a stock Telegraf, gates.go and warnings.go have what is logged, counters.go what is counted, and
// statefile.go the state in Telegraf's own file.
package describe

import (
	_ "embed"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/selfstat"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

//go:embed sample.conf
var sampleConfig string

// The life of a block. The calls in brackets are those of a host, such as telegraf-describe: see Host.
//
//	[SetHost] ─▶ Init ─▶ SetState ─▶ Add, Push, Reset ─▶ [Stop] ─▶ the last Push ─▶ GetState ─▶ [Close or Abandon]
//
// SetState and GetState are called if Telegraf has a state file. The first Add or Push looks for state that other blocks have left:
// inherit.

// Describe is the aggregator. Its options are those of sample.conf. Init checks them and must succeed before any
// other method is called. Telegraf guarantees that calls of Add, Push and Reset never overlap. With Host.Background, the work
// of a Push overlaps with Add: the comments of the fields say which of the two uses them. The engine has a lock of its own.
type Describe struct {
	// Options. Their meaning is described in sample.conf. newDescribe has the defaults.
	Bucket         string           `toml:"bucket"`
	Timezone       string           `toml:"timezone"`
	Origin         string           `toml:"origin"`
	Stats          []string         `toml:"stats"`
	QuantileMethod string           `toml:"quantile_method"`
	GroupBy        []string         `toml:"group_by"`
	Booleans       string           `toml:"booleans"`
	Prefix         string           `toml:"prefix"`
	BucketTag      string           `toml:"bucket_tag"`
	Timestamp      string           `toml:"timestamp"`
	Layout         string           `toml:"layout"`
	Emit           string           `toml:"emit"`
	StateTag       string           `toml:"state_tag"`
	Linger         *config.Duration `toml:"linger"`
	MaxFuture      config.Duration  `toml:"max_future"`
	MaxSeries      int              `toml:"max_series"`
	Accuracy       string           `toml:"accuracy"`
	ExactLimit     int              `toml:"exact_limit"`
	MemoryLimit    config.Size      `toml:"memory_limit"`
	EmitSummary    string           `toml:"emit_summary"`

	State          string          `toml:"state"`
	StateRetention config.Duration `toml:"state_retention"`
	StateReplay    config.Duration `toml:"state_replay"`

	// Settings that Telegraf itself has for every aggregator. It decodes them into the plugin too, and applies them. The plugin
	// needs them to find its default bucket (period), for warnings (grace, delay, drop_original), and to distinguish blocks in
	// Telegraf's state file (the alias and the filters, see ID).
	Period       config.Duration     `toml:"period"`
	Grace        *config.Duration    `toml:"grace"` // nil if it is not set
	Delay        *config.Duration    `toml:"delay"` // nil if it is not set
	DropOriginal bool                `toml:"drop_original"`
	Alias        string              `toml:"alias"`
	NamePass     []string            `toml:"namepass"`
	NameDrop     []string            `toml:"namedrop"`
	FieldInclude []string            `toml:"fieldinclude"`
	FieldExclude []string            `toml:"fieldexclude"`
	MetricPass   string              `toml:"metricpass"`
	TagPass      map[string][]string `toml:"tagpass"`
	TagDrop      map[string][]string `toml:"tagdrop"`

	// Telegraf sets both before Init. Tests may leave Statistics nil.
	Log        telegraf.Logger     `toml:"-"`
	Statistics *selfstat.Collector `toml:"-"`

	// Set by Init. If the first look for orphans finds one that this block continues, it replaces engine and store, before the
	// first metric and Push.
	now      func() time.Time   // the wall clock; tests replace it
	atCommit func(point string) // called at points of the commit order; nil but in tests
	options  engine.Options     // as the checks have set them; engineOptions adds the rest
	engine   *engine.Engine
	store    *state.Store // nil without the option state
	owner    string       // of the store; see state.Options. Empty is this command with its arguments

	// For state that others have left or use: see inherit.go. running.inheriting guards looked and drained.
	pushed   atomic.Bool                 // whether Push was called
	looked   time.Time                   // when other state in the folder was looked for; zero before the first metric and Push
	siblings atomic.Pointer[[]*Describe] // the other blocks whose state is in the same folder and whose rows are in the same tables
	borrowed loans                       // from siblings
	drained  []*state.Store              // with buckets whose rows leave with the next Push; then they are retired

	// Used by Add and Push, except that push reads the atomic ones.
	started bool         // whether a metric was added
	pushes  int          // how many times Push was called, up to those of noteSilence
	point   engine.Point // scratch
	ignored atomic.Int64 // how many values were not numbers

	described atomic.Bool // whether there was a value to describe, as of the last push

	pusher pusher // safe for concurrent use

	// Used by push, which runs once at a time.
	rows     rowMaker
	counters counters
	dropped  engine.Counters // the counters at the last Push
	old      bool            // whether warnOld has logged its warning
}

// SampleConfig returns the documented options.
func (*Describe) SampleConfig() string { return sampleConfig }

// Add adds the metric's numeric values to their bucket, or drops and counts them. It keeps no part of the metric.
// It returns no error, because Telegraf has no place for one here; the next Push logs what was dropped.
func (d *Describe) Add(m telegraf.Metric) {
	if !d.started {
		d.start()
	}
	d.readPoint(m)
	t, ok := bucket.Nano(m.Time())
	if !ok {
		d.engine.DropOutOfRange(&d.point)
		return
	}
	d.point.Time = t
	d.engine.Add(&d.point)
}

// start does what must come before the first metric: its value may be for a bucket that is in the state of another block. Add calls it
// once, and not Init, because at that time other blocks have not been initialized.
func (d *Describe) start() {
	d.started = true
	d.inherit()
}

// Push emits the buckets that changed since the last Push, with the statistics of all their values, and makes due
// buckets final. A second Push without new values emits nothing. With Host.Background, Push returns before the rows
// were emitted.
func (d *Describe) Push(acc telegraf.Accumulator) {
	d.pushed.Store(true)
	d.inherit()
	d.noteSilence()
	d.pusher.push(func(last bool) { d.push(acc, last) })
}

// push does the work of Push, perhaps in another goroutine. Only one push runs at a time. last is true if no Push follows: then,
// without the option state, all open buckets become final.
//
// If the state could not be saved, rows have left nevertheless. But the drained stores are not retired, so that
// their buckets are not lost in a crash: the next Push tries again.
//
// The order matters: buckets of orphans come into the engine before their rows are due, rows leave after the commit of the engine, and an
// orphan is set aside after its rows have left. The counters are read at the end, so that they are those of this Push.
func (d *Describe) push(acc telegraf.Accumulator, last bool) {
	begin := time.Now()
	acc.SetPrecision(time.Nanosecond) // not in Push, because the push before may still be adding rows to the accumulator
	d.rows.begin(d.now())
	d.lookAgain()
	run := d.engine.Push
	if last {
		run = d.engine.Finish
	}
	rows := 0
	emit := func(m telegraf.Metric) {
		rows++
		acc.AddMetric(m)
	}
	err := run(func(r *engine.Row) {
		d.warnOld(r.Start)
		d.rows.add(r, emit)
	})
	d.rows.end(emit)
	if d.pusher.host.Emitted != nil {
		d.pusher.host.Emitted(rows)
	}
	if err != nil {
		acc.AddError(err)
	} else {
		d.retireDrained()
	}
	counted := d.engine.Counters()
	d.warnDropped(counted)
	if counted.Series > 0 {
		d.described.Store(true)
	}
	d.counters.set(counted, d.ignored.Load(), time.Since(begin))
	d.counters.setState(counted, d.stateStats())
}

// Reset does nothing. Telegraf calls it after each Push for aggregators that begin anew in each period, but buckets stay open after
// a period.
func (*Describe) Reset() {}

// newDescribe returns a plugin with the default options.
func newDescribe() *Describe {
	return &Describe{
		Timezone:       "UTC",
		Origin:         "0001-01-01T00:00:00Z",
		QuantileMethod: "linear",
		GroupBy:        []string{"*"},
		Booleans:       "number",
		Prefix:         "analytics_",
		Timestamp:      "start",
		Layout:         "rows",
		Emit:           "both",
		StateTag:       record.BucketState,
		Accuracy:       "auto",
		ExactLimit:     stats.DefaultExactLimit,
		MemoryLimit:    1 << 30,
		EmitSummary:    "off",
		StateRetention: config.Duration(7 * 24 * time.Hour),
		StateReplay:    config.Duration(10 * time.Minute),
		Period:         defaultPeriod,
		now:            time.Now,
	}
}

// init makes the plugin known to Telegraf, which calls the function for each block [[aggregators.describe]].
func init() {
	aggregators.Add("describe", func() telegraf.Aggregator { return newDescribe() })
}
