package prometheus_test

import (
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/promtest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// service serves records, which an agent has made of values, and returns its address and the start of their bucket.
func service(t *testing.T, values map[[2]string][]float64) (address string, start time.Time) {
	t.Helper()
	start = time.Now().Truncate(time.Minute).Add(-2 * time.Minute)
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = client.Close() })
	table := record.Table{Database: "demo", Name: "analytics_latency"}
	var records []record.Record
	for by, vs := range values {
		sum := stats.New(64)
		sum.AddAll(vs, nil)
		r := record.Record{
			Table: table.Name, Field: "seconds", Agent: by[0], Tags: []series.Tag{{Key: "service", Value: by[1]}}, State: record.Final,
			Start: start,
			Stats: []record.Stat{{Name: "count", Value: int64(len(vs))}, {Name: "mean", Value: sum.Mean()}, {Name: "p95", Value: sum.Max()}},
		}
		r.Summary, _ = sum.MarshalBinary()
		records = append(records, r)
	}
	writer := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	require.NoError(t, writer.Put(t.Context(), table, records))
	server := httptest.NewServer(api.New(cache.NewReader(client), api.Options{
		MaxRecords: 1000, MaxBuckets: 1000, MaxBytes: 1 << 20, Timeout: time.Minute, ExportMaxSeries: 1000, ExportBuckets: 1000,
		Export: []exporter.Table{{Table: record.Table{Database: "demo", Name: "latency"}}},
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), start
}

// documented returns the queries in the README.
func documented(t *testing.T) (queries []string) {
	t.Helper()
	b, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(b), "--enable-feature=native-histograms")
	for _, block := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		queries = append(queries, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	require.Len(t, queries, 8)
	return queries
}

// Without the flag, Prometheus asks for OpenMetrics.
func TestPrometheusStoresGaugesWithoutNativeHistograms(t *testing.T) {
	t.Parallel()
	promtest.Need(t)
	target, _ := service(t, map[[2]string][]float64{{"a", "api"}: {1, 2, 3}})
	address := promtest.Start(t, "prometheus.yml", target)
	promtest.WaitUp(t, address)
	promtest.Eventually(t, func(c *assert.CollectT) {
		require.Equal(c, map[string]float64{"api": 3}, promtest.Query(c, address, "analytics_latency_values", "service"))
		require.Equal(c, map[string]float64{"api": 2}, promtest.Query(c, address, "analytics_latency_mean", "service"))
		require.Empty(c, promtest.Query(c, address, `{__name__=~"analytics_latency_distribution.*"}`, "__name__"))
	})
}

// The values of "api" come from two agents, whose records are merged.
func TestPrometheusStoresGaugesAndNativeHistograms(t *testing.T) {
	t.Parallel()
	promtest.Need(t)
	var first, second, web []float64
	for i := range 2000 {
		first, second, web = append(first, math.Exp(float64(i%50)/10)), append(second, 3+float64(i)/1000), append(web, float64(i%7-3))
	}
	both := append(slices.Clone(first), second...)
	merged, all := oracle.Of(both), oracle.Of(append(slices.Clone(both), web...))
	target, start := service(t, map[[2]string][]float64{{"a", "api"}: first, {"b", "api"}: second, {"a", "web"}: web})
	address, begin, documents := promtest.Start(t, "prometheus.yml", target, "--enable-feature=native-histograms"), float64(start.Unix()), documented(t)
	promtest.WaitUp(t, address)
	promtest.Eventually(t, func(c *assert.CollectT) {
		require.Equal(c, map[string]float64{"api": 4000, "web": 2000}, promtest.Query(c, address, "analytics_latency_values", "service"))
		require.InDelta(c, 0, promtest.Query(c, address, "analytics_latency_mean", "service")["web"], .01)
		require.Equal(c, map[string]float64{"latency": 1}, promtest.Query(c, address, "analytics_export_table_up", "table"))
		require.Equal(c, map[string]float64{"api": begin, "web": begin}, promtest.Query(c, address, "analytics_latency_bucket_start_seconds", "service"))

		require.Equal(c, map[string]float64{"api": 4000, "web": 2000}, promtest.Query(c, address, "histogram_count(analytics_latency_distribution)", "service"))
		require.InEpsilon(c, oracle.Nearest(merged.Sum()), promtest.Query(c, address, "histogram_sum(analytics_latency_distribution)", "service")["api"], 1e-9)
		for _, percent := range []int64{10, 50, 90, 99} {
			q := float64(percent) / 100
			got := promtest.Query(c, address, fmt.Sprintf("histogram_quantile(%v, analytics_latency_distribution)", q), "service")
			require.InEpsilon(c, merged.NearestRank(percent, 100), got["api"], .02, q)
			summed := promtest.Query(c, address, fmt.Sprintf("histogram_quantile(%v, sum(analytics_latency_distribution))", q), "")
			require.InDelta(c, all.NearestRank(percent, 100), summed[""], .02*math.Abs(summed[""])+.01, q)
		}
		negative := promtest.Query(c, address, "histogram_quantile(0.2, analytics_latency_distribution)", "service")["web"]
		require.InEpsilon(c, -2, negative, .02)
		for _, text := range documents {
			require.NotEmpty(c, promtest.Query(c, address, text, ""), text)
		}
		require.Equal(c, map[string]float64{"analytics-api": 1}, promtest.Query(c, address, "analytics_api_build_info", "job"))
	})
}
