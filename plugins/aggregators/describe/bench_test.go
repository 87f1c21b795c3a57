package describe

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/aggregators"
	_ "github.com/influxdata/telegraf/plugins/aggregators/basicstats" // a neighbour
	"github.com/influxdata/telegraf/plugins/aggregators/quantile"     // a neighbour
)

const (
	benchFields = 10
	benchTicks  = 360 // metrics of each series in a bucket: an hour at 10 s
	poolSize    = 1 << 14
	// agentHeap is about what an agent holds beside its aggregators. Without it garbage would be collected after
	// every 4 MB, which no agent does.
	agentHeap = 64 << 20
)

// kinds of data by field: six fields that wander, three with few distinct values and a constant one, as of a
// CPU; or ten of which no value comes twice.
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
}

// pool has the values of one kind, boxed once, so that the benchmark itself makes no garbage.
func pool(kind string) []any {
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
		default:
			values[i] = 50 + 10*r.NormFloat64()
		}
	}
	return values
}

// workload is what all candidates of a group get: the metrics of some ticks at a time, whose values change.
type workload struct {
	series, chunk int // chunk is of how many ticks there are metrics
	metrics       []telegraf.Metric
	pools         [benchFields][]any
}

func newWorkload(series int, data string) *workload {
	w := &workload{series: series, chunk: max(1, min(benchTicks/2, 200/series))}
	byKind := make(map[string][]any)
	for f := range benchFields {
		kind := benchData[data](f)
		if byKind[kind] == nil {
			byKind[kind] = pool(kind)
		}
		w.pools[f] = byKind[kind]
	}
	for range w.chunk {
		for i := range series {
			tags := map[string]string{"host": "host" + strconv.Itoa(i), "cpu": "cpu-total", "region": "eu-1", "rack": strconv.Itoa(i % 40)}
			m := metric.New("cpu", tags, nil, bucketStart)
			for f := range benchFields {
				m.AddField("usage_field_"+strconv.Itoa(f), 0.0)
			}
			w.metrics = append(w.metrics, m)
		}
	}
	return w
}

// at makes the metrics those of the ticks from tick on, after some other buckets.
func (w *workload) at(tick, bucket int) []telegraf.Metric {
	n := min(w.chunk, benchTicks-tick) * w.series
	for i, m := range w.metrics[:n] {
		series, t := i%w.series, tick+i/w.series
		for f, field := range m.FieldList() {
			field.Value = w.pools[f][(series*7919+f*1013+bucket*benchTicks+t)%poolSize]
		}
		m.SetTime(bucketStart.Add(time.Duration(bucket)*time.Hour + time.Duration(t)*10*time.Second))
	}
	return w.metrics[:n]
}

// candidate is what is measured: one or more aggregators that get every metric.
type candidate struct {
	name  string
	build func(b *testing.B) []*models.RunningAggregator
}

func describeOf(limit int) candidate {
	return candidate{"describe " + strconv.Itoa(limit), func(b *testing.B) []*models.RunningAggregator {
		d := newDescribe()
		gate := d.Period
		d.Bucket, d.Grace, d.Delay, d.Linger = "1h", &gate, &gate, new(config.Duration)
		d.ExactLimit, d.MemoryLimit = limit, 1<<40
		return []*models.RunningAggregator{running(b, "describe", d)}
	}}
}

func neighbour(name string, parts ...func(b *testing.B) *models.RunningAggregator) candidate {
	return candidate{name, func(b *testing.B) (all []*models.RunningAggregator) {
		for _, part := range parts {
			all = append(all, part(b))
		}
		return all
	}}
}

func basicstats(b *testing.B) *models.RunningAggregator {
	return running(b, "basicstats", aggregators.Aggregators["basicstats"]())
}

func tdigest(b *testing.B) *models.RunningAggregator {
	return running(b, "quantile", aggregators.Aggregators["quantile"]())
}

func exactR7(b *testing.B) *models.RunningAggregator {
	q := aggregators.Aggregators["quantile"]()
	q.(*quantile.Quantile).AlgorithmType = "exact R7"
	return running(b, "quantile", q)
}

// running wraps an aggregator as the agent does; a plugin that is reached through .Aggregator is measured directly.
func running(b *testing.B, name string, a telegraf.Aggregator) *models.RunningAggregator {
	b.Helper()
	ra := models.NewRunningAggregator(a, &models.AggregatorConfig{Name: name, Period: time.Hour, Grace: openGate, Delay: openGate})
	if err := ra.Init(); err != nil {
		b.Fatal(err)
	}
	ra.UpdateWindow(time.Now(), time.Now().Add(time.Hour))
	return ra
}

// The names of the candidates.
const (
	compact, standard    = "describe 64", "describe 512"
	basic, digest, exact = "basicstats", "quantile t-digest", "quantile exact R7"
	pair                 = "basicstats + quantile"
)

// group is what is measured side by side: every candidate in every round.
type group struct {
	series  int
	data    string
	through string // "direct" or "running"
	rounds  int
	names   []string
}

func (g group) String() string {
	return fmt.Sprintf("series=%d/data=%s/through=%s", g.series, g.data, g.through)
}

// benchGroups are all combinations but for those of t-digest with 100,000 series, which would hold 22 GB. Where
// candidates take minutes, there is one round of them.
var benchGroups = append(smallGroups(), []group{
	{1000, "cpu", "direct", 6, []string{compact, standard, basic}},
	{1000, "continuous", "direct", 6, []string{compact, standard, basic}},
	{10_000, "cpu", "direct", 6, []string{compact, standard, basic, exact}},
	{10_000, "cpu", "direct", 1, []string{digest, pair}},
	{10_000, "cpu", "running", 6, []string{compact, standard, basic}},
	{10_000, "cpu", "running", 1, []string{digest, exact, pair}},
	{10_000, "continuous", "direct", 1, []string{compact, standard, basic, digest, exact, pair}},
	{10_000, "continuous", "running", 1, []string{compact, standard, basic, digest, exact, pair}},
	{100_000, "cpu", "direct", 1, []string{compact, standard, basic, exact}},
	{100_000, "cpu", "running", 1, []string{compact, standard, basic}},
	{100_000, "continuous", "direct", 1, []string{compact, standard, basic}},
	{100_000, "continuous", "running", 1, []string{compact, standard, basic}},
}...)

func smallGroups() (groups []group) {
	for _, series := range []int{1, 100} {
		for _, data := range []string{"cpu", "continuous"} {
			for _, through := range []string{"direct", "running"} {
				groups = append(groups, group{series, data, through, 6, []string{compact, standard, basic, digest, exact, pair}})
			}
		}
	}
	return groups
}

// target is the most that a candidate may be, as a ratio to another one or in itself.
type target struct {
	group, name, what string // what of the candidate
	of                string // the candidate or, with a slash, the group that it is compared with
	most              float64
}

var benchTargets = []target{
	{"series=1/data=cpu/through=direct", compact, "ns/value", basic, .40},
	{"series=100/data=cpu/through=direct", compact, "ns/value", basic, .35},
	{"series=10000/data=cpu/through=direct", compact, "ns/value", basic, .40},
	{"series=1/data=cpu/through=direct", standard, "ns/value", basic, .35},
	{"series=100/data=cpu/through=direct", standard, "ns/value", basic, .45},
	{"series=10000/data=cpu/through=direct", standard, "ns/value", basic, .45},
	{"series=1/data=cpu/through=direct", compact, "ns/value", pair, .05},
	{"series=100/data=cpu/through=direct", compact, "ns/value", pair, .045},
	{"series=10000/data=cpu/through=direct", compact, "ns/value", pair, .045},
	{"series=1/data=cpu/through=direct", standard, "ns/value", pair, .045},
	{"series=100/data=cpu/through=direct", standard, "ns/value", pair, .055},
	{"series=10000/data=cpu/through=direct", standard, "ns/value", pair, .05},
	{"series=100/data=continuous/through=direct", compact, "ns/value", basic, .40},
	{"series=100/data=continuous/through=direct", compact, "ns/value", pair, .08},
	{"series=100/data=continuous/through=direct", standard, "ns/value", basic, .60},
	{"series=100/data=continuous/through=direct", standard, "ns/value", pair, .12},
	{"series=1000/data=cpu/through=direct", compact, "B/field", "", 650},
	{"series=1000/data=continuous/through=direct", compact, "B/field", "", 850},
	{"series=1000/data=cpu/through=direct", standard, "B/field", "", 3200},
	{"series=1000/data=continuous/through=direct", standard, "B/field", "", 3300},
	{"series=100/data=cpu/through=running", compact, "ns/value", basic, .62},
	{"series=10000/data=cpu/through=running", compact, "ns/value", basic, .58},
	{"series=100/data=cpu/through=running", compact, "ns/value", pair, .125},
	{"series=10000/data=cpu/through=running", compact, "ns/value", pair, .10},
	{"series=100/data=cpu/through=direct", compact, "push-ns/field", basic, 1.1},
	{"series=100/data=cpu/through=direct", standard, "push-ns/field", basic, 1.1},
	{"series=100/data=continuous/through=direct", compact, "push-ns/field", basic, 1.9},
	{"series=100/data=continuous/through=direct", standard, "push-ns/field", basic, 1.9},
	{"series=100/data=cpu/through=direct", compact, "allocs/metric", "", 0},
	{"series=100/data=cpu/through=direct", standard, "allocs/metric", "", 0},
	{"series=100000/data=cpu/through=direct", compact, "ns/value", "series=1000/data=cpu/through=direct", 2},
	{"series=100000/data=cpu/through=direct", standard, "ns/value", "series=1000/data=cpu/through=direct", 2},
}

// benchColumns are what is measured of a candidate.
var benchColumns = []string{"ns/value", "push-ns/field", "B/field", "allocs/metric"}

// results are the medians, by group, candidate and column.
type results map[string]map[string]map[string]float64

// BenchmarkNeighbours measures describe with its default statistics beside what Telegraf has: Add and one Push
// of a bucket of 360 values, directly and through Telegraf's RunningAggregator, which copies each metric. All
// candidates of a group take turns, so that what else the machine does hits all of them. Times are of the CPU,
// with garbage collection, of all threads; a table has the medians, and the targets.
func BenchmarkNeighbours(b *testing.B) {
	all := results{}
	agent := make([]byte, agentHeap)
	defer runtime.KeepAlive(agent)
	for _, g := range benchGroups {
		b.Run(g.String(), func(b *testing.B) {
			for b.Loop() {
				g.measure(b, all)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	all.print(os.Stdout)
}

func candidates() map[string]candidate {
	return map[string]candidate{
		compact:  describeOf(64),
		standard: describeOf(512),
		basic:    neighbour(basic, basicstats),
		digest:   neighbour(digest, tdigest),
		exact:    neighbour(exact, exactR7),
		pair:     neighbour(pair, basicstats, tdigest),
	}
}

func (g group) measure(b *testing.B, all results) {
	w := newWorkload(g.series, g.data)
	samples := make(map[string]map[string][]float64)
	for round := range g.rounds {
		for i := range g.names {
			name := g.names[(i+round)%len(g.names)] // what one leaves behind is not always the same one's to pay
			one := g.round(b, w, candidates()[name])
			for what, v := range one {
				if samples[name] == nil {
					samples[name] = make(map[string][]float64)
				}
				samples[name][what] = append(samples[name][what], v)
			}
		}
	}
	if all[g.String()] == nil {
		all[g.String()] = make(map[string]map[string]float64)
	}
	for name, columns := range samples {
		if all[g.String()][name] != nil {
			continue // measured in more rounds
		}
		all[g.String()][name] = make(map[string]float64)
		for what, vs := range columns {
			slices.Sort(vs)
			all[g.String()][name][what] = vs[len(vs)/2]
		}
		if name == compact || name == standard {
			b.ReportMetric(all[g.String()][name]["ns/value"], strings.ReplaceAll(name, " ", "-")+"-ns/value")
		}
	}
}

// round adds the metrics of a bucket and pushes them, as often as it takes to have some 300,000 metrics.
func (g group) round(b *testing.B, w *workload, c candidate) map[string]float64 {
	var adding, pushing time.Duration
	var live, allocs float64
	buckets := max(1, 300_000/(benchTicks*g.series))
	before := heap()
	aggs := c.build(b)
	for i := range buckets {
		for tick := 0; tick < benchTicks; tick += w.chunk {
			metrics := w.at(tick, i)
			var m0 uint64
			if i == 0 && tick == benchTicks-w.chunk {
				m0 = mallocs()
			}
			start := cpu()
			for _, ra := range aggs {
				if g.through == "running" {
					for _, m := range metrics {
						ra.Add(m)
					}
				} else {
					for _, m := range metrics {
						ra.Aggregator.Add(m)
					}
				}
			}
			adding += cpu() - start
			if i == 0 && tick == benchTicks-w.chunk {
				allocs = float64(mallocs()-m0) / float64(len(metrics))
			}
		}
		if i == 0 {
			live = heap() - before
		}
		var acc sink
		start := cpu()
		for _, ra := range aggs {
			ra.Push(&acc)
		}
		pushing += cpu() - start
		if acc.metrics < g.series {
			b.Fatalf("%s: %d metrics emitted of %d series", c.name, acc.metrics, g.series)
		}
	}
	fields := float64(g.series * benchFields)
	return map[string]float64{
		"ns/value":      float64(adding+pushing) / (fields * benchTicks * float64(buckets)),
		"push-ns/field": float64(pushing) / (fields * float64(buckets)),
		"B/field":       live / fields,
		"allocs/metric": math.Round(allocs),
	}
}

// sink is an accumulator that makes metrics as the agent's does and counts them.
type sink struct {
	telegraf.Accumulator
	metrics int
}

func (s *sink) AddFields(name string, fields map[string]any, tags map[string]string, at ...time.Time) {
	when := time.Now()
	if len(at) > 0 {
		when = at[0]
	}
	s.AddMetric(metric.New(name, tags, fields, when))
}

func (s *sink) AddMetric(telegraf.Metric)                     { s.metrics++ }
func (*sink) SetPrecision(time.Duration)                      {}
func (*sink) AddError(error)                                  {}
func (s *sink) WithTracking(int) telegraf.TrackingAccumulator { return nil }

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap returns the bytes that are in use after a collection.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func (r results) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\ngroup\taggregator\t"+strings.Join(benchColumns, "\t"))
	done := make(map[string]bool)
	for _, g := range benchGroups {
		if done[g.String()] || r[g.String()] == nil {
			continue
		}
		done[g.String()] = true
		for _, name := range []string{compact, standard, basic, digest, exact, pair} {
			row, ok := r[g.String()][name]
			if !ok {
				continue
			}
			fmt.Fprintf(w, "%s\t%s", g, name)
			for _, column := range benchColumns {
				fmt.Fprintf(w, "\t%.4g", row[column])
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w, "\ngroup\taggregator\twhat\tmeasured\ttarget\t")
	for _, t := range benchTargets {
		v, ok := r[t.group][t.name][t.what]
		what := t.what
		if ok && t.of != "" {
			of := r[t.group][t.of]
			if strings.Contains(t.of, "/") {
				of = r[t.of][t.name]
			}
			v /= of[t.what]
			ok = of != nil
			what += " to " + t.of
		}
		if !ok {
			continue
		}
		verdict := "met"
		if v > t.most {
			verdict = "missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3g\t%.3g\t%s\n", t.group, t.name, what, v, t.most, verdict)
	}
	w.Flush()
}
