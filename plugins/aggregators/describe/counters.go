package describe

import (
	"time"

	"github.com/influxdata/telegraf/selfstat"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// counters are the plugin's own statistics. Telegraf's input "internal" reports them as internal_describe. Only Push sets them, so
// they are as of the last Push, and adding a metric costs nothing more. [engine.Counters] explains most of them; durations are
// nanoseconds, sizes bytes.
type counters struct {
	late, future, nan, outOfRange, ignored, seriesDropped, valuesOfDropped, forgotten, demotions selfstat.Stat // since the start
	stateBytes, stateTime, stateErrors, revised                                                  selfstat.Stat // of the option state
	series, buckets, exact, histograms, memory, pushTime                                         selfstat.Stat // as of the last Push
}

// init registers the statistics. Without a collector, as in tests, they are counted but not reported. Users know the names: none may
// change.
func (c *counters) init(collector *selfstat.Collector) {
	if collector == nil {
		collector = selfstat.NewCollector(nil)
	}
	for field, stat := range map[string]*selfstat.Stat{
		"values_late": &c.late, "values_future": &c.future, "values_nan": &c.nan, "values_out_of_range": &c.outOfRange,
		"values_ignored": &c.ignored, "series_dropped": &c.seriesDropped, "values_series_dropped": &c.valuesOfDropped,
		"series_forgotten": &c.forgotten, "demotions": &c.demotions, "series": &c.series, "buckets_open": &c.buckets,
		"summaries_exact": &c.exact, "summaries_histogram": &c.histograms, "memory_bytes": &c.memory, "push_time_ns": &c.pushTime,
		"state_bytes": &c.stateBytes, "state_save_time_ns": &c.stateTime, "state_errors": &c.stateErrors, "buckets_revised": &c.revised,
	} {
		*stat = collector.Register("describe", field, nil)
	}
}

// set copies the counters of the engine to the statistics. ignored is how many values were not numbers, which the engine never
// sees. push is the duration of the last Push, with the commit of the state and the output of the rows. A [selfstat.Stat] may be set while
// the input "internal" reads it.
func (c *counters) set(e engine.Counters, ignored int64, push time.Duration) {
	c.late.Set(e.Late)
	c.future.Set(e.Future)
	c.nan.Set(e.NaN)
	c.outOfRange.Set(e.OutOfRange)
	c.ignored.Set(ignored)
	c.seriesDropped.Set(e.SeriesDropped)
	c.valuesOfDropped.Set(e.ValuesOfDropped)
	c.forgotten.Set(e.Forgotten)
	c.demotions.Set(e.Demotions)
	c.series.Set(e.Series)
	c.buckets.Set(e.Buckets)
	c.exact.Set(e.Exact)
	c.histograms.Set(e.Histograms)
	c.memory.Set(e.Memory)
	c.pushTime.Set(push.Nanoseconds())
}

// setState copies the counts of the engine and its store about the state. They are 0 without the option state.
func (c *counters) setState(e engine.Counters, s state.Stats) {
	c.stateBytes.Set(s.Bytes)
	c.stateTime.Set(s.SaveTime.Nanoseconds())
	c.stateErrors.Set(e.StateErrors + s.Errors)
	c.revised.Set(e.Revised)
}
