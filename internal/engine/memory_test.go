package engine_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// A bucket that uses the memory of the bucket before has none of that bucket's values.
func TestMemoryIsReusedEmpty(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{20, stats.Unlimited} {
		e := newTested(t, time.Minute, func(o *engine.Options) { o.Linger, o.ExactLimit = 0, limit }, "count", "min", "max", "mode_count", "first")
		for minute := range 30 {
			at, base := start.Add(time.Duration(minute)*time.Minute), float64(1000*minute)
			n := 1 + minute*7%60
			for i := range n {
				e.add("", at.Add(time.Second), fields([]string{"a", "b"}, base+float64(i), base)...)
			}
			rows := e.rows(t)
			require.Len(t, rows, 2)
			require.Equal(t, map[string]any{
				"count": int64(n), "min": base, "max": base + float64(n) - 1, "mode_count": 1.0, "first": base,
			}, statistics(&rows[0]))
			require.Equal(t, map[string]any{"count": int64(n), "min": base, "max": base, "mode_count": float64(n), "first": base}, statistics(&rows[1]))
			checkBudget(t, e)
			e.clock.at = e.clock.at.Add(time.Minute)
		}
	}
}

// The values of a bucket need no new memory if the bucket before had as many values and has become final. Only the
// struct of the bucket is allocated.
func TestTheNextBucketReusesMemory(t *testing.T) {
	e := newTested(t, time.Minute, func(o *engine.Options) { o.Linger = 0 }, "count")
	p := engine.Point{Measurement: "m", Fields: fields([]string{"a", "b", "c"}, 0, 0, 0), Time: start.UnixNano()}
	bucket := func() {
		for i := range 200 {
			for f := range p.Fields {
				p.Fields[f].Value = float64(i) / float64(f+3)
			}
			e.Add(&p)
		}
		require.NoError(t, e.Push(func(*engine.Row) {}))
		p.Time += int64(time.Minute)
		e.clock.at = e.clock.at.Add(time.Minute)
	}
	bucket()
	require.LessOrEqual(t, testing.AllocsPerRun(20, bucket), 5.0)
}

func TestMemoryIsReleasedWhenSeriesGetNoMoreValues(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	const hosts = 500
	for i := range hosts {
		for range 40 {
			e.add(strconv.Itoa(i), start, fields([]string{"a", "b"}, rand.NormFloat64(), rand.NormFloat64())...)
		}
	}
	e.rows(t)
	held := e.Counted().Bytes
	require.Greater(t, held, hosts*2*40*8)
	e.rows(t)
	require.LessOrEqual(t, e.Counted().Bytes, held-hosts*2*8*engine.StageRows, "the rows of buckets that got nothing in a period")
	e.wait(t, time.Hour)
	require.Zero(t, e.Counted())
	series, keys := e.SeriesInTable()
	require.Zero(t, series+keys)
}

// A series refers to the one whose point came next. A retired series refers to none, so that no chain of them stays in memory.
func TestARetiredSeriesRefersToNoOther(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.Linger = 0 })
	e.add("stays", e.clock.at, engine.Field{Name: "v", Value: 1})
	const retired = 50
	for i := range retired {
		e.add(strconv.Itoa(i), start, engine.Field{Name: "v", Value: 1})
	}
	require.Equal(t, retired, e.Followers())
	e.wait(t, 0)
	series, _ := e.SeriesInTable()
	require.Equal(t, 1, series)
	require.Equal(t, 1, e.Followers())
}

// The times of rows that are not in the summaries yet count as memory.
func TestTheTimesOfStagedRowsAreCounted(t *testing.T) {
	t.Parallel()
	held := func(statistic string) int {
		e := newTested(t, time.Hour, nil, statistic)
		for range engine.StageRows {
			e.values("", start, 1)
		}
		return e.Counted().Bytes
	}
	require.Equal(t, held("count")+8*engine.StageRows, held("first"))
}

// Of each four fields, one is constant, one has few distinct values, one has one frequent value, and in one no value
// occurs twice. A few allocations are allowed, far fewer than one for each stage that is added to the summaries.
func TestAddAllocatesNothingInSteadyState(t *testing.T) {
	const series, width, rows = 4, 12, 2 * engine.StageRows // enough rows that all staged rows reach the summaries
	r := rand.New(rand.NewPCG(5, 5))
	for _, limit := range []int{64, 512} {
		e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.ExactLimit = limit })
		points := make([]engine.Point, series)
		for i := range points {
			p := &points[i]
			*p = engine.Point{Measurement: "cpu", Time: start.UnixNano(), Tags: []engine.Tag{{Key: "host", Value: strconv.Itoa(i)}, {Key: "cpu", Value: "cpu0"}}}
			for f := range width {
				p.Fields = append(p.Fields, engine.Field{Name: "f" + strconv.Itoa(f)})
			}
		}
		k := 0
		add := func() {
			for i := range rows * series {
				p := &points[i%series]
				for f := range p.Fields {
					k++
					value := 50 + 30*r.Float64()
					if kind := f % 4; kind == 0 || kind == 2 && k%3 == 0 {
						value = 0
					} else if kind == 1 {
						value = float64(k % 5)
					}
					p.Fields[f].Value = value
				}
				e.Add(p)
			}
		}
		for range 100 {
			add()
		}
		settled := series * rows / engine.StageRows
		require.Less(t, testing.AllocsPerRun(20, add), float64(settled)/2, "limit %d", limit)
	}
}

func TestExactLimitAppliesToEachSummary(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit, n         int
		exact, histogram int64
	}{
		{50, 50, 1, 0}, {50, 51, 0, 1}, {stats.Unlimited, 5000, 1, 0}, {5000, 5000, 1, 0},
	} {
		e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.ExactLimit = test.limit }, "max_error")
		for i := range test.n {
			e.values("", start.Add(time.Duration(i)*time.Second), float64(i)+0.5)
		}
		require.Equal(t, test.histogram == 1, only(t, e.rows(t))["max_error"].(float64) > 0, "%+v", test)
		c := e.Counters()
		require.Equal(t, []int64{test.exact, test.histogram}, []int64{c.Exact, c.Histograms})
	}
}

func TestTheLargestSummariesAreDemotedFirst(t *testing.T) {
	t.Parallel()
	const hosts, limit = 5, 40_000
	r := rand.New(rand.NewPCG(6, 6))
	e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.ExactLimit, o.MemoryLimit = stats.Unlimited, limit }, "max_error")
	for demoted := int64(0); demoted < hosts-1; {
		for host, n := 0, 1; host < hosts; host, n = host+1, 3*n { // each host gets three times as many values as the one before
			for range n {
				e.values(strconv.Itoa(host), start, r.NormFloat64())
			}
		}
		if e.Counters().Demotions == demoted {
			continue
		}
		demoted = e.Counters().Demotions
		require.LessOrEqual(t, e.Counted().Bytes, limit-limit/8)
		checkBudget(t, e)
		for _, row := range e.rows(t) {
			host, err := strconv.Atoi(tag(&row, "host"))
			require.NoError(t, err)
			require.Equal(t, int64(host) >= hosts-demoted, statistics(&row)["max_error"].(float64) > 0, "host %d of %d demoted", host, demoted)
		}
	}
}

// After demoting, an eighth of the limit is free, and not much more.
func TestDemotingFreesAnEighthOfTheLimit(t *testing.T) {
	t.Parallel()
	const hosts, limit = 100, 500_000
	r := rand.New(rand.NewPCG(7, 7))
	e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.ExactLimit, o.MemoryLimit = stats.Unlimited, limit })
	for i := 0; e.Counters().Demotions == 0; i++ {
		e.values(strconv.Itoa(i%hosts), start, r.NormFloat64())
	}
	require.LessOrEqual(t, e.Counted().Bytes, limit-limit/8)
	require.Greater(t, e.Counted().Bytes, limit-limit/8-limit/hosts, "one summary holds less than that")
	require.Len(t, *e.notices, 1)
	require.Equal(t, engine.Notice{Kind: engine.SummariesDemoted, Number: e.Counters().Demotions}, (*e.notices)[0])
}

// A demotion may free much more than an eighth of the limit. The next one still waits until the limit is exceeded, so that no summary is
// demoted without need.
func TestNothingIsDemotedBelowTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 200_000
	r := rand.New(rand.NewPCG(9, 9))
	e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.ExactLimit, o.MemoryLimit = stats.Unlimited, limit })
	add := func(host string, until func() bool) {
		for before := e.Counters().Demotions; !until(); before = e.Counters().Demotions {
			held := e.Counted().Bytes
			e.values(host, start, r.NormFloat64())
			if e.Counters().Demotions > before {
				require.Greater(t, held, limit-limit/20, "a table has grown by an eighth, which has exceeded the limit")
			}
		}
	}
	for host := range 10 { // 64 % of the limit
		add(strconv.Itoa(host), func() bool { return e.Counted().Bytes > (host+1)*limit*64/1000 })
	}
	add("large", func() bool { return e.Counters().Demotions == 1 })
	require.Less(t, e.Counted().Bytes, limit*3/4)
	add("second", func() bool { return e.Counters().Demotions > 1 })
}

// Values that are not staged as rows are counted in the budget when they are added, not only in the next Push.
func TestSparseValuesKeepToTheMemoryLimit(t *testing.T) {
	t.Parallel()
	const width, limit = 30, 180_000
	r := rand.New(rand.NewPCG(8, 8))
	e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.ExactLimit, o.MemoryLimit = stats.Unlimited, limit }, "count")
	for i := range 1000 * width {
		e.add("", start, engine.Field{Name: "f" + strconv.Itoa(i%width), Value: r.NormFloat64()})
		if i%(10*width) == 0 {
			checkBudget(t, e)
			require.LessOrEqual(t, e.Counted().Bytes, limit)
		}
	}
	require.Positive(t, e.Counters().Demotions)
	for _, row := range e.rows(t) {
		require.Equal(t, int64(1000), statistics(&row)["count"])
	}
}

func TestMemoryBeyondTheLimitIsNoticedAndTriedAgainOnlyWithMore(t *testing.T) {
	t.Parallel()
	e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.MemoryLimit = 50_000 })
	for i := range 1000 {
		for range 10 {
			e.values(strconv.Itoa(i), start, rand.NormFloat64())
		}
	}
	require.Greater(t, e.Counted().Bytes, 50_000)
	require.Zero(t, e.Counters().Demotions)
	require.Len(t, *e.notices, 1)
	require.Equal(t, engine.MemoryExceeded, (*e.notices)[0].Kind)
	require.Len(t, e.rows(t), 1000, "no value is lost")
	require.Greater(t, e.NextDemotion(), 50_000)
	e.wait(t, time.Hour)
	require.Equal(t, 50_000, e.NextDemotion(), "the limit itself counts again once it is kept")
}
