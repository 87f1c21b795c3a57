package stats

import "math"

// histogram counts values in bins whose boundaries are the powers of 2^(2^-scale). The scale is the finest one, from
// 8 to 5, at which the values of each sign need at most maxBins contiguous bins. If they need more even at scale 5,
// the bins nearest zero collapse into the lowest bin. So the bins depend on the values alone, not on their order and
// not on how they were merged. The count, min and max are exact, and the moments are compensated.
//
// A value is known only to the width of its bin, at most the share [binWidth] of the value. In a collapsed bin, it is
// known to 1.6·10^-5 of the largest magnitude, because 513 bins at scale 5 span 16 powers of two.
//
// It is never shared: a Summary owns its histogram. An empty one has min above max, the finest scale and no bins.
type histogram struct {
	min, max   float64 // exact
	moments    moments // of all values, with their count
	scale      int8    // 5 to 8; the coarser, the wider the bins
	fractional bool    // whether at least one value is not a whole number
	zero       uint64  // how many values are zero
	positive   bins    // of the values above zero
	negative   *bins   // of the magnitudes of the values below zero, nil if there are none, as in most histograms
	heavy      heavy
}

// emptyHistogram returns a histogram without values.
func emptyHistogram() *histogram {
	return &histogram{scale: maxBinScale, min: math.Inf(1), max: math.Inf(-1)}
}

// histogramOf returns the histogram of exact values. The result depends on the values alone.
func histogramOf(o ordered) *histogram {
	h := emptyHistogram()
	h.addOrdered(o)
	return h
}

// reset empties the histogram. It keeps its memory.
func (h *histogram) reset() {
	positive, negative, all := h.positive, h.negative, h.heavy.all
	*h = *emptyHistogram()
	h.positive.data, h.heavy.all = positive.data[:0], all
	if negative != nil {
		*negative = bins{data: negative.data[:0]}
		h.negative = negative
	}
}

// add adds 1 to batchSize finite values from low to high.
func (h *histogram) add(vs []float64, low, high float64) {
	h.bin(vs, low, high)
	h.moments.add(vs, max(high, -low))
	h.heavy.add(vs, h.moments.n)
}

// addOrdered adds the values of o. The result does not depend on the form of o: values with counts, or repeated
// values.
func (h *histogram) addOrdered(o ordered) {
	if len(o.values) == 0 {
		return
	}
	o = o.compact()
	h.bound(o.values, o.min(), o.max())
	h.fit(o.values, o.min(), o.max())
	if o.counts == nil {
		h.binOnce(o.values)
	} else {
		for i, v := range o.values {
			h.countValue(v, o.counts[i])
		}
	}
	n := h.moments.n // of the values before
	h.moments.merge(o.moments(len(o.values)))
	h.heavy.addOrdered(o, n)
}

// binOnce counts each value once in its bin. The caller has made room for the bins. With countValue alone, one series of the plugin describe
// took 34.0 ns a value instead of 33.2 (BenchmarkNeighbours/series=1/data=cpu/through=direct/aggregator=describe-compact).
func (h *histogram) binOnce(values []float64) {
	for len(values) > 0 && values[0] <= 0 {
		h.countValue(values[0], 1)
		values = values[1:]
	}
	if len(values) == 0 {
		return
	}
	if binOf(values[0])>>(maxBinScale-h.scale) >= h.positive.lo {
		h.countWithin(values)
		return
	}
	for _, v := range values { // bins have collapsed
		h.countValue(v, 1)
	}
}

// bin counts at most batchSize values from low to high in their bins, and makes room for these.
func (h *histogram) bin(vs []float64, low, high float64) {
	within := h.min <= low && high <= h.max
	h.bound(vs, low, high)
	// In the second case, the bins of the values are within the run and none has collapsed, so there is room already. Without that case,
	// BenchmarkAddMore/limit=64/data=continuous took 11.5 ns a value instead of 10.5, and one series of the plugin describe 33.6 instead of 33.0
	// (BenchmarkNeighbours/series=1/data=cpu/through=direct/aggregator=describe-compact).
	switch {
	case low <= 0:
		h.fit(vs, low, high)
		for _, v := range vs {
			h.countValue(v, 1)
		}
	case within && h.min > 0 && h.scale > minBinScale:
		h.countWithin(vs)
	default:
		h.countPositive(vs, low, high)
	}
}

// bound updates min, max and fractional for values from low to high.
func (h *histogram) bound(vs []float64, low, high float64) {
	if low < h.min {
		h.min = low
	}
	if high > h.max {
		h.max = high
	}
	if !h.fractional {
		h.fractional = !whole(vs)
	}
}

// whole reports whether all values are whole numbers.
func whole(vs []float64) bool {
	for _, v := range vs {
		if v != math.Trunc(v) {
			return false
		}
	}
	return true
}

// countPositive counts values from low to high in their bins. All are above zero.
func (h *histogram) countPositive(vs []float64, low, high float64) {
	h.cover(extent{binOf(low), binOf(high)}, noExtent)
	run, shift := &h.positive, maxBinScale-h.scale
	if binOf(low)>>shift >= run.lo {
		h.countWithin(vs)
		return
	}
	for _, v := range vs {
		run.add(max(binOf(v)>>shift, run.lo), 1)
	}
}

// countWithin counts values above zero in their bins, which are all within the run.
func (h *histogram) countWithin(vs []float64) {
	run, shift := &h.positive, maxBinScale-h.scale
	for vs = run.addOnes(vs, shift); len(vs) > 0; vs = run.addOnes(vs, shift) {
		run.widen()
	}
}

// countValue adds n to the count of the bin of v. The caller has made room for the bin with fit.
func (h *histogram) countValue(v float64, n uint64) {
	shift := maxBinScale - h.scale
	switch {
	case v > 0:
		h.positive.add(max(binOf(v)>>shift, h.positive.lo), n)
	case v < 0:
		h.negative.add(max(binOf(-v)>>shift, h.negative.lo), n)
	default:
		h.zero += n
	}
}

// extent is a range of bins at the finest scale, both ends included. It is empty if hi is below lo.
type extent struct{ lo, hi int32 }

// noExtent is the empty extent: including any bin makes it that bin alone.
var noExtent = extent{math.MaxInt32, math.MinInt32}

// include extends the extent to the bin of a, which is finite and above zero.
func (e *extent) include(a float64) {
	i := binOf(a)
	e.lo, e.hi = min(e.lo, i), max(e.hi, i)
}

// fit makes room for the bins of the values, which are from low to high.
func (h *histogram) fit(vs []float64, low, high float64) {
	if low > 0 {
		h.cover(extent{binOf(low), binOf(high)}, noExtent)
		return
	}
	positive, negative := noExtent, noExtent
	for _, v := range vs {
		if v > 0 {
			positive.include(v)
		} else if v < 0 {
			negative.include(-v)
		}
	}
	h.cover(positive, negative)
}

// cover makes room for two ranges of bins. If a run would have more than maxBins, it changes to a coarser scale or,
// at the coarsest, collapses the bins nearest zero. The caller must then count a value at each end of the ranges.
func (h *histogram) cover(positive, negative extent) {
	for h.scale > minBinScale && (h.positive.tooWide(positive, h.scale) || h.negative.tooWide(negative, h.scale)) {
		h.coarsen()
	}
	h.positive.include(positive, h.scale)
	if h.negative == nil && negative.lo <= negative.hi {
		h.negative = new(bins)
	}
	h.negative.include(negative, h.scale)
}

// coarsen changes the histogram to the next coarser scale.
func (h *histogram) coarsen() {
	h.positive.coarsen()
	h.negative.coarsen()
	h.scale--
}

// tooWide reports whether the run and the extent together span more than maxBins bins at the given scale, which is
// that of the run.
func (b *bins) tooWide(e extent, scale int8) bool {
	if e.hi < e.lo {
		return false
	}
	lo, hi := e.lo>>(maxBinScale-scale), e.hi>>(maxBinScale-scale)
	if !b.empty() {
		lo, hi = min(lo, b.lo), max(hi, b.hi)
	}
	return hi-lo >= maxBins
}

// include makes room for the extent at the given scale. If the run would have more than maxBins bins, its lowest bins
// collapse.
func (b *bins) include(e extent, scale int8) {
	if e.hi < e.lo {
		return
	}
	lo, hi := e.lo>>(maxBinScale-scale), e.hi>>(maxBinScale-scale)
	lowest := max(hi, b.hi) - maxBins + 1
	if b.empty() {
		lowest = hi - maxBins + 1
	}
	b.raise(lowest)
	b.cover(max(lo, lowest), max(hi, lowest))
}

// merge adds the values of o, which it does not change.
func (h *histogram) merge(o *histogram) {
	// Bins can be joined and not divided, so the coarser scale of the two is the finest possible one. cover may need a coarser one yet.
	for h.scale > o.scale {
		h.coarsen()
	}
	h.cover(o.positive.extent(o.scale), o.negative.extent(o.scale))
	h.positive.merge(&o.positive, o.scale-h.scale)
	h.negative.merge(o.negative, o.scale-h.scale)
	h.zero += o.zero
	h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	h.fractional = h.fractional || o.fractional
	h.moments.merge(o.moments)
	h.heavy.mergeHeavy(&o.heavy, h.moments.n)
}

// extent returns the range of the bins at the finest scale.
func (b *bins) extent(scale int8) extent {
	if b.empty() {
		return noExtent
	}
	shift := maxBinScale - scale
	return extent{b.lo << shift, b.hi << shift}
}

// mode returns the candidate with the largest lower bound of its count, and that bound. If no bound is above 1, no
// value is known to repeat, and the mode is the smallest value.
func (h *histogram) mode() (value float64, count uint64) {
	if value, count = h.heavy.mode(); count > 0 {
		return value, count
	}
	return h.min, 1
}

// clone returns a copy that shares no memory with h.
func (h *histogram) clone() *histogram {
	c := *h
	c.positive, c.heavy = h.positive.clone(), h.heavy.clone()
	if h.negative != nil {
		negative := h.negative.clone()
		c.negative = &negative
	}
	return &c
}

// bytes returns how many bytes of memory the histogram holds.
func (h *histogram) bytes() int {
	size := histogramSize + cap(h.positive.data) + h.heavy.bytes()
	if h.negative != nil {
		size += binsSize + cap(h.negative.data)
	}
	return size
}
