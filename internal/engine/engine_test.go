package engine_test

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// start is the start of a bucket of every width that the tests use.
var start = time.Date(2020, 5, 16, 0, 0, 0, 0, time.UTC)

// clock is a wall clock that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// tested is an engine with the clock and the notices of its test.
type tested struct {
	*engine.Engine
	clock   *clock
	notices *[]engine.Notice
}

// newTested returns an engine with buckets of a width and the default options of the plugin, after edit has changed
// them. The clock is years after start.
func newTested(t testing.TB, width time.Duration, edit func(*engine.Options), statistics ...string) tested {
	t.Helper()
	grid, err := bucket.NewGrid(bucket.Fixed(width), time.Time{}, time.UTC)
	require.NoError(t, err)
	selection, err := stats.NewSelection(statistics, stats.Linear)
	require.NoError(t, err)
	e := tested{clock: &clock{at: time.Unix(1_800_000_000, 0)}, notices: new([]engine.Notice)}
	o := engine.Options{
		Grid: grid, Selection: selection, Prefix: "analytics_", Linger: 10 * time.Minute,
		ExactLimit: stats.DefaultExactLimit, MemoryLimit: 1 << 30, Emit: engine.EmitUpdate, Now: e.clock.now,
		Notice: func(n engine.Notice) { *e.notices = append(*e.notices, n) },
	}
	if edit != nil {
		edit(&o)
	}
	e.Engine = engine.New(o)
	return e
}

// add adds a point of the series "cpu" with that host, or without tags if host is "".
func (e tested) add(host string, at time.Time, fields ...engine.Field) {
	p := engine.Point{Measurement: "cpu", Fields: fields, Time: at.UnixNano()}
	if host != "" {
		p.Tags = []engine.Tag{{Key: "host", Value: host}}
	}
	e.Add(&p)
}

// values adds points with a field "v", one a second from the given time on.
func (e tested) values(host string, from time.Time, vs ...float64) {
	for i, v := range vs {
		e.add(host, from.Add(time.Duration(i)*time.Second), engine.Field{Name: "v", Value: v})
	}
}

// wait moves the clock and pushes twice: due buckets become final, and quiet series are retired.
func (e tested) wait(t testing.TB, d time.Duration) {
	t.Helper()
	e.clock.at = e.clock.at.Add(d)
	e.rows(t)
	e.rows(t)
}

// rows returns copies of the rows of a Push.
func (e tested) rows(t testing.TB) []engine.Row {
	t.Helper()
	return collect(t, e.Push)
}

func collect(t testing.TB, push func(func(*engine.Row)) error) (rows []engine.Row) {
	t.Helper()
	require.NoError(t, push(func(r *engine.Row) {
		row := *r
		row.Tags, row.Stats, row.Summary = slices.Clone(r.Tags), slices.Clone(r.Stats), slices.Clone(r.Summary)
		rows = append(rows, row)
	}))
	return rows
}

// only returns the statistics of the only row.
func only(t testing.TB, rows []engine.Row) map[string]any {
	t.Helper()
	require.Len(t, rows, 1)
	return statistics(&rows[0])
}

// statistics returns the statistics of a row by name.
func statistics(r *engine.Row) map[string]any {
	all := make(map[string]any)
	for _, s := range r.Stats {
		all[s.Name] = s.Value
	}
	return all
}

func tag(r *engine.Row, key string) string {
	for _, tag := range r.Tags {
		if tag.Key == key {
			return tag.Value
		}
	}
	return ""
}

// fullSummary encodes all of a summary.
func fullSummary(dst []byte, s *stats.Summary) []byte {
	dst, err := s.AppendBinary(dst)
	if err != nil {
		panic(err)
	}
	return dst
}

// summary decodes the summary of a row.
func summary(t testing.TB, r *engine.Row) *stats.Summary {
	t.Helper()
	s := new(stats.Summary)
	require.NoError(t, s.UnmarshalBinary(r.Summary))
	return s
}

func fields(names []string, values ...float64) (all []engine.Field) {
	for i, name := range names {
		all = append(all, engine.Field{Name: name, Value: values[i]})
	}
	return all
}

func TestARowDescribesOneFieldOfOneBucket(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Minute, nil)
	for i, v := range []float64{3, 1, 2} {
		e.add("a", start.Add(time.Duration(i)*29*time.Second), engine.Field{Name: "v", Value: v})
	}
	rows := e.rows(t)
	require.Len(t, rows, 1)
	r := &rows[0]
	require.Equal(t, []any{"analytics_cpu", "v", []engine.Tag{{Key: "host", Value: "a"}}}, []any{r.Table, r.Field, r.Tags})
	require.Equal(t, []any{start, start.Add(time.Minute), record.Unmarked, []byte(nil)}, []any{r.Start, r.End, r.State, r.Summary})
	require.Equal(t, map[string]any{
		"count": int64(3), "min": 1.0, "max": 3.0, "mean": 2.0, "median": 2.0, "mode": 1.0, "p95": 2.9,
	}, statistics(r))
}

func TestASecondPushWithoutNewValuesEmitsNothing(t *testing.T) {
	t.Parallel()
	for _, emit := range []engine.Emit{engine.EmitBoth, engine.EmitFinal, engine.EmitUpdate} {
		e := newTested(t, time.Hour, func(o *engine.Options) { o.Emit = emit })
		e.values("a", start, 1, 2)
		e.rows(t)
		require.Empty(t, e.rows(t), "emit %d", emit)
		e.values("a", start, 6)
		e.clock.at = e.clock.at.Add(time.Hour)
		e.rows(t)
		require.Empty(t, e.rows(t), "emit %d", emit)
	}
}

func TestALaterRowDescribesAllValuesOfItsBucket(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	e.values("", start, 1, 2)
	require.Equal(t, int64(2), only(t, e.rows(t))["count"])
	e.values("", start.Add(time.Minute), 6)
	got := only(t, e.rows(t))
	require.Equal(t, []any{int64(3), 3.0}, []any{got["count"], got["mean"]})
}

func TestNaNAndInfinitiesAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	nan, inf := zero/zero, 1/zero
	e.add("a", start, fields([]string{"a", "b", "c", "d"}, 1, nan, inf, -inf)...)
	e.add("b", start, fields([]string{"a"}, nan)...)
	rows := e.rows(t)
	require.Len(t, rows, 1)
	require.Equal(t, "a", rows[0].Field)
	require.Equal(t, int64(4), e.Counters().NaN)
	require.Equal(t, int64(1), e.Counters().Series, "a point without a number makes no series")
}

var zero float64

func TestValuesOutsideTheTimesOfTheGridAreCounted(t *testing.T) {
	t.Parallel()
	e := newTested(t, 240*time.Hour, nil)
	e.add("", time.Unix(0, -1<<63), fields([]string{"a", "b", "c"}, 1, 2, zero/zero)...)
	require.Empty(t, e.rows(t))
	require.Equal(t, int64(2), e.Counters().OutOfRange)
}

func TestMaxFutureDropsValuesFurtherAhead(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.MaxFuture = time.Minute })
	e.values("", e.clock.at.Add(time.Minute), 1)
	e.add("", e.clock.at.Add(time.Minute+1), fields([]string{"a", "b"}, 1, 2)...)
	require.Equal(t, int64(1), only(t, e.rows(t))["count"])
	require.Equal(t, int64(2), e.Counters().Future)
}

func TestMaxFutureAcceptsTheOldestValues(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{time.Minute, math.MaxInt64} {
		e := newTested(t, time.Hour, func(o *engine.Options) { o.MaxFuture = limit })
		e.values("", time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), 1)
		require.Equal(t, int64(1), only(t, e.rows(t))["count"])
		require.Zero(t, e.Counters().Future)
	}
}

func TestMaxSeriesDropsNewSeriesUntilOneIsRetired(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.MaxSeries = 2 })
	for _, host := range []string{"a", "b", "c", "a", "c"} {
		e.add(host, start, fields([]string{"x", "y"}, 1, 2)...)
	}
	require.Len(t, e.rows(t), 4)
	require.Equal(t, int64(2), e.Counters().SeriesDropped)
	require.Equal(t, int64(4), e.Counters().ValuesOfDropped)
	e.wait(t, time.Hour)
	e.values("c", start, 1)
	require.Len(t, e.rows(t), 1)
}

func TestCountersShowOpenBuckets(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.ExactLimit = 1 })
	e.values("", start, 1, 2)
	e.values("", start.Add(time.Hour), 1)
	e.add("a", start, fields([]string{"v", "w"}, 1, 2)...)
	e.rows(t)
	c := e.Counters()
	require.Equal(t, []int64{2, 3, 3, 1}, []int64{c.Series, c.Buckets, c.Exact, c.Histograms})
	require.Equal(t, int64(e.Counted().Bytes), c.Memory)
}

func TestPrefixMakesTheNameOfEachTable(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, nil)
	want := make(map[string]bool)
	for i := range 2500 { // more tables than the engine caches names of
		m := "m" + strconv.Itoa(i)
		e.Add(&engine.Point{Measurement: m, Fields: fields([]string{"v"}, 1), Time: start.UnixNano()})
		want["analytics_"+m] = true
	}
	got := make(map[string]bool)
	for _, r := range e.rows(t) {
		got[r.Table] = true
	}
	require.Equal(t, want, got)
}

func TestEachKindOfNoticeIsSentOnce(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) { o.Taken = func(key string) bool { return key == "bucket" } })
	for i := range 3 {
		e.Add(&engine.Point{
			Measurement: "m", Time: start.UnixNano(), Fields: fields([]string{"v"}, 1),
			Tags: []engine.Tag{{Key: "mean", Value: "a"}, {Key: "bucket", Value: "b"}, {Key: "host", Value: strconv.Itoa(i)}},
		})
	}
	renamed := make(map[string]int)
	for _, n := range *e.notices {
		require.Equal(t, engine.TagRenamed, n.Kind)
		renamed[n.Text]++
	}
	require.Equal(t, map[string]int{"mean": 1, "bucket": 1}, renamed)
	tags := e.rows(t)[0].Tags
	require.Equal(t, []engine.Tag{{Key: "bucket_tag", Value: "b"}, {Key: "host", Value: "0"}, {Key: "mean_tag", Value: "a"}}, tags)
}

// However many tags are renamed, a notice of another kind is sent.
func TestManyRenamedTagsHideNoOtherNotice(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Hour, func(o *engine.Options) {
		o.Taken, o.MemoryLimit = func(key string) bool { return strings.HasPrefix(key, "taken") && !strings.HasSuffix(key, "_tag") }, 5000
	})
	p := &engine.Point{Measurement: "m", Time: start.UnixNano(), Fields: fields([]string{"v"}, 1)}
	for i := range 1100 {
		p.Tags = append(p.Tags, engine.Tag{Key: "taken" + strconv.Itoa(i), Value: "a"})
	}
	e.Add(p)
	for i := range 100 {
		e.values(strconv.Itoa(i), start, 1)
	}
	sent := make(map[engine.NoticeKind]int)
	for _, n := range *e.notices {
		sent[n.Kind]++
	}
	require.Equal(t, map[engine.NoticeKind]int{engine.TagRenamed: 1000, engine.MemoryExceeded: 1}, sent, "the number of notices of renamed tags is bounded")
}

func TestKeepSelectsTheTagsOfASeries(t *testing.T) {
	t.Parallel()
	asked := make(map[string]int)
	e := newTested(t, time.Hour, func(o *engine.Options) {
		o.Keep = func(key string) bool {
			asked[key]++
			return key == "host"
		}
	})
	for i := range 10 {
		e.Add(&engine.Point{
			Measurement: "m", Time: start.UnixNano(), Fields: fields([]string{"v"}, 1),
			Tags: []engine.Tag{{Key: "cpu", Value: strconv.Itoa(i)}, {Key: "host", Value: "a"}},
		})
	}
	rows := e.rows(t)
	require.Equal(t, int64(10), only(t, rows)["count"])
	require.Equal(t, []engine.Tag{{Key: "host", Value: "a"}}, rows[0].Tags)
	require.Equal(t, []string{"cpu", "host"}, slices.Sorted(maps.Keys(asked)))
	require.Equal(t, 1, asked["cpu"], "the answer is remembered")
}
