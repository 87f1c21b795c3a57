package stats_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// CONTRIBUTING.md lists what a new statistic needs. This test fails for a statistic without a definition, a line for users
// or the tests of its laws.
func TestEveryStatisticIsDocumented(t *testing.T) {
	t.Parallel()
	_, definitions, found := strings.Cut(readText(t, "doc.go"), "# Definitions")
	require.True(t, found)
	definitions, _, _ = strings.Cut(definitions, "# Life cycle")
	for name, text := range map[string]string{
		"the definitions of doc.go": definitions,
		"sample.conf of describe":   readText(t, "../../plugins/aggregators/describe/sample.conf"),
		"the README of describe":    withoutSample(t, readText(t, "../../plugins/aggregators/describe/README.md")),
		"the laws in laws_test.go":  readText(t, "laws_test.go"),
	} {
		for _, statistic := range stats.Names() {
			word := regexp.QuoteMeta(statistic) + `\b`
			if statistic == "p<q>" { // the laws name ranks
				word = `(p<q>|p5\b)`
			}
			wanted := regexp.MustCompile(`\b` + word)
			require.True(t, wanted.MatchString(text), "%s must have %q", name, statistic)
		}
	}
}

// withoutSample removes the sample configuration from a README.
func withoutSample(t *testing.T, readme string) string {
	t.Helper()
	before, rest, found := strings.Cut(readme, "```toml @sample.conf\n")
	require.True(t, found)
	_, after, found := strings.Cut(rest, "```\n")
	require.True(t, found)
	return before + after
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
