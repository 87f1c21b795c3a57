// Package promtest runs Prometheus for tests. Without it, the tests are skipped: see [Need].
package promtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
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

// Start starts Prometheus with a configuration of examples and flags. It stops it when the test ends. Prometheus scrapes target,
// host:port, each second, instead of the API at its default address. Start returns the address of Prometheus, host:port.
func Start(t *testing.T, example, target string, flags ...string) string {
	t.Helper()
	b, err := os.ReadFile(example)
	require.NoError(t, err)
	text := strings.ReplaceAll(string(b), "127.0.0.1:8001", target)
	text = strings.ReplaceAll(text, "scrape_interval: 15s", "scrape_interval: 1s\n  scrape_timeout: 1s")
	require.Equal(t, 2, strings.Count(text, target))
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))                    //nolint:gosec // in the folder of the test
	out, err := exec.Command("promtool", "check", "config", config).CombinedOutput() //nolint:gosec // the same
	require.NoError(t, err, string(out))

	flags = append(flags, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address=127.0.0.1:0")
	command := exec.Command("prometheus", flags...) //nolint:gosec // flags of the test
	log, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := regexp.MustCompile(`msg="Listening on" .*address=(127\.0\.0\.1:\d+)`).FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return m[1]
		}
		t.Log(lines.Text())
	}
	t.Fatal("Prometheus does not listen")
	return ""
}

// Get decodes the data of the answer to a GET request to the Prometheus at an address. path has the parameters too.
func Get(t assert.TestingT, address, path string, data any) {
	resp, err := apitest.Client.Get("http://" + address + path)
	if !assert.NoError(t, err) {
		return
	}
	defer resp.Body.Close()
	answer := struct {
		Error string `json:"error"`
		Data  any    `json:"data"`
	}{Data: data}
	assert.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	assert.Empty(t, answer.Error, path)
}

// Query returns the values of a query's result by one of their labels.
func Query(t assert.TestingT, address, text, label string) map[string]float64 {
	var data struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
			Value  [2]any            `json:"value"`
		} `json:"result"`
	}
	Get(t, address, "/api/v1/query?query="+url.QueryEscape(text), &data)
	values := make(map[string]float64)
	for _, r := range data.Result {
		var v float64
		_, err := fmt.Sscan(fmt.Sprint(r.Value[1]), &v)
		assert.NoError(t, err)
		values[r.Metric[label]] = v
	}
	return values
}

// patience is how long the functions of this package wait.
const patience = 3 * time.Minute

// Eventually calls check until it finds no fault. A scrape must answer within a second. When one does not, as on a machine that stands still,
// Prometheus has no series of its job until the next one.
func Eventually(t *testing.T, check func(c *assert.CollectT)) {
	t.Helper()
	require.EventuallyWithT(t, check, patience, 200*time.Millisecond)
}

// WaitUp waits until Prometheus has scraped both jobs of the example, which takes five seconds because it looks for targets that
// often.
func WaitUp(t *testing.T, address string) {
	t.Helper()
	Eventually(t, func(c *assert.CollectT) {
		assert.Equal(c, map[string]float64{"analytics": 1, "analytics-api": 1}, Query(c, address, "up", "job"))
	})
}
