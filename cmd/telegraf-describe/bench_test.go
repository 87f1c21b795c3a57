package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// BenchmarkProcess runs the whole command with --once over 300,000 lines of 10 fields, without an aggregator, with
// basicstats, and with describe in buckets of an hour. Nothing is written. The metrics are:
//
//	cpu-s         CPU time of the process, from its start to its end
//	x-none        cpu-s as a ratio to that without an aggregator in the same run
//	x-basicstats  the same to that with basicstats
func BenchmarkProcess(b *testing.B) {
	input := benchInput(b)
	checkBenchAnswer(b, input)
	cost := make(map[string]float64)
	for _, c := range []struct{ name, aggregator, options string }{
		{"none", "", ""},
		{"basicstats", "basicstats", ""},
		{"describe-default", "describe", "  bucket = \"1h\"\n"},
		{"describe-compact", "describe", "  bucket = \"1h\"\n  exact_limit = 64\n"},
	} {
		b.Run("aggregator="+c.name, func(b *testing.B) {
			conf := writeFile(b, "telegraf.conf", benchConfiguration(input, c.aggregator, c.options, "[[outputs.discard]]\n"))
			var used time.Duration
			for b.Loop() {
				p := startTelegraf(b, "--once", "--quiet", "--config", conf)
				require.Zero(b, p.wait().code)
				used += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
			}
			cost[c.name] = used.Seconds() / float64(b.N)
			b.ReportMetric(cost[c.name], "cpu-s")
			if none := cost["none"]; none > 0 && c.aggregator != "" {
				b.ReportMetric(cost[c.name]/none, "x-none")
			}
			if basic := cost["basicstats"]; basic > 0 && c.aggregator == "describe" {
				b.ReportMetric(cost[c.name]/basic, "x-basicstats")
			}
		})
	}
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
