package stats

import "sort"

// AtMost returns how many of the values are less than or equal to v: at least low and at most high. The bounds are equal
// for an exact summary. For a histogram they differ by at most the number of values in the bin of v. Both are 0 for an
// empty summary and for NaN. For example, a histogram of 1, 2, 3, 3.001 and 10 has 3 and 3.001 in one bin, so the bounds for 3 are 2 and
// 4.
func (s *Summary) AtMost(v float64) (low, high uint64) {
	n := s.Count()
	switch {
	case n == 0 || !(v >= s.Min()):
		return 0, 0
	case v >= s.Max():
		return n, n
	}
	if h := s.histogram(); h != nil {
		low, high = h.atMost(v)
		return max(low, 1), min(high, n-1) // the smallest value is at most v, and the largest is not
	}
	low = s.exact.order().atMost(v)
	return low, low
}

// Share returns the share of the values that are less than or equal to v, in [0, 1], and the largest error of that
// share, which is 0 for an exact summary. The share is the middle between the bounds of [Summary.AtMost]; of NaN it is 0. Share
// returns false for an empty summary.
func (s *Summary) Share(v float64) (share, maxError float64, ok bool) {
	n := float64(s.Count())
	if n == 0 {
		return 0, 0, false
	}
	low, high := s.AtMost(v)
	return (float64(low) + float64(high-low)/2) / n, float64(high-low) / 2 / n, true
}

// atMost returns how many values are less than or equal to v.
func (o ordered) atMost(v float64) uint64 {
	i := sort.Search(len(o.values), func(i int) bool { return o.values[i] > v })
	if o.counts == nil {
		return uint64(i)
	}
	return ordered{o.values[:i], o.counts[:i]}.total()
}

// atMost returns bounds of how many values are less than or equal to v.
func (h *histogram) atMost(v float64) (low, high uint64) {
	negative := h.negative.total()
	switch shift := maxBinScale - h.scale; {
	case v > 0:
		below, within := h.positive.split(binOf(v)>>shift, h.collapsedTo(&h.positive))
		low = negative + h.zero + below
		return low, low + within
	case v < 0: // the magnitudes of the values up to v are those from −v on
		below, within := h.negative.split(binOf(-v)>>shift, h.collapsedTo(h.negative))
		high = negative - below
		return high - within, high
	}
	return negative + h.zero, negative + h.zero
}

// split returns how many magnitudes are in the bins below bin i, and how many are in bin i or may have been in it before
// the lower bins collapsed into the bin collapsed. It returns 0 for bins below the run, unless they have collapsed: then all values of the
// lowest bin may be from bin i.
func (b *bins) split(i, collapsed int32) (below, within uint64) {
	if b.empty() || i < b.lo && b.lo != collapsed {
		return 0, 0
	}
	i = max(i, b.lo)
	for k := b.lo; k < min(i, b.hi+1); k++ {
		below += b.at(k)
	}
	if i <= b.hi {
		within = b.at(i)
	}
	return below, within
}
