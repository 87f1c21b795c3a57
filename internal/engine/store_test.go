package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// logged is one entry of a recorder's log.
type logged struct {
	kind   string // the name of the method
	handle uint64
	bucket engine.Bucket
	fields []string
	rows   []float64
	times  []int64
}

// recorder is a Store that keeps its log in memory, and the buckets that result from the committed log.
type recorder struct {
	t         testing.TB
	limit     int // exact limit of the summaries
	log       []logged
	committed int // how many entries of the log are durable
	commits   int
	old       int // every old-th call of Old returns true; 0 means none
	asked     int
	handles   uint64
	final     map[finalKey]engine.Bucket
	schemas   map[uint64][]string
	open      map[uint64]map[string]*stats.Summary // as committed
	newest    map[finalKey]uint64                  // the newest handle of each bucket, as committed
	findErr   error
	commitErr error
}

type finalKey struct {
	series string
	start  int64
}

func newRecorder(t testing.TB, limit int) *recorder {
	return &recorder{
		t: t, limit: limit, final: make(map[finalKey]engine.Bucket), schemas: make(map[uint64][]string),
		open: make(map[uint64]map[string]*stats.Summary), newest: make(map[finalKey]uint64),
	}
}

// clone returns a copy of the bucket that shares no memory with b.
func clone(b engine.Bucket) engine.Bucket {
	b.Fields, b.Summaries = slices.Clone(b.Fields), slices.Clone(b.Summaries)
	for i := range b.Summaries {
		b.Summaries[i] = *b.Summaries[i].Clone()
	}
	return b
}

func (r *recorder) Open(b engine.Bucket) uint64 {
	r.handles++
	r.log = append(r.log, logged{kind: "open", handle: r.handles, bucket: clone(b)})
	return r.handles
}

func (r *recorder) Rows(handle, schema uint64, fields []string, rows []float64, times []int64) {
	if schema != 0 {
		if known, ok := r.schemas[schema]; ok {
			require.Equal(r.t, known, fields, "one schema always means the same fields")
		}
		r.schemas[schema] = slices.Clone(fields)
	}
	require.Zero(r.t, len(rows)%len(fields))
	require.True(r.t, times == nil || len(times) == len(rows)/len(fields))
	r.log = append(r.log, logged{
		kind: "rows", handle: handle, fields: slices.Clone(fields), rows: slices.Clone(rows), times: slices.Clone(times),
	})
}

func (r *recorder) Demoted(handle uint64, field string) {
	r.log = append(r.log, logged{kind: "demoted", handle: handle, fields: []string{field}})
}

func (r *recorder) Old(uint64) bool {
	r.asked++
	return r.old > 0 && r.asked%r.old == 0
}

func (r *recorder) Snapshot(handle uint64, b engine.Bucket) {
	r.log = append(r.log, logged{kind: "open", handle: handle, bucket: clone(b)})
}

func (r *recorder) Final(handle uint64, b engine.Bucket) {
	b = clone(b)
	r.log = append(r.log, logged{kind: "final", handle: handle, bucket: b})
	r.final[finalKey{b.Series, b.Start}] = b
}

func (r *recorder) Lent(handle uint64, fields []string) {
	r.log = append(r.log, logged{kind: "lent", handle: handle, fields: fields})
}

func (r *recorder) Drop(handle uint64) {
	r.log = append(r.log, logged{kind: "dropped", handle: handle})
}

// Borrow finds nothing.
func (r *recorder) Borrow(string, int64, int64, []string) (engine.Bucket, []string, bool) {
	return engine.Bucket{}, nil, false
}

// GiveBack does nothing.
func (r *recorder) GiveBack() {}

// Shared returns false.
func (r *recorder) Shared(string, int64, int64) bool { return false }

func (r *recorder) Find(series string, start, _ int64, fields []string, from int64) (engine.Bucket, bool, error) {
	b, ok := r.final[finalKey{series, start}]
	if b.Revision < from {
		b = b.Without(func(field string) bool { return slices.Contains(fields, field) })
	}
	return clone(b), ok, r.findErr
}

// Commit applies the log to the recorder's own summaries.
func (r *recorder) Commit() error {
	r.commits++
	if r.commitErr != nil {
		return r.commitErr
	}
	for _, l := range r.log[r.committed:] {
		switch l.kind {
		case "open":
			r.open[l.handle] = make(map[string]*stats.Summary)
			for i := range l.bucket.Summaries {
				r.open[l.handle][l.bucket.Fields[i]] = l.bucket.Summaries[i].Clone()
			}
			key := finalKey{l.bucket.Series, l.bucket.Start} // the bucket may have been open before
			r.newest[key] = max(r.newest[key], l.handle)
		case "rows":
			r.apply(l)
		case "demoted":
			r.open[l.handle][l.fields[0]].Demote()
		}
	}
	r.committed = len(r.log)
	return nil
}

func (r *recorder) apply(l logged) {
	for f, name := range l.fields {
		s := r.open[l.handle][name]
		if s == nil {
			fresh := stats.New(r.limit)
			s = &fresh
			r.open[l.handle][name] = s
		}
		var column []float64
		for i := f; i < len(l.rows); i += len(l.fields) {
			column = append(column, l.rows[i])
		}
		s.AddAll(column, l.times)
	}
}

// committedSummary returns the summary of a row's field according to the committed log.
func (r *recorder) committedSummary(row *engine.Row) *stats.Summary {
	s := series.Series{Measurement: row.Table[len("analytics_"):], Tags: row.Tags}
	handle := r.newest[finalKey{string(s.AppendKey(nil)), row.Start.UnixNano()}]
	return r.open[handle][row.Field]
}

// reopened returns a recorder with the committed state of this one and an empty log, like a store in the next run.
func (r *recorder) reopened() *recorder {
	next := newRecorder(r.t, r.limit)
	next.handles, next.open, next.newest = r.handles, r.open, r.newest
	for key, b := range r.final {
		next.final[key] = clone(b)
	}
	return next
}

// replay gives the engine the open buckets that the engine of this recorder had at the last commit.
func (r *recorder) replay(e *engine.Engine) {
	replay := e.BeginReplay()
	for _, l := range r.log[:r.committed] {
		switch l.kind {
		case "open":
			require.NoError(r.t, replay.Open(l.handle, clone(l.bucket)))
		case "rows":
			n := len(l.rows) / len(l.fields)
			columns := make([]float64, len(l.rows))
			for i, v := range l.rows {
				columns[i%len(l.fields)*n+i/len(l.fields)] = v
			}
			replay.Rows(l.handle, l.fields, columns, l.times, []int{n}, 0)
		case "demoted":
			replay.Demoted(l.handle, l.fields[0])
		case "final":
			b, ok := replay.Final(l.handle)
			require.True(r.t, ok)
			requireEqual(r.t, l.bucket, b)
		}
	}
	replay.End(time.Time{})
}

// requireEqual checks that two buckets are equal, their summaries to the last bit. The order of the fields may
// differ.
func requireEqual(t testing.TB, want, got engine.Bucket) {
	t.Helper()
	require.Equal(t, []any{want.Series, want.Start, want.End, want.Revision}, []any{got.Series, got.Start, got.End, got.Revision})
	require.Equal(t, encodedFields(want), encodedFields(got))
}

func encodedFields(b engine.Bucket) map[string]string {
	all := make(map[string]string)
	for i := range b.Summaries {
		if s := &b.Summaries[i]; s.Count() > 0 {
			all[b.Fields[i]] = string(fullSummary(nil, s))
		}
	}
	return all
}

// withStore returns an engine with a store. Its rows contain the whole summaries.
func withStore(t testing.TB, store engine.Store, limit, memory int) tested {
	t.Helper()
	return newTested(t, time.Minute, func(o *engine.Options) {
		o.Store, o.Emit, o.Linger, o.Encode = store, engine.EmitBoth, lingering, fullSummary
		o.ExactLimit, o.MemoryLimit = limit, memory
	}, "count", "sum", "first", "last", "stddev", "mode")
}

// content returns the statistics and summaries of rows, by the identity of the row.
func content(rows []engine.Row) map[string]string {
	all := make(map[string]string)
	for i := range rows {
		r := &rows[i]
		all[identity(r.Table, r.Tags, r.Field, r.Start)] = fmt.Sprint(r.State, r.HasRevision, r.Revision, r.Stats, string(r.Summary))
	}
	return all
}

// finalRows returns the content of the final rows of all buckets.
func finalRows(t testing.TB, e tested) map[string]string {
	t.Helper()
	return content(finals(t, e))
}

// finals returns the final rows of all buckets.
func finals(t testing.TB, e tested) (final []engine.Row) {
	t.Helper()
	for range 2 { // a bucket that has a new value at the first Push becomes final at the second
		e.clock.at = e.clock.at.Add(time.Hour)
		for _, r := range e.rows(t) {
			if r.State == record.Final {
				final = append(final, r)
			}
		}
	}
	return final
}

// randomPoint returns a point of one of some series, with a time near the clock, and with many fields or one.
func randomPoint(r *rand.Rand, hosts int, now time.Time) *engine.Point {
	p := &engine.Point{
		Measurement: "cpu", Time: now.Add(time.Duration(r.IntN(400)-300) * time.Second).UnixNano(),
		Tags: []engine.Tag{{Key: "host", Value: strconv.Itoa(r.IntN(hosts))}},
	}
	for _, f := range r.Perm(12)[:pick(r, 1, 1, 10, 12)] {
		p.Fields = append(p.Fields, engine.Field{Name: "f" + strconv.Itoa(f), Value: pick(r, float64(r.IntN(5)), r.NormFloat64(), zero/zero)})
	}
	if r.IntN(20) == 0 {
		p.Fields = append(p.Fields, engine.Field{Name: `f1\`, Value: 7}) // has the same name in rows as f1
	}
	return p
}

// When a row is emitted, its summary was committed before, equal to the last bit.
func TestEveryRowIsCommittedBeforeItIsEmitted(t *testing.T) {
	t.Parallel()
	points := 4000
	if testing.Short() {
		points = 2000
	}
	for seed := range seeds(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		limit := pick(r, 20, stats.Unlimited)
		store := newRecorder(t, limit)
		store.old = 7
		e := withStore(t, store, limit, pick(r, 60_000, 1<<30))
		e.clock.at = start
		rows := 0
		for range points {
			e.Add(randomPoint(r, 5, e.clock.at))
			if r.IntN(80) == 0 {
				require.NoError(t, e.Push(func(row *engine.Row) {
					rows++
					want := store.committedSummary(row)
					require.NotNil(t, want)
					if encoded := fullSummary(nil, want); !bytes.Equal(encoded, row.Summary) {
						require.Equal(t, encoded, row.Summary)
					}
				}))
				e.clock.at = e.clock.at.Add(time.Duration(r.IntN(100)) * time.Second)
				checkBudget(t, e)
			}
		}
		require.Positive(t, rows)
		require.Positive(t, e.Counters().Revised, "late values open final buckets again")
	}
}

// An engine that replays the log of another one emits the same rows from then on, equal to the last bit. After new values, this holds for exact
// summaries only: the new engine has stages with less room at first, so it adds the values in other blocks, on which the sums and
// the mode of a histogram depend.
func TestAnEngineAfterAReplayEmitsTheSameRows(t *testing.T) {
	t.Parallel()
	streams := []uint64{1, 7, 11, 23, 27} // with them, the mode of a few histograms depends on the blocks, also with -short
	var demotions, revised, exact, histograms int
	for seed := range seeds(15) {
		r := rand.New(rand.NewPCG(seed, streams[seed%5]))
		limit, memory, hosts, period := pick(r, 20, stats.Unlimited), 1<<30, 5, 100
		switch seed % 3 {
		case 0: // summaries of many values
			limit, memory, hosts, period = stats.Unlimited, 100_000, 1, 3
		case 1: // histograms
			limit, hosts, period = 20, 1, 3
		}
		store := newRecorder(t, limit)
		store.old = pick(r, 0, 5)
		e := withStore(t, store, limit, memory)
		e.clock.at = start
		for range 4000 {
			e.Add(randomPoint(r, hosts, e.clock.at))
			if r.IntN(80) == 0 {
				e.rows(t)
				e.clock.at = e.clock.at.Add(time.Duration(r.IntN(period)) * time.Second)
			}
		}
		e.rows(t)
		demotions, revised = demotions+int(e.Counters().Demotions), revised+int(e.Counters().Revised)

		again := withStore(t, store.reopened(), limit, memory)
		again.clock.at = e.clock.at
		store.replay(again.Engine)
		require.Equal(t, again.Measured(), again.Counted())
		if memory == 1<<30 && r.IntN(4) > 0 { // with a small limit, the two engines would not always demote at the same value
			for range 200 {
				p := randomPoint(r, hosts, e.clock.at)
				e.Add(p)
				again.Add(p)
			}
			want := finals(t, e)
			n := requireNear(t, want, finals(t, again))
			histograms, exact = histograms+n, exact+len(want)-n
			continue
		}
		want := finalRows(t, e)
		require.NotEmpty(t, want)
		require.Equal(t, want, finalRows(t, again), "seed %d", seed)
	}
	require.Positive(t, demotions)
	require.Positive(t, revised)
	require.Positive(t, exact)
	require.Positive(t, histograms)
}

// requireNear checks that rows with exact summaries are equal to the last bit, and others but for the blocks of their values: see
// requireNearHistogram. It returns how many the latter are.
func requireNear(t *testing.T, want, got []engine.Row) (histograms int) {
	t.Helper()
	exact := func(rows []engine.Row) (some []engine.Row) {
		for i := range rows {
			if summary(t, &rows[i]).Exact() {
				some = append(some, rows[i])
			}
		}
		return some
	}
	require.NotEmpty(t, want)
	require.Equal(t, content(exact(want)), content(exact(got)))
	found := make(map[string]*engine.Row)
	for i := range got {
		found[identity(got[i].Table, got[i].Tags, got[i].Field, got[i].Start)] = &got[i]
	}
	require.Len(t, found, len(want))
	for i := range want {
		a := &want[i]
		b := found[identity(a.Table, a.Tags, a.Field, a.Start)]
		require.NotNil(t, b)
		require.Equal(t, []any{a.State, a.HasRevision, a.Revision}, []any{b.State, b.HasRevision, b.Revision})
		if s := summary(t, a); !s.Exact() {
			requireNearHistogram(t, s, summary(t, b))
			histograms++
		}
	}
	return histograms
}

// requireNearHistogram checks that two histograms are those of the same values in other blocks: they are equal but for the last digits of
// the sums (1e-15 of the sum of magnitudes, 1e-14 of the standard deviation) and for the mode, which is within its error.
func requireNearHistogram(t *testing.T, want, got *stats.Summary) {
	t.Helper()
	same := func(s *stats.Summary) []any {
		all := []any{s.Exact(), s.Count(), s.Min(), s.Max(), s.First(), s.Last(), s.MaxError()}
		for _, v := range []float64{-3, -1, -0.1, 0, 0.1, 1, 2, 3} {
			low, high := s.AtMost(v)
			all = append(all, low, high)
		}
		return append(all, s.Median(stats.Linear), s.IQR(stats.Linear))
	}
	require.Equal(t, same(want), same(got))
	largest := max(-want.Min(), want.Max())
	require.InDelta(t, want.Sum(), got.Sum(), 1e-15*float64(want.Count())*largest)
	require.InEpsilon(t, want.StdDev(), got.StdDev(), 1e-14)
	_, a := want.Mode()
	_, b := got.Mode()
	require.InDelta(t, a, b, float64(max(want.ModeError(), got.ModeError())))
}

// The log contains the values before and after a demotion. After the replay, the summary is a histogram with all of
// them.
func TestReplayDemotesTheSameSummaries(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	store := newRecorder(t, stats.Unlimited)
	e := withStore(t, store, stats.Unlimited, limit)
	r := rand.New(rand.NewPCG(10, 10))
	for i := 0; e.Counters().Demotions < 30; i++ {
		e.add(strconv.Itoa(i%40), start, fields([]string{"a", "b"}, r.NormFloat64(), r.NormFloat64())...)
	}
	for i := range 100 { // some more after it
		e.add(strconv.Itoa(i%40), start, fields([]string{"a", "b"}, r.NormFloat64(), r.NormFloat64())...)
	}
	want := content(e.rows(t))
	again := withStore(t, store.reopened(), stats.Unlimited, limit)
	store.replay(again.Engine)
	require.Equal(t, want, content(again.rows(t)))
}

// limited returns an engine like withStore after a replay of the store's log.
func limited(t testing.TB, store *recorder, limit int) tested {
	t.Helper()
	e := withStore(t, store, limit, 1<<30)
	store.replay(e.Engine)
	return e
}

// The rows of a bucket that is not exact have errors. A later row must have all fields of an earlier one.
func TestABucketThatIsNotExactStaysSoUnderALargerExactLimit(t *testing.T) {
	t.Parallel()
	many := make([]string, 30)
	for i := range many {
		many[i] = "f" + strconv.Itoa(i)
	}
	for _, width := range []int{1, len(many)} {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			t.Parallel()
			store := newRecorder(t, 64)
			e := withStore(t, store, 64, 1<<30)
			e.add("a", start, fields(many[:width], make([]float64, width)...)...)
			for i := range 100 { // the points of a wide series have one field, so they are not staged
				e.add("a", start, engine.Field{Name: many[0], Value: float64(i) + 0.5})
			}
			want := content(e.rows(t))
			again := limited(t, store, stats.Unlimited)
			got := again.rows(t)
			for i := range got {
				require.Equal(t, got[i].Field != many[0], summary(t, &got[i]).Exact(), got[i].Field)
			}
			require.Len(t, got, len(want))
		})
	}
}

// A smaller exact limit makes a histogram during the replay. The next one must do so too.
func TestABucketThatAReplayMadeInexactStaysSo(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]int{"from rows": 0, "from a snapshot": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newRecorder(t, stats.Unlimited)
			store.old = old
			e := withStore(t, store, stats.Unlimited, 1<<30)
			for i := range 100 {
				e.values("a", start, float64(i)+0.5)
			}
			first := e.rows(t)
			require.True(t, summary(t, &first[0]).Exact())
			e.wait(t, time.Second) // logs a snapshot, if old
			store.limit, store.old = 64, 0
			smaller := limited(t, store, 64)
			inexact := smaller.rows(t)
			require.False(t, summary(t, &inexact[0]).Exact())
			larger := limited(t, store, stats.Unlimited)
			rows := larger.rows(t)
			require.False(t, summary(t, &rows[0]).Exact())
		})
	}
}

// back returns a reading of the clock at the same moment as at, after the wall clock was set back by d.
func back(t testing.TB, at time.Time, d time.Duration) time.Time {
	t.Helper()
	before := at
	// A time with a reading of the monotonic clock begins with a word of flag, 33 bits of seconds and 30 of nanoseconds.
	*(*uint64)(unsafe.Pointer(&at)) -= uint64(d/time.Second) << 30
	require.Equal(t, -d, at.Round(0).Sub(before.Round(0)), "the wall clock")
	require.Zero(t, at.Sub(before), "the monotonic clock")
	return at
}

func TestAClockThatIsSetBackDoesNotKeepARestoredBucketOpen(t *testing.T) {
	t.Parallel()
	one := stats.New(100)
	one.Add(1)
	e := withStore(t, newRecorder(t, 100), 100, 1<<30)
	now := time.Now() // with a reading of the monotonic clock
	e.clock.at = now
	replay := e.BeginReplay()
	require.NoError(t, replay.Open(1, engine.Bucket{
		Series: "cpu", Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano(), Touched: now.Add(-time.Second).UnixNano(),
		Fields: []string{"f"}, Summaries: []stats.Summary{one},
	}))
	replay.End(now.Add(time.Hour))
	e.clock.at = back(t, now.Add(lingering-2*time.Second), time.Hour)
	require.Empty(t, e.rows(t))
	e.clock.at = back(t, now.Add(lingering), time.Hour)
	rows := e.rows(t)
	require.Len(t, rows, 1)
	require.Equal(t, record.Final, rows[0].State)
}

func TestALateValueLeadsToARevisionOfAFinalBucket(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	for revision := range int64(3) {
		e.values("a", start, 1, 2)
		open := e.rows(t)
		require.Equal(t, 2*(revision+1), only(t, open)["count"])
		require.Equal(t, record.Open, open[0].State)
		e.clock.at = e.clock.at.Add(time.Hour)
		final := e.rows(t)
		require.Equal(t, 2*(revision+1), only(t, final)["count"])
		require.Equal(t, []any{record.Final, true, revision}, []any{final[0].State, final[0].HasRevision, final[0].Revision})
		e.wait(t, time.Hour)
	}
	require.Equal(t, int64(2), e.Counters().Revised)
	require.Zero(t, e.Counters().Late)
}

// Under other options, the same bucket may have been open while this store already had a final one. The values of both
// belong to one bucket: an adopted one in its place would have fewer values than its rows before.
func TestAnAdoptedBucketCorrectsTheFinalBucketOfTheStore(t *testing.T) {
	t.Parallel()
	adopted := func(name string) engine.Bucket {
		s := series.Series{Measurement: "cpu", Tags: []series.Tag{{Key: "host", Value: name}}}
		b := engine.Bucket{
			Series: string(s.AppendKey(nil)), Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano(),
			Fields: []string{"v"}, Summaries: []stats.Summary{stats.New(100)},
		}
		b.Summaries[0].AddAt(4, start.UnixNano())
		return b
	}
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	e.values("a", start, 1, 2)
	e.rows(t)
	e.clock.at = e.clock.at.Add(time.Hour)
	require.Equal(t, int64(2), only(t, e.rows(t))["count"])
	e.Adopt([]engine.Bucket{adopted("a"), adopted("a")}, noneHeld)
	require.Equal(t, int64(4), only(t, e.rows(t))["count"])
	e.clock.at = e.clock.at.Add(time.Hour)
	final := e.rows(t)
	require.Equal(t, int64(4), only(t, final)["count"])
	require.Equal(t, []any{record.Final, int64(1)}, []any{final[0].State, final[0].Revision})

	e.Adopt([]engine.Bucket{adopted("b"), adopted("b")}, noneHeld)
	rows := e.rows(t)
	newest := rows[0]
	for _, r := range rows {
		if r.Revision > newest.Revision {
			newest = r
		}
	}
	require.Equal(t, int64(2), statistics(&newest)["count"], "two adopted buckets are two parts of one")

	for _, err := range []error{engine.ErrExpired, errors.New("damaged")} {
		store.findErr = err
		before := e.Counters()
		e.Adopt([]engine.Bucket{adopted("c")}, noneHeld)
		require.Empty(t, e.rows(t), "its row would replace the one of all values")
		require.Equal(t, before.Late+1, e.Counters().Late)
	}
}

// The point that opens a final bucket again may have other fields than the bucket.
func TestAFinalBucketOpensAgainWithAllItsFields(t *testing.T) {
	t.Parallel()
	for _, late := range [][]string{{"b"}, {"b", "d"}, {"d"}, {"c", "b", "a"}} {
		e := withStore(t, newRecorder(t, 100), 100, 1<<30)
		e.add("", start, fields([]string{"a", "b", "c"}, 1, 10, 100)...)
		e.rows(t)
		e.wait(t, time.Hour)
		want := map[string]float64{"a": 1, "b": 10, "c": 100}
		for i := range 3 {
			values := []float64{1000, 2000, 3000}[:len(late)]
			e.add("", start.Add(time.Duration(i)*time.Second), fields(late, values...)...)
			for f, name := range late {
				want[name] += values[f]
			}
		}
		got := make(map[string]float64)
		for _, r := range e.rows(t) {
			got[r.Field] = statistics(&r)["sum"].(float64)
		}
		require.Equal(t, want, got)
	}
}

func TestFinishWithAStoreKeepsBucketsOpen(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	e.values("a", start, 1)
	rows := collect(t, e.Finish)
	require.Equal(t, int64(1), only(t, rows)["count"])
	require.Equal(t, record.Open, rows[0].State)
	e.values("a", start, 1)
	require.Equal(t, int64(2), only(t, e.rows(t))["count"])
}

// If the values of a final bucket cannot be read, a late value for it must not lead to a row that replaces its rows.
func TestALateValueIsDroppedAndReportedIfTheStoreFails(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	store.findErr = errors.New("damaged page")
	e.add("a", start, fields([]string{"v", "w"}, 1, 2)...)
	require.Empty(t, e.rows(t))
	c := e.Counters()
	require.Equal(t, []int64{1, 2}, []int64{c.StateErrors, c.Late})
	require.Equal(t, []engine.Notice{{Kind: engine.StateFailed, Err: store.findErr}}, *e.notices)
	require.Empty(t, store.log)
	store.findErr = nil
	e.values("a", start, 1)
	require.Equal(t, int64(1), only(t, e.rows(t))["count"])
}

// Another store may have a field of the bucket that has not expired, so the bucket can open for that.
func TestAFieldThatHasExpiredIsLateInAnOpenBucket(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 20)
	e := withStore(t, store, 20, 1<<30)
	e.add("a", start, fields([]string{"v"}, 1)...)
	store.findErr = engine.ErrExpired
	e.add("a", start, fields([]string{"v", "w"}, 2, 2)...)
	e.add("a", start, fields([]string{"v"}, 3)...)
	require.Equal(t, map[string][]any{"v": {record.Open, int64(2)}}, byField(e.rows(t)))
	require.Equal(t, int64(2), e.Counters().Late)
	require.Zero(t, e.Counters().StateErrors)
}

func TestRowsAreEmittedEvenIfTheStoreCannotCommit(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	store.commitErr = errors.New("disk full")
	e.values("a", start, 1)
	rows := 0
	require.ErrorIs(t, e.Push(func(*engine.Row) { rows++ }), store.commitErr)
	require.Equal(t, 1, rows)
}

// A Push of many rows commits and emits them in parts, which bounds its memory.
func TestAPushOfManyRowsCommitsInParts(t *testing.T) {
	t.Parallel()
	const hosts = 9000
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	for i := range hosts {
		e.add(strconv.Itoa(i), start, fields([]string{"v", "w"}, 1, 2)...)
	}
	rows := 0
	require.NoError(t, e.Push(func(*engine.Row) { rows++ }))
	require.Equal(t, []int{2 * hosts, 2}, []int{rows, store.commits})
}

// If the process is killed before all of them have left, all must leave again. The store knows that by the last commits.
func TestTheFinalRowsThatLeaveAgainHaveOneCommit(t *testing.T) {
	t.Parallel()
	const buckets = 17_000
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	all := make([]engine.Bucket, buckets)
	for i := range all {
		all[i] = engine.Bucket{Series: seriesA, Start: int64(i), End: int64(i) + 1, Fields: []string{"v"}, Summaries: []stats.Summary{stats.New(1)}}
		all[i].Summaries[0].Add(1)
	}
	e.Again("analytics_", all)
	e.add("a", start, fields([]string{"v"}, 1)...)
	seen := map[int]int{}
	require.NoError(t, e.Push(func(*engine.Row) { seen[store.commits]++ }))
	require.Equal(t, map[int]int{1: buckets, 2: 1}, seen)
}

// After a crash, rows that may not have arrived at an output are emitted again.
func TestRowsOfTheLastRunAreEmittedAgain(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 100)
	e := withStore(t, store, 100, 1<<30)
	key := string((&series.Series{Measurement: "cpu", Tags: []engine.Tag{{Key: "host", Value: "a"}}}).AppendKey(nil))
	bucketOf := func(touched time.Time, v float64, at time.Time) engine.Bucket {
		b := engine.Bucket{
			Series: key, Start: at.UnixNano(), End: at.Add(time.Minute).UnixNano(), Touched: touched.UnixNano(), Revision: 3,
			Fields: []string{"v", "w"}, Summaries: []stats.Summary{stats.New(100), stats.New(100)},
		}
		b.Summaries[0].Add(v)
		return b
	}
	now := e.clock.at
	replay := e.BeginReplay()
	require.NoError(t, replay.Open(1, bucketOf(now.Add(-time.Minute), 1, start)))
	require.NoError(t, replay.Open(2, bucketOf(now.Add(-2*time.Second), 2, start.Add(time.Minute))))
	require.NoError(t, replay.Open(3, bucketOf(now, 3, start.Add(2*time.Minute))))
	replay.Drop(3)
	require.Error(t, replay.Open(4, engine.Bucket{Series: `cpu,host`}))
	replay.End(now.Add(-10 * time.Second))
	e.Again("analytics_", []engine.Bucket{bucketOf(now, 4, start.Add(3*time.Minute))})
	rows := e.rows(t)
	require.Len(t, rows, 2)
	require.Equal(t, []any{4.0, record.Final, int64(3)}, []any{statistics(&rows[0])["sum"], rows[0].State, rows[0].Revision})
	require.Equal(t, []any{2.0, record.Open}, []any{statistics(&rows[1])["sum"], rows[1].State})
	require.Equal(t, int64(2), e.Counters().Buckets)
	checkBudget(t, e)
	require.Empty(t, e.rows(t))
}

// lingering is the option Linger of engines from withStore.
const lingering = 2 * time.Minute

// A Snapshot contains the time of its last value. Rows that were logged after it do not contain theirs.
func TestRowsAfterASnapshotAreEmittedAgainAndLinger(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, stats.Unlimited)
	now := start.Add(time.Hour)
	e := withStore(t, store, stats.Unlimited, 1<<30)
	e.clock.at = now
	replay := e.BeginReplay()
	b := engine.Bucket{Series: "cpu", Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano(), Touched: start.UnixNano()}
	require.NoError(t, replay.Open(1, b))
	replay.Rows(1, []string{"f"}, []float64{1, 2}, []int64{b.Start, b.Start}, []int{2}, 0)
	replay.End(now.Add(-10 * time.Minute))
	rows := e.rows(t)
	require.Len(t, rows, 1)
	require.Equal(t, record.Open, rows[0].State)
	e.clock.at = now.Add(lingering)
	rows = e.rows(t)
	require.Len(t, rows, 1)
	require.Equal(t, record.Final, rows[0].State)
}

func TestABucketTouchedByAClockThatWasAheadLingersNoLongerThanOthers(t *testing.T) {
	t.Parallel()
	e := withStore(t, newRecorder(t, stats.Unlimited), stats.Unlimited, 1<<30)
	e.clock.at = start.Add(time.Hour)
	one := stats.New(stats.Unlimited)
	one.Add(1)
	replay := e.BeginReplay()
	require.NoError(t, replay.Open(1, engine.Bucket{
		Series: "cpu", Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano(), Touched: start.AddDate(1, 0, 0).UnixNano(),
		Fields: []string{"f"}, Summaries: []stats.Summary{one},
	}))
	replay.End(start.AddDate(2, 0, 0))
	require.Empty(t, e.rows(t))
	e.clock.at = e.clock.at.Add(lingering)
	rows := e.rows(t)
	require.Len(t, rows, 1)
	require.Equal(t, record.Final, rows[0].State)
}

func TestAnUpdateThatIsEmittedAgainHasTheNewestValues(t *testing.T) {
	t.Parallel()
	e := newTested(t, time.Minute, func(o *engine.Options) {
		o.Store, o.Emit = newRecorder(t, stats.Unlimited), engine.EmitUpdate
	})
	two := stats.New(stats.Unlimited)
	two.Add(1)
	two.Add(2)
	final := engine.Bucket{
		Series: "cpu", Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano(), Touched: start.UnixNano(),
		Fields: []string{"f"}, Summaries: []stats.Summary{two},
	}
	reopened := clone(final)
	reopened.Revision = 1
	replay := e.BeginReplay()
	require.NoError(t, replay.Open(1, reopened))
	replay.Rows(1, []string{"f"}, []float64{3}, nil, []int{1}, 0)
	replay.End(e.clock.at.Add(time.Hour))
	e.Again("analytics_", []engine.Bucket{final})
	require.Equal(t, int64(3), only(t, e.rows(t))["count"])
}

func TestAFailingStoreIsReportedOncePerPush(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, stats.Unlimited)
	store.findErr = errors.New("damaged")
	e := newTested(t, time.Minute, func(o *engine.Options) { o.Store = store })
	for want := 1; want <= 2; want++ {
		for range 3 {
			e.values("", start, 1)
		}
		require.Len(t, *e.notices, want)
		e.rows(t)
	}
	require.Equal(t, int64(6), e.Counters().Late)
	require.Equal(t, int64(6), e.Counters().StateErrors)
}
