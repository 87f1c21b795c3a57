package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// gatedReads is a cache that reads records when it may.
type gatedReads struct {
	countedReads
	begun, proceed chan struct{}
}

func (g *gatedReads) Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error {
	g.begun <- struct{}{}
	select {
	case <-g.proceed:
		return g.countedReads.Records(ctx, t, starts, want, yield)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gated returns the service with such a cache, and a function that begins a request.
func (s *service) gated(edit func(*api.Options)) (reader *gatedReads, k *service, request func(context.Context, string) <-chan *httptest.ResponseRecorder) {
	reader = &gatedReads{countedReads: countedReads{Reader: s.reader}, begun: make(chan struct{}, 100), proceed: make(chan struct{}, 100)}
	k = s.beside(reader, edit)
	return reader, k, func(ctx context.Context, path string) <-chan *httptest.ResponseRecorder {
		answer := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			w := httptest.NewRecorder()
			k.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
			answer <- w
		}()
		return answer
	}
}

// missed waits until n requests had no kept answer.
func (s *service) missed(t *testing.T, n int) {
	t.Helper()
	want := fmt.Sprintf("\nanalytics_api_cache_requests_total{result=\"miss\"} %d\n", n)
	require.Eventually(t, func() bool { return strings.Contains(s.get(t, "/metrics").Body.String(), want) }, patience, time.Millisecond)
}

func TestTheSameRequestsAtTheSameTimeShareAnAnswer(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for _, path := range []string{cpuPath, cpuPath + "&last=2&format=csv", cpuPath + "&limit=2"} {
		reader, k, request := s.gated(func(*api.Options) {})
		first := request(t.Context(), path)
		<-reader.begun
		var others []<-chan *httptest.ResponseRecorder
		for range 20 {
			others = append(others, request(t.Context(), path))
		}
		gone, cancel := context.WithCancel(t.Context())
		leaving := request(gone, path)
		k.missed(t, 22)
		cancel()
		<-leaving
		close(reader.proceed)
		want := <-first
		require.Equal(t, http.StatusOK, want.Code)
		for _, other := range others {
			got := <-other
			require.Equal(t, want.Body.String(), got.Body.String())
			for _, name := range []string{"Etag", "Link", "Content-Type", "Vary"} {
				require.Equal(t, want.Header()[name], got.Header()[name], name)
			}
		}
		require.Empty(t, reader.begun, "nobody else has read records")
	}
}

// Each request counts once, also if it waits for the answer of another one.
func TestARequestThatWaitsForAnAnswerIsCountedOnce(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	reader, k, request := s.gated(func(*api.Options) {})
	first := request(t.Context(), cpuPath)
	<-reader.begun
	others := []<-chan *httptest.ResponseRecorder{request(t.Context(), cpuPath), request(t.Context(), cpuPath)}
	k.missed(t, 3)
	close(reader.proceed)
	<-first
	for _, other := range others {
		require.Equal(t, http.StatusOK, (<-other).Code)
	}
	require.Zero(t, k.kept(t))
	k.missed(t, 3)
}

// panicking is a cache of which one reading of a version fails, and the next one panics.
type panicking struct {
	countedReads
	left atomic.Int64 // how many readings do so
}

func (p *panicking) Version(ctx context.Context, t record.Table) (int64, error) {
	switch p.left.Add(-1) {
	case 1:
		return 0, errors.New("broken")
	case 0:
		panic("broken")
	}
	return p.countedReads.Version(ctx, t)
}

// A request that panics while it looks for the answer of another one does not make later ones wait.
func TestNobodyWaitsForARequestThatPanicked(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	reader := &panicking{countedReads: countedReads{Reader: s.reader}}
	k := s.beside(reader, func(*api.Options) {})
	require.Equal(t, http.StatusOK, k.get(t, cpuPath).Code)
	s.clock.Add(1)
	reader.left.Store(2)
	require.Equal(t, http.StatusInternalServerError, k.get(t, cpuPath).Code)
	s.clock.Add(10) // the kept answer is too old
	require.Equal(t, http.StatusOK, k.get(t, cpuPath).Code)
}

// A request that waits for a place while another one makes its answer gets that answer, whole.
func TestARequestFindsTheAnswerThatWasMadeWhileItWaitedForItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, get := newHung(t)
		reader.records.Store(true)
		var wg sync.WaitGroup
		defer wg.Wait()
		leave := make([]context.CancelFunc, 8)
		for i := range leave { // all places of the client
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leave[i] = cancel
			wg.Go(func() { get(ctx, "10.0.0.1", fmt.Sprint("&limit=", 1+i)) })
		}
		synctest.Wait()
		reader.records.Store(false)
		wg.Go(func() {
			w := get(t.Context(), "10.0.0.1", "")
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Len(t, array(t, w), 1)
		})
		synctest.Wait()
		require.Equal(t, http.StatusOK, get(t.Context(), "10.0.0.2", "").Code)
		leave[0]()
	})
}

// If the first request fails, the others do not.
func TestARequestDoesNotFailWithTheOneThatItWaitsFor(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	reader, k, request := s.gated(func(*api.Options) {})
	gone, cancel := context.WithCancel(t.Context())
	first := request(gone, cpuPath)
	<-reader.begun
	others := []<-chan *httptest.ResponseRecorder{request(t.Context(), cpuPath), request(t.Context(), cpuPath)}
	k.missed(t, 3)
	cancel()
	<-first
	for range others {
		reader.proceed <- struct{}{}
	}
	for _, other := range others {
		require.Equal(t, http.StatusOK, (<-other).Code)
	}
}

// Requests do not wait for an answer that is not kept to be sent to a slow client.
func TestNobodyWaitsForTheClientOfAnother(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for _, size := range []int{1 << 20, 8 * 1000} { // in which the answer fits, and does not
		reader, k, request := s.gated(func(o *api.Options) { o.CacheBytes = size })
		slow := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), stuck: make(chan struct{}), read: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			k.ServeHTTP(slow, httptest.NewRequest(http.MethodGet, cpuPath, http.NoBody))
		}()
		<-reader.begun
		other := request(t.Context(), cpuPath)
		k.missed(t, 2)
		reader.proceed <- struct{}{}
		<-slow.stuck
		reader.proceed <- struct{}{}
		require.Equal(t, http.StatusOK, (<-other).Code)
		close(slow.read)
		<-done
	}
}

// hung is a table of one record whose version or records are not read as long as the context lasts.
type hung struct {
	stored
	versions, records atomic.Bool
}

func (h *hung) Version(ctx context.Context, _ record.Table) (int64, error) {
	if h.versions.Load() {
		<-ctx.Done()
	}
	return 1, ctx.Err()
}

// newHung returns the service with such a cache, and a function that answers a request of a client.
func newHung(t *testing.T) (reader *hung, get func(ctx context.Context, client, query string) *httptest.ResponseRecorder) {
	t.Helper()
	reader = &hung{}
	reader.before = func(ctx context.Context) error {
		if reader.records.Load() {
			<-ctx.Done()
		}
		return ctx.Err()
	}
	h := serveOne(t, reader, 20*time.Second, 0)
	return reader, func(ctx context.Context, client, query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, cpuPath+query, http.NoBody)
		r.RemoteAddr = client + ":1"
		h.ServeHTTP(w, r)
		return w
	}
}

// While Redis hangs, the same requests wait for each other: first for the version of a kept answer, then for the answer.
func TestARequestWaitsForRedisAtMostForTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, get := newHung(t)
		require.Equal(t, http.StatusOK, get(t.Context(), "10.0.0.1", "").Code)
		reader.versions.Store(true)
		reader.records.Store(true)
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		defer time.Sleep(time.Minute) // until the last reading has ended
		for range 10 {
			wg.Go(func() {
				start := time.Now()
				assert.Equal(t, http.StatusServiceUnavailable, get(t.Context(), "10.0.0.1", "").Code)
				assert.LessOrEqual(t, time.Since(start), 20*time.Second)
			})
			time.Sleep(3 * time.Second)
		}
		wg.Wait()
	})
}

// late is a table whose version is read slowly once, and then not as long as the context lasts.
type late struct {
	hung
	readings atomic.Int64
}

func (l *late) Version(ctx context.Context, t record.Table) (int64, error) {
	if l.readings.Add(1) == 2 {
		time.Sleep(19 * time.Second)
		return 1, nil
	}
	return l.hung.Version(ctx, t)
}

// A reading that other requests have begun long ago is followed by another one, which has the rest of the time.
func TestARequestWaitsForTwoReadingsAtMostForTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &late{}
		s := &service{Handler: serveOne(t, reader, 20*time.Second, 0)}
		require.Equal(t, http.StatusOK, s.get(t, cpuPath).Code)
		s.get(t, cpuPath)
		time.Sleep(100 * time.Millisecond)
		reader.versions.Store(true)
		var wg sync.WaitGroup
		defer time.Sleep(time.Minute) // until the last reading has ended
		for range 2 {
			wg.Go(func() {
				start := time.Now()
				s.get(t, cpuPath)
				assert.LessOrEqual(t, time.Since(start), 20*time.Second)
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
	})
}

// A client whose requests use all of its places waits for a place. Another client with the same request does not wait for that.
func TestNobodyWaitsForThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, get := newHung(t)
		reader.records.Store(true)
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range 8 {
			wg.Go(func() { get(t.Context(), "10.0.0.1", fmt.Sprint("&limit=", 1+i)) })
		}
		synctest.Wait()
		reader.records.Store(false)
		wg.Go(func() { get(t.Context(), "10.0.0.1", "") })
		synctest.Wait()
		start := time.Now()
		require.Equal(t, http.StatusOK, get(t.Context(), "10.0.0.2", "").Code)
		require.Zero(t, time.Since(start))
	})
}
