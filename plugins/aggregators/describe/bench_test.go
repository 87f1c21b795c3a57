package describe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/aggregators"
	_ "github.com/influxdata/telegraf/plugins/aggregators/basicstats" // a neighbour
	_ "github.com/influxdata/telegraf/plugins/aggregators/quantile"   // a neighbour
	"github.com/influxdata/telegraf/testutil"
)

// samples is how many metrics of each series a benchmark adds before it pushes: an hour at 10 s, and six
// minutes where there are thousands of series.
func samples(series int) int {
	if series > 1000 {
		return 36
	}
	return 360
}

// benchFields is how many fields each metric has.
const benchFields = 10

// benchMetrics returns the metrics of one time, one for each series, with values like those of a CPU: six
// fields that wander, three with few distinct values, one constant.
func benchMetrics(series int) []telegraf.Metric {
	metrics := make([]telegraf.Metric, series)
	for i := range metrics {
		tags := map[string]string{"host": "host" + strconv.Itoa(i), "cpu": "cpu-total", "region": "eu-1", "rack": strconv.Itoa(i % 40)}
		m := metric.New("cpu", tags, nil, bucketStart)
		for f := range benchFields {
			m.AddField("usage_field_"+strconv.Itoa(f), 0.0)
		}
		metrics[i] = m
	}
	return metrics
}

// wander sets the values of a metric at a tick.
func wander(m telegraf.Metric, r *rand.Rand, tick int) {
	for f, field := range m.FieldList() {
		switch {
		case f < 6:
			field.Value = 50 + 20*math.Sin(float64(tick)/40+float64(f)) + r.NormFloat64()
		case f < 9:
			field.Value = float64(r.IntN(8))
		default:
			field.Value = 100.0
		}
	}
}

// candidate is what a benchmark measures: one or more aggregators that get every metric.
type candidate struct {
	name  string
	build func() []*models.RunningAggregator
}

func runningAggregator(b *testing.B, name string) *models.RunningAggregator {
	b.Helper()
	ra := models.NewRunningAggregator(aggregators.Aggregators[name](), &models.AggregatorConfig{
		Name: name, Period: time.Hour, Grace: openGate, Delay: openGate,
	})
	if d, ok := ra.Aggregator.(*Describe); ok {
		gate := d.Period
		d.Bucket, d.Grace, d.Delay = "1h", &gate, &gate
		d.Linger = &gate
	}
	if err := ra.Init(); err != nil {
		b.Fatal(err)
	}
	ra.UpdateWindow(time.Now(), time.Now().Add(time.Hour))
	return ra
}

func candidates(b *testing.B) []candidate {
	of := func(names ...string) func() []*models.RunningAggregator {
		return func() []*models.RunningAggregator {
			var all []*models.RunningAggregator
			for _, name := range names {
				all = append(all, runningAggregator(b, name))
			}
			return all
		}
	}
	return []candidate{
		{"describe", of("describe")},
		{"basicstats", of("basicstats")},
		{"quantile", of("quantile")},
		{"basicstats+quantile", of("basicstats", "quantile")},
	}
}

// BenchmarkAggregators measures describe with its default statistics beside what Telegraf has: Add and one Push, directly and through Telegraf's RunningAggregator, which copies each
// metric. It prints nanoseconds a field value and the bytes that are live before the Push.
func BenchmarkAggregators(b *testing.B) {
	for _, series := range []int{1, 100, 10_000} {
		for _, through := range []string{"direct", "running"} {
			for _, c := range candidates(b) {
				b.Run(fmt.Sprintf("series=%d/through=%s/aggregator=%s", series, through, c.name), func(b *testing.B) {
					benchmarkHour(b, c, series, through == "running")
				})
			}
		}
	}
}

func benchmarkHour(b *testing.B, c candidate, series int, running bool) {
	metrics := benchMetrics(series)
	r := rand.New(rand.NewPCG(1, 1))
	var live float64
	values := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		all := c.build()
		before := heap()
		b.StartTimer()
		for tick := range samples(series) {
			b.StopTimer()
			for _, m := range metrics {
				wander(m, r, tick)
				m.SetTime(bucketStart.Add(time.Duration(tick) * 10 * time.Second))
			}
			b.StartTimer()
			for _, ra := range all {
				for _, m := range metrics {
					if running {
						ra.Add(m)
					} else {
						ra.Aggregator.Add(m)
					}
				}
			}
		}
		b.StopTimer()
		live = heap() - before
		b.StartTimer()
		emitted := push(all)
		if emitted < series {
			b.Fatalf("%d metrics emitted of %d series", emitted, series)
		}
		values += samples(series) * series * benchFields
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(values), "ns/value")
	b.ReportMetric(live/float64(series*benchFields), "B-live/field")
	b.ReportMetric(0, "ns/op")
}

func push(all []*models.RunningAggregator) int {
	emitted := 0
	for _, ra := range all {
		acc := testutil.Accumulator{}
		ra.Push(&acc)
		emitted += len(acc.GetTelegrafMetrics())
	}
	return emitted
}

// heap returns the bytes that are in use after a collection.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
