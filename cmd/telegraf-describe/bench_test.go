package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/stretchr/testify/require"
)

const (
	benchLines  = 300_000
	benchFields = 10
	benchSeries = 100
)

// benchInput writes the lines of BenchmarkProcess: 10 fields of 100 hosts every 10 s, for eight hours and 20 minutes.
func benchInput(b *testing.B) (path string) {
	b.Helper()
	var lines strings.Builder
	for i := range benchLines {
		fmt.Fprintf(&lines, "cpu,host=host%d,cpu=cpu-total,region=eu-1 ", i%benchSeries)
		for f := range benchFields {
			if f > 0 {
				lines.WriteByte(',')
			}
			fmt.Fprintf(&lines, "usage_field_%d=%d.%d", f, (i*7+f*13)%100, (i/benchSeries*31+f)%10)
		}
		at := time.Date(2024, 2, 25, 0, 0, 0, 0, time.UTC).Add(time.Duration(i/benchSeries) * 10 * time.Second)
		fmt.Fprintf(&lines, " %d\n", at.UnixNano())
	}
	return writeFile(b, "in.lp", lines.String())
}

// benchConfiguration reads the lines with one aggregator or none. All values arrive in one period, so the gates are open.
func benchConfiguration(input, aggregator, options, output string) string {
	text := fmt.Sprintf("[agent]\n  omit_hostname = true\n  skip_processors_after_aggregators = true\n"+
		"[[inputs.file]]\n  files = [%q]\n  data_format = \"influx\"\n%s", input, output)
	if aggregator != "" {
		text += fmt.Sprintf("[[aggregators.%s]]\n  period = \"24h\"\n  grace = \"876000h\"\n%s", aggregator, options)
	}
	return text
}

// nothing is an aggregator that does nothing. Telegraf copies each metric for an aggregator, and passes the copy to it through a
// lock, so the cost of nothing is the least that an aggregator can have.
type nothing struct{}

func (*nothing) SampleConfig() string      { return "" }
func (*nothing) Add(telegraf.Metric)       {}
func (*nothing) Push(telegraf.Accumulator) {}
func (*nothing) Reset()                    {}

// withNothing is the variable with which a child process has the aggregator nothing.
const withNothing = "TELEGRAF_DESCRIBE_TEST_NOTHING"

func init() {
	if os.Getenv(withNothing) != "" {
		aggregators.Add("nothing", func() telegraf.Aggregator { return new(nothing) })
	}
}

// BenchmarkProcess runs the whole command with --once over 300,000 lines of 10 fields: without an aggregator, with an aggregator
// that does nothing, with basicstats, with final, which keeps the newest metric of each series, and with describe in buckets of
// an hour. Nothing is written.
//
// An iteration runs all of them, so that they have the same conditions, and the metrics are medians:
//
//	cpu-s         CPU time of the process, from its start to its end
//	x-none        cpu-s as a ratio to that without an aggregator
//	x-basicstats  the same to that with basicstats
func BenchmarkProcess(b *testing.B) {
	input := benchInput(b)
	checkBenchAnswer(b, input)
	all := []benchProcess{
		{name: "none"},
		{name: "basicstats", aggregator: "basicstats"},
		{name: "nothing", aggregator: "nothing"},
		{name: "final", aggregator: "final"},
		{name: "describe-default", aggregator: "describe", options: "  bucket = \"1h\"\n"},
		{name: "describe-compact", aggregator: "describe", options: "  bucket = \"1h\"\n  exact_limit = 64\n"},
	}
	for i := range all {
		all[i].conf = filepath.Join(b.TempDir(), "telegraf.conf")
		text := benchConfiguration(input, all[i].aggregator, all[i].options, "[[outputs.discard]]\n")
		require.NoError(b, os.WriteFile(all[i].conf, []byte(text), 0o600))
	}
	for b.Loop() {
		for i := range all {
			all[i].run(b)
		}
	}
	none, basic := all[0].median(), all[1].median()
	for i := range all {
		c := &all[i]
		b.ReportMetric(c.median(), c.name+"-cpu-s")
		if c.aggregator != "" {
			b.ReportMetric(c.median()/none, c.name+"-x-none")
		}
		if i > 1 {
			b.ReportMetric(c.median()/basic, c.name+"-x-basicstats")
		}
	}
}

// benchProcess is a configuration of BenchmarkProcess, with one aggregator or none, and the CPU time of its runs in seconds.
type benchProcess struct {
	name, aggregator, options, conf string
	used                            []float64
}

// run runs the command once.
func (c *benchProcess) run(b *testing.B) {
	p := startTelegrafWith(b, []string{withNothing + "=1"}, "--once", "--quiet", "--config", c.conf)
	require.Zero(b, p.wait().code)
	c.used = append(c.used, (p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()).Seconds())
}

func (c *benchProcess) median() float64 {
	slices.Sort(c.used)
	return c.used[len(c.used)/2]
}

// checkBenchAnswer checks that describe gets every value of the lines: the sum of the counts of its rows is their number.
func checkBenchAnswer(b *testing.B, input string) {
	b.Helper()
	out := filepath.Join(b.TempDir(), "out.lp")
	options := "  bucket = \"1h\"\n  stats = [\"count\"]\n  drop_original = true\n"
	conf := benchConfiguration(input, "describe", options, fmt.Sprintf("[[outputs.file]]\n  files = [%q]\n", out))
	r := runTelegraf(b, "--once", "--config", writeFile(b, "telegraf.conf", conf))
	require.Zero(b, r.code, r.stderr)
	total := 0
	for _, row := range rows(readFile(b, out)) {
		var n int
		_, statistics, _ := strings.Cut(row, " ")
		_, err := fmt.Sscanf(statistics, "count=%di", &n)
		require.NoError(b, err, row)
		total += n
	}
	require.Equal(b, benchLines*benchFields, total)
	require.NoError(b, os.Remove(out))
}
