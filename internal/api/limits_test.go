package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestRecordsReadAreLimitedWithTheNumbers(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxScanned = 30 })
	s.fill(t)
	for _, query := range []string{"&tag=agent=zzz", "&tag=host=zzz", "&tag=cpu=none", "&limit=1&tag=cpu=none", ""} {
		p := problemOf(t, s.get(t, "/analytics/cpu?database=db"+query), http.StatusUnprocessableEntity)
		require.Equal(t, "the request has to read 32 records or more, at most 30 are allowed: narrow it down with start, end or last", p.Detail, query)
	}
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&limit=30")), 30)
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&last=7")), 28)
}

// Each limit of one request has the number that was found, the limit, and what to change.
func TestEachLimitSaysWhatToChange(t *testing.T) {
	t.Parallel()
	const narrower, pages = "narrow it down with start, end, last, field or tag, or read it in pages with limit", "narrow it down with start, end or last, or read it in pages with limit"
	const smaller = "narrow it down with start, end, last or a smaller bucket"
	s := withRedis(t, nil)
	var all []record.Record
	for m := range 10 {
		for _, field := range []string{"f", "g"} {
			all = append(all, summed(rec(m, field, "a", 0), "a1", "", 1), summed(rec(m, field, "b", 0), "a1", "", 1))
		}
	}
	s.put(t, all...)
	for _, c := range []struct {
		edit        func(*api.Options)
		query, want string
	}{
		{func(o *api.Options) { o.MaxRecords = 39 }, "", "the answer has 40 records or more, at most 39 are allowed: " + narrower},
		{func(o *api.Options) { o.MaxRecords = 3 }, "&bucket=1h", "the answer has 4 records or more, at most 3 are allowed: " + narrower},
		{func(o *api.Options) { o.MaxBytes = 2000 }, "", "the answer has 2472 bytes or more, at most 2000 are allowed: " + narrower},
		{func(o *api.Options) { o.MaxBytes = 800 }, "&bucket=1h", "the answer has 824 bytes or more, at most 800 are allowed: " + narrower},
		{func(o *api.Options) { o.MaxBytes = 800 }, "&bucket=1h&limit=4", "the page has 824 bytes or more, at most 800 are allowed: set a smaller limit"},
		{func(o *api.Options) { o.MaxBuckets = 9 }, "", "the answer has 10 buckets or more, at most 9 are allowed: " + pages},
		{func(o *api.Options) { o.MaxBuckets = 9 }, "&bucket=1h", "the request has to read 10 buckets or more, at most 9 are allowed: " + smaller + ", or read it in pages with limit"},
		{func(o *api.Options) { o.MaxBuckets = 9 }, "&group_by=", "the request has to read 10 buckets or more, at most 9 are allowed: " + pages},
		{func(o *api.Options) { o.MaxBuckets = 9 }, "&bucket=1d&last=1&limit=1", "the request has to read 10 buckets or more, at most 9 are allowed: " + smaller},
		{func(o *api.Options) { o.MaxBuckets = 9 }, "&bucket=1d&limit=1", "the request has to read 10 buckets or more, at most 9 are allowed: " + smaller},
		{func(o *api.Options) { o.MaxScanned = 38 }, "", "the request has to read 40 records or more, at most 38 are allowed: narrow it down with start, end or last"},
		{func(o *api.Options) { o.MaxScanned = 38 }, "&bucket=1h", "the request has to read 40 records or more, at most 38 are allowed: narrow it down with start, end or last"},
		{func(o *api.Options) { o.MaxScanned = 38 }, "&tag=host=none&limit=1", "the request has to read 40 records or more, at most 38 are allowed: narrow it down with start, end or last"},
	} {
		o := options(s)
		c.edit(&o)
		limited := &service{Handler: newAPI(t, cache.NewReader(s.client), o)}
		require.Equal(t, c.want, problemOf(t, limited.get(t, cpuPath+c.query), http.StatusUnprocessableEntity).Detail)
	}
}

// parted is a cache that returns the records of each bucket one by one, the first one twice.
type parted struct {
	*cache.Reader
	parts atomic.Int64 // returned
}

func (p *parted) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	return p.Reader.Records(ctx, t, starts, want, func(part record.Part) error {
		for i, text := range part.Texts {
			name, _, _ := strings.Cut(text, `"count"`)
			one := record.Part{Start: part.Start, Texts: []string{text}, Names: []string{name}, Last: part.Last && i == len(part.Texts)-1}
			if i == 0 {
				older := strings.Replace(text, `"count":6`, `"count":5`, 1)
				one.Texts, one.Names = []string{older, text}, []string{name, name}
			}
			p.parts.Add(1)
			if err := yield(one); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestAnswerDoesNotDependOnThePartsOfABucket(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	all := s.fill(t)
	reader := &parted{Reader: s.reader}
	limited := func(edit func(*api.Options)) *service {
		o := api.Options{MaxRecords: 1000, MaxBuckets: 100, MaxBytes: 1 << 20, Timeout: time.Minute}
		edit(&o)
		return &service{Handler: newAPI(t, reader, o)}
	}
	p := limited(func(*api.Options) {})
	everything := func(record.Record) bool { return true }
	require.Equal(t, texts(all, everything), array(t, p.get(t, "/analytics/cpu?database=db")))
	require.Equal(t, texts(all[36:], func(r record.Record) bool { return r.Field == "g" }), array(t, p.get(t, "/analytics/cpu?database=db&last=1&field=g")))
	require.Len(t, array(t, p.get(t, "/analytics/cpu?database=db&limit=6")), 6)
	reader.parts.Store(0)
	require.Len(t, array(t, p.get(t, "/analytics/cpu?database=db&limit=1")), 1)
	require.EqualValues(t, 4, reader.parts.Load(), "limit=1 reads one bucket")
	problemOf(t, limited(func(o *api.Options) { o.MaxRecords = 3 }).get(t, "/analytics/cpu?database=db&last=1"), http.StatusUnprocessableEntity)
	problemOf(t, limited(func(o *api.Options) { o.MaxBytes = 300 }).get(t, "/analytics/cpu?database=db&last=1"), http.StatusUnprocessableEntity)
}

// stuckWriter is a client that does not read its answer until go is closed.
type stuckWriter struct {
	*httptest.ResponseRecorder
	stuck chan struct{} // closed by the first write
	once  sync.Once
	read  chan struct{}
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.stuck) })
	<-w.read
	return w.ResponseRecorder.Write(b)
}

// getStuck begins a request from an address whose client does not read, and returns when its answer is being written. The
// returned function lets the client read, and returns the status after that.
func getStuck(t *testing.T, h http.Handler, address, path string) (finish func() int) {
	t.Helper()
	w := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), stuck: make(chan struct{}), read: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.RemoteAddr = address
		h.ServeHTTP(w, r)
	}()
	<-w.stuck
	return func() int {
		close(w.read)
		<-ended
		return w.Code
	}
}

func (s *service) getFrom(t testing.TB, address, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.RemoteAddr = address
	s.ServeHTTP(w, r)
	return w
}

func TestMemoryOfAllAnswersIsBounded(t *testing.T) {
	t.Parallel()
	const path = "/analytics/cpu?database=db"
	s := withRedis(t, func(o *api.Options) { o.MaxBytes, o.MaxTotalBytes, o.CacheBytes = 18_000, 36_000, -1 })
	s.fill(t) // an answer of 6,600 bytes, counted as 7,800
	first, second := getStuck(t, s, "10.0.0.1:1", path), getStuck(t, s, "10.0.0.1:2", path)
	w := s.getFrom(t, "10.0.0.1:3", path)
	require.Contains(t, problemOf(t, w, http.StatusTooManyRequests).Detail, "its share of the memory")
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	third, fourth := getStuck(t, s, "[2001:db8::1]:1", path), getStuck(t, s, "[2001:db8::2]:1", path)
	problemOf(t, s.getFrom(t, "[2001:db8::3]:1", path), http.StatusTooManyRequests)
	w = s.getFrom(t, "10.0.0.2:1", path)
	require.Contains(t, problemOf(t, w, http.StatusServiceUnavailable).Detail, "the memory for answers")
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Len(t, array(t, s.getFrom(t, "10.0.0.2:1", path+"&last=1")), 4, "there is room for a small answer")
	require.Regexp(t, `(?m)^analytics_api_answer_bytes 31\d\d\d$`, s.get(t, "/metrics").Body.String())
	for _, finish := range []func() int{first, second, third, fourth} {
		require.Equal(t, http.StatusOK, finish())
	}
	require.Len(t, array(t, s.getFrom(t, "10.0.0.1:3", path)), 40)
	metrics := s.get(t, "/metrics").Body.String()
	require.Contains(t, metrics, "analytics_api_answer_bytes 0\n")
	require.Contains(t, metrics, `analytics_api_refused_total{reason="client_bytes"} 2`)
	require.Contains(t, metrics, `analytics_api_refused_total{reason="bytes"} 1`)
}

// paced is a client whose connection has write deadlines.
type paced struct {
	*httptest.ResponseRecorder
	deadlines []time.Duration // from the start
	written   []int           // bytes before the deadline was set
	start     time.Time
}

func (w *paced) SetWriteDeadline(at time.Time) error {
	w.deadlines, w.written = append(w.deadlines, at.Sub(w.start)), append(w.written, w.Body.Len())
	return nil
}

func TestWriteDeadlineMovesWithWhatTheClientHasRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &paced{ResponseRecorder: httptest.NewRecorder(), start: time.Now()}
		reader := &stored{}
		for m := range 30 {
			r := rec(m, "f", strings.Repeat("x", 20_000), 1)
			reader.add(&r)
		}
		h := newAPI(t, reader, api.Options{MaxRecords: 100, MaxBuckets: 100, MaxBytes: 1 << 20, Timeout: time.Minute})
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db", http.NoBody))
		require.Len(t, array(t, w.ResponseRecorder), 30)
		require.Greater(t, len(w.deadlines), 8, "600 kB")
		for i, deadline := range w.deadlines {
			require.InDelta(t, 30+float64(w.written[i])/(64<<10), deadline.Seconds(), .001, "64 KiB a second after the first 30 s")
		}
	})
}

// stored is a cache of one table in memory.
type stored struct {
	starts  []time.Time // ascending
	records map[time.Time][]string
	before  func(context.Context) error // called before records are read
}

func (s *stored) add(r *record.Record) {
	if s.records == nil {
		s.records = make(map[time.Time][]string)
	}
	if s.records[r.Start] == nil {
		s.starts = append([]time.Time{r.Start}, s.starts...)
	}
	s.records[r.Start] = append(s.records[r.Start], string(r.AppendJSON(nil)))
}

// serveOne returns the API of a cache to which it adds one record.
func serveOne(t *testing.T, reader interface {
	api.Reader
	add(*record.Record)
}, timeout time.Duration, cacheBytes int) http.Handler {
	t.Helper()
	r := rec(0, "f", "a", 1)
	reader.add(&r)
	return newAPI(t, reader, api.Options{MaxRecords: 100, MaxBuckets: 100, MaxBytes: 1 << 20, CacheBytes: cacheBytes, Timeout: timeout})
}

func (*stored) Ping(context.Context) error { return nil }

func (*stored) Warnings(context.Context) (map[string][]string, error) {
	return map[string][]string{"something is wrong": {"10.1.2.3:6379", "10.1.2.4:6379"}}, nil
}

func (*stored) Tables(context.Context) ([]record.TableEntry, error) {
	return []record.TableEntry{{Table: record.Table{Database: "db", Name: "analytics_cpu"}, LastWrite: now}}, nil
}

func (*stored) Info(context.Context, record.Table) (record.TableInfo, error) {
	return record.TableInfo{}, nil
}

func (*stored) Version(context.Context, record.Table) (int64, error) { return 1, nil }

func (s *stored) Index(context.Context, record.Table, record.Range) (int64, []time.Time, error) {
	return 1, s.starts, nil
}

func (s *stored) Buckets(context.Context, record.Table, record.Range) ([]time.Time, error) {
	return s.starts, nil
}

func (s *stored) Records(ctx context.Context, _ record.Table, starts []time.Time, _ int, yield func(record.Part) error) error {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return err
		}
	}
	for _, start := range starts {
		if err := yield(record.Part{Start: start, Texts: append([]string{}, s.records[start]...), Last: true}); err != nil {
			return err
		}
	}
	return nil
}

func (*stored) Names(context.Context, record.Table, time.Time, func([]record.Name) error) (int, time.Duration, error) {
	return -1, 0, record.ErrUnclear
}

func (*stored) Head(context.Context, record.Table, time.Time, bool) ([]record.Name, int, time.Duration, error) {
	panic("no head of this cache is read")
}

func (*stored) Named(context.Context, record.Table, time.Time, []string) ([]string, int, error) {
	return nil, 0, errors.New("there are no names")
}

func (*stored) Summaries(context.Context, record.Table, []time.Time, func(record.Summaries) error) error {
	return errors.New("there are no summaries")
}

func TestRequestsThatReadAtTheSameTimeAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &stored{before: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		h := serveOne(t, reader, 20*time.Second, -1)
		start := time.Now()
		codes := make(map[int]int)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db", http.NoBody)
				r.RemoteAddr = fmt.Sprintf("10.0.0.%d:1", 1+i/25)
				h.ServeHTTP(w, r)
				mu.Lock()
				defer mu.Unlock()
				codes[int(time.Since(start)/time.Second)]++
				assert.Equal(t, http.StatusServiceUnavailable, w.Code)
				assert.Equal(t, "5", w.Header().Get("Retry-After"))
			})
		}
		wg.Wait()
		require.Equal(t, map[int]int{2: 100 - 32, 20: 32}, codes, "32 read until their timeout, the others wait for two seconds")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", http.NoBody))
		require.Equal(t, http.StatusOK, w.Code)
	})
}

// 16 places are for one client, so that it leaves places for others.
func TestOneClientHasAQuarterOfThePlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reading atomic.Int64
		reader := &stored{before: func(ctx context.Context) error {
			reading.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}}
		h := serveOne(t, reader, time.Hour, -1)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		get := func(address string) {
			wg.Go(func() {
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/analytics/cpu?database=db", http.NoBody)
				r.RemoteAddr = address
				h.ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		for range 100 {
			get("10.0.0.1:1")
		}
		time.Sleep(time.Second)
		require.Equal(t, int64(8), reading.Load())
		get("10.0.0.2:1")
		synctest.Wait()
		require.Equal(t, int64(9), reading.Load())
		cancel()
		wg.Wait()
	})
}

// Requests that read many records do not keep others from reading few.
func TestQuickRequestsDoNotWaitForLongOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &stored{}
		for m := range 60 {
			for i := range 100 {
				r := rec(m, fmt.Sprint("f", i), "a", 1)
				reader.add(&r)
			}
		}
		slow := &slowParts{stored: reader}
		h := newAPI(t, slow, api.Options{MaxRecords: 10_000, MaxBuckets: 100, MaxBytes: 10 << 20, CacheBytes: -1, Timeout: 20 * time.Second})
		get := func(query string) (code int, took time.Duration) {
			start := time.Now()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db"+query, http.NoBody))
			return w.Code, time.Since(start)
		}
		var mu sync.Mutex
		codes := make(map[int]int)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				code, _ := get("")
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		time.Sleep(1500 * time.Millisecond) // the long requests have read 5,000 records by now
		code, took := get("&limit=1")
		require.Equal(t, http.StatusOK, code)
		require.LessOrEqual(t, took, 100*time.Millisecond)
		wg.Wait()
		require.Equal(t, map[int]int{http.StatusOK: 5}, codes)
		require.Equal(t, 5, slow.most, "at the same time")
		require.Equal(t, 2, slow.mostLong, "after 5,000 records")
	})
}

// stuck is a cache that does not end a reading of more than 5,000 records.
type stuck struct{ *stored }

func (s stuck) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	read := 0
	return s.stored.Records(ctx, t, starts, want, func(part record.Part) error {
		if read > 5000 {
			<-ctx.Done()
			return ctx.Err()
		}
		read += len(part.Texts)
		return yield(part)
	})
}

// The records are few, but each has a column of its own, so that the CSV has a million cells.
func TestALargeCSVIsMadeWithAPlaceAmongTheLongRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &stored{}
		for m := range 60 {
			for i := range 100 {
				r := rec(m, "f", "a", 1)
				r.Tags = []series.Tag{{Key: fmt.Sprint("tag", m, "_", i), Value: "v"}}
				reader.add(&r)
			}
		}
		h := newAPI(t, stuck{reader}, api.Options{MaxRecords: 10_000, MaxBuckets: 100, MaxBytes: 10 << 20, CacheBytes: -1, Timeout: 20 * time.Second})
		get := func(query string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db"+query, http.NoBody))
			return w
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { assert.Equal(t, http.StatusServiceUnavailable, get("").Code) })
		}
		synctest.Wait()
		start := time.Now()
		for query, want := range map[string]int{"&limit=1000": http.StatusOK, "&limit=1000&format=jsonl": http.StatusOK, "&limit=100&format=csv": http.StatusOK} {
			require.Equal(t, want, get(query).Code, query)
		}
		require.Zero(t, time.Since(start), "small answers need no such place")
		problemOf(t, get("&limit=1000&format=csv"), http.StatusServiceUnavailable)
		require.Equal(t, 10*time.Second, time.Since(start))
		require.Contains(t, with(&service{Handler: h}, http.MethodGet, "/metrics").Body.String(), `analytics_api_refused_total{reason="long"} 1`)
		wg.Wait()
		require.Equal(t, http.StatusOK, get("&limit=1000&format=csv").Code)
	})
}

// slowSums is a cache whose summaries need 100 ms.
type slowSums struct {
	*stored
	summaries []record.Summaries
}

func (s *slowSums) Summaries(_ context.Context, _ record.Table, _ []time.Time, yield func(record.Summaries) error) error {
	time.Sleep(100 * time.Millisecond)
	for _, bucket := range s.summaries {
		if err := yield(bucket); err != nil {
			return err
		}
	}
	return nil
}

// Roll-ups that come at the same time do not use the memory up with which some of them could answer.
func TestRollUpsWaitForTheMemoryOfOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		requests, clients int
		want              map[int]int
	}{
		{requests: 12, clients: 1, want: map[int]int{http.StatusOK: 12}},
		{requests: 12, clients: 12, want: map[int]int{http.StatusOK: 12}},
		{requests: 30, clients: 1, want: map[int]int{http.StatusOK: 20, http.StatusTooManyRequests: 10}}, // 4 are answered, and 16 wait
		{requests: 50, clients: 50, want: map[int]int{http.StatusOK: 38, http.StatusServiceUnavailable: 12}},
	} {
		synctest.Test(t, func(t *testing.T) {
			reader := &slowSums{stored: &stored{}}
			h := serveOne(t, reader, 20*time.Second, -1)
			r := summarized(rec(0, "f", "a", 1), 1)
			reader.summaries = []record.Summaries{{Start: r.Start, Parts: []record.SummaryPart{{Tags: "host=a", Field: "f", Summary: r.Summary}}, Last: true}}
			var mu sync.Mutex
			var wg sync.WaitGroup
			codes := make(map[int]int)
			for i := range test.requests {
				wg.Go(func() {
					w := httptest.NewRecorder()
					r := httptest.NewRequest(http.MethodGet, "/analytics/cpu?database=db&stats=p50", http.NoBody)
					r.RemoteAddr = fmt.Sprintf("10.0.0.%d:1", i%test.clients)
					h.ServeHTTP(w, r)
					mu.Lock()
					defer mu.Unlock()
					codes[w.Code]++
					assert.Equal(t, w.Code != http.StatusOK, w.Header().Get("Retry-After") != "", w.Body.String())
				})
			}
			wg.Wait()
			require.Equal(t, test.want, codes, "%d requests of %d clients", test.requests, test.clients)
			require.Equal(t, http.StatusOK, with(h, http.MethodGet, "/analytics/cpu?database=db&stats=p50").Code)
			require.Contains(t, with(h, http.MethodGet, "/metrics").Body.String(), "\nanalytics_api_answer_bytes 0\n")
		})
	}
}

// slowParts is a cache that needs 20 ms for a bucket. It counts how many requests read at the same time.
type slowParts struct {
	*stored
	mu             sync.Mutex
	all, long      int
	most, mostLong int
}

func (s *slowParts) count(all, long int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.long = s.all+all, s.long+long
	s.most, s.mostLong = max(s.most, s.all), max(s.mostLong, s.long)
}

func (s *slowParts) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	read := 0
	return s.stored.Records(ctx, t, starts, want, func(part record.Part) error {
		long := 0
		if read > 5000 {
			long = 1
		}
		s.count(1, long)
		time.Sleep(20 * time.Millisecond)
		s.count(-1, -long)
		read += len(part.Texts)
		return yield(part)
	})
}

func TestTextsThatAreNotRecordsNeverReachAClient(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	s := serve(t, client, exportCPU)
	all := s.fill(t)
	s.clock.Store(0)
	good := all[len(all)-1]
	other := good
	other.Table = "analytics_mem"
	garbage := []string{
		"", "garbage", "null", "{}", `{"table_name":"analytics_cpu"`, strings.TrimSuffix(string(good.AppendJSON(nil)), "}") + `,"x":NaN}`,
		string(other.AppendJSON(nil)), string(all[0].AppendJSON(nil)) /* of another bucket */, string(good.AppendJSON(nil)) + "]",
	}
	key := fmt.Sprintf("{db:analytics_cpu}:b:%d", good.Start.Unix())
	for i, text := range garbage {
		require.NoError(t, client.HSet(t.Context(), key, fmt.Sprint("garbage", i), text).Err())
	}
	require.Equal(t, texts(all, func(record.Record) bool { return true }), array(t, s.get(t, "/analytics/cpu?database=db")))
	require.Contains(t, s.get(t, "/metrics").Body.String(), fmt.Sprintf("analytics_api_invalid_records_total %d\n", len(garbage)))
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&limit=5")), 5)
	require.Equal(t, map[string]float64{"a": 9, "b": 9}, s.scraped(t, "analytics_cpu_values", -3))
	require.Equal(t, map[string]float64{"malformed": float64(len(garbage))}, s.dropped(t))
}

// scraped returns the exported values by host, plus an offset.
func (s *service) scraped(t *testing.T, gauge string, offset float64) map[string]float64 {
	t.Helper()
	s.clock.Store(60)
	w := s.get(t, "/metrics/analytics")
	values := make(map[string]float64)
	for _, host := range []string{"a", "b"} {
		require.Contains(t, w.Body.String(), fmt.Sprintf(`%s{cpu="cpu0",database="db",field_name="f",host=%q} 6`, gauge, host))
		values[host] = 6 - offset
	}
	return values
}

func TestCorruptTableIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]func(ctx context.Context, c *redis.Client) error{
		"a key in Redis has another type than the writers give it": func(ctx context.Context, c *redis.Client) error {
			return errors.Join(c.Del(ctx, "{db:analytics_bad}:idx").Err(), c.Set(ctx, "{db:analytics_bad}:idx", "x", 0).Err())
		},
		"its version in Redis is not an integer": func(ctx context.Context, c *redis.Client) error {
			return c.Set(ctx, "{db:analytics_bad}:ver", "abc", 0).Err()
		},
		"its index has the bucket 253402300800 at a time that is not in the years 1 to 9999": func(ctx context.Context, c *redis.Client) error {
			return c.ZAdd(ctx, "{db:analytics_bad}:idx", redis.Z{Score: 253402300800, Member: "253402300800"}).Err()
		},
		"the time of its last write is not in the years 1 to 9999": func(ctx context.Context, c *redis.Client) error {
			return c.ZAdd(ctx, "analytics:tables", redis.Z{Score: math.Inf(-1), Member: ":db:analytics_bad"}).Err()
		},
	} {
		c := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { _ = c.Close() })
		s := serve(t, c, nil)
		all := s.fill(t)
		bad := rec(0, "f", "h", 1)
		bad.Table = "analytics_bad"
		require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: "analytics_bad"}, []record.Record{bad}))
		require.NoError(t, damage(t.Context(), c))
		s.clock.Add(10)

		w := s.get(t, "/analytics/bad?database=db")
		require.Equal(t, `table "analytics_bad" of database "db" is corrupt: `+what, problemOf(t, w, http.StatusInternalServerError).Detail)
		require.Empty(t, w.Header().Get("Retry-After"))
		require.Equal(t, texts(all, func(record.Record) bool { return true }), array(t, s.get(t, "/analytics/cpu?database=db")))
		require.Equal(t, http.StatusOK, s.get(t, "/databases").Code)
		w = s.get(t, "/analytics?database=db")
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), `"error":"`+what+`"`)
		require.Contains(t, w.Body.String(), `"fields":["f","g"],"tag_keys":["cpu","host"],"first_bucket":"2026-01-02T02:55:00Z","last_bucket":"2026-01-02T03:04:00Z"`)
	}
}

func TestAbsurdRequestsGetSmallAnswers(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	var unknown, fields, repeated strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&unknown, "&p%d=%s", i, strings.Repeat("x", i%200))
		fmt.Fprintf(&fields, "&field=f%d", i)
		repeated.WriteString("&last=" + strings.Repeat("1", i%200))
	}
	for query, detail := range map[string]string{
		unknown.String():  "1500 parameters are wrong, the first: query.p0:",
		fields.String():   "want this parameter at most 100 times",
		repeated.String(): "want this parameter once",
	} {
		w := s.get(t, "/analytics/cpu?database=db"+query)
		require.Contains(t, problemOf(t, w, http.StatusBadRequest).Detail, detail)
		require.Less(t, w.Body.Len(), 8<<10)
	}
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db"+strings.Repeat("&field=f", 100))), 20)
}

func TestEndInYearOneIsBeforeEveryBucket(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	const zero = "0001-01-01T00:00:00Z"
	require.Empty(t, array(t, s.get(t, "/analytics/cpu?database=db&end="+zero)))
	require.Empty(t, array(t, s.get(t, "/analytics/cpu?database=db&last=5&end="+zero)))
	require.Empty(t, array(t, s.get(t, "/analytics/cpu?database=db&end=0001-01-01T01:00:00%2B01:00")))
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&start="+zero)), 40)
	problemOf(t, s.get(t, "/analytics/cpu?database=db&start="+zero+"&end="+zero), http.StatusBadRequest)
	problemOf(t, s.get(t, "/analytics/cpu?database=db&start=now&end="+zero), http.StatusBadRequest)
}

func TestHostIsChecked(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.CheckHost, o.Hosts = true, []string{"stats.example.com", "2001:db8::1"} })
	s.fill(t)
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8001": 200, "localhost.": 200, "a.localhost:1": 200, "127.0.0.1:8001": 200, "127.9.9.9": 200, "[::1]:8001": 200, "[::1]": 200,
		"::1": 200, "": 200, "stats.example.com": 200, "Stats.Example.com:443": 200, "[2001:db8::1]": 200, "[2001:DB8::1]:80": 200,
		"evil.example": 421, "evil.example:8001": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "[::2]:1": 421, "evillocalhost": 421,
	} {
		for _, path := range []string{"/analytics/cpu?database=db", "/health", "/nothing"} {
			r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			r.Host = host
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if want == http.StatusOK && path == "/nothing" {
				require.Equal(t, http.StatusNotFound, w.Code)
				continue
			}
			require.Equal(t, want, w.Code, "%q %s", host, path)
			if want != http.StatusOK {
				problemOf(t, w, want)
			}
		}
	}
}

// Requests for /ready need no token, so only the log has the addresses of the servers. It has one line, not one for each probe.
func TestReadyHasTheWarningsOfTheCacheWithoutItsAddresses(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newAPI(t, &stored{}, api.Options{
		MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", http.NoBody))
		require.JSONEq(t, `{"status":"ready","warnings":["something is wrong"]}`, w.Body.String())
	}
	require.Equal(t, 1, strings.Count(log.String(), `level=WARN msg="something is wrong" redis="10.1.2.3:6379, 10.1.2.4:6379"`), log.String())
}

// slowStore is a cache that answers the first ping and the first question for its warnings after the time first, and each later one
// after the time later. It answers an error if the context ends before.
type slowStore struct {
	*stored
	first, later    time.Duration
	pings, warnings atomic.Int32
}

func (s *slowStore) answer(ctx context.Context, asked *atomic.Int32) error {
	takes := s.later
	if asked.Add(1) == 1 {
		takes = s.first
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(takes):
		return nil
	}
}

func (s *slowStore) Ping(ctx context.Context) error { return s.answer(ctx, &s.pings) }

func (s *slowStore) Warnings(ctx context.Context) (map[string][]string, error) {
	if err := s.answer(ctx, &s.warnings); err != nil {
		return nil, err
	}
	return s.stored.Warnings(ctx)
}

// readyOf returns the API of a store with a ReadyTimeout of 5 s, and its log. It is for a synctest bubble.
func readyOf(t *testing.T, store api.Reader) (probe func() *httptest.ResponseRecorder, log *bytes.Buffer) {
	t.Helper()
	t.Cleanup(func() { time.Sleep(time.Minute) }) // until the questions that go on have ended
	log = &bytes.Buffer{}
	h := newAPI(t, store, api.Options{
		MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute, ReadyTimeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	return func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", http.NoBody))
		return w
	}, log
}

func TestReadyAnswersWithinItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probe, _ := readyOf(t, &slowStore{stored: &stored{}, first: time.Hour})
		start := time.Now()
		problemOf(t, probe(), http.StatusServiceUnavailable)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// The first answers take 9 s, as the client connects, and later ones 3 s. The second probe comes after 5 s, and shares the answers.
func TestReadyKeepsTheQuestionsOfAProbeThatHasNoTimeLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{stored: &stored{}, first: 9 * time.Second, later: 3 * time.Second}
		probe, _ := readyOf(t, store)
		start := time.Now()
		problemOf(t, probe(), http.StatusServiceUnavailable)
		for _, want := range []time.Duration{9 * time.Second, 12 * time.Second} {
			require.JSONEq(t, `{"status":"ready","warnings":["something is wrong"]}`, probe().Body.String())
			require.Equal(t, want, time.Since(start), "the ping and the warnings are read at the same time")
		}
		require.EqualValues(t, 2, store.pings.Load())
		require.EqualValues(t, 2, store.warnings.Load())
	})
}

// Only probes come, as to a service that nobody uses at night.
func TestReadyEndsAnOutageInTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{stored: &stored{}, first: time.Hour}
		probe, log := readyOf(t, store)
		for range 2 {
			store.pings.Store(0)
			problemOf(t, probe(), http.StatusServiceUnavailable)
			time.Sleep(time.Minute)
			require.Equal(t, http.StatusOK, probe().Code)
			time.Sleep(time.Hour)
		}
		require.Equal(t, 2, strings.Count(log.String(), `msg="request failed"`), log)
		require.Equal(t, 2, strings.Count(log.String(), `msg="Redis can be read again" redis="" after=0s failed=1`), log)
	})
}

// hasty is a cache that answers pings at once, and its warnings after an hour.
type hasty struct{ *slowStore }

func (hasty) Ping(context.Context) error { return nil }

func TestReadyDoesNotNeedTheSettingsOfAllServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probe, log := readyOf(t, hasty{&slowStore{stored: &stored{}, first: time.Hour, later: time.Hour}})
		for range 3 {
			require.JSONEq(t, `{"status":"ready","warnings":["a server does not answer, so its settings are unknown and requests for some tables fail"]}`,
				probe().Body.String())
		}
		require.Equal(t, 1, strings.Count(log.String(), "the settings of a server cannot be read"), log)
	})
}

// A probe of Kubernetes leaves after a second, unless it has another timeout.
func TestReadyLogsNothingForAProbeThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) }) // until the questions that go on have ended
		log := &bytes.Buffer{}
		h := newAPI(t, hasty{&slowStore{stored: &stored{}, first: 2 * time.Second, later: 2 * time.Second}}, api.Options{
			MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute, ReadyTimeout: 5 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)),
		})
		for range 3 {
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/ready", http.NoBody).WithContext(ctx))
			leave()
			time.Sleep(10 * time.Second)
		}
		require.Empty(t, log.String())
	})
}

// Each second probe shares the question that took too long for the one before.
func TestReadyLogsASlowServerOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		probe, log := readyOf(t, hasty{&slowStore{stored: &stored{}, first: 6 * time.Second, later: 6 * time.Second}})
		start := time.Now()
		for time.Since(start) < 2*time.Minute {
			require.Equal(t, http.StatusOK, probe().Code)
		}
		require.Equal(t, 2, strings.Count(log.String(), "the settings of a server cannot be read"), log)
	})
}
