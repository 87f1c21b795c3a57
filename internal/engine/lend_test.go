package engine_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// borrower is a recorder whose engine borrows fields of another engine.
type borrower struct {
	*recorder
	from *engine.Engine
	got  []string // the fields that were lent last
}

func (b *borrower) Borrow(series string, start, end int64, fields []string) (engine.Bucket, []string, bool) {
	found, _, lent := b.from.Lend(series, start, end, fields)
	b.got = lent
	held, _ := b.from.Holding(series, start, end)
	return found, held, len(found.Fields) > 0
}

func (b *borrower) GiveBack() { b.from.TakeBack(seriesA, start.UnixNano(), b.got) }

func (b *borrower) Shared(series string, start, end int64) bool {
	_, idle := b.from.Holding(series, start, end)
	return idle
}

// lending returns a lender that has replayed a bucket of the host "a" with three values, its store, and an engine that may
// borrow the bucket.
func lending(t *testing.T) (lender tested, store *recorder, other tested) {
	t.Helper()
	before := newRecorder(t, 20)
	first := withStore(t, before, 20, 1<<30)
	first.values("a", start, 1, 2, 3)
	first.rows(t)
	return reopened(t, before)
}

// reopened returns an engine that has replayed a store, the store, and another engine that can borrow from it.
func reopened(t *testing.T, before *recorder) (lender tested, store *recorder, other tested) {
	t.Helper()
	store = before.reopened()
	lender = withStore(t, store, 20, 1<<30)
	before.replay(lender.Engine)
	lender.Share(0)
	other = withStore(t, &borrower{recorder: newRecorder(t, 20), from: lender.Engine}, 20, 1<<30)
	other.Share(0)
	return lender, store, other
}

const seriesA = "cpu,host=a"

// counted returns the states and the counts of rows.
func counted(rows []engine.Row) (all []any) {
	for i := range rows {
		all = append(all, rows[i].State, statistics(&rows[i])["count"])
	}
	return all
}

// kinds returns the kinds of the entries of a log.
func kinds(log []logged) (all []string) {
	for _, l := range log {
		all = append(all, l.kind)
	}
	return all
}

func TestABorrowedBucketContinuesAndTheLenderDropsIt(t *testing.T) {
	t.Parallel()
	lender, store, other := lending(t)
	lender.rows(t)
	other.values("a", start, 4)
	require.Equal(t, []any{record.Open, int64(4)}, counted(other.rows(t)))
	lender.wait(t, 2*lingering)
	require.Empty(t, store.log, "the bucket stays, as the copy may not be saved")
	lender.LentSafely(seriesA, start.UnixNano(), []string{"v"})
	require.Empty(t, lender.rows(t))
	require.Equal(t, []string{"lent", "dropped"}, kinds(store.log))
	lender.rows(t)
	require.Zero(t, lender.Counters().Series)
	require.Zero(t, lender.Counters().Memory)
	checkBudget(t, lender)
	other.values("a", start, 5)
	other.clock.at = other.clock.at.Add(2 * lingering)
	require.Equal(t, []any{record.Open, int64(5)}, counted(other.rows(t)))
	other.clock.at = other.clock.at.Add(2 * lingering)
	require.Equal(t, []any{record.Final, int64(5)}, counted(other.rows(t)))
	require.Zero(t, other.Counters().Revised)
}

func TestTheRowsOfALentBucketDoNotLeaveAgainAfterACrash(t *testing.T) {
	t.Parallel()
	lender, _, other := lending(t)
	other.values("a", start, 4)
	require.Empty(t, lender.rows(t), "the other engine has more values")
}

func TestALenderThatGetsValuesKeepsItsBucket(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before it is safe", "after it is safe"} {
		lender, store, other := lending(t)
		other.values("a", start, 4)
		if when == "after it is safe" {
			lender.LentSafely(seriesA, start.UnixNano(), []string{"v"})
		}
		lender.values("a", start, 4)
		lender.LentSafely(seriesA, start.UnixNano(), []string{"v"})
		require.Equal(t, []any{record.Open, int64(4)}, counted(lender.rows(t)))
		lender.LentSafely(seriesA, start.UnixNano(), []string{"v"})
		lender.clock.at = lender.clock.at.Add(2 * lingering)
		require.Equal(t, []any{record.Final, int64(4)}, counted(lender.rows(t)), when)
		require.NotContains(t, kinds(store.log), "dropped")
	}
}

func TestAFieldIsLentOnceAndOnlyIfItHasNoValuesOfThisRun(t *testing.T) {
	t.Parallel()
	at := start.UnixNano()
	end := start.Add(time.Minute).UnixNano()
	lender, _, _ := lending(t)
	for _, refused := range []struct {
		series     string
		start, end int64
		field      string
	}{
		{"cpu,host=b", at, end, "v"}, {seriesA, end, 2*end - at, "v"}, {seriesA, at, end + 1, "v"}, {seriesA, at, end, "w"},
	} {
		b, _, _ := lender.Lend(refused.series, refused.start, refused.end, []string{refused.field})
		require.Empty(t, b.Fields, "%v", refused)
	}
	b, handle, lent := lender.Lend(seriesA, at, end, []string{"u", "v"})
	require.Equal(t, []string{"v"}, lent)
	require.Equal(t, uint64(1), handle)
	require.Equal(t, []string{"v"}, b.Fields)
	require.Equal(t, uint64(3), b.Summaries[0].Count())
	b, _, _ = lender.Lend(seriesA, at, end, []string{"v"})
	require.Empty(t, b.Fields, "the other engine may have more values already")
	lender.TakeBack(seriesA, at, []string{"v"})
	b, _, _ = lender.Lend(seriesA, at, end, []string{"v"})
	require.NotEmpty(t, b.Fields)

	lender, _, _ = lending(t)
	lender.values("a", start, 4)
	b, _, _ = lender.Lend(seriesA, at, end, []string{"v"})
	require.Empty(t, b.Fields, "it has values that are not in the summaries yet")
}

// A new block that gets the same values must not begin the bucket anew.
func TestABucketThatBeganBeforeANewBlockIsLentAsItWasBeforeTheRun(t *testing.T) {
	t.Parallel()
	for _, sparse := range []bool{false, true} {
		before := newRecorder(t, 20)
		first := withStore(t, before, 20, 1<<30)
		first.add("a", start, engine.Field{Name: "v", Value: 1}, engine.Field{Name: "w", Value: 1})
		if sparse { // a point with few of the fields is not staged
			for i := range 10 {
				first.add("a", start, engine.Field{Name: "f" + strconv.Itoa(i), Value: 1})
			}
		}
		first.rows(t)
		lender := withStore(t, before.reopened(), 20, 1<<30)
		before.replay(lender.Engine)
		lender.Share(start.UnixNano() + 1)
		lender.rows(t)
		lender.values("a", start, 2)
		checkBudget(t, lender)
		b, _, lent := lender.Lend(seriesA, start.UnixNano(), start.Add(time.Minute).UnixNano(), []string{"v"})
		require.Empty(t, lent)
		require.Equal(t, []string{"v"}, b.Fields)
		require.Equal(t, uint64(1), b.Summaries[0].Count())
		require.Equal(t, []any{record.Open, int64(2)}, byField(lender.rows(t))["v"])
		checkBudget(t, lender)
		_, idle := lender.Holding(seriesA, start.UnixNano(), start.Add(time.Minute).UnixNano())
		require.True(t, idle)
	}
}

// lendingTwo is lending with a second field, w, which has two values.
func lendingTwo(t *testing.T) (lender tested, store *recorder, other tested) {
	t.Helper()
	before := newRecorder(t, 20)
	first := withStore(t, before, 20, 1<<30)
	for _, v := range []float64{1, 2} {
		first.add("a", start, engine.Field{Name: "v", Value: v}, engine.Field{Name: "w", Value: v})
	}
	first.values("a", start, 3)
	first.rows(t)
	return reopened(t, before)
}

// byField returns the states and the counts of rows by field.
func byField(rows []engine.Row) map[string][]any {
	all := map[string][]any{}
	for i := range rows {
		all[rows[i].Field] = append(all[rows[i].Field], rows[i].State, statistics(&rows[i])["count"])
	}
	return all
}

func TestAFieldMovesAndTheOthersStay(t *testing.T) {
	t.Parallel()
	lender, store, other := lendingTwo(t)
	lender.rows(t) // those of the last run
	other.values("a", start, 4)
	require.Equal(t, map[string][]any{"v": {record.Open, int64(4)}}, byField(other.rows(t)))
	lender.add("a", start, engine.Field{Name: "w", Value: 5})
	require.Equal(t, map[string][]any{"w": {record.Open, int64(3)}}, byField(lender.rows(t)), "v is lent")
	lender.LentSafely(seriesA, start.UnixNano(), []string{"v"})
	require.Equal(t, []string{"v"}, store.log[len(store.log)-1].fields)
	lender.clock.at = lender.clock.at.Add(2 * lingering)
	require.Equal(t, map[string][]any{"w": {record.Final, int64(3)}}, byField(lender.rows(t)))
	require.Equal(t, []string{"w"}, fieldsOf(store.final[finalKey{seriesA, start.UnixNano()}]))
	lender.rows(t)
	require.Zero(t, lender.Counters().Memory)
	other.clock.at = other.clock.at.Add(2 * lingering)
	require.Equal(t, map[string][]any{"v": {record.Final, int64(4)}}, byField(other.rows(t)))
}

// noneHeld returns no fields.
func noneHeld(string, int64, int64) []string { return nil }

// fieldsOf returns the fields that have values.
func fieldsOf(b engine.Bucket) (names []string) {
	for i := range b.Summaries {
		if b.Summaries[i].Count() > 0 {
			names = append(names, b.Fields[i])
		}
	}
	return names
}

func TestALentFieldIsNotInALaterSnapshotOfTheBucket(t *testing.T) {
	t.Parallel()
	lender, store, other := lendingTwo(t)
	lender.rows(t)
	other.values("a", start, 4)
	store.old = 1
	lender.rows(t)
	require.NotContains(t, kinds(store.log), "open", "the copy may not be saved")
	lender.LentSafely(seriesA, start.UnixNano(), []string{"v"})
	lender.rows(t)
	last := store.log[len(store.log)-1]
	require.Equal(t, "open", last.kind)
	require.Equal(t, []string{"w"}, fieldsOf(last.bucket))
	checkBudget(t, lender)
}

func TestAFieldIsTakenBackIfTheFinalBucketCannotBeRead(t *testing.T) {
	t.Parallel()
	lender, _, _ := lendingTwo(t)
	store := newRecorder(t, 20)
	store.findErr = errors.New("damaged")
	other := withStore(t, &borrower{recorder: store, from: lender.Engine}, 20, 1<<30)
	other.values("a", start, 4)
	require.Equal(t, int64(1), other.Counters().Late)
	lender.rows(t)
	lender.clock.at = lender.clock.at.Add(2 * lingering)
	require.Equal(t, map[string][]any{"v": {record.Final, int64(3)}, "w": {record.Final, int64(2)}}, byField(lender.rows(t)))
}

// The store of the other engine has recorded that it has the field, and the process was killed before this one was told.
func TestAFieldIsGivenUpAtTheStart(t *testing.T) {
	t.Parallel()
	lender, store, _ := lendingTwo(t)
	lender.GiveUp(2, seriesA, start.UnixNano(), []string{"v"}) // another bucket
	require.Empty(t, store.log)
	lender.GiveUp(1, seriesA, start.UnixNano(), []string{"v", "x"})
	require.Equal(t, []string{"open"}, kinds(store.log))
	require.Equal(t, []string{"w"}, fieldsOf(store.log[0].bucket))
	lender.GiveUp(1, seriesA, start.UnixNano(), []string{"w"})
	require.Equal(t, []string{"open", "dropped"}, kinds(store.log))
	require.Empty(t, lender.rows(t))
	require.Zero(t, lender.Counters().Memory)
}

func TestALentFieldIsDroppedByAReplayAndTheOthersStay(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 20)
	e := withStore(t, store, 20, 1<<30)
	replay := e.BeginReplay()
	require.NoError(t, replay.Open(1, engine.Bucket{Series: seriesA, Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano()}))
	row := func(v, w float64) {
		replay.Rows(1, []string{"v", "w"}, []float64{v, w}, []int64{start.UnixNano()}, []int{1}, 0)
	}
	row(1, 1)
	replay.Lent(1, []string{"v"})
	row(zero/zero, 2)
	replay.End(time.Time{})
	require.Equal(t, []string{"open"}, kinds(store.log), "a later replay must not add new values to the lent ones")
	require.Equal(t, []string{"w"}, fieldsOf(store.log[0].bucket))
	require.Equal(t, map[string][]any{"w": {record.Open, int64(2)}}, byField(e.rows(t)))
	checkBudget(t, e)
}

// The log has the values of a lent field, and the final bucket may not be in the database yet.
func TestALentFieldIsNotInAFinalBucketOfAReplay(t *testing.T) {
	t.Parallel()
	e := withStore(t, newRecorder(t, 20), 20, 1<<30)
	replay := e.BeginReplay()
	require.NoError(t, replay.Open(1, engine.Bucket{Series: seriesA, Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano()}))
	replay.Rows(1, []string{"v", "w", "x"}, []float64{1, 1, 1}, []int64{start.UnixNano()}, []int{1}, 0)
	replay.Lent(1, []string{"v", "x"})
	replay.Rows(1, []string{"x"}, []float64{2}, []int64{start.UnixNano()}, []int{1}, 0) // takes it back
	b, ok := replay.Final(1)
	require.True(t, ok)
	require.Equal(t, []uint64{0, 1, 2}, []uint64{b.Summaries[0].Count(), b.Summaries[1].Count(), b.Summaries[2].Count()})
	replay.End(time.Time{})
	require.Zero(t, e.Counters().Memory)
	checkBudget(t, e)
}

// The filters may have changed again: the next value is for the copy.
func TestALentBucketIsDroppedByAReplayUnlessItGotValues(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1} {
		store := newRecorder(t, 20)
		lender := withStore(t, store, 20, 1<<30)
		replay := lender.BeginReplay()
		require.NoError(t, replay.Open(1, engine.Bucket{Series: seriesA, Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano()}))
		row := func() { replay.Rows(1, []string{"v"}, []float64{1}, []int64{start.UnixNano()}, []int{1}, 0) }
		row()
		replay.Lent(1, nil)
		for range rows {
			row()
		}
		replay.End(time.Time{})
		require.Equal(t, rows == 0, slices.Contains(kinds(store.log), "dropped"))
		require.Len(t, lender.rows(t), rows)
		checkBudget(t, lender)
	}
}

// A later revision has all values of an earlier one, so adding both would count values twice.
func TestAnAdoptedBucketReplacesAnEarlierRevision(t *testing.T) {
	t.Parallel()
	store := newRecorder(t, 20)
	e := withStore(t, store, 20, 1<<30)
	e.values("a", start, 1, 2)
	e.add("a", start, engine.Field{Name: "w", Value: 1})
	e.rows(t)
	e.clock.at = e.clock.at.Add(2 * lingering)
	e.rows(t)
	b := clone(store.final[finalKey{seriesA, start.UnixNano()}])
	require.Equal(t, []string{"v", "w"}, b.Fields)
	b.Revision, b.Fields, b.Summaries = 1, b.Fields[:1], b.Summaries[:1]
	b.Summaries[0].Add(3)
	a := e.Adopt([]engine.Bucket{b}, noneHeld)
	require.Equal(t, engine.Adopted{Final: 1}, a)
	require.Equal(t, []any{record.Final, int64(3), record.Final, int64(1)}, counted(e.rows(t)))
	found := store.final[finalKey{seriesA, start.UnixNano()}]
	require.Equal(t, int64(1), found.Revision)
	require.Equal(t, []uint64{3, 1}, []uint64{found.Summaries[0].Count(), found.Summaries[1].Count()})

	store.findErr = engine.ErrExpired
	b.Revision = 2
	require.Equal(t, engine.Adopted{Final: 1}, e.Adopt([]engine.Bucket{b}, noneHeld))
	require.Equal(t, int64(2), store.final[finalKey{seriesA, start.UnixNano()}].Revision)
}
