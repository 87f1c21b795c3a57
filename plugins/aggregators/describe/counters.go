package describe

import (
	"github.com/influxdata/telegraf/selfstat"
)

// counters are the plugin's own statistics, which Telegraf's internal input reports as
// internal_describe.
type counters struct {
	late, future, nan, outOfRange, seriesDropped, forgotten selfstat.Stat // since the start
	series, buckets, exact, memory, pushTime                selfstat.Stat // as of the last Push
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
	c.memory = register("memory_bytes")
	c.pushTime = register("push_time_ns")
}

// observe counts what is held now.
func (c *counters) observe(t *seriesTable) {
	var buckets, summaries, slots, bytes int
	for _, s := range t.order {
		for _, b := range s.window.Buckets() {
			buckets++
			for i := range b.State.fields {
				if b.State.fields[i].Count() > 0 {
					summaries++
				}
			}
			slots += len(b.State.fields)
			bytes += b.State.bytes
		}
	}
	c.series.Set(int64(len(t.order)))
	c.buckets.Set(int64(buckets))
	c.exact.Set(int64(summaries))
	c.forgotten.Set(t.forgotten)
	c.memory.Set(int64(bytes + slots*summarySize + t.quietBytes))
}
