package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestRecordsAreSelectedByTheQuery(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	all := s.fill(t)
	host := func(name string) func(record.Record) bool {
		return func(r record.Record) bool { return r.Tags[1].Value == name }
	}
	since := func(minutes int) func(record.Record) bool {
		return func(r record.Record) bool { return !r.Start.Before(rec(minutes, "", "", 0).Start) }
	}
	at := func(minutes int) string { return url.QueryEscape(rec(minutes, "", "", 0).Start.Format(time.RFC3339)) }
	for query, keep := range map[string]func(record.Record) bool{
		"":                                  func(record.Record) bool { return true },
		"&field=f":                          func(r record.Record) bool { return r.Field == "f" },
		"&field=f&field=g":                  func(record.Record) bool { return true },
		"&tag=host=none":                    func(record.Record) bool { return false },
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
	require.Equal(t, texts(all[:4], since(9)), array(t, s.get(t, "/analytics/cpu?database=db&limit=4")))
	newest := texts(all, since(0))
	slices.Reverse(newest)
	require.Equal(t, newest, array(t, s.get(t, "/analytics/cpu?database=db&limit=4&order=desc")))
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&limit=5&field=f")), 5)
}

func TestTableNameWithPrefixIsPreferredOverPrefixedName(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for _, name := range []string{"analytics_a", "analytics_analytics_a", "analytics_analytics_b", "plain"} {
		r := rec(0, "f", "h", 1)
		r.Table = name
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: name}, []record.Record{r}))
	}
	for asked, want := range map[string]string{
		"a": "analytics_a", "analytics_a": "analytics_a", "analytics_analytics_a": "analytics_analytics_a", "analytics_b": "analytics_analytics_b", "plain": "plain",
	} {
		require.Contains(t, array(t, s.get(t, "/analytics/"+asked+"?database=db"))[0], `"table_name":"`+want+`"`)
	}
}

func TestAnswerBeyondALimitIsRefusedWithTheNumbers(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxRecords, o.MaxBuckets = 30, 8 })
	s.fill(t)
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db"), http.StatusUnprocessableEntity).Detail, "the answer has 9 buckets or more, at most 8 are allowed")
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db&last=8"), http.StatusUnprocessableEntity).Detail, "the answer has 32 records or more, at most 30 are allowed")
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&last=7")), 28)
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&limit=30")), 30)
	s = withRedis(t, func(o *api.Options) { o.MaxBytes = 1000 })
	s.fill(t)
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db"), http.StatusUnprocessableEntity).Detail, "bytes or more, at most 1000 are allowed")
}

func TestETagChangesWithAWrite(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
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
	require.Equal(t, http.StatusOK, conditional(), "after a write")
}

// A Redis that lost its data counts versions from the start again.
func TestETagDiffersAfterRedisLostItsData(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer client.Close()
	written := now
	tag := func(mean float64) string {
		m.FlushAll()
		written = written.Add(time.Second)
		s := serve(t, client, nil)
		s.writer = cache.NewWriter(client, cache.Options{Retention: time.Hour, Now: func() time.Time { return written }})
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{rec(0, "f", "a", mean)}))
		return s.get(t, "/analytics/cpu?database=db").Header().Get("ETag")
	}
	require.NotEqual(t, tag(1), tag(2))
}

// reads is a cache that records how many buckets each reading had, and which ranges of the index were read.
type reads struct {
	*cache.Reader
	sizes []int
	spans []record.Range
}

func (r *reads) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	r.sizes = append(r.sizes, len(starts))
	return r.Reader.Records(ctx, t, starts, want, yield)
}

func (r *reads) Buckets(ctx context.Context, t record.Table, span record.Range) ([]time.Time, error) {
	r.spans = append(r.spans, span)
	return r.Reader.Buckets(ctx, t, span)
}

func TestDefaultDatabaseIsUsedWhenNoneIsNamed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.DefaultDatabase = "db" })
	s.fill(t)
	require.Len(t, array(t, s.get(t, "/analytics/cpu")), 40)
	problemOf(t, s.get(t, "/analytics/cpu?database=other"), http.StatusNotFound)
	problemOf(t, s.get(t, "/analytics/cpu?database="), http.StatusBadRequest)
}

func TestTagFiltersMatchOnlyWholeTags(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	tricky := []series.Tag{
		{Key: "a", Value: `x","b":"y`}, {Key: "b", Value: "z"}, {Key: `k","m`, Value: "1"}, {Key: ":", Value: ","}, {Key: "ü <&>", Value: "é <&>"},
	}
	r := rec(0, `f","time_bucket":"`, "h", 1)
	r.Tags = tricky
	other := rec(0, "f", "h", 2)
	other.Tags = []series.Tag{{Key: "x,", Value: ":"}, {Key: "b", Value: "y"}}
	require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r, other}))
	count := func(parameter, value string) int {
		return len(array(t, s.get(t, "/analytics/cpu?database=db&"+parameter+"="+url.QueryEscape(value))))
	}
	for _, tag := range append(tricky, other.Tags...) {
		require.Equal(t, 1, count("tag", tag.Key+"="+tag.Value), tag)
	}
	require.Equal(t, 1, count("field", "f"))
	require.Equal(t, 1, count("field", r.Field))
	for _, tag := range []string{"m=1", "field_name=f"} {
		problemOf(t, s.get(t, "/analytics/cpu?database=db&tag="+url.QueryEscape(tag)), http.StatusBadRequest)
	}
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

// Answers of 35 and of 1,000 records from a Redis in this process, beside a handler that writes one word.
func BenchmarkRecords(b *testing.B) {
	s := inProcess(b, func(o *api.Options) { o.MaxRecords = 10000 })
	var all []record.Record
	for m := range 200 {
		for field := range 5 {
			all = append(all, rec(m, fmt.Sprintf("field%d", field), "a", 1.5))
		}
	}
	require.NoError(b, s.writer.Put(b.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, all))
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

func TestFinalSelectsFinalRecords(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for m := 9; m >= 0; m-- {
		all = append(all, marked(rec(m, "f", "a", 1), m >= 4), marked(rec(m, "f", "b", 1), m >= 6), rec(m, "g", "unmarked", 1))
	}
	s.put(t, all...)
	s.clock.Store(0)
	final := func(r record.Record) bool {
		minutes := int(now.Sub(r.Start) / time.Minute)
		return minutes >= map[string]int{"a": 4, "b": 6, "unmarked": 1}[r.Tags[1].Value]
	}
	since := func(minutes int) func(record.Record) bool {
		return func(r record.Record) bool { return final(r) && !r.Start.Before(rec(minutes, "", "", 0).Start) }
	}
	for query, keep := range map[string]func(record.Record) bool{
		"":                           final,
		"&last=1":                    since(1), // of an unmarked record
		"&last=5":                    since(5),
		"&last=500":                  since(9),
		"&last=5&tag=host=b":         func(record.Record) bool { return false },
		"&last=6&tag=host=b":         func(r record.Record) bool { return since(6)(r) && r.Tags[1].Value == "b" },
		"&limit=1":                   func(r record.Record) bool { return r.Start.Equal(rec(9, "", "", 0).Start) && r.Tags[1].Value == "a" },
		"&tag=host=a&limit=2":        func(r record.Record) bool { return final(r) && !since(7)(r) && r.Tags[1].Value == "a" },
		"&tag=host=a&limit=2&last=5": func(r record.Record) bool { return since(5)(r) && r.Tags[1].Value == "a" },
		"&tag=host=a&limit=1&last=5": func(r record.Record) bool { return since(5)(r) && !since(4)(r) && r.Tags[1].Value == "a" },
		"&tag=host=a&last=3":         func(record.Record) bool { return false },
		"&start=-5m&tag=host=a":      func(r record.Record) bool { return since(4)(r) && r.Tags[1].Value == "a" },
		"&end=-7m&tag=host=b&last=1": func(r record.Record) bool { return r.Start.Equal(rec(7, "", "", 0).Start) && r.Tags[1].Value == "b" },
	} {
		require.Equal(t, texts(all, keep), array(t, s.get(t, "/analytics/cpu?database=db&final=true"+query)), query)
	}
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db")), 30, "without the parameter, all")
	for _, value := range []string{"", "1", "false", "True"} {
		p := problemOf(t, s.get(t, "/analytics/cpu?database=db&final="+value), http.StatusBadRequest)
		require.Equal(t, []api.Fault{{Location: "query.final", Value: `"` + value + `"`, Message: "want true, or leave the parameter out for all records"}}, p.Errors)
	}
	pretty := problemOf(t, s.get(t, "/analytics/cpu?database=db&pretty=false"), http.StatusBadRequest)
	require.Equal(t, "want true, or leave the parameter out for JSON on one line", pretty.Errors[0].Message)
}

// A bucket without a mark becomes final without a write, when it ends.
func TestETagOfFinalRecordsChangesWhenABucketEnds(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	at := func(second int64, query string) (etag string, records int) {
		s.clock.Store(second)
		w := s.get(t, "/analytics/cpu?database=db"+query)
		return w.Header().Get("ETag"), len(array(t, w))
	}
	before, n := at(0, "&final=true")
	require.Equal(t, 36, n)
	same, _ := at(54, "&final=true")
	require.Equal(t, before, same)
	changed, n := at(55, "&final=true")
	require.Equal(t, 40, n)
	require.NotEqual(t, before, changed)
	all, _ := at(0, "")
	same, _ = at(55, "")
	require.Equal(t, all, same)
}

func TestLastFinalRecordsAreFoundBehindManyOpenBuckets(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxBuckets = 300 })
	var all []record.Record
	for m := 259; m >= 0; m-- {
		all = append(all, marked(rec(m, "f", "a", 1), m >= 250))
	}
	s.put(t, all...)
	w := s.get(t, "/analytics/cpu?database=db&final=true&last=2")
	require.Equal(t, texts(all[8:10], func(record.Record) bool { return true }), array(t, w))
	require.Empty(t, w.Header().Get("ETag"), "it would not cover the older buckets")
	require.NotEmpty(t, s.get(t, "/analytics/cpu?database=db&final=true").Header().Get("ETag"))

	s = withRedis(t, func(o *api.Options) { o.MaxBuckets = 200 })
	all = all[:0]
	for m := range 400 {
		all = append(all, marked(rec(m, "f", "a", 1), false))
	}
	s.put(t, all...)
	p := problemOf(t, s.get(t, "/analytics/cpu?database=db&final=true&last=1"), http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "the request has to read 201 buckets or more, at most 200 are allowed")
}
