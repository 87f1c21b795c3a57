package exporter

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// This test is inside of the package because it needs the texts of all statistics, of which a table has some.

// The HELP text of a gauge is the only description of a statistic that a user of Prometheus sees.
func TestEveryStatisticHasAHelpText(t *testing.T) {
	t.Parallel()
	texts := make(map[string]string)
	for _, name := range stats.Names() {
		if name == "p<q>" {
			name = "p99.9"
		}
		s, err := stats.ParseStatistic(name)
		require.NoError(t, err)
		text := helpOfStat(record.Table{Name: "analytics_cpu"}, record.StatName(s))
		require.Regexp(t, `^[A-Z].* in the newest final bucket of each series of the table analytics_cpu`, text, name)
		require.Empty(t, texts[text], "%s has the text of another statistic", name)
		texts[text] = name
	}
}
