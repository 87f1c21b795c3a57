package describe_test

import (
	"strings"
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// Every option that sample.conf lists can be invalid, except for the booleans of Telegraf.
func TestEachOptionHasAnExampleThatIsValid(t *testing.T) {
	examples := newDescribe().Examples()
	for line := range strings.Lines(newDescribe().SampleConfig()) {
		name, _, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), " = ")
		if !found || strings.Contains(name, " ") || name == "drop_original" {
			continue
		}
		require.Contains(t, examples, name)
		cfg := config.NewConfig()
		require.NoError(t, cfg.LoadConfigData([]byte("[[aggregators.describe]]\n  "+name+" = "+examples[name]+"\n"), config.EmptySourcePath))
		d, ok := cfg.Aggregators[0].Aggregator.(*describe.Describe)
		require.True(t, ok)
		require.NoError(t, d.Check(), name)
		require.NoError(t, d.Check(), "a second time")
	}
}

func TestEachFaultNamesItsOptionAndSuggestsANearName(t *testing.T) {
	for setting, want := range map[string]string{
		`stats = ["coutn"]`:    `, did you mean "count"?; for example stats = ["count", "mean", "p95"]`,
		`layout = "colums"`:    `did you mean "columns"?; for example layout = "rows"`,
		`max_series = -1`:      `invalid 'max_series' setting -1, want 0 (no limit) or more; for example max_series = 100000`,
		`bucket = "10minutes"`: `; for example bucket = "10m"`,
	} {
		cfg := config.NewConfig()
		require.NoError(t, cfg.LoadConfigData([]byte("[[aggregators.describe]]\n  "+setting+"\n  emit_summary = \"none\"\n"), config.EmptySourcePath))
		d, ok := cfg.Aggregators[0].Aggregator.(*describe.Describe)
		require.True(t, ok)
		faults := option.All(d.Check())
		require.Len(t, faults, 2)
		require.ErrorContains(t, faults[0], want)
		require.Equal(t, strings.Fields(setting)[0], option.Of(faults[0]))
		require.Equal(t, "emit_summary", option.Of(faults[1]))
	}
}

// Telegraf leaves the name of such a variable in the option. Without this check, the state would be in a folder "${STATE}".
func TestAnOptionWithAnUnsetVariableIsAnError(t *testing.T) {
	examples := newDescribe().Examples()
	for _, name := range []string{
		"bucket", "timezone", "origin", "quantile_method", "booleans", "prefix", "bucket_tag", "timestamp", "layout", "emit", "state_tag",
		"accuracy", "emit_summary", "state",
	} {
		require.EqualError(t, checked(t, name+` = "${NO_SUCH}"`), "invalid '"+name+"' setting: the environment variable NO_SUCH is not set"+
			"; for example "+name+" = "+examples[name])
	}
	for _, name := range []string{"stats", "group_by"} {
		require.ErrorContains(t, checked(t, name+` = ["$NO_SUCH"]`), "invalid '"+name+"' setting: the environment variable NO_SUCH is not set")
	}
	require.NoError(t, checked(t, "alias = \"${NO_SUCH}\"\n  namepass = [\"$SYS/broker\"]"), "options of Telegraf")
	t.Setenv("LITERAL", "x")
	require.NoError(t, checked(t, `prefix = "$${LITERAL}"`), "a text that is meant as it is")
}

// A shell replaces it, and Telegraf does not: the state would be in a folder "~".
func TestAPathThatBeginsWithATildeIsAnError(t *testing.T) {
	for _, path := range []string{"~", "~/state", `~\\state`} {
		require.ErrorContains(t, checked(t, `state = "`+path+`"`), `, "~" is not replaced: want the path of a folder`)
	}
	require.NoError(t, checked(t, `state = "/var/~x"`))
}

// checked returns the error of a block with one setting.
func checked(t *testing.T, setting string) error {
	t.Helper()
	cfg := config.NewConfig()
	require.NoError(t, cfg.LoadConfigData([]byte("[[aggregators.describe]]\n  "+setting+"\n"), config.EmptySourcePath))
	d, ok := cfg.Aggregators[0].Aggregator.(*describe.Describe)
	require.True(t, ok)
	return d.Check()
}
