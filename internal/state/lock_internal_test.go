//go:build unix && !solaris && !aix

package state

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process that is being started has the open files of this one until it executes its program. Here, a copy of the file takes its place.
func TestAFileIsUnlockedThoughAProcessThatIsBeingStartedHasIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	f, err := tryLock(path)
	require.NoError(t, err)
	inherited, err := syscall.Dup(int(f.Fd()))
	require.NoError(t, err)
	defer func() { _ = syscall.Close(inherited) }()
	_, err = tryLock(path)
	require.ErrorIs(t, err, errBusy)
	unlock(f)
	f, err = tryLock(path)
	require.NoError(t, err)
	unlock(f)
}
