package state_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	waitFor = 2 * time.Minute // however slow the disk is
	tick    = 2 * time.Millisecond
)

// clock is a wall clock that a test sets.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(epoch.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// finish opens a bucket with one value and makes it final.
func finish(s *state.Store, series string, start int64, v float64, at time.Time) {
	b := bucketOf(series, start)
	b.Touched = at.UnixNano()
	h := s.OpenBucket(b)
	b.Fields, b.Summaries = []string{"a"}, make([]stats.Summary, 1)
	b.Summaries[0].Add(v)
	s.Rows(h, 9, b.Fields, []float64{v}, nil)
	s.Final(h, b)
}

func TestRecentFinalRowsLeaveAgainAfterAnUncleanEndOnly(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		o, c := clocked(t, 0)
		s := mustOpen(t, o)
		require.True(t, s.Clean())
		finish(s, "old", 0, 1, c.now())
		require.NoError(t, s.Commit())
		c.advance(9 * time.Minute)
		finish(s, "new", 0, 2, c.now())
		finish(s, "new", hour, 3, c.now())
		require.NoError(t, s.Commit())
		c.advance(2 * time.Minute)
		finish(s, "new", 2*hour, 4, c.now())
		require.NoError(t, s.Commit())
		if clean {
			require.NoError(t, s.Close())
		} else {
			s.Abandon()
		}
		s = mustOpen(t, o)
		require.Equal(t, clean, s.Clean())
		require.NoError(t, s.Replay(newModel(s)))
		var got []string
		require.NoError(t, s.Recent(func(b state.Bucket) error {
			got = append(got, fmt.Sprint(b.Series, b.Start/hour, b.Summaries[0].Max()))
			return nil
		}))
		want := []string{"new0 2", "new1 3", "new2 4"}
		if clean {
			want = nil
		}
		require.Equal(t, want, got)
		s.Abandon()
	}
}

// A bucket can become final before a Push, at the start of a run. Other commits may come before that Push.
func TestFinalRowsLeaveAgainUntilAPushHasReturnedHoweverLateItIs(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 0)
	s := mustOpen(t, o)
	again := func() (n int) {
		t.Helper()
		s.Abandon()
		s = mustOpen(t, o)
		require.NoError(t, s.Replay(newModel(s)))
		require.NoError(t, s.Recent(func(state.Bucket) error { n++; return nil }))
		return n
	}
	later := func(commit func() error) {
		t.Helper()
		c.advance(time.Hour)
		s.OpenBucket(bucketOf("other", c.now().UnixNano()))
		require.NoError(t, commit())
	}
	later(s.Commit)
	finish(s, "m", 0, 1, c.now())
	require.NoError(t, s.Save())
	later(s.Save)
	require.Equal(t, 1, again(), "no Push was there")
	later(s.Save)
	later(s.Commit)
	require.Equal(t, 1, again(), "the Push may not have returned")
	later(s.Save)
	require.Equal(t, 1, again())
	later(s.Commit)
	later(s.Commit)
	require.Zero(t, again())
}

func TestFinalBucketsAreRemovedAfterTheirRetention(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 24*time.Hour)
	s := mustOpen(t, o)
	finish(s, "first", 0, 1, c.now())
	require.NoError(t, s.Commit())
	c.advance(23 * time.Hour)
	finish(s, "second", 0, 1, c.now())
	require.NoError(t, s.Commit())
	require.Eventually(t, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
	has := func(series string) bool {
		_, ok, err := s.Find(series, 0)
		if !ok {
			require.ErrorIs(t, err, state.ErrExpired)
		}
		return ok
	}
	require.True(t, has("first"), "its last value is less than the retention ago")
	c.advance(8 * time.Hour)
	require.NoError(t, s.Commit())
	require.Eventually(t, func() bool { return s.Stats().Expired == 1 }, waitFor, tick)
	require.False(t, has("first"))
	require.True(t, has("second"))
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	require.False(t, has("first"))
	require.True(t, has("second"))
}

// The background writer may not have looked for them yet.
func TestARunOfAMomentRemovesExpiredBuckets(t *testing.T) {
	t.Parallel()
	for range 20 {
		o, c := clocked(t, time.Hour)
		s := mustOpen(t, o)
		finish(s, "m", 0, 1, c.now())
		stored(t, s)
		c.advance(2 * time.Hour)
		require.NoError(t, s.Commit())
		require.NoError(t, s.Commit())
		require.NoError(t, s.Close())
		require.Equal(t, int64(1), s.Stats().Expired)
		require.Equal(t, "expired", find(t, mustOpen(t, o), "m", 0))
	}
}

func TestTheNewestRevisionIsFound(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 0)
	s := mustOpen(t, o)
	for revision := range int64(5) {
		b := bucketOf("m", 0)
		if revision > 0 {
			var ok bool
			var err error
			b, ok, err = s.Find("m", 0)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, revision-1, b.Revision)
			b.Revision++
		}
		b.Touched = c.now().UnixNano()
		h := s.OpenBucket(b)
		if revision == 0 {
			b.Fields, b.Summaries = []string{"a"}, make([]stats.Summary, 1)
		}
		b.Summaries[0].Add(float64(revision))
		s.Rows(h, 9, b.Fields, []float64{float64(revision)}, nil)
		s.Final(h, b)
		require.NoError(t, s.Commit())
		c.advance(time.Duration(revision-1) * 30 * time.Hour) // also back
		if revision%2 == 0 {
			require.NoError(t, s.Close())
			s = mustOpen(t, o)
		}
	}
	b, ok, err := s.Find("m", 0)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, uint64(5), b.Summaries[0].Count())
}

// The log of a final bucket is needed until the bucket is in the database. So the test, whose hours last milliseconds, waits for the
// background writer every ten minutes of its clock.
func TestTheLogStaysSmallWhileBucketsComeAndGo(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 0)
	s := mustOpen(t, o)
	m := newModel(s)
	for k := range 20 {
		b := bucketOf(fmt.Sprint("long,host=", k), 0)
		require.NoError(t, m.Open(s.OpenBucket(b), b))
	}
	snapshots := 0
	for i := range 600 { // 10 hours
		finish(s, fmt.Sprint("short", i), 0, 1, c.now())
		addRows(m, float64(i%7))
		for handle, b := range m.open {
			if s.Old(handle) {
				s.Snapshot(handle, *b)
				snapshots++
			}
		}
		require.NoError(t, s.Commit())
		if i%10 == 9 {
			require.Eventually(t, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
		}
		c.advance(time.Minute)
	}
	require.Greater(t, snapshots, 20*7)
	require.Less(t, snapshots, 20*12)
	logs, err := filepath.Glob(filepath.Join(s.Folder(), "log-*"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(logs), 16, "files of ten minutes each")
	s.Abandon()
	_, again, _ := reopen(t, o.Dir)
	require.Equal(t, m.snapshot(), again.snapshot())
}

func TestAStoreOfOtherOptionsIsDrainedAndRetired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options(t, dir)
	o.Owner = "me"
	s := mustOpen(t, o)
	m := newModel(s)
	b := bucketOf("m", 0)
	require.NoError(t, m.Open(s.OpenBucket(b), b))
	addRows(m, 4)
	old := s.Folder()

	changed := o
	changed.Identity = map[string]string{"bucket": "2h\n\"quoted\""}
	other := mustOpen(t, changed)
	require.NotEqual(t, old, other.Folder())
	orphans, used, err := state.Orphans(dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Empty(t, orphans, "both are open")
	require.ElementsMatch(t, []state.Folder{{Path: old, Identity: s.Identity()}, {Path: other.Folder(), Identity: changed.Identity}}, used)
	require.NoError(t, s.Close())
	orphans, used, err = state.Orphans(dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Equal(t, []state.Folder{{Path: old, Identity: s.Identity()}}, orphans)
	require.Equal(t, []state.Folder{{Path: other.Folder(), Identity: changed.Identity}}, used)

	s, err = state.OpenFolder(old, o)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bucket": "1h"}, s.Identity())
	var got []string
	require.NoError(t, s.Drain(func(_ uint64, b state.Bucket) error {
		got = append(got, text(b))
		return nil
	}))
	require.Len(t, got, 1)
	for _, want := range m.snapshot() {
		require.Equal(t, want, got[0])
	}
	require.NoError(t, s.Retire())
	retired, err := filepath.Glob(old + ".retired-*")
	require.NoError(t, err)
	require.Len(t, retired, 1)
	orphans, _, err = state.Orphans(dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Empty(t, orphans)
	require.NoError(t, other.Close())
	orphans, _, err = state.Orphans(dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Equal(t, []state.Folder{{Path: other.Folder(), Identity: changed.Identity}}, orphans)
	other, err = state.OpenFolder(other.Folder(), o)
	require.NoError(t, err)
	require.Equal(t, changed.Identity, other.Identity())
	other.Abandon()
}

func TestASecondStoreInTheFolderIsAnErrorThatNamesItAndTheProcess(t *testing.T) {
	if dir := os.Getenv("STATE_TEST_DIR"); dir != "" { // the second process
		_, err := state.Open(options(t, dir))
		require.ErrorIs(t, err, state.ErrLocked)
		fmt.Println(err)
		return
	}
	dir := t.TempDir()
	s := mustOpen(t, options(t, dir))
	check := func(err string) {
		require.Contains(t, err, s.Folder())
		require.Contains(t, err, "process "+strconv.Itoa(os.Getpid()))
	}
	_, err := state.Open(options(t, dir))
	require.ErrorIs(t, err, state.ErrLocked)
	check(err.Error())

	second := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	second.Env = append(os.Environ(), "STATE_TEST_DIR="+dir)
	out, err := second.CombinedOutput()
	require.NoError(t, err, string(out))
	check(string(out))

	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Commit(), state.ErrClosed)
	require.NoError(t, s.Close(), "a second Close has no effect")
	mustOpen(t, options(t, dir))
}

func TestTheFolderIsCreatedAndTheIdentityIsReadable(t *testing.T) {
	t.Parallel()
	o := options(t, filepath.Join(t.TempDir(), "a", "b"))
	s := mustOpen(t, o)
	text, err := os.ReadFile(filepath.Join(s.Folder(), "options"))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "\n") // the checksum
	require.Equal(t, "telegraf-describe state 1\n\"bucket\"=\"1h\"\n", rest)
	require.True(t, strings.HasPrefix(s.Folder(), o.Dir))
	_, err = state.Open(state.Options{})
	require.Error(t, err)
}

// unrelated is for options that no other store has anything to do with.
func unrelated(map[string]string) state.Relation { return state.Unrelated }

// Another process that shares the folder may restart any time, with the options of its store.
func TestTheStoreOfAnotherOwnerIsNoOrphanUntilItWasNotUsedForADay(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	o.Owner = "me"
	s := mustOpen(t, o)
	require.NoError(t, s.Close())
	other := o
	other.Owner, other.Identity = "other", map[string]string{"bucket": "1d"}
	for i, folder := range []string{s.Folder(), mustOpen(t, other).Folder()} { // else the other one is an earlier run of this one
		require.NoError(t, os.WriteFile(filepath.Join(folder, "lock"), fmt.Appendf(nil, "%d\nhost\n1\n", i+1), 0o600))
	}
	orphans := func(owner string, after time.Duration) int {
		all, _, err := state.Orphans(o.Dir, owner, unrelated, time.Now().Add(after))
		require.NoError(t, err)
		return len(all)
	}
	require.Equal(t, 1, orphans("me", 0))
	require.Zero(t, orphans("another", 0))
	require.Zero(t, orphans("another", 23*time.Hour))
	require.Equal(t, 1, orphans("another", 25*time.Hour))
	o.Owner = "another"
	s = mustOpen(t, o)
	require.Zero(t, orphans("another", 25*time.Hour), "it is open")
	require.NoError(t, s.Close())
	require.Equal(t, 1, orphans("another", 0), "the last owner counts")
}

// Nobody reads the log of a retired store.
func TestAStoreIsNotSetAsideBeforeItsFinalBucketsAreInTheDatabase(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, 0)
	s := mustOpen(t, state.Frozen(o)) // as if the database had no room
	finish(s, "m", 0, 1, c.now())
	folder := s.Folder()
	require.ErrorContains(t, s.Retire(), "1 final buckets are not in the database")
	require.DirExists(t, folder)
	s, err := state.OpenFolder(folder, o)
	require.NoError(t, err)
	t.Cleanup(s.Abandon)
	require.NoError(t, s.Drain(func(uint64, state.Bucket) error { return errors.New("an open bucket") }))
	require.NoError(t, s.Retire())
	s, err = state.OpenFolder(s.Folder(), o)
	require.NoError(t, err)
	t.Cleanup(s.Abandon)
	require.Equal(t, "final", find(t, s, "m", 0))
}

func TestARetiredFolderIsLockedUntilItHasItsNewName(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			other, err := state.Open(o)
			if err != nil {
				if !errors.Is(err, state.ErrLocked) {
					t.Errorf("opening: %v", err)
				}
				continue
			}
			finish(other, "m", 0, 1, epoch)
			if err := other.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
			return
		}
	}()
	require.NoError(t, s.Retire())
	<-done
	s = mustOpen(t, o)
	require.Equal(t, "final", find(t, s, "m", 0), "the new store is not in the retired folder")
}
