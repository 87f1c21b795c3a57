package main

import (
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// openGate is about the longest duration that Telegraf can add to a time: 290 years. A time.Duration has 63 bits of nanoseconds, and ends
// at 292 years. 8766 hours are a year of 365.25 days.
const openGate = 290 * 8766 * time.Hour

// openGates sets the grace and the delay of every describe aggregator so that values of any time reach it. By default
// Telegraf drops a metric that is older or newer than the current period before the plugin sees it. The gate of a period is
//
//	start − grace ≤ time of the metric ≤ end + delay
//
// where Telegraf's defaults are 0 for grace and 100 ms for delay. With drop_original, the dropped metric does not reach the outputs either.
//
// A grace or delay that the configuration sets is kept. Telegraf ignores these settings, and period, where they are
// plain numbers; openGates applies them as seconds.
//
// It must be called after the configuration was loaded and before the agent initializes the plugins, because describe
// compares both settings with its own options in Init.
func openGates(all []*models.RunningAggregator) {
	for _, ra := range all {
		if d, ok := ra.Aggregator.(*describe.Describe); ok {
			openGatesOf(ra, d)
		}
	}
}

// openGatesOf opens the gates of one aggregator. Grace and Delay of d are pointers: nil means that the configuration does not set them. d
// has the same toml keys as the general options of Telegraf, so each value is in two places: d, where describe reads it in Init, and
// ra.Config, where Telegraf does. Afterwards grace and delay are the same in both.
func openGatesOf(ra *models.RunningAggregator, d *describe.Describe) {
	gate := config.Duration(openGate)
	if d.Grace == nil {
		d.Grace = &gate
	}
	if d.Delay == nil {
		d.Delay = &gate
	}
	ra.Config.Grace, ra.Config.Delay = time.Duration(*d.Grace), time.Duration(*d.Delay)
	if d.Period > 0 { // Init refuses others
		ra.Config.Period = time.Duration(d.Period)
	}
}
