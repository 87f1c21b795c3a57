package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
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

func TestExamplesSetSkipProcessorsAfterAggregators(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/telegraf.conf")
	require.NoError(t, err)
	require.Len(t, files, 5)
	for _, file := range files {
		t.Setenv("INFLUX_TOKEN", "secret")
		c := config.NewConfig()
		require.NoError(t, c.LoadConfig(file))
		require.NotNil(t, c.Agent.SkipProcessorsAfterAggregators, file)
	}
}

func TestExampleMigrateFromPythonPlugin(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	out := filepath.Join(t.TempDir(), "out.lp")
	r := startTelegrafWith(t, []string{"REDIS_URL=redis://" + server, "OUTPUT_FILE=" + out, "INPUT_FILE=" + example(t, "../testdata/solar.lp")},
		"--once", "--config", example(t, "migrate-from-python-plugin/telegraf.conf")).wait()
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, sortedLines(readFile(t, example(t, "migrate-from-python-plugin/expected.out"))), sortedLines(readFile(t, out)))

	var records []map[string]any
	getJSON(t, apiOn(t, server)+"/analytics/solar?database=mydb", &records)
	require.Len(t, records, 8)
	plain := redistest.Open(t, server).Get(t.Context(), "mydb:analytics_solar").Val()
	require.Equal(t, 8, strings.Count(plain, `"95Percentile":`))
	documented := regexp.MustCompile(`(?m)^\{.*\}$`).FindString(readFile(t, example(t, "migrate-from-python-plugin/README.md")))
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Contains(t, plain, strings.Replace(documented, `"host1"`, fmt.Sprintf("%q", host), 1), "the record in the README")
}

func TestExampleDescribeFilesContinuouslyHasTheNumbersOfDescribe(t *testing.T) {
	t.Parallel()
	server, file := redistest.Database(t), example(t, "describe-files/rooms.csv")
	conf := strings.Replace(readFile(t, example(t, "describe-files/telegraf.conf")), `period = "10s"`, `period = "200ms"`, 1)
	p := startTelegrafWith(t, []string{"REDIS_URL=redis://" + server, "INPUT_FILE=" + file}, "--config", writeFile(t, "telegraf.conf", conf),
		"--config", impatient(t))
	once := runTelegraf(t, "describe", "--by", "1d", "--tz", "Europe/Berlin", "--group-by", "room", "-o", "jsonl", file)
	require.Zero(t, once.code, once.stderr)
	want := map[string]string{}
	for line := range strings.Lines(once.stdout) {
		var r struct{ Bucket, Room, Column, Type string }
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		if r.Type != "text" && r.Type != "time" {
			want[r.Bucket+r.Room+r.Column] = numbers(t, line)
		}
	}
	require.Len(t, want, 17)
	url := apiOn(t, server) + "/analytics/rooms?database=files"
	p.waitFor("the records of all rows", func() bool {
		resp, err := apitest.Client.Get(url) //nolint:noctx // bounded by waitFor
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var records []json.RawMessage
		return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&records) == nil && len(records) == len(want)
	})
	var records []json.RawMessage
	getJSON(t, url, &records)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	got := map[string]string{}
	for _, text := range records {
		var r struct {
			Start time.Time `json:"time_bucket"`
			Room  string    `json:"room"`
			Field string    `json:"field_name"`
		}
		require.NoError(t, json.Unmarshal(text, &r))
		got[r.Start.In(berlin).Format(time.RFC3339)+r.Room+r.Field] = numbers(t, string(text))
	}
	require.Equal(t, want, got)
}

// numbers returns the statistics of a record as text.
func numbers(t *testing.T, record string) string {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal([]byte(record), &all))
	return fmt.Sprint(all["count"], all["min"], all["max"], all["mean"], all["median"], all["mode"], all["p95"])
}

func TestExampleInfluxDB3(t *testing.T) {
	t.Parallel()
	influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
	listen, state := redistest.Free(t), t.TempDir()
	p := startTelegrafWith(t, []string{"INFLUX_URL=" + influxdb.URL, "INFLUX_TOKEN=secret", "LISTEN=" + listen, "STATE=" + state},
		"--config", shortBuckets(t, "influxdb3/telegraf.conf"), "--config", impatient(t))
	p.waitForLog("Started HTTP listener service")
	documented := regexp.MustCompile(`curl 'http://127.0.0.1:8186(.*)' --data-binary '(.*)'`).FindStringSubmatch(readFile(t, example(t, "influxdb3/README.md")))
	require.Len(t, documented, 3)
	resp, err := apitest.Client.Post("http://"+listen+documented[1], "", strings.NewReader(documented[2])) //nolint:noctx // ends with the command
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	// The usage of a CPU is a difference: inputs.cpu has none before its second gathering.
	p.waitFor("the metrics of cpu and mem and the point that was posted", func() bool {
		for _, table := range []string{"cpu", "mem", "room"} {
			if len(influxdb.Rows("mydb", table)) == 0 {
				return false
			}
		}
		return true
	})
	p.waitFor("final rows of all three", func() bool {
		for _, table := range []string{"analytics_cpu", "analytics_mem", "analytics_room"} {
			if len(influxdb.Rows("mydb", table)) == 0 {
				return false
			}
		}
		return true
	})
	p.stop()
	files, err := os.ReadDir(state)
	require.NoError(t, err)
	require.NotEmpty(t, files, "the folder of the state")
	require.Equal(t, map[string]string{"field_name": "temperature", "name": "attic"}, withoutHost(influxdb.Rows("mydb", "analytics_room")[0].Tags))
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
	// The columns in the queries of the README exist. Only stddev needs a second value in a bucket.
	for _, name := range []string{"cpu", "host", "field_name", "count", "min", "max", "mean", "median", "mode", "p95", "p99_9", "revision", "usage_user"} {
		require.Contains(t, columns, name)
	}
	for _, query := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(readFile(t, example(t, "influxdb3/README.md")), -1) {
		for _, table := range regexp.MustCompile(`(?:FROM|JOIN) (\w+)`).FindAllStringSubmatch(query[1], -1) {
			require.Contains(t, []string{"cpu", "analytics_cpu", "analytics_mem"}, table[1])
		}
	}
}

// The origins that the README gives to date_bin are starts of buckets, within the range of the database's
// timestamps.
func TestOriginsInTheExampleForInfluxDB3AreStartsOfBuckets(t *testing.T) {
	t.Parallel()
	readme := readFile(t, example(t, "influxdb3/README.md"))
	day := 24 * time.Hour
	for origin, width := range map[string]time.Duration{"1970-01-05T00:00:00Z": 7 * day, "1970-01-09T00:00:00Z": 10 * day} {
		require.Contains(t, readme, "`"+origin+"`")
		at, err := time.Parse(time.RFC3339, origin)
		require.NoError(t, err)
		require.Equal(t, at.Truncate(width), at, "Truncate counts from the year 1")
	}
	for _, bin := range regexp.MustCompile(`INTERVAL '10 days', time, TIMESTAMP '(.*?)'`).FindAllStringSubmatch(readme, -1) {
		require.Equal(t, "1970-01-09T00:00:00Z", bin[1])
	}
}

// shortBuckets returns a copy of an example with buckets of a second, instead of an hour, that soon become final.
func shortBuckets(t *testing.T, name string) string {
	t.Helper()
	const hours = "  period = \"10s\"\n  bucket = \"1h\"\n"
	text := readFile(t, example(t, name))
	require.Contains(t, text, hours)
	return writeFile(t, "telegraf.conf", strings.Replace(text, hours, "  period = \"200ms\"\n  bucket = \"1s\"\n  linger = \"500ms\"\n", 1))
}

// impatient returns a configuration that overrides the intervals of an example, which are seconds.
func impatient(t *testing.T) string {
	t.Helper()
	return writeFile(t, "impatient.conf", "[agent]\n  interval = \"100ms\"\n  flush_interval = \"100ms\"\n")
}

func withoutHost(tags map[string]string) map[string]string {
	delete(tags, "host")
	return tags
}

// The output that is commented out in the quickstart is valid.
func TestExampleQuickstartWithInfluxDB3(t *testing.T) {
	text := readFile(t, example(t, "quickstart/telegraf.conf"))
	before, commented, found := strings.Cut(text, "# [[outputs.influxdb_v3]]")
	require.True(t, found)
	t.Setenv("INFLUX_TOKEN", "secret")
	c := config.NewConfig()
	conf := before + "[[outputs.influxdb_v3]]" + strings.ReplaceAll(commented, "\n# ", "\n")
	require.NoError(t, c.LoadConfig(writeFile(t, "telegraf.conf", conf)))
	require.Len(t, c.Outputs, 2)
}

func TestExampleQuickstart(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	p := startTelegrafWith(t, []string{"REDIS_URL=redis://" + server, "REPLAY_FILE=" + example(t, "../testdata/latency.lp")},
		"--config", example(t, "quickstart/telegraf.conf"), "--config", impatient(t))
	url := apiOn(t, server)
	p.waitFor("live and recorded metrics", func() bool {
		for _, table := range []string{"cpu", "mem", "latency"} {
			resp, err := apitest.Client.Get(url + "/analytics/" + table + "?database=demo&last=1") //nolint:noctx // bounded by waitFor
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

// influxOutputOf returns Telegraf's own output for InfluxDB 3, connected to the endpoint.
func influxOutputOf(t *testing.T, influxdb *influxtest.Server, token string) telegraf.Output {
	t.Helper()
	c := config.NewConfig()
	conf := fmt.Sprintf("[[outputs.influxdb_v3]]\n  urls = [%q]\n  token = %q\n  database = \"d\"\n", influxdb.URL, token)
	require.NoError(t, c.LoadConfigData([]byte(conf), config.EmptySourcePath))
	out := c.Outputs[0].Output
	require.NoError(t, out.(telegraf.Initializer).Init())
	require.NoError(t, out.Connect())
	t.Cleanup(func() { require.NoError(t, out.Close()) })
	return out
}

// counts returns metrics of one series, a nanosecond apart.
func counts(values ...any) []telegraf.Metric {
	metrics := make([]telegraf.Metric, 0, len(values))
	for i, v := range values {
		at := time.Date(2024, 2, 25, 0, 0, 0, i, time.UTC)
		metrics = append(metrics, metric.New("analytics_m", map[string]string{"field_name": "f"}, map[string]any{"count": v}, at))
	}
	return metrics
}

// With the endpoint of the tests, Telegraf's output keeps a batch while the database does not answer, drops a batch that the
// database rejects, splits a batch that is too large, and writes rows over earlier ones.
func TestEndpointWorksWithTelegrafsOutput(t *testing.T) {
	t.Parallel()
	influxdb := influxtest.New(t, influxtest.Options{Token: "secret", MaxBytes: 120, Overwrite: influxtest.Newest, RetryAfter: 10 * time.Minute})
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, 0} {
		out := influxOutputOf(t, influxdb, "secret")
		influxdb.Fail(status, -1)
		require.Error(t, out.Write(counts(int64(1))))
		influxdb.Fail(0, 0)
		require.Empty(t, influxdb.Tables("d"))
		if status != 0 {
			requests := influxdb.Requests()
			require.Error(t, out.Write(counts(int64(1))))
			require.Equal(t, requests, influxdb.Requests(), "no request within the time of Retry-After")
		}
	}
	require.Error(t, influxOutputOf(t, influxdb, "wrong").Write(counts(int64(1))))
	require.Empty(t, influxdb.Tables("d"))

	out := influxOutputOf(t, influxdb, "secret")
	require.NoError(t, out.Write(counts(int64(1))))
	requests := influxdb.Requests()
	require.NoError(t, out.Write(counts(int64(2), int64(3), int64(4))))
	require.Equal(t, requests+3, influxdb.Requests(), "one request that is too large, and its halves")
	rows := influxdb.Rows("d", "analytics_m")
	require.Len(t, rows, 3)
	require.Equal(t, int64(2), rows[0].Fields["count"])
	require.Equal(t, []int{2, 1, 1}, []int{rows[0].Writes, rows[1].Writes, rows[2].Writes})

	require.Empty(t, influxdb.Refused())
	require.Error(t, out.Write(counts(1.5)))
	require.Len(t, influxdb.Refused(), 1)
}
