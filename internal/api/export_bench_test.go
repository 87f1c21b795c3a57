//go:build unix

package api_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// cpu returns the processor time that this process has used. It does not depend on other work of the machine as much as the time
// of a clock.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkScrape scrapes 10,000 series in 15 buckets of a minute from a redis-server: eleven open ones and four final ones, with the
// default statistics and compact summaries of 60 values. With agents=2, each series is described by two agents.
func BenchmarkScrape(b *testing.B) {
	const hosts = 10_000
	samples := scrapeSamples(b)
	for _, agents := range []int{1, 2} {
		client := redistest.Client(b, redistest.Server(b))
		s := serve(b, client, func(o *api.Options) {
			o.Export, o.ExportMaxSeries, o.Timeout = exports("cpu"), hosts, time.Minute
		})
		for minute := range 15 {
			fillScrape(b, s, minute, hosts, agents, samples)
		}
		s.clock.Store(0)
		for _, format := range []string{"text", "protobuf"} {
			b.Run(fmt.Sprintf("agents=%d/format=%s", agents, format), func(b *testing.B) {
				r := httptest.NewRequest(http.MethodGet, "/metrics/analytics", http.NoBody)
				r.Header.Set("Accept", map[string]string{"protobuf": acceptProto}[format])
				var w *httptest.ResponseRecorder
				start := cpu()
				for b.Loop() {
					w = httptest.NewRecorder()
					s.ServeHTTP(w, r)
				}
				b.ReportMetric(float64((cpu()-start).Milliseconds())/float64(b.N), "cpu-ms/op")
				b.ReportMetric(float64(w.Body.Len())/1e6, "MB")
				p := parse(b, w)
				require.Len(b, p.histograms, map[string]int{"protobuf": hosts}[format])
				require.Greater(b, len(p.samples), 8*hosts)
			})
		}
	}
}

// fillScrape writes the bucket of a minute.
func fillScrape(b *testing.B, s *service, minute, hosts, agents int, samples []record.Record) {
	b.Helper()
	records := make([]record.Record, 0, 2000)
	for i := range hosts * agents {
		r := marked(rec(minute, "usage_idle", fmt.Sprint("host", i/agents), 0), minute > 10)
		sample := samples[(i+minute)%len(samples)]
		r.Agent, r.Stats, r.Summary, r.Revision = fmt.Sprint("agent", i%agents), sample.Stats, sample.Summary, 0
		if records = append(records, r); len(records) == cap(records) || i == hosts*agents-1 {
			require.NoError(b, s.writer.Put(context.Background(), record.Table{Database: "db", Name: "analytics_cpu"}, records))
			records = records[:0]
		}
	}
}

// scrapeSamples returns records with the default statistics and the compact summary of 60 values each.
func scrapeSamples(b *testing.B) (samples []record.Record) {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	selection, err := stats.NewSelection(nil, stats.Linear)
	require.NoError(b, err)
	for range 100 {
		sum := stats.New(64)
		for range 60 {
			sum.Add(50 + 10*random.NormFloat64())
		}
		var r record.Record
		for k, v := range selection.Append(nil, &sum) {
			if !math.IsNaN(v) {
				r.Stats = append(r.Stats, record.Stat{Name: record.StatName(selection.Statistics()[k]), Value: v})
			}
		}
		r.Summary = sum.AppendLimited(nil, 64)
		samples = append(samples, r)
	}
	return samples
}
