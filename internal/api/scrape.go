package api

import (
	"context"
	"slices"
	"strings"
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

// seriesNames identify a series of the cache, as they are in the JSON of its records. They are equal for two records of a
// table if and only if their fields, agents, replicas and tags are equal.
type seriesNames struct{ field, agent, replica, tags string }

// seriesOf returns the names of a record's series. It scans the JSON instead of parsing it, because a scrape reads each series
// once for each bucket but exports it only once: with parsing, a scrape of 1,000 series in 31 buckets took about five
// times as long (BenchmarkExport). It returns false if the JSON is not as [record.Record.AppendJSON] writes it.
func seriesOf(text string) (n seriesNames, ok bool) {
	field, rest, ok := strings.Cut(text, `,"time_bucket":"`)
	if !ok {
		return n, false
	}
	if _, rest, ok = strings.Cut(rest, `,"agent":`); !ok {
		return n, false
	}
	end := quoted(rest)
	if end == 0 {
		return n, false
	}
	n.field, n.agent, rest = field, rest[:end], rest[end:]
	tags, end := rest, 0
	for end < len(tags) && tags[end] == ',' {
		member := tags[end+1:]
		key := quoted(member)
		if key == 0 || !strings.HasPrefix(member[key:], ":") {
			return n, false
		}
		value := member[key+1:]
		size := quoted(value)
		switch name := member[1 : key-1]; {
		case end == 0 && name == record.Replica:
			if size == 0 {
				return n, false
			}
			n.replica, tags = value[:size], value[size:]
		case end == 0 && (name == record.FinalName || name == record.Revision):
			size = strings.IndexAny(value, ",}")
			if size < 0 {
				return n, false
			}
			tags = value[size:]
		case size == 0: // the first statistic, after all tags
			n.tags = tags[:end]
			return n, true
		default:
			end += 1 + key + 1 + size
		}
	}
	n.tags = tags[:end]
	return n, true
}

// quoted returns the length of the JSON string at the beginning of s with its quotation marks, or 0 if s does not begin
// with one.
func quoted(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
