package main

import (
	"log"
	"os"
	"strings"
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"
)

// logged returns the log of a function. The log is global, so its tests do not run in parallel.
func logged(f func()) string {
	var text strings.Builder
	log.SetOutput(&text)
	defer log.SetOutput(os.Stderr)
	f()
	return text.String()
}

func TestANamepassThatNoRowPassesIsWarnedOf(t *testing.T) {
	for _, test := range []struct{ describe, output, want string }{
		{"", "", ""},
		{"", `namepass = ["analytics_*"]`, ""},
		{"", `namepass = ["analytics_cpu"]`, ""},
		{"", `namepass = ["*_cpu"]`, ""},
		{"", `namepass = ["other", "ana*"]`, ""},
		{`prefix = "stats_"`, `namepass = ["analytics_*"]`, `Nothing is cached: namepass = ["analytics_*"] lets none of the rows of describe through, ` +
			`whose names match ["stats_*"]: set namepass = ["stats_*"]`},
		{`prefix = "stats_"`, `namepass = ["cpu"]`, "Nothing is cached"},
		{"prefix = \"stats_\"\n[[aggregators.describe]]", `namepass = ["analytics_*"]`, ""},
		{`name_override = "cpu_stats"`, `namepass = ["analytics_*"]`, `set namepass = ["cpu_stats"]`},
		{`name_override = "cpu_stats"`, `namepass = ["cpu_stats"]`, ""},
		{`name_override = "cpu_stats"`, `namepass = ["cpu_*"]`, ""},
		{"name_override = \"cpu\"\n  name_suffix = \"_x\"", `namepass = ["cpu"]`, `set namepass = ["cpu_x"]`},
		{`layout = "columns"`, `namepass = ["analytics_*"]`, `Nothing is cached: rediscache accepts only rows of the layout "rows"`},
		{`layout = "columns"`, "", `remove layout = "columns" from describe`},
		{"layout = \"columns\"\n[[aggregators.describe]]\n  prefix = \"rows_\"", "", ""},
		{"layout = \"columns\"\n[[aggregators.describe]]\n  prefix = \"rows_\"", `namepass = ["analytics_*"]`, "Nothing is cached"},
		{`name_prefix = "my_"`, `namepass = ["analytics_*"]`, `set namepass = ["my_analytics_*"]`},
	} {
		c := config.NewConfig()
		text := "[[aggregators.describe]]\n  " + test.describe + "\n[[outputs.rediscache]]\n  database = \"d\"\n  " + test.output + "\n"
		require.NoError(t, c.LoadConfigData([]byte(text), config.EmptySourcePath))
		got := logged(func() { warnUnreached(c) })
		if test.want == "" {
			require.Empty(t, got, "%+v", test)
		}
		require.Contains(t, got, test.want, "%+v", test)
	}
	c := config.NewConfig()
	require.NoError(t, c.LoadConfigData([]byte("[[outputs.rediscache]]\n  database = \"d\"\n  namepass = [\"x\"]\n"), config.EmptySourcePath))
	require.Empty(t, logged(func() { warnUnreached(c) }), "the rows come from another agent")
}
