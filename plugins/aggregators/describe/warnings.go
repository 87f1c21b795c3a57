package describe

import (
	"time"
)

// ambiguousBefore is where InfluxDB 3 stops to take a timestamp without a precision for nanoseconds.
var ambiguousBefore = time.Unix(0, 5e15)

// warnings holds what the log was told already.
type warnings struct {
	old     bool
	forgot  bool
	demoted bool
	memory  bool
	renamed map[string]bool
}

// warnRenamed says once for each tag that it leaves under another name.
func (d *Describe) warnRenamed(tags []string) {
	for _, tag := range tags {
		if d.once.renamed[tag] {
			continue
		}
		if d.once.renamed == nil {
			d.once.renamed = make(map[string]bool)
		}
		d.once.renamed[tag] = true
		d.Log.Warnf("Tag %q has a name that the statistics use or that line protocol cannot say, it is renamed in %s* (once logged)", tag, d.Prefix)
	}
}

// warnForgotten says once that buckets may open again that were closed.
func (d *Describe) warnForgotten() {
	if d.once.forgot || d.table.forgotten == 0 {
		return
	}
	d.once.forgot = true
	d.Log.Warnf("More than %d series went quiet: of the oldest it is forgotten which buckets were closed, "+
		"and a late value for one replaces its statistics (series_forgotten counts them, once logged)", maxQuiet)
}

// warnOld says once that InfluxDB 3 would misread a timestamp.
func (d *Describe) warnOld(at time.Time) {
	if d.once.old || !at.Before(ambiguousBefore) {
		return
	}
	d.once.old = true
	d.Log.Warnf("A bucket has the time %s; InfluxDB 3 takes nanoseconds before %s for another unit unless the precision is given",
		at.Format(time.RFC3339Nano), ambiguousBefore.UTC().Format(time.RFC3339Nano))
}

// warnMemory says once that summaries were demoted to keep to the memory limit, and once that this did not do.
func (d *Describe) warnMemory(demoted int) {
	if demoted > 0 && !d.once.demoted {
		d.once.demoted = true
		d.Log.Warnf("The summaries exceeded the memory_limit of %d bytes: the %d largest are histograms now, "+
			"with the error that max_error says (demotions counts them, once logged)", d.budget.limit, demoted)
	}
	if d.budget.held > d.budget.limit && !d.once.memory {
		d.once.memory = true
		d.Log.Warnf("The summaries hold %d bytes, more than the memory_limit of %d, and none is left that would be smaller as a histogram; "+
			"max_series bounds how many series there are, linger how long buckets stay open (once logged)", d.budget.held, d.budget.limit)
	}
}
