package api

import (
	"context"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// timeline describes the buckets of a table at the time of a request, as far as their starts show it.
type timeline struct {
	// newest is the start of the newest bucket, which may lie after now. It is zero if the table has no bucket.
	newest time.Time
	// width estimates the width of a bucket: the median distance between the starts of the newest buckets that have
	// begun. It is 0 if fewer than two have begun.
	width time.Duration
	// ended is the latest start that a bucket can have if it has ended: now minus the width.
	ended time.Time
	// until is when the timeline is another one without a write, because a bucket begins or ends. It is zero if there is no such
	// time.
	until time.Time
}

const (
	// sampled is how many buckets are used to estimate the width. The median of these few distances soon follows when
	// the width changes, and a single gap between buckets does not change it.
	sampled = 9
	// glanced is how many starts are read first to find them, because the newest buckets may be of devices whose
	// clock is ahead.
	glanced = 4 * sampled
)

// timeline reads the newest starts of a table.
func (s *server) timeline(ctx context.Context, t record.Table) (timeline, error) {
	starts, err := s.reader.Buckets(ctx, t, record.Range{Last: glanced})
	if err != nil || len(starts) == 0 {
		return timeline{}, away(err)
	}
	now, newestStarts := s.Now(), starts
	newest := starts[len(starts)-1]
	if begun := untilNow(starts, now); len(begun) >= sampled || len(starts) < glanced {
		starts = begun
	} else if starts, err = s.reader.Buckets(ctx, t, record.Range{End: after(now), Last: sampled}); err != nil {
		return timeline{}, away(err)
	}
	width := commonDistance(starts[max(0, len(starts)-sampled):])
	line := timeline{newest: newest, width: width, ended: now.Add(-width)}
	line.until = line.next(newestStarts, now)
	return line, nil
}

// next returns when the next bucket begins or ends, or now if that is not known. starts are the newest starts, ascending.
func (l timeline) next(starts []time.Time, now time.Time) time.Time {
	v := validity{asked: now}
	if len(starts) == glanced && starts[0].After(l.ended) { // older buckets may be open too
		v.unknown()
	}
	for _, start := range starts {
		switch {
		case start.After(now):
			v.endsAt(start)
		case start.After(l.ended):
			v.endsAt(start.Add(l.width))
		}
	}
	return v.until
}

// isFinal reports whether a record is final. start is the start of its bucket. A record without the member "final"
// counts as final once its bucket has ended, because such records do not mark their last version.
func (l timeline) isFinal(start time.Time, text string) bool {
	switch record.StateOf(text) {
	case record.Final:
		return true
	case record.Open:
		return false
	}
	return !start.After(l.ended)
}

// untilNow returns the starts that are not after now. The starts are ascending.
func untilNow(starts []time.Time, now time.Time) []time.Time {
	n, _ := slices.BinarySearchFunc(starts, after(now), time.Time.Compare)
	return starts[:n]
}

// after returns the exclusive end of a range whose last time is t.
func after(t time.Time) time.Time { return t.Add(1) }

// commonDistance returns the median of the distances between successive starts. If their number is even, it is the
// larger of the two middle distances. It is 0 for fewer than two starts. The starts are ascending.
func commonDistance(starts []time.Time) time.Duration {
	if len(starts) < 2 {
		return 0
	}
	distances := make([]time.Duration, 0, len(starts)-1)
	for i, start := range starts[1:] {
		distances = append(distances, start.Sub(starts[i]))
	}
	slices.Sort(distances)
	return distances[len(distances)/2]
}
