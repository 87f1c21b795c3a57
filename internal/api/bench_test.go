package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// fillTable writes a table of buckets of 10 series with 10 fields each: 100 records a bucket.
func fillTable(t testing.TB, s *service, table string, buckets int) {
	t.Helper()
	var records []record.Record
	for m := range buckets {
		for host := range 10 {
			for field := range 10 {
				r := rec(m, fmt.Sprint("field", field), fmt.Sprint("host", host), float64(m))
				r.Table = table
				records = append(records, r)
			}
		}
		if len(records) >= 5000 || m == buckets-1 {
			require.NoError(t, s.writer.Put(context.Background(), record.Table{Database: "db", Name: table}, records))
			records = records[:0]
		}
	}
}

// BenchmarkTableSize measures the same requests on tables of 100,000 and 1,000,000 records in a redis-server.
func BenchmarkTableSize(b *testing.B) {
	c, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + redistest.Server(b).Addr()}, Timeout: time.Minute})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	s := serve(b, c, func(o *api.Options) {
		o.MaxRecords, o.MaxBuckets, o.MaxBytes = 10_000, 10_000, 32<<20
		o.CacheBytes = 1 // keeps no answer
	})
	fillTable(b, s, "analytics_100000", 1000)
	fillTable(b, s, "analytics_1000000", 10_000)
	for _, run := range []struct {
		name, path string
		records    int
	}{
		{"latest", "/analytics/%d?database=db&last=1", 100},
		{"limit=1", "/analytics/%d?database=db&limit=1", 1},
		{"series=1/buckets=100", "/analytics/%d?database=db&last=100&field=field1&tag=host=host1", 100},
	} {
		for _, n := range []int{100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/records=%d", run.name, n), func(b *testing.B) {
				for b.Loop() {
					got := strings.Count(s.get(b, fmt.Sprintf(run.path, n)).Body.String(), `{"table_name"`)
					if got != run.records {
						b.Fatalf("%d records, want %d", got, run.records)
					}
				}
			})
		}
	}
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("table info/records=%d", n), func(b *testing.B) {
			for b.Loop() {
				info, err := s.reader.Info(b.Context(), record.Table{Database: "db", Name: fmt.Sprint("analytics_", n)})
				require.NoError(b, err)
				require.Len(b, info.Fields, 10)
			}
		})
	}
}

// BenchmarkLargeBucket measures pages of a bucket of 500,000 records: the first page of a service that has not read the bucket, from
// both ends and if Redis does not have the first names (scan), the same page again, and each of the pages of 1,000 records. Beside the time, it
// reports the processor time of this process and of Redis, and the bytes that Redis sent.
func BenchmarkLargeBucket(b *testing.B) {
	const records = 500_000
	client := redistest.Client(b, redistest.Server(b))
	s := serve(b, client, nil)
	var batch []record.Record
	for i := range records {
		if batch = append(batch, rec(1, fmt.Sprint("field", i%10), fmt.Sprint("host", i/10), 1)); len(batch) == 5000 {
			s.put(b, batch...)
			batch = batch[:0]
		}
	}
	fresh := func() *service {
		f := s.beside(s.reader, func(o *api.Options) { o.MaxRecords, o.MaxBytes, o.CacheBytes = 10_000, 32<<20, -1 })
		require.Equal(b, http.StatusOK, f.get(b, "/databases").Code) // reads the list of tables
		return f
	}
	page := func(s *service, path string, n int) string {
		w := s.get(b, path)
		if got := strings.Count(w.Body.String(), `{"table_name"`); got != n {
			b.Fatalf("%d records, want %d", got, n)
		}
		return next(b, w, path)
	}
	first, many := cpuPath+"&limit=1", cpuPath+"&limit=1000"
	for name, path := range map[string]string{"first": first, "first/order=desc": first + "&order=desc"} {
		b.Run("limit=1/"+name, func(b *testing.B) {
			var f *service
			measured(b, client, func() { f = fresh() }, func() { page(f, path, 1) })
		})
	}
	require.NoError(b, client.Del(b.Context(), fmt.Sprintf("{db:analytics_cpu}:h:%d", rec(1, "", "", 0).Start.Unix())).Err())
	b.Run("limit=1/scan", func(b *testing.B) {
		var f *service
		measured(b, client, func() { f = fresh() }, func() { page(f, first, 1) })
	})
	b.Run("limit=1/filters=10", func(b *testing.B) { benchmarkFilters(b, client, fresh) })
	kept := fresh()
	page(kept, first, 1)
	b.Run("limit=1/again", func(b *testing.B) {
		measured(b, client, func() {}, func() { page(kept, first, 1) })
	})
	b.Run("limit=1000", func(b *testing.B) {
		path := many
		measured(b, client, func() {}, func() {
			if path = page(kept, path, 1000); path == "" {
				path = many
			}
		})
	})
}

// benchmarkFilters measures ten requests with different filters at the same time, and the 99th percentile of the times that PING takes
// meanwhile.
func benchmarkFilters(b *testing.B, client *redis.Client, fresh func() *service) {
	var f *service
	var pings []time.Duration
	var refused atomic.Int64
	other := redis.NewClient(&redis.Options{Addr: client.Options().Addr})
	defer other.Close()
	measured(b, client, func() { f = fresh() }, func() {
		var wg, pinging sync.WaitGroup
		done := make(chan struct{})
		pinging.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
					began := time.Now()
					_ = other.Ping(b.Context()).Err()
					pings = append(pings, time.Since(began))
				}
			}
		})
		for i := range 10 {
			wg.Go(func() {
				path := fmt.Sprintf("%s&limit=1&field=field%d&tag=host=host%d", cpuPath, i, i)
				switch w := f.get(b, path); {
				case w.Code == http.StatusServiceUnavailable:
					refused.Add(1)
				case strings.Count(w.Body.String(), `{"table_name"`) != 1:
					b.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			})
		}
		wg.Wait()
		close(done)
		pinging.Wait()
	})
	b.ReportMetric(float64(refused.Load())/float64(b.N), "refused/op")
	slices.Sort(pings)
	b.ReportMetric(float64(pings[len(pings)*99/100].Microseconds())/1000, "ping-p99-ms")
}

// measured is the loop of a benchmark. It reports the processor time of this process and of Redis, and the bytes that Redis sent, for each
// call of run, without those of prepare.
func measured(b *testing.B, client *redis.Client, prepare, run func()) {
	info := func(section, suffix string) (total float64) {
		text, err := client.Info(b.Context(), section).Result()
		require.NoError(b, err)
		for line := range strings.Lines(text) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); strings.HasSuffix(name, suffix) {
				n, err := strconv.ParseFloat(value, 64)
				require.NoError(b, err)
				total += n
			}
		}
		return total
	}
	var own time.Duration
	var redisTime, sent float64
	for range b.N {
		b.StopTimer()
		prepare()
		before, beforeInRedis, sentBefore := processorTime(), info("cpu", "main_thread"), info("stats", "total_net_output_bytes")
		b.StartTimer()
		run()
		b.StopTimer()
		sent += info("stats", "total_net_output_bytes") - sentBefore
		own, redisTime = own+processorTime()-before, redisTime+info("cpu", "main_thread")-beforeInRedis
	}
	b.ReportMetric(own.Seconds()*1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(redisTime*1e3/float64(b.N), "redis-ms/op")
	b.ReportMetric(sent/float64(b.N), "redis-B/op")
}
