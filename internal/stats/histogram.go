package stats

import "math"

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
	zero       uint64 // how many values are zero
	positive   bins
	negative   bins // of the magnitudes
	heavy      heavy
	scale      int8
	fractional bool // whether a value is not whole
}

// newHistogram returns the histogram of ascending values with their counts, of n values in all.
func newHistogram(values []float64, counts []uint64, n uint64) *histogram {
	h := &histogram{scale: maxBinScale, min: math.Inf(1), max: math.Inf(-1)}
	h.addCounted(values, counts, 0, n)
	return h
}

// add adds at most batchSize finite values after n others.
func (h *histogram) add(vs []float64, n uint64) {
	h.bound(vs)
	h.countBatch(vs)
	h.moments.add(vs, n)
	h.heavy.add(vs, n)
}

// addCounted adds ascending values, each with its count, after n others, m values in all.
func (h *histogram) addCounted(values []float64, counts []uint64, n, m uint64) {
	h.bound(values)
	h.fit(values)
	for i, v := range values {
		h.countValue(v, countOf(counts, i))
	}
	h.moments.merge(momentsOf(values, counts, m), n, m)
	h.heavy.merge(values, counts, n)
}

// bound widens min and max and notes what is not whole.
func (h *histogram) bound(vs []float64) {
	for _, v := range vs {
		h.min, h.max = min(h.min, v), max(h.max, v)
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

// countBatch counts at most batchSize values in their bins. What they have in common is decided once: mostly they
// have one sign and lie where others were before.
func (h *histogram) countBatch(vs []float64) {
	var at [batchSize]int32
	run, sign := &h.positive, 1.0
	if len(vs) > 0 && vs[0] < 0 {
		run, sign = &h.negative, -1
	}
	shift := maxBinScale - h.scale
	lo, hi := int32(math.MaxInt32), int32(math.MinInt32)
	for i, v := range vs {
		v *= sign
		if v <= 0 {
			h.countMixed(vs)
			return
		}
		at[i] = binOf(v) >> shift
		lo, hi = min(lo, at[i]), max(hi, at[i])
	}
	if run.empty() || lo < run.lo || hi > run.hi {
		h.countMixed(vs)
		return
	}
	for i := range vs {
		run.add(at[i], 1)
	}
}

func (h *histogram) countMixed(vs []float64) {
	h.fit(vs)
	for _, v := range vs {
		h.countValue(v, 1)
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

// fit makes room for values.
func (h *histogram) fit(vs []float64) {
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
	h.negative.merge(&o.negative, o.scale-h.scale)
	h.zero += o.zero
	h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	h.fractional = h.fractional || o.fractional
	h.moments.merge(o.moments, n, m)
	// The candidates of o stand for their bounds only: what is missing of m are values that o let go, and it
	// says by missed how many of each.
	h.heavy.missed += o.heavy.missed
	h.heavy.merge(o.heavy.values, o.heavy.counts, n+m-total(o.heavy.counts))
}

// extent returns the run's bins at the finest scale.
func (b *bins) extent(scale int8) extent {
	if b.empty() {
		return noExtent
	}
	shift := maxBinScale - scale
	return extent{b.lo << shift, b.hi << shift}
}

// merge adds the counts of o, which is finer by shift.
func (b *bins) merge(o *bins, shift int8) {
	if o.empty() {
		return
	}
	if shift == 0 && b.width == 1 && o.width == 1 && o.lo >= b.lo {
		to, from := b.data[o.lo-b.first:], o.data[o.lo-o.first:o.hi-o.first+1]
		for k, n := range from {
			if sum := uint(to[k]) + uint(n); sum <= math.MaxUint8 {
				to[k] = byte(sum)
				continue
			}
			b.mergeFrom(o, o.lo+int32(k), 0)
			return
		}
		return
	}
	b.mergeFrom(o, o.lo, shift)
}

// mergeFrom adds the counts of o from bin i on.
func (b *bins) mergeFrom(o *bins, i int32, shift int8) {
	for ; i <= o.hi; i++ {
		if n := o.at(i); n > 0 {
			b.add(max(i>>shift, b.lo), n)
		}
	}
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
	c.positive, c.negative, c.heavy = h.positive.clone(), h.negative.clone(), h.heavy.clone()
	return &c
}

// bytes returns about how much memory the histogram holds.
func (h *histogram) bytes() int {
	return histogramSize + cap(h.positive.data) + cap(h.negative.data) + 8*(cap(h.heavy.values)+cap(h.heavy.counts))
}
