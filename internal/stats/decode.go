package stats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFormat is wrapped by every error of UnmarshalBinary.
var ErrFormat = errors.New("not an encoded summary")

// UnmarshalBinary makes s the summary that b encodes (see [Summary.AppendBinary]). It keeps the exact limit of s, which
// applies from the next value on. It keeps no part of b, and on error it leaves s as it was. Errors wrap [ErrFormat].
//
// Every field is checked. So whatever b is, the statistics of s are finite, its quantiles are within [min, max], s can be
// merged, and the encoding of the result can be decoded. Bytes that are longer than those of AppendBinary, such as counts
// in an order that takes more bits, are accepted. UnmarshalBinary allocates at most 16 KiB and 40 times the length of b.
func (s *Summary) UnmarshalBinary(b []byte) error {
	d := decoder{rest: b}
	flags := d.header()
	if flags&flagHistogram != 0 {
		h := d.histogram(flags&flagWhole == 0)
		t := d.times(flags, h.min, h.max)
		if d.end() == nil {
			s.restoreHistogram(h, t)
		}
		return d.err
	}
	o, n := d.exact(flags&flagWhole != 0)
	var t *times
	if n > 0 {
		t = d.times(flags, o.min(), o.max())
	}
	if d.end() == nil {
		s.exact.restore(o, n)
		s.hist, s.times = nil, t
	}
	return d.err
}

// restoreHistogram makes s a histogram. The struct of one that s has is used again.
func (s *Summary) restoreHistogram(h histogram, t *times) {
	s.exact.drop()
	if s.hist == nil {
		s.hist = new(histogram)
	}
	*s.hist = h
	s.times = t
}

// restore makes x keep distinct values, n in all. It takes over their memory.
func (x *exact) restore(o ordered, n uint64) {
	t := x.table
	x.drop()
	switch {
	case n <= maxSingle && 2*uint64(len(o.values)) > n && o.counts == nil:
		x.single, x.sorted = o.values, int32(n)
	case n <= maxSingle && 2*uint64(len(o.values)) > n:
		x.appendOrdered(o)
		x.sorted = int32(n)
	case n > 0:
		if t == nil {
			t = new(table)
		}
		*t = table{n: n, ordered: o}
		x.table = t
	}
}

// decoder takes a summary off the front of rest. After the first error every step does nothing.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
		d.rest = nil
	}
}

func (d *decoder) header() (flags byte) {
	const shortest = 3
	switch b := d.rest; {
	case len(b) < shortest:
		d.fail("%d bytes, want at least %d", len(b), shortest)
	case b[0] != version1:
		d.fail("version %d, want %d", b[0], version1)
	case b[1]&^knownFlags != 0:
		d.fail("flags %#x, want only %#x", b[1], knownFlags)
	default:
		d.rest = b[2:]
		return b[1]
	}
	return 0
}

// end checks that nothing is left and returns the first error.
func (d *decoder) end() error {
	if len(d.rest) > 0 {
		d.fail("%d bytes after the end", len(d.rest))
	}
	return d.err
}

func (d *decoder) uvarint(what string) uint64 {
	v, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail("%s is not a uvarint", what)
		return 0
	}
	d.rest = d.rest[size:]
	return v
}

func (d *decoder) varint(what string) int64 {
	v, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail("%s is not a varint", what)
		return 0
	}
	d.rest = d.rest[size:]
	return v
}

func (d *decoder) byte(what string) byte {
	if len(d.rest) == 0 {
		d.fail("no byte left for %s", what)
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) float(what string) float64 {
	if len(d.rest) < 8 {
		d.fail("%d bytes left for %s, want 8", len(d.rest), what)
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.rest))
	if v-v != 0 || v == 0 && math.Signbit(v) {
		d.fail("%s is %g, want a finite number other than negative zero", what, v)
		return 0
	}
	d.rest = d.rest[8:]
	return v
}

// exact returns the distinct values of an exact summary, n in all. On an error there are none.
func (d *decoder) exact(whole bool) (o ordered, n uint64) {
	size := d.uvarint("number of distinct values")
	if size == 0 {
		return o, 0
	}
	values := d.values(size, whole)
	if d.ones(len(values)) {
		return ordered{values, nil}, size
	}
	counts := make([]uint64, len(values))
	if n, _ = d.counts(counts, 1); d.err != nil {
		return o, 0
	}
	return ordered{values, counts}, n
}

// ones reads n counts that are all 1 and returns true, or reads nothing.
func (d *decoder) ones(n int) bool {
	if d.err != nil || len(d.rest) == 0 || d.rest[0] != 0 {
		return false
	}
	r := bitReader{bytes: d.rest[1:]}
	for n > 0 && r.read(min(n, 32)) == 1<<min(n, 32)-1 {
		n -= min(n, 32)
	}
	if n > 0 {
		return false
	}
	d.rest = r.rest()
	return true
}

// values returns n ascending values, or nil on an error.
func (d *decoder) values(n uint64, whole bool) []float64 {
	each := uint64(8)
	if whole {
		each = 1
	}
	if n > uint64(len(d.rest))/each {
		d.fail("%d bytes left for %d values", len(d.rest), n)
		return nil
	}
	values := make([]float64, n)
	if whole {
		d.wholeValues(values)
	} else {
		d.floats(values)
	}
	if d.err != nil {
		return nil
	}
	return values
}

// floats reads ascending values.
func (d *decoder) floats(values []float64) {
	last := math.Inf(-1)
	rest := d.rest
	for i := range values {
		bits := binary.LittleEndian.Uint64(rest[8*i:])
		v := math.Float64frombits(bits)
		if !(v > last) || bits == 1<<63 {
			d.fail("value %g after %g, want ascending values and no negative zero", v, last)
			return
		}
		values[i], last = v, v
	}
	if math.IsInf(last, 1) {
		d.fail("value %g, want a finite number", last)
		return
	}
	d.rest = rest[8*len(values):]
}

func (d *decoder) wholeValues(values []float64) {
	v := d.varint("value")
	for i := range values {
		if i > 0 {
			gap := d.uvarint("value")
			if gap == 0 || gap > 2*maxWhole {
				d.fail("value %d is followed by one that is %d larger, want 1 or more up to 2^53", v, gap)
			}
			v += int64(gap)
		}
		if v < -maxWhole || v > maxWhole {
			d.fail("whole value %d, want at most 2^53 in magnitude", v)
		}
		values[i] = float64(v)
		if d.err != nil {
			return
		}
	}
}

// counts reads counts, to each of which least is added, and returns their sum, at most maxCount, and the largest.
func (d *decoder) counts(counts []uint64, least uint64) (sum, largest uint64) {
	k := int(d.byte("order of counts"))
	if k > 63 || len(counts) > 8*len(d.rest) {
		d.fail("%d bytes left for %d counts of order %d", len(d.rest), len(counts), k)
		return 0, 0
	}
	r := bitReader{bytes: d.rest}
	for i := range counts {
		c, ok := r.golomb(k)
		if c += least; !ok || c > maxCount-sum {
			d.fail("count %d of %d is cut off, or the sum is above 2^63-1", i, len(counts))
			return 0, 0
		}
		counts[i] = c
		sum += c
		largest = max(largest, c)
	}
	d.rest = r.rest()
	return sum, largest
}

func (d *decoder) histogram(fractional bool) histogram {
	h := histogram{fractional: fractional}
	h.min, h.max = d.float("min"), d.float("max")
	d.moments(&h.moments)
	scale := d.byte("scale")
	if scale < minBinScale || scale > maxBinScale {
		d.fail("scale %d, want %d to %d", scale, minBinScale, maxBinScale)
		return h
	}
	h.scale = int8(scale)
	h.zero = d.uvarint("number of zeros")
	above := d.bins(&h.positive, h.scale)
	var negative bins
	below := d.bins(&negative, h.scale)
	if !negative.empty() {
		h.negative = new(bins)
		*h.negative = negative
	}
	h.moments.n = d.sum(h.zero, above, below)
	kept := d.heavy(&h.heavy, fractional)
	if d.err == nil {
		d.check(&h, kept)
	}
	return h
}

// sum returns the sum of numbers of values.
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

// bins returns how many values are in the bins.
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
		d.fail("the lowest or the highest bin is empty")
	}
	if d.err == nil {
		b.fill(int32(lo), counts, largest)
	}
	return n
}

// heavy returns the sum of the bounds.
func (d *decoder) heavy(h *heavy, fractional bool) (kept uint64) {
	size := d.uvarint("number of candidates")
	if size > maxHeavy || size > uint64(len(d.rest)) {
		d.fail("%d candidates, want at most %d", size, maxHeavy)
		return 0
	}
	if size > 0 {
		kept = d.candidates(h, int(size), fractional)
	}
	h.missed = d.uvarint("missed count")
	return kept
}

// candidates returns the sum of the bounds of n candidates.
func (d *decoder) candidates(h *heavy, n int, fractional bool) (kept uint64) {
	all := new([maxHeavy]candidate)
	last := math.Inf(-1)
	for i := range n {
		v := d.float("candidate")
		if v <= last {
			d.fail("candidate %g after %g, want ascending candidates", v, last)
		}
		if !fractional && v != math.Trunc(v) {
			d.fail("candidate %g is not whole", v)
		}
		all[i].value, last = v, v
	}
	var counts [maxHeavy]uint64
	kept, _ = d.counts(counts[:n], 1)
	for i, c := range counts[:n] {
		all[i].count = c
	}
	if d.err == nil {
		h.all, h.n = all, int8(n)
	}
	return kept
}

// times returns the first and the last value, which are between low and high, or nil if the flags say that there are none.
func (d *decoder) times(flags byte, low, high float64) *times {
	if flags&flagTimes == 0 {
		return nil
	}
	var t times
	t.first.time = d.varint("time")
	t.last.time = int64(uint64(t.first.time) + d.uvarint("time"))
	t.first.value, t.last.value = d.float("first"), d.float("last")
	if t.first.time > t.last.time {
		d.fail("first is at %d, after last at %d", t.first.time, t.last.time)
	}
	for _, v := range [...]float64{t.first.value, t.last.value} {
		if v < low || v > high {
			d.fail("first or last is %g, outside [%g, %g]", v, low, high)
		}
	}
	return &t
}

// check fails if the histogram contradicts itself. kept is the sum of the bounds of its candidates.
func (d *decoder) check(h *histogram, kept uint64) {
	n := h.moments.n
	switch {
	case n == 0:
		d.fail("a histogram without values")
	case h.min > h.max:
		d.fail("min %g is above max %g", h.min, h.max)
	case !h.hasEnd(h.max, &h.positive, h.negative) || !h.hasEnd(-h.min, h.negative, &h.positive):
		d.fail("min %g and max %g are not in the outer bins", h.min, h.max)
	case !h.fractional && (h.min != math.Trunc(h.min) || h.max != math.Trunc(h.max)):
		d.fail("min %g or max %g is not whole", h.min, h.max)
	case h.moments.unit != unitOf(max(h.max, -h.min)):
		d.fail("unit %d for values from %g to %g", h.moments.unit, h.min, h.max)
	case !h.plausible():
		d.fail("no %d values from %g to %g have these moments", n, h.min, h.max)
	case kept > n || h.heavy.missed > (n-kept)/(maxHeavy+1):
		d.fail("the candidates have more than their part of the values")
	}
	for _, c := range h.heavy.kept() {
		if c.value < h.min || c.value > h.max {
			d.fail("candidate %g is outside [%g, %g]", c.value, h.min, h.max)
		}
	}
}

// plausible reports whether values from min to max can have the moments, but for rounding: the mean is between min and
// max, and the squares are at most n·(max−mean)·(mean−min) (Bhatia and Davis 2000). Merging keeps both true, so
// whatever is merged stays finite and can be decoded.
func (h *histogram) plausible() bool {
	// meanSlack is the distance from min or max that the mean may have, as a share of the largest magnitude. Rounding
	// moves it by about 2^-53. The sums of very many values need more.
	const meanSlack, squareSlack = 0x1p-40, 1e-9
	f, n := h.moments.factor(), float64(h.moments.n)
	low, high := h.min*f, h.max*f
	magnitude := max(high, -low)
	low, high = low-meanSlack*magnitude, high+meanSlack*magnitude
	sum, m2 := h.moments.sum, h.moments.m2
	mean := sum.sum() / n
	most := n * (high - mean) * (mean - low) * (1 + squareSlack) // negative if the mean is not between the ends
	return math.Abs(sum.low) <= n*magnitude && m2.sum() >= 0 && m2.sum() <= most && math.Abs(m2.low) <= most
}

// hasEnd reports whether v is in the outermost bin on one side: the highest bin of above, or if that is empty the zero bin,
// or if that is empty too the lowest bin of below, which has magnitudes of values of the other sign.
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
