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
	// Unlimited is the exact limit of a summary that stays exact however many values it has.
	Unlimited = math.MaxInt32
	// maxCount is how many values a summary can describe.
	maxCount = math.MaxInt64
)

// ErrOverflow is returned by Merge where the values would be too many to count.
var ErrOverflow = errors.New("more than 2^63-1 values")

// Summary is the mergeable state of the values of one field. The zero Summary is empty and ready to use,
// with [DefaultExactLimit]; see [New] for others.
//
// A summary is exact while it has at most as many values as its exact limit or at most 28 distinct ones:
// it then knows every value. Beyond that it is a histogram, whose bins are 0.27 % to 2.19 % wide (see
// [Summary.MaxError]) and which knows count, min and max exactly, sum, mean and variance to rounding,
// and of the mode what 16 candidates tell. Which it is, and its bins, depend on the values
// alone: not on their order, nor on how they were split over summaries that were merged, as long as these
// have the same exact limit.
//
// Memory is 64 bytes and: 80 to 580 with at most 28 distinct values; 8 a value in an exact summary of up to 512 values,
// 8 or 16 a distinct value in one of more, and up to half as much again; as a histogram 150 to 400 and one byte for
// each bin, of which there are at most 513 for each sign, two once a bin has more than 255 values and four once it has
// more than 65,535. Adding takes constant time, averaged over many values.
//
// A Summary is not safe for concurrent use; reading statistics changes its inner form.
type Summary struct {
	n     uint64
	raw   raw // has the values unless one of the next three is not nil
	table *table
	hist  *histogram
	rare  *rare
}

// rare is what few summaries have.
type rare struct {
	tally *tally // the values of an exact summary of many
	times *times // nil unless every value came with its time
}

// times are the first and the last value by time.
type times struct{ first, last point }

// point is a value at a time.
type point struct {
	time  int64 // nanoseconds since 1970
	value float64
}

// New returns an empty summary that is exact up to limit values, from 1 to [Unlimited].
func New(limit int) Summary { return Summary{raw: raw{limit: int32(limit)}} }

// Add adds a value. NaN and the infinities are not added; Add then returns false.
func (s *Summary) Add(v float64) bool { return s.AddAll([]float64{v}, nil) == 1 }

// AddAt adds a value that was measured at a time, in nanoseconds since 1970: only where every value came with
// its time, the summary knows which was first and which last.
func (s *Summary) AddAt(v float64, time int64) bool {
	return s.AddAll([]float64{v}, []int64{time}) == 1
}

// AddAll adds values, with their times unless these are nil, and returns how many it added: NaN and the
// infinities are not, and none where they would be more than 2^63−1 in all. It keeps no part of what it is given.
func (s *Summary) AddAll(vs []float64, at []int64) int {
	if uint64(len(vs)) > maxCount-s.n {
		return 0
	}
	if s.rare != nil || at != nil {
		s.time(vs, at)
	}
	added := 0
	for i := 0; i < len(vs); i += batchSize {
		added += s.addBatch(vs[i:min(i+batchSize, len(vs))])
	}
	return added
}

// addBatch adds those of at most batchSize values that are finite, −0 as 0, and returns how many these are.
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

// span returns the smallest and the largest of values, at least one, when all are finite and none is −0.
func span(vs []float64) (low, high float64, plain bool) {
	const infinity, negativeZero = 0x7ff << mantissaBits, 1 << 63
	least, most := endsOfBits(vs)
	if least >= 0 && most < infinity { // as in endsOfBits: none is below zero, and none is NaN
		return math.Float64frombits(uint64(least)), math.Float64frombits(uint64(most)), true
	}
	for _, v := range vs {
		if bits := math.Float64bits(v); bits&infinity == infinity || bits == negativeZero {
			return 0, 0, false
		}
	}
	low, high = ends(vs)
	return low, high, true
}

// time notes the first and the last of values that are about to be added.
func (s *Summary) time(vs []float64, at []int64) {
	if s.n == 0 && at != nil {
		s.setTimes(nil)
	}
	for i, v := range vs {
		switch {
		case v-v != 0:
		case at == nil:
			s.setTimes(nil)
			return
		default:
			s.timeOne(point{at[i], v + 0}, s.n == 0)
		}
	}
}

func (s *Summary) timeOne(p point, empty bool) {
	t := s.timed()
	if t == nil {
		if empty {
			s.setTimes(&times{p, p})
		}
		return
	}
	if p.time < t.first.time {
		t.first = p
	}
	if p.time >= t.last.time {
		t.last = p
	}
}

func (s *Summary) timed() *times {
	if s.rare == nil {
		return nil
	}
	return s.rare.times
}

func (s *Summary) setTimes(t *times) {
	if s.rare == nil {
		if t == nil {
			return
		}
		s.rare = new(rare)
	}
	s.rare.times = t
}

// add adds at most batchSize finite values from low to high, at least one and none of them −0.
func (s *Summary) add(vs []float64, low, high float64) {
	n := s.n
	s.n += uint64(len(vs))
	switch {
	case s.hist != nil:
		s.hist.add(vs, low, high, n)
	case s.table == nil && s.tally() == nil && n > 0 && s.n <= s.rawLimit():
		s.raw.add(vs)
	case n == 0 && s.n <= s.rawLimit() && continuous(vs):
		s.raw.add(vs)
	case s.table != nil && low == high:
		if !s.table.add(low, uint64(len(vs))) {
			s.put(vs, nil, n)
		}
	default:
		s.put(vs, nil, n)
	}
}

// continuous reports whether values look like those of which hardly any comes twice.
func continuous(vs []float64) bool {
	for i, v := range vs {
		for _, w := range vs[:i] {
			if v == w {
				return false
			}
		}
	}
	return len(vs) >= batchSize/2
}

// put adds values to n others, each with its count; nil counts are 1 each. s.n counts them already.
func (s *Summary) put(values []float64, counts []uint64, n uint64) {
	if n == 0 || s.n > s.rawLimit() {
		s.leaveRaw(n)
	}
	switch {
	case s.hist != nil && counts == nil:
		s.hist.addAll(values, n)
	case s.hist != nil:
		s.hist.addCounted(values, counts, n, s.n-n)
	case s.tally() != nil:
		s.tally().insertAll(values, counts)
	case s.table != nil:
		added, n := s.table.addAll(values, counts, n)
		if added < len(values) {
			s.leaveTable(n)
			s.put(values[added:], from(counts, added), n)
		}
	default:
		s.raw.addCounted(values, counts)
	}
}

// leaveRaw moves the n values, when every one of them is kept, to where there is room for more.
func (s *Summary) leaveRaw(n uint64) {
	if s.hist != nil || s.table != nil || s.tally() != nil && s.n <= s.exactLimit() {
		return
	}
	if values := s.raw.settle(); s.tally() == nil && s.n > s.exactLimit() && distinctOf(values) > maxTable {
		s.hist = histogramOf(values)
		s.raw.drop()
		return
	}
	values, counts := s.distinct()
	s.setTally(nil)
	s.raw.drop()
	if len(values) <= maxTable {
		s.table = new(table)
		for i, v := range values {
			s.table.add(v, countOf(counts, i))
		}
		return
	}
	s.leaveExact(values, counts, n)
}

// leaveTable moves the n values of the table to where there is room for more distinct ones.
func (s *Summary) leaveTable(n uint64) {
	s.table.sort()
	values, counts := s.table.values, s.table.counts
	s.table = nil
	if s.n <= s.rawLimit() {
		s.raw.addCounted(values, counts)
		s.raw.sorted = int32(n)
		return
	}
	s.leaveExact(values, counts, n)
}

// leaveExact moves n values, which are ascending and distinct, to the tier for many.
func (s *Summary) leaveExact(values []float64, counts []uint64, n uint64) {
	if s.n > s.exactLimit() {
		s.hist = newHistogram(values, counts, n)
		return
	}
	t := new(tally)
	t.insert(values, counts)
	s.setTally(t)
}

func (s *Summary) setTally(t *tally) {
	if s.rare == nil {
		if t == nil {
			return
		}
		s.rare = new(rare)
	}
	s.rare.tally = t
}

func (s *Summary) tally() *tally {
	if s.rare == nil {
		return nil
	}
	return s.rare.tally
}

// exactLimit returns up to how many values the summary is exact.
func (s *Summary) exactLimit() uint64 {
	switch s.raw.limit {
	case 0:
		return DefaultExactLimit
	case Unlimited:
		return maxCount
	}
	return uint64(s.raw.limit)
}

// rawLimit returns how many values raw may have.
func (s *Summary) rawLimit() uint64 { return min(s.exactLimit(), maxRaw) }

// exact returns the ascending values of a summary that is no histogram, with their counts; nil counts
// are 1 each, and values may then repeat.
func (s *Summary) exact() (values []float64, counts []uint64) {
	switch {
	case s.table != nil:
		s.table.sort()
		return s.table.values, s.table.counts
	case s.tally() != nil:
		s.tally().settle()
		return s.tally().values, s.tally().counts
	}
	return s.raw.settle(), nil
}

// Merge makes s what it would be had every value of o been added to it too, after its own. It leaves
// what o tells as it was and keeps nothing of o's memory. Merging a summary into itself counts each
// of its values twice.
//
// The error is [ErrOverflow] or nil; s is as it was on error.
func (s *Summary) Merge(o *Summary) error {
	if s.n > maxCount-o.n {
		return fmt.Errorf("merging %d into %d values: %w", o.n, s.n, ErrOverflow)
	}
	if o.n == 0 {
		return nil
	}
	if s == o {
		o = o.Clone()
	}
	s.mergeTimes(o)
	n := s.n
	s.n += o.n
	switch {
	case o.hist == nil:
		values, counts := o.exact()
		s.put(values, counts, n)
	case n == 0:
		s.raw.drop()
		s.table, s.hist = nil, o.hist.clone()
	default:
		s.demote(n)
		s.hist.merge(o.hist, n, o.n)
	}
	return nil
}

func (s *Summary) mergeTimes(o *Summary) {
	t := o.timed()
	if t == nil || s.n > 0 && s.timed() == nil {
		s.setTimes(nil)
		return
	}
	if s.n == 0 {
		merged := *t
		s.setTimes(&merged)
		return
	}
	if t.first.time < s.timed().first.time {
		s.timed().first = t.first
	}
	if t.last.time >= s.timed().last.time {
		s.timed().last = t.last
	}
}

// Demote makes the summary a histogram, however few values it has; an empty one stays as it is.
func (s *Summary) Demote() {
	if s.n > 0 {
		s.demote(s.n)
	}
}

// demote makes a histogram of the n values that there are.
func (s *Summary) demote(n uint64) {
	if s.hist != nil {
		return
	}
	values, counts := s.distinct()
	s.hist = newHistogram(values, counts, n)
	s.raw.drop()
	s.table = nil
	s.setTally(nil)
}

// Reset empties the summary; its exact limit stays, and the memory of the values that it kept one by one.
func (s *Summary) Reset() {
	*s = Summary{raw: raw{values: s.raw.values[:0], limit: s.raw.limit}}
}

// Clone returns a copy that shares no memory with s.
func (s *Summary) Clone() *Summary {
	c := *s
	c.raw = s.raw.clone()
	if s.table != nil {
		c.table = s.table.clone()
	}
	if s.hist != nil {
		c.hist = s.hist.clone()
	}
	if s.rare != nil {
		c.rare = s.rare.clone()
	}
	return &c
}

func (r *rare) clone() *rare {
	var c rare
	if r.tally != nil {
		c.tally = r.tally.clone()
	}
	if r.times != nil {
		t := *r.times
		c.times = &t
	}
	return &c
}

// Count returns how many values the summary describes.
func (s *Summary) Count() uint64 { return s.n }

// Exact reports whether the summary knows every value.
func (s *Summary) Exact() bool { return s.hist == nil }

// Min returns the smallest value, or NaN of an empty summary.
func (s *Summary) Min() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	if s.hist != nil {
		return s.hist.min
	}
	values, _ := s.exact()
	return values[0]
}

// Max returns the largest value, or NaN of an empty summary.
func (s *Summary) Max() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	if s.hist != nil {
		return s.hist.max
	}
	values, _ := s.exact()
	return values[len(values)-1]
}

// MaxError returns how far an order statistic of s can be from the true one: 0 while s is exact, and as a histogram the
// width of its bins, as a share of the true value. It is 0.27 % when the magnitudes of the values are
// within a factor of 4, 0.54 % within 16, 1.09 % within 256 and 2.19 % beyond; where they are not within 65,536,
// another 0.0016 % of the largest magnitude comes to it, and below 2^-1022, where floats are less exact, half the
// smallest one. Between two values, the larger magnitude counts.
func (s *Summary) MaxError() float64 {
	if s.hist == nil {
		return 0
	}
	return binWidth(s.hist.scale)
}

// Bytes returns about how much memory the summary holds beyond its own struct.
func (s *Summary) Bytes() int {
	size := 8 * cap(s.raw.values)
	if s.table != nil {
		size += s.table.bytes()
	}
	if s.hist != nil {
		size += s.hist.bytes()
	}
	if t := s.tally(); t != nil {
		size += 8 * (cap(t.values) + cap(t.counts) + cap(t.pending))
	}
	return size
}

// The sizes of the structs that a summary may hold.
const (
	tableSize     = int(unsafe.Sizeof(table{}))
	histogramSize = int(unsafe.Sizeof(histogram{}))
	binsSize      = int(unsafe.Sizeof(bins{}))
	candidateSize = int(unsafe.Sizeof(candidate{}))
)

// from returns the counts from i on.
func from(counts []uint64, i int) []uint64 {
	if counts == nil {
		return nil
	}
	return counts[i:]
}
