package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

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
	c, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + redistest.Server(b).Addr()}, Timeout: 5 * time.Second})
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
