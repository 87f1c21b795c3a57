package main

import (
	"log"
	"slices"
	"strings"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// warnUnreached logs a warning for each rediscache output whose namepass lets no row of any describe block through, such as
// after a change of prefix.
func warnUnreached(c *config.Config) {
	names := rowNames(c.Aggregators)
	if len(names) == 0 {
		return
	}
	for _, output := range c.Outputs {
		pass := output.Config.Filter.NamePass
		if output.Config.Name != "rediscache" || len(pass) == 0 || slices.ContainsFunc(names, func(n rowName) bool { return n.passesAny(pass) }) {
			continue
		}
		var want []string
		for _, n := range names {
			if pattern := n.pattern(); !slices.Contains(want, pattern) {
				want = append(want, pattern)
			}
		}
		log.Printf("W! [%s] Nothing is cached: namepass = %q lets none of the rows of describe through, whose names match %q: set namepass = %q",
			output.LogName(), pass, want, want)
	}
}

// rowName describes the names of the rows of a describe block: they begin with a text, or are one name.
type rowName struct {
	text  string
	whole bool // whether text is the whole name
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
// the beginning of the names.
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
