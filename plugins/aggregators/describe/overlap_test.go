package describe

import (
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/testutil"
	"github.com/stretchr/testify/require"
)

func TestBlocksThatWriteOverEachOtherAreWarnedOf(t *testing.T) {
	for second, want := range map[string]int{
		`bucket = "1h"`: 1,
		"bucket = \"1h\"\n  prefix = \"hourly_\"":       0,
		"bucket = \"1h\"\n  bucket_tag = \"start\"":     0,
		"bucket = \"1h\"\n  name_suffix = \"_1h\"":      0,
		"namepass = [\"mem\"]":                          0,
		"[aggregators.describe.tagpass]\n  h = [\"a\"]": 0,
	} {
		cfg := config.NewConfig()
		text := "[[aggregators.describe]]\n[[aggregators.merge]]\n[[aggregators.describe]]\n  " + second + "\n"
		require.NoError(t, cfg.LoadConfigData([]byte(text), config.EmptySourcePath))
		log := &testutil.CaptureLogger{}
		for _, ra := range cfg.Aggregators {
			if d, ok := ra.Aggregator.(*Describe); ok {
				d.Log = log
			}
		}
		WarnOverlaps(cfg.Aggregators)
		require.Len(t, log.Warnings(), want, second)
	}
}
