package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// borrower is a recorder whose engine borrows the buckets with a handle of another engine.
type borrower struct {
	*recorder
	from   *engine.Engine
	handle uint64
}

func (b borrower) Borrow(series string, start, end int64, fields []string) (engine.Bucket, bool) {
	return b.from.Lend(b.handle, series, start, end, fields)
}

// lending returns a lender that has replayed a bucket of the host "a" with three values, its store, and an engine that may
// borrow the bucket.
func lending(t *testing.T) (lender tested, store *recorder, other tested) {
	t.Helper()
	before := newRecorder(t, 20)
	first := withStore(t, before, 20, 1<<30)
	first.values("a", start, 1, 2, 3)
	first.rows(t)
	store = before.reopened()
	lender = withStore(t, store, 20, 1<<30)
	before.replay(lender.Engine)
	other = withStore(t, borrower{newRecorder(t, 20), lender.Engine, 1}, 20, 1<<30)
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
	lender.LentSafely(seriesA, start.UnixNano())
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
			lender.LentSafely(seriesA, start.UnixNano())
		}
		lender.values("a", start, 4)
		lender.LentSafely(seriesA, start.UnixNano())
		require.Equal(t, []any{record.Open, int64(4)}, counted(lender.rows(t)))
		lender.LentSafely(seriesA, start.UnixNano())
		lender.clock.at = lender.clock.at.Add(2 * lingering)
		require.Equal(t, []any{record.Final, int64(4)}, counted(lender.rows(t)), when)
		require.NotContains(t, kinds(store.log), "dropped")
	}
}

func TestABucketIsLentOnceAndWithTheFieldsThatItHas(t *testing.T) {
	t.Parallel()
	at := start.UnixNano()
	end := start.Add(time.Minute).UnixNano()
	lender, _, _ := lending(t)
	for _, refused := range []struct {
		handle     uint64
		series     string
		start, end int64
		field      string
	}{
		{2, seriesA, at, end, "v"}, {1, "cpu,host=b", at, end, "v"}, {1, seriesA, end, 2*end - at, "v"}, {1, seriesA, at, end + 1, "v"},
		{1, seriesA, at, end, "w"},
	} {
		_, ok := lender.Lend(refused.handle, refused.series, refused.start, refused.end, []string{refused.field})
		require.False(t, ok, "%v", refused)
	}
	b, ok := lender.Lend(1, seriesA, at, end, []string{"u", "v"})
	require.True(t, ok)
	require.Equal(t, uint64(3), b.Summaries[0].Count())
	_, ok = lender.Lend(1, seriesA, at, end, []string{"v"})
	require.False(t, ok, "the other engine may have more values already")

	lender, _, _ = lending(t)
	lender.values("a", start, 4)
	_, ok = lender.Lend(1, seriesA, at, end, []string{"v"})
	require.False(t, ok, "it has values that are not in the summaries yet")
}

// The filters may have changed again: the next value is for the copy.
func TestALentBucketIsDroppedByAReplayUnlessItGotValues(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1} {
		store := newRecorder(t, 20)
		lender := withStore(t, store, 20, 1<<30)
		replay := lender.BeginReplay()
		require.NoError(t, replay.Open(1, engine.Bucket{Series: seriesA, Start: start.UnixNano(), End: start.Add(time.Minute).UnixNano()}))
		row := func() { replay.Rows(1, []string{"v"}, []float64{1}, []int64{start.UnixNano()}, []int{1}) }
		row()
		replay.Lent(1)
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
	a := e.Adopt([]engine.Bucket{b})
	require.Equal(t, engine.Adopted{Final: 1}, a)
	require.Equal(t, []any{record.Final, int64(3), record.Final, int64(1)}, counted(e.rows(t)))
	found := store.final[finalKey{seriesA, start.UnixNano()}]
	require.Equal(t, int64(1), found.Revision)
	require.Equal(t, []uint64{3, 1}, []uint64{found.Summaries[0].Count(), found.Summaries[1].Count()})

	store.findErr = engine.ErrExpired
	b.Revision = 2
	require.Equal(t, engine.Adopted{Final: 1}, e.Adopt([]engine.Bucket{b}))
	require.Equal(t, int64(2), store.final[finalKey{seriesA, start.UnixNano()}].Revision)
}
