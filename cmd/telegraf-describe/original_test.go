package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// Each test is for one fault of the Python plugin that this project replaces. It checks that the fault is gone.

// describeLines describes lines with the command and returns the statistics by "table field start".
func describeLines(t *testing.T, lines, options string, env ...string) map[string]map[string]any {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.lp")
	conf := describedWith(writeFile(t, "in.lp", lines), options, fileOutput(out))
	r := startTelegrafWith(t, env, "--once", "--config", writeFile(t, "telegraf.conf", conf)).wait()
	require.Zero(t, r.code, r.stderr)
	rows := make(map[string]map[string]any)
	for _, m := range parseLines(t, out) {
		rows[rowKey(m)] = m.Fields()
	}
	return rows
}

func rowKey(m telegraf.Metric) string {
	return fmt.Sprintf("%s %s %d", m.Name(), m.Tags()["field_name"], m.Time().UnixNano())
}

// served returns the records of table m that the API serves now, or none if it answers with an error.
func served(url string) []map[string]any {
	resp, err := apitest.Client.Get(url + "/analytics/m?database=db") //nolint:noctx // on loopback
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var records []map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&records)
	return records
}

func TestOriginal01WithoutABucketItWorks(t *testing.T) {
	t.Parallel()
	rows := describeLines(t, "m v=1 1700000000000000000\nm v=3 1700000001000000000\n", "  period = \"30s\"\n")
	require.Equal(t, int64(2), rows["analytics_m v 1699999980000000000"]["count"], "the width of a bucket is the period")
}

func TestOriginal02TotalsAreMergedAcrossFlushes(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	in := writeFile(t, "in.lp", "")
	conf := strings.Replace(describedWith(in, "  period = \"200ms\"\n  bucket = \"10d\"\n  group_by = []\n", redisOutput(server, "db")),
		"[[inputs.file]]", "[[inputs.tail]]\n  initial_read_offset = \"beginning\"\n  watch_method = \"poll\"\n", 1)
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", conf))
	url := apiOn(t, server)
	for flush := 1; flush <= 3; flush++ {
		f, err := os.OpenFile(in, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = fmt.Fprintf(f, "m,host=a v=%d 170000000%d000000000\nm,host=b v=%d 170000000%d000000000\n", flush, flush, flush, flush)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		p.waitFor("the flush", func() bool {
			records := served(url)
			return len(records) == 1 && records[0]["count"] == float64(2*flush)
		})
	}
	p.stop()
}

func TestOriginal03ATiedModeIsTheSmallest(t *testing.T) {
	t.Parallel()
	rows := describeLines(t, "m v=7 1\nm v=5 2\nm v=7 3\nm v=5 4\nm v=9 5\n", "  bucket = \"1h\"\n")
	require.Equal(t, 5.0, rows["analytics_m v 0"]["mode"])
}

func TestOriginal04P95IsNotOneValueTooHigh(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := 1; i <= 20; i++ {
		fmt.Fprintf(&lines, "m v=%d %d\n", i, i)
	}
	for method, want := range map[string]float64{"linear": 19.05, "nearest_rank": 19, "floor_rank": 20} {
		rows := describeLines(t, lines.String(), fmt.Sprintf("  bucket = \"1h\"\n  quantile_method = %q\n", method))
		require.InDelta(t, want, rows["analytics_m v 0"]["p95"], 1e-12, method)
	}
}

func TestOriginal05TimeTagsAndTextsAreNotFields(t *testing.T) {
	t.Parallel()
	rows := describeLines(t, "m,number=12,nan=nan v=1,a=\"12\",b=\"1_000\",c=\"nan\" 1\n", "  bucket = \"1h\"\n")
	require.Len(t, rows, 1)
	require.Contains(t, rows, "analytics_m v 0")
}

func TestOriginal06BucketsDoNotDependOnTheTimeZone(t *testing.T) {
	t.Parallel()
	lines := "m v=1 1589515200000000000\nm v=2 1589587199000000000\nm v=3 1589587200000000000\n"
	want := describeLines(t, lines, "  bucket = \"1d\"\n", "TZ=UTC")
	require.Len(t, want, 2)
	for _, zone := range []string{"America/New_York", "Asia/Kathmandu"} {
		require.Equal(t, want, describeLines(t, lines, "  bucket = \"1d\"\n", "TZ="+zone))
	}
}

func TestOriginal07TimesAreExact(t *testing.T) {
	t.Parallel()
	rows := describeLines(t, "m v=1 1589587199999999999\nm v=2 1589587200000000000\nm v=3 999999999\nm v=4 -1\n", "  bucket = \"1d\"\n")
	require.Len(t, rows, 4, "a nanosecond before the boundary, at it, before 2001, before 1970")
	require.Equal(t, 1.0, rows["analytics_m v 1589500800000000000"]["max"])
	require.Equal(t, 2.0, rows["analytics_m v 1589587200000000000"]["max"])
	require.Equal(t, 3.0, rows["analytics_m v 0"]["max"])
	require.Equal(t, 4.0, rows["analytics_m v -86400000000000"]["max"])
}

func TestOriginal08SmallNumbersKeepTheirDigits(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	runOnce(t, describedWith(writeFile(t, "in.lp", "m v=1.23e-11 1\n"), "  bucket = \"1h\"\n", redisOutput(server, "db")))
	var records []map[string]any
	getJSON(t, apiOn(t, server)+"/analytics/m?database=db", &records)
	require.Equal(t, 1.23e-11, records[0]["mean"])
	require.Contains(t, redistest.Open(t, server).Get(t.Context(), "db:analytics_m").Val(), `"mean":1.23e-11`)
}

func TestOriginal09WritesGrowWithTheNumberOfBuckets(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	var lines strings.Builder
	for hour := range 800 {
		fmt.Fprintf(&lines, "m a=%d,b=%d %d\n", hour, hour, int64(hour)*3600e9)
	}
	runOnce(t, describedWith(writeFile(t, "in.lp", lines.String()), "  bucket = \"1h\"\n", redisOutput(server.Addr(), "db")))
	client := redistest.Open(t, server.Addr())
	var records []map[string]any
	require.NoError(t, json.Unmarshal([]byte(client.Get(t.Context(), "db:analytics_m").Val()), &records))
	require.Len(t, records, 1600)
	stats := client.Info(t.Context(), "commandstats").Val()
	calls, err := strconv.Atoi(regexp.MustCompile(`cmdstat_set:calls=(\d+)`).FindStringSubmatch(stats)[1])
	require.NoError(t, err)
	require.LessOrEqual(t, calls, 5, "calls that write the list of all buckets")
	size := client.StrLen(t.Context(), "db:analytics_m").Val()
	in, err := strconv.ParseInt(regexp.MustCompile(`total_net_input_bytes:(\d+)`).FindStringSubmatch(client.Info(t.Context(), "stats").Val())[1], 10, 64)
	require.NoError(t, err)
	require.Less(t, in, 8*size, "bytes that are sent")
}

func TestOriginal10NothingIsLostWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	addr := server.Addr()
	require.NoError(t, server.Stop())
	var lines strings.Builder
	for hour := range 100 {
		fmt.Fprintf(&lines, "m v=%d %d\n", hour, int64(hour)*3600e9)
	}
	conf := describedWith(writeFile(t, "in.lp", lines.String()), "  period = \"200ms\"\n  bucket = \"1h\"\n",
		redisOutput(addr, "db")+"  startup_error_behavior = \"retry\"\n")
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", conf))
	p.waitForLog("connection refused")
	redistest.Start(t, redisserver.Options{Addr: addr})
	url := apiOn(t, addr)
	p.waitFor("every bucket", func() bool { return len(served(url)) == 100 })
	p.stop()
}

func TestOriginal11ACacheWithoutADatabaseIsAnError(t *testing.T) {
	t.Parallel()
	r := runTelegraf(t, "--once", "--config", writeFile(t, "telegraf.conf", describedWith("/dev/null", "", redisOutput("127.0.0.1:1", ""))))
	require.NotZero(t, r.code)
	require.Contains(t, r.stderr, `invalid 'database' setting ""`)
}

// A plain sum of the four values, one after the other, gives a mean of 0.25. A parser of line protocol accepts no NaN, so
// a processor creates it.
func TestOriginal12SumsAreExactAndNaNIsSkipped(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out.lp")
	fed := filepath.Join(t.TempDir(), "fed.csv")
	const lines = "m v=1e16,only=7 1\nm v=1,w=2 2\nm v=7,only=7 3\nm v=-1e16 4\nm v=1 5\nm v=7,w=4 6\nbig v=9007199254740993i 1\n"
	const makeNaN = `
[[processors.starlark]]
  source = '''
def apply(metric):
    for key, value in metric.fields.items():
        if value == 7.0:
            metric.fields[key] = float("nan")
    return metric
'''
`
	conf := describedWith(writeFile(t, "in.lp", lines), "  bucket = \"1h\"\n", makeNaN+fileOutput(out)+"  namepass = [\"analytics_*\"]\n"+
		fmt.Sprintf("[[outputs.file]]\n  files = [%q]\n  namepass = [\"m\"]\n  data_format = \"csv\"\n", fed))
	runOnce(t, strings.Replace(conf, "drop_original = true", "drop_original = false", 1))
	require.Equal(t, 4, strings.Count(readFile(t, fed), "NaN"), "values of describe that are NaN")
	rows := make(map[string]map[string]any)
	for _, m := range parseLines(t, out) {
		rows[rowKey(m)] = m.Fields()
	}
	v := rows["analytics_m v 0"]
	require.Equal(t, []any{int64(4), 0.5, -1e16, 1e16, 1.0, 1.0}, []any{v["count"], v["mean"], v["min"], v["max"], v["median"], v["mode"]})
	require.Equal(t, []any{int64(2), 3.0}, []any{rows["analytics_m w 0"]["count"], rows["analytics_m w 0"]["mean"]})
	require.NotContains(t, rows, "analytics_m only 0", "a bucket without a value")

	// Integers above 2^53 are rounded to a float64, as documented in the README of describe.
	require.Equal(t, math.Exp2(53), rows["analytics_big v 0"]["max"])
	require.Contains(t, readFile(t, "../../plugins/aggregators/describe/README.md"), "Integers above 2^53 lose digits")
}

func TestOriginal13WidthsAndFieldsOfAnyNameWork(t *testing.T) {
	t.Parallel()
	for width, want := range map[string]string{"0d": "is zero", "-1d": "want whole numbers", "10": "want whole numbers"} {
		r := runTelegraf(t, "--once", "--config", writeFile(t, "telegraf.conf", describedWith("/dev/null", fmt.Sprintf("  bucket = %q\n", width), fileOutput("stdout"))))
		require.NotZero(t, r.code)
		require.Contains(t, r.stderr, fmt.Sprintf("invalid 'bucket' setting: width %q", width))
		require.Contains(t, r.stderr, want)
		require.NotContains(t, r.stderr, "goroutine ")
	}
	rows := describeLines(t, "m fields=1,field_name=2,time_bucket=3,count=4 1589587200000000000\n", "  bucket = \"1w\"\n")
	require.Len(t, rows, 4)
	require.Contains(t, rows, fmt.Sprintf("analytics_m fields %d", time.Date(2020, 5, 11, 0, 0, 0, 0, time.UTC).UnixNano()))
}

func TestOriginal14RowsHaveATimeKeysExpireAndRedisIsConfigured(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	runOnce(t, describedWith(writeFile(t, "in.lp", "m v=1 1589587200000000000\n"), "  bucket = \"1d\"\n", redisOutput(server, "db")))
	client := redistest.Open(t, server)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 9)
	for _, key := range keys {
		require.Positive(t, client.TTL(t.Context(), key).Val(), key)
	}
	var records []map[string]any
	getJSON(t, apiOn(t, server)+"/analytics/m?database=db", &records)
	require.Equal(t, 1589587200000.0, records[0]["time"])
}

func TestOriginal15TheDocumentedRequestAnswers(t *testing.T) {
	t.Parallel()
	server := redistest.Database(t)
	runOnce(t, describedWith(writeFile(t, "in.lp", "solar v=1 1\n"), "  bucket = \"1h\"\n", redisOutput(server, "db")))
	url := apiOn(t, server)
	var records []map[string]any
	getJSON(t, url+"/analytics/solar?database=db", &records)
	require.Len(t, records, 1)
	for path, want := range map[string]int{
		"/analytics/solar": http.StatusBadRequest, "/analytics/solar?database=other": http.StatusNotFound, "/analytics/wind?database=db": http.StatusNotFound,
	} {
		resp, err := apitest.Client.Get(url + path) //nolint:noctx // on loopback
		require.NoError(t, err)
		var problem map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&problem))
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode)
		require.IsType(t, "", problem["detail"], "clients of the old service expect a string")
	}
}

// The default addresses of the API and of its Redis are those of the old service. The test sets other ones by variables.
func TestOriginal16TheServiceStartsItsRedisAndReadsItsVariables(t *testing.T) {
	t.Parallel()
	documented := readFile(t, "../analytics-api/analytics-api.toml")
	require.Contains(t, documented, `listen = "127.0.0.1:8001"`)
	require.Contains(t, documented, `redis = ["redis://127.0.0.1:6379"]`)

	api, redisAddr := startAPI(t, "ANALYTICS_API_LISTEN=127.0.0.1:0", "ANALYTICS_API_EMBEDDED=memory",
		"ANALYTICS_API_EMBEDDED_LISTEN=127.0.0.1:0", "ANALYTICS_API_DEFAULT_DATABASE=db", "ANALYTICS_API_MAX_RECORDS=2")
	runOnce(t, describedWith(writeFile(t, "in.lp", "m v=1 1\nm v=2 2\n"), "  bucket = \"1h\"\n", redisOutput(redisAddr, "db")))
	var records []map[string]any
	getJSON(t, api+"/analytics/m", &records)
	require.Len(t, records, 1)
	require.Equal(t, []any{"v", 2.0, 1.5}, []any{records[0]["field_name"], records[0]["count"], records[0]["mean"]})
	resp, err := apitest.Client.Get(api + "/analytics/m?limit=3") //nolint:noctx // on loopback
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, "the variable sets max_records")
}
