//go:build unix

package describe

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/testutil"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// BenchmarkRestart reads back open buckets of 10 fields after a crash: many that got a value in each of a few periods, and
// an hour of three values each half a minute. It reports the wall time and the CPU time of each value.
func BenchmarkRestart(b *testing.B) {
	for _, shape := range []restart{{100_000, 6, 1}, {10_000, 120, 3}} {
		b.Run(fmt.Sprintf("buckets=%d/pushes=%d/rows=%d", shape.buckets, shape.pushes, shape.rows), shape.run)
	}
}

// restart is how many buckets are open, how many Pushes have logged values of each, and how many rows at a time.
type restart struct{ buckets, pushes, rows int }

func (r restart) run(b *testing.B) {
	folder, gate := b.TempDir(), config.Duration(openGate)
	start := func() *Describe {
		d := newDescribe()
		d.Log, d.Bucket, d.State, d.Grace, d.Delay = testutil.Logger{Quiet: true}, "1h", folder, &gate, &gate
		if err := d.Init(); err != nil {
			b.Fatal(err)
		}
		return d
	}
	r.fill(b, start().store)
	cpu := time.Duration(0)
	for b.Loop() {
		before := cpuTime(b)
		d := start()
		cpu += cpuTime(b) - before
		b.StopTimer()
		if got := len(d.pushedBuckets()); got != r.buckets {
			b.Fatalf("%d buckets are open, want %d", got, r.buckets)
		}
		d.store.Abandon()
		b.StartTimer()
	}
	values := float64(b.N * r.buckets * r.pushes * r.rows * processorFields)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/values, "ns/value")
	b.ReportMetric(float64(cpu.Nanoseconds())/values, "cpu-ns/value")
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

// cpuTime returns the CPU time that the process has taken.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
