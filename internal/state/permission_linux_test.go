package state_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/unprivileged"
)

func TestAFolderThatCannotBeWrittenIsAnErrorAndStaysAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, _ := writeFinals(t, dir, 3)
	before, err := os.ReadDir(folder)
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	unprivileged.Do(t, func() {
		require.NoError(t, os.Chmod(folder, 0))
		_, err = state.Open(options(t, dir))
		require.ErrorIs(t, err, fs.ErrPermission)
		require.ErrorContains(t, err, folder)

		// The files can be written, but a commit needs a new one.
		require.NoError(t, os.Chmod(folder, 0o500))
		s, err := state.Open(options(t, dir))
		require.NoError(t, err)
		b := bucketOf("another", 0)
		require.NoError(t, newModel(s).Open(s.OpenBucket(b), b))
		for _, err := range []error{s.Commit(), s.Close()} {
			require.ErrorIs(t, err, fs.ErrPermission)
			require.ErrorContains(t, err, folder)
		}
	})
	require.NoError(t, os.Chmod(folder, 0o700))
	after, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, after, len(before))
	require.NoError(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	unprivileged.Do(t, func() { _, err = state.Open(options(t, filepath.Join(dir, "new"))) })
	require.ErrorIs(t, err, fs.ErrPermission)
}

// A run that does not know what an earlier one has taken over from other states could add it twice.
func TestAFolderOfStatesThatCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFinals(t, dir, 3)
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	open := func(mode os.FileMode) (s *state.Store, err error) {
		require.NoError(t, os.Chmod(dir, mode))
		unprivileged.Do(t, func() { s, err = state.Open(options(t, dir)) })
		return s, err
	}
	_, err := open(0o300)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "cannot be listed: open "+dir)
	s, err := open(0o700)
	require.NoError(t, err, "it was closed")
	require.NoError(t, s.Close())
}

// A kill between the two steps would do the same as a full disk: a damaged file shows that something is lost, and a missing one does not.
func TestADamagedFileStaysUntilItIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	o := state.Frozen(options(t, dir))
	o.Owner = "me"
	s := mustOpen(t, o)
	require.NoError(t, s.Close())
	for _, name := range []string{state.IDFile, state.IdentityFile, state.OwnerFile} {
		path := filepath.Join(s.Folder(), name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
		filler := filepath.Join(dir, "filler")
		require.ErrorIs(t, os.WriteFile(filler, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
		_, err = state.Open(o)
		require.ErrorIs(t, err, syscall.ENOSPC)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "damaged", string(text))
		require.NoError(t, os.Remove(filler))
		mustOpen(t, o).Abandon()
		text, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(whole), string(text))
	}
}

// A store that has joined the orphan must not be taken over meanwhile, and keeps its log, which has what was joined.
func TestAStoreStartsThoughTheHeirOfAnOrphanIsDamagedAndALogCannotBeRead(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan, _ := joined(t, o, c)
	other := o
	other.Identity = map[string]string{"bucket": "other"}
	s := mustOpen(t, other)
	s.OpenBucket(bucketOf("m", 0))
	require.NoError(t, s.Close())
	logs, err := filepath.Glob(filepath.Join(s.Folder(), "log-*"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	path := damageHeir(t, orphan.Path)
	require.NoError(t, os.Chmod(logs[0], 0))
	for range 2 {
		w := &warnings{}
		o.Log = w.log
		var h *state.Store
		unprivileged.Do(t, func() { h, err = state.Open(o) })
		require.NoError(t, err)
		require.Contains(t, w.text(), path)
		require.Contains(t, w.text(), logs[0])
		orphans, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
		require.ErrorContains(t, err, path)
		require.Empty(t, orphans)
		m := newModel(h)
		require.NoError(t, h.Replay(m))
		for handle, b := range m.open { // so that nothing else needs the old log
			h.Snapshot(handle, *b)
		}
		c.advance(2 * time.Hour)
		finish(h, "later", 20*hour, 1, c.now())
		stored(t, h)
		require.NoError(t, h.Commit())
		require.NoError(t, h.Close())
	}
	reused := o
	reused.Identity = orphan.Identity
	unprivileged.Do(t, func() { _, err = state.Open(reused) })
	require.ErrorContains(t, err, path, "its open buckets may be in another store")
	require.NoError(t, os.Chmod(logs[0], 0o600))
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"open00000": 1, "open00001": 1, "open00002": 1}, h.got)
}

func TestARealFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := mustOpen(t, options(t, dir))
	m := newModel(s)
	for _, series := range []string{"a", "b"} {
		b := bucketOf(series, 0)
		require.NoError(t, m.Open(s.OpenBucket(b), b))
	}
	require.NoError(t, s.Commit())
	filler := filepath.Join(dir, "filler")
	require.ErrorIs(t, os.WriteFile(filler, make([]byte, 2<<20), 0o600), syscall.ENOSPC)
	var err error
	for i := 0; err == nil; i++ {
		addRows(m, float64(i))
		err = s.Commit()
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	for i := range 10 {
		addRows(m, float64(i))
		finish(s, "final", int64(i)*hour, float64(i), epoch)
		require.ErrorIs(t, s.Commit(), syscall.ENOSPC)
	}
	require.NoError(t, os.Remove(filler))
	require.NoError(t, s.Commit())
	require.Eventually(t, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
	s.Abandon()
	s, again, _ := reopen(t, dir)
	require.Equal(t, m.snapshot(), again.snapshot())
	for i := range 10 {
		b, ok, err := s.Find("final", int64(i)*hour)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, float64(i), b.Summaries[0].Max())
	}
	s.Abandon()
}
