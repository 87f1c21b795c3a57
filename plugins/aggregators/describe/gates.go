package describe

import (
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"
)

// openGate is as wide as Telegraf can add to a time: about 290 years.
const openGate = 290 * 8766 * time.Hour

// OpenGates makes a running aggregator take values of any time, when its plugin is describe: Telegraf
// drops what is older than grace or newer than delay before the plugin sees it. A gate that the
// configuration sets stays as it is; one that is set as a number, which Telegraf leaves out without a word,
// counts in seconds, and so does period. Call it after the configuration was loaded and before the agent
// runs, as the plugin's Init looks at the gates.
func OpenGates(ra *models.RunningAggregator) {
	d, ok := ra.Aggregator.(*Describe)
	if !ok {
		return
	}
	gate := config.Duration(openGate)
	if d.Grace == nil {
		d.Grace = &gate
	}
	if d.Delay == nil {
		d.Delay = &gate
	}
	ra.Config.Grace, ra.Config.Delay = time.Duration(*d.Grace), time.Duration(*d.Delay)
	if d.Period > 0 {
		ra.Config.Period = time.Duration(d.Period)
	}
}

// checkGates warns where Telegraf will drop values that the options promise to take.
func (d *Describe) checkGates() {
	var grace, delay time.Duration
	if d.Grace != nil {
		grace = time.Duration(*d.Grace)
	}
	if d.Delay != nil {
		delay = time.Duration(*d.Delay)
	}
	const consequence = "before describe sees and counts them"
	if grace < d.linger {
		d.Log.Warnf("grace is %s and linger %s: Telegraf drops values more than grace older than the period %s; set grace = \"87600h\" to take history",
			grace, d.linger, consequence)
	}
	if d.Delay == nil || delay < time.Duration(d.MaxFuture) {
		d.Log.Warnf("delay is %s and max_future %s: Telegraf drops values more than delay newer than the period %s; set delay = \"87600h\" to take them",
			delay, time.Duration(d.MaxFuture), consequence)
	}
	if d.DropOriginal && grace < d.linger {
		d.Log.Warn("With drop_original the originals of those values are dropped too")
	}
}
