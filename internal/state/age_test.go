package state_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// recent returns the buckets that Recent yields.
func recent(t *testing.T, s *state.Store) (all []string) {
	t.Helper()
	require.NoError(t, s.Recent(func(b state.Bucket) error {
		all = append(all, fmt.Sprint(b.Series, " ", b.Summaries[0].Max()))
		return nil
	}))
	return all
}

// stored waits until all final buckets are in the database.
func stored(t *testing.T, s *state.Store) {
	t.Helper()
	require.NoError(t, s.Commit())
	require.Eventually(t, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
}

// removed waits until that many final buckets were removed: they stay until the Push after that with their rows.
func removed(t *testing.T, s *state.Store, n int64) {
	t.Helper()
	require.NoError(t, s.Commit())
	require.NoError(t, s.Commit())
	require.Eventually(t, func() bool { return s.Stats().Expired == n }, waitFor, tick)
}

// expireAll makes buckets of n series final and lets them expire. The retention is an hour.
func expireAll(t *testing.T, s *state.Store, c *clock, n int) {
	t.Helper()
	for i := range n {
		finish(s, fmt.Sprint("gone", i), 0, 1, c.now())
	}
	stored(t, s)
	c.advance(2 * time.Hour)
	removed(t, s, int64(n))
}

// find returns what there is of a bucket.
func find(t *testing.T, s *state.Store, series string, start int64) string {
	t.Helper()
	_, ok, err := s.Find(series, start)
	switch {
	case ok:
		require.NoError(t, err)
		return "final"
	case err != nil:
		require.ErrorIs(t, err, state.ErrExpired)
		return "expired"
	}
	return "none"
}

func TestFinalRowsLeaveAgainAfterEachOfSeveralCrashes(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 0)
	s := mustOpen(t, o)
	finish(s, "m", 0, 1, c.now())
	require.NoError(t, s.Commit())
	for range 5 { // the row left first 35 minutes before the last crash, and again 7 minutes before it
		c.advance(7 * time.Minute)
		finish(s, "n", c.now().UnixNano(), 2, c.now())
		require.NoError(t, s.Commit())
		s.Abandon()
		s = mustOpen(t, o)
		require.NoError(t, s.Replay(newModel(s)))
		require.Contains(t, recent(t, s), "m 1")
		require.NoError(t, s.Commit())
	}
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	require.NoError(t, s.Replay(newModel(s)))
	require.Empty(t, recent(t, s))
}

func TestExpiredBucketsAreDistinguishedFromBucketsThatNeverWere(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 24*time.Hour)
	s := mustOpen(t, o)
	long := string(make([]byte, 3000))
	for _, series := range []string{"cpu", "mem", long} {
		for _, start := range []int64{-5 * hour, 3 * hour, 4 * hour, 5 * hour, 9 * hour} {
			finish(s, series, start, 1, c.now())
		}
	}
	stored(t, s)
	check := func(want string) {
		for _, series := range []string{"cpu", "mem", long} {
			for _, start := range []int64{-5 * hour, 3 * hour, 4 * hour, 5 * hour, 9 * hour} {
				require.Equal(t, want, find(t, s, series, start))
			}
			for _, start := range []int64{-6 * hour, -4 * hour, 2 * hour, 6 * hour, 8 * hour, 10 * hour, math.MinInt64, math.MaxInt64} {
				require.Equal(t, "none", find(t, s, series, start), "history may still come: %d", start)
			}
		}
		require.Equal(t, "none", find(t, s, "disk", 4*hour))
	}
	check("final")
	c.advance(31 * time.Hour)
	removed(t, s, 15)
	check("expired")
	s.Abandon()
	s = mustOpen(t, o)
	check("expired")

	// Later removals of the series join the record.
	finish(s, "cpu", 6*hour, 1, c.now())
	stored(t, s)
	require.Equal(t, "final", find(t, s, "cpu", 6*hour))
	c.advance(31 * time.Hour)
	removed(t, s, 1)
	require.Equal(t, "expired", find(t, s, "cpu", 6*hour))
	require.Equal(t, "expired", find(t, s, "cpu", -5*hour))
	require.Equal(t, "none", find(t, s, "cpu", 8*hour))
}

func TestRecordsOfExpiredBucketsAreBounded(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	o = state.WithMaxExpired(o, 10)
	s := mustOpen(t, o)
	for i := range 8 {
		finish(s, fmt.Sprint("old", i), 0, 1, c.now())
	}
	stored(t, s)
	c.advance(2 * time.Hour)
	removed(t, s, 8)
	for i := range 7 {
		finish(s, fmt.Sprint("new", i), 0, 1, c.now())
	}
	stored(t, s)
	c.advance(2 * time.Hour)
	removed(t, s, 15)
	require.Eventually(t, func() bool { return s.Stats().Forgotten == 5 }, waitFor, tick)
	count := map[string]int{}
	for i := range 8 {
		count["old "+find(t, s, fmt.Sprint("old", i), 0)]++
	}
	for i := range 7 {
		count["new "+find(t, s, fmt.Sprint("new", i), 0)]++
	}
	require.Equal(t, map[string]int{"old expired": 3, "old none": 5, "new expired": 7}, count, "the oldest go first")

	c.advance(367 * 24 * time.Hour)
	finish(s, "last", 0, 1, c.now())
	stored(t, s)
	c.advance(2 * time.Hour)
	removed(t, s, 16)
	require.Eventually(t, func() bool { return find(t, s, "new0", 0) == "none" }, waitFor, tick)
	require.Equal(t, "expired", find(t, s, "last", 0))
}

func TestADamagedDatabaseKeepsTheRecordsOfExpiredBuckets(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	s := mustOpen(t, o)
	expireAll(t, s, c, 300)
	finish(s, "damaged", 0, 1, c.now())
	finish(s, "kept", 0, 1, c.now())
	stored(t, s)
	require.NoError(t, s.Close())
	path := filepath.Join(s.Folder(), state.FinalsFile)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := bytes.Index(b, []byte("damaged")); at >= 0; at = bytes.Index(b, []byte("damaged")) {
		b[at] = 'D'
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))

	s = mustOpen(t, o)
	require.Positive(t, s.Stats().LostBuckets)
	require.Equal(t, "final", find(t, s, "kept", 0))
	for i := range 300 { // some are in pages that bbolt has not used again
		require.Equal(t, "expired", find(t, s, fmt.Sprint("gone", i), 0))
	}
	finish(s, "later", 0, 1, c.now())
	stored(t, s)
	c.advance(50 * time.Minute)
	require.NoError(t, s.Commit())
	require.Equal(t, "final", find(t, s, "later", 0), "the age of the store was kept")
}

func TestManySpansOfOneSeriesCloseTheSmallestGaps(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	s := mustOpen(t, o)
	const n = 1100
	for i := range int64(n) {
		finish(s, "m", i*100*hour-i%2*90*hour, 1, c.now()) // gaps of 9 and 189 hours
	}
	stored(t, s)
	c.advance(2 * time.Hour)
	removed(t, s, n)
	gaps, step := map[string]int{}, int64(1)
	if testing.Short() { // each time is looked for among more than a thousand spans
		step = 5
	}
	for i := range int64(n) {
		start := i*100*hour - i%2*90*hour
		if i%2 == 0 {
			gaps["narrow "+find(t, s, "m", start+2*hour)]++
		}
		if i%step == 0 {
			require.Equal(t, "expired", find(t, s, "m", start))
			require.Equal(t, "none", find(t, s, "m", start+50*hour+i%2*90*hour))
		}
	}
	require.Equal(t, map[string]int{"narrow expired": n - 1024, "narrow none": n/2 - (n - 1024)}, gaps)
}

func TestAClockThatJumpsRemovesNothing(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"a year ahead": 365 * 24 * time.Hour, "to 1970": -time.Duration(epoch.UnixNano())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, t.TempDir())
			wall, ticks := newClock(), newClock()
			pass := func(d time.Duration) { wall.advance(d); ticks.advance(d) }
			o.Now, o.Retention = wall.now, 24*time.Hour
			o = state.WithTicks(o, ticks.now)
			s := mustOpen(t, o)
			finish(s, "before", 0, 1, wall.now())
			stored(t, s)
			wall.advance(jump)
			pass(time.Hour)
			finish(s, "during", 0, 1, wall.now())
			stored(t, s)
			pass(2 * time.Minute)
			require.NoError(t, s.Commit())
			s.Abandon()
			s = mustOpen(t, o)
			require.NoError(t, s.Replay(newModel(s)))
			require.ElementsMatch(t, []string{"during 1"}, recent(t, s), "what left in the last ten minutes leaves again")
			wall.advance(-jump)
			pass(2 * time.Minute)
			require.NoError(t, s.Close())
			s = mustOpen(t, o)
			for _, series := range []string{"before", "during"} {
				require.Equal(t, "final", find(t, s, series, 0), series)
			}
			pass(32 * time.Hour)
			removed(t, s, 2)
		})
	}
}

// The clock may be wrong at start, so a long time between two runs counts as no more than a slot.
func TestTheTimeBetweenTwoRunsCountsLittle(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	wall, ticks := newClock(), newClock()
	o.Now, o.Retention = wall.now, 24*time.Hour
	o = state.WithTicks(o, ticks.now)
	s := mustOpen(t, o)
	finish(s, "m", 0, 1, wall.now())
	stored(t, s)
	runs := 0
	for ; find(t, s, "m", 0) == "final"; runs++ {
		require.NoError(t, s.Close())
		wall.advance(365 * 24 * time.Hour)
		s = mustOpen(t, o)
		require.NoError(t, s.Commit())
		ticks.advance(2 * time.Minute)
		wall.advance(2 * time.Minute)
		require.NoError(t, s.Close()) // waits for the writer
		s = mustOpen(t, o)
	}
	require.Greater(t, runs, 3)
	require.Less(t, runs, 8)
}

func TestADatabaseThatIsMostlyFreeIsCompactedWhenItIsOpened(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	o = state.WithCompaction(o, 1<<16)
	s := mustOpen(t, o)
	const n = 5000
	for i := range n {
		finish(s, fmt.Sprint("gone", i), 0, 1, c.now())
	}
	stored(t, s)
	c.advance(2 * time.Hour)
	for i := range 50 {
		finish(s, fmt.Sprint("kept", i), 0, float64(i), c.now())
	}
	removed(t, s, n)
	stored(t, s)
	require.NoError(t, s.Close())
	path := filepath.Join(s.Folder(), state.FinalsFile)
	before, err := os.Stat(path)
	require.NoError(t, err)
	leftOver := path + ".compact" // of a run that was killed while it copied
	require.NoError(t, os.WriteFile(leftOver, []byte("half"), 0o600))

	s = mustOpen(t, o)
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, 2*after.Size(), before.Size())
	require.Equal(t, before.Size()-after.Size(), s.Stats().Compacted)
	require.NoFileExists(t, leftOver)
	for i := range 50 {
		b, ok, err := s.Find(fmt.Sprint("kept", i), 0)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, float64(i), b.Summaries[0].Max())
	}
	for i := range n {
		require.Equal(t, "expired", find(t, s, fmt.Sprint("gone", i), 0))
	}
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	require.Zero(t, s.Stats().Compacted, "nothing is left to give back")
}

func TestADatabaseThatCannotBeCompactedIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	s := mustOpen(t, o)
	expireAll(t, s, c, 2000)
	finish(s, "kept", 0, 1, c.now())
	stored(t, s)
	require.NoError(t, s.Close())
	copyPath := filepath.Join(s.Folder(), state.FinalsFile+".compact")
	require.NoError(t, os.MkdirAll(filepath.Join(copyPath, "full"), 0o700)) // so that no copy can be made
	var logged []string
	o.Log = func(format string, args ...any) { logged = append(logged, fmt.Sprintf(format, args...)) }
	s = mustOpen(t, state.WithCompaction(o, 1<<12))
	require.Equal(t, "final", find(t, s, "kept", 0))
	require.Contains(t, fmt.Sprint(logged), "cannot be compacted")
}

// The rows of a final bucket leave with the Push after it was saved, or with a later one if the process is killed. They cannot leave if the
// bucket is removed before.
func TestAFinalBucketStaysUntilItsRowsHaveLeft(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	s := mustOpen(t, o)
	require.NoError(t, s.Commit())
	for range 3 {
		finish(s, "m", 0, 1, c.now())
		require.NoError(t, s.Save())
		require.Eventually(t, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
		c.advance(2 * time.Hour)
		require.NoError(t, s.Save())
		s.Abandon()
		s = mustOpen(t, o)
		require.NoError(t, s.Replay(newModel(s)))
		require.Equal(t, []string{"m 1"}, recent(t, s))
	}
	require.NoError(t, s.Commit())
	require.Equal(t, "final", find(t, s, "m", 0), "they may leave just now")
	c.advance(2 * time.Hour)
	removed(t, s, 1)
	require.Equal(t, "expired", find(t, s, "m", 0))
}

// A Push without values leaves nothing in the log, so after a kill the log does not show that the rows left long ago.
func TestRowsThatLeftBeforeTheirBucketWasRemovedAreNoWarningAfterACrash(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	w := &warnings{}
	o.Log = w.log
	s := mustOpen(t, o)
	expireAll(t, s, c, 1)
	s.Abandon()
	s = mustOpen(t, o)
	require.NoError(t, s.Replay(newModel(s)))
	require.Empty(t, recent(t, s))
	require.Empty(t, w.text())
}

// Of a final bucket that is damaged only the start is known, so the record of it must not name other buckets.
func TestADamagedFinalBucketLeavesNoOtherBucketExpired(t *testing.T) {
	t.Parallel()
	for _, start := range []int64{-100 * hour, 0, 100 * hour} {
		require.Equal(t, start+1, state.ExpiresUntil("m", start, []byte("damaged")))
	}
}
