package api_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// countedReads is a cache that counts its readings.
type countedReads struct {
	*cache.Reader
	versions, others atomic.Int64
}

func (c *countedReads) Version(ctx context.Context, t record.Table) (int64, error) {
	c.versions.Add(1)
	return c.Reader.Version(ctx, t)
}

func (c *countedReads) Index(ctx context.Context, t record.Table, r record.Range) (int64, []time.Time, error) {
	c.others.Add(1)
	return c.Reader.Index(ctx, t, r)
}

func (c *countedReads) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	c.others.Add(1)
	return c.Reader.Records(ctx, t, starts, want, yield)
}

// beside returns another service on the same cache with the same clock.
func (s *service) beside(reader api.Reader, edit func(*api.Options)) *service {
	o := api.Options{
		MaxRecords: 1000, MaxBuckets: 500, MaxBytes: 1 << 20, Timeout: time.Minute, ExportMaxSeries: 100, ExportBuckets: 1000,
		Now: func() time.Time { return now.Add(time.Duration(s.clock.Load()) * time.Second) },
	}
	api.WaitForTables(&o)
	edit(&o)
	return &service{Handler: api.New(reader, o), writer: s.writer, reader: s.reader}
}

// kept returns how many requests were answered with a kept answer.
func (s *service) kept(t testing.TB) int {
	t.Helper()
	m := regexp.MustCompile(`analytics_api_cache_requests_total\{result="hit"\} (\d+)`).FindStringSubmatch(s.get(t, "/metrics").Body.String())
	require.NotNil(t, m)
	n, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return n
}

func TestTheSameRequestReadsNoRecordsUntilAWrite(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	all := s.fill(t)
	reader := &countedReads{Reader: s.reader}
	k := s.beside(reader, func(*api.Options) {})
	const path = "/analytics/cpu?database=db&field=f"
	first := k.get(t, path)
	read := reader.others.Load()
	for range 5 {
		again := k.get(t, path)
		require.Equal(t, first.Body.String(), again.Body.String())
		require.Equal(t, first.Header()["Etag"], again.Header()["Etag"])
		require.Equal(t, first.Header()["Vary"], again.Header()["Vary"])
		require.Equal(t, first.Header()["Content-Length"], again.Header()["Content-Length"])
	}
	require.Equal(t, read, reader.others.Load())
	require.EqualValues(t, 1, reader.versions.Load(), "requests within 20 ms share a version")
	require.Equal(t, 5, k.kept(t))
	s.clock.Add(1)
	require.Equal(t, first.Body.String(), k.get(t, path).Body.String())
	require.EqualValues(t, 2, reader.versions.Load())
	require.Equal(t, read, reader.others.Load())

	changed := all[len(all)-1]
	changed.Field, changed.Stats = "f", rec(0, "f", "b", 77).Stats
	s.put(t, changed)
	require.Contains(t, k.get(t, path).Body.String(), `"mean":77`)
	require.Greater(t, reader.others.Load(), read)
}

// pair are two services on the same cache with the same clock, one of which keeps answers.
type pair struct{ fresh, keeping *service }

func (s *service) pair() pair {
	return pair{s.beside(s.reader, func(o *api.Options) { o.CacheBytes = -1 }), s.beside(s.reader, func(*api.Options) {})}
}

// compare checks that both answer with the same.
func (p pair) compare(t *testing.T, s *service, queries []string) {
	t.Helper()
	for _, path := range queries {
		want, got := p.fresh.get(t, path), p.keeping.get(t, path)
		at := now.Add(time.Duration(s.clock.Load()) * time.Second)
		require.Equal(t, http.StatusOK, want.Code, path)
		require.Equal(t, want.Body.String(), got.Body.String(), "%s at %s", path, at)
		require.Equal(t, want.Header()["Etag"], got.Header()["Etag"], "%s at %s", path, at)
	}
}

// queriesOf returns queries whose answers depend on the clock in all ways.
func queriesOf(database string) (queries []string) {
	for _, span := range []string{"", "&last=3", "&start=-7m", "&start=-7m&last=2", "&end=now", "&start=-90s&end=now", "&start=-1h&end=-5m", "&end=-5"} {
		for _, what := range []string{"", "&final=true", "&bucket=5m", "&bucket=2m&timezone=Asia/Kolkata&final=true", "&group_by=&stats=count,p99&final=true&format=csv"} {
			queries = append(queries, "/analytics/cpu?database="+database+span+what)
		}
	}
	return queries
}

// Kept answers are those that would be read now, also if only the clock has changed.
func TestKeptAnswersFollowTheClock(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for database, newest := range map[string]int{"db": 2, "ahead": -5} { // in minutes before now
		for m := newest; m < newest+15; m++ {
			records := []record.Record{
				summarized(rec(m, "f", "a", 1), float64(m), 2), summarized(marked(rec(m, "g", "a", 1), m%3 > 0), 4), summarized(marked(rec(m, "h", "a", 1), true), 4),
			}
			require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: database, Name: "analytics_cpu"}, records))
		}
	}
	p, queries := s.pair(), append(queriesOf("db"), queriesOf("ahead")...)
	// Whole and half minutes, and an hour after the ends of buckets, which then are complete.
	moments := []int64{25, 55, 85, 115, 235, 3535, 3595}
	if testing.Short() {
		moments = []int64{3595} // a whole minute, an hour after an end
	}
	for _, moment := range moments {
		for second := moment - 1; second <= moment+1; second++ {
			s.clock.Store(second)
			p.compare(t, s, queries)
		}
	}
	require.Greater(t, p.keeping.kept(t), len(moments)*len(queries), "a third of all answers")
	require.Zero(t, p.fresh.kept(t))
}

func TestKeptAnswersFollowWrites(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	p, queries := s.pair(), []string{"/analytics/cpu?database=db", "/analytics/cpu?database=db&last=3&field=g", "/analytics/cpu?database=db&limit=5&order=desc&format=jsonl"}
	for range 100 {
		p.compare(t, s, queries)
		s.clock.Add(rand.Int64N(3))
		if rand.IntN(3) == 0 {
			s.put(t, rec(rand.IntN(12)-1, "g", "a", rand.Float64()))
		}
	}
	require.NotZero(t, p.keeping.kept(t))
}

func TestAKeptAnswerIsForThoseWhoMayReadIt(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	mine, other := "Bearer "+g.token(t, "db:db:read"), "Bearer "+g.token(t, "db:db2:read")
	g.token(t) // the last one moves the clock
	const path = "/analytics/cpu?database=db"
	get := func(auth string) *httptest.ResponseRecorder {
		return with(g, http.MethodGet, path, "Authorization", auth)
	}
	for range 3 {
		w := get(mine)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
		require.Equal(t, []string{"Authorization", "Accept, Accept-Encoding"}, w.Header()["Vary"])
		require.NotContains(t, get(other).Body.String(), "db-host")
		require.Equal(t, http.StatusNotFound, get(other).Code)
		require.Equal(t, http.StatusUnauthorized, get("Bearer nobody").Code)
	}
	require.Equal(t, http.StatusMethodNotAllowed, with(g, http.MethodPost, path, "Authorization", mine).Code)
	require.Equal(t, http.StatusTemporaryRedirect, with(g, http.MethodGet, "/analytics/cpu/?database=db", "Authorization", mine).Code)
}

func TestKeptAnswersAreCompressedForClientsThatAcceptIt(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	const path = "/analytics/cpu?database=db"
	plain := s.get(t, path)
	require.Empty(t, plain.Header().Get("Content-Encoding"))
	etag := plain.Header().Get("ETag")
	for accepted, compressed := range map[string]bool{
		"gzip": true, "deflate, GZIP;q=0.5": true, "gzip; q=1, br": true, "": false, "gzip;q=0": false, "identity": false, "gzip;q=x": false, "xgzip": false,
	} {
		w := with(s, http.MethodGet, path, "Accept-Encoding", accepted)
		require.Equal(t, http.StatusOK, w.Code)
		if !compressed {
			require.Equal(t, plain.Body.String(), w.Body.String(), accepted)
			require.Equal(t, etag, w.Header().Get("ETag"))
			continue
		}
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"), accepted)
		require.Equal(t, "W/"+etag, w.Header().Get("ETag"))
		require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
		require.Less(t, w.Body.Len(), plain.Body.Len()/2)
		r, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(b))
		head := with(s, http.MethodHead, path, "Accept-Encoding", accepted)
		require.Equal(t, w.Header()["Content-Length"], head.Header()["Content-Length"])
		require.Equal(t, "gzip", head.Header().Get("Content-Encoding"))
		require.Zero(t, head.Body.Len())
	}
	for _, known := range []string{etag, "W/" + etag} {
		w := with(s, http.MethodGet, path, "Accept-Encoding", "gzip", "If-None-Match", known)
		require.Equal(t, http.StatusNotModified, w.Code)
		require.Equal(t, known, w.Header().Get("ETag"), "of the form that the client has")
		require.Empty(t, w.Header().Get("Content-Encoding"))
		require.Zero(t, w.Body.Len())
	}
}

// Clients that all have an answer get 304, and the answer is kept also after the time for which one is kept without a look at the table.
func TestAnAnswerThatAllClientsHaveStaysKept(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for m := range 3 {
		s.put(t, summarized(rec(m, "f", "a", 1), 1, 2))
	}
	reader := &countedReads{Reader: s.reader}
	k := s.beside(reader, func(*api.Options) {})
	for _, path := range []string{"/analytics/cpu?database=db", "/analytics/cpu?database=db&limit=2", "/analytics/cpu?database=db&bucket=2m", "/analytics/cpu?database=db&start=-1h"} {
		first := k.get(t, path)
		require.Equal(t, http.StatusOK, first.Code)
		conditional := func() (readings int64) {
			before := reader.others.Load()
			w := with(k, http.MethodGet, path, "If-None-Match", first.Header().Get("ETag"))
			require.Equal(t, http.StatusNotModified, w.Code)
			require.Equal(t, first.Header()["Vary"], w.Header()["Vary"])
			return reader.others.Load() - before
		}
		require.Zero(t, conditional(), path)
		s.clock.Add(11)
		require.NotZero(t, conditional(), path)
		require.Zero(t, conditional(), path)
		require.Equal(t, first.Body.String(), k.get(t, path).Body.String())
		require.Equal(t, first.Header()["Link"], k.get(t, path).Header()["Link"])
	}
}

// A bucket expires without a write, and stays in the index of its table until the next one. Clients that have an older answer get another
// one, and do not keep it for others.
func TestAnAnswerWithABucketThatHasExpiredIsAnotherOne(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	s := serve(t, client, nil)
	write := func(at time.Time, r record.Record) { // m has no clock for the lives of keys, only FastForward
		m.SetTime(at)
		require.NoError(t, cache.NewWriter(client, cache.Options{Retention: time.Hour}).Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}))
	}
	write(time.Now().Add(-70*time.Minute), rec(5, "f", "old", 1))
	m.FastForward(40 * time.Minute)
	write(time.Now().Add(-30*time.Minute), rec(4, "f", "new", 2))
	const path = "/analytics/cpu?database=db"
	first := s.get(t, path)
	require.Len(t, array(t, first), 2)
	m.FastForward(30 * time.Minute)
	s.clock.Add(11)
	after := with(s, http.MethodGet, path, "If-None-Match", first.Header().Get("ETag"))
	require.Len(t, array(t, after), 1)
	require.Len(t, array(t, s.get(t, path)), 1)
	require.Equal(t, http.StatusNotModified, with(s, http.MethodGet, path, "If-None-Match", after.Header().Get("ETag")).Code)
}

// Two encodings of a path can have two routes, although both are decoded to the same text: dots are the name of a table only if they are
// encoded.
func TestAKeptAnswerIsForTheSameRoute(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	r := rec(0, "f", "a", 1)
	r.Table = "analytics_.."
	require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	for range 2 {
		require.Len(t, array(t, s.get(t, "/analytics/%2E%2E?database=db")), 1)
		require.Equal(t, http.StatusTemporaryRedirect, s.get(t, "/analytics/..?database=db").Code)
		problemOf(t, with(s, http.MethodPost, "/analytics/%2E%2E?database=db"), http.StatusMethodNotAllowed)
	}
	require.Equal(t, 1, s.kept(t))
}

func TestIfNoneMatchHasSeveralETags(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	const path, other = "/analytics/cpu?database=db", `"other"`
	etag := s.get(t, path).Header().Get("ETag")
	for _, test := range []struct {
		headers []string
		status  int
		etag    string
	}{
		{[]string{"If-None-Match", other + ",  W/" + etag}, http.StatusNotModified, "W/" + etag},
		{[]string{"If-None-Match", other, "If-None-Match", etag}, http.StatusNotModified, etag},
		{[]string{"If-None-Match", "*"}, http.StatusNotModified, etag},
		{[]string{"If-None-Match", other, "If-None-Match", other}, http.StatusOK, etag},
		{[]string{"If-None-Match", "W/W/" + etag}, http.StatusOK, etag},
	} {
		w := with(s, http.MethodGet, path, test.headers...)
		require.Equal(t, test.status, w.Code, test.headers)
		require.Equal(t, test.etag, w.Header().Get("ETag"), test.headers)
	}
}

// The ETag * is that of every answer, but not of an error.
func TestIfNoneMatchHidesNoError(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxRecords = 1 })
	s.fill(t)
	for _, etag := range []string{"*", `"other", *`} {
		problemOf(t, with(s, http.MethodGet, cpuPath, "If-None-Match", etag), http.StatusUnprocessableEntity)
		w := with(s, http.MethodGet, cpuPath+"&limit=1&field=f", "If-None-Match", etag)
		require.Equal(t, http.StatusNotModified, w.Code)
		require.Zero(t, w.Body.Len())
		kept := s.get(t, cpuPath+"&limit=1&field=f") // from the second time on
		require.Len(t, array(t, kept), 1)
		require.Equal(t, kept.Header().Get("ETag"), w.Header().Get("ETag"))
	}
}

// slow is a table whose version is read for 50 ms.
type slow struct {
	stored
	version atomic.Int64
}

func (s *slow) Version(context.Context, record.Table) (int64, error) {
	version := s.version.Load()
	time.Sleep(50 * time.Millisecond)
	return version, nil
}

func (s *slow) Index(ctx context.Context, t record.Table, r record.Range) (int64, []time.Time, error) {
	_, starts, err := s.stored.Index(ctx, t, r)
	return s.version.Load(), starts, err
}

// Requests share a reading of the version only if it began less than 20 ms before them.
func TestAWriteIsSeenWithin20Milliseconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &slow{}
		s := &service{Handler: serveOne(t, reader, time.Minute, 0)}
		const path = "/analytics/cpu?database=db"
		require.Len(t, array(t, s.get(t, path)), 1)
		go s.get(t, path) // begins to read the version
		time.Sleep(5 * time.Millisecond)
		other := rec(0, "f", "b", 1)
		reader.add(&other)
		reader.version.Add(1)
		time.Sleep(16 * time.Millisecond)
		require.Len(t, array(t, s.get(t, path)), 2)
		time.Sleep(time.Second)
	})
}

// What a client reads after an event of a stream is at least as new, although versions are kept for a moment.
func TestKeptAnswersAreAsNewAsTheEventsOfAStream(t *testing.T) {
	t.Parallel()
	s, address, _ := streaming(t, 100)
	const path = "/analytics/cpu?database=db"
	for i := range 20 {
		s.get(t, path)
		mean := 100 + float64(i)
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{rec(0, "f", "a", mean)}))
		stream := listen(t, address+"/analytics/cpu/stream?database=db", "")
		stream.want("present")
		stream.stop()
		require.Contains(t, s.get(t, path).Body.String(), fmt.Sprintf(`"mean":%g}`, mean))
	}
}

func TestAnswersThatAreTooLargeAreNotKept(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.CacheBytes = 8000 })
	s.fill(t)
	for range 3 {
		require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db")), 40)
	}
	require.Zero(t, s.kept(t))
	require.Contains(t, s.get(t, "/metrics").Body.String(), "analytics_api_cache_answers 0\n")
}
