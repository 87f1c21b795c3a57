package describe_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// BenchmarkPushAtScale pushes 10 fields of many series in the background while metrics are added, with and without a
// state. It reports the longest time that one Add took, and the largest live heap as a multiple of the one before.
func BenchmarkPushAtScale(b *testing.B) {
	for _, series := range []int{10_000, 100_000} {
		for _, kept := range []bool{false, true} {
			b.Run(fmt.Sprintf("series=%d/state=%t", series, kept), func(b *testing.B) {
				for b.Loop() {
					pushAtScale(b, series, kept)
				}
			})
		}
	}
}

func pushAtScale(b *testing.B, series int, kept bool) {
	b.StopTimer()
	d, at := scaled(b, kept, func(*describe.Describe) {}), time.Now().Truncate(time.Hour)
	all := manyMetrics(series, 10)
	acc := &countingAccumulator{}
	for round := range 6 { // the first Push makes the summaries
		if round == 3 {
			d.Push(acc)
			d.Wait()
		}
		for _, m := range all {
			m.SetTime(at.Add(time.Duration(round) * time.Second))
			d.Add(m)
		}
	}
	acc.rows.Store(0)
	runtime.GC()
	held := liveHeap()
	b.StartTimer()
	beside := pushBeside(d, acc, func(i int) { d.Add(all[i%series]) })
	b.StopTimer()
	if n := acc.rows.Load(); n != int64(series)*10 {
		b.Fatalf("%d rows left, want %d", n, series*10)
	}
	beside.report(b)
	b.ReportMetric(beside.peak/held, "peak/held")
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// BenchmarkAllFinalAtScale lets the buckets of many series with 10 fields become final in one Push in the background,
// while metrics of the next bucket are added, with and without a state. Fields with 6 values are exact, and those with
// 600 are histograms, which take more time to encode.
func BenchmarkAllFinalAtScale(b *testing.B) {
	for _, shape := range []struct{ series, values int }{{100_000, 6}, {4000, 600}} {
		for _, kept := range []bool{false, true} {
			b.Run(fmt.Sprintf("series=%d/values=%d/state=%t", shape.series, shape.values, kept), func(b *testing.B) {
				for b.Loop() {
					allFinalAtScale(b, shape.series, shape.values, kept)
				}
			})
		}
	}
}

func allFinalAtScale(b *testing.B, series, values int, kept bool) {
	b.StopTimer()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	d := scaled(b, kept, func(d *describe.Describe) { d.SetClock(now) })
	all := manyMetrics(series, 10)
	acc := &countingAccumulator{}
	for round := range values {
		for s, m := range all {
			for f, field := range m.FieldList() {
				field.Value = float64((round*7919+s*31+f)%100_003) / 7
			}
			d.Add(m)
		}
	}
	d.Push(acc)
	d.Wait()
	acc.rows.Store(0)
	ahead.Store(int64(3 * time.Hour))
	for _, m := range all {
		m.SetTime(now())
	}
	runtime.GC()
	b.StartTimer()
	beside := pushBeside(d, acc, func(i int) { d.Add(all[i%series]) })
	b.StopTimer()
	if n := acc.rows.Load(); n < int64(series)*10 {
		b.Fatalf("%d rows left, want at least %d", n, series*10)
	}
	beside.report(b)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// scaled returns an aggregator with buckets of an hour that pushes in the background.
func scaled(b *testing.B, kept bool, edit func(*describe.Describe)) *describe.Describe {
	d := newDescribe()
	edit(d)
	d.Log, d.Bucket = &plugintest.Log{}, "1h"
	d.SetHost(describe.Host{Background: true, Bounded: true, Closes: true})
	gate := config.Duration(openGate)
	d.Grace, d.Delay = &gate, &gate
	if kept {
		d.State = b.TempDir()
	}
	if err := d.Init(); err != nil {
		b.Fatal(err)
	}
	return d
}

// manyMetrics returns a metric of each series.
func manyMetrics(series, fields int) []telegraf.Metric {
	all := make([]telegraf.Metric, series)
	for i := range all {
		values := make(map[string]any)
		for f := range fields {
			values["f"+strconv.Itoa(f)] = float64(i*f) + 0.5
		}
		all[i] = point(map[string]string{"host": strconv.Itoa(i)}, values, time.Now().Truncate(time.Hour))
	}
	return all
}

// beside describes calls of Add while a Push ran in the background.
type beside struct {
	push  time.Duration   // of the Push
	calls []time.Duration // of Add
	peak  float64         // the largest live heap, in bytes
}

// pushBeside pushes in the background and calls add until the Push has ended.
func pushBeside(d *describe.Describe, acc telegraf.Accumulator, add func(i int)) (s beside) {
	var ended atomic.Bool
	begin := time.Now()
	d.Push(acc)
	go func() { d.Wait(); ended.Store(true) }()
	for i := 0; !ended.Load(); i++ {
		start := time.Now()
		add(i)
		s.calls = append(s.calls, time.Since(start))
		if i%1000 == 0 {
			s.peak = max(s.peak, liveHeap())
		}
		time.Sleep(50 * time.Microsecond)
	}
	s.push = time.Since(begin)
	return s
}

func (s beside) report(b *testing.B) {
	slices.Sort(s.calls)
	n := len(s.calls)
	b.ReportMetric(s.push.Seconds(), "push-s")
	b.ReportMetric(float64(s.calls[n-1].Microseconds())/1000, "longest-add-ms")
	b.ReportMetric(float64(s.calls[n-1-n/100].Microseconds())/1000, "p99-add-ms")
}

// liveHeap returns how many bytes were live at the end of the last garbage collection.
func liveHeap() float64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64())
}

// countingAccumulator drops metrics and counts them.
type countingAccumulator struct {
	plugintest.Accumulator
	rows atomic.Int64
}

func (a *countingAccumulator) AddMetric(telegraf.Metric) { a.rows.Add(1) }

// BenchmarkSeriesComeAndGo simulates an hour in which 10,000 series are there at a time and each lives five minutes. It
// reports the live heap that it takes after a quarter of the hour and at its end.
func BenchmarkSeriesComeAndGo(b *testing.B) {
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("state=%t", kept), func(b *testing.B) {
			for b.Loop() {
				seriesComeAndGo(b, kept)
			}
		})
	}
}

func seriesComeAndGo(b *testing.B, kept bool) {
	const periods, lives, coming = 120, 10, 1000
	runtime.GC()
	before := liveHeap() // of the benchmarks before
	d, now := newDescribe(), time.Unix(1_800_000_000, 0)
	linger, gate := config.Duration(time.Minute), config.Duration(openGate)
	d.Log, d.Bucket, d.Linger, d.Grace, d.Delay = &plugintest.Log{}, "1m", &linger, &gate, &gate
	d.SetClock(func() time.Time { return now })
	d.SetHost(describe.Host{Bounded: true, Closes: true})
	if kept {
		d.State = b.TempDir()
	}
	if err := d.Init(); err != nil {
		b.Fatal(err)
	}
	acc := &countingAccumulator{}
	for period := range periods {
		for i := period * coming; i < (period+lives)*coming; i++ {
			d.Add(point(map[string]string{"host": strconv.Itoa(i)}, map[string]any{"a": float64(i), "b": float64(period)}, now))
		}
		d.Push(acc)
		now = now.Add(30 * time.Second)
		if period == periods/4 || period == periods-1 {
			runtime.GC()
			b.ReportMetric((liveHeap()-before)/1e6, fmt.Sprintf("live-MB@%dm", (period+1)/2))
		}
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}
