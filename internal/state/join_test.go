package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// orphaned makes a store with other options than o that has an open bucket of each of n series, final buckets of the
// series "final" and an expired one, and closes it. It returns its folder.
func orphaned(t *testing.T, o state.Options, c *clock, n int) state.Folder {
	t.Helper()
	o.Identity = map[string]string{"bucket": "1h", "alias": "old"}
	s := mustOpen(t, o)
	finish(s, "expired", 0, 1, c.now())
	stored(t, s)
	c.advance(2 * o.Retention)
	removed(t, s, 1)
	finish(s, "final", 5*hour, 7, c.now())
	stored(t, s)
	finish(s, "final", 8*hour, 8, c.now())
	for i := range n {
		s.OpenBucket(bucketOf(fmt.Sprintf("open%05d", i), 9*hour))
	}
	require.NoError(t, s.Close())
	return state.Folder{Path: s.Folder(), Identity: s.Identity()}
}

func TestAnEmptyStoreContinuesAnOrphanWithAllItsBuckets(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 1)
	s := mustOpen(t, o)
	require.True(t, s.Empty())
	next, err := s.Continue(orphan)
	require.NoError(t, err)
	t.Cleanup(next.Abandon)
	require.False(t, next.Empty())
	require.ErrorIs(t, s.Commit(), state.ErrClosed)
	m := newModel(next)
	require.NoError(t, next.Replay(m))
	require.Len(t, m.open, 1)
	require.Equal(t, "final", find(t, next, "final", 5*hour))
	require.Equal(t, "final", find(t, next, "final", 8*hour))
	require.Equal(t, "expired", find(t, next, "expired", 0))
	require.NoDirExists(t, orphan.Path)
	folders, err := filepath.Glob(filepath.Join(o.Dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{next.Folder()}, folders)
	require.NoError(t, next.Close())

	again := mustOpen(t, o)
	require.Equal(t, o.Identity, again.Identity())
	require.Equal(t, "final", find(t, again, "final", 5*hour))
	require.False(t, again.Empty())
	other := orphaned(t, o, c, 1)
	same, err := again.Continue(other)
	require.ErrorContains(t, err, "it has buckets")
	require.Same(t, again, same)
	require.NoError(t, same.Commit())
}

// A run that ended while it was continuing an orphan leaves an orphan with the options of the heir.
func TestAnOrphanWithTheOptionsOfItsHeirIsContinued(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 1)
	state.WriteIdentity(t, orphan.Path, o.Identity)
	s := mustOpen(t, o)
	orphans, used, err := state.Orphans(o.Dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Equal(t, []state.Folder{{Path: orphan.Path, Identity: o.Identity}}, orphans)
	require.Equal(t, []state.Folder{{Path: s.Folder(), Identity: o.Identity}}, used)
	next, err := s.Continue(orphans[0])
	require.NoError(t, err)
	t.Cleanup(next.Abandon)
	require.Equal(t, "final", find(t, next, "final", 5*hour))
}

func TestAnOrphanInUseIsNotContinued(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 1)
	inUse, err := state.OpenFolder(orphan.Path, o)
	require.NoError(t, err)
	t.Cleanup(inUse.Abandon)
	s := mustOpen(t, o)
	same, err := s.Continue(orphan)
	require.ErrorIs(t, err, state.ErrLocked)
	require.Same(t, s, same)
}

// heir is a store that joins an orphan, and the buckets that it got.
type heir struct {
	*state.Store
	from *state.Store
	got  map[string]int // how often
}

// join joins the orphan into the store of o.
func join(t *testing.T, o state.Options, orphan state.Folder) (heir, error) {
	t.Helper()
	h := heir{Store: mustOpen(t, o), got: map[string]int{}}
	m := newModel(h.Store)
	require.NoError(t, h.Replay(m))
	for _, b := range m.open {
		h.got[b.Series]++
	}
	o.Identity = nil
	from, err := state.OpenFolder(orphan.Path, o)
	require.NoError(t, err)
	t.Cleanup(from.Abandon)
	h.from = from
	var all []state.Bucket
	require.NoError(t, from.Drain(func(_ uint64, b state.Bucket) error { all = append(all, b); return nil }))
	return h, h.Join(from, all, func(part []state.Bucket) {
		for _, b := range part {
			h.OpenBucket(b)
			h.got[b.Series]++
		}
	})
}

func TestJoinAddsEachBucketOnceEvenIfTheProcessIsKilledBeforeTheOrphanIsRetired(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	const n = 2500
	orphan := orphaned(t, o, c, n)
	for range 3 { // the second and the third run find that all buckets are there
		h, err := join(t, o, orphan)
		require.NoError(t, err)
		require.Len(t, h.got, n)
		for series, times := range h.got {
			require.Equal(t, 1, times, series)
		}
		c.advance(time.Hour)
		require.NoError(t, h.Commit(), "the log of the join is kept, however old it is")
		h.Abandon()
		h.from.Abandon()
	}
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	require.NoError(t, h.from.Retire())
	require.NoError(t, h.Close())

	again := orphaned(t, o, c, 1) // in the same folder
	require.Equal(t, orphan.Path, again.Path)
	h, err = join(t, o, again)
	require.NoError(t, err)
	require.Equal(t, 2, h.got["open00000"], "another orphan has other values")
}

// failingFile is a file of the log that cannot be made durable after some commits.
type failingFile struct {
	state.LogFile
	left *int
}

func (f failingFile) Sync() error {
	if *f.left--; *f.left < 0 {
		return errors.New("no room")
	}
	return f.LogFile.Sync()
}

func TestAJoinThatIsCutOffContinuesWithTheBucketsThatAreNotDurable(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	const n = 2500
	orphan := orphaned(t, o, c, n)
	left := 1
	cut := state.WithFiles(o, func(path string) (state.LogFile, error) {
		f, err := state.OpenLogFile(path)
		return failingFile{f, &left}, err
	})
	h, err := join(t, cut, orphan)
	require.ErrorContains(t, err, "no room")
	h.Abandon()
	h.from.Abandon()

	h, err = join(t, o, orphan)
	require.NoError(t, err)
	require.Len(t, h.got, n)
	for series, times := range h.got {
		require.Equal(t, 1, times, series)
	}
}

// The process was killed before the orphan was retired. Its options are used again, and the heir is gone.
func TestAStoreThatWasJoinedBeginsEmptyAndItsOpenBucketsStayWithTheHeir(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 3)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	heir := h.Folder()
	h.Abandon()
	h.from.Abandon()

	o.Identity = orphan.Identity
	s := mustOpen(t, o)
	require.True(t, s.Empty())
	orphans, _, err := state.Orphans(o.Dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Len(t, orphans, 2)
	heirs := map[string]string{}
	for _, f := range orphans {
		heirs[f.Path] = f.Heir
	}
	require.Contains(t, heirs, heir)
	require.NotContains(t, heirs, s.Folder())
	folder := s.Folder()
	s, err = s.Continue(state.Folder{Path: heir})
	require.NoError(t, err)
	t.Cleanup(s.Abandon)
	orphans, _, err = state.Orphans(o.Dir, "me", unrelated, time.Now())
	require.NoError(t, err)
	require.Len(t, orphans, 1)
	require.Equal(t, folder, orphans[0].Heir)
	require.NoError(t, s.Close())

	h, err = join(t, o, orphans[0])
	require.NoError(t, err)
	require.Equal(t, map[string]int{"open00000": 1, "open00001": 1, "open00002": 1}, h.got)
	require.NoError(t, h.from.Retire())
}

// Nothing is known of the buckets of a folder that the user has deleted.
func TestAStoreWhoseHeirIsGoneContinues(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 3)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	h.Abandon()
	h.from.Abandon()
	require.NoError(t, os.RemoveAll(h.Folder()))
	o.Identity = orphan.Identity
	require.Equal(t, 3, mustOpen(t, o).Stats().Open)
}

// Until the user deletes the folder of the orphan, its own database has what is final and what has expired.
func TestTheFinalBucketsOfAnOrphanAreExpiredWhenItsFolderIsDeleted(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 1)
	s := mustOpen(t, o)
	finish(s, "final", 8*hour, 1, c.now())
	finish(s, "own", hour, 1, c.now())
	from, err := state.OpenFolder(orphan.Path, state.Frozen(o))
	require.NoError(t, err)
	finish(from, "pending", 3*hour, 1, c.now())
	check := func(s *state.Store, want string) {
		t.Helper()
		require.NoError(t, s.Relate(nil, nil))
		require.Equal(t, want, find(t, s, "final", 5*hour))
		require.Equal(t, want, find(t, s, "expired", 0))
		require.Equal(t, want, find(t, s, "pending", 3*hour))
		require.Equal(t, "none", find(t, s, "final", 6*hour))
	}
	for range 2 {
		require.NoError(t, s.Expire(from))
		check(s, "none")
	}
	from.Abandon()
	from, err = state.OpenFolder(orphan.Path, o)
	require.NoError(t, err)
	require.NoError(t, from.Drain(func(uint64, state.Bucket) error { return nil }))
	require.NoError(t, from.Retire())
	check(s, "none")
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	o.Identity = map[string]string{"name": "the next heir"}
	next := mustOpen(t, o)
	require.NoError(t, next.Expire(s))
	require.NoError(t, os.RemoveAll(from.Folder()))
	check(s, "expired")
	require.Equal(t, "final", find(t, s, "final", 8*hour), "a bucket of the store itself")
	require.NoError(t, s.Retire())
	check(next, "expired")
	require.Equal(t, "none", find(t, next, "own", hour))
	require.NoError(t, os.RemoveAll(s.Folder()))
	check(next, "expired")
	require.Equal(t, "expired", find(t, next, "own", hour))
}
