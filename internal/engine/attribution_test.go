package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// described holds the expected statistics of one field of one series in one bucket.
type described struct {
	count         int64
	sum, min, max float64
	first, last   float64
	firstAt       int64
	lastAt        int64
	left          map[string]bool // the names of the statistics in the rows so far
}

// model holds the expected statistics of each row, by the identity of the row.
type model map[string]*described

func (m model) add(row string, v float64, at int64) {
	d := m[row]
	if d == nil {
		d = &described{min: v, max: v, first: v, firstAt: at, last: v, lastAt: at, left: make(map[string]bool)}
		m[row] = d
	}
	d.count++
	d.sum += v
	d.min, d.max = min(d.min, v), max(d.max, v)
	if at < d.firstAt {
		d.first, d.firstAt = v, at
	}
	if at >= d.lastAt {
		d.last, d.lastAt = v, at
	}
}

func (m model) check(t *testing.T, r *engine.Row) {
	t.Helper()
	row := identity(strings.TrimPrefix(r.Table, "analytics_"), r.Tags, r.Field, r.Start)
	want, got := m[row], statistics(r)
	require.NotNil(t, want, row)
	wanted := [5]any{want.count, want.min, want.max, want.first, want.last}
	if all := [5]any{got["count"], got["min"], got["max"], got["first"], got["last"]}; all != wanted {
		require.Equal(t, wanted, all, row)
	}
	require.InDelta(t, want.sum, got["sum"], 1e-6, row)
	for name := range want.left {
		if _, ok := got[name]; !ok {
			require.Contains(t, got, name, "a later row has at least the statistics of an earlier one")
		}
	}
	for name := range got {
		want.left[name] = true
	}
	if len(r.Summary) > 0 {
		require.Equal(t, uint64(want.count), summary(t, r).Count())
	}
}

func identity(measurement string, tags []series.Tag, field string, start time.Time) string {
	return fmt.Sprintf("%q %q %q %d", measurement, tags, field, start.Unix())
}

// rowOf returns the identity of the row that a field of a point belongs to, in buckets of a minute.
func rowOf(p *engine.Point, keep func(string) bool, field string) string {
	var tags []series.Tag
	for _, tag := range p.Tags {
		if value := series.Sendable(tag.Value); (keep == nil || keep(tag.Key)) && tag.Key != "" && value != "" {
			tags = append(tags, series.Tag{Key: tag.Key, Value: value})
		}
	}
	record.RenameTags(tags, nil)
	series.SortTags(tags)
	name := series.Sendable(field)
	if name == "" {
		name = "_"
	}
	return identity(series.Sendable(p.Measurement), tags, name, time.Unix(0, p.Time).Truncate(time.Minute))
}

// seeds returns how many of n random runs a test makes: all, or a quarter and at most three with -short.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return min(n/4, 3)
	}
	return n
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// randomEngine returns an engine whose buckets become final often and whose summaries change their form often. It
// also returns the filter of its tags.
func randomEngine(t *testing.T, r *rand.Rand) (tested, func(string) bool) {
	t.Helper()
	keep := pick(r, nil, func(string) bool { return false },
		func(key string) bool { return strings.HasPrefix(key, "a") || strings.HasPrefix(key, "k") },
		func(key string) bool { return key == "host" || strings.HasPrefix(key, "field") })
	e := newTested(t, time.Minute, func(o *engine.Options) {
		o.Keep, o.Linger = keep, pick(r, 0, 2*time.Minute)
		o.ExactLimit = pick(r, 1+r.IntN(40), stats.Unlimited)
		o.MemoryLimit = pick(r, 2000, 50_000, 1<<30)
		o.MaxSeries = pick(r, 0, 0, 5)
		o.Encode = pick(r, nil, fullSummary, func(dst []byte, s *stats.Summary) []byte { return s.AppendLimited(dst, 8) })
	}, "count", "sum", "min", "max", "max_error", "first", "last", "stddev", "mode_count")
	e.clock.at = start
	return e, keep
}

// randomSources returns points without fields, of series that differ very little.
func randomSources(r *rand.Rand) (sources []engine.Point) {
	long := strings.Repeat("x", 127)
	for range 12 {
		p := engine.Point{Measurement: pick(r, "m", `m\`, "n", strings.Repeat("m", 200))}
		for range r.IntN(5) {
			key := pick(r, "a", "b", "host", "field_name", "field_name_tag", "time", `a\`, "a_tag", strings.Repeat("k", 130))
			value := pick(r, "", "1", "2", `1\`, "x\ty", `x\ty`, long, long+"x", long+"xy", strings.Repeat("y", 300))
			if !slices.ContainsFunc(p.Tags, func(tag engine.Tag) bool { return tag.Key == key }) {
				p.Tags = append(p.Tags, engine.Tag{Key: key, Value: value})
			}
		}
		sources = append(sources, p)
	}
	return sources
}

// randomFields returns fields of which some have the same name in rows, some are NaN, and some are new.
func randomFields(r *rand.Rand, step int) (fields []engine.Field) {
	all := []string{"f", "g", `f\`, "h\t", `h\t`, "", `\`, "i"}
	for _, i := range r.Perm(len(all)) {
		if r.IntN(3) == 0 {
			fields = append(fields, engine.Field{Name: all[i], Value: pick(r, zero/zero, float64(r.IntN(2000))+0.25, float64(r.IntN(9)))})
		}
	}
	if r.IntN(10) == 0 {
		fields = append(fields, engine.Field{Name: "new" + strconv.Itoa(step), Value: 1.5})
	}
	return fields
}

// For random points in random order, every value is in the row of its own series, field and bucket, or is counted as
// dropped.
func TestEveryValueReachesItsOwnRow(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		e, keep := randomEngine(t, r)
		want, sources := make(model), randomSources(r)
		push := func() {
			for _, row := range e.rows(t) {
				want.check(t, &row)
			}
			checkBudget(t, e)
		}
		for step := range 1500 {
			p := sources[step%len(sources)] // usually in the same order
			if r.IntN(6) == 0 {
				p = pick(r, sources...)
			}
			p.Time = e.clock.at.Add(time.Duration(r.IntN(150)-90) * time.Second).UnixNano()
			p.Fields = randomFields(r, step)
			addCounted(e, &p, keep, want)
			if step%50 == 0 {
				checkBudget(t, e)
			}
			if r.IntN(60) == 0 {
				push()
				e.clock.at = e.clock.at.Add(time.Duration(r.IntN(120)) * time.Second)
			}
		}
		push()
		for row, d := range want {
			require.NotEmpty(t, d.left, "seed %d: %s", seed, row)
		}
		e.wait(t, time.Hour)
		require.Zero(t, e.Counted(), "seed %d", seed)
		_, keys := e.SeriesInTable()
		require.Zero(t, keys, "seed %d", seed)
	}
}

// checkBudget checks that the budget is equal to the memory of the buckets.
func checkBudget(t *testing.T, e tested) {
	t.Helper()
	require.Equal(t, e.Measured(), e.Counted())
}

// addCounted adds a point to the engine, and the values that the engine did not count as dropped to the model. It
// then overwrites the memory of the point, as callers may do.
func addCounted(e tested, p *engine.Point, keep func(string) bool, want model) {
	before := e.Counters()
	e.Add(p)
	after := e.Counters()
	dropped := after.Late + after.ValuesOfDropped - before.Late - before.ValuesOfDropped
	if dropped == 0 {
		for _, f := range p.Fields {
			if f.Value == f.Value {
				want.add(rowOf(p, keep, f.Name), f.Value, p.Time)
			}
		}
	}
	clear(p.Fields)
}

// Points of several series, buckets and fields are mixed. Some fields are missing at first, and Pushes come in
// between. Each row must have the statistics of a summary of its own values.
func TestRowsAreThoseOfSummariesOfTheSameValues(t *testing.T) {
	t.Parallel()
	type place struct {
		host, field string
		minute      int
	}
	names := []string{"count", "p50", "first", "last", "mode", "max"}
	e := newTested(t, time.Minute, func(o *engine.Options) { o.ExactLimit = 40 }, names...)
	r := rand.New(rand.NewPCG(4, 4))
	want, got := make(map[place]*stats.Summary), make(map[place]map[string]any)
	n := 20_000
	if testing.Short() {
		n = 5000
	}
	for i := range n {
		host, minute := strconv.Itoa(r.IntN(3)), r.IntN(4)
		at := start.Add(time.Duration(minute)*time.Minute + time.Duration(r.IntN(60))*time.Second)
		var fields []engine.Field
		for _, f := range r.Perm(8) {
			if r.IntN(3) == 0 || f > 20*i/n {
				continue
			}
			fields = append(fields, engine.Field{Name: "f" + strconv.Itoa(f), Value: r.NormFloat64()})
			p := place{host, fields[len(fields)-1].Name, minute}
			if want[p] == nil {
				s := stats.New(40)
				want[p] = &s
			}
			want[p].AddAt(fields[len(fields)-1].Value, at.UnixNano())
		}
		e.add(host, at, fields...)
		if r.IntN(700) == 0 || i == n-1 {
			for _, row := range e.rows(t) {
				got[place{tag(&row, "host"), row.Field, row.Start.Minute()}] = statistics(&row)
			}
		}
	}
	require.Len(t, got, len(want))
	selection, err := stats.NewSelection(names, stats.Linear)
	require.NoError(t, err)
	for p, s := range want {
		for i, v := range selection.Append(nil, s) {
			name := record.StatName(selection.Statistics()[i])
			if name == "count" {
				require.Equal(t, int64(v), got[p][name], p)
			} else {
				require.Equal(t, v, got[p][name], "%v %s", p, name)
			}
		}
	}
}

// Two series become one if their rows are equal in line protocol.
func TestSeriesWithEqualRowsAreOne(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "count")
	for _, tags := range [][]engine.Tag{{{Key: "count", Value: "a"}}, {{Key: "count_tag", Value: "a"}}, {{Key: "count", Value: `a\`}}, {{Key: `count_tag\`, Value: "a"}, {Key: "x"}}} {
		e.Add(&engine.Point{Measurement: "m", Tags: tags, Fields: fields([]string{"v"}, 1), Time: start.UnixNano()})
	}
	require.Equal(t, int64(4), only(t, e.rows(t))["count"])
	series, keys := e.SeriesInTable()
	require.Equal(t, []int{1, 4}, []int{series, keys})
	e.wait(t, time.Hour)
	_, keys = e.SeriesInTable()
	require.Zero(t, keys)
}

// The engine guesses the series of a point from the order of the last period. A point that differs from the guess in
// one name only belongs to another series.
func TestSeriesThatDifferInOneNameStayApart(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "count")
	points := []engine.Point{
		{Measurement: "m", Tags: []engine.Tag{{Key: "a", Value: "1"}}}, {Measurement: "m", Tags: []engine.Tag{{Key: "b", Value: "1"}}},
		{Measurement: "n", Tags: []engine.Tag{{Key: "a", Value: "1"}}}, {Measurement: "m", Tags: []engine.Tag{{Key: "a", Value: "2"}}},
		{Measurement: "m"}, {Measurement: "m", Tags: []engine.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "1"}}},
	}
	want := make(map[string]int64)
	for i := range points { // every pair of points, so that the guess is sometimes wrong and sometimes right
		for j := range points {
			for _, p := range []engine.Point{points[i], points[j], points[i], points[i]} {
				p.Time, p.Fields = start.UnixNano(), fields([]string{"v"}, 1)
				e.Add(&p)
				want[fmt.Sprint("analytics_", p.Measurement, p.Tags)]++
			}
		}
	}
	got := make(map[string]int64)
	for _, r := range e.rows(t) {
		got[fmt.Sprint(r.Table, r.Tags)] = statistics(&r)["count"].(int64)
	}
	require.Equal(t, want, got)
}

func TestTheOrderOfTagsDoesNotMakeANewSeries(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "count")
	tags := []engine.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}, {Key: "c", Value: "3"}}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		r.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
		e.Add(&engine.Point{Measurement: "m", Tags: tags, Fields: fields([]string{"v"}, 1), Time: start.UnixNano()})
	}
	require.Equal(t, int64(100), only(t, e.rows(t))["count"])
}

func TestKeysOfOneSeriesAreBounded(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.MaxSeries = 1 }, "count")
	for i := range 500 {
		e.values("a"+strings.Repeat(`\`, i), start, 1)
	}
	_, keys := e.SeriesInTable()
	require.LessOrEqual(t, keys, engine.MaxKeys)
	require.Equal(t, int64(500), only(t, e.rows(t))["count"])
}
