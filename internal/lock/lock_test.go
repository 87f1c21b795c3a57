//go:build unix

package lock_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/lock"
)

func TestALockIsHeldUntilItsFileIsClosed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	f, err := lock.Acquire(path, 0)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = lock.Acquire(path, 0)
	require.ErrorIs(t, err, lock.ErrHeld)
	require.ErrorContains(t, err, path)

	held, err := lock.Held(path)
	require.NoError(t, err)
	require.True(t, held)

	time.AfterFunc(50*time.Millisecond, func() { _ = f.Close() })
	second, err := lock.Acquire(path, time.Minute)
	require.NoError(t, err, "it waits for the release")
	require.NoError(t, second.Close())
	for _, path := range []string{path, filepath.Join(t.TempDir(), "none")} {
		held, err = lock.Held(path)
		require.NoError(t, err)
		require.False(t, held)
	}
}

func TestALockFollowsNoSymlink(t *testing.T) {
	t.Parallel()
	target := filepath.Join(t.TempDir(), "target")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(target, link))
	_, err := lock.Acquire(link, 0)
	require.Error(t, err)
	require.NoFileExists(t, target)
}
