package describe

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"

	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// This benchmark is inside of the package because it measures newRow alone. A Push takes much more time for other work.

// BenchmarkRow makes the metric of a row with seven statistics and six tags. kind=copy copies a metric of Telegraf's own
// kind. The last rows are kept, as outputs do.
func BenchmarkRow(b *testing.B) {
	const agentHeap = 64 << 20 // about the memory of an agent: see agentHeap of BenchmarkNeighbours
	start := time.Date(2024, 2, 25, 0, 0, 0, 7, time.UTC)
	agent := make([]byte, agentHeap)
	defer runtime.KeepAlive(agent)
	var tags []telegraf.Tag
	for i := range 6 {
		tags = append(tags, telegraf.Tag{Key: "tag" + strconv.Itoa(i), Value: "value"})
	}
	var fields []telegraf.Field
	for i := range 7 {
		fields = append(fields, telegraf.Field{Key: "statistic" + strconv.Itoa(i), Value: float64(i)})
	}
	other := metric.FromMetric(newRow("analytics_cpu", start, tags, fields))
	for _, c := range []struct {
		kind string
		row  func() telegraf.Metric
	}{
		{"copy", other.Copy},
		{"row", func() telegraf.Metric { return newRow("analytics_cpu", start, tags, fields) }},
	} {
		b.Run("kind="+c.kind, func(b *testing.B) {
			plugintest.RequireSame(b, other, c.row())
			kept := make([]telegraf.Metric, 1<<12)
			next := 0
			b.ReportAllocs()
			for b.Loop() {
				kept[next%len(kept)] = c.row()
				next++
			}
		})
	}
}
