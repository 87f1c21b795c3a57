package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func example(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../examples", name))
	require.NoError(t, err)
	return path
}

// sortedLines returns the lines of a text, sorted.
func sortedLines(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	sort.Strings(lines)
	return lines
}

func TestEveryExampleSaysWhatRunsAfterTheAggregator(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/telegraf.conf")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		t.Setenv("INFLUX_TOKEN", "secret")
		c := config.NewConfig()
		require.NoError(t, c.LoadConfig(file))
		require.NotNil(t, c.Agent.SkipProcessorsAfterAggregators, file)
	}
}

func TestExampleMigrateFromPythonPlugin(t *testing.T) {
	server := redistest.Server(t)
	out := filepath.Join(t.TempDir(), "out.lp")
	r := startTelegrafWith(t, []string{"REDIS_URL=redis://" + server.Addr(), "OUTPUT_FILE=" + out, "INPUT_FILE=" + example(t, "../testdata/solar.lp")},
		"--once", "--config", example(t, "migrate-from-python-plugin/telegraf.conf")).wait()
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, sortedLines(readFile(t, example(t, "migrate-from-python-plugin/expected.out"))), sortedLines(readFile(t, out)))

	var records []map[string]any
	getJSON(t, apiOn(t, server.Addr())+"/analytics/solar?database=mydb", &records)
	require.Len(t, records, 8)
	plain := redistest.Client(t, server).Get(t.Context(), "mydb:analytics_solar").Val()
	require.Equal(t, 8, strings.Count(plain, `"95Percentile":`))
	documented := regexp.MustCompile(`(?m)^\{.*\}$`).FindString(readFile(t, example(t, "migrate-from-python-plugin/README.md")))
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Contains(t, plain, strings.Replace(documented, `"host1"`, fmt.Sprintf("%q", host), 1), "the record in the README")
}

func TestExampleInfluxDB3(t *testing.T) {
	influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
	p := startTelegrafWith(t, []string{"INFLUX_URL=" + influxdb.URL, "INFLUX_TOKEN=secret", "LISTEN=127.0.0.1:0"},
		"--config", example(t, "influxdb3/telegraf.conf"))
	p.waitFor("statistics of mem", func() bool { return len(influxdb.Rows("mydb", "analytics_mem")) > 0 })
	p.stop()
	require.Empty(t, influxdb.Refused())
	columns := map[string]bool{"time": true}
	for _, table := range influxdb.Tables("mydb") {
		for _, row := range influxdb.Rows("mydb", table) {
			for name := range row.Tags {
				columns[name] = true
			}
			for name := range row.Fields {
				columns[name] = true
			}
		}
	}
	// The columns that the queries of the README name are there; stddev comes with a second value.
	for _, name := range []string{"cpu", "host", "field_name", "count", "min", "max", "mean", "median", "mode", "p95", "p99_9", "usage_user"} {
		require.Contains(t, columns, name)
	}
	for _, query := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(readFile(t, example(t, "influxdb3/README.md")), -1) {
		for _, table := range regexp.MustCompile(`(?:FROM|JOIN) (\w+)`).FindAllStringSubmatch(query[1], -1) {
			require.Contains(t, []string{"cpu", "analytics_cpu", "analytics_mem"}, table[1])
		}
	}
}

func TestExampleQuickstart(t *testing.T) {
	server := redistest.Server(t)
	p := startTelegrafWith(t, []string{"REDIS_URL=redis://" + server.Addr(), "REPLAY_FILE=" + example(t, "../testdata/latency.lp")},
		"--config", example(t, "quickstart/telegraf.conf"))
	url := apiOn(t, server.Addr())
	p.waitFor("live and recorded metrics", func() bool {
		for _, table := range []string{"cpu", "mem", "latency"} {
			resp, err := http.Get(url + "/analytics/" + table + "?database=demo&last=1") //nolint:noctx // bounded by waitFor
			if err != nil {
				return false
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return false
			}
		}
		return true
	})
	p.stop()
	var records []map[string]any
	getJSON(t, url+"/analytics/latency?database=demo&start=2024-03-01T00:10:00Z&end=2024-03-01T00:11:00Z", &records)
	require.NotEmpty(t, records)
}
