package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/plugins/parsers/influx"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/golden"
	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// These tests cover the whole path: from a file through inputs.file, describe and the outputs of the real command to
// a file, to the write endpoint of InfluxDB 3, and to Redis and the API.

// goldenLines returns the path of a data set's line protocol, unpacked.
func goldenLines(t *testing.T, name string) string {
	t.Helper()
	return writeFile(t, name+".lp", string(golden.Lines(t, name)))
}

// describedWith returns a configuration that reads line protocol and writes only its statistics. Each row is written once,
// unless the options set the period. The default period may end while a slow machine still reads, and every row would then
// be written again.
func describedWith(input, options, outputs string) string {
	if !strings.Contains(options, "period = ") {
		options = onePeriod + options
	}
	return fmt.Sprintf(`
[agent]
  omit_hostname = true
  interval = "200ms"
  flush_interval = "200ms"
  round_interval = false
  precision = "1ns"
  metric_buffer_limit = 1000000
  skip_processors_after_aggregators = true
[[inputs.file]]
  files = [%q]
  data_format = "influx"
[[aggregators.describe]]
  drop_original = true
%s
%s
`, input, options, outputs)
}

// onePeriod is longer than any test. With round_interval = false it does not end at a round time either.
const onePeriod = "  period = \"1h\"\n"

func fileOutput(path string) string {
	return fmt.Sprintf("[[outputs.file]]\n  files = [%q]\n  data_format = \"influx\"\n", path)
}

func redisOutput(addr, database string) string {
	return fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = %q\n  agent = \"a1\"\n  compat_max_records = 100000\n  timeout = \"1m\"\n", addr, database)
}

func influxOutput(url string) string {
	return fmt.Sprintf("[[outputs.influxdb_v3]]\n  urls = [%q]\n  token = \"secret\"\n  database = \"db\"\n  timeout = \"1m\"\n", url)
}

// runOnce runs a configuration with --once.
func runOnce(t *testing.T, conf string) {
	t.Helper()
	r := runTelegraf(t, "--once", "--config", writeFile(t, "telegraf.conf", conf))
	require.Zero(t, r.code, r.stderr)
	require.NotContains(t, r.stderr, " E! ")
}

// apiOn serves the API on a Redis.
func apiOn(t *testing.T, addr string) string {
	t.Helper()
	server := httptest.NewServer(api.New(cache.NewReader(redistest.Open(t, addr)), api.Options{
		MaxRecords: 100000, MaxBuckets: 100000, MaxBytes: 1 << 30, Timeout: time.Minute, ExportMaxSeries: 1, ExportBuckets: 1,
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func getJSON(t *testing.T, url string, to any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	resp, err := apitest.Client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(b))
	require.NoError(t, json.Unmarshal(b, to))
}

// readmeRow is a row of the time-bucket table in the README of the Python plugin.
type readmeRow struct {
	Start  string  `json:"bucket_start"`
	Field  string  `json:"field"`
	P95    float64 `json:"p95"`
	Count  float64 `json:"count"`
	Max    float64 `json:"max"`
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Mode   float64 `json:"mode"`
}

// check compares one of our rows, whose numbers are float64, with a row of the table.
func (want readmeRow) check(t *testing.T, got map[string]any, mode float64) {
	t.Helper()
	key := want.Start + " " + want.Field
	require.NotNil(t, got, key)
	require.Equal(t, map[string]any{"p95": want.P95, "count": want.Count, "max": want.Max, "median": want.Median, "min": want.Min, "mode": mode},
		map[string]any{"p95": got["p95"], "count": got["count"], "max": got["max"], "median": got["median"], "min": got["min"], "mode": got["mode"]}, key)
	require.InEpsilon(t, want.Mean, got["mean"], 1e-12, key)
}

// readmeTable returns the table and the modes that our rows must have. The plugin wrote 0 for ties.
func readmeTable(t *testing.T) (rows []readmeRow, modes map[string]float64) {
	t.Helper()
	var tables struct {
		Table2 []readmeRow `json:"table2"`
	}
	require.NoError(t, json.Unmarshal(golden.File(t, "readme_tables.json"), &tables))
	require.Len(t, tables.Table2, 25)
	modes = make(map[string]float64)
	tied := 0
	for _, r := range golden.ReadTable(t, "solar_plant1_plus4h", "10d").Records {
		modes[time.Unix(0, r.Start).UTC().Format(time.RFC3339)+" "+r.Field] = r.Mode
		if r.ModeTies > 1 {
			tied++
		}
	}
	require.Equal(t, 2, tied, "two of the modes are tied")
	return tables.Table2, modes
}

// parseLines reads line protocol with Telegraf's parser.
func parseLines(t *testing.T, path string) []telegraf.Metric {
	t.Helper()
	p := &influx.Parser{}
	require.NoError(t, p.Init())
	metrics, err := p.Parse([]byte(readFile(t, path)))
	require.NoError(t, err)
	return metrics
}

// asNumbers returns the fields with every number as a float64, as in decoded JSON.
func asNumbers(fields map[string]any) map[string]any {
	numbers := make(map[string]any, len(fields))
	for name, value := range fields {
		if i, ok := value.(int64); ok {
			value = float64(i)
		}
		numbers[name] = value
	}
	return numbers
}

// Every output of the path has the table in the README of the Python plugin.
func TestRowsAreThoseOfThePythonPlugin(t *testing.T) {
	t.Parallel()
	input := goldenLines(t, "solar_plant1_plus4h")
	table, modes := readmeTable(t)
	server := redistest.Database(t)
	influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
	written := filepath.Join(t.TempDir(), "out.lp")
	runOnce(t, describedWith(input, "  bucket = \"10d\"\n  group_by = []\n  quantile_method = \"floor_rank\"\n  accuracy = \"exact\"\n",
		fileOutput(written)+redisOutput(server, "db")+influxOutput(influxdb.URL)))

	t.Run("file", func(t *testing.T) {
		rows := make(map[string]map[string]any)
		for _, m := range parseLines(t, written) {
			require.Equal(t, "analytics_solar", m.Name())
			rows[m.Time().UTC().Format(time.RFC3339)+" "+m.Tags()["field_name"]] = asNumbers(m.Fields())
		}
		checkTable(t, table, modes, rows)
	})
	t.Run("InfluxDB 3", func(t *testing.T) {
		require.Empty(t, influxdb.Refused())
		rows := make(map[string]map[string]any)
		for _, r := range influxdb.Rows("db", "analytics_solar") {
			rows[time.Unix(0, r.Time).UTC().Format(time.RFC3339)+" "+r.Tags["field_name"]] = asNumbers(r.Fields)
		}
		checkTable(t, table, modes, rows)
	})
	t.Run("Redis", func(t *testing.T) {
		text, err := redistest.Open(t, server).Get(t.Context(), "db:analytics_solar").Result()
		require.NoError(t, err)
		var records []map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &records))
		checkTable(t, table, modes, byBucket(t, records))
	})
	t.Run("API", func(t *testing.T) {
		for _, name := range []string{"solar", "analytics_solar"} {
			var records []map[string]any
			getJSON(t, apiOn(t, server)+"/analytics/"+name+"?database=db", &records)
			checkTable(t, table, modes, byBucket(t, records))
		}
	})
}

func byBucket(t *testing.T, records []map[string]any) map[string]map[string]any {
	t.Helper()
	rows := make(map[string]map[string]any)
	for _, r := range records {
		require.Equal(t, "analytics_solar", r["table_name"])
		rows[fmt.Sprint(r["time_bucket"], " ", r["field_name"])] = r
	}
	return rows
}

func checkTable(t *testing.T, table []readmeRow, modes map[string]float64, rows map[string]map[string]any) {
	t.Helper()
	require.Len(t, rows, len(table))
	for _, want := range table {
		key := want.Start + " " + want.Field
		want.check(t, rows[key], modes[key])
	}
}

// Every row of every data set arrives once in InfluxDB 3 and in Redis, with the same statistics. Buckets have several
// widths and are of single series or of all series of a measurement.
func TestEveryGoldenRowArrivesOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	for _, name := range golden.Names(t) {
		t.Run(name, func(t *testing.T) {
			influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
			written := filepath.Join(t.TempDir(), "out.lp")
			blocks, number := otherBuckets(name)
			runOnce(t, describedWith(goldenLines(t, name), onePeriod+"  bucket = \"1d\"\n"+blocks,
				fileOutput(written)+redisOutput(server, name)+influxOutput(influxdb.URL)))
			rows := parseLines(t, written)
			perBlock := make(map[string]int)
			for _, m := range rows {
				perBlock[strings.SplitAfter(m.Name(), "_")[0]]++
			}
			require.Len(t, perBlock, 1+number)
			require.GreaterOrEqual(t, perBlock["hours_"], perBlock["days_"])
			require.GreaterOrEqual(t, perBlock["days_"], perBlock["decades_"])
			arrived(t, rows, influxdb, apiOn(t, server), name)
		})
	}
}

// otherBuckets returns more describe blocks for a data set, each with its own prefix, and their number. The first block has buckets of
// days by series. The largest data set has no hours by series: they were most rows of the test, and the next smaller set has them too.
func otherBuckets(name string) (conf string, number int) {
	blocks := []struct{ prefix, bucket, groupBy string }{
		{"hours_", "1h", "[]"}, {"days_", "1d", "[]"}, {"decades_", "10d", "[]"}, {"decadeseach_", "10d", `["*"]`}, {"hourseach_", "1h", `["*"]`},
	}
	if name == "solar_plant1_plus4h" {
		blocks = blocks[:4]
	}
	var b strings.Builder
	for _, block := range blocks {
		fmt.Fprintf(&b, "[[aggregators.describe]]\n%s  drop_original = true\n  prefix = %q\n  bucket = %q\n  group_by = %s\n", onePeriod, block.prefix, block.bucket, block.groupBy)
	}
	return b.String(), len(blocks)
}

// arrived checks that InfluxDB 3 and the API have each row of a file once.
func arrived(t *testing.T, written []telegraf.Metric, influxdb *influxtest.Server, apiURL, database string) {
	t.Helper()
	require.NotEmpty(t, written)
	require.Empty(t, influxdb.Refused())
	want := make(map[string]map[string]map[string]any)
	for _, m := range written {
		if want[m.Name()] == nil {
			want[m.Name()] = make(map[string]map[string]any)
		}
		tags := m.Tags()
		require.Equal(t, "final", tags["bucket_state"])
		delete(tags, "bucket_state") // the database does not get it
		key := fmt.Sprint(tags, m.Time().UnixNano())
		require.Nil(t, want[m.Name()][key], "a row twice: %s", key)
		want[m.Name()][key] = m.Fields()
	}
	for table, rows := range want {
		got := make(map[string]map[string]any)
		for _, r := range influxdb.Rows("db", table) {
			require.Equal(t, 1, r.Writes)
			got[fmt.Sprint(r.Tags, r.Time)] = r.Fields
		}
		require.Len(t, got, len(rows), table)
		for key, fields := range rows {
			require.Equal(t, fields, got[key], "%s %s", table, key)
		}
		if record.CheckName(table) != nil {
			continue // rediscache rejects it
		}
		var records []json.RawMessage
		getJSON(t, apiURL+"/analytics/"+pathEscape(table)+"?database="+database, &records)
		require.Len(t, records, len(rows), table)
	}
}

func pathEscape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "%", "%25"), " ", "%20")
}

// Awkward names and tags arrive too. InfluxDB 3 accepts every row. The cache rejects tables with braces and slashes, and
// logs each of them once.
func TestAwkwardNamesArrive(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	for _, options := range []string{
		"  bucket = \"5m\"\n",
		"  bucket = \"1h\"\n  bucket_tag = \"time_bucket\"\n  stats = [\"count\", \"min\", \"max\", \"sum\", \"mean\", \"range\", \"stddev\", \"variance\", \"median\"," +
			" \"mode\", \"mode_count\", \"mode_error\", \"p0\", \"p99.9\", \"p100\", \"iqr\", \"first\", \"last\", \"max_error\"]\n",
		"  bucket = \"1h\"\n  group_by = []\n  booleans = \"ignore\"\n",
	} {
		influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
		written := filepath.Join(t.TempDir(), "out.lp")
		database := fmt.Sprint("db", len(options))
		input, err := filepath.Abs("../../testdata/awkward.lp")
		require.NoError(t, err)
		conf := describedWith(input, options, fileOutput(written)+redisOutput(server, database)+influxOutput(influxdb.URL))
		r := runTelegraf(t, "--once", "--config", writeFile(t, "telegraf.conf", conf))
		require.Zero(t, r.code, r.stderr)
		require.Equal(t, 2, strings.Count(r.stderr, " E! "), r.stderr)
		for _, table := range []string{"analytics_{brace}:colon", "analytics_slash/and.dot"} {
			require.Equal(t, 1, strings.Count(r.stderr, fmt.Sprintf("table name %q: a name has none of { } /", table)), r.stderr)
		}
		arrived(t, parseLines(t, written), influxdb, apiOn(t, server), database)
		require.Len(t, influxdb.Tables("db"), 8)
	}
}

// A bucket with values in many periods is emitted in each of them. The cache has its newest row. InfluxDB 3 may keep either
// version of a point that is written twice, so it gets one row, even if it rejects writes for a while.
func TestABucketOfManyPeriodsIsOneRowInInfluxDB3(t *testing.T) {
	t.Parallel()
	influxdb := influxtest.New(t, influxtest.Options{Token: "secret"})
	server := redistest.Database(t)
	conf := strings.Replace(describedWith("", "  period = \"200ms\"\n  bucket = \"100d\"\n", redisOutput(server, "db")+influxOutput(influxdb.URL)),
		"[[inputs.file]]\n  files = [\"\"]\n  data_format = \"influx\"\n",
		// The shell writes ten values at each interval, when Telegraf writes a line to its input, and ends with that input.
		"[[inputs.execd]]\n  command = [\"sh\", \"-c\", '''i=0; while read -r line; do to=$((i+10)); "+
			"while [ $i -lt $to ] && [ $i -lt 200 ]; do echo \"m v=$i 1700000000000000000\"; i=$((i+1)); done; done''']\n"+
			"  data_format = \"influx\"\n  signal = \"STDIN\"\n  restart_delay = \"1h\"\n", 1)
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", conf))
	url := apiOn(t, server)
	p.waitFor("some rows", func() bool { return len(served(url)) > 0 })
	p.waitFor("all values", func() bool {
		records := served(url)
		return len(records) == 1 && records[0]["count"] == 200.0 && records[0]["final"] == false
	})
	require.Empty(t, influxdb.Rows("db", "analytics_m"), "InfluxDB 3 gets no open row")
	p.stop()
	require.Empty(t, influxdb.Refused())
	rows := influxdb.Rows("db", "analytics_m")
	require.Len(t, rows, 1)
	require.Equal(t, 1, rows[0].Writes)
	require.Equal(t, map[string]string{"field_name": "v"}, rows[0].Tags)
	require.Equal(t, map[string]any{
		"count": int64(200), "min": 0.0, "max": 199.0, "mean": 99.5, "median": 99.5, "mode": 0.0, "p95": 189.05,
	}, rows[0].Fields)
	var records []map[string]any
	getJSON(t, apiOn(t, server)+"/analytics/m?database=db", &records) // a new one, as the other one may keep its last answer for a moment
	require.Len(t, records, 1)
	require.Equal(t, []any{200.0, true}, []any{records[0]["count"], records[0]["final"]})
}

// Two agents that describe the same series write to the same tables. Neither replaces records of the other, not even in
// the compatibility key, and with summaries the API merges them.
func TestTwoAgentsShareACache(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	input := writeFile(t, "in.lp", "m,host=a v=1 1700000000000000000\n")
	for _, agent := range []string{"a1", "a2"} {
		options := "  emit_summary = \"compact\"\n"
		runOnce(t, strings.Replace(describedWith(input, options, redisOutput(server, "db")), "\"a1\"", fmt.Sprintf("%q", agent), 1))
	}
	var merged, records []map[string]any
	api := apiOn(t, server)
	getJSON(t, api+"/analytics/m?database=db", &merged)
	require.Len(t, merged, 1)
	require.Equal(t, 2.0, merged[0]["count"])
	getJSON(t, api+"/analytics/m?database=db&agents=each", &records)
	require.Len(t, records, 2)
	require.Equal(t, []any{"a1", "a2"}, []any{records[0]["agent"], records[1]["agent"]})
	client := redistest.Open(t, server)
	require.Equal(t, 2, strings.Count(client.Get(context.Background(), "db:analytics_m").Val(), "table_name"))
}
