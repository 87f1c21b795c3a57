package main

import (
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// warnUnreached logs a warning for each rediscache output that gets no row that it accepts: no row of a describe block passes its
// namepass, as after a change of prefix, or all rows are in the layout columns.
func warnUnreached(c *config.Config) {
	for _, output := range c.Outputs {
		if output.Config.Name != "rediscache" {
			continue
		}
		if reason := unreached(c.Aggregators, output.Config.Filter.NamePass); reason != "" {
			log.Printf("W! [%s] Nothing is cached: %s", output.LogName(), reason)
		}
	}
}

// unreached returns why no row of a describe block reaches a rediscache output with that namepass, or "". Without a describe block the rows
// come from elsewhere.
func unreached(all []*models.RunningAggregator, namepass []string) string {
	var want []string
	blocks, columns := 0, 0 // whose rows pass, and those of them in the layout columns
	for _, ra := range all {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		name := nameOfRows(ra, d)
		if !slices.Contains(want, name.pattern()) {
			want = append(want, name.pattern())
		}
		if len(namepass) == 0 || name.passesAny(namepass) {
			blocks++
			if d.Layout == "columns" {
				columns++
			}
		}
	}
	switch {
	case len(want) == 0:
		return ""
	case blocks == 0:
		return fmt.Sprintf("namepass = %q lets none of the rows of describe through, whose names match %q: set namepass = %q", namepass, want, want)
	case columns == blocks:
		return `rediscache accepts only rows of the layout "rows": remove layout = "columns" from describe, or add a block for rediscache with another prefix`
	}
	return ""
}

// rowName describes the names of the rows of a describe block: they begin with a text, or are one name.
//
//	options of the block                            text              whole   pattern
//	none                                            "analytics_"      false   "analytics_*"
//	name_prefix = "my_"                             "my_analytics_"   false   "my_analytics_*"
//	name_override = "cpu", name_suffix = "_stats"   "cpu_stats"       true    "cpu_stats"
//
// A name_suffix alone is not part of it: the name of the measurement is between it and the text.
type rowName struct {
	text  string // may be empty: then, unless whole, every name matches
	whole bool   // whether text is the whole name
}

// rowNames returns the names of the rows of each describe block. Telegraf applies name_override, name_prefix and name_suffix.
func rowNames(all []*models.RunningAggregator) (names []rowName) {
	for _, ra := range all {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		names = append(names, nameOfRows(ra, d))
	}
	return names
}

// nameOfRows returns the name of the rows of d, the aggregator of ra.
func nameOfRows(ra *models.RunningAggregator, d *describe.Describe) rowName {
	n := rowName{text: d.Prefix}
	if override := ra.Config.NameOverride; override != "" {
		n = rowName{text: override + ra.Config.MeasurementSuffix, whole: true}
	}
	n.text = ra.Config.MeasurementPrefix + n.text
	return n
}

// pattern returns a pattern of namepass that lets the rows through.
func (n rowName) pattern() string {
	if n.whole {
		return n.text
	}
	return n.text + "*"
}

// passesAny reports whether one of the patterns may let a row through. Up to its first wildcard, the pattern is compared with
// the beginning of the names. So it may be true for a pattern that no row matches, but is never false for one that a row matches.
//
// For names that begin with "analytics_" it is true for "analytics_cpu", "ana*", "analytics_c?u" and "*_cpu", and false for "cpu*" and
// "analytics".
func (n rowName) passesAny(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		wild := strings.IndexAny(pattern, `*?[{\`)
		switch {
		case wild < 0 && n.whole:
			return pattern == n.text
		case wild < 0:
			return strings.HasPrefix(pattern, n.text)
		}
		head := pattern[:wild]
		return strings.HasPrefix(n.text, head) || !n.whole && strings.HasPrefix(head, n.text)
	})
}
