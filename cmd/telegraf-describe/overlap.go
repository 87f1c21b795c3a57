package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// warnOverlaps logs a warning for each describe aggregator that may overwrite rows of an earlier one. Two of them
// overlap if they have the same prefix and bucket_tag and a metric may pass the filters of both: where buckets of both
// begin at the same time, their rows have the same name, tags and time. A block with a filter by tags counts as
// distinct from all others. places has the file and line of each describe block in their order, for the warning; nil if they are not known.
// warnOverlaps must be called once, after the configuration was loaded.
func warnOverlaps(all []*models.RunningAggregator, places []string) {
	blocks := slices.DeleteFunc(slices.Clone(all), func(ra *models.RunningAggregator) bool {
		_, ok := ra.Aggregator.(*describe.Describe)
		return !ok
	})
	for i, a := range blocks {
		other := slices.IndexFunc(blocks[:i], func(b *models.RunningAggregator) bool { return overlap(a, b) })
		if other < 0 {
			continue
		}
		which := "Another describe block and this one"
		if len(places) == len(blocks) {
			which = fmt.Sprintf("The describe blocks in %s and %s", places[other], places[i])
		}
		d := a.Aggregator.(*describe.Describe) //nolint:forcetypeassert // all blocks are
		d.Log.Warnf("%s have the prefix %q. If their buckets begin at the same time, the rows of one block replace those of the other: "+
			"remove one of the blocks, or give each its own prefix", which, d.Prefix)
	}
}

// placesOf returns the file and line of each block of a plugin, in the order in which Telegraf loads them: "telegraf.conf:12".
func placesOf(sources []source, plugin string) (places []string) {
	for _, p := range positionsOf(sources, plugin) {
		places = append(places, p.of(""))
	}
	return places
}

// overlap reports whether both aggregators are describe and may emit rows of the same name, tags and time. It errs on the side of
// silence: a warning that is wrong makes people ignore the right ones.
func overlap(a, b *models.RunningAggregator) bool {
	x, ok := a.Aggregator.(*describe.Describe)
	y, also := b.Aggregator.(*describe.Describe)
	if !ok || !also || x.Prefix != y.Prefix || x.BucketTag != y.BucketTag {
		return false
	}
	f, g := &a.Config.Filter, &b.Config.Filter
	return !renamed(a.Config, b.Config) && !filteredByTag(f) && !filteredByTag(g) && shareName(f, g)
}

// renamed reports whether Telegraf changes the names or tags of the rows of one aggregator and not those of the other.
func renamed(a, b *models.AggregatorConfig) bool {
	return a.NameOverride != b.NameOverride || a.MeasurementPrefix != b.MeasurementPrefix || a.MeasurementSuffix != b.MeasurementSuffix ||
		len(a.Tags)+len(b.Tags) > 0
}

// filteredByTag reports whether the filter depends on tags. Which metrics such a filter passes does not follow from names. Blocks that
// split the metrics by a tag are usual, so no warning is logged for them.
func filteredByTag(f *models.Filter) bool { return len(f.TagPassFilters)+len(f.TagDropFilters) > 0 }

// shareName reports whether a metric name may pass both filters. The names that are tried are the patterns of
// namepass, each taken as a name; without namepass in either filter, the answer is true. So it finds that "cpu*" and "cpu_total" share a
// name, but not that "cpu*" and "*_total" do: see overlap for the reason to prefer that error.
func shareName(f, g *models.Filter) bool {
	names := slices.Concat(f.NamePass, g.NamePass)
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return passes(f, name) && passes(g, name) })
}

// passes reports whether the filter lets a metric of that name, without tags, through. It returns true if the filter returns an error.
func passes(f *models.Filter, name string) bool {
	ok, err := f.Select(metric.New(name, nil, nil, time.Time{}))
	return ok || err != nil
}
