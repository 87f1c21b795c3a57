package unprivileged_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

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
func TestTheThreadGoesOnWithItsCapabilities(t *testing.T) {
	effective := func(path string) string {
		status, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(regexp.MustCompile(`(?m)^CapEff:.*`).Find(status))
	}
	want := effective("/proc/self/status")
	var thread string
	unprivileged.Do(t, func() {
		thread = fmt.Sprintf("/proc/self/task/%d/status", unix.Gettid())
		assert.Equal(t, "CapEff:\t0000000000000000", effective(thread))
		runtime.Goexit() // as a failure does
	})
	require.Equal(t, want, effective(thread))
}
