package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// The tests in this file are the first hour of a new user. Each one has a transcript in examples/first-hour: the
// commands, and the output without what differs from run to run.

var update = flag.Bool("update", false, "write the transcripts in examples/first-hour anew")

// transcript collects commands and their output.
type transcript struct {
	t       *testing.T
	text    strings.Builder
	replace []string // pairs: a text of this run, and the text that the transcript has instead
}

// command adds a command line.
func (s *transcript) command(line string) { fmt.Fprintf(&s.text, "$ %s\n", line) }

// output adds the output of a command.
func (s *transcript) output(text string) { s.text.WriteString(text) }

// log waits until the log has the text last, and adds the lines of the log that match the pattern, each of them once.
func (s *transcript) log(p *telegrafProcess, pattern, last string) {
	s.t.Helper()
	p.waitForLog(last)
	shown, seen := regexp.MustCompile(pattern), map[string]bool{}
	for line := range strings.Lines(p.stderr.String()) {
		if line = s.normal(line); shown.MatchString(line) && !seen[line] {
			seen[line] = true
			s.output(line)
		}
	}
}

// variable are the parts of a line that differ from run to run.
var variable = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`"(min|max|mean|median|mode|p95)":[0-9.e+-]+`), `"$1":NUMBER`},
	{regexp.MustCompile(`"time":\d{13}\b`), `"time":MILLISECONDS`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+(->127\.0\.0\.1:\d+)?`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`after [0-9.]+m?s; attempts that failed: \d+`), "after SECONDS; attempts that failed: N"},
	{regexp.MustCompile(`telegraf-describe \S+ \(`), "telegraf-describe VERSION ("},
	{regexp.MustCompile(`"count":\d+`), `"count":N`},
}

// normal replaces the parts of a text that differ from run to run.
func (s *transcript) normal(text string) string {
	text = strings.NewReplacer(s.replace...).Replace(text)
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.instead)
	}
	return text
}

// compare compares the transcript with the one in examples/first-hour.
func (s *transcript) compare(name string) {
	s.t.Helper()
	path := example(s.t, "first-hour/"+name+".txt")
	got := s.normal(s.text.String())
	if *update {
		require.NoError(s.t, os.WriteFile(path, []byte(got), 0o600))
	}
	require.Equal(s.t, readFile(s.t, path), got, "if the new text is right, run the test with -update")
}

// get returns the body of an answer of status 200, and "" otherwise.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := apitest.Client.Get(url) //nolint:noctx // the servers are on this machine
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// stockConfig is Telegraf's own default configuration: its inputs, and InfluxDB at a URL.
func stockConfig(t *testing.T, s *transcript, influx string) string {
	t.Helper()
	args := []string{"config", "create", "--input-filter", "cpu:disk:diskio:kernel:mem:processes:swap:system", "--output-filter", "influxdb", "--aggregator-filter", "none"}
	s.command("telegraf-describe " + strings.Join(args, " ") + " > telegraf.conf")
	r := runTelegraf(t, args...)
	require.Zero(t, r.code, r.stderr)
	const urls = `# urls = ["http://127.0.0.1:8086"]`
	require.Contains(t, r.stdout, urls)
	return writeFile(t, "telegraf.conf", strings.Replace(r.stdout, urls, fmt.Sprintf("urls = [%q]", influx), 1))
}

// With the configuration of a new Telegraf and the blocks of the README, the API has statistics within a minute.
func TestFirstHourFirstRowsWithinAMinute(t *testing.T) {
	t.Parallel()
	influx := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/write" {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer influx.Close()
	redistest.Need(t)
	url, redis := startAPI(t, "ANALYTICS_API_LISTEN=127.0.0.1:0", "ANALYTICS_API_EMBEDDED=auto", "ANALYTICS_API_EMBEDDED_LISTEN="+redistest.Free(t))
	host, err := os.Hostname()
	require.NoError(t, err)
	s := &transcript{t: t}
	conf, added := stockConfig(t, s, influx.URL), example(t, "first-hour/describe.conf")
	s.replace = []string{conf, "telegraf.conf", added, "describe.conf", url, "http://127.0.0.1:8001", `"` + host + `"`, `"HOST"`}
	s.command("telegraf-describe config check --config telegraf.conf --config describe.conf")
	env := []string{"REDIS_URL=redis://" + redis}
	checked := startTelegrafWith(t, env, "config", "check", "--config", conf, "--config", added).wait()
	require.Zero(t, checked.code, checked.stderr)
	s.output(checked.stdout)

	s.command("telegraf-describe --config telegraf.conf --config describe.conf")
	started := time.Now()
	p := startTelegrafWith(t, env, "--config", conf, "--config", added)
	mem := url + "/analytics/mem?database=mydb&field=used_percent&last=1"
	p.waitFor("statistics of the memory", func() bool { return get(t, mem) != "" })
	t.Logf("the first statistics after %s", time.Since(started).Round(time.Second))
	if os.Getenv("FAULTS") == "1" { // on a machine that does other work, the time means nothing
		require.Less(t, time.Since(started), time.Minute)
	}
	// Warnings of inputs and of their tags depend on the machine.
	s.log(p, `^TIME (I! (Loading|Starting|Loaded)|[WE]! (\[outputs|[^\[]))`, "Loaded outputs")
	s.command("curl '" + mem + "'")
	s.output(get(t, mem))
	p.stop()
	s.compare("1-first-rows")
}

func TestFirstHourDescribesAFile(t *testing.T) {
	t.Parallel()
	s := &transcript{t: t}
	s.command("telegraf-describe describe ../describe-files/rooms.csv")
	r := runTelegraf(t, "describe", example(t, "describe-files/rooms.csv"))
	require.Zero(t, r.code, r.stderr)
	require.Empty(t, r.stderr)
	s.output(r.stdout)
	s.compare("2-a-file")
}

// quick returns a configuration with describe, an output and a short period.
func quick(output string) string {
	return `[agent]
  omit_hostname = true
  interval = "200ms"
  flush_interval = "200ms"
  skip_processors_after_aggregators = true

[[inputs.mem]]

[[aggregators.describe]]
  period = "200ms"
  bucket = "1s"

` + output
}

func rediscache(addr string) string {
	return fmt.Sprintf("[[outputs.rediscache]]\n  namepass = [\"analytics_*\"]\n  servers = [\"redis://%s\"]\n  database = \"mydb\"\n", addr)
}

func TestFirstHourReloadOfABrokenFile(t *testing.T) {
	t.Parallel()
	in, out := files(t, history)
	text := func(bucket string) string {
		return configuration(settings{input: in, output: out, describe: fmt.Sprintf("  period = \"100ms\"\n  bucket = %q\n", bucket)})
	}
	path := writeFile(t, "telegraf.conf", text("1m"))
	s := &transcript{t: t, replace: []string{path, "telegraf.conf"}}
	s.command("telegraf-describe --config telegraf.conf")
	p := startTelegraf(t, "--config", path)
	p.waitFor("rows", func() bool { return readFile(t, out) != "" })
	s.command("sed -i 's/bucket = \"1m\"/bucket = \"1 minute\"/' telegraf.conf   # in another terminal")
	s.command("pkill -HUP telegraf-descri")
	require.NoError(t, os.WriteFile(path, []byte(text("1 minute")), 0o600))
	p.signal(syscall.SIGHUP)
	s.log(p, "the agent runs on with the old one", "the agent runs on with the old one")
	before := len(readFile(t, out))
	p.waitFor("more rows of the old agent", func() bool { return len(readFile(t, out)) > before })
	p.stop()
	s.compare("5-reload-of-a-broken-file")
}

func TestFirstHourRedisIsAwayAndBack(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	s := &transcript{t: t}
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", quick(rediscache(server.Addr()))))
	s.command("telegraf-describe --config telegraf.conf")
	p.waitFor("records in Redis", func() bool { return redistest.Client(t, server).DBSize(t.Context()).Val() > 0 })
	s.command("redis-cli shutdown   # in another terminal")
	require.NoError(t, server.Stop())
	refused := regexp.MustCompile(`E! .*connection refused`)
	p.waitFor("a write that is refused", func() bool { return refused.MatchString(p.stderr.String()) })
	s.command("redis-server         # again")
	again, err := redisserver.Start(context.Background(), redisserver.Options{Addr: server.Addr()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Stop()) })
	// Which other errors come before depends on the moment at which Redis ended.
	s.log(p, `E! .*connection refused|Recovered`, "Recovered")
	p.waitFor("records in the new Redis", func() bool { return redistest.Client(t, again).DBSize(t.Context()).Val() > 0 })
	p.stop()
	s.compare("3-redis-away-and-back")
}

func TestFirstHourRedisIsReadOnly(t *testing.T) {
	t.Parallel()
	primary := redistest.Server(t)
	host, port, _ := strings.Cut(primary.Addr(), ":")
	replica := redistest.Start(t, redisserver.Options{Args: []string{"--replicaof", host + " " + port}})
	s := &transcript{t: t}
	p := startTelegraf(t, "--config", writeFile(t, "telegraf.conf", quick(rediscache(replica.Addr()))))
	s.command("telegraf-describe --config telegraf.conf   # servers has the address of a replica")
	s.log(p, `E! .*READONLY`, "READONLY You can't write against a read only replica")
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait().code)
	s.compare("4-redis-is-read-only")
}

func TestTheREADMEHasTheBlocksOfTheFirstHour(t *testing.T) {
	t.Parallel()
	_, blocks, found := strings.Cut(readFile(t, example(t, "first-hour/describe.conf")), "[[aggregators.describe]]")
	require.True(t, found)
	require.Contains(t, readFile(t, example(t, "../README.md")), "```toml\n[[aggregators.describe]]"+blocks+"```")
}

// Within single quotes, a backslash at the end of a line is a part of the text.
func TestCommandsOfTheREADMEContinueOutsideOfQuotes(t *testing.T) {
	t.Parallel()
	for line := range strings.SplitSeq(readFile(t, example(t, "../README.md")), "\n") {
		if strings.HasSuffix(line, `\`) {
			require.Zero(t, strings.Count(line, "'")%2, line)
		}
	}
}
