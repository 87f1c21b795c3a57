package describe

import (
	"github.com/influxdata/telegraf/selfstat"
)

// counters are the plugin's own statistics, which Telegraf's internal input reports as
// internal_describe.
type counters struct {
	late, future, nan, outOfRange, seriesDropped, forgotten, demotions selfstat.Stat // since the start
	series, buckets, exact, histograms, memory, pushTime               selfstat.Stat // as of the last Push
}

func (c *counters) init(collector *selfstat.Collector) {
	if collector == nil {
		collector = selfstat.NewCollector(nil)
	}
	register := func(field string) selfstat.Stat { return collector.Register("describe", field, nil) }
	c.late = register("values_late")
	c.future = register("values_future")
	c.nan = register("values_nan")
	c.outOfRange = register("values_out_of_range")
	c.seriesDropped = register("series_dropped")
	c.forgotten = register("series_forgotten")
	c.series = register("series")
	c.buckets = register("buckets_open")
	c.exact = register("summaries_exact")
	c.histograms = register("summaries_histogram")
	c.demotions = register("demotions")
	c.memory = register("memory_bytes")
	c.pushTime = register("push_time_ns")
}

// observe counts what is held now.
func (c *counters) observe(d *Describe) {
	var buckets, exact, histograms int64
	for _, s := range d.table.order {
		for _, b := range s.window.Buckets() {
			buckets++
			for i := range b.State.fields {
				switch f := &b.State.fields[i]; {
				case f.Count() == 0:
				case f.Exact():
					exact++
				default:
					histograms++
				}
			}
		}
	}
	c.series.Set(int64(len(d.table.order)))
	c.buckets.Set(buckets)
	c.exact.Set(exact)
	c.histograms.Set(histograms)
	c.forgotten.Set(d.table.forgotten)
	c.memory.Set(int64(d.budget.held + d.table.quietBytes))
}
