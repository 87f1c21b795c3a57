package bucket

import (
	"cmp"
	"iter"
	"slices"
	"unsafe"
)

// maxSpans is how many spans a Spans keeps.
const maxSpans = 1000

// Spans is a set of buckets, kept as the spans of time that they cover. The zero Spans is empty. It is not safe for
// concurrent use, and a copy shares memory with the original.
//
// The memory of a set is bounded. If there are more than 1,000 spans with gaps between them, the two earliest spans
// become one, and the set then also contains the buckets in the gap between these two.
type Spans struct {
	all []span // ascending, neither overlapping nor adjacent
}

// span is the time [start, end).
type span struct{ start, end int64 }

// Contains reports whether the bucket that begins at start is in the set. It takes time in proportion to the
// logarithm of the number of spans.
func (s *Spans) Contains(start int64) bool {
	i, _ := slices.BinarySearchFunc(s.all, start, func(x span, start int64) int { return cmp.Compare(x.end, start+1) })
	return i < len(s.all) && s.all[i].start <= start
}

// Add adds the bucket [start, end), which may be in the set already. start is below end. It takes time in proportion to the
// number of spans after start.
func (s *Spans) Add(start, end int64) {
	i, _ := slices.BinarySearchFunc(s.all, start, func(x span, start int64) int { return cmp.Compare(x.end, start) })
	j := i
	for j < len(s.all) && s.all[j].start <= end {
		start, end = min(start, s.all[j].start), max(end, s.all[j].end)
		j++
	}
	s.all = slices.Replace(s.all, i, j, span{start, end})
	if len(s.all) > maxSpans {
		s.all[1].start = s.all[0].start
		s.all = slices.Delete(s.all, 0, 1)
	}
}

// All yields the spans [start, end) of the set in ascending order. The set must not change during the iteration.
func (s *Spans) All() iter.Seq2[int64, int64] {
	return func(yield func(start, end int64) bool) {
		for _, x := range s.all {
			if !yield(x.start, x.end) {
				return
			}
		}
	}
}

// Bytes returns how many bytes of memory the set holds beyond its own struct.
func (s *Spans) Bytes() int { return cap(s.all) * int(unsafe.Sizeof(span{})) }
