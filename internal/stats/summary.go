package stats

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

const (
	// DefaultExactLimit is the exact limit of the zero Summary.
	DefaultExactLimit = 512
	// Unlimited is the exact limit of a summary that is exact for any number of values.
	Unlimited = math.MaxInt32
	// maxCount is the largest number of values of a summary.
	maxCount = math.MaxInt64
	// batchSize is the largest number of values that are added at a time.
	batchSize = 16
)

// ErrOverflow is returned by Merge if there would be more values than a summary can count.
var ErrOverflow = errors.New("more than 2^63-1 values")

// Summary is the mergeable state of the values of one field. The zero Summary is empty and ready to use,
// with [DefaultExactLimit]; see [New] for others.
//
// A summary is exact, which means that it keeps every value, while it has at most as many values as its exact limit or
// at most half as many distinct ones. So the values of an exact summary fit into 8 bytes times the limit, as single
// values or as distinct values with counts. Beyond that, a summary is a histogram, which estimates quantiles and the
// mode: its bins are 0.27 % to 2.19 % wide (see [Summary.MaxError]), and the mode is one of 16 candidates (see
// [Summary.ModeError]). It still has the exact count, min and max, and sum, mean and variance up to rounding. A
// summary that has become a histogram stays one until Reset.
//
// Whether a summary is exact, and the bins of a histogram, depend on the values alone: not on their order, and not on
// how they were divided among summaries that were merged, if these have the same exact limit. Of two exact summaries
// with the same limit and the same values, all statistics but first and last are equal to the last bit.
//
// A summary takes 64 bytes of memory, 32 more with times, and
//
//   - 8 to 16 for each value, at least 32, while it has at most 8 values, or at most 512 that are exact and seem mostly
//     distinct, judged by the first 8 to 16 of them;
//   - or 72, and 16 to 24 for each distinct value, while it is exact otherwise. Of more than 512 distinct values, each takes
//     8, or 16 once one has occurred twice, and up to half as much again;
//   - or 150 to 450 as a histogram, and 1 for each bin, 2 once a bin has more than 255 values, and 4 once one has more
//     than 65,535. There are up to 513 bins for each sign.
//
// Adding a value takes constant time on average. In an exact summary of more than 512 distinct values, it takes time
// in proportion to the logarithm of their number.
//
// A Summary is not safe for concurrent use, not even for reading: reading statistics sorts its values.
type Summary struct {
	exact exact // the values, while the summary is exact
	// hist is the histogram, once the summary has become one. While the summary is exact, hist is nil, or a histogram
	// without values whose memory will be used again. Read it with the method histogram.
	hist  *histogram
	times *times // nil unless every value came with its time
}

// New returns an empty summary with that exact limit, from 1 to [Unlimited]. The limit 0 is [DefaultExactLimit].
func New(limit int) Summary { return Summary{exact: exact{limit: int32(limit)}} }

// Add adds a value. It returns false for NaN and the infinities, which it does not add.
func (s *Summary) Add(v float64) bool { return s.AddAll([]float64{v}, nil) == 1 }

// AddAt is [Summary.Add] with the time at which the value was measured, in nanoseconds since 1970. A summary has a
// first and a last value only if all its values were added with a time.
func (s *Summary) AddAt(v float64, time int64) bool {
	return s.AddAll([]float64{v}, []int64{time}) == 1
}

// AddAll adds values, with their times unless at is nil, and returns how many it added. A time belongs to the value at the
// same index, so at has as many elements as vs. NaN and the infinities are not added. If there would be more than 2^63−1
// values in all, none is added. AddAll keeps neither vs nor at.
func (s *Summary) AddAll(vs []float64, at []int64) int {
	if uint64(len(vs)) > maxCount-s.Count() {
		return 0
	}
	if s.times != nil || at != nil {
		s.note(vs, at)
	}
	added := 0
	for i := 0; i < len(vs); i += batchSize {
		added += s.addBatch(vs[i:min(i+batchSize, len(vs))])
	}
	return added
}

// addBatch adds those of at most batchSize values that are finite, and returns how many it added. It adds −0 as 0.
func (s *Summary) addBatch(vs []float64) int {
	low, high, plain := span(vs)
	if plain {
		s.add(vs, low, high)
		return len(vs)
	}
	var batch [batchSize]float64
	clean := batch[:0]
	for _, v := range vs {
		if v-v == 0 {
			clean = append(clean, v+0) // −0 becomes 0
		}
	}
	if len(clean) > 0 {
		low, high = ends(clean)
		s.add(clean, low, high)
	}
	return len(clean)
}

// add adds 1 to batchSize finite values from low to high, none of them −0.
func (s *Summary) add(vs []float64, low, high float64) {
	if s.histogram() == nil {
		// A summary that was a histogram will probably become one again. Without reserve, BenchmarkAdd/series=1/data=continuous/limit=64 of
		// package engine took 266 ns instead of 252.
		if s.hist != nil {
			s.exact.reserve()
		}
		if s.exact.add(vs, low, high) {
			return
		}
		s.estimate()
	}
	s.hist.add(vs, low, high)
}

// estimate makes an exact summary a histogram of the same values. The values themselves are lost.
func (s *Summary) estimate() {
	if s.hist == nil {
		s.hist = emptyHistogram()
	}
	s.hist.addOrdered(s.exact.order())
	s.exact.drop()
}

// histogram returns the histogram, or nil while the summary is exact.
func (s *Summary) histogram() *histogram {
	if s.hist == nil || s.hist.moments.n == 0 {
		return nil
	}
	return s.hist
}

// Merge adds the values of o to s, as if each had been added after those of s. It does not change the statistics of o
// and keeps none of its memory. Merging a summary into itself counts each of its values twice.
//
// If s and o together have more than 2^63−1 values, the error wraps [ErrOverflow] and s is unchanged. There are no
// other errors.
func (s *Summary) Merge(o *Summary) error {
	n, m := s.Count(), o.Count()
	if n > maxCount-m {
		return fmt.Errorf("merging %d into %d values: %w", m, n, ErrOverflow)
	}
	if m == 0 {
		return nil
	}
	if s == o {
		o = o.Clone()
	}
	s.mergeTimes(o)
	// The result is a histogram if o is one, or if s is one, or if both together have too many values to stay exact.
	if o.histogram() == nil {
		s.mergeExact(o.exact.order(), m)
		return nil
	}
	if n == 0 {
		s.exact.drop()
		s.hist = o.hist.clone()
		return nil
	}
	if s.histogram() == nil {
		s.estimate()
	}
	s.hist.merge(o.hist)
	return nil
}

// mergeExact adds the m values of o.
func (s *Summary) mergeExact(o ordered, m uint64) {
	if s.histogram() == nil {
		if s.exact.addOrdered(o, m) {
			return
		}
		s.estimate()
	}
	s.hist.addOrdered(o)
}

// Demote makes the summary a histogram, even if it has few values. An empty summary is unchanged.
func (s *Summary) Demote() {
	if s.histogram() == nil && s.Count() > 0 {
		s.estimate()
	}
}

// Reset removes all values. It keeps the exact limit and the memory that held the values, because the next values
// probably need as much. It releases the memory of a histogram that was not used since the last Reset.
func (s *Summary) Reset() {
	if s.histogram() == nil {
		s.hist = nil
	} else {
		s.hist.reset()
	}
	s.exact.reset()
	s.times = nil
}

// Clone returns a copy, with the exact limit of s, that shares no memory with s.
func (s *Summary) Clone() *Summary {
	c := &Summary{exact: s.exact.clone()}
	if h := s.histogram(); h != nil {
		c.hist = h.clone()
	}
	if s.times != nil {
		t := *s.times
		c.times = &t
	}
	return c
}

// Count returns how many values the summary describes.
func (s *Summary) Count() uint64 {
	if h := s.histogram(); h != nil {
		return h.moments.n
	}
	return s.exact.count()
}

// Exact reports whether the summary keeps every value. Its statistics are then not estimates. An empty summary is
// exact.
func (s *Summary) Exact() bool { return s.histogram() == nil }

// Min returns the smallest value, or NaN for an empty summary.
func (s *Summary) Min() float64 {
	switch {
	case s.Count() == 0:
		return math.NaN()
	case s.histogram() != nil:
		return s.hist.min
	}
	return s.exact.order().min()
}

// Max returns the largest value, or NaN for an empty summary.
func (s *Summary) Max() float64 {
	switch {
	case s.Count() == 0:
		return math.NaN()
	case s.histogram() != nil:
		return s.hist.max
	}
	return s.exact.order().max()
}

// MaxError returns the largest relative error of an order statistic of s: 0 if s is exact or empty, otherwise the width
// of its bins as a share of their lower bound. The width depends on the magnitudes of the values above zero and of those
// below, each for themselves: it is 0.27 % when both are within a factor of 4, 0.54 % within 16, 1.09 % within 256 and
// 2.19 % beyond.
//
// Two more errors are possible. If the magnitudes of one sign are not within a factor of 65,536, the error of an order
// statistic may be larger by 0.0016 % of the largest of them. Below 2^-1022, where float64 has fewer digits, it may be
// larger by half the smallest float64. A quantile between two values has the error of the one with the larger magnitude.
func (s *Summary) MaxError() float64 {
	if s.histogram() == nil {
		return 0
	}
	return binWidth(s.hist.scale)
}

// Bytes returns how many bytes of memory the summary holds beyond its own struct. The allocator rounds each block up
// to a size class; Bytes does not include these additional bytes.
func (s *Summary) Bytes() int {
	size := s.exact.bytes()
	if s.hist != nil {
		size += s.hist.bytes()
	}
	if s.times != nil {
		size += timesSize
	}
	return size
}

// The sizes of the structs that a summary may hold.
const (
	tableSize     = int(unsafe.Sizeof(table{}))
	orderedSize   = int(unsafe.Sizeof(ordered{}))
	sliceSize     = int(unsafe.Sizeof([]ordered{}))
	histogramSize = int(unsafe.Sizeof(histogram{}))
	binsSize      = int(unsafe.Sizeof(bins{}))
	candidateSize = int(unsafe.Sizeof(candidate{}))
	timesSize     = int(unsafe.Sizeof(times{}))
)
