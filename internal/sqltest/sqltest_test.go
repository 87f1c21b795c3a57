//go:build unix

package sqltest_test

import (
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/sqltest"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe/describetest"
)

func TestRevisionsAreRowsOfTheSameSecond(t *testing.T) {
	t.Parallel()
	hour := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	value := func(v float64) []telegraf.Metric {
		return []telegraf.Metric{metric.New("room", map[string]string{"name": `the "attic"`}, map[string]any{"temperature": v}, hour.Add(time.Minute))}
	}
	rows := describetest.Final(t, value(20), value(22))
	require.Len(t, rows["analytics_room"], 2)
	s := sqltest.Start(t, hour)
	s.Fill(t, "analytics_room", rows["analytics_room"])
	require.Equal(t, []map[string]string{
		{"time": "2024-03-01 12:00:00", "name": `the "attic"`, "count": "1", "mean": "20", "revision": "0", "stddev": "", "hour": "2024-03-01 12:00:00"},
		{"time": "2024-03-01 12:00:00.000001", "name": `the "attic"`, "count": "2", "mean": "21", "revision": "1", "stddev": "1.4142135623730951", "hour": "2024-03-01 12:00:00"},
	}, s.Query(t, "SELECT time, name, count, mean, revision, stddev, date_bin(INTERVAL '1 hour', time) AS hour FROM analytics_room ORDER BY time"))
	require.Equal(t, []map[string]string{{"now": "2024-03-01 12:00:00+00", "hour": "2024-03-01 12:00:00"}}, s.Query(t, "SELECT now(), date_bin(INTERVAL '1 hour', now()) AS hour"))
}
