package engine_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestABucketIsFinalAfterLingerAndLateValuesAreCounted(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	e.values("", start, 1, 2)
	require.Len(t, e.rows(t), 1)
	e.clock.at = e.clock.at.Add(9 * time.Minute)
	e.values("", start.Add(time.Minute), 3)
	require.Equal(t, int64(3), only(t, e.rows(t))["count"], "open until linger has passed without a value")
	e.clock.at = e.clock.at.Add(10 * time.Minute)
	require.Empty(t, e.rows(t))
	require.Empty(t, e.rows(t))
	require.Zero(t, e.Counters().Series, "the series is retired")

	e.values("", start.Add(2*time.Minute), 4, 5)
	e.values("", start.Add(-time.Hour), 7)
	require.Equal(t, start.Add(-time.Hour), e.rows(t)[0].Start, "a bucket that was never open is not final")
	require.Equal(t, int64(2), e.Counters().Late)
}

func TestABucketIsOpenUntilItsEnd(t *testing.T) {
	t.Parallel()
	e := newTested(t, 24*time.Hour, func(o *engine.Options) { o.Linger, o.Emit = 0, engine.EmitFinal })
	e.clock.at = start.Add(time.Hour)
	e.values("", start, 1)
	for range 22 {
		e.clock.at = e.clock.at.Add(time.Hour)
		e.values("", e.clock.at, 2)
		require.Empty(t, e.rows(t))
	}
	e.clock.at = start.Add(24*time.Hour - 1)
	require.Empty(t, e.rows(t))
	e.clock.at = start.Add(24 * time.Hour)
	require.Equal(t, int64(23), only(t, e.rows(t))["count"])
}

// Otherwise a device whose clock is ahead would hold memory until the other clocks reach that time.
func TestABucketAheadOfTheClockIsFinalAfterLinger(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit = engine.EmitFinal })
	e.clock.at = start
	e.values("", start, 1)
	e.values("", start.Add(time.Hour), 2)
	e.values("", start.AddDate(5, 0, 0), 3)
	require.Empty(t, e.rows(t))
	e.clock.at = start.Add(10*time.Minute - 1)
	require.Empty(t, e.rows(t))
	e.clock.at = start.Add(10 * time.Minute)
	rows := e.rows(t)
	require.Len(t, rows, 2)
	require.Equal(t, []time.Time{start.Add(time.Hour), start.AddDate(5, 0, 0)}, []time.Time{rows[0].Start, rows[1].Start})
	e.values("", start.AddDate(5, 0, 0), 4)
	require.Equal(t, int64(1), e.Counters().Late)
}

func TestAFinalBucketStaysFinal(t *testing.T) {
	t.Parallel()
	e := newTested(t, 24*time.Hour, nil)
	e.values("", start, 1, 2, 3)
	e.rows(t)
	e.wait(t, time.Hour)
	for range 100 {
		e.clock.at = e.clock.at.AddDate(0, 0, 30)
		e.values("", start, 9)
		require.Empty(t, e.rows(t))
	}
	require.Equal(t, int64(100), e.Counters().Late)
}

// The test compares the rows of one bucket over its whole life, for each choice of Emit.
func TestEmitSelectsTheRows(t *testing.T) {
	t.Parallel()
	type left struct {
		count int64
		state record.State
	}
	for emit, want := range map[engine.Emit][][]left{
		engine.EmitBoth:   {{{2, record.Open}}, nil, {{3, record.Open}}, {{3, record.Final}}, nil},
		engine.EmitFinal:  {nil, nil, nil, {{3, record.Unmarked}}, nil},
		engine.EmitUpdate: {{{2, record.Unmarked}}, nil, {{3, record.Unmarked}}, nil, nil},
	} {
		e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit = emit })
		for step, want := range want {
			switch step {
			case 0:
				e.values("", start, 1, 2)
			case 2:
				e.values("", start, 3)
			case 3:
				e.clock.at = e.clock.at.Add(10 * time.Minute)
			}
			var got []left
			for _, r := range e.rows(t) {
				got = append(got, left{statistics(&r)["count"].(int64), r.State})
			}
			require.Equal(t, want, got, "emit %d, step %d", emit, step)
		}
	}
}

// A bucket that becomes final in the first Push after its values is emitted once.
func TestABucketThatIsFinalAtOnceIsEmittedOnce(t *testing.T) {
	t.Parallel()
	for emit, state := range map[engine.Emit]record.State{engine.EmitBoth: record.Final, engine.EmitFinal: record.Unmarked, engine.EmitUpdate: record.Unmarked} {
		e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit, o.Linger = emit, 0 })
		e.values("", start, 1)
		rows := e.rows(t)
		require.Equal(t, int64(1), only(t, rows)["count"])
		require.Equal(t, state, rows[0].State, "emit %d", emit)
	}
}

func TestFinishMakesEveryBucketFinal(t *testing.T) {
	t.Parallel()
	for emit, want := range map[engine.Emit]int{engine.EmitBoth: 3, engine.EmitFinal: 3, engine.EmitUpdate: 1} {
		e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit = emit })
		e.values("a", start, 1)
		e.values("a", e.clock.at, 1)
		e.rows(t)
		e.values("b", e.clock.at, 1)
		rows := collect(t, e.Finish)
		require.Len(t, rows, want, "emit %d", emit)
		for _, r := range rows {
			require.Equal(t, emit == engine.EmitBoth, r.State == record.Final)
		}
		require.Empty(t, collect(t, e.Finish))
		require.Zero(t, e.Counted())
		e.values("a", e.clock.at, 1)
		require.Equal(t, int64(1), e.Counters().Late)
	}
}

// Each row of thousands of buckets of one series has the values of its own bucket, and all buckets become final in
// one Push.
func TestThousandsOfBucketsOfOneSeriesMayBeOpen(t *testing.T) {
	t.Parallel()
	const buckets = 5000
	e := newTested(t, time.Minute, func(o *engine.Options) { o.Emit = engine.EmitBoth }, "count", "sum")
	r := rand.New(rand.NewPCG(9, 9))
	for round := range 2 {
		for _, i := range r.Perm(buckets) {
			e.values("", start.Add(time.Duration(i)*time.Minute), float64(i))
		}
		rows := e.rows(t)
		require.Len(t, rows, buckets)
		for i, row := range rows {
			s := statistics(&row)
			want := [4]any{start.Add(time.Duration(i) * time.Minute), int64(round + 1), float64((round + 1) * i), 2}
			if got := [4]any{row.Start, s["count"], s["sum"], len(s)}; got != want { // the rows ascend by start
				require.Equal(t, want, got)
			}
		}
	}
	require.Equal(t, int64(buckets), e.Counters().Buckets)
	checkBudget(t, e)
	e.clock.at = e.clock.at.Add(time.Hour)
	require.Len(t, e.rows(t), buckets)
	e.rows(t)
	require.Zero(t, e.Counted())
	e.values("", start.Add(buckets/2*time.Minute), 1)
	require.Equal(t, int64(1), e.Counters().Late)
}

// A Push emits each row once, even if there are more rows than it collects at a time.
func TestAPushOfManyRowsEmitsEachOnce(t *testing.T) {
	t.Parallel()
	const hosts, width = 1500, 12
	e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit, o.Encode = engine.EmitBoth, fullSummary }, "sum")
	var names []string
	for f := range width {
		names = append(names, "f"+strconv.Itoa(f))
	}
	values := make([]float64, width)
	for host := range hosts {
		for f := range values {
			values[f] = float64(host*width + f)
		}
		e.add(strconv.Itoa(host), start, fields(names, values...)...)
	}
	for _, state := range []record.State{record.Open, record.Final} {
		seen := make(map[float64]bool)
		require.NoError(t, e.Push(func(r *engine.Row) {
			sum := statistics(r)["sum"].(float64)
			host, f := int(sum)/width, int(sum)%width
			want := [4]any{strconv.Itoa(host), names[f], state, sum}
			if got := [4]any{tag(r, "host"), r.Field, r.State, summary(t, r).Sum()}; got != want || seen[sum] {
				require.False(t, seen[sum])
				require.Equal(t, want, got)
			}
			seen[sum] = true
		}))
		require.Len(t, seen, hosts*width)
		e.clock.at = e.clock.at.Add(time.Hour)
	}
}

func TestTheOldestOfManyRetiredSeriesAreForgotten(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	e.SetQuietLimit(10)
	add := func(i int) { e.values(strconv.Itoa(i), start, 1) }
	for i := range 50 {
		add(i)
		e.rows(t)
		e.wait(t, time.Hour)
	}
	series, retirements := e.Quiet()
	require.Equal(t, 10, series)
	require.Less(t, retirements, 50)
	require.Equal(t, int64(40), e.Counters().Forgotten)
	require.Equal(t, []engine.Notice{{Kind: engine.SeriesForgotten}}, *e.notices)
	require.Positive(t, e.Counters().Memory)

	add(49)
	add(41)
	require.Equal(t, int64(2), e.Counters().Late, "the newest are remembered")
	add(0)
	require.Len(t, e.rows(t), 1, "of the oldest it is forgotten that the bucket was final")
	e.wait(t, time.Hour)
	series, _ = e.Quiet()
	require.Equal(t, 10, series)
}

// A series that is retired many times is remembered once.
func TestRetirementsOfOneSeriesAreBounded(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	for i := range 200 {
		e.values("", start.Add(time.Duration(i)*time.Hour), 1)
		e.rows(t)
		e.wait(t, time.Hour)
	}
	series, retirements := e.Quiet()
	require.Equal(t, 1, series)
	require.LessOrEqual(t, retirements, 20)
	for i := range 200 {
		e.values("", start.Add(time.Duration(i)*time.Hour), 1)
	}
	require.Equal(t, int64(200), e.Counters().Late)
}

// Some goroutines add points while others push. No value is lost, and each row of a bucket has at least the values of
// the row before.
func TestAddAndPushMayRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	const adders, points, hosts = 4, 3000, 150 // more hosts than a Push processes while it holds the lock
	e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit, o.MemoryLimit = engine.EmitBoth, 500_000 }, "count", "sum")
	var mu sync.Mutex
	counts := make(map[string]int64)
	push := func() {
		err := e.Push(func(r *engine.Row) {
			mu.Lock()
			defer mu.Unlock()
			key, s := tag(r, "host")+r.Field, statistics(r)
			if n := s["count"].(int64); n < counts[key] || s["sum"] != float64(n) {
				t.Errorf("%s: %d values with the sum %v after a row of %d", key, n, s["sum"], counts[key])
			}
			counts[key] = s["count"].(int64)
		})
		if err != nil {
			t.Error(err)
		}
	}
	var adding, pushing sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		pushing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					push()
					_ = e.Counters()
				}
			}
		})
	}
	for a := range adders {
		adding.Go(func() {
			for i := range points {
				e.add(strconv.Itoa((a*points+i)%hosts), start, engine.Field{Name: "v", Value: 1}, engine.Field{Name: "w" + strconv.Itoa(i%40), Value: 1})
			}
		})
	}
	adding.Wait()
	close(done)
	pushing.Wait()
	push()
	var sum int64
	for _, n := range counts {
		sum += n
	}
	require.Equal(t, int64(2*adders*points), sum)
	require.Equal(t, e.Measured(), e.Counted())
}

// The memory of the spans of a series is bounded: the two oldest of more than 1,000 become one. Then nobody knows any more
// which buckets between them were final, and a row of a late value alone would replace the right one.
func TestBucketsBetweenTheOldestFinalOnesAreLate(t *testing.T) {
	t.Parallel()
	const n = 1010
	at := func(i int) time.Time { return start.Add(time.Duration(i) * 2 * time.Hour) }
	e := newTested(t, time.Hour, func(o *engine.Options) { o.Linger, o.Emit = 0, engine.EmitFinal })
	e.clock.at = at(n)
	for i := range n {
		e.values("a", at(i), 1)
	}
	e.rows(t)
	require.Empty(t, e.rows(t))
	check := func(e tested) {
		before := e.Counters().Late
		for i := range 9 { // in the gaps that were closed
			e.values("a", at(i).Add(time.Hour), 2)
		}
		require.Empty(t, e.rows(t), "they never open again")
		require.Equal(t, before+9, e.Counters().Late)
		e.values("a", at(n-2).Add(time.Hour), 2)
		require.Equal(t, int64(1), only(t, e.rows(t))["count"], "a gap that was not closed")
	}
	restarted := newTested(t, time.Hour, func(o *engine.Options) { o.Linger, o.Emit = 0, engine.EmitFinal })
	restarted.clock.at = e.clock.at
	e.Save(func(engine.Bucket) {}, restarted.AddFinal)
	check(e)
	check(restarted)
}
