package describe_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/selfstat"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// processorFields is how many fields the points of benchmarks have, see processorValue.
const processorFields = 10

// processorValue returns a value as of a plugin about processors: half of the fields are measured with decimals, others are 0
// or small whole numbers.
func processorValue(r *rand.Rand, field int) float64 {
	switch {
	case field < 5:
		return math.Round(r.Float64()*1e10) / 1e8
	case field < 8:
		return 0
	}
	return float64(r.IntN(40))
}

// BenchmarkStateCost compares an aggregator that keeps state with one that does not: 4,000 series of 10 fields get three
// values in each of 40 periods, of which the last 16 are timed. summaries=histograms have a limit of 64 values, and
// summaries=exact one of 512. It reports how long a Push takes (medians) and how much memory the buckets take after the
// Pushes that are not timed, with state as a multiple of without.
func BenchmarkStateCost(b *testing.B) {
	for _, c := range []struct {
		name  string
		limit int
	}{{"histograms", 64}, {"exact", 512}} {
		b.Run("summaries="+c.name, func(b *testing.B) {
			for b.Loop() {
				stateCost(b, c.limit)
			}
		})
	}
}

func stateCost(b *testing.B, limit int) {
	const untimed, timed = 24, 16
	points := pointsOfProcessors(4000)
	pair := [2]*describe.Describe{}
	memory := [2]float64{}
	for kept := range pair {
		before := collectedHeap()
		d := startCosting(b, limit, kept == 1)
		for period := range untimed {
			pushPeriod(d, points, period)
		}
		pair[kept], memory[kept] = d, collectedHeap()-before
	}
	var took [2][]time.Duration
	for period := range timed {
		for i := range pair {
			kept := (i + period) % 2 // neither is always first
			took[kept] = append(took[kept], pushPeriod(pair[kept], points, untimed+period))
		}
	}
	for _, d := range pair {
		if got := d.Statistics.Get("describe", "buckets_open", nil).Get(); got != int64(len(points)) {
			b.Fatalf("%d buckets are open, want %d", got, len(points))
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
	without, with := median(took[0]), median(took[1])
	b.ReportMetric(with.Seconds()/without.Seconds(), "push-ratio")
	b.ReportMetric(float64((with-without).Nanoseconds())/float64(len(points)*processorFields), "save-ns/summary")
	b.ReportMetric(memory[1]/memory[0], "memory-ratio")
	b.ReportMetric(memory[0]/float64(len(points)), "B/bucket")
}

func startCosting(b *testing.B, limit int, kept bool) *describe.Describe {
	d, gate := newDescribe(), config.Duration(openGate)
	d.Log, d.Bucket, d.Grace, d.Delay = &plugintest.Log{}, "1h", &gate, &gate
	d.ExactLimit, d.MemoryLimit = limit, 1<<40
	d.SetHost(describe.Host{Bounded: true})
	d.Statistics = selfstat.NewCollector(map[string]string{"kept": strconv.FormatBool(kept)})
	if kept {
		d.State = b.TempDir()
	}
	if err := d.Init(); err != nil {
		b.Fatal(err)
	}
	return d
}

// pointsOfProcessors returns a metric of each series.
func pointsOfProcessors(series int) []telegraf.Metric {
	at := time.Now().Truncate(time.Hour)
	all := make([]telegraf.Metric, series)
	for i := range all {
		fields := make(map[string]any)
		for f := range processorFields {
			fields["f"+strconv.Itoa(f)] = 0.0
		}
		all[i] = point(map[string]string{"host": strconv.Itoa(i)}, fields, at)
	}
	return all
}

// pushPeriod adds three values to each field and returns how long the Push takes. The values depend on the period alone.
func pushPeriod(d *describe.Describe, points []telegraf.Metric, period int) time.Duration {
	r := rand.New(rand.NewPCG(1, uint64(period)))
	for range 3 {
		for _, m := range points {
			for f, field := range m.FieldList() {
				field.Value = processorValue(r, f)
			}
			d.Add(m)
		}
	}
	begin := time.Now()
	d.Push(&countingAccumulator{})
	return time.Since(begin)
}

// collectedHeap collects garbage and returns how many bytes are live.
func collectedHeap() float64 {
	runtime.GC()
	return liveHeap()
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
