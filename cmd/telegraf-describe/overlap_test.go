package main

import (
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

func TestOverlappingDescribeBlocksAreLogged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		first, second string
		want          int
	}{
		{"", `bucket = "1h"`, 1},
		{"", "bucket = \"1h\"\n  prefix = \"hourly_\"", 0},
		{"", "bucket = \"1h\"\n  bucket_tag = \"start\"", 0},
		{"", "bucket = \"1h\"\n  name_suffix = \"_1h\"", 0},
		{"", "[aggregators.describe.tagpass]\n  h = [\"a\"]", 0},
		{"", `namepass = ["mem"]`, 1},
		{`namepass = ["cpu"]`, "", 1},
		{`namepass = ["cpu"]`, `namepass = ["mem"]`, 0},
		{`namepass = ["cpu", "disk"]`, `namepass = ["mem", "cpu"]`, 1},
		{`namepass = ["cpu*"]`, `namepass = ["cpu_total"]`, 1},
		{`namepass = ["mem"]`, `namedrop = ["mem"]`, 0},
		{`namepass = ["mem", "cpu"]`, `namedrop = ["mem"]`, 1},
		{`namedrop = ["cpu"]`, `namedrop = ["mem"]`, 1},
	} {
		cfg := config.NewConfig()
		text := "[[aggregators.describe]]\n  " + test.first + "\n[[aggregators.merge]]\n[[aggregators.describe]]\n  " + test.second + "\n"
		require.NoError(t, cfg.LoadConfigData([]byte(text), config.EmptySourcePath))
		log := &plugintest.Log{}
		for _, ra := range cfg.Aggregators {
			if d, ok := ra.Aggregator.(*describe.Describe); ok {
				d.Log = log
			}
		}
		warnOverlaps(cfg.Aggregators, []string{"a.conf:1", "b.conf:7"})
		require.Len(t, log.Messages(), test.want, "%s and %s", test.first, test.second)
		if test.want > 0 {
			require.Contains(t, log.Warnings()[0], "The describe blocks in a.conf:1 and b.conf:7 have the prefix \"analytics_\"")
			warnOverlaps(cfg.Aggregators, nil)
			require.Contains(t, log.Warnings()[1], "Another describe block and this one have the prefix")
		}
	}
}

// A file of config create and describe.conf of the first hour have a block each.
func TestTheWarningOfTwoBlocksNamesTheirLines(t *testing.T) {
	t.Parallel()
	first := writeFile(t, "telegraf.conf", "[[inputs.mem]]\n\n[[aggregators.describe]]\n")
	second := writeFile(t, "describe.conf", "## added\n[[aggregators.describe]]\n[[outputs.discard]]\n")
	r := runTelegraf(t, "config", "check", "--config", first, "--config", second)
	require.Equal(t, 0, r.code)
	require.Contains(t, r.stderr, "The describe blocks in "+first+":3 and "+second+":2 have the prefix")
}

func TestANameOverrideOfSeveralMeasurementsIsLogged(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]int{
		"": 0, "namepass = [\"cpu\"]": 0,
		"name_override = \"stats\"":                                  1,
		"name_override = \"stats\"\n  namepass = [\"cpu\"]":          0,
		"name_override = \"stats\"\n  namepass = [\"cpu*\"]":         1,
		"name_override = \"stats\"\n  namepass = [\"cpu\", \"mem\"]": 1,
	} {
		cfg := config.NewConfig()
		require.NoError(t, cfg.LoadConfigData([]byte("[[aggregators.describe]]\n  "+settings+"\n"), config.EmptySourcePath))
		d, ok := cfg.Aggregators[0].Aggregator.(*describe.Describe)
		require.True(t, ok)
		log := &plugintest.Log{}
		d.Log = log
		warnMerges(cfg.Aggregators)
		require.Len(t, log.Warnings(), want, settings)
		require.Len(t, log.Messages(), want, settings)
	}
}
