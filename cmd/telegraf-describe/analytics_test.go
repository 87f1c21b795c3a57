package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
)

// builtAPI is analytics-api, which the first test that needs it builds, and TestMain removes.
var builtAPI struct {
	once         sync.Once
	folder, path string
	err          error
}

// pathOfAPI returns the path of analytics-api.
func pathOfAPI(t *testing.T) string {
	t.Helper()
	b := &builtAPI
	b.once.Do(func() {
		if b.folder, b.err = os.MkdirTemp("", "analytics-api"); b.err == nil { //nolint:usetesting // other tests use it after this one
			b.path, b.err = apitest.Build("../..", b.folder)
		}
	})
	require.NoError(t, b.err)
	return b.path
}

// startAPI starts analytics-api with the environment variables, until the test ends. It returns the addresses of the API and of its
// embedded Redis.
func startAPI(t *testing.T, env ...string) (url, redisAddr string) {
	t.Helper()
	log := &output{}
	cmd := exec.Command(pathOfAPI(t))
	cmd.Env, cmd.Dir, cmd.Stderr = append(os.Environ(), env...), t.TempDir(), log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=serving") }, patience, 10*time.Millisecond, "analytics-api is not ready")
	address := func(scheme string) string {
		found := regexp.MustCompile("address=" + scheme + `://(\S+)`).FindStringSubmatch(log.String())
		require.NotNil(t, found, log.String())
		return found[1]
	}
	return "http://" + address("http"), address("redis")
}
