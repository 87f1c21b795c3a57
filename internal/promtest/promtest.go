// Package promtest finds the programs of Prometheus for tests.
package promtest

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips the test if prometheus or promtool is not on PATH. If the environment variable REQUIRE_PROMETHEUS is 1, it fails
// the test instead. It must be called in the goroutine of the test.
func Need(t testing.TB) {
	t.Helper()
	for _, program := range []string{"prometheus", "promtool"} {
		_, err := exec.LookPath(program)
		switch {
		case err == nil:
		case os.Getenv("REQUIRE_PROMETHEUS") == "1":
			t.Fatalf("%v, but REQUIRE_PROMETHEUS is 1", err)
		default:
			t.Skipf("%v: install prometheus to run this test", err)
		}
	}
}
