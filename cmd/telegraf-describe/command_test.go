package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// printed runs a command line in the test program and returns what it prints, because a start of the command costs 25 ms of processor time.
// The command line must need no configuration, as reading one sets up the log of the process. Tests that call printed or tried are not
// parallel: the library for command lines has variables.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	text, err := tried(t, args...)
	require.NoError(t, err, args)
	return text
}

// tried is printed, with the error. The command line does not find the Telegraf configurations of this machine.
func tried(t *testing.T, args ...string) (string, error) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TELEGRAF_CONFIG_PATH", "")
	var out strings.Builder
	err := newApp(&out, nil).Run(append([]string{"telegraf-describe"}, args...))
	return out.String(), err
}

func TestVersionsAreThoseOfTheCommandAndOfTelegraf(t *testing.T) {
	require.Contains(t, readFile(t, "go.mod"), "\tgithub.com/influxdata/telegraf v"+telegrafVersion+"\n")
	r := runTelegraf(t, "version")
	require.Zero(t, r.code)
	require.Regexp(t, `^telegraf-describe \S+ \(Telegraf 1\.39\.3\)\n$`, r.stdout)
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}} {
		require.Equal(t, r.stdout, printed(t, args...))
	}
}

func TestHelpListsFlagsAndSubcommands(t *testing.T) {
	text := printed(t, "--help")
	for _, name := range []string{
		"--config ", "--config-directory ", "--config-url-retry-attempts ", "--config-url-watch-interval ", "--test ", "--test-wait ", "--once ", "--debug ",
		"--quiet ", "--watch-config ", "--watch-interval ", "--watch-debounce-interval ", "--pidfile ", "--pprof-addr ", "--usage ", "--select ",
		"--strict-env-handling ", "--non-strict-env-handling ", "--section-filter ", "--input-filter ", "--output-filter ", "--aggregator-filter ",
		"--processor-filter ", "--secretstore-filter ", "--print-plugin-config-source ", "--password ", "--unprotected ", "--old-env-behavior ",
		"--deprecation-list ", "--version ", "version ", "config ", "plugins ", "secrets ",
	} {
		require.Contains(t, text, "  "+name)
	}
}

func TestHelpOfDescribeIsTheSameBothWays(t *testing.T) {
	t.Parallel()
	want := runTelegraf(t, "describe", "--help")
	require.Contains(t, want.stdout, "--group-by")
	require.Equal(t, want.stdout, runTelegraf(t, "help", "describe").stdout)
}

func TestInvalidCommandLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--bogus"}, "unknown flag --bogus: --help lists the flags"},
		{[]string{"config", "check", "--confg", "x"}, "unknown flag --confg, did you mean --config?"},
		{[]string{"execd"}, "execd needs --config FILE"},
		{[]string{"execd", "--confg", "x"}, "unknown flag --confg, did you mean --config?"},
		{[]string{"bogus"}, `unknown command "bogus": --help lists the commands`},
		{[]string{"--strict-env-handling", "config", "check", "--non-strict-env-handling"}, "cannot be used together"},
		{[]string{}, "telegraf.d/*.conf: name a file with --config; the command 'config create' prints one"},
		{[]string{"config", "check"}, "no config file specified, and could not find one"},
		{[]string{"--config", "/nowhere/telegraf.conf"}, "/nowhere/telegraf.conf"},
		{[]string{"--config-directory", "/nowhere"}, "/nowhere"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			r := runTelegraf(t, c.args...)
			require.Equal(t, 1, r.code)
			require.Contains(t, r.stderr, c.want)
			require.Empty(t, r.stdout)
			require.NotContains(t, r.stderr, "panic")
		})
	}
}

// These command lines end before a configuration is read.
func TestInvalidFlagsAndNamesOfCommands(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--confg", "x"}, "unknown flag --confg, did you mean --config?: --help lists the flags"},
		{[]string{"confg"}, `unknown command "confg", did you mean "config"?`},
		{[]string{"config", "chek"}, `unknown command "chek", did you mean "check"?`},
		{[]string{"plugins", "agregators"}, `unknown command "agregators", did you mean "aggregators"?`},
		{[]string{"config", "bogus"}, `unknown command "bogus"`},
		{[]string{"plugins", "bogus"}, `unknown command "bogus"`},
		{[]string{"--usage", "bogus"}, `this build has no plugin "bogus"`},
		{[]string{"--watch-config", "often"}, `invalid --watch-config "often", want notify or poll`},
		{[]string{"--watch-config", "poll", "--watch-interval", "-1s"}, "invalid --watch-interval -1s, want more than 0s"},
		{[]string{"--watch-debounce-interval", "-1s"}, "invalid --watch-debounce-interval -1s"},
		{[]string{"--test-wait", "-1"}, "invalid --test-wait -1"},
		{[]string{"--test-wait", "soon"}, `invalid value "soon" for flag -test-wait`},
		{[]string{"--strict-env-handling", "--non-strict-env-handling"}, "cannot be used together"},
		{[]string{"--select", "nonsense"}, "nonsense"},
	} {
		text, err := tried(t, c.args...)
		require.ErrorContains(t, err, c.want, c.args)
		require.Empty(t, text, c.args)
	}
}

func TestInvalidConfigurations(t *testing.T) {
	t.Parallel()
	const input = "[[inputs.file]]\n  files = [\"/dev/null\"]\n"
	const output = "[[outputs.discard]]\n"
	for _, c := range []struct{ name, config, want string }{
		{"no inputs", output, "no inputs found"},
		{"no outputs", input, "no outputs found"},
		{"empty", "", "no inputs found"},
		{"no TOML", "[[inputs.file]", "telegraf.conf"},
		{"interval", "[agent]\n  interval = \"0s\"\n" + input + output, "agent interval must be positive, found 0s"},
		{"flush interval", "[agent]\n  flush_interval = \"0s\"\n" + input + output, "agent flush_interval must be positive, found 0s"},
		{"plugin that is not in this build", "[[inputs.prometheus]]\n" + output, "this build lacks 1 plugin that the configuration needs: inputs.prometheus ("},
		{"unknown option", input + output + "[[aggregators.describe]]\n  buckt = \"1h\"\n", `telegraf.conf:5: aggregators.describe has no option "buckt", did you mean "bucket"?`},
		{"wrong type", input + output + "[[aggregators.describe]]\n  stats = 7\n", `telegraf.conf:5: aggregators.describe: invalid 'stats' setting 7, want a list`},
		{"width with an unknown unit", input + output + "[[aggregators.describe]]\n  bucket = \"10x\"\n", "telegraf.conf:5: aggregators.describe: invalid 'bucket' setting"},
		{"width of nothing", input + output + "[[aggregators.describe]]\n  bucket = \"0s\"\n", "0s"},
		{"width below nothing", input + output + "[[aggregators.describe]]\n  bucket = \"-1d\"\n", "-1d"},
		{"unknown statistic", input + output + "[[aggregators.describe]]\n  stats = [\"averag\"]\n", "averag"},
		{"cache without a database", input + "[[outputs.rediscache]]\n", "database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, "telegraf.conf", c.config)
			r := runTelegraf(t, "--config", path)
			require.Equal(t, 1, r.code)
			require.Contains(t, r.stderr, "E! ")
			require.Contains(t, r.stderr, c.want)
			require.NotContains(t, r.stderr, "panic")
			checked := runTelegraf(t, "config", "check", "--config", path)
			require.Equal(t, 1, checked.code)
			require.Contains(t, checked.stderr, "E! ")
			require.Contains(t, checked.stderr, c.want)
		})
	}
}

func TestConfigCheckJoinsAllFiles(t *testing.T) {
	t.Parallel()
	input, output := writeFile(t, "in.conf", "[[inputs.mem]]\n"), writeFile(t, "out.conf", "[[outputs.discard]]\n")
	r := runTelegraf(t, "config", "check", "--config", input, "--config", output)
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "OK\n", r.stdout)
}

func TestPluginsListsOurPluginsAndThoseOfUpstream(t *testing.T) {
	for kind, want := range map[string][]string{
		"aggregators":  {"basicstats", "describe", "final", "merge", "quantile", "starlark"},
		"outputs":      {"discard", "file", "influxdb_v2", "influxdb_v3", "prometheus_client", "rediscache"},
		"inputs":       {"cpu", "exec", "file", "mqtt_consumer", "opcua", "tail"},
		"processors":   {"dedup", "rename", "starlark"},
		"parsers":      {"csv", "grok", "influx", "json_v2", "prometheus"},
		"serializers":  {"csv", "influx", "json", "prometheus"},
		"secretstores": {"test"},
	} {
		text := printed(t, "plugins", kind)
		for _, name := range want {
			require.Contains(t, text, kind+"."+name+"\n")
		}
		for line := range strings.Lines(text) {
			require.True(t, strings.HasPrefix(line, kind+"."), line)
		}
	}
	all := printed(t, "plugins")
	require.Contains(t, all, "aggregators.describe\n")
	require.Contains(t, all, "outputs.rediscache\n")
	// Telegraf prints the deprecations to os.Stdout.
	require.Zero(t, runTelegraf(t, "plugins", "inputs", "--deprecated").code)
}

func TestUsagePrintsTheOptionsOfEveryKind(t *testing.T) {
	for _, name := range []string{"describe", "rediscache", "cpu"} {
		require.Contains(t, printed(t, "--usage", name), "."+name+"]]")
	}
	full := printed(t, "--usage", "aggregators.describe") // as the command plugins prints it
	require.Contains(t, full, "[[aggregators.describe]]")
	full = printed(t, "--usage", "outputs.file")
	require.Contains(t, full, "[[outputs.file]]")
	require.NotContains(t, full, "[[inputs.file]]")
	both := printed(t, "--usage", "file")
	require.Contains(t, both, "[[inputs.file]]")
	require.Contains(t, both, "[[outputs.file]]")
}

func TestConfigCheckAcceptsTheOutputOfConfigCreate(t *testing.T) {
	created := runTelegraf(t, "config", "create")
	require.Zero(t, created.code)
	require.Contains(t, created.stdout, "\n[[aggregators.describe]]\n")
	require.Contains(t, created.stdout, "\n# [[outputs.rediscache]]\n")
	require.Contains(t, created.stdout, fmt.Sprintf("\n  metric_buffer_limit = %d\n", bufferLimit))
	for _, args := range [][]string{{"config", "create"}, {"config"}, {"--sample-config"}} {
		require.Equal(t, created.stdout, printed(t, args...), args)
	}
	checked := runTelegraf(t, "config", "check", "--config", writeFile(t, "telegraf.conf", created.stdout))
	require.Zero(t, checked.code, checked.stderr)
}

func TestConfigCreateIsFiltered(t *testing.T) {
	args := []string{"--section-filter", "inputs:aggregators:outputs", "--input-filter", "cpu:mem", "--aggregator-filter", "describe", "--output-filter", "rediscache"}
	after := printed(t, append([]string{"config", "create"}, args...)...)
	require.Equal(t, []string{"[[outputs.rediscache]]", "[[aggregators.describe]]", "[[inputs.cpu]]", "[[inputs.mem]]"}, sections(after))
	require.Equal(t, after, printed(t, append(args, "config", "create")...), "filters before and after the subcommand")
}

// sections returns the headers in a configuration that are not comments.
func sections(text string) (found []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestConfigCheckInitializesThePlugins(t *testing.T) {
	t.Parallel()
	const text = "[[inputs.file]]\n  files = [\"/dev/null\"]\n[[aggregators.describe]]\n  quantile_method = \"guess\"\n[[outputs.discard]]\n"
	path := writeFile(t, "telegraf.conf", text)
	for _, args := range [][]string{{"config", "check", "--config", path}, {"--config", path, "config", "check"}, {"config", "--config", path, "check"}} {
		r := runTelegraf(t, args...)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.stderr, `"guess"`)
	}
	good := writeFile(t, "telegraf.conf", strings.Replace(text, "guess", "linear", 1))
	r := runTelegraf(t, "config", "check", "--config", good)
	require.Zero(t, r.code, r.stderr)
	require.NotContains(t, r.stderr, "grace is", "config check opens the gates too")
	require.Contains(t, r.stderr, " W! [agent] skip_processors_after_aggregators is not set")
	for _, args := range [][]string{{"config", "check", "--quiet"}, {"--quiet", "config", "check"}, {"config", "--quiet", "check"}} {
		r := runTelegraf(t, append(args, "--config", good)...)
		require.Zero(t, r.code, r.stderr)
		require.Empty(t, r.stderr+r.stdout, args)
	}
}

func TestConfigMigrateWritesAnotherFile(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "telegraf.conf", "[[inputs.tail]]\n  files = [\"/tmp/x\"]\n  from_beginning = true\n")
	r := runTelegraf(t, "config", "migrate", "--config", path)
	require.Zero(t, r.code, r.stderr)
	migrated := readFile(t, path+".migrated")
	require.Contains(t, migrated, "initial_read_offset")
	require.NotContains(t, migrated, "from_beginning")

	again := runTelegraf(t, "config", "migrate", "--config", path)
	require.Equal(t, 1, again.code)
	require.Contains(t, again.stderr, "exists: --force overwrites it")
	require.Zero(t, runTelegraf(t, "config", "migrate", "--force", "--config", path).code)
}

func TestDeprecationList(t *testing.T) {
	t.Parallel()
	r := runTelegraf(t, "--deprecation-list", "--input-filter", "tail")
	require.Zero(t, r.code)
	require.Contains(t, r.stdout, "Deprecated inputs:\n")
	require.Contains(t, r.stdout, "inputs.tail/from_beginning")
	require.NotContains(t, r.stdout, "inputs.modbus")
}

func TestDefaultConfigurationsAreThoseOfUpstream(t *testing.T) {
	t.Parallel()
	const text = "[[inputs.file]]\n  files = [\"/dev/null\"]\n  name_override = \"from_%s\"\n[[outputs.discard]]\n"
	byVariable := writeFile(t, "variable.conf", text)
	r := startTelegrafWith(t, []string{"TELEGRAF_CONFIG_PATH=" + byVariable}, "--test").wait()
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stderr, byVariable)

	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, ".telegraf"), 0o700))
	byHome := filepath.Join(home, ".telegraf", "telegraf.conf")
	require.NoError(t, os.WriteFile(byHome, []byte(text), 0o600))
	r = startTelegrafWith(t, []string{"HOME=" + home}, "--test").wait()
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stderr, byHome)
}
