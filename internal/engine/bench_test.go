package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
)

const (
	benchFields = 10
	benchTicks  = 360 // points of each series in a bucket: an hour at 10 s
	poolSize    = 1 << 14
)

// benchData returns the kind of each field. "cpu" has six random walks, three fields with few distinct values, and a
// constant. "continuous" has ten fields in which no value occurs twice. "sensor" has ten sensors with one decimal and
// about a hundred distinct values.
var benchData = map[string]func(f int) string{
	"cpu": func(f int) string {
		switch {
		case f < 6:
			return "wandering"
		case f < 9:
			return "few"
		}
		return "constant"
	},
	"continuous": func(int) string { return "noise" },
	"sensor":     func(int) string { return "tenths" },
}

// pools returns the values of each field. Fields of the same kind share one slice.
func pools(data string) (all [benchFields][]float64) {
	byKind := make(map[string][]float64)
	for f := range all {
		kind := benchData[data](f)
		if byKind[kind] == nil {
			byKind[kind] = pool(kind)
		}
		all[f] = byKind[kind]
	}
	return all
}

func pool(kind string) []float64 {
	r := rand.New(rand.NewPCG(1, uint64(len(kind))))
	values := make([]float64, poolSize)
	for i := range values {
		switch kind {
		case "wandering":
			values[i] = 50 + 20*math.Sin(float64(i)/40) + r.NormFloat64()
		case "few":
			values[i] = float64(r.IntN(8))
		case "constant":
			values[i] = 100
		case "tenths":
			values[i] = math.Round(200+40*math.Sin(float64(i)/400)+4*r.NormFloat64()) / 10
		default:
			values[i] = 50 + 10*r.NormFloat64()
		}
	}
	return values
}

// workload is an engine and the points that it gets, tick by tick.
type workload struct {
	tested
	points []engine.Point // one of each series
	pools  [benchFields][]float64
	tick   int // the number of points that each series has got
}

func newWorkload(b *testing.B, series int, data string, limit int) *workload {
	b.Helper()
	w := &workload{pools: pools(data), points: make([]engine.Point, series)}
	w.tested = newTested(b, time.Hour, func(o *engine.Options) { o.ExactLimit, o.MemoryLimit = limit, 1<<40 })
	w.clock.at = start
	for i := range w.points {
		w.points[i] = engine.Point{Measurement: "cpu", Fields: make([]engine.Field, benchFields), Tags: []engine.Tag{
			{Key: "cpu", Value: "cpu-total"}, {Key: "host", Value: "host" + strconv.Itoa(i)}, {Key: "rack", Value: strconv.Itoa(i % 40)}, {Key: "region", Value: "eu-1"},
		}}
		for f := range benchFields {
			w.points[i].Fields[f].Name = "usage_field_" + strconv.Itoa(f)
		}
	}
	return w
}

// point returns the point of a series at the current tick.
func (w *workload) point(series int) *engine.Point {
	p := &w.points[series]
	p.Time = start.UnixNano() + int64(w.tick)*int64(10*time.Second)
	for f := range p.Fields {
		p.Fields[f].Value = w.pools[f][(series*7919+f*1013+w.tick)%poolSize]
	}
	return p
}

// fill adds the points of some ticks.
func (w *workload) fill(ticks int) {
	for range ticks {
		for i := range w.points {
			w.Add(w.point(i))
		}
		w.tick++
	}
}

// next pushes the bucket, moves the clock to the start of the next bucket, and returns the number of values that the
// emitted rows describe.
func (w *workload) next(b *testing.B) (values int64) {
	b.Helper()
	w.clock.at = w.clock.at.Add(time.Hour)
	rows := 0
	require.NoError(b, w.Push(func(r *engine.Row) {
		rows++
		values += r.Stats[0].Value.(int64)
	}))
	require.Equal(b, len(w.points)*benchFields, rows)
	return values
}

// heap returns the live heap in bytes.
func heap() float64 {
	var memory runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&memory)
	return float64(memory.HeapAlloc)
}

// agentHeap imitates the memory of the rest of an agent. Without it, garbage would be collected after every 4 MB.
const agentHeap = 64 << 20

// BenchmarkAdd adds points of ten fields to buckets of 360 points a series. B/field is the live heap of full buckets,
// divided by the number of their fields.
func BenchmarkAdd(b *testing.B) {
	agent := make([]byte, agentHeap)
	defer runtime.KeepAlive(agent)
	for _, series := range []int{1, 100, 10_000} {
		for _, data := range []string{"cpu", "continuous", "sensor"} {
			for _, limit := range []int{64, 512} {
				b.Run(fmt.Sprintf("series=%d/data=%s/limit=%d", series, data, limit), func(b *testing.B) { benchAdd(b, series, data, limit) })
			}
		}
	}
}

func benchAdd(b *testing.B, series int, data string, limit int) {
	w := newWorkload(b, series, data, limit)
	before := heap()
	w.fill(benchTicks)
	held := heap() - before
	require.Equal(b, int64(series*benchTicks*benchFields), w.next(b), "no value is lost")
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		w.Add(w.point(next))
		if next++; next == series {
			next = 0
			if w.tick++; w.tick%benchTicks == 0 {
				b.StopTimer()
				w.next(b)
				b.StartTimer()
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchFields), "ns/value")
	b.ReportMetric(held/float64(series*benchFields), "B/field")
	runtime.KeepAlive(w)
}

// BenchmarkPush pushes buckets of 360 points of 100 series with the default statistics.
func BenchmarkPush(b *testing.B) {
	const series = 100
	for _, data := range []string{"cpu", "continuous", "sensor"} {
		for _, limit := range []int{64, 512} {
			b.Run(fmt.Sprintf("data=%s/limit=%d", data, limit), func(b *testing.B) {
				w := newWorkload(b, series, data, limit)
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					w.fill(benchTicks)
					b.StartTimer()
					w.next(b)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*series*benchFields), "ns/field")
			})
		}
	}
}

// BenchmarkSeriesLookup adds points of one field, with the series always in the same order, or in random order.
func BenchmarkSeriesLookup(b *testing.B) {
	for _, order := range []string{"same", "random"} {
		for _, series := range []int{100, 10_000} {
			b.Run(fmt.Sprintf("order=%s/series=%d", order, series), func(b *testing.B) {
				w := newWorkload(b, series, "continuous", 64)
				for i := range w.points {
					w.points[i].Fields = w.points[i].Fields[:1]
				}
				turns := make([]int, 8*series)
				for i := range turns {
					turns[i] = i % series
				}
				if order == "random" {
					r := rand.New(rand.NewPCG(11, 11))
					r.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
				}
				w.fill(1)
				next := 0
				b.ReportAllocs()
				for b.Loop() {
					w.Add(w.point(turns[next]))
					if next++; next == len(turns) {
						next = 0
					}
				}
			})
		}
	}
}
