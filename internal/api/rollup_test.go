package api_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/golden"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// summarized gives a record the summary of values.
func summarized(r record.Record, values ...float64) record.Record {
	sum := stats.New(64)
	sum.AddAll(values, nil)
	r.Summary, _ = sum.MarshalBinary()
	return r
}

// rows returns the records of an answer.
func rows(t *testing.T, s http.Handler, path string) (all []map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &all))
	return all
}

func TestRecordsAreRolledUp(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for m := range 10 { // 02:55 to 03:04
		for i, host := range []string{"a", "b"} {
			r := marked(rec(m, "f", host, 0), m > 0)
			r.Agent = "agent " + host
			all = append(all, summarized(r, float64(m), float64(10*i)))
		}
	}
	s.put(t, all...)
	const path = "/analytics/cpu?database=db&stats=count,p50&stats=max&bucket=5m&"
	require.Equal(t, []map[string]any{
		{
			"table_name": "analytics_cpu", "field_name": "f", "time_bucket": "2026-01-02T02:55:00Z", "time": 1767322500000.0, "agent": "", "final": true,
			"cpu": "cpu0", "count": 20.0, "max": 10.0, "p50": 7.0, "max_error": 0.0, "share_le_0": 0.25, "share_le_0_error": 0.0, "share_le_6.5": 0.45, "share_le_6.5_error": 0.0,
		},
		{
			"table_name": "analytics_cpu", "field_name": "f", "time_bucket": "2026-01-02T03:00:00Z", "time": 1767322800000.0, "agent": "", "final": false,
			"cpu": "cpu0", "count": 20.0, "max": 10.0, "p50": 2.0, "max_error": 0.0, "share_le_0": 0.35, "share_le_0_error": 0.0, "share_le_6.5": 0.75, "share_le_6.5_error": 0.0,
		},
	}, rows(t, s, path+"group_by=cpu&share_le=0&share_le=6.5&share_le=0.0"))
	counts := func(query string) (texts []string) {
		for _, r := range rows(t, s, path+query) {
			texts = append(texts, fmt.Sprint(r["time_bucket"].(string)[11:16], r["host"], r["count"]))
		}
		return texts
	}
	require.Equal(t, []string{"02:55a10", "02:55b10", "03:00a10", "03:00b10"}, counts(""))
	require.Equal(t, []string{"02:55<nil> 20", "03:00<nil> 20"}, counts("group_by="))
	require.Equal(t, []string{"03:00b10", "03:00a10", "02:55b10", "02:55a10"}, counts("order=desc"))
	require.Equal(t, []string{"03:00a10", "03:00b10"}, counts("last=1"))
	require.Equal(t, []string{"02:55a10"}, counts("limit=1"))
	require.Equal(t, []string{"03:00b10"}, counts("limit=1&order=desc"))
	require.Equal(t, []string{"03:00a10"}, counts("tag=host=a&start=2026-01-02T03:02:00Z"), "the first bucket is whole")
	require.Equal(t, []string{"02:55a10"}, counts("tag=host=a&end=2026-01-02T02:56:00Z"), "the last bucket is whole")
	require.Equal(t, []string{"02:55a10"}, counts("tag=agent=agent+a&final=true&last=1"), "the newest bucket has an open record")
	require.Equal(t, []string{"03:03:00Z", "03:03:00Z"}, func() (starts []string) {
		for _, r := range rows(t, s, "/analytics/cpu?database=db&stats=count&final=true&last=1") {
			starts = append(starts, r["time_bucket"].(string)[11:])
		}
		return starts
	}(), "the newest stored bucket is open")
}

// Agents that store only final records store them some minutes late. Until then a bucket is not complete, although it has ended.
func TestARolledUpBucketIsFinalWhenALaterOneIsStored(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for m := 20; m > 5; m-- { // 02:44 to 02:58
		s.put(t, summarized(marked(rec(m, "f", "a", 0), true), 1))
	}
	s.clock.Store(0)
	final := func() any {
		all := rows(t, s, "/analytics/cpu?database=db&bucket=1h&stats=count")
		return []any{all[0]["count"], all[0]["final"]}
	}
	require.Equal(t, []any{15.0, false}, final())
	require.Empty(t, rows(t, s, "/analytics/cpu?database=db&bucket=1h&stats=count&final=true"))
	s.put(t, summarized(marked(rec(5, "f", "a", 0), true), 1), summarized(marked(rec(4, "f", "a", 0), true), 1))
	require.Equal(t, []any{16.0, true}, final())
	s.put(t, summarized(marked(rec(4, "f", "b", 0), true), 1))
	s.clock.Store(2 * 3600)
	require.Len(t, rows(t, s, "/analytics/cpu?database=db&bucket=1h&stats=count&final=true"), 3, "an hour later no more is expected")
}

// Days of 23 and 25 hours, of buckets that two agents have described, also in pages.
func TestDaysOfARollUpFollowTheTimeZone(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	var all []record.Record
	for _, from := range []time.Time{time.Date(2025, 3, 28, 0, 0, 0, 0, berlin), time.Date(2025, 10, 24, 0, 0, 0, 0, berlin)} {
		for h := range 24 * 4 {
			r := rec(0, "f", "a", 0)
			r.Start = from.Add(time.Duration(h) * time.Hour)
			all = append(all, summed(r, "a1", "", float64(h)), summed(r, "a2", "", float64(h)))
		}
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.put(t, all...)
	path := cpuPath + "&bucket=1d&timezone=Europe/Berlin&stats=count"
	counts := make(map[string]any)
	for _, r := range rows(t, s, path) {
		counts[r["time_bucket"].(string)[:13]] = r["count"]
	}
	require.Equal(t, map[string]any{
		"2025-03-27T23": 48.0, "2025-03-28T23": 48.0, "2025-03-29T23": 46.0, "2025-03-30T22": 48.0, "2025-03-31T22": 2.0, // from midnight of the 28th
		"2025-10-23T22": 48.0, "2025-10-24T22": 48.0, "2025-10-25T22": 50.0, "2025-10-26T23": 46.0, // until 23:00 of the 27th
	}, counts)
	for _, order := range []string{"asc", "desc"} {
		for _, size := range []int{1, 2, 4} {
			got, _ := s.paged(t, fmt.Sprintf("%s&order=%s&limit=%d", path, order, size), nil)
			require.Equal(t, array(t, s.get(t, path+"&order="+order)), got)
		}
	}
}

func TestRecordsWithoutSummariesAreNotRolledUp(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	w := s.get(t, "/analytics/cpu?database=db&bucket=1h")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), `no cached summary, and percentiles cannot be merged without: set emit_summary = \"compact\" in [[aggregators.describe]]`)
}

func TestACorruptSummaryIsNamedAndCounted(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	bad := summarized(rec(0, "f", "a", 0), 1)
	bad.Replica, bad.Summary = "r", []byte("no summary")
	s.put(t, bad, summarized(rec(0, "g", "a", 0), 1))
	require.Len(t, rows(t, s, "/analytics/cpu?database=db&bucket=1h&field=g"), 1, "only wanted summaries are read")
	p := problemOf(t, s.get(t, "/analytics/cpu?database=db&bucket=1h"), http.StatusInternalServerError)
	require.Contains(t, p.Detail, `table "analytics_cpu" of database "db" is corrupt: field "f" of the series "cpu=cpu0,host=a" in the bucket 2026-01-02T03:04:00Z: `)
	require.Contains(t, s.get(t, "/metrics").Body.String(), "analytics_api_corrupt_summaries_total 1\n")
}

func TestRollUpsAreLimited(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxRecords, o.MaxBuckets, o.MaxScanned = 3, 20, 30 })
	var all []record.Record
	for m := range 21 {
		for _, host := range []string{"a", "b", "c", "d"} {
			all = append(all, summarized(rec(m, "f", host, 0), 1))
		}
	}
	s.put(t, all...)
	for query, want := range map[string]string{
		"bucket=1d":                               "the request has to read 21 buckets or more, at most 20 are allowed",
		"bucket=1h&last=1":                        "the answer has 4 records or more, at most 3",
		"bucket=10m&group_by=&last=2":             "the request has to read 32 records or more, at most 30",
		"bucket=1m&last=4&limit=3&tag=host=a":     "",
		"bucket=1h&tag=host=a&last=1&stats=count": "",
	} {
		w := s.get(t, "/analytics/cpu?database=db&"+query)
		if want == "" {
			require.Equal(t, http.StatusOK, w.Code, "%s: %s", query, w.Body)
			continue
		}
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, "%s: %s", query, w.Body)
		require.Contains(t, w.Body.String(), want, query)
	}
}

// A bucket whose summaries are too large for one round trip comes in parts, which stay in memory until all are there.
func TestSummariesOfALargeBucketAreLimited(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxTotalBytes = 20 << 20 })
	sum := stats.New(4000)
	for i := range 4000 {
		sum.Add(math.Sqrt(float64(i)))
	}
	encoded, err := sum.MarshalBinary()
	require.NoError(t, err)
	require.Greater(t, len(encoded), 20_000)
	var all []record.Record
	for i := range 100 {
		r := rec(0, fmt.Sprint("f", i%2), fmt.Sprint("h", i), 1)
		r.Summary = encoded
		all = append(all, r)
	}
	s.put(t, all...)
	const path = "/analytics/cpu?database=db&stats=p50"
	detail := problemOf(t, s.get(t, path), http.StatusUnprocessableEntity).Detail
	require.Regexp(t, "^a bucket has summaries of [0-9]{7} bytes or more, at most [0-9]{7} are allowed: select series with field or tag$", detail)
	require.Len(t, array(t, s.get(t, path+"&field=f1")), 50)
	require.Len(t, array(t, s.get(t, path+"&tag=host=h7")), 1)
}

func TestACSVWithManyColumnsIsLimited(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxBytes = 200_000 })
	var all []record.Record
	for i := range 500 {
		r := rec(1, "f", "a", 1)
		r.Tags = []series.Tag{{Key: fmt.Sprint("tag", i), Value: "v"}}
		all = append(all, r)
	}
	s.put(t, all...)
	require.Equal(t, http.StatusOK, s.get(t, "/analytics/cpu?database=db&format=jsonl").Code)
	w := s.get(t, "/analytics/cpu?database=db&format=csv")
	require.Equal(t, http.StatusUnprocessableEntity, w.Code)
	require.Contains(t, w.Body.String(), "the table has 253500 cells, at most 200000 are allowed: narrow it down with start, end, last, field or tag, or read it in pages with limit, or use format=jsonl")
}

func TestABucketThatAFormatOrGridCannotExpressIsNamed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	r := summarized(rec(0, "f", "a", 1), 1)
	r.Start = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	other := summarized(rec(0, "f", "b", 1), 1)
	other.Start = r.Start
	s.put(t, r, other)
	for query, want := range map[string]string{"format=lp": "out of range", "bucket=1h": "outside of the years 1678 to 2261"} {
		w := s.get(t, "/analytics/cpu?database=db&"+query)
		require.Equal(t, http.StatusBadRequest, w.Code, "%s: %s", query, w.Body)
		require.Contains(t, w.Body.String(), want)
	}
	for _, query := range []string{"format=lp", "format=lp&limit=1", "format=lp&group_by=", "format=lp&group_by=host&limit=1"} {
		w := with(s, http.MethodGet, "/analytics/cpu?database=db&"+query, "If-None-Match", "*")
		require.Contains(t, problemOf(t, w, http.StatusBadRequest).Detail, "out of range", query)
		require.NotContains(t, w.Header(), "Link", "a problem has no next page")
	}
}

func TestWrongParametersOfARollUpAreNamed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	w := s.get(t, "/analytics/cpu?database=db&bucket=1x&timezone=Mars&stats=p101&share_le=x&method=best&format=xml&order=up&pretty=yes")
	require.Equal(t, http.StatusBadRequest, w.Code)
	var problem struct{ Errors []api.Fault }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
	var locations []string
	for _, f := range problem.Errors {
		locations = append(locations, f.Location)
	}
	require.ElementsMatch(t, []string{"query.bucket", "query.timezone", "query.stats", "query.share_le", "query.method", "query.format", "query.order", "query.pretty"}, locations)
	for query, want := range map[string]string{
		"timezone=UTC": "want the parameter bucket too", "share_le=NaN": "want a number", "format=csv&pretty=true": "with the format json only",
		"bucket=1d12h&timezone=Europe/Berlin": "query.bucket",
	} {
		w := s.get(t, "/analytics/cpu?database=db&"+query)
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		require.Contains(t, w.Body.String(), want, query)
	}
}

func TestRecordsComeInTheFormatThatTheClientWants(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	get := func(query, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db&last=1&"+query, http.NoBody)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Contains(t, strings.Split(w.Header().Get("Vary"), ", "), "Accept")
		return w
	}
	w := get("", "text/csv")
	table, err := csv.NewReader(w.Body).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, 5)
	require.Equal(t, []string{"text/csv; charset=utf-8; header=present"}, w.Header().Values("Content-Type"))
	w = get("format=jsonl", "text/csv")
	require.Equal(t, 4, strings.Count(w.Body.String(), "\n"))
	w = get("format=lp&field=f&tag=host=a", "")
	require.Equal(t, "analytics_cpu,agent=a1,cpu=cpu0,field_name=f,host=a count=6i,mean=0 1767323040000000000\n", w.Body.String())
	w = get("pretty=true", "*/*")
	require.Contains(t, w.Body.String(), "\n    \"field_name\": \"f\",\n")
	require.Equal(t, http.StatusNotAcceptable, get("", "image/png").Code)
	etag := get("", "text/csv").Header().Get("ETag")
	require.NotEmpty(t, etag)
	for _, query := range []string{"", "format=jsonl", "pretty=true", "order=desc", "bucket=1m", "bucket=1m&format=csv"} {
		if strings.Contains(query, "bucket") {
			s.put(t, summarized(rec(0, "f", "a", 0), 1), summarized(rec(0, "g", "a", 0), 1), summarized(rec(0, "f", "b", 0), 1), summarized(rec(0, "g", "b", 0), 1))
		}
		other := get(query, "").Header().Get("ETag")
		require.NotEqual(t, etag, other, query)
		r := httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db&last=1&"+query, http.NoBody)
		r.Header.Set("If-None-Match", other)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotModified, w.Code, query)
		require.Empty(t, w.Body.String())
	}
}

// goldenValue is a value of a golden data set.
type goldenValue struct {
	tags, field string
	at          int64
	value       float64
}

// goldenSet has the values of a data set, with booleans as 1 and 0, and its tables by the rest of their names. Nobody changes them.
type goldenSet struct {
	values []goldenValue
	tables map[string]golden.Table
}

// goldenSets has a function for each data set that several tests use, which reads it once.
var goldenSets sync.Map

// readGolden returns a data set. Its tables are in the order that compareRows wants.
func readGolden(t *testing.T, name string) goldenSet {
	t.Helper()
	read, _ := goldenSets.LoadOrStore(name, sync.OnceValue(func() goldenSet {
		set := goldenSet{goldenValues(t, name), golden.Tables(t, name)}
		for _, table := range set.tables {
			slices.SortFunc(table.Records, func(a, b golden.Record) int {
				return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.Field, b.Field), strings.Compare(a.Tags, b.Tags))
			})
		}
		return set
	}))
	return read.(func() goldenSet)()
}

// goldenValues returns the values of a data set.
func goldenValues(t *testing.T, name string) (all []goldenValue) {
	t.Helper()
	d := lineprotocol.NewDecoderWithBytes(golden.Lines(t, name))
	for d.Next() {
		_, err := d.Measurement()
		require.NoError(t, err)
		var tags []series.Tag
		for {
			key, value, err := d.NextTag()
			require.NoError(t, err)
			if key == nil {
				break
			}
			tags = append(tags, series.Tag{Key: string(key), Value: string(value)})
		}
		first, text := len(all), string(series.AppendTags(nil, tags))
		for {
			key, value, err := d.NextField()
			if err != nil {
				require.NoError(t, err)
			}
			if key == nil {
				break
			}
			v := goldenValue{tags: text, field: string(key)}
			switch x := value.Interface().(type) {
			case float64:
				v.value = x
			case int64:
				v.value = float64(x)
			case bool:
				v.value = map[bool]float64{true: 1}[x]
			default:
				continue
			}
			all = append(all, v)
		}
		at, err := d.Time(lineprotocol.Nanosecond, time.Time{})
		require.NoError(t, err)
		for i := range all[first:] {
			all[first+i].at = at.UnixNano()
		}
	}
	return all
}

// goldenRecords divides values among agents and returns the records of their buckets, shuffled and some of them twice. With
// replicas, each agent has another one, which has missed some values. All series are one, unless they are apart.
func goldenRecords(values []goldenValue, rnd *rand.Rand, width time.Duration, apart bool, agents int, replicas bool) (all []record.Record) {
	type key struct {
		tags, field, agent string
		start              int64
	}
	parts, w := make(map[key][]float64), width.Nanoseconds()
	names := make([]string, agents)
	for i := range names {
		names[i] = fmt.Sprint("agent", i)
	}
	for _, v := range values {
		start := v.at - (v.at%w+w)%w
		k := key{v.tags, v.field, names[rnd.IntN(agents)], start}
		if !apart {
			k.tags = ""
		}
		parts[k] = append(parts[k], v.value)
	}
	for k, xs := range parts {
		tags, _ := series.ParseTags(k.tags)
		r := record.Record{Table: "analytics_cpu", Field: k.field, Agent: k.agent, Tags: tags, Start: time.Unix(0, k.start).UTC(), State: record.Final}
		replica := ""
		if replicas && len(xs) > 1 {
			replica = "a"
			all = append(all, summed(r, k.agent, "b", xs[:len(xs)/2]...))
		}
		r = summed(r, k.agent, replica, xs...)
		all = append(all, r)
		if rnd.IntN(5) == 0 {
			all = append(all, r)
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func TestRollUpsOfGoldenDataThatSeveralAgentsHaveDescribed(t *testing.T) {
	t.Parallel()
	for i, name := range golden.Names(t) {
		set := readGolden(t, name)
		for j, agents := range []int{1, 2, 10} {
			for _, replicas := range []bool{false, true} {
				if len(set.values) > 10_000 && ((i+j)%3 > 0 || replicas) || testing.Short() && (agents == 2 || (agents == 1) == replicas) {
					continue // the large sets take the longest
				}
				t.Run(fmt.Sprintf("%s/agents=%d/replicas=%t", name, agents, replicas), func(t *testing.T) {
					s := goldenService(t)
					s.put(t, goldenRecords(set.values, rand.New(rand.NewPCG(uint64(agents), 8)), time.Hour, true, agents, replicas)...)
					for rest, want := range set.tables {
						if want.Bucket != "all" {
							compareGolden(t, s, want, strings.Contains(rest, "by_series"))
						}
					}
				})
			}
		}
	}
}

// goldenService serves a Redis with high limits.
func goldenService(t *testing.T) *service {
	t.Helper()
	return serve(t, redistest.Open(t, redistest.Database(t)), func(o *api.Options) {
		o.MaxRecords, o.MaxBuckets, o.MaxScanned, o.MaxBytes = 1_000_000, 1_000_000, 10_000_000, 1<<28
	})
}

// Without any parameter, the values of all agents are one record of each bucket, and pages are the whole answer.
func TestRecordsOfGoldenDataThatSeveralAgentsHaveDescribed(t *testing.T) {
	t.Parallel()
	widths := map[string]time.Duration{"1h": time.Hour, "1d": 24 * time.Hour}
	for i, name := range golden.Names(t) {
		set := readGolden(t, name)
		for rest, want := range set.tables {
			for j, agents := range []int{1, 2, 10} {
				for _, replicas := range []bool{false, true} {
					if widths[want.Bucket] == 0 || len(set.values) > 10_000 && ((i+j)%3 > 0 || replicas) || testing.Short() && (agents == 2 || (agents == 1) == replicas) {
						continue
					}
					t.Run(fmt.Sprintf("%s.%s/agents=%d/replicas=%t", name, rest, agents, replicas), func(t *testing.T) {
						s := goldenService(t)
						s.put(t, goldenRecords(set.values, rand.New(rand.NewPCG(uint64(agents), 9)), widths[want.Bucket], strings.Contains(rest, "by_series"), agents, replicas)...)
						compareRows(t, rows(t, s, cpuPath), want)
						for _, order := range []string{"asc", "desc"} {
							whole := array(t, s.get(t, cpuPath+"&order="+order))
							size := len(whole)/3 + 1
							got, pages := s.paged(t, fmt.Sprintf("%s&order=%s&limit=%d", cpuPath, order, size), nil)
							require.True(t, slices.Equal(whole, got), "pages in the order %s", order)
							require.Equal(t, (len(whole)+size-1)/size, pages)
						}
					})
				}
			}
		}
	}
}

func compareGolden(t *testing.T, s *service, want golden.Table, bySeries bool) {
	t.Helper()
	query := url.Values{"database": {"db"}, "bucket": {want.Bucket}, "stats": {"count,min,max,mean,median,p95,max_error"}}
	if !bySeries {
		query.Set("group_by", "")
	}
	compareRows(t, rows(t, s, "/analytics/cpu?"+query.Encode()), want)
}

// compareRows compares the records of an answer with those of a table of readGolden.
func compareRows(t *testing.T, got []map[string]any, want golden.Table) {
	t.Helper()
	require.Len(t, got, len(want.Records))
	slices.SortFunc(got, func(a, b map[string]any) int {
		if c := cmp.Or(cmp.Compare(a["time"].(float64), b["time"].(float64)), strings.Compare(a["field_name"].(string), b["field_name"].(string))); c != 0 {
			return c
		}
		return strings.Compare(tagsText(a), tagsText(b))
	})
	for i, w := range want.Records {
		r := got[i]
		same := [...]any{float64(w.Start / 1e6), w.Field, float64(w.Count), w.Min, w.Max}
		if got := [...]any{r["time"], r["field_name"], r["count"], r["min"], r["max"]}; got != same {
			require.Equal(t, same, got)
		}
		near(t, w, w.Mean, r["mean"], 1e-9*math.Max(math.Abs(w.Mean), math.Max(math.Abs(w.Min), math.Abs(w.Max))))
		// One part of 65,536 of the largest magnitude is allowed in addition: see stats.Summary.MaxError.
		maxError, most := 0.0, math.Max(math.Abs(w.Min), math.Abs(w.Max))*1.6e-5
		if e, ok := r["max_error"].(float64); ok { // a stored record that is exact has none
			maxError = e
		}
		near(t, w, w.Median, r["median"], maxError*math.Abs(w.Median)+most+maxError*gap(w))
		near(t, w, w.P95, r["p95"], maxError*math.Abs(w.P95)+most+maxError*gap(w))
	}
}

// near compares a statistic of a record of the golden data with that of an answer. Nearly all agree, so that is found without reflection.
func near(t *testing.T, w golden.Record, want float64, got any, delta float64) {
	t.Helper()
	if x, ok := got.(float64); ok && math.Abs(want-x) <= delta {
		return
	}
	require.InDelta(t, want, got, delta, "%+v", w)
}

// gap bounds the distance of two neighbouring values between which a quantile may be.
func gap(w golden.Record) float64 { return w.Max - w.Min }

// tagsText returns the tags of a record as the golden data have them.
func tagsText(r map[string]any) string {
	var tags []string
	for key, value := range r {
		if text, ok := value.(string); ok && !slices.Contains([]string{"table_name", "field_name", "time_bucket", "agent", "replica"}, key) {
			tags = append(tags, key+"="+text)
		}
	}
	slices.Sort(tags)
	return strings.Join(tags, ",")
}

// BenchmarkRollUp answers a request that merges 24,000 summaries, with reading them from Redis.
func BenchmarkRollUp(b *testing.B) {
	s := serve(b, redistest.Open(b, redistest.Database(b)), func(o *api.Options) { o.CacheBytes = -1 })
	rnd := rand.New(rand.NewPCG(5, 6))
	for m := range 480 {
		records := make([]record.Record, 0, 50)
		for host := range 10 {
			for field := range 5 {
				values := make([]float64, 18)
				for i := range values {
					values[i] = 50 + 10*rnd.NormFloat64()
				}
				records = append(records, summarized(rec(m, fmt.Sprint("f", field), fmt.Sprint("h", host), 0), values...))
			}
		}
		require.NoError(b, s.writer.Put(b.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, records))
	}
	for b.Loop() {
		w := s.get(b, "/analytics/cpu?database=db&bucket=1h&group_by=&stats=count,mean,p50,p99")
		if w.Code != http.StatusOK || bytes.Count(w.Body.Bytes(), []byte("table_name")) != 9*5 {
			b.Fatalf("status %d: %d records", w.Code, bytes.Count(w.Body.Bytes(), []byte("table_name")))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/24_000, "ns/summary")
}
