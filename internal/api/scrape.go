package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// How old the newest final bucket of an exported series may be, where no option sets it.
const (
	// minExportAge is the least age, for buckets of seconds.
	minExportAge = 5 * time.Minute
	// exportWidths is the least age in widths of a bucket: a bucket is one width old when it ends.
	exportWidths = 3
	// finalDelay is added for records that are marked as final, which come that much after the end of their bucket. It is
	// the default of the aggregator's linger.
	finalDelay = 10 * time.Minute
)

// scrapePlan is the buckets of one table that one scrape may read. Their number is bounded by age, not by the size of the
// table. Buckets that begin after now are not exported: a series whose device's clock is
// ahead is exported once the clock here reaches its buckets.
type scrapePlan struct {
	timeline
	// recent are the buckets that begin at or after oldest and not after now, and late the older ones in which only
	// records that are marked as final are exported. Both have the newest first.
	recent, late []time.Time
	oldest       time.Time
	// future is the newest bucket of the table if it begins after now, else empty.
	future []time.Time
}

// planScrape reads the index of a table.
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
	starts, err := s.reader.Buckets(ctx, t, record.Range{Start: plan.oldest.Add(-delay), End: after(now)})
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

// seriesOf returns a text that is the same for two records of a table if they are of the same field, agent and tags. It
// scans the JSON, because a scrape meets each series once a bucket and exports it once: with parsing, a scrape of 1,000
// series in 31 buckets took about five times as long (BenchmarkExport). It returns false if the JSON is not as
// [record.Record.AppendJSON] writes it.
func seriesOf(text string) (string, bool) {
	field, rest, ok := strings.Cut(text, `,"time_bucket":"`)
	if !ok {
		return "", false
	}
	if _, rest, ok = strings.Cut(rest, `,"agent":`); !ok {
		return "", false
	}
	end := quoted(rest)
	if end == 0 {
		return "", false
	}
	name := field + "\xff" // which is in no text of a record: these are UTF-8
	for end < len(rest) && rest[end] == ',' {
		member := rest[end:]
		key := quoted(member[1:])
		if key == 0 || !strings.HasPrefix(member[1+key:], ":") {
			return "", false
		}
		value := member[1+key+1:]
		switch n := quoted(value); {
		case n > 0:
			end += len(member) - len(value) + n
		case beforeTags(member[1 : 1+key]):
			next := strings.IndexAny(value, ",}")
			if next < 0 {
				return "", false
			}
			name += rest[:end]
			rest, end = value[next:], 0
		default:
			return name + rest[:end], true // at the first statistic, after all tags
		}
	}
	return name + rest[:end], true
}

// beforeTags reports whether a member whose value is no string may stand before the tags. The key has its quotation marks.
func beforeTags(key string) bool {
	return key == `"`+record.FinalName+`"` || key == `"`+record.Revision+`"`
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
