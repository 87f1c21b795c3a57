//go:build !linux

package unprivileged

import (
	"os"
	"testing"
)

// Do calls f. It skips the test of root, as only Linux has threads with rights of their own.
func Do(t testing.TB, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		t.Skip("root may use every file")
	}
	f()
}
