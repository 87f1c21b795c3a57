// Package timeline derives from the starts of a table's buckets how wide the buckets are, and which of them have ended.
package timeline

import (
	"context"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Timeline describes the buckets of a table at one time, as far as their starts show it. It is immutable. The zero Timeline
// describes a table without buckets.
type Timeline struct {
	// Newest is the start of the newest bucket, which may lie in the future. It is zero if the table has no bucket.
	Newest time.Time
	// Width estimates the width of a bucket: the median distance between the starts of the newest buckets that have
	// begun. It is 0 if fewer than two have begun.
	Width time.Duration
	// Ended is the latest start that a bucket can have if it has ended: the time of the timeline minus the width.
	Ended time.Time
	// Until is when the timeline becomes another one without a write, because a bucket begins or ends. It is zero if there is no
	// such time, and the time of the timeline if it is not known.
	Until time.Time
}

// Reader reads the starts of buckets.
type Reader interface {
	// Buckets returns the starts of the table's buckets in the range, ascending.
	Buckets(ctx context.Context, t record.Table, r record.Range) ([]time.Time, error)
}

const (
	// sampled is how many buckets are used to estimate the width. The median of these few distances soon follows when
	// the width changes, and a single gap between buckets does not change it.
	sampled = 9
	// glanced is how many starts are read first to find them, because the newest buckets may be of devices whose
	// clock is ahead.
	glanced = 4 * sampled
)

// Read returns the timeline of a table at the time now. An error is that of the reader.
func Read(ctx context.Context, r Reader, t record.Table, now time.Time) (Timeline, error) {
	starts, err := r.Buckets(ctx, t, record.Range{Last: glanced})
	if err != nil || len(starts) == 0 {
		return Timeline{}, err
	}
	newest := starts
	if begun := untilNow(starts, now); len(begun) >= sampled || len(starts) < glanced {
		starts = begun
	} else if starts, err = r.Buckets(ctx, t, record.Range{End: After(now), Last: sampled}); err != nil {
		return Timeline{}, err
	}
	width := commonDistance(starts[max(0, len(starts)-sampled):])
	line := Timeline{Newest: newest[len(newest)-1], Width: width, Ended: now.Add(-width)}
	line.Until = line.next(newest, now)
	return line, nil
}

// next returns when the next bucket begins or ends, or now if that is not known. starts are the newest starts, ascending.
func (l Timeline) next(starts []time.Time, now time.Time) (until time.Time) {
	if len(starts) == glanced && starts[0].After(l.Ended) { // older buckets may be open too
		return now
	}
	for _, start := range starts {
		at := start // it begins
		switch {
		case !start.After(l.Ended):
			continue
		case !start.After(now):
			at = start.Add(l.Width) // it ends
		}
		if until.IsZero() || at.Before(until) {
			until = at
		}
	}
	return until
}

// IsFinal reports whether a record is final, from its text and the start of its bucket. A record without the member "final"
// counts as final once its bucket has ended, because such records do not mark their last version.
func (l Timeline) IsFinal(start time.Time, text string) bool {
	switch record.StateOf(text) {
	case record.Final:
		return true
	case record.Open:
		return false
	}
	return !start.After(l.Ended)
}

// untilNow returns the starts that are not after now. The starts are ascending.
func untilNow(starts []time.Time, now time.Time) []time.Time {
	n, _ := slices.BinarySearchFunc(starts, After(now), time.Time.Compare)
	return starts[:n]
}

// After returns the exclusive end of a range whose last time is t.
func After(t time.Time) time.Time { return t.Add(1) }

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
