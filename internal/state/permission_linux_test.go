package state_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// nobody is the number of a user and a group without rights.
const nobody = 65534

// asNobody calls f on a thread that accesses files as the user nobody, if the process is root's.
func asNobody(f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocks it, so that the thread ends with the goroutine
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		_ = errno // it is the old user, or an error that the accesses below show
		f()
	}()
	<-done
}

func TestAFolderThatCannotBeWrittenIsAnErrorAndStaysAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, _ := writeFinals(t, dir, 3)
	before, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	for _, mode := range []os.FileMode{0o555, 0o000} {
		require.NoError(t, os.Chmod(folder, mode))
		t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
		asNobody(func() { _, err = state.Open(options(t, dir)) })
		require.ErrorIs(t, err, fs.ErrPermission)
		require.ErrorContains(t, err, folder)
	}
	require.NoError(t, os.Chmod(folder, 0o700))
	after, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, after, len(before))
	asNobody(func() { _, err = state.Open(options(t, filepath.Join(dir, "new"))) })
	if os.Geteuid() == 0 {
		require.ErrorIs(t, err, fs.ErrPermission)
	}
}

// A run that does not know what an earlier one has taken over from other states could add it twice.
func TestAFolderOfStatesThatCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFinals(t, dir, 3)
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	if os.Geteuid() == 0 {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			require.NoError(t, err)
			return os.Chown(path, nobody, nobody)
		}))
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	open := func(mode os.FileMode) (s *state.Store, err error) {
		require.NoError(t, os.Chmod(dir, mode))
		asNobody(func() { s, err = state.Open(options(t, dir)) })
		return s, err
	}
	_, err := open(0o300)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "cannot be listed: open "+dir)
	s, err := open(0o700)
	require.NoError(t, err, "it was closed")
	require.NoError(t, s.Close())
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
