package main

import (
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/promtest"
)

// serveMetrics starts a service whose metrics all have a value. It returns their text.
func serveMetrics(t *testing.T) (c *child, body string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.toml")
	write(t, config, []byte("[[export]]\ndatabase = \"db\"\ntable = \"solar\"\n"))
	c = start(t, nil, append(embeddedArgs("memory"), "--config", config)...)
	c.put(t)
	for path, want := range map[string]int{"/analytics/solar?database=db": 200, "/metrics/analytics": 200, "/ready": 200, "/nothing": 404} {
		status, _ := c.get(t, path)
		require.Equal(t, want, status, path)
	}
	status, body := c.get(t, "/metrics")
	require.Equal(t, http.StatusOK, status)
	return c, body
}

// types returns the type of each metric of the service, without those of Go and of the process.
func types(body string) map[string]string {
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (analytics_\w+) (\w+)$`).FindAllStringSubmatch(body, -1) {
		found[m[1]] = m[2]
	}
	return found
}

func TestMetricsFollowTheConventionsOfPrometheus(t *testing.T) {
	t.Parallel()
	_, body := serveMetrics(t)
	for name, kind := range types(body) {
		require.Equal(t, kind == "counter", strings.HasSuffix(name, "_total"), name)
		require.True(t, strings.HasPrefix(name, "analytics_api_"), name)
		require.Contains(t, "\n"+body, "\n# HELP "+name+" ", name)
		require.NotRegexp(t, `_(ms|milliseconds|minutes|kb|mb|kilobytes|percent|ratio_percent)(_|$)`, name)
	}
	promtest.Need(t)
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(body)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

func TestMetricsAndTheirLabelsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n### Metrics of the service itself\n")
	require.True(t, found)
	documented := make(map[string]string) // the rows of the metrics
	for line := range strings.SplitSeq(section, "\n") {
		for _, m := range regexp.MustCompile("`(analytics_api_\\w+)`").FindAllStringSubmatch(line, -1) {
			documented[m[1]] = line
		}
	}
	_, body := serveMetrics(t)
	require.ElementsMatch(t, slices.Collect(maps.Keys(types(body))), slices.Collect(maps.Keys(documented)))
	for _, m := range regexp.MustCompile(`(?m)^(analytics_api_\w+?)(?:_bucket|_sum|_count)?\{(.*)\} `).FindAllStringSubmatch(body, -1) {
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			if label[1] != "le" {
				require.Contains(t, documented[m[1]], "`"+label[1]+"`", m[0])
			}
		}
	}
	reasons := make(map[string]bool)
	for _, m := range regexp.MustCompile(`analytics_api_refused_total\{reason="(\w+)"\}`).FindAllStringSubmatch(body, -1) {
		reasons[m[1]] = true
	}
	_, rows, found := strings.Cut(section, "\n| reason | requests |\n|---|---|\n")
	require.True(t, found)
	var inRows []string
	for line := range strings.SplitSeq(rows, "\n") {
		if names, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | "); isRow {
			for name := range strings.SplitSeq(names, ", ") {
				inRows = append(inRows, strings.Trim(name, "`"))
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(reasons)), inRows)
}

// A client that sends many different requests makes no time series.
func TestLabelsOfMetricsAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := serveMetrics(t)
	send := func(n int) {
		for i := range n {
			text := strings.Repeat("x", i%50) + string(rune('a'+i%26))
			for _, path := range []string{"/analytics/" + text + "?database=" + text, "/" + text, "/analytics/solar?database=db&" + text + "=1", "/page/" + text} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", c.url+path, http.NoBody)
				require.NoError(t, err)
				r.Header.Set("X-Request-Id", text)
				r.Header.Set("User-Agent", text)
				r.Header.Set("Origin", "http://"+text)
				if i%3 == 0 {
					r.Method, r.Host = "M"+strings.ToUpper(text), text
				}
				resp, err := apitest.Client.Do(r)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			}
		}
	}
	series := func() int {
		_, body := c.get(t, "/metrics")
		return strings.Count(body, "\nanalytics_api_")
	}
	send(10)
	before := series()
	send(100)
	require.Equal(t, before, series())
}
