package stats

import "math"

// readHistogram is a histogram that was read. The parts to which a histogram points are beside it: they replace those of the summary only
// after everything is checked.
type readHistogram struct {
	histogram                     // without negative and heavy.all
	below     bins                // what negative will point to
	all       [maxHeavy]candidate // what heavy.all will point to; heavy.n has their number
}

// histogram reads a histogram up to its times into h, which is zero, and checks it. fractional is set if the flag for whole numbers is
// not.
func (d *decoder) histogram(h *readHistogram, fractional bool) {
	h.fractional = fractional
	h.min, h.max = d.float("min"), d.float("max")
	d.moments(&h.moments)
	scale := d.byte("scale")
	if scale < minBinScale || scale > maxBinScale {
		d.fail("scale %d, want %d to %d", scale, minBinScale, maxBinScale)
		return
	}
	h.scale = int8(scale)
	h.zero = d.uvarint("number of zeros")
	above := d.bins(&h.positive, h.scale)
	below := d.bins(&h.below, h.scale)
	h.moments.n = d.sum(h.zero, above, below)
	kept := d.heavy(h)
	if d.err == nil {
		d.check(h, kept)
	}
}

// sum returns the sum of the counts. More than maxCount is an error.
func (d *decoder) sum(counts ...uint64) (sum uint64) {
	for _, c := range counts {
		if c > maxCount-sum {
			d.fail("more than %d values", uint64(maxCount))
			return 0
		}
		sum += c
	}
	return sum
}

// moments reads the unit and the sums. The caller sets the number of values.
func (d *decoder) moments(m *moments) {
	unit := d.byte("unit")
	if int(unit) >= len(units) {
		d.fail("unit %d, want at most %d", unit, len(units)-1)
		return
	}
	m.unit = units[unit]
	m.sum = accumulator{d.float("sum"), d.float("sum")}
	m.m2 = accumulator{d.float("sum of squares"), d.float("sum of squares")}
}

// bins reads a run of bins and returns how many values are in it. The bins must be within the range of float64
// values.
func (d *decoder) bins(b *bins, scale int8) uint64 {
	size := d.uvarint("number of bins")
	if size == 0 {
		return 0
	}
	if size > maxBins {
		d.fail("%d bins, want at most %d", size, maxBins)
		return 0
	}
	shift := maxBinScale - scale
	lowest, highest := int64(binOf(math.SmallestNonzeroFloat64)>>shift), int64(binOf(math.MaxFloat64)>>shift)
	lo := d.varint("lowest bin")
	if lo < lowest || lo+int64(size)-1 > highest {
		d.fail("%d bins from %d on, want bins from %d to %d", size, lo, lowest, highest)
		return 0
	}
	var space [maxBins]uint64
	counts := space[:size]
	n, largest := d.counts(counts, 0)
	if d.err == nil && (counts[0] == 0 || counts[size-1] == 0) {
		d.fail("the lowest bin has %d values and the highest has %d, want 1 or more", counts[0], counts[size-1])
	}
	if d.err == nil {
		b.fill(int32(lo), counts, largest)
	}
	return n
}

// heavy reads the candidates for the mode and returns the sum of the lower bounds of their counts.
func (d *decoder) heavy(h *readHistogram) (kept uint64) {
	size := d.uvarint("number of candidates")
	if size > maxHeavy || size > uint64(len(d.rest)) {
		d.fail("%d candidates, want at most %d", size, maxHeavy)
		return 0
	}
	if size > 0 {
		kept = d.candidates(h, int(size))
	}
	h.heavy.missed = d.uvarint("missed count")
	return kept
}

// candidates reads n candidates and returns the sum of the lower bounds of their counts.
func (d *decoder) candidates(h *readHistogram, n int) (kept uint64) {
	last := math.Inf(-1)
	for i := range n {
		v := d.float("candidate")
		if v <= last {
			d.fail("candidate %g after %g, want ascending candidates", v, last)
		}
		if !h.fractional && v != math.Trunc(v) {
			d.fail("candidate %g is not whole", v)
		}
		h.all[i].value, last = v, v
	}
	var counts [maxHeavy]uint64
	kept, _ = d.counts(counts[:n], 1)
	for i, c := range counts[:n] {
		h.all[i].count = c
	}
	h.heavy.n = int8(n)
	return kept
}

// check reports an error if no values can have this histogram. kept is the sum of the lower bounds of its candidates.
func (d *decoder) check(h *readHistogram, kept uint64) {
	n := h.moments.n
	switch {
	case n == 0:
		d.fail("a histogram without values")
	case h.min > h.max:
		d.fail("min %g is above max %g", h.min, h.max)
	case !h.hasEnd(h.max, &h.positive, &h.below) || !h.hasEnd(-h.min, &h.below, &h.positive):
		d.fail("min %g and max %g are not in the outer bins", h.min, h.max)
	case !h.fractional && (h.min != math.Trunc(h.min) || h.max != math.Trunc(h.max)):
		d.fail("min %g or max %g is not whole", h.min, h.max)
	case h.moments.unit != unitOf(max(h.max, -h.min)):
		d.fail("unit %d for values from %g to %g", h.moments.unit, h.min, h.max)
	case !h.plausible():
		d.fail("no %d values from %g to %g have these moments", n, h.min, h.max)
	case kept > n || h.heavy.missed > (n-kept)/(maxHeavy+1): // see heavy
		d.fail("the candidates have more than their part of the values")
	}
	for _, c := range h.all[:h.heavy.n] {
		if c.value < h.min || c.value > h.max {
			d.fail("candidate %g is outside [%g, %g]", c.value, h.min, h.max)
		}
	}
}

// hasEnd reports whether the largest value v is in the outermost bin. That is the highest bin of above. If above is
// empty, it is the zero bin. If that is empty too, it is the lowest bin of below, which holds the magnitudes of
// values of the other sign. For the smallest value, the caller exchanges the signs.
func (h *histogram) hasEnd(v float64, above, below *bins) bool {
	shift := maxBinScale - h.scale
	switch {
	case !above.empty():
		return v > 0 && binOf(v)>>shift == above.hi
	case h.zero > 0:
		return v == 0
	}
	collapsed := h.scale == minBinScale && below.hi-below.lo == maxBins-1
	return v < 0 && (binOf(-v)>>shift == below.lo || collapsed && binOf(-v)>>shift < below.lo)
}
