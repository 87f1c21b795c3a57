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
	// begun. It is 0 if fewer than two have begun. It is too large while most of these few buckets are far apart.
	Width time.Duration
	// Likely is a second estimate of the width, for decisions in which a small one does no harm: of an even number of distances, the
	// smaller of the two in the middle, and of one distance only one that can be a width: see begins. It is 0 if it is not known.
	Likely time.Duration
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
	width, likely := commonDistances(starts[max(0, len(starts)-sampled):])
	line := Timeline{Newest: newest[len(newest)-1], Width: width, Likely: likely, Ended: now.Add(-width)}
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

// commonDistances returns the median of the distances between successive starts, for an even number of them the larger and the smaller
// of the two in the middle: see [Timeline]. Both are 0 for fewer than two starts. The starts are ascending.
func commonDistances(starts []time.Time) (width, likely time.Duration) {
	if len(starts) < 2 {
		return 0, 0
	}
	distances := make([]time.Duration, 0, len(starts)-1)
	for i, start := range starts[1:] {
		distances = append(distances, start.Sub(starts[i]))
	}
	if len(distances) == 1 && !begins(distances[0], starts[1]) {
		return distances[0], 0
	}
	slices.Sort(distances)
	return distances[len(distances)/2], distances[(len(distances)-1)/2]
}

const day = 24 * time.Hour

// begins reports whether a bucket of that width can begin at a time, with the usual origins: year 1, in UTC or at midnight of
// any time zone, and 1970. Otherwise, two starts with that distance are of two narrower buckets.
func begins(width time.Duration, start time.Time) bool {
	seconds := int64(width / time.Second)
	if time.Duration(seconds)*time.Second != width || start.Unix()%seconds == 0 || (start.Unix()-time.Time{}.Unix())%seconds == 0 {
		return true // the widths of parts of a second are so small that they make no difference
	}
	days := width.Round(day)
	if days == 0 || (width-days).Abs() > time.Hour || start.Unix()%(15*60) != 0 { // a day has 23 to 25 hours
		return false
	}
	for _, midnight := range []time.Time{start.UTC().Truncate(day), start.UTC().Truncate(day).Add(day)} { // west and east of Greenwich
		of := (midnight.Unix() - time.Time{}.Unix()) / int64(day/time.Second) // days since year 1
		if midnight.Sub(start).Abs() <= 14*time.Hour && (of%int64(days/day) == 0 || width > 27*day && midnight.Day() == 1) {
			return true
		}
	}
	return false
}
