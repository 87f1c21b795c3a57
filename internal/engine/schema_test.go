package engine_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
)

func TestSeriesWithTheSameFieldsShareASchema(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 500 {
		var all []engine.Field
		for _, f := range r.Perm(30) { // as of a map, of which most inputs make their points
			all = append(all, engine.Field{Name: "field" + strconv.Itoa(f), Value: float64(f)})
		}
		e.add(strconv.Itoa(i), start, all...)
	}
	require.Equal(t, 1, e.Schemas())
	for _, row := range e.rows(t) {
		require.Equal(t, "field"+strconv.Itoa(int(statistics(&row)["mean"].(float64))), row.Field)
	}
}

// Two schemas that extend the same schema begin with the same fields. The fields that follow are in separate memory.
func TestSchemasThatExtendTheSameSchemaStaySeparate(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "sum")
	const hosts = 20
	common := []string{"f0", "f1", "f2"} // the memory behind these has room for a fourth
	want := make(map[string]float64)
	add := func(host int, names []string, values ...float64) {
		e.add(strconv.Itoa(host), start, fields(names, values...)...)
		for i, name := range names {
			want[fmt.Sprint(host, name)] += values[i]
		}
	}
	for host := range hosts {
		for _, name := range common {
			add(host, []string{name}, 1)
		}
		add(host, []string{"own" + strconv.Itoa(host)}, float64(host+1))
	}
	for host := range hosts { // as many fields as the series has, but one of them belongs to another series
		add(host, append(common, "own"+strconv.Itoa(hosts-1)), 1, 1, 1, 100)
	}
	got := make(map[string]float64)
	for _, row := range e.rows(t) {
		got[tag(&row, "host")+row.Field] = statistics(&row)["sum"].(float64)
	}
	require.Equal(t, want, got)
}

// A series may get its fields one by one. Each new field takes memory and time for itself, not for all fields before it.
func TestFieldsThatAppearOneByOneTakeLittleMemory(t *testing.T) {
	e := newTested(t, time.Hour, nil, "count")
	const width = 1500
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for f := range width {
		e.add("", start, engine.Field{Name: "f" + strconv.Itoa(f), Value: 1})
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/width, uint64(4000), "bytes for each field")
	require.Len(t, e.rows(t), width)
}

func TestSchemasWithoutASeriesAreReleased(t *testing.T) {
	t.Parallel()
	for _, used := range []int{0, 30} { // series that stay
		e := newTested(t, time.Minute, func(o *engine.Options) { o.Linger = 0 })
		most := 0
		for i := range 400 {
			at := start.Add(time.Duration(i) * time.Minute)
			for host := range used {
				e.add(strconv.Itoa(host), at, engine.Field{Name: "own" + strconv.Itoa(host), Value: 1})
			}
			e.add("", at, engine.Field{Name: "f" + strconv.Itoa(i), Value: 1})
			e.rows(t)
			most = max(most, e.Schemas())
			e.clock.at = e.clock.at.Add(time.Minute)
		}
		require.LessOrEqual(t, most, 2*(used+1)+engine.FewSchemas, "%d are in use", used)
	}
}

func TestFieldsMayAppearLateAndDisappear(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "count")
	want := make(map[string]any)
	for i := range 200 {
		var all []engine.Field
		for f := range 40 {
			if name := fmt.Sprintf("f%02d", f); (i+f)%7 != 0 && f <= i {
				all = append(all, engine.Field{Name: name, Value: float64(i)})
				n, _ := want[name].(int64)
				want[name] = n + 1
			}
		}
		e.add("", start, all...)
	}
	got := make(map[string]any)
	for _, row := range e.rows(t) {
		got[row.Field] = statistics(&row)["count"]
	}
	require.Equal(t, want, got)
}

func TestASeriesDropsFieldsThatNoLongerGetValues(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Minute, nil)
	for minute := range 20 {
		at := start.Add(time.Duration(minute) * time.Minute)
		for f := range 100 {
			e.add("", at, engine.Field{Name: fmt.Sprintf("f%d", minute*100+f), Value: 1}, engine.Field{Name: "always", Value: float64(minute)})
		}
		require.Len(t, e.rows(t), 101)
		require.Equal(t, int64(101), e.Counters().Exact-101*(e.Counters().Buckets-1), "each bucket has its own fields only")
		e.clock.at = e.clock.at.Add(time.Duration(7+minute%2) * time.Minute)
		require.Empty(t, e.rows(t))
		require.LessOrEqual(t, e.Positions(), 320)
		checkBudget(t, e)
	}
	e.values("", start.Add(20*time.Minute), 1)
	require.Equal(t, "v", e.rows(t)[0].Field)
}

func TestFieldsWithTheSameNameInRowsAreOne(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "count")
	e.Add(&engine.Point{
		Measurement: "m\n", Tags: []engine.Tag{{Key: "t\n", Value: "x\ny"}}, Time: start.UnixNano(),
		Fields: fields([]string{"a", `a\`, "", `\`, "b\n", "c\xff"}, 1, 2, 3, 4, 5, 6),
	})
	e.Add(&engine.Point{
		Measurement: `m\n`, Tags: []engine.Tag{{Key: `t\n`, Value: `x\ny`}}, Time: start.UnixNano(),
		Fields: fields([]string{"a", "_", `b\n`, "c\xfe"}, 1, 3, 5, 6),
	})
	counts := make(map[string]any)
	for _, row := range e.rows(t) {
		require.Equal(t, `analytics_m\n`, row.Table)
		require.Equal(t, []engine.Tag{{Key: `t\n`, Value: `x\ny`}}, row.Tags)
		counts[row.Field] = statistics(&row)["count"]
	}
	require.Equal(t, map[string]any{"a": int64(3), "_": int64(3), `b\n`: int64(2), "c\ufffd": int64(2)}, counts)
}

// Several fields of one point have the same name in rows. Their values are values of one field, in the order of the
// point.
func TestFieldsOfOnePointWithTheSameNameInRowsAreValuesOfOneField(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Minute, func(o *engine.Options) { o.Linger = 0 }, "count", "sum", "first", "last")
	alike := fields([]string{"z", `z\`, `z\\`}, 1, 2, 3)
	e.add("a", start, alike...)
	require.Equal(t, map[string]any{"count": int64(3), "sum": 6.0, "first": 1.0, "last": 3.0}, only(t, e.rows(t)))
	e.add("a", start, alike...)
	require.Equal(t, int64(3), e.Counters().Late)
	e.add("b", start.Add(time.Hour), engine.Field{Name: "x", Value: 1})
	require.Equal(t, 1.0, only(t, e.rows(t))["sum"], "nothing is left over from the late point")
}

// The point has as many fields as its series, but two of its fields have the same name in rows.
func TestFieldsWithTheSameNameInRowsDoNotReplaceOthers(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil, "sum")
	e.add("", start, fields([]string{"f", `f\`, "g"}, 1, 2, 100)...)
	e.add("", start, fields([]string{"f", `f\`}, 4, 8)...)
	got := make(map[string]any)
	for _, r := range e.rows(t) {
		got[r.Field] = statistics(&r)["sum"]
	}
	require.Equal(t, map[string]any{"f": 15.0, "g": 100.0}, got)
}

// While many schemas are in use, new ones stay shared.
func TestSchemasInUseDoNotEndTheSharingOfNewOnes(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	add := func(host, field int) {
		e.add(strconv.Itoa(host), start, engine.Field{Name: "f" + strconv.Itoa(field), Value: 1})
	}
	for i := range 200 {
		add(i, i)
	}
	e.rows(t)
	for i := 200; i < 300; i++ {
		add(i, i)
	}
	e.rows(t)
	add(300, 299)
	require.Equal(t, 100, e.Schemas())
}

// A series that gets one field a point takes time and memory for these only.
func TestSparsePointsOfAWideSeries(t *testing.T) {
	t.Parallel()
	const width = 1000
	e := newTested(t, 24*time.Hour, nil, "count", "sum", "last")
	for round := range 3 {
		for i := range width {
			e.add("", start.Add(time.Duration(round)*time.Second), engine.Field{Name: "f" + strconv.Itoa(i), Value: float64(i + round)})
		}
	}
	require.Less(t, e.Counted().Bytes, 250*width, "a stage of rows would hold another 128 bytes a field")
	checkBudget(t, e)
	rows := e.rows(t)
	require.Len(t, rows, width)
	require.Equal(t, int64(width), e.Counters().Exact)
	for _, row := range rows {
		i, err := strconv.Atoi(row.Field[1:])
		require.NoError(t, err)
		require.Equal(t, map[string]any{"count": int64(3), "sum": float64(3*i + 3), "last": float64(i + 2)}, statistics(&row))
	}
	require.LessOrEqual(t, e.Schemas(), engine.FewSchemas, "the schemas on the way are let go")
}
