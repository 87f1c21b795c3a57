package main

import (
	"testing"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"
	"github.com/stretchr/testify/require"
)

// gated returns the only aggregator of a configuration after openGates.
func gated(t *testing.T, text string) *models.RunningAggregator {
	t.Helper()
	c := config.NewConfig()
	require.NoError(t, c.LoadConfigData([]byte(text), config.EmptySourcePath))
	require.Len(t, c.Aggregators, 1)
	openGates(c.Aggregators)
	return c.Aggregators[0]
}

func TestGatesAreOpenedUnlessTheConfigurationSetsThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]time.Duration{
		"":                                 {openGate, openGate},
		`grace = "1h"`:                     {time.Hour, openGate},
		`delay = "0s"`:                     {openGate, 0},
		`period = "10s"`:                   {openGate, openGate},
		"grace = \"0s\"\n  delay = \"1m\"": {0, time.Minute},
	} {
		ra := gated(t, "[[aggregators.describe]]\n  "+text+"\n")
		require.Equal(t, want, [2]time.Duration{ra.Config.Grace, ra.Config.Delay}, text)
	}
}

func TestGatesAndPeriodsThatAreNumbersAreSeconds(t *testing.T) {
	t.Parallel()
	ra := gated(t, "[[aggregators.describe]]\n  grace = 60\n  period = 10\n")
	require.Equal(t, time.Minute, ra.Config.Grace)
	require.Equal(t, 10*time.Second, ra.Config.Period)
}

func TestGatesOfOtherAggregatorsAreUnchanged(t *testing.T) {
	t.Parallel()
	ra := gated(t, "[[aggregators.merge]]\n")
	require.Zero(t, ra.Config.Grace)
	require.Equal(t, 100*time.Millisecond, ra.Config.Delay, "Telegraf's default")
}
