package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// service is an API on a cache in process.
type service struct {
	http.Handler
	store *cache.Store
	clock atomic.Int64 // seconds beyond now
}

func serve(t testing.TB, client redis.UniversalClient, edit func(*Options)) *service {
	t.Helper()
	s := &service{store: cache.NewStore(client, cache.Options{Retention: time.Hour})}
	o := Options{
		MaxRecords: 1000, MaxBuckets: 500, MaxBytes: 1 << 20, Timeout: 5 * time.Second, ExportMaxSeries: 100, ExportBuckets: 3, Storage: "a test", Version: "v1",
		Now: func() time.Time { return now.Add(time.Duration(s.clock.Load()) * time.Second) },
	}
	if edit != nil {
		edit(&o)
	}
	s.Handler = New(s.store, o)
	return s
}

func inProcess(t testing.TB, edit func(*Options)) *service {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return serve(t, client, edit)
}

// rec is a record of a minute that ends that many minutes before now.
func rec(minutes int, field, host string, mean float64) record.Record {
	return record.Record{
		Table: "analytics_cpu", Field: field, Agent: "a1", Tags: []series.Tag{{Key: "host", Value: host}, {Key: "cpu", Value: "cpu0"}},
		Start: now.Truncate(time.Minute).Add(-time.Duration(minutes) * time.Minute),
		Stats: []record.Stat{{Name: "count", Value: int64(6)}, {Name: "mean", Value: mean}},
	}
}

// fill writes ten minutes of two fields of two hosts, and returns them in the order of an answer.
func (s *service) fill(t testing.TB) []record.Record {
	t.Helper()
	var all []record.Record
	for m := 9; m >= 0; m-- {
		for _, field := range []string{"f", "g"} {
			for _, host := range []string{"a", "b"} {
				all = append(all, rec(m, field, host, float64(m)))
			}
		}
	}
	require.NoError(t, s.store.Put(context.Background(), record.Table{Database: "db", Name: "analytics_cpu"}, all))
	s.clock.Add(10) // what the service remembers of the catalogue is over
	return all
}

func (s *service) get(t testing.TB, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return w
}

// array returns the records of an answer as JSON texts.
func array(t testing.TB, w *httptest.ResponseRecorder) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var raw []json.RawMessage
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &raw))
	texts := make([]string, 0, len(raw))
	for _, r := range raw {
		texts = append(texts, string(r))
	}
	return texts
}

func texts(records []record.Record, keep func(record.Record) bool) []string {
	all := []string{}
	for _, r := range records {
		if keep(r) {
			all = append(all, string(r.AppendJSON(nil)))
		}
	}
	return all
}

type problem struct {
	Type, Title, Detail, Instance string
	Status                        int
	Errors                        []Fault
}

func problemOf(t testing.TB, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	return p
}

func TestRecordsOfATable(t *testing.T) {
	s := inProcess(t, nil)
	all := s.fill(t)
	host := func(name string) func(record.Record) bool {
		return func(r record.Record) bool { return r.Tags[0].Value == name }
	}
	since := func(minutes int) func(record.Record) bool {
		return func(r record.Record) bool { return !r.Start.Before(rec(minutes, "", "", 0).Start) }
	}
	at := func(minutes int) string { return url.QueryEscape(rec(minutes, "", "", 0).Start.Format(time.RFC3339)) }
	for query, keep := range map[string]func(record.Record) bool{
		"":                                  func(record.Record) bool { return true },
		"&field=f":                          func(r record.Record) bool { return r.Field == "f" },
		"&field=f&field=g":                  func(record.Record) bool { return true },
		"&field=none":                       func(record.Record) bool { return false },
		"&tag=host%3Da":                     host("a"),
		"&tag=host=b&tag=cpu=cpu0":          host("b"),
		"&tag=host=a&tag=host=b":            func(record.Record) bool { return false },
		"&tag=agent=a1&tag=host=a":          host("a"),
		"&tag=agent=a2":                     func(record.Record) bool { return false },
		"&last=3":                           since(2),
		"&last=500":                         since(9),
		"&start=-3m":                        since(2), // now is within the minute
		"&start=" + at(4):                   since(4),
		"&start=" + at(4) + "&end=now":      since(4),
		"&start=" + at(4) + "&end=" + at(3): func(r record.Record) bool { return r.Start.Equal(rec(4, "", "", 0).Start) },
		"&end=" + at(8):                     func(r record.Record) bool { return !since(8)(r) },
		fmt.Sprintf("&start=%d", rec(1, "", "", 0).Start.UnixMilli()): since(1),
		"&last=5&field=g&tag=host=b&start=-2m":                        func(r record.Record) bool { return since(1)(r) && r.Field == "g" && host("b")(r) },
	} {
		require.Equal(t, texts(all, keep), array(t, s.get(t, "/analytics/cpu?database=db"+query)), query)
	}
	require.Equal(t, texts(all, since(9)), array(t, s.get(t, "/analytics/analytics_cpu?database=db")), "with the prefix too")
	require.Equal(t, texts(all, since(0)), array(t, s.get(t, "/analytics/cpu?database=db&limit=4")))
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&limit=5&field=f")), 5)
}

func TestANameWithThePrefixGoesFirst(t *testing.T) {
	s := inProcess(t, nil)
	for _, name := range []string{"analytics_a", "analytics_analytics_a", "analytics_analytics_b", "plain"} {
		r := rec(0, "f", "h", 1)
		r.Table = name
		require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: name}, []record.Record{r}))
	}
	for asked, want := range map[string]string{
		"a": "analytics_a", "analytics_a": "analytics_a", "analytics_analytics_a": "analytics_analytics_a", "analytics_b": "analytics_analytics_b", "plain": "plain",
	} {
		require.Contains(t, array(t, s.get(t, "/analytics/"+asked+"?database=db"))[0], `"table_name":"`+want+`"`)
	}
}

func TestFaultsOfARequestAreAllNamed(t *testing.T) {
	s := inProcess(t, nil)
	s.fill(t)
	const base = "/analytics/cpu?database=db"
	long := strings.Repeat("x", 300)
	for path, want := range map[string][]Fault{
		"/analytics/cpu":                              {{"query.database", `""`, "want a name"}},
		"/analytics/cpu?database=":                    {{"query.database", `""`, "want a name"}},
		"/analytics/cpu?database=a%2Fb":               {{"query.database", `"a/b"`, "a name has none of { } /"}},
		"/analytics/cpu?database=%7Ba%7D":             {{"query.database", `"{a}"`, "a name has none of { } /"}},
		"/analytics/cpu?database=a%0Ab":               {{"query.database", `"a\nb"`, "a name has no control characters"}},
		"/analytics/cpu?database=%ff":                 {{"query.database", `"\xff"`, "a name is valid UTF-8"}},
		"/analytics/cpu?database=" + long:             {{"query.database", `"` + long[:80] + `"…`, "a name has at most 255 bytes, this one has 300"}},
		"/analytics/" + long + "?database=db":         {{"path.table", `"` + long[:80] + `"…`, "a name has at most 255 bytes, this one has 300"}},
		"/analytics/a%2Fb?database=db":                {{"path.table", `"a/b"`, "a name has none of { } /"}},
		"/analytics/a%00?database=db":                 {{"path.table", `"a\x00"`, "a name has no control characters"}},
		"/analytics/a%0Ab?database=db":                {{"path.table", `"a\nb"`, "a name has no control characters"}},
		"/analytics/%7B%7D?database=db":               {{"path.table", `"{}"`, "a name has none of { } /"}},
		"/analytics/%ff?database=db":                  {{"path.table", `"\xff"`, "a name is valid UTF-8"}},
		base + "&limit=0":                             {{"query.limit", `"0"`, "want a number from 1 to 1000"}},
		base + "&limit=1001&last=-1":                  {{"query.last", `"-1"`, "want a number from 1 to 500"}, {"query.limit", `"1001"`, "want a number from 1 to 1000"}},
		base + "&tag=host":                            {{"query.tag", `"host"`, "want key=value, such as tag=host=a"}},
		base + "&last=1&last=2":                       {{"query.last", `"1,2"`, "want this parameter once"}},
		base + "&fields=f":                            {{"query.fields", `"f"`, "this parameter is not known here, known are database, start, end, last, limit, field, tag"}},
		base + "&start=2026-01-02T00:00:00Z&end=-10d": {{"query.end", `"-10d"`, "want a time after start, which is 2026-01-02T00:00:00Z"}},
		"/databases?x=1":                              {{"query.x", `"1"`, "this parameter is not known here, there are none"}},
		"/analytics":                                  {{"query.database", `""`, "want a name"}},
	} {
		require.Equal(t, want, problemOf(t, s.get(t, path), http.StatusBadRequest).Errors, path)
	}
	p := problemOf(t, s.get(t, base+"&start=yesterday&nope=1"), http.StatusBadRequest)
	require.Len(t, p.Errors, 2)
	require.Contains(t, p.Errors[1].Message, `want a time as RFC 3339 has it`)
	require.Contains(t, p.Detail, "2 parameters are wrong")
	problemOf(t, s.get(t, base+"&x=%zz"), http.StatusBadRequest)
}

func TestAPlusThatBecameASpaceIsHintedAt(t *testing.T) {
	s := inProcess(t, nil)
	s.fill(t)
	const hint = "; write + as %2B"
	for start, hinted := range map[string]bool{"2024-01-01T00:00:00+01:00": true, "2024-01-01+00:00:00": false, "noon": false} {
		p := problemOf(t, s.get(t, "/analytics/cpu?database=db&start="+start), http.StatusBadRequest)
		require.Len(t, p.Errors, 1)
		require.Equal(t, hinted, strings.HasSuffix(p.Errors[0].Message, hint), start)
		require.Equal(t, hinted, strings.HasSuffix(p.Detail, hint), start)
	}
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&start=2024-01-01T00:00:00%2B01:00")), 40)
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	s := inProcess(t, nil)
	s.fill(t)
	for path, want := range map[string]string{
		"/analytics/mem?database=db":        `no table "analytics_mem" in database "db"`,
		"/analytics/cpu?database=other":     `no table "analytics_cpu" in database "other"`,
		"/analytics?database=other":         `no database "other"`,
		"/nothing":                          "there is nothing at this address",
		"/analytics/a/b?database=db":        "there is nothing at this address",
		"/analytics/analytics_x?database=é": `no table "analytics_x" in database "é"`,
	} {
		require.Equal(t, want, problemOf(t, s.get(t, path), http.StatusNotFound).Detail, path)
	}
}

func TestMethods(t *testing.T) {
	s := inProcess(t, nil)
	s.fill(t)
	for _, path := range []string{"/analytics/cpu?database=db", "/databases", "/health", "/metrics", "/"} {
		for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut, "BREW"} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
			problemOf(t, w, http.StatusMethodNotAllowed)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		}
	}
	server := httptest.NewServer(s)
	defer server.Close()
	resp, err := http.Head(server.URL + "/analytics/cpu?database=db")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Empty(t, body)
}

func TestNothingIsCutInSilence(t *testing.T) {
	s := inProcess(t, func(o *Options) { o.MaxRecords, o.MaxBuckets = 30, 8 })
	s.fill(t)
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db"), http.StatusUnprocessableEntity).Detail, "the answer has 10 buckets, at most 8 are allowed")
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db&last=8"), http.StatusUnprocessableEntity).Detail, "the answer has 32 records or more, at most 30 are allowed")
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&last=7")), 28)
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&limit=30")), 30)
	s = inProcess(t, func(o *Options) { o.MaxBytes = 1000 })
	s.fill(t)
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db"), http.StatusUnprocessableEntity).Detail, "bytes or more, at most 1000 are allowed")
}

func TestAnswersAreConditional(t *testing.T) {
	s := inProcess(t, nil)
	s.fill(t)
	first := s.get(t, "/analytics/cpu?database=db")
	etag := first.Header().Get("ETag")
	require.NotEmpty(t, etag)
	conditional := func() int {
		r := httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db", http.NoBody)
		r.Header.Set("If-None-Match", `"other", W/`+etag)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusNotModified, conditional())
	s.fill(t)
	require.Equal(t, http.StatusOK, conditional(), "the table was written")
}

// A Redis that has lost its data counts versions from the start again.
func TestAnAnswerIsNotTakenForThatOfALostTable(t *testing.T) {
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer client.Close()
	written := now
	tag := func(mean float64) string {
		m.FlushAll()
		written = written.Add(time.Second)
		s := serve(t, client, nil)
		s.store.Now = func() time.Time { return written }
		require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{rec(0, "f", "a", mean)}))
		return s.get(t, "/analytics/cpu?database=db").Header().Get("ETag")
	}
	require.NotEqual(t, tag(1), tag(2))
}

// reads is a cache that remembers how many buckets each reading had.
type reads struct {
	*cache.Store
	sizes []int
}

func (r *reads) Records(ctx context.Context, t record.Table, starts []time.Time, yield func(time.Time, []string) error) error {
	r.sizes = append(r.sizes, len(starts))
	return r.Store.Records(ctx, t, starts, yield)
}

func TestNoMoreIsReadAtATimeThanAnAnswerHolds(t *testing.T) {
	s := inProcess(t, nil)
	var all []record.Record
	for m := range 30 {
		all = append(all, rec(m, "f", strings.Repeat("x", 1000), 1))
	}
	require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, all))
	for maxBytes, want := range map[int][]int{1 << 20: {10, 20}, 5000: {10, 4, 4, 4, 4, 4}, 1: {10, 1, 1}} {
		reader := &reads{Store: s.store}
		h := New(reader, Options{MaxRecords: 100, MaxBuckets: 100, MaxBytes: maxBytes, Timeout: time.Minute})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db&field=none", http.NoBody))
		require.Empty(t, array(t, w))
		require.Equal(t, want, reader.sizes[:len(want)], maxBytes)
	}
}

func TestAClientThatIsGoneIsNoFailureOfRedis(t *testing.T) {
	s := inProcess(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/databases", http.NoBody))
	body := s.get(t, "/metrics").Body.String()
	require.Contains(t, body, `analytics_api_requests_total{route="/databases",status="499"} 1`)
	require.NotContains(t, body, "analytics_api_failures_total{")
}

func TestEveryAnswerHasTheSafeHeaders(t *testing.T) {
	s := inProcess(t, nil)
	for _, path := range []string{"/", "/health", "/nothing", "/databases", "/analytics/x?database=y"} {
		h := s.get(t, path).Header()
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.NotEmpty(t, h.Get("Cache-Control"))
	}
}

func TestLists(t *testing.T) {
	s := inProcess(t, nil)
	require.JSONEq(t, "[]", s.get(t, "/databases").Body.String())
	s.fill(t)
	var tables []map[string]any
	require.NoError(t, json.Unmarshal(s.get(t, "/analytics?database=db").Body.Bytes(), &tables))
	require.Len(t, tables, 1)
	require.NotEmpty(t, tables[0]["last_write"])
	delete(tables[0], "last_write")
	require.Equal(t, map[string]any{
		"table": "analytics_cpu", "database": "db", "fields": []any{"f", "g"}, "tag_keys": []any{"cpu", "host"},
		"first_bucket": "2026-01-02T02:55:00Z", "last_bucket": "2026-01-02T03:04:00Z", "version": 1.0,
	}, tables[0])
	var databases []map[string]any
	require.NoError(t, json.Unmarshal(s.get(t, "/databases").Body.Bytes(), &databases))
	require.Len(t, databases, 1)
	require.Equal(t, []any{"db", 1.0}, []any{databases[0]["database"], databases[0]["tables"]})
	require.Equal(t, http.StatusOK, s.get(t, "/").Code)
}

func TestDefaultDatabase(t *testing.T) {
	s := inProcess(t, func(o *Options) { o.DefaultDatabase = "db" })
	s.fill(t)
	require.Len(t, array(t, s.get(t, "/analytics/cpu")), 40)
	problemOf(t, s.get(t, "/analytics/cpu?database=other"), http.StatusNotFound)
	problemOf(t, s.get(t, "/analytics/cpu?database="), http.StatusBadRequest)
}

// Redis goes away and comes back; the service answers all the while.
func TestRedisAway(t *testing.T) {
	server := redistest.Server(t)
	client, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + server.Addr()}, Timeout: time.Second})
	require.NoError(t, err)
	defer client.Close()
	s := serve(t, client, func(o *Options) { o.Export = []record.Table{{Database: "db", Name: "cpu"}} })
	s.fill(t)
	require.Equal(t, http.StatusOK, s.get(t, "/ready").Code)
	require.NoError(t, server.Stop())
	s.clock.Add(10)
	for _, path := range []string{"/ready", "/analytics/cpu?database=db", "/analytics?database=db", "/databases", "/metrics/analytics"} {
		w := s.get(t, path)
		p := problemOf(t, w, http.StatusServiceUnavailable)
		require.Equal(t, "the cache does not answer, try again", p.Detail)
		require.Equal(t, "5", w.Header().Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, s.get(t, "/health").Code)
	require.Contains(t, s.get(t, "/metrics").Body.String(), `analytics_api_failures_total{status="503"} 5`)
	redistest.Start(t, redisserver.Options{Addr: server.Addr()})
	s.fill(t)
	require.Eventually(t, func() bool { return s.get(t, "/ready").Code == http.StatusOK }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db")), 40)
}

func TestHealthSaysWhereRecordsAreKept(t *testing.T) {
	require.JSONEq(t, `{"status":"ok","version":"v1","storage":"a test"}`, inProcess(t, nil).get(t, "/health").Body.String())
}

func TestMetricsOfTheService(t *testing.T) {
	s := inProcess(t, nil)
	s.fill(t)
	s.get(t, "/analytics/cpu?database=db")
	s.get(t, "/analytics/none?database=db")
	body := s.get(t, "/metrics").Body.String()
	for _, want := range []string{
		`analytics_api_requests_total{route="/analytics/{table}",status="200"} 1`, `analytics_api_requests_total{route="/analytics/{table}",status="404"} 1`,
		`analytics_api_build_info{version="v1"} 1`, `analytics_api_request_duration_seconds_count{route="/analytics/{table}"} 2`, "go_goroutines",
	} {
		require.Contains(t, body, want)
	}
}

func TestExportedTables(t *testing.T) {
	s := inProcess(t, func(o *Options) {
		o.Export = []record.Table{{Database: "db", Name: "cpu"}, {Database: "db", Name: "absent"}, {Database: "db", Name: "x.y"}, {Database: "db", Name: "x-y"}}
		o.ExportMaxSeries = 6
	})
	s.fill(t)
	put := func(table string, tags []series.Tag, minutes int) {
		r := rec(minutes, "f", "h", 1.5)
		r.Table, r.Tags = table, tags
		require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: table}, []record.Record{r}))
	}
	put("analytics_cpu", []series.Tag{{Key: "host", Value: "gone"}}, 3) // too old
	put("analytics_cpu", []series.Tag{{Key: "host", Value: "slow\n\""}}, 2)
	put("analytics_cpu", []series.Tag{{Key: "a.b", Value: "1"}, {Key: "a-b", Value: "2"}}, 0)
	put("analytics_x.y", nil, 0)
	put("analytics_x-y", nil, 0)
	s.clock.Add(10)
	body := s.get(t, "/metrics/analytics").Body.String()
	for _, want := range []string{
		`analytics_cpu_mean{agent="a1",cpu="cpu0",database="db",field_name="f",host="a"} 0`,
		`analytics_cpu_count{agent="a1",cpu="cpu0",database="db",field_name="g",host="b"} 6`,
		fmt.Sprintf(`analytics_cpu_bucket_start_seconds{agent="a1",cpu="cpu0",database="db",field_name="f",host="a"} %v`, float64(rec(0, "", "", 0).Start.Unix())),
		`analytics_cpu_mean{agent="a1",database="db",field_name="f",host="slow\n\""} 1.5`,
		`analytics_x_y_mean{agent="a1",database="db",field_name="f"} 1.5`,
		`analytics_export_dropped{reason="label_clash"} 1`, `analytics_export_dropped{reason="name_clash"} 0`, `analytics_export_dropped{reason="overflow"} 1`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "gone")
	require.Equal(t, 1, strings.Count(body, `analytics_cpu_mean{agent="a1",cpu="cpu0",database="db",field_name="f",host="a"}`), "the newest record only")

	s = inProcess(t, func(o *Options) {
		o.Export = []record.Table{{Database: "db", Name: "x.y"}, {Database: "db", Name: "x-y"}}
	})
	put("analytics_x.y", nil, 0)
	put("analytics_x-y", nil, 0)
	require.Contains(t, s.get(t, "/metrics/analytics").Body.String(), `analytics_export_dropped{reason="name_clash"} 3`)
}

// What is one in Prometheus, though not in the cache, is counted and spoils nothing.
func TestExportedSeriesThatAreOneInPrometheus(t *testing.T) {
	s := inProcess(t, func(o *Options) {
		o.Export = []record.Table{{Database: "db", Name: "cpu"}, {Database: "db", Name: "analytics_cpu"}, {Database: "db", Name: "cpu"}}
	})
	for _, tags := range [][]series.Tag{
		{{Key: "a.b", Value: "1"}, {Key: "a.a", Value: "2"}}, {{Key: "a-b", Value: "1"}, {Key: "a.a", Value: "2"}}, // another order by name
		{{Key: "x.y", Value: "1"}}, {{Key: "x-y", Value: "1"}},
		{{Key: "host", Value: "a"}},
	} {
		for minutes := range 2 { // the older record is no other series
			r := rec(minutes, "f", "", 1.5)
			r.Tags = tags
			r.Stats = append(r.Stats, record.Stat{Name: "s.t", Value: 1.0}, record.Stat{Name: "s-t", Value: 2.0}, record.Stat{Name: "bucket_start_seconds", Value: 3.0})
			require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
		}
	}
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for _, labels := range []string{`a_a="2",a_b="1",agent="a1",database="db",field_name="f"`, `agent="a1",database="db",field_name="f",x_y="1"`, `host="a"`} {
		require.Equal(t, 1, strings.Count(w.Body.String(), labels+"} 1.5"), labels)
	}
	require.Contains(t, w.Body.String(), `analytics_export_dropped{reason="label_clash"} 2`)
	require.Contains(t, w.Body.String(), `analytics_export_dropped{reason="name_clash"} 6`)
}

func TestATagThatHasTheNameOfALabelIsRenamed(t *testing.T) {
	s := inProcess(t, func(o *Options) { o.Export = []record.Table{{Database: "db", Name: "cpu"}} })
	for i, tags := range [][]series.Tag{
		{{Key: "database", Value: "pg"}},
		{{Key: "field.name", Value: "x"}},
		{{Key: "database", Value: "pg"}, {Key: "database_tag", Value: "other"}}, // the new name is taken
	} {
		r := rec(0, fmt.Sprint("f", i), "h", 1.5)
		r.Tags = tags
		require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
	}
	body := s.get(t, "/metrics/analytics").Body.String()
	for _, want := range []string{
		`analytics_cpu_mean{agent="a1",database="db",database_tag="pg",field_name="f0"} 1.5`,
		`analytics_cpu_mean{agent="a1",database="db",field_name="f1",field_name_tag="x"} 1.5`,
		`analytics_export_dropped{reason="label_clash"} 1`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, `"f2"`)
}

func TestAStatisticThatHasTheNameOfTheExportersOwnIsDropped(t *testing.T) {
	s := inProcess(t, func(o *Options) {
		o.Export = []record.Table{{Database: "db", Name: "export"}, {Database: "db", Name: "cpu"}}
	})
	s.fill(t)
	r := rec(0, "f", "h", 1.5)
	r.Table = "analytics_export"
	r.Stats = append(r.Stats, record.Stat{Name: "dropped", Value: 1.0})
	require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for _, want := range []string{"analytics_export_mean{", "analytics_cpu_mean{", `analytics_export_dropped{reason="name_clash"} 1`} {
		require.Contains(t, w.Body.String(), want)
	}
}

func TestMetricsThatDoNotFitTogetherAreNoFailureOfRedis(t *testing.T) {
	s := &server{Options: Options{Timeout: time.Second, Log: slog.New(slog.DiscardHandler)}, metrics: newMetrics("")}
	clash, gone := errors.New("collected before"), unavailable{errors.New("dial tcp 10.0.0.1: secret")}
	get := func(failure error) *httptest.ResponseRecorder {
		gatherer := prometheus.GathererFunc(func() ([]*dtoFamily, error) { return nil, failure })
		w := httptest.NewRecorder()
		s.route("/metrics/analytics", serveMetrics(gatherer)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics/analytics", http.NoBody))
		return w
	}
	for _, err := range []error{clash, prometheus.MultiError{clash, clash}} {
		require.Equal(t, "the metrics do not fit together: collected before", problemOf(t, get(err), http.StatusInternalServerError).Detail)
	}
	for _, err := range []error{fmt.Errorf("collecting: %w", gone), prometheus.MultiError{clash, fmt.Errorf("collecting: %w", gone)}} {
		require.Equal(t, "the cache does not answer, try again", problemOf(t, get(err), http.StatusServiceUnavailable).Detail)
	}
}

// broken is a cache that fails in its own ways.
type broken struct {
	*cache.Store
	tables func() ([]cache.Entry, error)
}

func (b broken) Tables(context.Context) ([]cache.Entry, error) { return b.tables() }

// A Redis that does not answer holds every request up as long as one reading takes, not one after the other.
func TestRequestsShareOneReadingOfTheCatalogueAndItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests, slow = 16, 10 * time.Second
		reads := 0
		h := New(broken{tables: func() ([]cache.Entry, error) {
			reads++
			time.Sleep(slow)
			return nil, errors.New("i/o timeout")
		}}, Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: 20 * time.Second})
		start := time.Now()
		get := func(ctx context.Context) (status int, after time.Duration) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/databases", http.NoBody))
			return w.Code, time.Since(start)
		}
		var wg sync.WaitGroup
		for range requests {
			wg.Go(func() {
				status, after := get(t.Context())
				assert.Equal(t, []any{http.StatusServiceUnavailable, slow}, []any{status, after})
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, after := get(ctx)
			assert.Equal(t, time.Second, after, "who does not wait is not kept waiting")
		})
		wg.Wait()
		require.Equal(t, 1, reads)
		status, _ := get(t.Context())
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, 2, reads, "a failure is not kept")
	})
}

func TestAPanicIsAProblemAndNotTheEnd(t *testing.T) {
	o := Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Second}
	h := New(broken{tables: func() ([]cache.Entry, error) { panic("broken") }}, o)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/databases", http.NoBody))
	require.NotContains(t, problemOf(t, w, http.StatusInternalServerError).Detail, "broken")
}

func TestFailuresDoNotTellOfTheInside(t *testing.T) {
	o := Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Second}
	h := New(broken{tables: func() ([]cache.Entry, error) { return nil, errors.New("dial tcp 10.0.0.1: secret") }}, o)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/databases", http.NoBody))
	require.NotContains(t, w.Body.String(), "secret")
	problemOf(t, w, http.StatusServiceUnavailable)
}

func TestTimesAreRead(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z": now, "2026-01-02T04:04:05.5+01:00": now.Add(500 * time.Millisecond), "1767323045": now, "1767323045000": now,
		"1767323045000000": now, "1767323045000000000": now, "0": time.Unix(0, 0), "-1": time.Unix(-1, 0), "now": now,
		"-6h": now.Add(-6 * time.Hour), "-10d": now.AddDate(0, 0, -10), "-2w": now.AddDate(0, 0, -14), "-90s": now.Add(-90 * time.Second), "-0m": now,
	} {
		got, ok := parseTime(text, now)
		require.True(t, ok, text)
		require.True(t, want.Equal(got), "%s is %s", text, got)
	}
	for _, text := range []string{"", "-", "-h", "6h", "-6x", "--6h", "-6.5h", "-99999999999w", "2026-01-02", "tomorrow", "1e9", "0x10", " 1", "-6h "} {
		_, ok := parseTime(text, now)
		require.False(t, ok, text)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"now", "-6h", "1767323045", "2026-01-02T03:04:05Z", "-9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { parseTime(s, now) })
}

func FuzzRequest(f *testing.F) {
	s := inProcess(f, nil)
	s.fill(f)
	f.Add("cpu", "database=db&last=1")
	f.Add("a%2Fb", "database=%00&start=-6h&tag=a=b")
	f.Fuzz(func(t *testing.T, table, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.URL.Path, r.URL.RawQuery = "/analytics/"+table, query
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Less(t, w.Code, 500)
	})
}

func TestFiltersNeverMistakeOnePlaceForAnother(t *testing.T) {
	s := inProcess(t, nil)
	tricky := []series.Tag{
		{Key: "a", Value: `x","b":"y`}, {Key: "b", Value: "z"}, {Key: `k","m`, Value: "1"}, {Key: ":", Value: ","}, {Key: "ü <&>", Value: "é <&>"},
	}
	r := rec(0, `f","time_bucket":"`, "h", 1)
	r.Tags = tricky
	other := rec(0, "f", "h", 2)
	other.Tags = []series.Tag{{Key: "x,", Value: ":"}, {Key: "b", Value: "y"}}
	require.NoError(t, s.store.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r, other}))
	count := func(parameter, value string) int {
		return len(array(t, s.get(t, "/analytics/cpu?database=db&"+parameter+"="+url.QueryEscape(value))))
	}
	for _, tag := range append(tricky, other.Tags...) {
		require.Equal(t, 1, count("tag", tag.Key+"="+tag.Value), tag)
	}
	require.Equal(t, 1, count("field", "f"))
	require.Equal(t, 1, count("field", r.Field))
	require.Zero(t, count("tag", "m=1"))
	require.Zero(t, count("tag", "field_name=f"))
}

// Answers of 35 and of 1,000 records, read from a Redis in this process, beside the least that a handler does.
func BenchmarkRecords(b *testing.B) {
	s := inProcess(b, func(o *Options) { o.MaxRecords = 10000 })
	var all []record.Record
	for m := range 200 {
		for field := range 5 {
			all = append(all, rec(m, fmt.Sprintf("field%d", field), "a", 1.5))
		}
	}
	require.NoError(b, s.store.Put(b.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, all))
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for _, run := range []struct {
		name    string
		handler http.Handler
		path    string
		records int
	}{
		{"handler=hello", hello, "/", 0},
		{"handler=records/n=35", s, "/analytics/cpu?database=db&last=7", 35},
		{"handler=records/n=1000", s, "/analytics/cpu?database=db", 1000},
		{"handler=filtered/n=200", s, "/analytics/cpu?database=db&field=field1&tag=host=a", 200},
	} {
		b.Run(run.name, func(b *testing.B) {
			var w *httptest.ResponseRecorder
			for b.Loop() {
				w = httptest.NewRecorder()
				run.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, run.path, http.NoBody))
			}
			require.Equal(b, run.records, strings.Count(w.Body.String(), `{"table_name"`))
		})
	}
}
