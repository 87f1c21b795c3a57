package unprivileged_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/telegraf-describe/telegraf-describe/internal/unprivileged"
)

func TestAFileWithoutPermissionsCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0))
	unprivileged.Do(t, func() {
		_, err := os.ReadFile(path)
		assert.ErrorIs(t, err, os.ErrPermission)
	})
}

// The kernel would end the servers that were started on a thread together with it.
func TestTheThreadGoesOn(t *testing.T) {
	var thread string
	unprivileged.Do(t, func() {
		thread = fmt.Sprintf("/proc/self/task/%d", unix.Gettid())
		runtime.Goexit() // as a failure does
	})
	require.Never(t, func() bool {
		_, err := os.Stat(thread)
		return err != nil
	}, 50*time.Millisecond, time.Millisecond)
}
