package stats

import (
	"math"
	"slices"
)

const (
	// batchSize is how many values a histogram takes at a time.
	batchSize = 16
	// collapsedError is what share of the largest magnitude the error of a value can be whose bin collapsed: the
	// boundary that is 512 bins below at the coarsest scale.
	collapsedError = 1.6e-5
)

// histogram counts values in bins whose boundaries are the powers of 2^(2^-scale), scale 8 to 5, as fine
// as at most 513 contiguous bins for each sign allow. Where these do not span the values at the coarsest
// scale, those nearest zero collapse into the lowest bin. So the bins depend on the values alone, not on
// their order nor on how they were merged. count, min and max are exact, the moments compensated.
//
// A value is told by its bin with an error of at most the bin's width: at most [binWidth] of the
// value, and at most collapsedError of the largest magnitude where bins collapsed.
type histogram struct {
	min, max   float64
	moments    moments
	scale      int8
	fractional bool   // whether a value is not whole
	zero       uint64 // how many values are zero
	positive   bins
	negative   *bins // of the magnitudes; nil where no value is below zero, as mostly
	heavy      heavy
}

func emptyHistogram() *histogram {
	return &histogram{scale: maxBinScale, min: math.Inf(1), max: math.Inf(-1)}
}

// newHistogram returns the histogram of ascending distinct values with their counts, n values in all; nil counts are 1
// each.
func newHistogram(values []float64, counts []uint64, n uint64) *histogram {
	if counts == nil {
		return histogramOf(values)
	}
	h := emptyHistogram()
	h.addCounted(values, counts, 0, n)
	return h
}

// addAll adds finite values, at least one, after n others.
func (h *histogram) addAll(values []float64, n uint64) {
	low, high := ends(values)
	h.fit(values, low, high)
	for i := 0; i < len(values); i += batchSize { // slices.Chunk would have the values of every caller on the heap
		batch := values[i:min(i+batchSize, len(values))]
		low, high := ends(batch)
		h.add(batch, low, high, n)
		n += uint64(len(batch))
	}
}

// histogramOf returns the histogram of ascending values, of which any may repeat.
func histogramOf(values []float64) *histogram {
	h := emptyHistogram()
	h.fit(values, values[0], values[len(values)-1])
	n := uint64(0)
	for batch := range slices.Chunk(values, batchSize) {
		h.count(batch, batch[0], batch[len(batch)-1], n)
		n += uint64(len(batch))
	}
	h.heavy.start(runs(values))
	return h
}

// add adds at most batchSize finite values from low to high, at least one, after n others.
func (h *histogram) add(vs []float64, low, high float64, n uint64) {
	h.count(vs, low, high, n)
	h.heavy.add(vs, n)
}

// count adds values to all but the candidates for the mode.
func (h *histogram) count(vs []float64, low, high float64, n uint64) {
	within := h.min <= low && high <= h.max
	h.bound(vs, low, high)
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
	h.moments.add(vs, max(high, -low), n)
}

// addCounted adds values, at least one, each with its count, after n others, m values in all.
func (h *histogram) addCounted(values []float64, counts []uint64, n, m uint64) {
	low, high := ends(values)
	h.bound(values, low, high)
	h.fit(values, low, high)
	for i, v := range values {
		h.countValue(v, counts[i])
	}
	h.moments.merge(momentsOf(values, counts, m), n, m)
	h.heavy.merge(values, counts, n)
}

// ends returns the smallest and the largest of finite values, at least one, none of them −0.
func ends(vs []float64) (low, high float64) {
	if least, most := endsOfBits(vs); least >= 0 {
		return math.Float64frombits(uint64(least)), math.Float64frombits(uint64(most))
	}
	low, high = vs[0], vs[0]
	for _, v := range vs[1:] {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// endsOfBits returns the smallest and the largest of the values' bits, taken for signed integers. Those of floats that are
// not negative are in the order of the floats, NaN beyond infinity, and those of negative ones are negative: so most
// often integers are compared, without branches that depend on the data.
func endsOfBits(vs []float64) (least, most int64) {
	least, most = math.MaxInt64, math.MinInt64
	for _, v := range vs {
		bits := int64(math.Float64bits(v))
		least, most = min(least, bits), max(most, bits)
	}
	return least, most
}

// bound widens min and max to low and high, the ends of the values, and notes what is not whole.
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

func whole(vs []float64) bool {
	for _, v := range vs {
		if v != math.Trunc(v) {
			return false
		}
	}
	return true
}

// countPositive counts values from low to high, which are above zero, in their bins.
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

// countWithin counts values above zero whose bins are all within the run, as they mostly are.
func (h *histogram) countWithin(vs []float64) {
	run, shift := &h.positive, maxBinScale-h.scale
	for vs = run.addOnes(vs, shift); len(vs) > 0; vs = run.addOnes(vs, shift) {
		run.widen()
	}
}

// countValue counts v in its bin; fit made room for it.
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

// extent is a range of bins at the finest scale, empty where hi is below lo.
type extent struct{ lo, hi int32 }

var noExtent = extent{math.MaxInt32, math.MinInt32}

func (e *extent) include(a float64) {
	i := binOf(a)
	e.lo, e.hi = min(e.lo, i), max(e.hi, i)
}

// fit makes room for values from low to high.
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

// cover makes room for bins, at a coarser scale when the bins would be too many, and collapsing bins when
// there is none. At each end of the extents something will be counted.
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

func (h *histogram) coarsen() {
	h.positive.coarsen()
	h.negative.coarsen()
	h.scale--
}

// tooWide reports whether the run, which is at that scale, and the extent span more than maxBins together.
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

// include makes room for the extent. Where that is too wide, the lowest bins collapse.
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

// merge adds all that o counts, which is of m values, after n others.
func (h *histogram) merge(o *histogram, n, m uint64) {
	for h.scale > o.scale {
		h.coarsen()
	}
	h.cover(o.positive.extent(o.scale), o.negative.extent(o.scale))
	h.positive.merge(&o.positive, o.scale-h.scale)
	h.negative.merge(o.negative, o.scale-h.scale)
	h.zero += o.zero
	h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	h.fractional = h.fractional || o.fractional
	h.moments.merge(o.moments, n, m)
	h.heavy.mergeHeavy(&o.heavy, n, m)
}

// extent returns the run's bins at the finest scale.
func (b *bins) extent(scale int8) extent {
	if b.empty() {
		return noExtent
	}
	shift := maxBinScale - scale
	return extent{b.lo << shift, b.hi << shift}
}

func total(counts []uint64) (sum uint64) {
	for _, c := range counts {
		sum += c
	}
	return sum
}

// mode returns the value that is most frequent as far as the candidates tell, and a lower bound of its
// count. Where all values look distinct that is the smallest.
func (h *histogram) mode() (value float64, count uint64) {
	if value, count = h.heavy.mode(); count > 0 {
		return value, count
	}
	return h.min, 1
}

func (h *histogram) clone() *histogram {
	c := *h
	c.positive, c.heavy = h.positive.clone(), h.heavy.clone()
	if h.negative != nil {
		negative := h.negative.clone()
		c.negative = &negative
	}
	return &c
}

// bytes returns about how much memory the histogram holds.
func (h *histogram) bytes() int {
	size := histogramSize + cap(h.positive.data) + h.heavy.bytes()
	if h.negative != nil {
		size += binsSize + cap(h.negative.data)
	}
	return size
}
