package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

func TestABufferBelowTheRowsOfMaxSeriesIsWarnedOf(t *testing.T) {
	for _, test := range []struct {
		describe, output string
		want             int // the rows in the warning, or 0 for no warning
	}{
		{"", "metric_buffer_limit = 1", 0},
		{"max_series = 500", "metric_buffer_limit = 1000", 0},
		{"max_series = 501", "metric_buffer_limit = 1000", 1002},
		{"max_series = 1000\n  emit = \"final\"", "metric_buffer_limit = 1000", 0},
		{"max_series = 1001\n  emit = \"final\"", "metric_buffer_limit = 1000", 1001},
		{"max_series = 300\n[[aggregators.describe]]\n  prefix = \"p_\"\n  max_series = 300", "metric_buffer_limit = 1000", 1200},
		{"max_series = 50001", "", 100002},
		{"max_series = 501", "metric_buffer_limit = 1000\n  namepass = [\"cpu\"]", 0},
		{"max_series = 501", "metric_buffer_limit = 1000\n  namepass = [\"analytics_*\"]", 1002},
	} {
		c := newConfig()
		text := "[[aggregators.describe]]\n  " + test.describe + "\n[[outputs.discard]]\n  " + test.output + "\n"
		require.NoError(t, c.LoadConfigData([]byte(text), config.EmptySourcePath))
		got := logged(func() { warnBuffers(c) })
		if test.want == 0 {
			require.Empty(t, got, "%+v", test)
			continue
		}
		require.Contains(t, got, fmt.Sprintf("but describe can emit %d rows at once", test.want), "%+v", test)
	}
}

// nowhere is an accumulator that drops the rows. The one of Telegraf's package testutil costs a third of each start of the command, which is
// this test program: that package imports one that looks at all processes of the machine when it is initialized.
type nowhere struct{ telegraf.Accumulator }

func (nowhere) SetPrecision(time.Duration) {}
func (nowhere) AddMetric(telegraf.Metric)  {}

func TestABufferThatTheEmittedRowsNearlyFillIsWarnedOf(t *testing.T) {
	c := newConfig()
	require.NoError(t, c.LoadConfigData([]byte(`
[[aggregators.describe]]
  grace = "876000h"
  emit = "update"
[[aggregators.describe]]
  prefix = "p_"
  grace = "876000h"
  emit = "update"
[[outputs.discard]]
  metric_buffer_limit = 100
[[outputs.discard]]
  metric_buffer_limit = 10000
[[outputs.discard]]
  alias = "originals"
  metric_buffer_limit = 10
  namepass = ["cpu"]
`), config.EmptySourcePath))
	h := newHost(c, true, false)
	hosts := 0
	push := func(block, series int) string {
		d := h.plugins[block]
		for range series {
			hosts++
			d.Add(metric.New("m", map[string]string{"host": strconv.Itoa(hosts)}, map[string]any{"v": 1.0}, time.Now()))
		}
		return logged(func() { d.Push(nowhere{}) })
	}
	for _, ra := range c.Aggregators {
		require.NoError(t, ra.Aggregator.(*describe.Describe).Init())
	}
	require.Empty(t, push(0, 30))
	require.Empty(t, push(1, 20))
	require.Contains(t, push(1, 21), "[outputs.discard] metric_buffer_limit = 100 holds fewer than two Pushes of describe, whose blocks emitted 51 rows "+
		"in their last ones: rows beyond the limit are lost; set metric_buffer_limit = 204 or more")
	require.Empty(t, push(0, 31), "the warning is repeated for few more rows")
	require.Contains(t, push(0, 90), "emitted 111 rows")
}

// An operator reads warnings only if none is normal.
func TestExamplesPrintNoWarning(t *testing.T) {
	t.Parallel()
	input := writeFile(t, "telegraf.conf", "[agent]\n  skip_processors_after_aggregators = true\n[[inputs.cpu]]\n")
	check := func(files ...string) []string {
		args := []string{"config", "check"}
		for _, file := range files {
			args = append(args, "--config", file)
		}
		return args
	}
	for name, args := range map[string][]string{
		"quickstart":                 check(example(t, "quickstart/telegraf.conf")),
		"influxdb3":                  check(example(t, "influxdb3/telegraf.conf")),
		"migrate-from-python-plugin": check(example(t, "migrate-from-python-plugin/telegraf.conf")),
		"stock-telegraf":             check(example(t, "stock-telegraf/telegraf.conf")),
		"stock-telegraf, plugin":     {"execd", "--config", example(t, "stock-telegraf/plugin.conf")},
		"first-hour":                 check(input, example(t, "first-hour/describe.conf")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{
				"INFLUX_URL=http://127.0.0.1:1", "INFLUX_TOKEN=secret", "LISTEN=127.0.0.1:0", "STATE=" + t.TempDir(),
				"REDIS_URL=redis://127.0.0.1:6379", "REPLAY_FILE=" + example(t, "../testdata/latency.lp"), "OUTPUT_FILE=stdout",
				"DESCRIBE=" + os.Args[0], "PLUGIN_CONF=" + example(t, "stock-telegraf/plugin.conf"),
			}
			r := startTelegrafWith(t, env, args...).wait()
			require.Zero(t, r.code, r.stderr)
			if args[0] == "config" {
				require.Equal(t, "OK\n", r.stdout)
			}
			for _, line := range trimmedLines(r.stderr) {
				if name == "migrate-from-python-plugin" && strings.Contains(line, "A restart loses the open buckets") {
					continue // its README runs it with --once, where there is no restart and no such warning
				}
				require.NotRegexp(t, "(^| )[WE]! ", line)
			}
		})
	}
}
