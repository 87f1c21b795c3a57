//go:build unix

// Package describetest makes rows of the aggregator describe for tests of SQL.
package describetest

import (
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/sqltest"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// Rows returns metrics as rows, without their string fields.
func Rows(metrics []telegraf.Metric) (rows []sqltest.Row) {
	for _, m := range metrics {
		row := sqltest.Row{Time: m.Time(), Tags: m.Tags(), Fields: make(map[string]any)}
		for _, field := range m.FieldList() {
			if _, isText := field.Value.(string); !isText {
				row.Fields[field.Key] = field.Value
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Final returns the final rows that the aggregator describe emits for batches of metrics, by table. It has the configuration of
// examples/influxdb3: buckets of an hour, and a state. All buckets of a batch become final before the next batch comes, so values for
// the same bucket in a later batch make a revision.
func Final(t testing.TB, batches ...[]telegraf.Metric) map[string][]sqltest.Row {
	t.Helper()
	d, ok := aggregators.Aggregators["describe"]().(*describe.Describe)
	require.True(t, ok)
	linger := config.Duration(time.Millisecond)
	d.Period, d.Bucket, d.Linger, d.Emit, d.State = config.Duration(10*time.Second), "1h", &linger, "final", t.TempDir()
	d.Stats = []string{"count", "min", "max", "mean", "stddev", "median", "mode", "p95", "p99.9"}
	wide := config.Duration(24 * time.Hour)
	d.Grace, d.Delay = &wide, &wide // without them, describe warns
	d.Log = &plugintest.Log{}
	require.NoError(t, d.Init())
	tables := make(map[string][]sqltest.Row)
	for _, batch := range batches {
		for _, m := range batch {
			d.Add(m)
		}
		out := &plugintest.Accumulator{}
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			d.Push(out)
			assert.NotEmpty(c, out.Metrics())
		}, time.Minute, 2*time.Millisecond, "final rows")
		for _, m := range out.Metrics() {
			tables[m.Name()] = append(tables[m.Name()], Rows([]telegraf.Metric{m})...)
		}
	}
	require.NoError(t, d.Close())
	return tables
}
