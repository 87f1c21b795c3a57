package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// history has values that Telegraf drops with its default grace.
const history = `weather,city=Oslo temp=1.5,wind=3i 1577836800000000000
weather,city=Oslo temp=2.5,wind=4i 1577836860000000000
weather,city=Oslo temp=3.5,wind=5i 1577840400000000000
`

// settings are the variable parts of the configuration of a test.
type settings struct {
	input     string // path of the file that is read at each interval
	output    string // path of the file that is written
	agent     string // more options of [agent]
	name      string // name_override of the input
	describe  string // options of describe; empty for no describe
	noOutputs bool
}

// configuration returns a configuration that reads a file every 100 ms and writes another one without delay. Periods begin with the process
// and not at round times, one of which may come during a test. Unless the options of describe set it, the period is onePeriod.
func configuration(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[agent]\n  interval = \"100ms\"\n  flush_interval = \"100ms\"\n  omit_hostname = true\n"+
		"  skip_processors_after_aggregators = true\n  round_interval = false\n%s", s.agent)
	if s.agent != "" {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "[[inputs.file]]\n  files = [%q]\n  name_override = %q\n", s.input, s.name)
	if s.describe != "" {
		if !strings.Contains(s.describe, "period = ") {
			s.describe = onePeriod + s.describe
		}
		fmt.Fprintf(&b, "[[aggregators.describe]]\n%s\n", s.describe)
	}
	if !s.noOutputs {
		fmt.Fprintf(&b, "[[outputs.file]]\n  files = [%q]\n", s.output)
	}
	return b.String()
}

// files returns the paths of an input with the lines and of an output that does not exist yet.
func files(t *testing.T, lines string) (input, output string) {
	t.Helper()
	return writeFile(t, "in.lp", lines), filepath.Join(t.TempDir(), "out.lp")
}

// rows returns the sorted lines of analytics tables.
func rows(text string) (found []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "analytics_") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestFlagTestPrintsMetricsAndWritesNothing(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, describe: "  bucket = \"1h\"\n  stats = [\"count\", \"max\"]"}))
	r := runTelegraf(t, "--config", config, "--test")
	require.Zero(t, r.code)
	require.Contains(t, r.stdout, "> weather,city=Oslo temp=1.5,wind=3i 1577836800000000000\n")
	require.Contains(t, r.stdout, "> analytics_weather,bucket_state=final,city=Oslo,field_name=temp count=2i,max=2.5 1577836800000000000\n")
	require.Empty(t, readFile(t, out))
}

func TestFlagTestNeedsNoOutputs(t *testing.T) {
	t.Parallel()
	in, _ := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, noOutputs: true}))
	require.Zero(t, runTelegraf(t, "--config", config, "--test").code)
	require.Equal(t, 1, runTelegraf(t, "--config", config, "--once").code)
	require.Equal(t, 1, runTelegraf(t, "--config", config, "--test", "--once").code, "--once overrides --test")
}

func TestFlagOnceDescribesHistory(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, describe: "  bucket = \"1h\"\n  stats = [\"count\", \"max\"]"}))
	r := runTelegraf(t, "--config", config, "--once")
	require.Zero(t, r.code)
	require.ElementsMatch(t, []string{
		"analytics_weather,bucket_state=final,city=Oslo,field_name=temp count=2i,max=2.5 1577836800000000000",
		"analytics_weather,bucket_state=final,city=Oslo,field_name=wind count=2i,max=4 1577836800000000000",
		"analytics_weather,bucket_state=final,city=Oslo,field_name=temp count=1i,max=3.5 1577840400000000000",
		"analytics_weather,bucket_state=final,city=Oslo,field_name=wind count=1i,max=5 1577840400000000000",
	}, rows(readFile(t, out)))
	require.NotContains(t, r.stderr, "grace is")
}

func TestGatesInTheConfigurationAreKept(t *testing.T) {
	t.Parallel()
	in, out := files(t, history+fmt.Sprintf("weather,city=Oslo temp=9 %d\n", time.Now().UnixNano()))
	config := writeFile(t, "telegraf.conf", configuration(settings{
		input: in, output: out, describe: "  period = \"1h\"\n  grace = \"2h\"\n  stats = [\"count\", \"max\"]",
	}))
	r := runTelegraf(t, "--config", config, "--once")
	require.Zero(t, r.code)
	found := rows(readFile(t, out))
	require.Len(t, found, 1, "history is older than the grace")
	require.Contains(t, found[0], "count=1i,max=9 ")
}

func TestOtherAggregatorsKeepTheirGates(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out})+"[[aggregators.basicstats]]\n  stats = [\"count\"]\n")
	require.Zero(t, runTelegraf(t, "--config", config, "--once").code)
	require.NotContains(t, readFile(t, out), "temp_count")
}

func TestSIGTERMStopsAfterAFinalPush(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		in, out := files(t, history)
		config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, describe: "  period = \"24h\"\n  stats = [\"max\"]\n  bucket = \"1d\""}))
		p := startTelegraf(t, "--config", config)
		p.waitForFile(out, "weather,")
		require.Empty(t, rows(readFile(t, out)), "the period has not ended")
		p.signal(s)
		require.Zero(t, p.wait().code)
		require.Contains(t, rows(readFile(t, out)), "analytics_weather,bucket_state=final,city=Oslo,field_name=temp max=3.5 1577836800000000000")
	}
}

func TestSIGHUPLoadsTheChangedConfiguration(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, name: "before"}))
	pid := filepath.Join(t.TempDir(), "telegraf.pid")
	p := startTelegraf(t, "--config", config, "--pidfile", pid)
	p.waitForFile(out, "before,")
	require.Equal(t, strconv.Itoa(p.cmd.Process.Pid)+"\n", readFile(t, pid))

	after := configuration(settings{input: in, output: out, name: "after", describe: "  period = \"24h\"\n  stats = [\"max\"]\n  bucket = \"1d\""})
	require.NoError(t, os.WriteFile(config, []byte(after), 0o600))
	p.signal(syscall.SIGHUP)
	p.waitForFile(out, "after,")
	require.Equal(t, strconv.Itoa(p.cmd.Process.Pid)+"\n", readFile(t, pid))
	p.stop()
	require.Contains(t, rows(readFile(t, out)), "analytics_after,bucket_state=final,city=Oslo,field_name=temp max=3.5 1577836800000000000", "a reload opens the gates too")
	require.NoFileExists(t, pid)
}

// Two blocks that differ in their buckets only have a state each in Telegraf's state file.
func TestSIGHUPKeepsTheBucketsInTelegrafsStateFile(t *testing.T) {
	t.Parallel()
	in, out := files(t, "m v=1 1577836800000000000\n")
	block := "  period = \"100ms\"\n  stats = [\"count\"]\n  bucket = \"%s\"\n  timestamp = \"end\""
	conf := configuration(settings{
		input: in, output: out, agent: fmt.Sprintf("  statefile = %q", filepath.Join(t.TempDir(), "state")),
		describe: fmt.Sprintf(block, "1d") + "\n[[aggregators.describe]]\n" + fmt.Sprintf(block, "1h"),
	})
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", conf))
	day, hour := "1577923200000000000", "1577840400000000000" // the ends of the buckets
	count := func(end string) (most int) {
		for _, row := range rows(readFile(t, out)) {
			var n int
			if fields, ok := strings.CutSuffix(row, " "+end); ok {
				_, fields, _ = strings.Cut(fields, "count=")
				_, err := fmt.Sscanf(fields, "%d", &n)
				require.NoError(t, err, row)
			}
			most = max(most, n)
		}
		return most
	}
	last := 0
	for range 2 {
		p.waitFor("rows", func() bool { return count(day) > last+3 && count(hour) > last+3 })
		p.signal(syscall.SIGHUP)
		p.waitForLog("Reloading the configuration")
		last = min(count(day), count(hour))
		require.NoError(t, os.Truncate(out, 0)) // what follows must count on
	}
	p.waitFor("rows", func() bool { return count(day) > last && count(hour) > last })
	p.stop()
	require.NotContains(t, readFile(t, out), "bucket_state=final", "the buckets stay open")
}

// The reason is in one line of the log, and the agent runs on: with the old configuration, its state and its buffer on disk.
func TestTheAgentRunsOnWhenTheNewConfigurationIsBroken(t *testing.T) {
	t.Parallel()
	for how, args := range map[string][]string{"SIGHUP": nil, "notify": {"--watch-config", "notify"}, "poll": {"--watch-config", "poll"}} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			in, out := files(t, history)
			text := func(name, bucket string) string {
				describe := fmt.Sprintf("  period = \"100ms\"\n  bucket = %q\n  state = %q", bucket, filepath.Join(filepath.Dir(out), "state"))
				agent := fmt.Sprintf("  buffer_strategy = \"disk\"\n  buffer_directory = %q", filepath.Join(filepath.Dir(out), "buffer"))
				return configuration(settings{input: in, output: out, name: name, describe: describe, agent: agent})
			}
			path := writeFile(t, "telegraf.conf", text("first", "1d"))
			p := startTelegraf(t, append([]string{"--config", path}, args...)...)
			p.waitForFile(out, "first,")
			for i, broken := range []struct{ text, want string }{
				{"[[inputs.nonesuch]]\n", "this build lacks 1 plugin that the configuration needs: inputs.nonesuch ("},
				{text("second", "1x") + "[[aggregators.describe]]\n  emit = \"finale\"\n", "invalid 'bucket' setting"},
			} {
				require.NoError(t, os.WriteFile(path, []byte(broken.text), 0o600))
				if args == nil {
					p.signal(syscall.SIGHUP)
				}
				p.waitForLog(broken.want)
				lines := regexp.MustCompile("(?m)^.* E! The new configuration has an error, so the agent runs on with the old one: .*$").FindAllString(p.stderr.String(), -1)
				require.Len(t, lines, i+1)
				require.Contains(t, lines[i], broken.want)
				before := len(readFile(t, out))
				p.waitFor("more metrics", func() bool { return len(readFile(t, out)) > before })
			}
			require.Contains(t, p.stderr.String(), `invalid 'emit' setting "finale"`)
			require.NotContains(t, p.stderr.String(), "Reloading the configuration")

			require.NoError(t, os.WriteFile(path, []byte(text("second", "1d")), 0o600))
			if args == nil {
				p.signal(syscall.SIGHUP)
			}
			p.waitForFile(out, "second,")
			p.stop()
		})
	}
}

func TestSIGUSR1FlushesTheOutputs(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	text := strings.Replace(configuration(settings{input: in, output: out}), `flush_interval = "100ms"`, `flush_interval = "24h"`, 1)
	text = strings.Replace(text, "[agent]\n", "[agent]\n  metric_batch_size = 100000\n  metric_buffer_limit = 200000\n", 1)
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", text))
	p.waitForLog("[agent] Config: Interval")
	require.Empty(t, readFile(t, out))
	p.waitFor("a flush", func() bool { // the first signals may find nothing to flush
		p.signal(syscall.SIGUSR1)
		return strings.Contains(readFile(t, out), "weather,")
	})
	p.stop()
}

// slowConfig serves a configuration and answers a request only when the test lets it.
func slowConfig(t *testing.T, text string) (url string, asked <-chan struct{}, answer func()) {
	t.Helper()
	requests, proceed := make(chan struct{}, 100), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		select {
		case <-proceed:
			fmt.Fprint(w, text)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/telegraf.conf", requests, func() { close(proceed) }
}

func receive(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.FailNow(t, "never: "+what)
	}
}

func TestSignalsWhileLoadingDoNotKill(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	url, asked, answer := slowConfig(t, configuration(settings{input: in, output: out}))
	p := startTelegraf(t, "--config", url)
	receive(t, asked, "a request for the configuration")
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGHUP} {
		p.signal(s)
	}
	answer()
	receive(t, asked, "the configuration is loaded again")
	p.waitForFile(out, "weather,")
	p.stop()
}

func TestAStopDoesNotWaitForAConfiguration(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		url, asked, _ := slowConfig(t, "")
		p := startTelegraf(t, "--config", url, "--config-url-retry-attempts", "-1")
		receive(t, asked, "a request for the configuration")
		p.signal(s)
		require.Zero(t, p.wait().code)
	}
}

func TestInterruptsEndSubcommands(t *testing.T) {
	t.Parallel()
	url, asked, _ := slowConfig(t, "")
	// A test in the background of a shell script ignores interrupts, and a child would inherit that.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, os.Interrupt)
	p := startTelegraf(t, "config", "check", "--config", url)
	signal.Stop(heard)
	receive(t, asked, "a request for the configuration")
	p.signal(syscall.SIGINT)
	require.Equal(t, -1, p.wait().code)
}

func TestNoReloadAfterAStop(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out})))
	p.waitForFile(out, "weather,")
	p.signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGHUP) // the process may have ended
	require.Zero(t, p.wait().code)
}

func TestAChangedConfigurationIsReloaded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
	}{
		{"notify", []string{"--watch-config", "notify"}},
		{"notify and settled", []string{"--watch-config", "notify", "--watch-debounce-interval", "100ms"}},
		{"poll", []string{"--watch-config", "poll"}},
		{"poll often", []string{"--watch-config", "poll", "--watch-interval", "20ms", "--watch-debounce-interval", "20ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in, out := files(t, history)
			config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, name: "first"}))
			p := startTelegraf(t, append(c.args, "--config", config)...)
			p.waitForFile(out, "first,")

			replacement := config + ".new" // as editors do
			require.NoError(t, os.WriteFile(replacement, []byte(configuration(settings{input: in, output: out, name: "second"})), 0o600))
			require.NoError(t, os.Rename(replacement, config))
			p.waitForFile(out, "second,")

			text := configuration(settings{input: in, output: out, name: "third"})
			replacement = config + ".newer"
			require.NoError(t, os.WriteFile(replacement, []byte(text), 0o600))
			require.NoError(t, os.Rename(replacement, config))
			p.waitForFile(out, "third,")
			p.stop()
		})
	}
}

func TestAMovedLinkIsAChangedConfiguration(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"notify", "poll"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			in, out := files(t, history)
			// The folder of a Kubernetes volume: telegraf.conf -> ..data/telegraf.conf, ..data -> ..1
			root := t.TempDir()
			for version, name := range map[string]string{"..1": "first", "..2": "second"} {
				require.NoError(t, os.Mkdir(filepath.Join(root, version), 0o700))
				text := configuration(settings{input: in, output: out, name: name})
				require.NoError(t, os.WriteFile(filepath.Join(root, version, "telegraf.conf"), []byte(text), 0o600))
			}
			require.NoError(t, os.Chtimes(filepath.Join(root, "..1", "telegraf.conf"), time.Time{}, time.Now().Add(-time.Hour)))
			require.NoError(t, os.Symlink("..1", filepath.Join(root, "..data")))
			require.NoError(t, os.Symlink("..data/telegraf.conf", filepath.Join(root, "telegraf.conf")))
			p := startTelegraf(t, "--config", filepath.Join(root, "telegraf.conf"), "--watch-config", how)
			p.waitForFile(out, "first,")
			require.NoError(t, os.Symlink("..2", filepath.Join(root, "..new")))
			require.NoError(t, os.Rename(filepath.Join(root, "..new"), filepath.Join(root, "..data")))
			p.waitForFile(out, "second,")
			p.stop()
		})
	}
}

func TestANewFileInAFolderIsAChangedConfiguration(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"notify", "poll"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			in, out := files(t, history)
			folder := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(folder, "one.conf"), []byte(configuration(settings{input: in, output: out, name: "one"})), 0o600))
			p := startTelegraf(t, "--config-directory", folder, "--watch-config", how)
			p.waitForFile(out, "one,")
			more := fmt.Sprintf("[[inputs.file]]\n  files = [%q]\n  name_override = \"two\"\n", in)
			written := writeFile(t, "two.conf", more)
			require.NoError(t, os.Rename(written, filepath.Join(folder, "two.conf")))
			p.waitForFile(out, "two,")
			p.stop()
		})
	}
}

func TestAChangedConfigurationOfAServerIsReloaded(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	name := filepath.Join(t.TempDir(), "name")
	require.NoError(t, os.WriteFile(name, []byte("first"), 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now, err := os.ReadFile(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Last-Modified", "the one with "+string(now))
		fmt.Fprint(w, configuration(settings{input: in, output: out, name: string(now)}))
	}))
	defer server.Close()
	p := startTelegraf(t, "--config", server.URL+"/telegraf.conf", "--config-url-watch-interval", "20ms")
	p.waitForFile(out, "first,")
	p.waitFor("a change", func() bool { // the first request only records Last-Modified
		require.NoError(t, os.WriteFile(name+".new", []byte("next"+strconv.FormatInt(time.Now().UnixNano(), 10)), 0o600))
		require.NoError(t, os.Rename(name+".new", name))
		return strings.Contains(readFile(t, out), "next")
	})
	p.stop()
}

func TestFilesAndFoldersAreJoined(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	one := writeFile(t, "one.conf", configuration(settings{input: in, output: out, name: "one"}))
	folder := t.TempDir()
	more := func(name string) string {
		return fmt.Sprintf("[[inputs.file]]\n  files = [%q]\n  name_override = %q\n", in, name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "two.conf"), []byte(more("two")), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("no configuration"), 0o600))
	three := writeFile(t, "three.conf", more("three"))
	r := runTelegraf(t, "--config", one, "--config", three, "--config-directory", folder, "--once")
	require.Zero(t, r.code)
	for _, name := range []string{"one,", "two,", "three,"} {
		require.Contains(t, readFile(t, out), name)
	}
}

func TestInputsAndOutputsAreFiltered(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out})+"[[inputs.mem]]\n[[outputs.discard]]\n")
	r := runTelegraf(t, "--config", config, "--once", "--input-filter", "mem:cpu", "--output-filter", "file")
	require.Zero(t, r.code)
	require.Contains(t, readFile(t, out), "mem ")
	require.NotContains(t, readFile(t, out), "weather")
	require.Contains(t, r.stderr, "Loaded outputs: file\n")
}

func TestPluginsAreSelectedByLabel(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	labelled := configuration(settings{input: in, output: out, name: "chosen"})
	labelled = strings.Replace(labelled, "[[outputs.file]]", "  [inputs.file.labels]\n    site = \"north\"\n[[outputs.file]]", 1)
	other := fmt.Sprintf("[[inputs.file]]\n  files = [%q]\n  name_override = \"other\"\n  [inputs.file.labels]\n    site = \"south\"\n", in)
	config := writeFile(t, "telegraf.conf", labelled+other)
	require.Zero(t, runTelegraf(t, "--config", config, "--once", "--select", "site=north").code)
	require.Contains(t, readFile(t, out), "chosen,")
	require.NotContains(t, readFile(t, out), "other,")
}

func TestEnvironmentVariables(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out, name: "${NAME}", agent: "  metric_batch_size = ${BATCH}"}))
	env := []string{"NAME=named", "BATCH=10"}
	require.Equal(t, 1, startTelegrafWith(t, env, "--config", config, "--once").wait().code, "a variable that is not in a string")
	require.Zero(t, startTelegrafWith(t, env, "--config", config, "--once", "--non-strict-env-handling").wait().code)
	require.Contains(t, readFile(t, out), "named,")
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out}))
	require.Contains(t, runTelegraf(t, "--config", config, "--once").stderr, "(Telegraf 1.39.3)")
	require.Contains(t, runTelegraf(t, "--config", config, "--once", "--debug").stderr, "D! [agent] Connecting outputs")
	require.Empty(t, runTelegraf(t, "--config", config, "--once", "--quiet").stderr)
}

// 3,000 series of 10 fields are 30,000 rows in one period. The batch is larger and the outputs are flushed at the end only, so that no row is
// written before all have arrived.
func TestOutputsHoldTheRowsOfAPeriod(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&lines, "m,s=%d a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1 1577836800000000000\n", i)
	}
	run := func(agent string) (found int, log string) {
		in, out := files(t, lines.String())
		s := settings{input: in, output: out, agent: "  metric_batch_size = 100000\n" + agent, describe: onePeriod + "  drop_original = true\n  stats = [\"max\"]"}
		text := strings.Replace(configuration(s), `flush_interval = "100ms"`, `flush_interval = "24h"`, 1)
		r := runTelegraf(t, "--once", "--config", writeFile(t, "telegraf.conf", text))
		require.Zero(t, r.code)
		return len(rows(readFile(t, out))), r.stderr
	}
	found, log := run("")
	require.Equal(t, 30000, found)
	require.NotContains(t, log, "overflow")
	found, log = run("  metric_buffer_limit = 1000")
	require.Less(t, found, 30000)
	require.Contains(t, log, "W! [outputs.file] Metric buffer overflow; ")
}

func TestMetricBufferLimitHasOurDefault(t *testing.T) {
	const agent, set = "[agent]\n  omit_hostname = true\n", "  metric_buffer_limit = 10000\n"
	const input, output = "[[inputs.mem]]\n", "[[outputs.discard]]\n"
	for _, c := range []struct {
		name, config string
		want         int
	}{
		{"no agent table", input + output, 100000},
		{"an agent table without it", agent + input + output, 100000},
		{"the agent's", agent + set + input + output, 10000},
		{"the output's", agent + input + output + set, 10000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &runner{options: options{files: []string{writeFile(t, "telegraf.conf", c.config)}}}
			loaded, err := r.load()
			require.NoError(t, err)
			require.Equal(t, c.want, loaded.Outputs[0].MetricBufferLimit)
		})
	}
}

func TestAnUnreachableRedisIsOnlyLogged(t *testing.T) {
	t.Parallel()
	nobody := redistest.Free(t)
	in, _ := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, noOutputs: true, describe: "  stats = [\"max\"]"})+
		fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = \"db\"\n  startup_error_behavior = \"retry\"\n", nobody))
	r := runTelegraf(t, "--config", config, "--once")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, nobody)
	for _, line := range trimmedLines(r.stderr) {
		require.Regexp(t, `^(\d{4}-\d\d-\d\dT\S+ [DIWE]! |$)`, line)
	}
}

func TestProfilesAreServed(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out}))
	address := redistest.Free(t)
	free, err := net.Listen("tcp", address)
	require.NoError(t, err)

	taken := startTelegraf(t, "--config", config, "--pprof-addr", address).wait()
	require.Equal(t, 1, taken.code)
	require.Contains(t, taken.stderr, "serving profiles: listen tcp "+address)

	require.NoError(t, free.Close())
	p := startTelegraf(t, "--config", config, "--pprof-addr", address)
	p.waitFor("the profiles", func() bool {
		resp, err := apitest.Client.Get("http://" + address + "/debug/pprof/cmdline")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	p.stop()
}

func TestSystemdIsNotified(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "notify") //nolint:usetesting // the names of sockets are short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "s"), Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	next := func() string {
		require.NoError(t, socket.SetReadDeadline(time.Now().Add(patience)))
		b := make([]byte, 1000)
		n, err := socket.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}

	in, out := files(t, history)
	config := writeFile(t, "telegraf.conf", configuration(settings{input: in, output: out}))
	p := startTelegrafWith(t, []string{"NOTIFY_SOCKET=" + filepath.Join(folder, "s")}, "--config", config)
	require.Equal(t, "READY=1", next())
	p.signal(syscall.SIGHUP)
	require.Regexp(t, `^RELOADING=1\nMONOTONIC_USEC=\d+\n$`, next())
	require.Equal(t, "READY=1", next())
	p.signal(syscall.SIGTERM)
	require.Equal(t, "STOPPING=1", next())
	require.Zero(t, p.wait().code)
}
