package describe_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/aggregators"
	_ "github.com/influxdata/telegraf/plugins/aggregators/basicstats" // a neighbour
	"github.com/influxdata/telegraf/plugins/aggregators/quantile"     // a neighbour
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

const (
	benchFields = 10
	// poolSize is how many values of a kind there are. They repeat after it.
	poolSize = 1 << 14
	// steadyTicks is how many metrics of each series are added to count allocations: more than a stage of describe has.
	steadyTicks = 48
	// agentHeap is about what an agent holds beside its aggregators. Without it Go would collect garbage after every
	// 4 MB, which no agent does.
	agentHeap = 64 << 20
	// benchGate is a grace and a delay with which Telegraf passes values of any time to the plugin.
	benchGate = 290 * 8766 * time.Hour
)

var benchStart = time.Date(2024, 2, 25, 0, 0, 0, 0, time.UTC)

// benchShape is a kind of metrics: what the fields hold and how many of them a series has in a bucket.
type benchShape struct {
	kinds [benchFields]string
	ticks int
}

// benchShapes are a CPU with six fields that wander, three of few distinct values and a constant one; noise, of which
// hardly any value occurs twice; and sensors that are read to a tenth once a minute for a day.
var benchShapes = map[string]benchShape{
	"cpu": {[benchFields]string{
		"wandering", "wandering", "wandering", "wandering", "wandering", "wandering", "few", "few", "few", "constant",
	}, 360},
	"continuous": {kindsOf("noise"), 360},
	"sensor":     {kindsOf("tenths"), 1440},
}

func kindsOf(kind string) (kinds [benchFields]string) {
	for f := range kinds {
		kinds[f] = kind
	}
	return kinds
}

// benchPool returns the values of one kind. They are boxed once, so that making metrics leaves no garbage.
func benchPool(kind string) []any {
	r := rand.New(rand.NewPCG(1, uint64(len(kind))))
	values := make([]any, poolSize)
	for i := range values {
		switch kind {
		case "wandering":
			values[i] = 50 + 20*math.Sin(float64(i)/40) + r.NormFloat64()
		case "few":
			values[i] = float64(r.IntN(8))
		case "constant":
			values[i] = 100.0
		case "tenths":
			values[i] = math.Round(200+75*math.Sin(float64(i)/200+r.Float64()/10)) / 10
		default:
			values[i] = 50 + 10*r.NormFloat64()
		}
	}
	return values
}

// workload makes the metrics of a bucket a few ticks at a time, always in the same memory.
type workload struct {
	series, ticks int
	chunk         int // the number of ticks for which there are metrics
	metrics       []telegraf.Metric
	pools         [benchFields][]any
}

func newWorkload(series int, shape benchShape) *workload {
	w := &workload{series: series, ticks: shape.ticks, chunk: max(1, min(shape.ticks/2, 200/series))}
	byKind := make(map[string][]any)
	for f, kind := range shape.kinds {
		if byKind[kind] == nil {
			byKind[kind] = benchPool(kind)
		}
		w.pools[f] = byKind[kind]
	}
	for range w.chunk {
		for i := range series {
			tags := map[string]string{"host": "host" + strconv.Itoa(i), "cpu": "cpu-total", "region": "eu-1", "rack": strconv.Itoa(i % 40)}
			m := metric.New("cpu", tags, nil, benchStart)
			for f := range benchFields {
				m.AddField("usage_field_"+strconv.Itoa(f), 0.0)
			}
			w.metrics = append(w.metrics, m)
		}
	}
	return w
}

// value returns the value of a field of a series at a tick of a bucket.
func (w *workload) value(series, field, bucket, tick int) any {
	return w.pools[field][(series*7919+field*1013+bucket*w.ticks+tick)%poolSize]
}

// at returns the metrics of the ticks [tick, min(tick+chunk, end)) of a bucket. They are valid until the next call.
func (w *workload) at(bucket, tick, end int) []telegraf.Metric {
	step := time.Hour / time.Duration(w.ticks)
	n := min(w.chunk, end-tick) * w.series
	for i, m := range w.metrics[:n] {
		series, t := i%w.series, tick+i/w.series
		for f, field := range m.FieldList() {
			field.Value = w.value(series, f, bucket, t)
		}
		m.SetTime(benchStart.Add(time.Duration(bucket)*time.Hour + time.Duration(t)*step))
	}
	return w.metrics[:n]
}

// candidates are the aggregators to compare, the baselines first. All have the statistics that they have by default.
// describe is measured with an exact_limit of 64, "compact", and with its default.
var candidates = []struct {
	name string
	make func() telegraf.Aggregator
}{
	{"basicstats", func() telegraf.Aggregator { return aggregators.Aggregators["basicstats"]() }},
	{"quantile-tdigest", func() telegraf.Aggregator { return aggregators.Aggregators["quantile"]() }},
	{"quantile-exact", func() telegraf.Aggregator {
		q := aggregators.Aggregators["quantile"]().(*quantile.Quantile)
		q.AlgorithmType = "exact R7"
		return q
	}},
	{"describe-compact", func() telegraf.Aggregator { return newHourly(64) }},
	{"describe-default", func() telegraf.Aggregator { return newHourly(512) }},
}

// newHourly returns a describe whose hourly buckets close at the Push after their own, as they do in production,
// although no hour passes here: nothing is added for a linger of 1 ns.
func newHourly(exactLimit int) *describe.Describe {
	d := newDescribe()
	gate, linger := config.Duration(benchGate), config.Duration(1)
	d.Bucket, d.Grace, d.Delay, d.Linger = "1h", &gate, &gate, &linger
	d.ExactLimit, d.MemoryLimit = exactLimit, 1<<40
	return d
}

// measured reports whether a candidate takes part in a group. With 10,000 series a bucket takes a t-digest a minute and
// 2 GB, so the slow neighbours are measured there only where a target compares with them.
func measured(candidate string, series int, data, through string) bool {
	if series < 10_000 {
		return true
	}
	switch candidate {
	case "quantile-tdigest":
		return data == "cpu"
	case "quantile-exact":
		return data == "cpu" && through == "direct"
	}
	return data != "sensor" || through == "direct"
}

// BenchmarkNeighbours measures describe beside Telegraf's basicstats and quantile. An operation is one bucket of every
// series: 360 metrics of 10 fields, or 1,440 for sensors, and one Push. "direct" calls the plugin, "running" Telegraf's
// RunningAggregator, which copies each metric first. The metrics are:
//
//	ns/value       CPU time of all threads, garbage collection included, for each value; without making the metrics
//	push-ns/field  the part of it that Push takes, for each field of each series
//	B/field        heap at the end of the first bucket, before its Push, for each field of each series
//	allocs/metric  allocations of Add where nothing has to grow
//	x-basicstats   ns/value as a ratio to that of basicstats in the same run
//	x-pair         the same to the sum of basicstats and quantile-tdigest
//
// benchstat -col /aggregator compares the candidates.
func BenchmarkNeighbours(b *testing.B) {
	agent := make([]byte, agentHeap)
	defer runtime.KeepAlive(agent)
	// A warning in the middle of a line of results would make benchstat skip that line.
	if err := logger.SetupLogging(&logger.Config{Quiet: true}); err != nil {
		b.Fatal(err)
	}
	for _, series := range []int{1, 100, 10_000} {
		for _, data := range []string{"cpu", "continuous", "sensor"} {
			for _, through := range []string{"direct", "running"} {
				cost := make(map[string]float64) // ns/value of the candidates that were measured
				for _, c := range candidates {
					if !measured(c.name, series, data, through) {
						continue
					}
					b.Run(fmt.Sprintf("series=%d/data=%s/through=%s/aggregator=%s", series, data, through, c.name), func(b *testing.B) {
						r := newBenchRun(b, c.name, c.make(), newWorkload(series, benchShapes[data]), through == "running")
						cost[c.name] = r.measure()
						reportRatios(b, c.name, cost)
					})
				}
			}
		}
	}
}

func reportRatios(b *testing.B, name string, cost map[string]float64) {
	basic, digest := cost["basicstats"], cost["quantile-tdigest"]
	if name != "describe-compact" && name != "describe-default" || basic == 0 {
		return
	}
	b.ReportMetric(cost[name]/basic, "x-basicstats")
	if digest > 0 {
		b.ReportMetric(cost[name]/(basic+digest), "x-pair")
	}
}

// benchRun is one candidate with its metrics.
type benchRun struct {
	b         *testing.B
	name      string
	candidate *models.RunningAggregator
	work      *workload
	add       func(telegraf.Metric)
	next      int // the bucket to add
}

func newBenchRun(b *testing.B, name string, a telegraf.Aggregator, w *workload, running bool) *benchRun {
	b.Helper()
	ra := models.NewRunningAggregator(a, &models.AggregatorConfig{Name: name, Period: time.Hour, Grace: benchGate, Delay: benchGate})
	if err := ra.Init(); err != nil {
		b.Fatal(err)
	}
	ra.UpdateWindow(time.Now(), time.Now().Add(time.Hour))
	r := &benchRun{b: b, name: name, candidate: ra, work: w, add: a.Add}
	if running {
		r.add = func(m telegraf.Metric) { ra.Add(m) }
	}
	return r
}

// measure runs the benchmark and returns ns/value.
func (r *benchRun) measure() float64 {
	b, fields := r.b, float64(r.work.series*benchFields)
	held := r.checkFirst()
	allocs := r.steadyAllocs()
	var adding, pushing time.Duration
	for b.Loop() {
		adding += r.addTicks(r.next, r.work.ticks)
		pushing += r.push(nil)
		r.next++
	}
	buckets := float64(b.N)
	cost := float64(adding+pushing) / (fields * float64(r.work.ticks) * buckets)
	b.ReportMetric(0, "ns/op") // it has the making of the metrics
	b.ReportMetric(cost, "ns/value")
	b.ReportMetric(float64(pushing)/(fields*buckets), "push-ns/field")
	b.ReportMetric(held/fields, "B/field")
	b.ReportMetric(allocs, "allocs/metric")
	return cost
}

// checkFirst adds the first bucket, checks what is emitted for it, and returns the bytes that are held before the Push.
func (r *benchRun) checkFirst() float64 {
	before := heapInUse()
	r.addTicks(0, r.work.ticks)
	held := heapInUse() - before
	var emitted []telegraf.Metric
	r.push(&emitted)
	r.check(emitted)
	r.next = 1
	return held
}

// check compares the row of the first field of the first series with the values of its bucket.
func (r *benchRun) check(emitted []telegraf.Metric) {
	values := make([]float64, r.work.ticks)
	for tick := range values {
		values[tick] = r.work.value(0, 0, 0, tick).(float64)
	}
	slices.Sort(values)
	want := map[string]float64{
		"min": values[0], "max": values[len(values)-1], "count": float64(len(values)), "median": (values[len(values)/2-1] + values[len(values)/2]) / 2,
	}
	found := 0
	for _, m := range emitted {
		field, of := m.GetTag("field_name")
		if host, _ := m.GetTag("host"); host != "host0" || of && field != "usage_field_0" {
			continue
		}
		for name, w := range want {
			v, ok := statOf(m, name)
			if !ok {
				continue
			}
			found++
			tolerance := 0.0
			if name == "median" {
				tolerance = 0.05 * math.Abs(w) // describe-compact and the t-digest estimate it
			}
			if math.Abs(v-w) > tolerance {
				r.b.Fatalf("%s: %s of the first field is %v, want %v", r.name, name, v, w)
			}
		}
	}
	if found == 0 {
		r.b.Fatalf("%s emitted no statistic of the first field", r.name)
	}
}

// statOf returns a statistic of the first field from a row of any candidate.
func statOf(m telegraf.Metric, name string) (float64, bool) {
	suffix := name
	if name == "median" {
		suffix = "050"
	}
	for _, key := range []string{name, "usage_field_0_" + suffix} {
		switch v, _ := m.GetField(key); v := v.(type) {
		case float64:
			return v, true
		case int64:
			return float64(v), true
		}
	}
	return 0, false
}

// steadyAllocs returns the allocations of Add, for each metric, where nothing has to grow. It adds metrics to the bucket
// that was pushed last, twice, and counts the second time: the bucket of describe is still open then, and its summaries
// have reached the structure that their data lead to.
func (r *benchRun) steadyAllocs() float64 {
	r.addTicks(r.next-1, steadyTicks)
	before := mallocs()
	r.addTicks(r.next-1, steadyTicks)
	allocs := mallocs() - before
	r.push(nil)
	return float64(allocs) / float64(r.work.series*steadyTicks)
}

// addTicks adds the metrics of the first ticks of a bucket and returns the CPU time of Add.
func (r *benchRun) addTicks(bucket, ticks int) (took time.Duration) {
	for tick := 0; tick < ticks; tick += r.work.chunk {
		metrics := r.work.at(bucket, tick, ticks)
		start := cpuTime()
		for _, m := range metrics {
			r.add(m)
		}
		took += cpuTime() - start
	}
	return took
}

// push pushes and returns the CPU time that took. It appends the metrics to emitted, unless that is nil.
func (r *benchRun) push(emitted *[]telegraf.Metric) time.Duration {
	acc := sink{emitted: emitted}
	start := cpuTime()
	r.candidate.Push(&acc)
	took := cpuTime() - start
	if acc.metrics < r.work.series {
		r.b.Fatalf("%s emitted %d metrics for %d series", r.name, acc.metrics, r.work.series)
	}
	return took
}

// sink is an accumulator that makes metrics as that of the agent does and counts them.
type sink struct {
	telegraf.Accumulator
	metrics int
	emitted *[]telegraf.Metric
}

func (s *sink) AddFields(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	when := time.Now()
	if len(at) > 0 {
		when = at[0]
	}
	s.AddMetric(metric.New(name, tags, fields, when))
}

func (s *sink) AddMetric(m telegraf.Metric) {
	s.metrics++
	if s.emitted != nil {
		*s.emitted = append(*s.emitted, m)
	}
}

func (*sink) SetPrecision(time.Duration)                      {}
func (*sink) AddError(error)                                  {}
func (s *sink) WithTracking(int) telegraf.TrackingAccumulator { return nil }

// cpuTime returns the CPU time that all threads of the process have used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memStats is where memory statistics are read to, because reading them must not allocate.
var memStats runtime.MemStats

// heapInUse returns the bytes that are in use after a collection.
func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&memStats)
	return float64(memStats.HeapAlloc)
}

// mallocs returns how many allocations the process has made.
func mallocs() uint64 {
	runtime.ReadMemStats(&memStats)
	return memStats.Mallocs
}

// BenchmarkGroupBy adds metrics of four tags, one of which group_by keeps.
func BenchmarkGroupBy(b *testing.B) {
	for _, globs := range [][]string{{"host"}, {"app*", "*_id", "env*", "kube*", "node?", "pod*", "*zone", "host"}} {
		b.Run(fmt.Sprintf("globs=%d", len(globs)), func(b *testing.B) {
			d := newHourly(64)
			d.Log, d.GroupBy = &plugintest.Log{}, globs
			d.SetHost(describe.Host{Bounded: true})
			require.NoError(b, d.Init())
			metrics := make([]telegraf.Metric, 100)
			for i := range metrics {
				tags := map[string]string{"host": "host" + strconv.Itoa(i), "cpu": "cpu-total", "region": "eu-1", "rack": "7"}
				metrics[i] = metric.New("cpu", tags, map[string]any{"v": 1.0}, benchStart)
			}
			next := 0
			for b.Loop() {
				d.Add(metrics[next])
				next = (next + 1) % len(metrics)
			}
			var rows []telegraf.Metric
			d.Push(&sink{emitted: &rows})
			require.Len(b, rows, len(metrics), "one for each host")
		})
	}
}
