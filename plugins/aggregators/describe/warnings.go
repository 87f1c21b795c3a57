package describe

import (
	"fmt"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
)

// ambiguousBefore is the first time whose nanoseconds InfluxDB 3 recognizes as nanoseconds if a write does not name
// the precision: 27 February 1970. It takes smaller numbers for another unit.
var ambiguousBefore = time.Unix(0, 5e15).UTC()

// warnOld logs a warning, once, if InfluxDB 3 would misread a timestamp.
func (d *Describe) warnOld(at time.Time) {
	if d.old || !at.Before(ambiguousBefore) {
		return
	}
	d.old = true
	d.Log.Warnf("A bucket has the time %s; InfluxDB 3 takes nanoseconds before %s for another unit unless the precision is given",
		at.Format(time.RFC3339Nano), ambiguousBefore.Format(time.RFC3339Nano))
}

// silentPushes is how many Pushes without a value noteSilence waits for. The first period can be short, and the second can
// end before an input has a difference to report, as that of a CPU.
const silentPushes = 3

// noteSilence logs, once, that nothing was described in the first periods, and what to look at. It is no warning, because some inputs have
// metrics only now and then. Push calls it.
func (d *Describe) noteSilence() {
	if d.pushes >= silentPushes {
		return
	}
	d.pushes++
	switch {
	case d.pushes < silentPushes || d.described.Load():
	case !d.started:
		d.Log.Info("No metric has come to this block so far: check its filters, such as namepass and fieldinclude, and the inputs (logged once)")
	case d.ignored.Load() > 0:
		d.Log.Info("The metrics so far have no numbers to describe, only texts, or booleans that are ignored: " +
			"check the fields and data_format of the inputs (logged once)")
	}
}

// warnDropped logs how many values were dropped since the last Push, by reason, in one line. Values that are not numbers are not
// among them: a text in each metric would cause a warning in each period. The statistic values_ignored counts them. The line is such as
//
//	Values that were not described in the last period: 3 late, for a bucket that is final; 1 NaN or infinite
//
// It logs nothing if no value was dropped. now are the counters since the start, and d.dropped those of the Push before.
func (d *Describe) warnDropped(now engine.Counters) {
	before := d.dropped
	d.dropped = now
	var reasons []string
	for _, r := range []struct {
		n   int64
		why string
	}{
		{now.Late - before.Late, "late, for a bucket that is final"},
		{now.Future - before.Future, "further ahead of the clock than max_future"},
		{now.NaN - before.NaN, "NaN or infinite"},
		{now.OutOfRange - before.OutOfRange, "at a time that int64 nanoseconds cannot hold"},
		{now.ValuesOfDropped - before.ValuesOfDropped, "of series beyond max_series"},
	} {
		if r.n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", r.n, r.why))
		}
	}
	if len(reasons) > 0 {
		d.Log.Warnf("Values that were not described in the last period: %s", strings.Join(reasons, "; "))
	}
}

// notice logs a notice of the engine, which sends each kind about once. Each text names the option to change, or the statistic that
// counts.
func (d *Describe) notice(n engine.Notice) {
	switch n.Kind {
	case engine.TagRenamed: // with each start, as for the tag mode of inputs.disk
		d.Log.Infof("The tag %q gets the end %q in %s*: statistics or other columns of the rows have its name, or line protocol cannot carry it (logged once)",
			n.Text, ids.ClashSuffix, d.Prefix)
	case engine.SummariesDemoted:
		d.Log.Warnf("The summaries exceeded the memory_limit of %d bytes: the %d largest are histograms now, "+
			"with the errors max_error and mode_error (logged once, demotions counts them)", d.MemoryLimit, n.Number)
	case engine.MemoryExceeded:
		d.Log.Warnf("The summaries hold %d bytes, more than the memory_limit of %d, and none of them would be smaller as a histogram; "+
			"max_series bounds how many series there are, linger how long buckets stay open (logged once)", n.Number, d.MemoryLimit)
	case engine.SeriesForgotten:
		d.Log.Warn("Too many series got no values for a long time: the final buckets of the oldest are forgotten, " +
			"and a late value for one of them replaces its statistics (logged once, series_forgotten counts the series)")
	case engine.StateFailed:
		d.Log.Errorf("State: %v", n.Err)
	}
}
