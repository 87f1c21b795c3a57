//go:build unix

package influxdb3_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/sqltest"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe/describetest"
)

// queries returns the SQL in a document.
func queries(t *testing.T, file string) (queries []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		queries = append(queries, strings.TrimSuffix(strings.TrimSpace(block[1]), ";"))
	}
	return queries
}

// now is the time of the queries. The last three full hours are in two days.
var now = time.Date(2024, 3, 2, 1, 34, 56, 0, time.UTC)

// hour returns the start of the hour that began n hours before the current one.
func hour(n int) time.Time { return now.Truncate(time.Hour).Add(-time.Duration(n) * time.Hour) }

// series returns ten values in each of the last three hours: start, start + 1, and so on, and 100 more in each earlier hour.
func series(name, field string, tags map[string]string, start float64) (metrics []telegraf.Metric) {
	for h := range 3 {
		for j := range 10 {
			v := start + float64(100*h+j)
			metrics = append(metrics, metric.New(name, tags, map[string]any{field: v}, hour(h+1).Add(time.Duration(j)*time.Minute)))
		}
	}
	return metrics
}

// filled returns a database with metrics and their final rows. The second hour of one series has a second version.
func filled(t *testing.T) *sqltest.Server {
	t.Helper()
	var cpu, mem []telegraf.Metric
	for i, host := range []string{"web1", "web2"} {
		for j, name := range []string{"cpu-total", "cpu0"} {
			tags := map[string]string{"host": host, "cpu": name}
			cpu = append(cpu, series("cpu", "usage_user", tags, float64(20*i+10*j))...)
			cpu = append(cpu, series("cpu", "usage_idle", tags, float64(20*i+10*j))...)
		}
		mem = append(mem, series("mem", "used_percent", map[string]string{"host": host}, float64(20*i))...)
	}
	var late []telegraf.Metric
	for name, fields := range map[string]map[string]any{"cpu": {"usage_user": 500., "usage_idle": 500.}, "mem": {"used_percent": 500.}} {
		late = append(late, metric.New(name, map[string]string{"host": "web1"}, fields, hour(2)))
	}
	for _, m := range late {
		if m.Name() == "cpu" {
			m.AddTag("cpu", "cpu-total")
		}
	}
	s := sqltest.Start(t, now)
	s.Fill(t, "cpu", describetest.Rows(cpu))
	for table, rows := range describetest.Final(t, slices.Concat(cpu, mem), late) {
		s.Fill(t, table, rows)
	}
	return s
}

// columns returns the values of columns, in the order of the rows, separated by spaces. Times other than days are in hours before
// the current one.
func columns(t *testing.T, rows []map[string]string, names ...string) (values []string) {
	t.Helper()
	for _, row := range rows {
		all := make([]string, len(names))
		for i, name := range names {
			all[i] = row[name]
			if at, err := time.Parse("2006-01-02 15:04:05", all[i]); err == nil && name != "day" && name != "bucket" {
				all[i] = fmt.Sprintf("-%.0fh", hour(0).Sub(at).Hours())
			}
		}
		values = append(values, strings.Join(all, " "))
	}
	return values
}

func TestTheQueriesAreRight(t *testing.T) {
	t.Parallel()
	s := filled(t)
	t.Run("of the documentation", func(t *testing.T) { documentation(t, s) })
	t.Run("of the example", func(t *testing.T) { example(t, s) })
}

func documentation(t *testing.T, s *sqltest.Server) {
	t.Helper()
	all := queries(t, "../../README.md")
	require.Len(t, all, 1)
	require.Equal(t, []string{
		"web2 cpu0 -2h 10 130 139", "web2 cpu-total -2h 10 120 129", "web1 cpu0 -2h 10 110 119", "web1 cpu-total -2h 10 100 109",
		"web2 cpu0 -1h 10 30 39", "web2 cpu-total -1h 10 20 29", "web1 cpu0 -1h 10 10 19", "web1 cpu-total -1h 10 0 9",
	}, columns(t, s.Query(t, all[0]), "host", "cpu", "time", "count", "min", "max"))

	all = queries(t, "../../docs/time.md")
	require.Len(t, all, 2)
	newest, first := s.Query(t, all[0]), s.Query(t, all[1])
	require.Len(t, newest, 24, "four series of two fields in three hours")
	require.Len(t, first, 24)
	require.Contains(t, columns(t, newest, "time", "host", "cpu", "field_name", "revision", "count"), "-2h web1 cpu-total usage_user 1 11")
	require.Contains(t, columns(t, first, "time", "host", "cpu", "field_name", "revision", "count"), "-2h web1 cpu-total usage_user 0 10")
}

func example(t *testing.T, s *sqltest.Server) {
	t.Helper()
	all := queries(t, "README.md")
	require.Len(t, all, 6)
	got := func(i int, names ...string) []string { return columns(t, s.Query(t, all[i]), names...) }

	require.Equal(t, []string{"web2 cpu0 -1h 30 39", "web2 cpu-total -1h 20 29", "web1 cpu0 -1h 10 19", "web1 cpu-total -1h 0 9"}, got(0, "host", "cpu", "time", "min", "max"))
	require.Equal(t, []string{"web1 -1h 10 4.5", "web2 -1h 10 24.5"}, got(1, "host", "time", "count", "median"))
	require.Equal(t, []string{"-3h 0 204.5", "-2h 1 105", "-1h 0 4.5"}, got(2, "hour", "revision", "median"))

	require.Equal(t, []string{"2024-03-01 00:00:00 web1 21 100 500", "2024-03-01 00:00:00 web2 20 120 229", "2024-03-02 00:00:00 web1 10 0 9", "2024-03-02 00:00:00 web2 10 20 29"},
		got(3, "day", "host", "count", "min", "max"))
	require.Equal(t, []string{now.Truncate(10 * 24 * time.Hour).Format("2006-01-02 15:04:05")}, got(4, "bucket"))
	// Each hour and series has one value above its p95 of ten values.
	above := s.Query(t, all[5])
	require.Len(t, above, 8)
	for _, row := range above {
		require.Equal(t, "9", row["usage_user"][len(row["usage_user"])-1:], "%v", row)
	}
}
