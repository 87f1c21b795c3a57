package describe

import "time"

// checkGates logs a warning if Telegraf will drop values that linger and max_future allow. Telegraf compares the time
// of a metric with the current period before it calls the plugin; grace and delay are the tolerances:
//
//	  dropped      grace           period         delay     dropped
//	───────────┼─────────────┼───────────────┼───────────┼───────────▶ time of the metric
//
// The plugin cannot count these values, because it never gets them.
func (d *Describe) checkGates() {
	var grace, delay time.Duration
	if d.Grace != nil {
		grace = time.Duration(*d.Grace)
	}
	if d.Delay != nil {
		delay = time.Duration(*d.Delay)
	}
	const consequence = "before describe sees and counts them"
	if grace < d.options.Linger {
		d.Log.Warnf("grace is %s and linger %s: Telegraf drops values more than grace older than the period %s; set grace = \"87600h\" to describe history",
			grace, d.options.Linger, consequence)
	}
	if d.Delay == nil || delay < time.Duration(d.MaxFuture) {
		d.Log.Warnf("delay is %s and max_future %s: Telegraf drops values more than delay newer than the period %s; set delay = \"87600h\" to describe them",
			delay, time.Duration(d.MaxFuture), consequence)
	}
	if d.DropOriginal && grace < d.options.Linger {
		d.Log.Warn("With drop_original the originals of those values are dropped too")
	}
}
