package describe

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/testutil"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
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
	d := newDescribe()
	d.Log, d.Bucket = testutil.Logger{Quiet: true}, "1h"
	d.SetHost(Host{Background: true, Bounded: true, Closes: true})
	gate := config.Duration(openGate)
	d.Grace, d.Delay = &gate, &gate
	if kept {
		d.State = b.TempDir()
	}
	if err := d.Init(); err != nil {
		b.Fatal(err)
	}
	all := make([]telegraf.Metric, series)
	at := time.Now().Truncate(time.Hour)
	for i := range all {
		fields := make(map[string]any)
		for f := range 10 {
			fields["f"+strconv.Itoa(f)] = float64(i*f) + 0.5
		}
		all[i] = point(map[string]string{"host": strconv.Itoa(i)}, fields, at)
	}
	acc := &countingAccumulator{}
	for round := range 6 { // the first Push makes the summaries
		if round == 3 {
			d.Push(acc)
			d.pusher.wait()
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
	begin := time.Now()
	d.Push(acc)
	longest, peak := time.Duration(0), held
	for i := 0; !isClosed(d.pusher.running); i++ {
		start := time.Now()
		d.Add(all[i%series])
		longest = max(longest, time.Since(start))
		if i%1000 == 0 {
			peak = max(peak, liveHeap())
		}
		time.Sleep(50 * time.Microsecond)
	}
	b.ReportMetric(time.Since(begin).Seconds(), "push-s")
	b.StopTimer()
	if n := acc.rows.Load(); n != int64(series)*10 {
		b.Fatalf("%d rows left, want %d", n, series*10)
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-add-ms")
	b.ReportMetric(peak/held, "peak/held")
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}

// liveHeap returns how many bytes were live at the end of the last garbage collection.
func liveHeap() float64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64())
}

// countingAccumulator drops metrics and counts them.
type countingAccumulator struct {
	testutil.NopAccumulator
	rows atomic.Int64
}

func (a *countingAccumulator) AddMetric(telegraf.Metric) { a.rows.Add(1) }

// BenchmarkSeriesComeAndGo simulates an hour in which 10,000 series are there at a time and each lives five minutes. It
// reports the live heap after a quarter of the hour and at its end.
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
	d, now := newDescribe(), time.Unix(1_800_000_000, 0)
	linger, gate := config.Duration(time.Minute), config.Duration(openGate)
	d.Log, d.Bucket, d.Linger, d.Grace, d.Delay = testutil.Logger{Quiet: true}, "1m", &linger, &gate, &gate
	d.now = func() time.Time { return now }
	d.SetHost(Host{Bounded: true, Closes: true})
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
			b.ReportMetric(liveHeap()/1e6, fmt.Sprintf("live-MB@%dm", (period+1)/2))
		}
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

// pushedBuckets returns the keys of the series with an open bucket.
func (d *Describe) pushedBuckets() (keys []string) {
	d.engine.Save(func(b engine.Bucket) { keys = append(keys, b.Series) }, func(string, int64, int64) {})
	return keys
}
