package bucket

import (
	"slices"
	"time"
)

// Window holds the open buckets of one series, each with a state of type T, and remembers which
// buckets were closed. The zero Window is empty and ready to use. It is not safe for concurrent use.
//
// A bucket is opened by its first value. It closes when it has got no value for a while of wall time,
// and not before its end (see [Window.Close]). So buckets far in the past and in the future are open
// side by side.
type Window[T any] struct {
	open   []*Bucket[T] // ascending by Start
	recent *Bucket[T]   // the one found last, or nil
	closed []span       // ascending, neither overlapping nor adjacent
}

// Bucket is an open bucket.
type Bucket[T any] struct {
	Start, End int64
	// Touched is the wall time of the last value, as far as the caller knows it.
	Touched time.Time
	// State is the caller's.
	State T
}

// span is a run of closed buckets from the start of the first to the end of the last.
type span struct{ start, end int64 }

// maxSpans is how many spans of closed buckets a window remembers. Beyond it the gap between the two
// oldest counts as closed too: what comes for it is late, which is told, rather than put into a bucket
// whose earlier statistics it would replace.
const maxSpans = 1000

// Open returns the bucket that begins at start and opens it when it is not open, or nil when it was
// closed. The bucket stays the window's; the caller sets Touched.
func (w *Window[T]) Open(start, end int64) *Bucket[T] {
	if w.recent != nil && w.recent.Start == start {
		return w.recent
	}
	i, found := slices.BinarySearchFunc(w.open, start, func(b *Bucket[T], start int64) int { return compare(b.Start, start) })
	if !found {
		if w.isClosed(start) {
			return nil
		}
		w.open = slices.Insert(w.open, i, &Bucket[T]{Start: start, End: end})
	}
	w.recent = w.open[i]
	return w.recent
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (w *Window[T]) isClosed(start int64) bool {
	i, _ := slices.BinarySearchFunc(w.closed, start, func(s span, start int64) int { return compare(s.end, start+1) })
	return i < len(w.closed) && w.closed[i].start <= start
}

// Buckets returns the open buckets, ascending by start. The slice is the window's and valid until the
// next call.
func (w *Window[T]) Buckets() []*Bucket[T] { return w.open }

// Close closes the buckets that have ended by now and that got no value in the last linger, and reports
// whether there were any. It calls closed for each, in ascending order, unless closed is nil; its state is dropped
// then, and Open refuses it from then on.
func (w *Window[T]) Close(now time.Time, linger time.Duration, closed func(*Bucket[T])) bool {
	wall, before := now.UnixNano(), len(w.open)
	w.open = slices.DeleteFunc(w.open, func(b *Bucket[T]) bool {
		if b.End > wall || now.Sub(b.Touched) < linger {
			return false
		}
		if closed != nil {
			closed(b)
		}
		w.remember(span{b.Start, b.End})
		return true
	})
	if len(w.open) == before {
		return false
	}
	w.recent = nil
	if cap(w.open) > 4*len(w.open) {
		w.open = slices.Clone(w.open) // gives memory back, all of it where none is open
	}
	return true
}

// remember adds a span of closed buckets and joins it with the spans next to it.
func (w *Window[T]) remember(s span) {
	i, _ := slices.BinarySearchFunc(w.closed, s.start, func(c span, start int64) int { return compare(c.end, start) })
	j := i
	for j < len(w.closed) && w.closed[j].start <= s.end {
		s.start, s.end = min(s.start, w.closed[j].start), max(s.end, w.closed[j].end)
		j++
	}
	w.closed = slices.Replace(w.closed, i, j, s)
	if len(w.closed) > maxSpans {
		w.closed[1].start = w.closed[0].start
		w.closed = slices.Delete(w.closed, 0, 1)
	}
}

// Bytes returns about how much memory the window holds beside its open buckets.
func (w *Window[T]) Bytes() int { return cap(w.closed)*spanSize + cap(w.open)*pointerSize }

const (
	spanSize    = 16
	pointerSize = 8
)
