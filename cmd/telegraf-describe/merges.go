package main

import (
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// Both warnings of this file are about one danger: a database knows a row by its name, tags and time, and a later row with the same three
// replaces the earlier one without a message. One describe block emits no two such rows, except an open row and its later version. Options
// of Telegraf that change names and tags afterwards can make rows equal.

// warnMerges logs a warning for each describe aggregator whose name_override may give the rows of several measurements one
// name. Telegraf applies it to the rows: fields of the same name then have the same name, tags and time.
func warnMerges(all []*models.RunningAggregator) {
	for _, ra := range all {
		d, ok := ra.Aggregator.(*describe.Describe)
		if !ok || ra.Config.NameOverride == "" || passesOneName(&ra.Config.Filter) {
			continue
		}
		d.Log.Warnf("name_override = %q gives the rows of all measurements one name, so rows of fields that have the same name replace each other: "+
			"set namepass to one measurement, or prefix instead of name_override", ra.Config.NameOverride)
	}
}

// passesOneName reports whether a filter lets through only one metric name: its namepass has one entry without wildcards.
func passesOneName(f *models.Filter) bool {
	return len(f.NamePass) == 1 && !strings.ContainsAny(f.NamePass[0], "*?[{")
}

// warnOutputMerges logs a warning for each output whose own options give different rows of a describe block the same name, tags
// and time, so that one replaces the other where the output writes to. An output gets one warning at most, for the first such block.
func warnOutputMerges(c *config.Config) {
	for _, output := range c.Outputs {
		for _, ra := range c.Aggregators {
			d, ok := ra.Aggregator.(*describe.Describe)
			if !ok {
				continue
			}
			if reason := mergedBy(output.Config, ra, d); reason != "" {
				log.Printf("W! [%s] %s", output.LogName(), reason)
				break
			}
		}
	}
}

// mergedBy returns why an output makes one of different rows of a describe block, or "". It asks the filters of Telegraf themselves, with
// rows such as the block would emit, so that their rules are not written here again. An output of each kind:
//
//	[[outputs.file]]         tagexclude = ["field_name"]     rows of different fields become one
//	[[outputs.influxdb_v3]]  tagexclude = ["bucket_state"]   the open and the final row of a bucket become one
//	[[outputs.file]]         name_override = "all"           rows of different measurements become one
func mergedBy(o *models.OutputConfig, ra *models.RunningAggregator, d *describe.Describe) string {
	name := nameOfRows(ra, d)
	final := passedOn(&o.Filter, name, d, "final")
	if final == nil {
		return ""
	}
	// InfluxDB 1 and 2 keep the newer of both rows, which is the final one. InfluxDB 3 may keep either, and rediscache needs the tag.
	wantsState := o.Name == "rediscache" || o.Name == "influxdb_v3" && namesTag(&o.Filter, d.StateTag)
	switch {
	case d.Layout == "rows" && !final.HasTag(record.FieldName):
		return fmt.Sprintf("tagexclude or taginclude drops the tag %q, so the rows of all fields of a series replace each other: keep the tag, "+
			"or set layout = \"columns\" in describe", record.FieldName)
	case d.Emit == "both" && d.StateTag != "" && wantsState && !final.HasTag(d.StateTag) && passedOn(&o.Filter, name, d, "open") != nil:
		return fmt.Sprintf("tagexclude or taginclude drops the tag %q, so the open and the final row of a bucket replace each other: keep the tag, "+
			"or let only the final rows through, by [outputs.%s.tagdrop] with %s = [\"open\"]", d.StateTag, o.Name, d.StateTag)
	case o.NameOverride != "" && !name.whole && !passesOneName(&ra.Config.Filter) && !passesOneName(&o.Filter):
		return fmt.Sprintf("name_override = %q gives the rows of all measurements one name, so rows of fields that have the same name replace "+
			"each other: set namepass to the rows of one measurement, such as %q", o.NameOverride, name.text+"NAME")
	}
	return ""
}

// passedOn returns the row of a bucket in that state after the filters have changed it, or nil if they drop it. The name of the row is not
// known before there are values: each pattern of namepass is tried as one, and for an output without namepass a name such as "analytics_x".
// The filters are compiled, as after loading. Tags of a real row other than field_name and the state are missing, so an output with a
// tagpass for one of those counts as one that gets no rows.
func passedOn(f *models.Filter, name rowName, d *describe.Describe, state string) telegraf.Metric {
	names := []string{name.text}
	if !name.whole {
		names = append(slices.Clone(f.NamePass), name.text+"x")
	}
	for _, n := range names {
		if !strings.HasPrefix(n, name.text) {
			continue
		}
		row := metric.New(n, map[string]string{record.FieldName: "x"}, map[string]any{"count": int64(1)}, time.Time{})
		if d.StateTag != "" {
			row.AddTag(d.StateTag, state)
		}
		if ok, err := f.Select(row); ok || err != nil {
			f.Modify(row)
			return row
		}
	}
	return nil
}
