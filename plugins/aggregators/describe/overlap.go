package describe

import (
	"slices"
	"time"

	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
)

// WarnOverlaps says which describe aggregators may write rows over each other's: those of one prefix that
// select metrics of the same name. Where a narrow bucket begins with a wide one, their rows have the same name, tags
// and time. Filters by tags are taken to tell the metrics apart. Call it once after the configuration was loaded.
func WarnOverlaps(all []*models.RunningAggregator) {
	for i, a := range all {
		d, ok := a.Aggregator.(*Describe)
		if !ok {
			continue
		}
		if slices.ContainsFunc(all[:i], func(b *models.RunningAggregator) bool { return overlap(a, b) }) {
			d.Log.Warnf("Another describe has the prefix %q too: where their buckets begin together, the rows of one replace those of the other; "+
				"give each its own prefix", d.Prefix)
		}
	}
}

func overlap(a, b *models.RunningAggregator) bool {
	x, ok := a.Aggregator.(*Describe)
	y, also := b.Aggregator.(*Describe)
	if !ok || !also || x.Prefix != y.Prefix || x.BucketTag != y.BucketTag {
		return false
	}
	f, g := &a.Config.Filter, &b.Config.Filter
	renamed := a.Config.NameOverride != b.Config.NameOverride || a.Config.MeasurementPrefix != b.Config.MeasurementPrefix ||
		a.Config.MeasurementSuffix != b.Config.MeasurementSuffix || len(a.Config.Tags)+len(b.Config.Tags) > 0
	tagged := len(f.TagPassFilters)+len(g.TagPassFilters)+len(f.TagDropFilters)+len(g.TagDropFilters) > 0
	return !renamed && !tagged && shareName(f, g)
}

// shareName reports whether metrics of one name may pass both filters. A pattern stands for the names that it matches.
func shareName(f, g *models.Filter) bool {
	names := slices.Concat(f.NamePass, g.NamePass)
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return passes(f, name) && passes(g, name) })
}

func passes(f *models.Filter, name string) bool {
	ok, err := f.Select(metric.New(name, nil, nil, time.Time{}))
	return ok || err != nil
}
