package api

import (
	"context"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Parts of the default of [Options.ExportMaxAge].
const (
	// minExportAge is the shortest default, for buckets of seconds.
	minExportAge = 5 * time.Minute
	// exportWidths is the shortest default in widths of a bucket. A bucket is one width old when it ends.
	exportWidths = 3
	// finalDelay is added for records that are marked as final, because they are written that long after the end of
	// their bucket. It is the default of the aggregator's option linger.
	finalDelay = 10 * time.Minute
)

// maxDropped is how many buckets beyond [Options.ExportBuckets] a scrape counts.
const maxDropped = 10_000

// scrapePlan lists the buckets of one table that one scrape may read. Their age bounds their number, so it does not
// grow with the table. Buckets that begin after now are not exported: the records of a device whose clock is ahead
// are exported once the clock here has reached their buckets.
type scrapePlan struct {
	timeline
	// recent are the buckets that begin in [oldest, now]. late are older buckets, of which only records that are
	// marked as final are exported. Both lists begin with the newest bucket.
	recent, late []time.Time
	oldest       time.Time
	// future is the newest bucket of the table if it begins after now, or else empty.
	future []time.Time
}

// planScrape reads the starts of a table's buckets and selects those to read.
func (s *server) planScrape(ctx context.Context, t record.Table) (scrapePlan, error) {
	line, err := s.timeline(ctx, t)
	if err != nil {
		return scrapePlan{}, err
	}
	now := s.Now()
	age, delay := s.ExportMaxAge, time.Duration(0)
	if age == 0 {
		age, delay = max(minExportAge, exportWidths*line.width), finalDelay
	}
	plan := scrapePlan{timeline: line, oldest: now.Add(-age)}
	if line.newest.After(now) {
		plan.future = []time.Time{line.newest}
	}
	starts, err := s.reader.Buckets(ctx, t, record.Range{Start: plan.oldest.Add(-delay), End: after(now), Last: s.ExportBuckets + maxDropped})
	if err != nil {
		return scrapePlan{}, away(err)
	}
	slices.Reverse(starts)
	n := slices.IndexFunc(starts, plan.oldest.After)
	if n < 0 {
		n = len(starts)
	}
	plan.recent, plan.late = starts[:n], starts[n:]
	return plan, nil
}
