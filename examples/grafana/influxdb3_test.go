//go:build unix

package grafana_test

import (
	"fmt"
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

// now is the time of the queries, and hours are the starts of the hours that have values, the newest first.
var (
	now   = time.Date(2024, 3, 1, 12, 34, 56, 0, time.UTC)
	hours = []time.Time{now.Truncate(time.Hour).Add(-time.Hour), now.Truncate(time.Hour).Add(-2 * time.Hour), now.Truncate(time.Hour).Add(-3 * time.Hour)}
)

// usage returns ten values of each of four series and each hour. The values of an hour and a series follow each other, 1 apart.
func usage() (metrics []telegraf.Metric) {
	for h, hour := range hours {
		for i := range 4 {
			tags := map[string]string{"host": fmt.Sprintf("web%d", i/2), "cpu": fmt.Sprintf("cpu%d", i%2)}
			for j := range 10 {
				fields := map[string]any{"usage_user": float64(100*h + 10*i + j), "usage_idle": 1.5}
				metrics = append(metrics, metric.New("cpu", tags, fields, hour.Add(time.Duration(j)*time.Minute)))
			}
		}
	}
	return metrics
}

// late are values for the second hour of web0's cpu0, after it was final.
func late() (metrics []telegraf.Metric) {
	for j := range 5 {
		fields := map[string]any{"usage_user": 150., "usage_idle": 1.5}
		metrics = append(metrics, metric.New("cpu", map[string]string{"host": "web0", "cpu": "cpu0"}, fields, hours[1].Add(time.Duration(j)*time.Minute)))
	}
	return metrics
}

// toPostgres makes the SQL of PostgreSQL from that of Grafana's data source for InfluxDB 3.
func toPostgres(t *testing.T, sql string, chosen map[string][]string) string {
	t.Helper()
	sql = interpolate(t, sql, chosen)
	from, to := now.Add(-24*time.Hour).Format(time.RFC3339), now.Format(time.RFC3339)
	sql = regexp.MustCompile(`\$__timeFilter\((\w+)\)`).ReplaceAllString(sql, "$1 >= '"+from+"' AND $1 <= '"+to+"'")
	require.NotContains(t, sql, "$", "a variable or a macro is left")
	return strings.ReplaceAll(sql, "LIKE 'Dictionary%'", "= 'text'") // the type of tags
}

// choices checks the choices that the variables of the dashboard offer, and returns some of each.
func choices(t *testing.T, d *dashboard, s *sqltest.Server) map[string][]string {
	t.Helper()
	offered := map[string][]string{
		"table": {"analytics_cpu"}, "field": {"usage_idle", "usage_user"}, "tags": {"cpu", "field_name", "host"}, "tag": {"cpu", "field_name", "host"},
		"value": {"cpu0", "cpu1"},
	}
	chosen := map[string][]string{
		"table": offered["table"], "field": {"usage_user"}, "tags": offered["tags"], "tag": {"cpu"}, "value": offered["value"], "version": {"newest = 1"},
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		var options []string
		for _, row := range s.Query(t, toPostgres(t, v.Query, chosen)) {
			require.Len(t, row, 1)
			for _, option := range row {
				options = append(options, option)
			}
		}
		require.Equal(t, offered[v.Name], options, v.Name)
	}
	require.Equal(t, "newest : newest = 1, first : revision = 0", d.variable(t, "version").Query)
	return chosen
}

// columns returns the values of columns, in the order of the rows, separated by spaces.
func columns(rows []map[string]string, names ...string) (values []string) {
	for _, row := range rows {
		all := make([]string, len(names))
		for i, name := range names {
			all[i] = row[name]
		}
		values = append(values, strings.Join(all, " "))
	}
	return values
}

// results returns the rows of each panel of the dashboard by its title. Those of a time series have a time, which ascends, and are
// different points.
func results(t *testing.T, d *dashboard, s *sqltest.Server, chosen map[string][]string) map[string][]map[string]string {
	t.Helper()
	results := make(map[string][]map[string]string)
	for _, p := range d.leaves() {
		require.Len(t, p.Targets, 1, p.Title)
		rows := s.Query(t, toPostgres(t, p.Targets[0].RawSQL, chosen))
		require.NotEmpty(t, rows, p.Title)
		results[p.Title] = rows
		if p.Targets[0].Format != "time_series" {
			require.Equal(t, "table", p.Targets[0].Format)
			continue
		}
		points := columns(rows, "time", "host", "cpu", "field_name")
		require.True(t, slices.IsSorted(columns(rows, "time")), p.Title)
		slices.Sort(points)
		require.Len(t, slices.Compact(points), len(rows), p.Title)
	}
	return results
}

func TestTheQueriesInInfluxDB3AreRight(t *testing.T) {
	t.Parallel()
	s, d := sqltest.Start(t, now), load(t, "influxdb3.json")
	for table, rows := range describetest.Final(t, usage(), late()) {
		s.Fill(t, table, rows)
	}
	chosen := choices(t, &d, s)
	newest := results(t, &d, s, chosen)
	chosen["version"] = []string{"revision = 0"}
	first := results(t, &d, s, chosen)

	for title, want := range map[string][]string{"Series": {"4"}, "Values": {"125"}, "Corrected buckets": {"1"}} {
		require.Equal(t, want, columns(newest[title], strings.ToLower(map[string]string{"Series": "series", "Values": "count", "Corrected buckets": "buckets"}[title])))
	}
	require.Equal(t, []string{"5696"}, columns(newest["Age of the newest final bucket"], "age"), "since 11:00")
	require.Equal(t, []string{"120"}, columns(first["Values"], "count"))

	// The hours ascend, so the corrected one is the second. The mean of all its values is theirs: (40 * 119.5 + 5 * 150) / 45.
	for _, title := range []string{"All selected series", "$value"} {
		all := []string{"minimum", "highest median", "mean", "highest p95", "maximum"}
		require.Equal(t, []string{"200 234.5 219.5 238.55 239", "100 134.5 122.88888888888889 150 150", "0 34.5 19.5 38.55 39"}, columns(newest[title], all...), title)
		require.Equal(t, []string{"200 234.5 219.5 238.55 239", "100 134.5 119.5 138.55 139", "0 34.5 19.5 38.55 39"}, columns(first[title], all...), title)
	}
	for title, want := range map[string][2]string{
		"p95 of each series": {"150", "108.55"}, "Median of each series": {"107", "104.5"}, "Mean of each series": {"119.66666666666667", "104.5"},
		"Values in the buckets of each series": {"15", "10"},
	} {
		column, _, _ := strings.Cut(strings.ToLower(title), " ")
		if column == "values" {
			column = "count"
		}
		require.Len(t, newest[title], 12, title)
		for i, rows := range [][]map[string]string{newest[title], first[title]} {
			corrected := hours[1].Format("2006-01-02 15:04:05") + " web0 cpu0 usage_user " + want[i]
			require.Contains(t, columns(rows, "time", "host", "cpu", "field_name", column), corrected, title)
		}
	}
	require.Equal(t, []string{"web1 cpu1 10 30 34.5 34.5 38.55 39", "web1 cpu0 10 20 24.5 24.5 28.55 29", "web0 cpu1 10 10 14.5 14.5 18.55 19", "web0 cpu0 10 0 4.5 4.5 8.55 9"},
		columns(newest["Newest bucket of each series"], "host", "cpu", "count", "min", "median", "mean", "p95", "max"))
	require.Equal(t, []string{"web0 cpu0 1 10 15 104.5 107 108.55 150"}, columns(newest["Buckets that late values corrected: the first version and the newest"],
		"host", "cpu", "revision", "first_count", "count", "first_median", "median", "first_p95", "p95"))
}
