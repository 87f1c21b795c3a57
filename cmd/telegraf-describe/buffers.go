package main

import (
	"log"
	"slices"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// warnBuffers logs a warning for each output that buffers fewer rows than describe may emit in one Push. Only max_series bounds
// the rows before the first value, so blocks without it are not counted.
func warnBuffers(c *config.Config) {
	rows := mostRows(c.Aggregators)
	names := rowNames(c.Aggregators)
	for _, output := range c.Outputs {
		pass := output.Config.Filter.NamePass
		if rows <= output.MetricBufferLimit || len(pass) > 0 && !slices.ContainsFunc(names, func(n rowName) bool { return n.passesAny(pass) }) {
			continue
		}
		log.Printf("W! [%s] metric_buffer_limit = %d, but describe can emit %d rows at once, as max_series allows, and more for series with several "+
			"fields: rows beyond the limit are lost; set metric_buffer_limit = %d or more", output.LogName(), output.MetricBufferLimit, rows, rows)
	}
}

// mostRows returns how many rows the blocks with max_series emit in one Push if every series has one field. Where a bucket
// ends, each series has its final row and the first row of the next bucket, unless only final rows leave.
func mostRows(all []*models.RunningAggregator) (rows int) {
	for _, ra := range all {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			continue
		}
		each := 2
		if d.Emit == "final" {
			each = 1
		}
		rows += each * max(d.MaxSeries, 0)
	}
	return rows
}
