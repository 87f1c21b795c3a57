package main

import (
	"log"
	"slices"
	"sync"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// warnBuffers logs a warning for each output that buffers fewer rows than describe may emit in one Push. Before the
// first value, the largest number of rows is known only of blocks with max_series. For the others, [fill] warns later.
//
// Telegraf's buffer drops the oldest metrics when it is full, with a line in the log that does not name a remedy.
//
// For example, with max_series = 8000 and the default of emit, describe can emit 16,000 rows at once, so there is a warning for an output
// with metric_buffer_limit = 10000.
func warnBuffers(c *config.Config) {
	rows := mostRows(c.Aggregators)
	names := rowNames(c.Aggregators)
	for _, output := range c.Outputs {
		if rows <= output.MetricBufferLimit || !reaches(names, output) {
			continue
		}
		log.Printf("W! [%s] metric_buffer_limit = %d, but describe can emit %d rows at once, as max_series allows, and more for series with several "+
			"fields: rows beyond the limit are lost; set metric_buffer_limit = %d or more", output.LogName(), output.MetricBufferLimit, rows, rows)
	}
}

// fill follows how many rows the describe blocks emit in one Push, and logs a warning before an output's buffer is too small for
// them. It is safe for concurrent use.
//
// There are as many places in rows as describe blocks, and emitted is called with the index of one of them: see newHost.
//
// For example, the warning for an output with room for 10,000 rows comes at the first Push of more than 5,000 rows. After a warning at
// 6,000 rows, the next one comes at 12,000.
type fill struct {
	outputs []*models.RunningOutput // those that the rows can reach; only read

	mu     sync.Mutex // guards the fields below; blocks push in goroutines of their own
	rows   []int      // of each block's last Push
	warned int        // the rows in the last warning; 0 before the first
}

// newFill returns a fill for the describe blocks of a configuration.
func newFill(c *config.Config) *fill {
	names := rowNames(c.Aggregators)
	f := &fill{rows: make([]int, len(names))}
	for _, output := range c.Outputs {
		if reaches(names, output) {
			f.outputs = append(f.outputs, output)
		}
	}
	return f
}

// emitted takes the number of rows of a Push of the block with the given index. An output should hold the rows of two Pushes, as it also
// needs room for rows that it could not write yet. Warnings are repeated only once the rows have doubled. The limit that they recommend
// has room for four Pushes, so that the rows can double before the next warning.
func (f *fill) emitted(block, rows int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[block] = rows
	// The last Push of each block: blocks with one period push at the same moment.
	total := 0
	for _, n := range f.rows {
		total += n
	}
	if total < 2*f.warned {
		return
	}
	for _, output := range f.outputs {
		if limit := output.MetricBufferLimit; 2*total > limit {
			f.warned = total
			log.Printf("W! [%s] metric_buffer_limit = %d holds fewer than two Pushes of describe, whose blocks emitted %d rows in their last ones: "+
				"rows beyond the limit are lost; set metric_buffer_limit = %d or more", output.LogName(), limit, total, 4*total)
		}
	}
}

// reaches reports whether the output's namepass may let rows with one of the names through. An output without namepass is always reached,
// even where there are no names.
func reaches(names []rowName, output *models.RunningOutput) bool {
	pass := output.Config.Filter.NamePass
	return len(pass) == 0 || slices.ContainsFunc(names, func(n rowName) bool { return n.passesAny(pass) })
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
