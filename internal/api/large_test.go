package api_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
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

// namedReads is a cache whose buckets come in parts of one record, so that pages read them by names. It counts the readings.
type namedReads struct {
	parted
	scans, named, records atomic.Int64                // readings of all names, and records that were read by name or not
	trips                 atomic.Int64                // readings by name
	scanned               func(context.Context) error // called before names are read
	unknown               bool                        // whether it does not know how long a bucket lives
}

func (n *namedReads) Names(ctx context.Context, t record.Table, start time.Time, yield func([]record.Name) error) (int, time.Duration, error) {
	n.scans.Add(1)
	if n.scanned != nil {
		if err := n.scanned(ctx); err != nil {
			return -1, 0, err
		}
	}
	size, lives, err := n.Reader.Names(ctx, t, start, yield)
	if n.unknown {
		lives = 0
	}
	return size, lives, err
}

func (n *namedReads) Named(ctx context.Context, t record.Table, start time.Time, names []string) ([]string, int, error) {
	n.trips.Add(1)
	texts, size, err := n.Reader.Named(ctx, t, start, names[:min(len(names), 7)])
	n.named.Add(int64(len(texts)))
	return texts, size, err
}

func (n *namedReads) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	return n.parted.Records(ctx, t, starts, want, func(part record.Part) error {
		n.records.Add(int64(len(part.Texts)))
		return yield(part)
	})
}

// large returns the service with such a cache.
func (s *service) large(edit func(*api.Options)) (*service, *namedReads) {
	reader := &namedReads{parted: parted{Reader: s.reader}}
	return s.beside(reader, func(o *api.Options) {
		o.LargeBucket, o.CacheBytes = 1, -1
		if edit != nil {
			edit(o)
		}
	}), reader
}

// crowd writes two buckets of many records, whose names are of all kinds.
func (s *service) crowd(t testing.TB) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	hosts := []string{"a", "a b", "a!", "a,b=c", `"q"`, "é", "\xff", "%", "", strings.Repeat("h", 250) + "1", strings.Repeat("h", 250) + "2", strings.Repeat("h", 300)}
	var all []record.Record
	for _, m := range []int{1, 2} {
		for _, host := range hosts {
			for _, field := range []string{"f", "f g", "g"} {
				for _, agent := range []string{"a1", "a2", strings.Repeat("a", 300)} {
					r := summed(marked(rec(m, field, host, 0), rnd.IntN(3) > 0), agent, "", float64(rnd.IntN(9)))
					if rnd.IntN(4) == 0 {
						r.Tags = append(r.Tags, series.Tag{Key: "max", Value: "x"}, series.Tag{Key: "rack", Value: strconv.Itoa(rnd.IntN(3))})
					}
					if all = append(all, r); rnd.IntN(5) == 0 {
						all = append(all, summed(r, agent, "r", 1, 2, 3))
					}
				}
			}
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.put(t, all...)
	s.clock.Store(0)
}

func TestPagesOfBucketsThatAreReadByNamesAreTheWholeAnswer(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	l, reader := s.large(nil)
	for i, query := range []string{
		"", "&agents=each", "&final=true", "&final=true&agents=each", "&last=1", "&field=f+g", "&field=g&tag=host=a", "&tag=agent=a2&tag=cpu=cpu0",
		"&tag=replica=r&agents=each", "&tag=replica=&agents=each", "&tag=max_tag=x", "&tag=rack=1&final=true", "&tag=host=a%20b&tag=agent=a1", "&start=-2m",
	} {
		sizes := []int{20, 2}
		if testing.Short() && i > 0 {
			sizes = sizes[:1] // small pages need ten times the requests
		}
		for _, order := range []string{"", "&order=desc"} {
			path := cpuPath + query + order
			whole := array(t, s.get(t, path))
			require.NotEmpty(t, whole, path)
			for _, size := range sizes {
				before := reader.named.Load()
				got, pages := l.paged(t, fmt.Sprintf("%s&limit=%d", path, size), nil)
				require.Equal(t, whole, got, "%s in pages of %d", path, size)
				require.Equal(t, max(1, (len(whole)+size-1)/size), pages, "%s in pages of %d", path, size)
				if len(whole) > 5*size {
					require.Greater(t, reader.named.Load(), before, "%s in pages of %d", path, size)
				}
			}
		}
	}
}

// The pages after the first one, and the same page of another client, read the records of the page and no names.
func TestAPageOfALargeBucketReadsItsRecordsOnly(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	l, reader := s.large(nil)
	path := cpuPath + "&limit=2&agents=each"
	first := l.get(t, path)
	require.Equal(t, http.StatusOK, first.Code)
	require.EqualValues(t, 1, reader.scans.Load())
	require.LessOrEqual(t, reader.records.Load()+reader.named.Load(), int64(10))
	for range 3 {
		reader.named.Store(0)
		reader.records.Store(0)
		require.Equal(t, array(t, first), array(t, l.get(t, path)))
		require.Len(t, array(t, l.get(t, next(t, first, path))), 2)
		require.EqualValues(t, 6, reader.named.Load(), "and one record more to know that there are more")
		require.Zero(t, reader.records.Load())
	}
	s.put(t, summed(rec(0, "f", "a", 1), "a1", "", 1), summed(marked(rec(2, "f", "a", 0), true), "a1", "", 7))
	require.Len(t, array(t, l.get(t, path)), 2)
	require.EqualValues(t, 1, reader.scans.Load(), "records of other buckets, and newer ones of the same names, change no names")
	s.put(t, summed(marked(rec(2, "a", "a", 0), true), "a1", "", 7))
	require.Contains(t, array(t, l.get(t, path))[0], `"field_name":"a"`)
	require.EqualValues(t, 2, reader.scans.Load())
}

// A large bucket is lost, and written anew with as many other records: those of the page, another one between them, and one less
// behind them.
func TestTheNamesOfALostBucketAreNotUsedForTheNextOne(t *testing.T) {
	t.Parallel()
	for what, lose := range map[string]func(s *service, m *miniredis.Miniredis){
		"expired": func(s *service, m *miniredis.Miniredis) {
			s.clock.Add(301)
			m.FastForward(301 * time.Second)
		},
		"the whole table is lost": func(s *service, m *miniredis.Miniredis) {
			s.clock.Add(1)
			m.SetTime(now)
			m.FlushAll()
		},
	} {
		m := miniredis.RunT(t)
		m.SetTime(now.Add(-time.Hour))
		client := redis.NewClient(&redis.Options{Addr: m.Addr()})
		s := serve(t, client, nil)
		write := func(fields ...string) {
			w := cache.NewWriter(client, cache.Options{Retention: 5 * time.Minute})
			for _, field := range fields {
				require.NoError(t, w.Put(t.Context(), record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{rec(0, field, "a", 1)}))
			}
		}
		write("f1", "f2", "f3", "f4", "f5", "f6")
		s.put(t, rec(-1, "f1", "a", 1)) // the table lives longer than the bucket
		l, reader := s.large(nil)
		const path = cpuPath + "&limit=2"
		require.Len(t, array(t, l.get(t, path)), 2)
		require.Len(t, array(t, l.get(t, path)), 2)
		require.EqualValues(t, 1, reader.scans.Load())
		lose(s, m)
		write("f1", "f15", "f2", "f3", "f4", "f5")
		require.Equal(t, array(t, s.get(t, cpuPath))[:2], array(t, l.get(t, path)), what)
		require.NoError(t, client.Close())
	}
}

// If it is not known how long a bucket lives, its names are used until the table is written.
func TestNamesOfABucketOfUnknownLifeAreUsedUntilAWrite(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	l, reader := s.large(nil)
	reader.unknown = true
	for scans := range int64(3) {
		first := l.get(t, cpuPath+"&limit=2")
		require.Len(t, array(t, l.get(t, next(t, first, cpuPath+"&limit=2"))), 2)
		require.Equal(t, scans+1, reader.scans.Load())
		s.put(t, rec(0, "f", "a", 1))
	}
}

func TestACursorInALargeBucketStaysValidWhileDataArrives(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "&order=desc", "&agents=each", "&agents=each&order=desc", "&field=g"} {
		s := withRedis(t, nil)
		s.crowd(t)
		each := strings.Contains(query, "each")
		before := names(array(t, s.get(t, cpuPath+query)), each)
		l, _ := s.large(nil)
		rnd := rand.New(rand.NewPCG(5, 6))
		size := 3
		if testing.Short() {
			size = 9 // a third of the requests
		}
		all, _ := l.paged(t, fmt.Sprint(cpuPath, query, "&limit=", size), func(page int) {
			if page%4 > 0 {
				return
			}
			m := rnd.IntN(2) + 1
			s.put(t,
				summed(marked(rec(m, "f", fmt.Sprint("new", page), 0), true), "a1", "", 1), // a new series
				summed(marked(rec(m, "g", "a", 0), true), fmt.Sprint("a0", page), "", 1),   // another agent
				summed(marked(rec(m, "f", "a", 0), true), "a1", "", 1, 2, 3, 4),            // another revision
			)
		})
		got := names(all, each)
		require.Len(t, got, len(all), "%s: no record is repeated", query)
		for name := range before {
			require.True(t, got[name], "%s: %s", query, name)
		}
	}
}

// The names of a bucket that are known are those of a query, so they do not show whether the table has a final record in it.
func TestKnownNamesDoNotChangeOtherAnswers(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	s.put(t, marked(rec(0, "open", "a", 0), false), marked(rec(0, "open", "b", 0), false), marked(rec(0, "open", "c", 0), false),
		marked(rec(0, "open", "d", 0), false), marked(rec(1, "open", "a", 0), true), marked(rec(0, "f", "a", 0), true))
	l, reader := s.large(nil)
	for _, order := range []string{"", "&order=desc"} {
		path := cpuPath + "&field=open" + order
		l.paged(t, path+"&limit=1", nil)
		require.Positive(t, reader.scans.Load())
		reader.named.Store(0)
		for _, query := range []string{"", "&final=true", "&final=true&last=1", "&final=true&last=1&limit=5", "&last=1"} {
			require.Equal(t, array(t, s.get(t, path+query)), array(t, l.get(t, path+query)), query+order)
		}
	}
}

// The more records of a bucket are not final, the more of them are read at a time.
func TestAFinalRecordBehindManyOpenOnesNeedsFewTrips(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for i := range 50 {
		all = append(all, summed(marked(rec(0, fmt.Sprint("f", i+10), "a", 0), i == 30), "a1", "", 1))
	}
	s.put(t, all...)
	l, reader := s.large(func(o *api.Options) { o.LargeBucket = 40 })
	for _, query := range []string{"", "&agents=each"} {
		reader.trips.Store(0)
		require.Equal(t, array(t, s.get(t, cpuPath+"&final=true")), array(t, l.get(t, cpuPath+"&final=true&limit=1"+query)))
		require.LessOrEqual(t, reader.trips.Load(), int64(15))
	}
}

// If names do not show the order of the records, the page reads all of them.
func TestPagesOfALargeBucketWithUnclearNames(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	odd := summed(rec(1, "f", "h", 1), "a1", "", 1)
	odd.Stats = append(odd.Stats, record.Stat{Name: "host", Value: 1.5})
	s.put(t, odd)
	whole := array(t, s.get(t, cpuPath))
	l, reader := s.large(nil)
	got, _ := l.paged(t, cpuPath+"&limit=9", nil)
	require.Equal(t, whole, got)
	require.Positive(t, reader.scans.Load())
	require.Zero(t, reader.named.Load())
}

// Requests that need the same names at the same time read them once. One that is gone does not end the reading for the others, and
// the reading ends with the last one.
func TestRequestsShareTheReadingOfNames(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	var o api.Options
	_, reader := s.large(func(used *api.Options) { o = *used })
	l, waiting := api.NewWatched(reader, o)
	begun, proceed, ended := make(chan struct{}, 10), make(chan struct{}, 10), make(chan struct{}, 10)
	reader.scanned = func(ctx context.Context) error {
		begun <- struct{}{}
		select {
		case <-proceed:
			return nil
		case <-ctx.Done():
			ended <- struct{}{}
			return ctx.Err()
		}
	}
	request := func(ctx context.Context) <-chan int {
		code := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			l.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, cpuPath+"&limit=2", http.NoBody))
			code <- w.Code
		}()
		return code
	}
	gone, cancel := context.WithCancel(t.Context())
	first := request(gone)
	<-begun
	others := []<-chan int{request(t.Context()), request(t.Context()), request(t.Context())}
	require.Eventually(t, func() bool { return waiting() == 4 }, patience, time.Millisecond)
	cancel()
	<-first
	proceed <- struct{}{}
	for _, code := range others {
		require.Equal(t, http.StatusOK, <-code)
	}
	require.EqualValues(t, 1, reader.scans.Load())

	gone, cancel = context.WithCancel(t.Context())
	path := cpuPath + "&limit=2&field=g"
	go l.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodGet, path, http.NoBody))
	<-begun
	cancel()
	<-ended
}

// The names that are kept use at most an eighth of the bytes of all answers, and are part of these.
func TestKeptNamesAreBounded(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.crowd(t)
	const total = 1 << 20
	l, reader := s.large(func(o *api.Options) { o.MaxTotalBytes = total })
	used := func() int {
		m := regexp.MustCompile(`(?m)^analytics_api_answer_bytes (\S+)`).FindStringSubmatch(s.get(t, "/metrics").Body.String())
		require.NotNil(t, m)
		n, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		return int(n)
	}
	s.Handler = l.Handler
	most := 0
	for i := range 76 {
		require.Len(t, array(t, l.get(t, cpuPath+"&limit=1&agents=each"+strings.Repeat("&field=g", i%38+1))), 1)
		if i%10 == 0 {
			most = max(most, used())
		}
	}
	require.Greater(t, reader.scans.Load(), int64(38), "some were removed and read again")
	require.Greater(t, most, total/16)
	require.LessOrEqual(t, most, total/8)
}

// unclearNames is a cache whose names do not show the records. It counts the requests that have read many records and go on.
type unclearNames struct {
	stored
	mu         sync.Mutex
	long, most int
}

func (*unclearNames) Head(context.Context, record.Table, time.Time, bool) ([]record.Name, int, time.Duration, error) {
	return nil, -1, 0, record.ErrUnclear
}

func (u *unclearNames) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	read := 0
	return u.stored.Records(ctx, t, starts, want, func(part record.Part) error {
		for i, text := range part.Texts {
			one := record.Part{Start: part.Start, Texts: []string{text}, Names: []string{strconv.Itoa(i)}, Last: part.Last && i == len(part.Texts)-1}
			if err := yield(one); err != nil {
				return err
			}
			if read++; read == 5100 {
				u.add(1)
				time.Sleep(50 * time.Millisecond)
				u.add(-1)
			}
		}
		return nil
	})
}

func (u *unclearNames) add(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.long += n
	u.most = max(u.most, u.long)
}

// A page that reads all records of a large bucket after all, because its names are not clear, has a place for that.
func TestPagesOfALargeBucketWithUnclearNamesHavePlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &unclearNames{}
		for i := range 5200 {
			r := rec(0, fmt.Sprint("f", i), "a", 1)
			reader.stored.add(&r)
		}
		h := newAPI(t, reader, api.Options{
			MaxRecords: 1000, MaxBuckets: 500, MaxBytes: 1 << 20, Timeout: time.Minute, LargeBucket: 1, CacheBytes: -1, MaxScanned: 100_000,
			Now: func() time.Time { return now },
		})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { assert.Equal(t, http.StatusOK, with(h, http.MethodGet, cpuPath+"&limit=1").Code) })
		}
		wg.Wait()
		require.Equal(t, 2, reader.most)
	})
}

// many returns records of a bucket that the cache has the first and the last names of.
func many(n int) (all []record.Record) {
	for i := range n {
		all = append(all, rec(0, fmt.Sprintf("f%04d", i), "a", float64(i)))
	}
	return all
}

// A small page at either end of a large bucket, and the pages after it, read no names but the first or the last ones.
func TestSmallPagesOfALargeBucketReadItsFirstNames(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.put(t, many(900)...)
	for _, order := range []string{"", "&order=desc"} {
		whole := array(t, s.get(t, cpuPath+order))
		for _, query := range []string{"&limit=1", "&limit=30", "&limit=2&agents=each"} {
			l, reader := s.large(nil)
			first := l.get(t, cpuPath+query+order)
			got := array(t, first)
			require.Equal(t, whole[:len(got)], got, query+order)
			require.Zero(t, reader.scans.Load(), query+order)
			require.LessOrEqual(t, reader.records.Load()+reader.named.Load(), int64(3*len(got)+2), query+order)
			if len(got) < 10 {
				require.Equal(t, whole[len(got):2*len(got)], array(t, l.get(t, next(t, first, cpuPath+query+order))), query+order)
				require.Zero(t, reader.scans.Load(), query+order)
			}
		}
		l, reader := s.large(nil)
		got, _ := l.paged(t, cpuPath+"&limit=20&field=f0001&field=f0007&field=f0890"+order, nil)
		require.Len(t, got, 3)
		require.EqualValues(t, 1, reader.scans.Load(), "the first names may not be all of the wanted ones")
		got, _ = l.paged(t, cpuPath+"&limit=25"+order, nil)
		require.Equal(t, whole, got)
		require.Len(t, array(t, l.get(t, cpuPath+"&limit=400"+order)), 400)
	}
}

// Names of a bucket that are not in the cache's list of the first ones, or not in the bucket any more, are noticed.
func TestFirstNamesThatAreNotThoseOfTheBucketAreNotUsed(t *testing.T) {
	t.Parallel()
	key := "{db:analytics_cpu}:b:" + strconv.FormatInt(rec(0, "", "", 0).Start.Unix(), 10)
	early := rec(0, "f", "a", 7)
	for what, change := range map[string]func(t *testing.T, s *service){
		"a new name": func(t *testing.T, s *service) { s.put(t, early) },
		"a name of another program": func(t *testing.T, s *service) {
			require.NoError(t, s.client.HSet(t.Context(), key, "cpu=cpu0,host=a|f|a1", early.AppendJSON(nil)).Err())
		},
		"another name in its place": func(t *testing.T, s *service) {
			require.NoError(t, s.client.HDel(t.Context(), key, "cpu=cpu0,host=a|f0001|a1").Err())
			require.NoError(t, s.client.HSet(t.Context(), key, "cpu=cpu0,host=a|f|a1", early.AppendJSON(nil)).Err())
		},
	} {
		s := withRedis(t, nil)
		s.put(t, many(600)...)
		l, reader := s.large(nil)
		const path = cpuPath + "&limit=3"
		require.Equal(t, array(t, s.get(t, cpuPath))[:3], array(t, l.get(t, path)), what)
		require.Zero(t, reader.scans.Load(), what)
		change(t, s)
		fresh, _ := s.large(nil)
		for _, l := range []*service{l, fresh} {
			got := array(t, l.get(t, path))
			require.Contains(t, got[0], `"field_name":"f",`, what)
			require.Equal(t, array(t, l.get(t, cpuPath))[:3], got, what)
		}
	}
}
