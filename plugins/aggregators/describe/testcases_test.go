package describe_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"
	parser "github.com/influxdata/telegraf/plugins/parsers/influx"
	serializer "github.com/influxdata/telegraf/plugins/serializers/influx"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

var update = flag.Bool("update", false, "write the expected output of the test cases anew")

// Each folder of testcases has a configuration, an input and the expected output of a RunningAggregator.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testcases/*")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			cfg := config.NewConfig()
			require.NoError(t, cfg.LoadConfig(filepath.Join(folder, "telegraf.conf")))
			require.Len(t, cfg.Aggregators, 1)
			input, err := os.ReadFile(filepath.Join(folder, "input.influx"))
			require.NoError(t, err)
			got := through(t, cfg.Aggregators[0], parse(t, input))

			expected := filepath.Join(folder, "expected.out")
			if *update {
				require.NoError(t, os.WriteFile(expected, serialize(t, got), 0o600))
			}
			want, err := os.ReadFile(expected)
			require.NoError(t, err)
			require.Equal(t, string(want), string(serialize(t, got)))
		})
	}
}

// openGate is a grace and a delay with which Telegraf passes values of any time to the plugin.
const openGate = 290 * 8766 * time.Hour

// through runs the metrics through Telegraf's own wrapper of an aggregator, with open gates.
func through(t testing.TB, ra *models.RunningAggregator, metrics []telegraf.Metric) []telegraf.Metric {
	t.Helper()
	ra.Config.Grace, ra.Config.Delay = openGate, openGate
	require.NoError(t, ra.Init())
	now := time.Now()
	ra.UpdateWindow(now, now.Add(ra.Period()))
	for _, m := range metrics {
		ra.Add(m)
	}
	var acc plugintest.Accumulator
	ra.Push(&acc)
	return acc.Metrics()
}

// described runs the metrics through the plugin of a configuration, without Telegraf's wrapper.
func described(t testing.TB, ra *models.RunningAggregator, metrics []telegraf.Metric) []telegraf.Metric {
	t.Helper()
	require.NoError(t, ra.Init())
	for _, m := range metrics {
		ra.Aggregator.Add(m)
	}
	var acc plugintest.Accumulator
	ra.Aggregator.Push(&acc)
	return acc.Metrics()
}

func parse(t testing.TB, lines []byte) []telegraf.Metric {
	t.Helper()
	p := &parser.Parser{}
	require.NoError(t, p.Init())
	metrics, err := p.Parse(lines)
	require.NoError(t, err)
	return metrics
}

func serialize(t *testing.T, metrics []telegraf.Metric) []byte {
	t.Helper()
	s := &serializer.Serializer{UintSupport: true}
	require.NoError(t, s.Init())
	var b strings.Builder
	for _, m := range metrics {
		line, err := s.Serialize(m)
		require.NoError(t, err)
		b.Write(line)
	}
	return []byte(b.String())
}
