package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// The agent of these tests is our own build, which has the processors.execd of the Telegraf that it is built on. The test
// binary is also the child, as it gets the environment of the agent.

// documented returns the plugin.conf and the telegraf.conf of the README of execd, with paths of this test in place of those of a
// system.
func documented(t *testing.T) (plugin, telegraf string) {
	t.Helper()
	text := readFile(t, "execd/README.md")
	paths := func(conf string, pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			require.Contains(t, conf, pairs[i])
		}
		return strings.NewReplacer(pairs...).Replace(conf)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(text, -1)
	require.Len(t, blocks, 3)
	plugin = writeFile(t, "describe-plugin.conf", paths(blocks[0][1], "/var/lib/telegraf-describe", t.TempDir()))
	telegraf = writeFile(t, "telegraf.conf", paths(blocks[1][1], "/usr/local/bin/telegraf-describe", os.Args[0], "/etc/telegraf/describe-plugin.conf", plugin))
	return plugin, telegraf
}

// point matches a line: its series and its time are submatches.
var point = regexp.MustCompile(`^((?:\\.|[^\\ ])+) .* (\d+)$`)

// newest returns the lines of line protocol, of which each replaces earlier ones with the same series and time, sorted.
func newest(text string) []string {
	last := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		last[point.ReplaceAllString(line, "$1 $2")] = line
	}
	return slices.Sorted(maps.Values(last))
}

const mixed = `weather,city=Oslo\ S,k=a\,b temp=1.5,wind=3i,ok=true,note="a, b=\"c\" \\ d" 1577836800000000001
weather,city=Oslo\ S,k=a\,b temp=2.25,wind=-4i,ok=false,note="x" 1577836800000000002
weather,city=Bergen temp=7 1577840400123456789
other value=9007199254740993i 1700000000000000000
`

func TestExecdGivesTheRowsOfTheAggregatorInTheAgent(t *testing.T) {
	t.Parallel()
	plugin, stock := documented(t)
	var got []string
	for i, conf := range []string{stock, plugin} {
		in, out := files(t, mixed)
		p := runTelegraf(t, "--once", "--config", writeFile(t, "more.conf", configuration(settings{input: in, output: out, agent: "  precision = \"1ns\"\n"})), "--config", conf)
		require.Zero(t, p.code)
		require.NotContains(t, p.stderr, "E! ")
		text := strings.Join(newest(readFile(t, out)), "\n")
		got = append(got, text)
		for line := range strings.Lines(mixed) {
			require.Contains(t, text, strings.TrimSpace(line), "an original of run %d", i)
		}
		if i == 0 { // the second run is another process with the same state
			require.NoError(t, os.RemoveAll(stateOf(t, plugin)))
		}
	}
	require.Contains(t, got[0], `analytics_weather,bucket_state=open,city=Oslo\ S,field_name=temp,k=a\,b count=2i,`)
	require.Equal(t, got[1], got[0])
}

// stateOf returns the folder of the option state.
func stateOf(t *testing.T, conf string) string {
	t.Helper()
	found := regexp.MustCompile(`state = "(.*)"`).FindStringSubmatch(readFile(t, conf))
	require.Len(t, found, 2)
	return found[1]
}

// stockTelegraf returns the configuration of an agent that takes lines by HTTP, describes them by execd with the options, and writes
// a file.
func stockTelegraf(t *testing.T, address, output, options string) string {
	t.Helper()
	plugin := writeFile(t, "plugin.conf", "[[aggregators.describe]]\n"+options)
	return writeFile(t, "telegraf.conf", fmt.Sprintf(`[agent]
  interval = "100ms"
  flush_interval = "100ms"
  omit_hostname = true
  skip_processors_after_aggregators = true
[[inputs.influxdb_v2_listener]]
  service_address = %q
[[processors.execd]]
  command = [%q, "execd", "--config", %q, "--round-interval=false"]
  restart_delay = "100ms"
[[outputs.file]]
  files = [%q]
`, address, os.Args[0], plugin, output))
}

// childOf waits for a child process that is not the one before, and returns its ID.
func childOf(p *telegrafProcess, before int) (child int) {
	p.t.Helper()
	pid := strconv.Itoa(p.cmd.Process.Pid)
	p.waitFor("a child process", func() bool {
		tasks, err := filepath.Glob("/proc/" + pid + "/task/*/children")
		require.NoError(p.t, err)
		for _, task := range tasks {
			text, _ := os.ReadFile(task) // the thread may have ended
			for _, id := range strings.Fields(string(text)) {
				child, _ = strconv.Atoi(id)
				if child != before {
					return true
				}
			}
		}
		return false
	})
	return child
}

func post(t *testing.T, address, lines string) {
	t.Helper()
	answer, err := apitest.Client.Post("http://"+address+"/api/v2/write?bucket=b&org=o", "", strings.NewReader(lines)) //nolint:noctx // ends with the command
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
}

// countOf returns the count of the newest row of m, or 0.
func countOf(t *testing.T, path string) (n int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`analytics_m,\S* count=(\d+)i`).FindAllStringSubmatch(readFile(t, path), -1) {
		count, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		require.GreaterOrEqual(t, count, n, "a count falls")
		n = count
	}
	return n
}

// A child that is killed under load loses the values since its last Push, and what Telegraf sends until it has started the next
// one.
func TestExecdThatIsKilledGoesOnWithItsState(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("there is no /proc to find child processes")
	}
	address, out := redistest.Free(t), filepath.Join(t.TempDir(), "out.lp")
	p := startTelegraf(t, "--config", stockTelegraf(t, address, out, fmt.Sprintf(
		"  period = \"200ms\"\n  bucket = \"1y\"\n  stats = [\"count\"]\n  drop_original = true\n  state = %q\n", t.TempDir())))
	p.waitFor("the listener", func() bool { return listens(address) })
	var sent, mayBeLost int
	child := childOf(p, 0)
	for range 3 {
		// Safe are the values that a row has counted: it left after the state had them.
		before := sent
		for range 100 {
			post(t, address, fmt.Sprintf("m f=%d %d\n", sent, 1_600_000_000_000_000_000+sent))
			sent++
		}
		least := before - mayBeLost
		p.waitFor("rows with the new values", func() bool { return countOf(t, out) > least })
		saved := countOf(t, out)
		require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
		next := childOf(p, child)
		mayBeLost = sent - saved
		post(t, address, fmt.Sprintf("m f=0 %d\n", 1_600_000_000_000_000_000+sent))
		sent++
		child = next
		p.waitFor("the value after the kill", func() bool { return countOf(t, out) > saved })
	}
	p.stop()
	count := countOf(t, out)
	require.GreaterOrEqual(t, count, sent-mayBeLost)
	require.LessOrEqual(t, count, sent)
	require.NotContains(t, readFile(t, out), "\nm ", "originals are dropped")
}

// A service manager sends SIGTERM to all processes of a service. On a machine that is so busy that Telegraf loses its patience with the child,
// the test begins again.
func TestExecdLosesNothingWhenItGetsTheSignalBeforeTelegraf(t *testing.T) {
	t.Parallel()
	for attempt := 1; !execdGetsTheSignalFirst(t); attempt++ {
		require.Less(t, attempt, 6, "the child never ends by itself")
	}
}

// execdGetsTheSignalFirst runs the test once. It returns false without a look at the rows if Telegraf has sent a signal too.
func execdGetsTheSignalFirst(t *testing.T) bool {
	t.Helper()
	address, out := redistest.Free(t), filepath.Join(t.TempDir(), "out.lp")
	p := startTelegraf(t, "--config", stockTelegraf(t, address, out, "  period = \"24h\"\n  stats = [\"count\"]\n"))
	p.waitFor("the listener", func() bool { return listens(address) })
	child := childOf(p, 0)
	post(t, address, "m f=1 1600000000000000001\n")
	p.waitForFile(out, "m f=1 ")
	require.NoError(t, syscall.Kill(child, syscall.SIGTERM))
	p.waitForLog("I! [processors.execd] Got the signal")
	post(t, address, "m f=2 1600000000000000002\n")
	began := time.Now()
	r := p.stop()
	if time.Since(began) >= 5*time.Second { // after that time, Telegraf sends SIGTERM
		return false
	}
	require.NotContains(t, r.stderr, "E! ")
	require.ElementsMatch(t, []string{
		"m f=1 1600000000000000001", "m f=2 1600000000000000002",
		"analytics_m,bucket_state=final,field_name=f count=2i 1599955200000000000",
	}, newest(readFile(t, out)))
	return true
}

func TestExecdThatTelegrafStartsTwiceNamesTheOption(t *testing.T) {
	t.Parallel()
	_, stock := documented(t)
	text := strings.Replace(readFile(t, stock), "skip_processors_after_aggregators = true", "skip_processors_after_aggregators = false", 1)
	in, out := files(t, mixed)
	more := strings.Replace(configuration(settings{input: in, output: out}), "  skip_processors_after_aggregators = true\n", "", 1)
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", text), "--config", writeFile(t, "more.conf", more+"[[aggregators.basicstats]]\n"))
	p.waitForLog("E! [processors.execd] if telegraf.conf has aggregators, set skip_processors_after_aggregators = true in [agent]")
	p.signal(syscall.SIGTERM)
	p.wait()
}

func TestExecdRefusesAPluginConfWithFileAndLine(t *testing.T) {
	t.Parallel()
	const block = "[[aggregators.describe]]\n  period = \"10s\"\n"
	for name, test := range map[string]struct{ conf, want string }{
		"syntax":         {block + "  bucket = \n", ": invalid TOML syntax"},
		"empty":          {"# nothing\n", ":1: there is no [[aggregators.describe]] table"},
		"other table":    {block + "[[inputs.cpu]]\n", `:3: found "inputs", want [[aggregators.describe]] tables only`},
		"aggregator":     {block + "[[aggregators.final]]\n", `:3: found "aggregators.final", want [[aggregators.describe]] tables only`},
		"no array":       {"[aggregators.describe]\n", `:1: found "aggregators.describe"`},
		"agent":          {"[agent]\n  debug = true\n" + block, `:1: found "agent"`},
		"unknown option": {block + block + "  buckett = \"1m\"\n", ":5: block 2 of aggregators.describe: unknown option 'buckett', did you mean \"bucket\"?"},
		"type":           {block + "  max_series = \"many\"\n", `:3: invalid 'max_series' setting "many", want a whole number without quotes`},
		"variable":       {block + "  state = \"${NO_SUCH}\"\n", `:3: invalid 'state' setting: the environment variable NO_SUCH is not set`},
		"secret":         {block + "  prefix = \"@{store:key}\"\n", `:3: option 'prefix' has the secret "@{store:key}"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, "plugin.conf", test.conf)
			_, err := loadPluginConf(path)
			require.ErrorContains(t, err, test.want)
			require.Contains(t, err.Error(), path)
		})
	}
	_, err := loadPluginConf(filepath.Join(t.TempDir(), "missing.conf"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestExecdNamesTheLinesOfAllInvalidOptions(t *testing.T) {
	t.Parallel()
	conf := writeFile(t, "plugin.conf", "[[aggregators.describe]]\n\n[[aggregators.describe]]\n  prefix = \"x_\"\n  layout = \"wide\"\n  stats = [\"average\"]\n")
	r := runTelegraf(t, "execd", "--config", conf)
	require.Equal(t, 1, r.code)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "E! "+conf+":5: block 2 of aggregators.describe: invalid 'layout' setting \"wide\"")
	require.Contains(t, r.stderr, "E! "+conf+":6: block 2 of aggregators.describe: invalid 'stats' setting")
	for line := range strings.Lines(r.stderr) {
		require.Regexp(t, "^[EWI]! ", line)
	}
}

func TestExampleStockTelegraf(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out.lp")
	env := []string{
		"DESCRIBE=" + os.Args[0], "PLUGIN_CONF=" + example(t, "stock-telegraf/plugin.conf"), "STATE=" + t.TempDir(), "OUTPUT_FILE=" + out,
	}
	p := startTelegrafWith(t, env, "--config", example(t, "stock-telegraf/telegraf.conf"), "--config", impatient(t))
	p.waitForFile(out, "mem,")
	p.waitForFile(out, "system,")
	p.stop()
	text := readFile(t, out)
	require.Regexp(t, `analytics_mem,bucket_state=open,field_name=used_percent,host=\S+ count=\d+i,min=\S+,max=\S+,p95=\S+ \d+`, text)
	require.Contains(t, text, "analytics_system,")
}
