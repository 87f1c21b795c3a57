//go:build unix

package describe_test

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/selfstat"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// BenchmarkRestart reads back open buckets of 10 fields after a crash: many that got a value in each of a few periods, as many that got
// three values each half a minute for 6 minutes, and fewer that got those for an hour. It reports the wall time and the CPU time of each
// value, of which sys is that of the system, for pages of memory above all, and gc that of the garbage collector, and the largest memory
// of a restart as a multiple of what it holds after that, and the part of a bucket in that.
func BenchmarkRestart(b *testing.B) {
	for _, shape := range []restart{{100_000, 6, 1}, {100_000, 12, 3}, {10_000, 120, 3}} {
		b.Run(fmt.Sprintf("buckets=%d/pushes=%d/rows=%d", shape.buckets, shape.pushes, shape.rows), shape.run)
	}
}

// restart is how many buckets are open, how many Pushes have logged values of each, and how many rows at a time.
type restart struct{ buckets, pushes, rows int }

func (r restart) run(b *testing.B) {
	folder, gate := b.TempDir(), config.Duration(openGate)
	start := func() *describe.Describe {
		d := newDescribe()
		d.Log, d.Bucket, d.State, d.Grace, d.Delay = &plugintest.Log{}, "1h", folder, &gate, &gate
		d.Statistics = selfstat.NewCollector(nil)
		if err := d.Init(); err != nil {
			b.Fatal(err)
		}
		return d
	}
	r.fill(b, start().Store())
	var used cost
	var peak, held, others float64
	for b.Loop() {
		b.StopTimer()
		debug.FreeOSMemory() // a restart is a new process, to which the system has to give each page of memory
		others = takenMemory()
		b.StartTimer()
		stop, before := watchMemory(), costSoFar(b)
		d := start()
		used.add(before, costSoFar(b))
		b.StopTimer()
		peak = max(peak, stop())
		debug.FreeOSMemory()
		held = takenMemory()
		if got := d.Store().Stats().Open; got != r.buckets {
			b.Fatalf("%d buckets are open, want %d", got, r.buckets)
		}
		d.Abandon()
		b.StartTimer()
	}
	d := start()
	d.Push(&countingAccumulator{})
	if got := d.Statistics.Get("describe", "buckets_open", nil).Get(); got != int64(r.buckets) {
		b.Fatalf("%d buckets are open in the engine, want %d", got, r.buckets)
	}
	d.Abandon()
	values := float64(b.N * r.buckets * r.pushes * r.rows * processorFields)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/values, "ns/value")
	b.ReportMetric(1e9*used.cpu/values, "cpu-ns/value")
	b.ReportMetric(1e9*used.sys/values, "sys-ns/value")
	b.ReportMetric(1e9*used.gc/values, "gc-ns/value")
	b.ReportMetric(peak/held, "peak/held")
	b.ReportMetric((held-others)/float64(r.buckets), "B/bucket")
}

// fill logs the values and ends the run as a crash does.
func (r restart) fill(b *testing.B, s *state.Store) {
	random := rand.New(rand.NewPCG(1, 1))
	names := make([]string, processorFields)
	for f := range names {
		names[f] = "f" + strconv.Itoa(f)
	}
	at := time.Now().Truncate(time.Hour)
	handles := make([]uint64, r.buckets)
	for i := range handles {
		handles[i] = s.OpenBucket(state.Bucket{
			Series: "cpu,cpu=cpu" + strconv.Itoa(i%16) + ",host=server-" + strconv.Itoa(i), Start: at.UnixNano(), End: at.Add(time.Hour).UnixNano(),
		})
	}
	rows := make([]float64, r.rows*processorFields)
	for range r.pushes {
		for _, handle := range handles {
			for i := range rows {
				rows[i] = processorValue(random, i%processorFields)
			}
			s.Rows(handle, 1, names, rows, nil)
		}
		if err := s.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	s.Abandon()
}

// cost is CPU time in seconds: all of it, and the parts of the system and of the garbage collector.
type cost struct{ cpu, sys, gc float64 }

// add adds what was used between two times.
func (c *cost) add(before, after cost) {
	c.cpu += after.cpu - before.cpu
	c.sys += after.sys - before.sys
	c.gc += after.gc - before.gc
}

// costSoFar returns the CPU time that the process has taken. The part of the garbage collector is that of finished collections.
func costSoFar(b *testing.B) cost {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	collected := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(collected)
	user, sys := time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
	return cost{(user + sys).Seconds(), sys.Seconds(), collected[0].Value.Float64()}
}

// watchMemory notes the memory that the process takes until stop is called, which returns the largest.
func watchMemory() (stop func() (peak float64)) {
	var running sync.WaitGroup
	done, peak := make(chan struct{}), 0.0
	running.Go(func() {
		often := time.NewTicker(10 * time.Millisecond) // often enough, and hardly any CPU time
		defer often.Stop()
		for {
			peak = max(peak, takenMemory())
			select {
			case <-often.C:
			case <-done:
				return
			}
		}
	})
	return func() float64 {
		close(done)
		running.Wait()
		return max(peak, takenMemory())
	}
}

// takenMemory returns how many bytes of memory Go has taken from the system and not given back.
func takenMemory() float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
