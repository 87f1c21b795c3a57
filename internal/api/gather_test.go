package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
)

// scraped serves the export of a table whose records are read by a function of the test.
func scraped(t *testing.T, before func(context.Context) error) http.Handler {
	reader := &stored{before: before}
	r := rec(1, "f", "a", 1)
	reader.add(&r)
	return newAPI(t, reader, api.Options{
		MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute, ExportMaxSeries: 10, ExportBuckets: 10,
		Export: exports("cpu"), Now: func() time.Time { return now },
	})
}

func scrape(ctx context.Context, h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics/analytics", http.NoBody))
	return w
}

func TestConcurrentScrapesShareOneReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		h := scraped(t, func(context.Context) error {
			reads++
			time.Sleep(10 * time.Second)
			return nil
		})
		var wg sync.WaitGroup
		start := time.Now()
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				w := scrape(t.Context(), h)
				assert.Equal(t, http.StatusOK, w.Code)
				assert.Contains(t, w.Body.String(), `analytics_cpu_mean{cpu="cpu0",database="db",field_name="f",host="a"} 1`)
				assert.Equal(t, 20*time.Second, time.Since(start), "the buckets and then those of the future")
			})
		}
		wg.Wait()
		require.Equal(t, 2, reads)
		require.Equal(t, http.StatusOK, scrape(t.Context(), h).Code)
		require.Equal(t, 4, reads, "a scrape after that reads again")
	})
}

// The text formats share a reading. Protobuf also needs the summaries, so it has its own.
func TestScrapesShareAReadingOverTheTextFormats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		h := scraped(t, func(context.Context) error {
			reads.Add(1)
			time.Sleep(10 * time.Second)
			return nil
		})
		var wg sync.WaitGroup
		for _, accept := range []string{"", acceptOpenMetrics, "text/plain", acceptProto} {
			wg.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics/analytics", http.NoBody)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if accept == acceptProto {
					assert.Equal(t, http.StatusServiceUnavailable, w.Code, "the test stores no summaries")
					return
				}
				p := parse(t, w)
				assert.Len(t, p.samples, 3+8+1)
				assert.Equal(t, "Accept", w.Header().Get("Vary"))
			})
		}
		wg.Wait()
		require.EqualValues(t, 4, reads.Load(), "two readings of two parts")
	})
}

func TestAScrapeByHeadHasNoBody(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	s.fill(t)
	for accept, want := range map[string]string{"": "text/plain; ", acceptOpenMetrics: "application/openmetrics-text; ", acceptProto: "application/vnd.google.protobuf; "} {
		r := httptest.NewRequest(http.MethodHead, "/metrics/analytics", http.NoBody)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Header().Get("Content-Type"), want)
		require.Empty(t, w.Body.String())
	}
}

func TestReadingStopsWhenAllItsScrapesAreGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		var stopped time.Duration
		start := time.Now()
		h := scraped(t, func(ctx context.Context) error {
			reads++
			<-ctx.Done()
			stopped = time.Since(start)
			return ctx.Err()
		})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				scrape(ctx, h)
				assert.Equal(t, time.Duration(i+1)*time.Second, time.Since(start), "each ends with its client")
			})
		}
		wg.Wait()
		synctest.Wait()
		require.Equal(t, 1, reads)
		require.Equal(t, 20*time.Second, stopped)
	})
}

func TestScrapesAtTheSameTimeAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := scraped(t, func(context.Context) error {
			time.Sleep(time.Second)
			return nil
		})
		codes := make(map[int]int)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				w := scrape(t.Context(), h)
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
				if w.Code != http.StatusOK {
					assert.Equal(t, "5", w.Header().Get("Retry-After"))
				}
			})
		}
		wg.Wait()
		require.Equal(t, map[int]int{http.StatusOK: 64, http.StatusServiceUnavailable: 36}, codes)
	})
}

func TestMemoryOfExpositionsIsCounted(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) {
		exportCPU(o)
		o.MaxBytes, o.MaxTotalBytes = 100, 800
	})
	s.fill(t)
	s.clock.Store(0)
	require.Contains(t, problemOf(t, s.get(t, "/metrics/analytics"), http.StatusServiceUnavailable).Detail, "the memory for answers")
	require.Contains(t, s.get(t, "/metrics").Body.String(), "analytics_api_answer_bytes 0\n")
}

// The memory is given back by the last scrape, or by the reading if all clients have left before its end.
func TestMemoryOfExpositionsIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"by the last scrape": time.Minute, "by the reading": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := scraped(t, func(context.Context) error {
					time.Sleep(10 * time.Second)
					return nil
				})
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						scrape(ctx, h)
					})
				}
				wg.Wait()
				time.Sleep(time.Minute)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
				require.Contains(t, w.Body.String(), "analytics_api_answer_bytes 0\n")
			})
		})
	}
}
