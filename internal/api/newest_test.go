package api_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// describedBy returns the final record that an agent makes of values, with its summary.
func describedBy(agent string, minutes int, host string, values ...float64) record.Record {
	sum := stats.New(64)
	sum.AddAll(values, nil)
	r := marked(rec(minutes, "f", host, 0), true)
	r.Agent, r.Stats = agent, nil
	for _, name := range []string{"count", "mean", "median", "p95"} {
		s, _ := stats.ParseStatistic(name)
		selection, _ := stats.NewSelection([]string{name}, stats.Linear)
		r.Stats = append(r.Stats, record.Stat{Name: record.StatName(s), Value: selection.Append(nil, &sum)[0]})
	}
	r.Summary, _ = sum.MarshalBinary()
	return r
}

// open returns the record as that of an open bucket.
func open(r record.Record) record.Record {
	r.State, r.HasRevision, r.Revision = record.Open, false, 0
	return r
}

// values returns the exported counts of table analytics_cpu by host.
func (s *service) values(t *testing.T) map[string]float64 {
	t.Helper()
	s.clock.Store(0)
	return gauges(t, s.get(t, "/metrics/analytics"), "analytics_cpu_values", "host")
}

func TestExportMergesAgents(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for m := 11; m < 14; m++ {
		s.put(t, describedBy("A", m, "both", 1, 2, 3, float64(m)), describedBy("B", m, "both", 100), describedBy("A", m, "one", 7))
	}
	require.Equal(t, map[string]float64{"both": 5, "one": 1}, s.values(t))
	w := s.get(t, "/metrics/analytics")
	require.Equal(t, map[string]float64{"both": 3, "one": 7}, gauges(t, w, "analytics_cpu_median", "host"))
	require.Equal(t, map[string]float64{"both": 117. / 5, "one": 7}, gauges(t, w, "analytics_cpu_mean", "host"))
	require.InDelta(t, 11+.8*89, gauges(t, w, "analytics_cpu_p95", "host")["both"], 1e-9, "the percentile of the merged values")
	require.NotContains(t, w.Body.String(), "agent=")
	require.Equal(t, map[string]float64{"both": 0}, gauges(t, w, "analytics_cpu_max_error", "host"), "as in merged records of the API")
	require.Empty(t, s.dropped(t))

	many := make([]float64, 3000)
	for i := range many {
		many[i] = float64(i)
	}
	s.put(t, describedBy("A", 11, "both", many...), describedBy("B", 11, "both", many...))
	require.Equal(t, map[string]float64{"both": 6000, "one": 1}, s.values(t))
	require.Positive(t, gauges(t, s.get(t, "/metrics/analytics"), "analytics_cpu_max_error", "host")["both"])

	each := withRedis(t, exportEach)
	each.put(t, describedBy("A", 11, "both", 1, 2), describedBy("B", 11, "both", 100))
	each.clock.Store(0)
	require.Equal(t, map[string]float64{"A": 1.5, "B": 100}, gauges(t, each.get(t, "/metrics/analytics"), "analytics_cpu_mean", "agent"))
}

// An agent writes its buckets later than another one. Until then, the newest bucket would have a part of the values.
func TestExportWaitsForTheSlowestAgent(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for m := 13; m > 11; m-- {
		s.put(t, describedBy("A", m, "h", 1, 2, 3), describedBy("B", m, "h", 4))
	}
	s.put(t, describedBy("A", 11, "h", 1, 2, 3, 5, 6))
	require.Equal(t, map[string]float64{"h": 4}, s.values(t), "the bucket before, of both")
	s.put(t, describedBy("B", 11, "other", 4))
	require.Equal(t, map[string]float64{"h": 5, "other": 1}, s.values(t), "B has no values of h in the bucket")
	require.Equal(t, float64(rec(11, "", "", 0).Start.Unix()), gauges(t, s.get(t, "/metrics/analytics"), "analytics_cpu_bucket_start_seconds", "host")["h"])
	s.put(t, describedBy("B", 11, "h", 4, 5))
	require.Equal(t, map[string]float64{"h": 7, "other": 1}, s.values(t))
	require.Empty(t, s.dropped(t))
}

func TestExportDoesNotWaitForAnAgentThatHasEnded(t *testing.T) {
	t.Parallel()
	for behind, want := range map[int]float64{3: 2, 4: 1} { // minutes; three widths are waited
		s := withRedis(t, exportCPU)
		for m := range 14 {
			s.put(t, describedBy("A", m, "h", 1))
		}
		for m := behind; m < 14; m++ {
			s.put(t, describedBy("B", m, "h", 1))
		}
		require.Equal(t, map[string]float64{"h": want}, s.values(t), behind)
	}
}

func TestExportOfAgentsSkipsABucketThatIsOpen(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for m := 10; m < 14; m++ {
		s.put(t, describedBy("A", m, "h", 1), describedBy("B", m, "h", 1, float64(m)))
	}
	s.put(t, open(describedBy("B", 11, "late", 1)), describedBy("A", 11, "late", 1), describedBy("A", 12, "late", 1), describedBy("B", 12, "late", 1, 2))
	s.put(t, open(describedBy("B", 11, "replica", 1)), describedBy("A", 11, "replica", 1), describedBy("B", 12, "replica", 1))
	again := describedBy("B", 11, "replica", 1, 2)
	again.Replica = "second"
	s.put(t, again)
	require.Equal(t, map[string]float64{"h": 3, "late": 3, "replica": 3}, s.values(t))
}

func TestExportCountsSeriesThatCannotBeMerged(t *testing.T) {
	t.Parallel()
	bare := func(r record.Record) record.Record {
		r.Summary = nil
		return r
	}
	s := withRedis(t, exportCPU)
	for m := 11; m < 14; m++ {
		s.put(t, bare(describedBy("A", m, "h", 1, 2)), describedBy("B", m, "h", 1), bare(describedBy("A", m, "one", 1)))
	}
	require.Equal(t, map[string]float64{"one": 1}, s.values(t))
	require.Equal(t, map[string]float64{"no_summary": 1}, s.dropped(t))

	s = withRedis(t, exportCPU) // an agent takes over: only the bucket that both have described cannot be merged
	for m := 9; m < 14; m++ {
		s.put(t, bare(describedBy("A", m, "h", 1, 2)))
	}
	s.put(t, bare(describedBy("B", 10, "h", 1)))
	for m := 4; m < 10; m++ {
		s.put(t, bare(describedBy("B", m, "h", 1)))
	}
	require.Equal(t, map[string]float64{"h": 1}, s.values(t))

	s = withRedis(t, exportEach)
	s.put(t, bare(describedBy("A", 11, "h", 1, 2)), describedBy("B", 11, "h", 1))
	s.clock.Store(0)
	require.Equal(t, map[string]float64{"A": 2, "B": 1}, gauges(t, s.get(t, "/metrics/analytics"), "analytics_cpu_values", "agent"))

	s = withRedis(t, exportCPU)
	corrupt := describedBy("A", 11, "h", 1)
	corrupt.Summary = []byte("no summary")
	s.put(t, corrupt, describedBy("B", 11, "h", 1))
	require.Empty(t, s.values(t))
	require.Equal(t, map[string]float64{"malformed": 1}, s.dropped(t))
}

// The limit of records is also one of summaries.
func TestSummariesOfAScrapeAreLimited(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) {
		exportCPU(o)
		o.MaxScanned, o.ExportMaxAge = 5, time.Hour
	})
	s.put(t, describedBy("A", 11, "h", 1), describedBy("B", 11, "h", 1), describedBy("A", 11, "one", 1))
	require.Equal(t, map[string]float64{"one": 1}, s.values(t))
	require.Equal(t, map[string]float64{"buckets": 1}, s.dropped(t))
}

// Tags have other names in JSON if these clash, and summaries are stored by the tags as they are.
func TestExportMergesSeriesWhoseTagsAreRenamed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for _, agent := range []string{"A", "B"} {
		r := describedBy(agent, 11, "h", 1)
		r.Tags[0].Key = "agent"
		s.put(t, r)
	}
	require.Equal(t, map[string]float64{"h": 2}, s.values(t))
	require.Contains(t, s.get(t, "/metrics/analytics").Body.String(), `agent_tag="cpu0"`)
}

// The gauges are the statistics of the records that the API answers with, however the values are divided among agents.
func TestExportHasTheRecordsOfTheAPI(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for _, agents := range []int{1, 2, 10} {
		for _, replicas := range []int{1, 2} {
			s := withRedis(t, exportCPU)
			var records []record.Record
			for _, host := range []string{"a", "b", "c"} {
				for agent := range agents {
					values := make([]float64, 1+random.IntN(80))
					for i := range values {
						values[i] = math.Round(random.NormFloat64() * 20)
					}
					for replica := range replicas {
						r := marked(summed(rec(12, "f", host, 0), strconv.Itoa(agent), strings.Repeat("r", replica), values[min(replica, len(values)-1):]...), true)
						records = append(records, r)
					}
				}
			}
			random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			s.put(t, append(records, records[:len(records)/2]...)...)
			s.clock.Store(0)
			got := parse(t, s.accept(t, acceptProto))
			want := make(map[string]float64)
			for _, r := range rows(t, s, "/analytics/cpu?database=db&final=true") {
				for name, value := range r {
					v, ok := value.(float64)
					name = cmp.Or(map[string]string{"count": "values", "mode_count": "mode_values"}[name], name)
					if ok && name != "time" && name != "revision" {
						want[fmt.Sprintf(`{__name__="analytics_cpu_%s", cpu="cpu0", database="db", field_name="f", host=%q}`, name, r["host"])] = v
					}
				}
			}
			require.GreaterOrEqual(t, len(want), 3*7)
			for series, v := range want {
				if strings.Contains(series, "mode") { // an estimate of it depends on the order of merging
					require.Contains(t, got.samples, series)
					continue
				}
				require.InDelta(t, v, got.samples[series], 1e-9*math.Abs(v), series)
			}
			require.Len(t, got.samples, len(want)+3+8+1)
			require.Len(t, got.histograms, 3)
		}
	}
}

// slicesOf is a cache that returns the summaries of a bucket one by one, the first one twice: at first without its values.
type slicesOf struct{ *cache.Reader }

func (s slicesOf) Summaries(ctx context.Context, t record.Table, starts []time.Time, yield func(record.Summaries) error) error {
	return s.Reader.Summaries(ctx, t, starts, func(b record.Summaries) error {
		for i, p := range b.Parts {
			one := record.Summaries{Start: b.Start, Parts: []record.SummaryPart{p}, Last: i == len(b.Parts)-1}
			if i == 0 {
				older := p
				older.Summary = nil
				one.Parts = []record.SummaryPart{older, p}
			}
			if err := yield(one); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestLargeBucketsOfSummariesComeInParts(t *testing.T) {
	t.Parallel()
	s := withRedis(t, exportCPU)
	for m := 10; m < 13; m++ {
		for _, host := range []string{"a", "b"} {
			s.put(t, describedBy("A", m, host, 1, 2), describedBy("B", m, host, 3), describedBy("C", m, host, float64(m)))
		}
	}
	s.clock.Store(0)
	o := api.Options{MaxRecords: 1000, MaxBuckets: 500, MaxBytes: 1 << 20, Timeout: time.Minute, ExportBuckets: 100, Now: func() time.Time { return now }}
	exportCPU(&o)
	sliced := &service{Handler: api.New(slicesOf{s.reader}, o)}
	for _, path := range []string{
		"/analytics/cpu?database=db", "/analytics/cpu?database=db&bucket=1h&stats=count,p50", "/analytics/cpu?database=db&group_by=&stats=mean", "/metrics/analytics",
	} {
		require.Equal(t, s.get(t, path).Body.String(), sliced.get(t, path).Body.String(), path)
	}
	require.Equal(t, parse(t, s.accept(t, acceptProto)), parse(t, sliced.accept(t, acceptProto)))
	require.Contains(t, sliced.get(t, "/metrics").Body.String(), "analytics_api_answer_bytes 0\n", "the memory of the parts is given back")
}
