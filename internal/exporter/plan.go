package exporter

import (
	"context"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
)

// Parts of the default of [Options.MaxAge].
const (
	// minAge is the shortest default, for buckets of seconds.
	minAge = 5 * time.Minute
	// ageWidths is the shortest default in widths of a bucket. A bucket is one width old when it ends.
	ageWidths = 3
	// finalDelay is added for records that are marked as final, because they are written that long after the end of
	// their bucket. It is the default of the aggregator's option linger.
	finalDelay = 10 * time.Minute
)

// maxDropped is how many buckets beyond [Options.MaxBuckets] a scrape counts.
const maxDropped = 10_000

// plan lists the buckets of one table that one scrape may read. Their age bounds their number, so it does not
// grow with the table. Buckets that begin after now are not exported: the records of a device whose clock is ahead
// are exported once the clock here has reached their buckets.
type plan struct {
	timeline.Timeline
	// recent are the buckets that begin in [oldest, now]. late are older buckets, of which only records that are
	// marked as final are exported. Both lists begin with the newest bucket.
	recent, late []time.Time
	oldest       time.Time // now less the largest age
	// future is the newest bucket of the table if it begins after now, or else empty.
	future []time.Time
}

// newPlan reads the starts of a table's buckets and selects those to read. The lists are empty for a table without buckets. An
// error is that of the reader.
func newPlan(ctx context.Context, reader Reader, t record.Table, o *Options) (plan, error) {
	now := o.Now()
	line, err := timeline.Read(ctx, reader, t, now)
	if err != nil {
		return plan{}, err
	}
	age, delay := o.MaxAge, time.Duration(0)
	if age == 0 {
		age, delay = max(minAge, ageWidths*line.Likely), finalDelay
	}
	p := plan{Timeline: line, oldest: now.Add(-age)}
	if line.Newest.After(now) {
		p.future = []time.Time{line.Newest}
	}
	starts, err := reader.Buckets(ctx, t, record.Range{Start: p.oldest.Add(-delay), End: timeline.After(now), Last: o.MaxBuckets + maxDropped})
	if err != nil {
		return plan{}, err
	}
	// From here on, the newest one is first.
	slices.Reverse(starts)
	n := slices.IndexFunc(starts, p.oldest.After)
	if n < 0 {
		n = len(starts)
	}
	p.recent, p.late = starts[:n], starts[n:]
	return p, nil
}
