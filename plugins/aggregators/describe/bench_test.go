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
	stageRows   = 16  // how many rows the engine stages
	steadyTicks = 3 * stageRows
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

// at makes the metrics those of a bucket's ticks from one on, at most until another.
func (w *workload) at(bucket, tick, end int) []telegraf.Metric {
	n := min(w.chunk, end-tick) * w.series
	for i, m := range w.metrics[:n] {
		series, t := i%w.series, tick+i/w.series
		for f, field := range m.FieldList() {
			field.Value = w.pools[f][(series*7919+f*1013+bucket*benchTicks+t)%poolSize]
		}
		m.SetTime(bucketStart.Add(time.Duration(bucket)*time.Hour + time.Duration(t)*10*time.Second))
	}
	return w.metrics[:n]
}

// candidate makes what is measured: one or more aggregators that get every metric, and whose wall clock is told.
type candidate func(b *testing.B, wall *clock) []*models.RunningAggregator

func describeOf(limit int) candidate {
	return func(b *testing.B, wall *clock) []*models.RunningAggregator {
		d := newDescribe()
		gate := config.Duration(openGate)
		d.Bucket, d.Grace, d.Delay = "1h", &gate, &gate
		d.ExactLimit, d.MemoryLimit = limit, 1<<40
		d.now = wall.now
		return []*models.RunningAggregator{running(b, "describe", d)}
	}
}

func neighbour(parts ...func(b *testing.B) *models.RunningAggregator) candidate {
	return func(b *testing.B, _ *clock) (all []*models.RunningAggregator) {
		for _, part := range parts {
			all = append(all, part(b))
		}
		return all
	}
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

var benchNames = []string{compact, standard, basic, digest, exact, pair}

var candidates = map[string]candidate{
	compact:  describeOf(64),
	standard: describeOf(512),
	basic:    neighbour(basicstats),
	digest:   neighbour(tdigest),
	exact:    neighbour(exactR7),
	pair:     neighbour(basicstats, tdigest),
}

// group is what is measured side by side.
type group struct {
	series  int
	data    string
	through string         // "direct" or "running"
	rounds  map[string]int // by candidate; it takes part in the first ones
}

func (g group) String() string {
	return fmt.Sprintf("series=%d/data=%s/through=%s", g.series, g.data, g.through)
}

// in returns the candidates of a round. They take turns in being first: what one leaves behind is not always the same
// one's to pay.
func (g group) in(round int) (names []string) {
	for i := range benchNames {
		if name := benchNames[(i+round)%len(benchNames)]; round < g.rounds[name] {
			names = append(names, name)
		}
	}
	return names
}

// benchGroups are all combinations but for three. With 100,000 series, the t-digest, and so the pair, would hold 22 GB.
// Exact R7 is measured with as many only directly and with the data of a CPU: it takes 8 GB and minutes each time. With
// 1,000 series there is what the targets want, the bytes and what 100,000 are compared with.
//
// What a target is of has 6 rounds, but for the pair with 10,000 series: as it takes more than a minute a round, it has 3.
// What no target is of has one round there, and with 100,000 series.
var benchGroups = append(smallGroups(), []group{
	{1000, "cpu", "direct", map[string]int{compact: 6, standard: 6, basic: 6}},
	{1000, "continuous", "direct", map[string]int{compact: 6, standard: 6, basic: 6}},
	{10_000, "cpu", "direct", map[string]int{compact: 6, standard: 6, basic: 6, digest: 1, exact: 1, pair: 3}},
	{10_000, "cpu", "running", map[string]int{compact: 6, standard: 6, basic: 6, digest: 1, exact: 1, pair: 3}},
	{10_000, "continuous", "direct", map[string]int{compact: 1, standard: 1, basic: 1, digest: 1, exact: 1, pair: 1}},
	{10_000, "continuous", "running", map[string]int{compact: 1, standard: 1, basic: 1, digest: 1, exact: 1, pair: 1}},
	{100_000, "cpu", "direct", map[string]int{compact: 6, standard: 6, basic: 1, exact: 1}},
	{100_000, "cpu", "running", map[string]int{compact: 1, standard: 1, basic: 1}},
	{100_000, "continuous", "direct", map[string]int{compact: 1, standard: 1, basic: 1}},
	{100_000, "continuous", "running", map[string]int{compact: 1, standard: 1, basic: 1}},
}...)

func smallGroups() (groups []group) {
	for _, series := range []int{1, 100} {
		for _, data := range []string{"cpu", "continuous"} {
			for _, through := range []string{"direct", "running"} {
				rounds := map[string]int{compact: 6, standard: 6, basic: 6, digest: 6, exact: 6, pair: 6}
				groups = append(groups, group{series, data, through, rounds})
			}
		}
	}
	return groups
}

// target is the most that a candidate may be, as a ratio to another one or in itself.
type target struct {
	group, name, what string // what of the candidate, or of a summary
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
	{"series=100/data=cpu/through=direct", compact, "steady-allocs/metric", "", 0},
	{"series=100/data=cpu/through=direct", standard, "steady-allocs/metric", "", 0},
	{"series=100/data=continuous/through=direct", compact, "steady-allocs/metric", "", 0},
	{"series=100/data=continuous/through=direct", standard, "steady-allocs/metric", "", 0},
	{"series=100000/data=cpu/through=direct", compact, "ns/value", "series=1000/data=cpu/through=direct", 2},
	{"series=100000/data=cpu/through=direct", standard, "ns/value", "series=1000/data=cpu/through=direct", 2},
	{summaryGroup, "hard cap per sign", "B", "", 1300},
	{summaryGroup, "hard cap per sign, a bin of 65,536", "B", "", 2300},
	{summaryGroup, "serialised, compact, constant", "B", "", 20},
	{summaryGroup, "serialised, compact, few distinct", "B", "", 110},
	{summaryGroup, "serialised, compact, continuous", "B", "", 360},
	{summaryGroup, "serialised, compact, 100,000 values", "B", "", 560},
	{summaryGroup, "merge, compact, few distinct", "µs", "", 0.5},
	{summaryGroup, "merge, compact, continuous", "µs", "", 2},
	{summaryGroup, "merge, default, few distinct", "µs", "", 0.5},
	{summaryGroup, "merge, default, continuous", "µs", "", 2},
	{summaryGroup, "three quantiles, compact, first", "µs", "", 2.5},
	{summaryGroup, "three quantiles, compact, again", "µs", "", 2.5},
	{summaryGroup, "three quantiles, default, first", "µs", "", 2.5},
	{summaryGroup, "three quantiles, default, again", "µs", "", 2.5},
	{summaryGroup, "roll-up of 24,000, compact", "ms", "", 50},
	{summaryGroup, "roll-up of 24,000, default", "ms", "", 50},
	{summaryGroup, "merge of 100 hosts", "orders with other bins", "", 0},
}

// benchColumns are what is measured of a candidate.
var benchColumns = []string{"ns/value", "push-ns/field", "B/field", "allocs/metric", "steady-allocs/metric"}

// results are the medians, by group, candidate and column, and how many "rounds" they are of.
type results map[string]map[string]map[string]float64

// BenchmarkNeighbours measures describe with its default statistics beside what Telegraf has, directly and through
// Telegraf's RunningAggregator, which copies each metric, and then the summaries alone (see measureSummaries). It prints
// a table of the medians, and all targets each beside what was measured.
//
// A round adds buckets of 360 metrics a series and pushes each once, when it ends. The wall clock goes along with the data,
// so that describe's buckets close as in production: with the default linger of 10 minutes at the Push after their own,
// and the bucket after that gets their memory. In the columns are:
//
//	ns/value              Add and Push, for each value
//	push-ns/field         of this the Push, for each field of each series
//	B/field               what is held at the end of the first bucket, before its Push
//	allocs/metric         allocations of Add in all buckets but the first; from 1,000 series on there is only that
//	steady-allocs/metric  the same where all memory is there already: after the last Push the first metrics of its bucket,
//	                      as many as are staged three times, are added again to make room, and once more to be counted.
//	                      describe's bucket is still open then and has all tiers that its data lead to; the neighbours
//	                      have begun anew. This is the most of all rounds; from 10,000 series on, of the last one
//
// Times are of the CPU, with garbage collection, of all threads.
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
	b.Run(summaryGroup, func(b *testing.B) {
		for b.Loop() {
			measureSummaries(b, all)
		}
		b.ReportMetric(0, "ns/op")
	})
	all.print(os.Stdout)
}

func (g group) measure(b *testing.B, all results) {
	w := newWorkload(g.series, g.data)
	samples := make(map[string]samplesOf)
	for round := 0; len(g.in(round)) > 0; round++ {
		for _, name := range g.in(round) {
			if samples[name] == nil {
				samples[name] = make(samplesOf)
			}
			steady := g.series < 10_000 || round == g.rounds[name]-1
			samples[name].add(g.round(b, w, name, steady))
		}
	}
	all[g.String()] = make(map[string]map[string]float64)
	for name, s := range samples {
		all[g.String()][name] = s.medians(g.rounds[name])
		if name == compact || name == standard {
			b.ReportMetric(all[g.String()][name]["ns/value"], strings.ReplaceAll(name, " ", "-")+"-ns/value")
		}
	}
}

// samplesOf are what the rounds measured of one candidate, by column.
type samplesOf map[string][]float64

func (s samplesOf) add(row map[string]float64) {
	for what, v := range row {
		s[what] = append(s[what], v)
	}
}

func (s samplesOf) medians(rounds int) map[string]float64 {
	row := map[string]float64{"rounds": float64(rounds)}
	for what, vs := range s {
		slices.Sort(vs)
		row[what] = (vs[(len(vs)-1)/2] + vs[len(vs)/2]) / 2
		if what == "steady-allocs/metric" {
			row[what] = vs[len(vs)-1]
		}
	}
	return row
}

// round adds the metrics of a bucket and pushes them, as often as it takes to have some 300,000 metrics.
func (g group) round(b *testing.B, w *workload, name string, steady bool) map[string]float64 {
	buckets := max(1, 300_000/(benchTicks*g.series))
	var adding, pushing time.Duration
	var allocs uint64
	fields := float64(g.series * benchFields)
	row := make(map[string]float64)
	before := heap()
	wall := &clock{at: bucketStart}
	r := run{candidates[name](b, wall), w, g.through == "running"}
	for i := range buckets {
		m0 := mallocs()
		adding += r.add(i, benchTicks)
		if i == 0 {
			row["B/field"] = (heap() - before) / fields
		} else {
			allocs += mallocs() - m0
		}
		wall.at = wall.at.Add(time.Hour)
		pushing += r.push(b, name)
	}
	row["ns/value"] = float64(adding+pushing) / (fields * benchTicks * float64(buckets))
	row["push-ns/field"] = float64(pushing) / (fields * float64(buckets))
	if buckets > 1 {
		row["allocs/metric"] = float64(allocs) / float64(g.series*benchTicks*(buckets-1))
	}
	if steady {
		r.add(buckets-1, steadyTicks)
		m0 := mallocs()
		r.add(buckets-1, steadyTicks)
		row["steady-allocs/metric"] = float64(mallocs()-m0) / float64(g.series*steadyTicks)
		r.push(b, name) // which fails where the bucket was not open
	}
	return row
}

// run is a candidate in a round.
type run struct {
	aggregators []*models.RunningAggregator
	w           *workload
	running     bool // whether it is added to through RunningAggregator
}

// add adds the metrics of the first ticks of a bucket and returns the time that took, without that of making them.
func (r run) add(bucket, ticks int) (took time.Duration) {
	for tick := 0; tick < ticks; tick += r.w.chunk {
		metrics := r.w.at(bucket, tick, ticks)
		start := cpu()
		for _, ra := range r.aggregators {
			if r.running {
				for _, m := range metrics {
					ra.Add(m)
				}
			} else {
				for _, m := range metrics {
					ra.Aggregator.Add(m)
				}
			}
		}
		took += cpu() - start
	}
	return took
}

func (r run) push(b *testing.B, name string) time.Duration {
	var acc sink
	start := cpu()
	for _, ra := range r.aggregators {
		ra.Push(&acc)
	}
	took := cpu() - start
	if acc.metrics < r.w.series {
		b.Fatalf("%s: %d metrics emitted of %d series", name, acc.metrics, r.w.series)
	}
	return took
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

// memory is read into here, as what is read must not be an allocation itself.
var memory runtime.MemStats

// heap returns the bytes that are in use after a collection.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&memory)
	return float64(memory.HeapAlloc)
}

// mallocs returns how often memory was allocated.
func mallocs() uint64 {
	runtime.ReadMemStats(&memory)
	return memory.Mallocs
}

func (r results) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\ngroup\taggregator\trounds\t"+strings.Join(benchColumns, "\t"))
	for _, g := range benchGroups {
		for _, name := range benchNames {
			row, ok := r[g.String()][name]
			if !ok {
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%g", g, name, row["rounds"])
			for _, column := range benchColumns {
				fmt.Fprint(w, "\t"+cell(row, column))
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w, "\ngroup\tof\twhat\trounds\tmeasured\ttarget\t")
	for _, t := range benchTargets {
		what := t.what
		if t.of != "" {
			what += " to " + t.of
		}
		rounds, measured, verdict := "-", "-", "not measured"
		if v, n, ok := r.judge(t); ok {
			rounds, measured, verdict = strconv.Itoa(n), fmt.Sprintf("%.4g", v), "met"
			if v > t.most {
				verdict = "missed"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%g\t%s\n", t.group, t.name, what, rounds, measured, t.most, verdict)
	}
	w.Flush()
}

func cell(row map[string]float64, column string) string {
	switch v, ok := row[column]; {
	case !ok:
		return "-"
	case column == "allocs/metric":
		return fmt.Sprintf("%.3f", v)
	default:
		return fmt.Sprintf("%.4g", v)
	}
}

// judge returns what is to be compared with the target and of how many rounds at least it is.
func (r results) judge(t target) (v float64, rounds int, ok bool) {
	row := r[t.group][t.name]
	v, ok = row[t.what]
	if !ok || t.of == "" {
		return v, int(row["rounds"]), ok
	}
	other := r[t.group][t.of]
	if strings.Contains(t.of, "/") {
		other = r[t.of][t.name]
	}
	base, ok := other[t.what]
	return v / base, int(min(row["rounds"], other["rounds"])), ok
}
