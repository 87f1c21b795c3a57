package stats

import (
	"math"
	"slices"
)

// minPending is how many values a summary collects before it sorts them in.
const minPending = 64

// Summary is the mergeable state of the values of one field. The zero Summary is empty and ready to
// use. It is exact: it keeps every distinct value with its count, so what it tells depends on the
// values alone, never on their order or on how they were merged; only first and last look at time.
//
// Memory is 8 bytes a distinct value, 16 once a value has occurred twice, and up to half as much
// again for values that are not sorted in yet. Add takes constant time, averaged over many values.
//
// A Summary is not safe for concurrent use; reading statistics changes its inner form.
type Summary struct {
	n       uint64    // how many values, those in pending included
	values  []float64 // distinct and ascending
	counts  []uint64  // how often each of values occurred, or nil while that is once for each
	pending []float64 // added and not yet in values, in order of arrival
	first   point     // of all values, the one with the smallest time
	last    point     // of all values, the one with the largest time
}

// point is a value at a time.
type point struct {
	time  int64 // nanoseconds since 1970
	value float64
}

// Add adds a value that was measured at the given time, in nanoseconds since 1970. NaN and the
// infinities are not added; Add then returns false.
func (s *Summary) Add(v float64, time int64) bool {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	v += 0 // −0 becomes 0
	if s.n == 0 || time < s.first.time {
		s.first = point{time, v}
	}
	if s.n == 0 || time >= s.last.time {
		s.last = point{time, v}
	}
	s.n++
	if len(s.pending) >= max(minPending, len(s.values)/2) {
		s.settle()
	}
	s.pending = append(s.pending, v)
	return true
}

// Merge makes s what it would be had every value of o been added to it too, after its own. It leaves
// what o tells as it was and keeps nothing of o's memory. Merging a summary into itself counts each
// of its values twice.
func (s *Summary) Merge(o *Summary) {
	if o.n == 0 {
		return
	}
	o.settle()
	s.settle()
	if s.n == 0 || o.first.time < s.first.time {
		s.first = o.first
	}
	if s.n == 0 || o.last.time >= s.last.time {
		s.last = o.last
	}
	s.n += o.n
	if s == o {
		s.double()
		return
	}
	s.insert(o.values, o.counts)
}

// Reset empties the summary and keeps the memory of its values for the next ones.
func (s *Summary) Reset() {
	*s = Summary{values: s.values[:0], pending: s.pending[:0]}
}

// Clone returns a copy that shares no memory with s.
func (s *Summary) Clone() *Summary {
	c := *s
	c.values = slices.Clone(s.values)
	c.counts = slices.Clone(s.counts)
	c.pending = slices.Clone(s.pending)
	return &c
}

// Count returns how many values the summary describes.
func (s *Summary) Count() uint64 { return s.n }

// Min returns the smallest value, or NaN of an empty summary.
func (s *Summary) Min() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	s.settle()
	return s.values[0]
}

// Max returns the largest value, or NaN of an empty summary.
func (s *Summary) Max() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	s.settle()
	return s.values[len(s.values)-1]
}

// MaxError returns the worst relative error of a quantile of s: always 0, as s is exact.
func (s *Summary) MaxError() float64 { return 0 }

// Bytes returns about how much memory the summary holds beyond its own struct.
func (s *Summary) Bytes() int {
	return 8 * (cap(s.values) + cap(s.counts) + cap(s.pending))
}

// settle sorts pending into values.
func (s *Summary) settle() {
	if len(s.pending) == 0 {
		return
	}
	slices.Sort(s.pending)
	s.insert(s.pending, nil)
	s.pending = s.pending[:0]
}

// insert merges other ascending values into s. Without counts each occurs once and may be repeated.
func (s *Summary) insert(values []float64, counts []uint64) {
	added, repeated := s.compare(values)
	if s.counts == nil && (repeated || counts != nil) {
		s.counts = ones(len(s.values), len(s.values)+added)
	}
	s.merge(values, counts, added)
}

// compare returns how many distinct values are not yet in s, and whether any occurs twice.
func (s *Summary) compare(values []float64) (added int, repeated bool) {
	i := 0
	for j, v := range values {
		if j > 0 && v == values[j-1] {
			repeated = true
			continue
		}
		for i < len(s.values) && s.values[i] < v {
			i++
		}
		if i < len(s.values) && s.values[i] == v {
			repeated = true
			continue
		}
		added++
	}
	return added, repeated
}

// merge makes room for added new values and fills it from the largest value down, so that nothing is
// overwritten before it has moved. In s.counts, where there are counts, each value keeps its own.
func (s *Summary) merge(values []float64, counts []uint64, added int) {
	i, j := len(s.values)-1, len(values)-1
	s.values = slices.Grow(s.values, added)[:len(s.values)+added]
	if s.counts != nil {
		s.counts = slices.Grow(s.counts, added)[:len(s.values)]
	}
	for k := len(s.values) - 1; j >= 0; k-- {
		v, c := values[j], uint64(0)
		if i >= 0 && s.values[i] > v {
			v, c = s.values[i], s.countAt(i)
			i--
		} else {
			for j >= 0 && values[j] == v {
				c += countOf(counts, j)
				j--
			}
			if i >= 0 && s.values[i] == v {
				c += s.countAt(i)
				i--
			}
		}
		s.values[k] = v
		if s.counts != nil {
			s.counts[k] = c
		}
	}
}

// double counts every value once more for each time it occurs.
func (s *Summary) double() {
	if s.counts == nil {
		s.counts = ones(len(s.values), len(s.values))
	}
	for i := range s.counts {
		s.counts[i] *= 2
	}
}

func (s *Summary) countAt(i int) uint64 { return countOf(s.counts, i) }

func countOf(counts []uint64, i int) uint64 {
	if counts == nil {
		return 1
	}
	return counts[i]
}

func ones(n, capacity int) []uint64 {
	counts := make([]uint64, n, capacity)
	for i := range counts {
		counts[i] = 1
	}
	return counts
}
