package stats

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// ErrFormat is wrapped by every error of UnmarshalBinary.
var ErrFormat = errors.New("not an encoded summary")

const (
	version1 = 1

	flagHistogram = 1 << 0
	flagTimes     = 1 << 1
	flagWhole     = 1 << 2 // every value is a whole number
	knownFlags    = flagHistogram | flagTimes | flagWhole

	// maxWhole is up to which magnitude whole numbers are written as integers.
	maxWhole = 1 << 53
)

// units are those of moments, by their byte.
var units = [...]int16{0, unitTiny, unitHuge}

// AppendBinary appends the encoded summary to dst. Equal states give equal bytes. The error is always
// nil; with it Summary is an [encoding.BinaryAppender]. The exact limit is not part of it.
//
// Version 1, integers little endian, floats as IEEE 754 bits, finite and without −0, uvarint and varint as in
// encoding/binary and as short as they can be:
//
//	1 byte    version: 1
//	1 byte    flags: 1 histogram, 2 times, 4 whole numbers; the others are 0
//
// An exact summary goes on with its distinct values:
//
//	uvarint   d, how many there are; an empty summary ends here
//	          with flag 4, which is set where all are whole and at most 2^53 in magnitude:
//	varint    the smallest
//	uvarint   d−1 times, how far the next is above
//	          else:
//	d × 8     the values, strictly ascending
//	counts    how often each occurs, less 1
//
// A histogram goes on with:
//
//	16 bytes  min, max
//	1 byte    unit of the moments: 0 for 1, 1 for 2^-600, 2 for 2^700, by the largest magnitude: 2 above 2^400,
//	          1 below 2^-400
//	16 bytes  sum of the values divided by the unit: high part, low part
//	16 bytes  sum of their squared distances from the mean: the same
//	1 byte    scale: 5 to 8
//	uvarint   how many values are zero
//	run       bins of the values above zero
//	run       bins of the magnitudes of those below
//	uvarint   c, the number of candidates for the mode, at most 16
//	c × 8     the candidates, strictly ascending
//	counts    lower bounds of their counts, less 1; absent where c is 0
//	uvarint   by how much the count of a value may exceed its bound
//
// A run is:
//
//	uvarint   b, the number of bins, at most 513; an empty run ends here
//	varint    i, the lowest bin: it holds what is above 2^(i/2^scale) and at most 2^((i+1)/2^scale)
//	counts    of the bins i to i+b−1, not 0 in the first and in the last
//
// Both end with the times, where there are:
//
//	varint    nanoseconds from 1970 to the first value
//	uvarint   nanoseconds from the first to the last
//	16 bytes  the first and the last value
//
// Counts are:
//
//	1 byte    k, the order with which all of them take the fewest bits, the smallest such
//	bits      of each number v, with q = ⌊v/2^k⌋+1 which has n bits: n−1 zeros, q, the lowest k bits of v (the
//	          exponential Golomb code of order k); the most significant bits first, padded with zeros to whole bytes
func (s *Summary) AppendBinary(dst []byte) ([]byte, error) {
	if s.hist != nil {
		return s.appendHistogram(dst, s.hist), nil
	}
	values, counts := s.distinct()
	return s.appendExact(dst, values, counts), nil
}

// MarshalBinary returns the encoded summary; see [Summary.AppendBinary].
func (s *Summary) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// AppendLimited appends the encoded summary to dst as if its exact limit were limit at most: with more values, of which
// more than 28 are distinct, as a histogram, of 200 to 600 bytes for up to 100,000 values of one sign and
// up to 1,600 for millions of both.
func (s *Summary) AppendLimited(dst []byte, limit int) []byte {
	if s.hist != nil {
		return s.appendHistogram(dst, s.hist)
	}
	values, counts := s.distinct()
	if s.n > uint64(limit) && len(values) > maxTable {
		return s.appendHistogram(dst, newHistogram(values, counts, s.n))
	}
	return s.appendExact(dst, values, counts)
}

// distinct returns the distinct values of an exact summary, ascending, with their counts; nil counts are 1 each.
func (s *Summary) distinct() (values []float64, counts []uint64) {
	values, counts = s.exact()
	if counts == nil {
		return runs(values)
	}
	return values, counts
}

func (s *Summary) appendExact(dst []byte, values []float64, counts []uint64) []byte {
	flags := byte(0)
	whole := len(values) > 0 && allInteger(values)
	if whole {
		flags |= flagWhole
	}
	if s.timed() != nil {
		flags |= flagTimes
	}
	dst = append(dst, version1, flags)
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	if len(values) == 0 {
		return dst
	}
	for i, v := range values {
		switch {
		case !whole:
			dst = appendFloat(dst, v)
		case i == 0:
			dst = binary.AppendVarint(dst, int64(v))
		default:
			dst = binary.AppendUvarint(dst, uint64(int64(v)-int64(values[i-1])))
		}
	}
	dst = appendCounts(dst, len(values), func(i int) uint64 { return countOf(counts, i) - 1 })
	return s.appendTimes(dst)
}

// allInteger reports whether all of ascending values are whole and at most maxWhole in magnitude.
func allInteger(values []float64) bool {
	return values[0] >= -maxWhole && values[len(values)-1] <= maxWhole && whole(values)
}

func (s *Summary) appendHistogram(dst []byte, h *histogram) []byte {
	flags := byte(flagHistogram)
	if !h.fractional {
		flags |= flagWhole
	}
	if s.timed() != nil {
		flags |= flagTimes
	}
	dst = append(dst, version1, flags)
	dst = appendFloat(dst, h.min)
	dst = appendFloat(dst, h.max)
	dst = h.moments.append(dst)
	dst = append(dst, byte(h.scale))
	dst = binary.AppendUvarint(dst, h.zero)
	dst = h.positive.append(dst)
	dst = h.negative.append(dst)
	dst = h.heavy.append(dst)
	return s.appendTimes(dst)
}

func (m *moments) append(dst []byte) []byte {
	dst = append(dst, byte(slices.Index(units[:], m.unit)))
	for _, v := range []float64{m.sum.high, m.sum.low, m.m2.high, m.m2.low} {
		dst = appendFloat(dst, v)
	}
	return dst
}

func (b *bins) append(dst []byte) []byte {
	if b.empty() {
		return append(dst, 0)
	}
	size := int(b.hi - b.lo + 1)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = binary.AppendVarint(dst, int64(b.lo))
	return appendCounts(dst, size, func(i int) uint64 { return b.at(b.lo + int32(i)) })
}

func (h *heavy) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(h.n))
	if h.n > 0 {
		all := *h.all
		ascending := all[:h.n]
		slices.SortFunc(ascending, func(a, b candidate) int { return cmp.Compare(a.value, b.value) })
		for _, c := range ascending {
			dst = appendFloat(dst, c.value)
		}
		dst = appendCounts(dst, len(ascending), func(i int) uint64 { return ascending[i].count - 1 })
	}
	return binary.AppendUvarint(dst, h.missed)
}

func (s *Summary) appendTimes(dst []byte) []byte {
	t := s.timed()
	if t == nil {
		return dst
	}
	dst = binary.AppendVarint(dst, t.first.time)
	dst = binary.AppendUvarint(dst, uint64(t.last.time)-uint64(t.first.time))
	return appendFloat(appendFloat(dst, t.first.value), t.last.value)
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v+0))
}

// appendCounts appends n numbers, which are below 2^63.
func appendCounts(dst []byte, n int, number func(i int) uint64) []byte {
	k := orderOf(n, number)
	w := bitWriter{bytes: append(dst, byte(k))}
	for i := range n {
		w.golomb(number(i), k)
	}
	return w.bytes
}

// orderOf returns the smallest order of those with which the numbers take the fewest bits.
func orderOf(n int, number func(i int) uint64) (best int) {
	longest := 0 // with an order above that of the longest number, every number takes a bit more
	for i := range n {
		longest = max(longest, bits.Len64(number(i)))
	}
	fewest := math.MaxInt
	for k := range longest + 1 {
		size := n * k
		for i := range n {
			size += 2*bits.Len64(number(i)>>k+1) - 1
		}
		if size < fewest {
			best, fewest = k, size
		}
	}
	return best
}

// UnmarshalBinary makes s the summary that b encodes; the exact limit of s stays, and applies from the next
// value on. It keeps no part of b and leaves s as it was on error. It allocates at most 16 KiB and 40 times the length
// of b. Errors wrap [ErrFormat].
func (s *Summary) UnmarshalBinary(b []byte) error {
	if len(b) < 3 {
		return fmt.Errorf("%w: %d bytes, want at least 3", ErrFormat, len(b))
	}
	if b[0] != version1 {
		return fmt.Errorf("%w: version %d, want %d", ErrFormat, b[0], version1)
	}
	if b[1]&^knownFlags != 0 {
		return fmt.Errorf("%w: flags %#x, known are %#x", ErrFormat, b[1], knownFlags)
	}
	d := decoder{rest: b[2:]}
	decoded := d.summary(b[1])
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes after its end", len(d.rest))
	}
	if d.err != nil {
		return d.err
	}
	if again, _ := decoded.AppendBinary(make([]byte, 0, len(b))); !bytes.Equal(again, b) {
		return fmt.Errorf("%w: the same summary has another encoding", ErrFormat)
	}
	decoded.raw.limit = s.raw.limit
	*s = decoded
	return nil
}

// decoder takes a summary off the front of rest. After the first fault every step does nothing.
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

func (d *decoder) summary(flags byte) (s Summary) {
	var low, high float64
	if flags&flagHistogram != 0 {
		s.hist, s.n = d.histogram(flags&flagWhole == 0)
		low, high = s.hist.min, s.hist.max
	} else {
		size := d.uvarint("number of values")
		if size == 0 {
			return s
		}
		values := d.values(size, flags&flagWhole != 0)
		counts := d.counts(len(values), 1)
		if d.err != nil {
			return s
		}
		s.setExact(values, counts)
		low, high = values[0], values[len(values)-1]
		if s.n == 0 {
			d.fail("more than %d values", uint64(maxCount))
		}
	}
	if flags&flagTimes != 0 {
		s.setTimes(d.times(low, high))
	}
	return s
}

// setExact makes the empty s a summary of ascending distinct values. n stays 0 where they are too many.
func (s *Summary) setExact(values []float64, counts []uint64) {
	n, ok := sumOf(counts)
	if !ok {
		return
	}
	s.n = n
	switch {
	case len(values) <= maxTable:
		s.table = new(table)
		for i, v := range values {
			s.table.add(v, counts[i])
		}
	case s.n <= maxRaw:
		s.raw.addCounted(values, counts)
	default:
		s.rare = &rare{tally: &tally{values: values, counts: counts}}
	}
}

// sumOf returns the sum of counts, or false where it is above maxCount.
func sumOf(counts []uint64) (sum uint64, ok bool) {
	for _, c := range counts {
		if c > maxCount-sum {
			return 0, false
		}
		sum += c
	}
	return sum, true
}

func (d *decoder) uvarint(what string) uint64 {
	v, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail("%s is no uvarint", what)
		return 0
	}
	d.rest = d.rest[size:]
	return v
}

func (d *decoder) varint(what string) int64 {
	v, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail("%s is no varint", what)
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
	if math.IsNaN(v) || math.IsInf(v, 0) || v == 0 && math.Signbit(v) {
		d.fail("%s is %g, want a finite number and no negative zero", what, v)
		return 0
	}
	d.rest = d.rest[8:]
	return v
}

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
	for i := range values {
		switch {
		case !whole:
			values[i] = d.float("value")
		case i == 0:
			values[i] = float64(d.varint("value"))
		default:
			values[i] = values[i-1] + float64(d.uvarint("value"))
		}
		if i > 0 && values[i] <= values[i-1] {
			d.fail("value %g after %g, want ascending values", values[i], values[i-1])
		}
		if d.err != nil {
			return nil
		}
	}
	return values
}

// counts takes n numbers and adds least to each.
func (d *decoder) counts(n int, least uint64) []uint64 {
	k := d.byte("counts")
	if k > 63 || n > 8*len(d.rest) {
		d.fail("%d bytes left for %d counts of order %d", len(d.rest), n, k)
		return nil
	}
	counts := make([]uint64, n)
	r := bitReader{bytes: d.rest}
	for i := range counts {
		if counts[i] = r.golomb(int(k)) + least; r.failed || counts[i] > maxCount {
			d.fail("count %d of %d does not fit", i, n)
			return nil
		}
	}
	d.rest = r.rest()
	return counts
}

func (d *decoder) histogram(fractional bool) (*histogram, uint64) {
	h := &histogram{fractional: fractional}
	h.min, h.max = d.float("min"), d.float("max")
	h.moments = d.moments()
	h.scale = int8(d.byte("scale"))
	if h.scale < minBinScale || h.scale > maxBinScale {
		d.fail("scale %d, want %d to %d", h.scale, minBinScale, maxBinScale)
		return h, 0
	}
	h.zero = d.uvarint("number of zeros")
	h.positive = d.bins(h.scale)
	if negative := d.bins(h.scale); !negative.empty() {
		h.negative = &negative
	}
	h.heavy = d.heavy()
	if d.err != nil {
		return h, 0
	}
	n, err := h.check()
	if err != nil {
		d.fail("%v", err)
	}
	return h, n
}

func (d *decoder) moments() (m moments) {
	unit := d.byte("unit")
	if int(unit) >= len(units) {
		d.fail("unit %d, want at most %d", unit, len(units)-1)
		return m
	}
	m.unit = units[unit]
	m.sum = accumulator{d.float("sum"), d.float("sum")}
	m.m2 = accumulator{d.float("sum of squares"), d.float("sum of squares")}
	return m
}

func (d *decoder) bins(scale int8) (b bins) {
	size := d.uvarint("number of bins")
	if size == 0 {
		return b
	}
	if size > maxBins {
		d.fail("%d bins, want at most %d", size, maxBins)
		return b
	}
	shift := maxBinScale - scale
	lowest, highest := int64(binOf(math.SmallestNonzeroFloat64)>>shift), int64(binOf(math.MaxFloat64)>>shift)
	lo := d.varint("lowest bin")
	if lo < lowest || lo+int64(size)-1 > highest {
		d.fail("%d bins from %d on, want them between %d and %d", size, lo, lowest, highest)
		return b
	}
	counts := d.counts(int(size), 0)
	if d.err != nil {
		return b
	}
	if counts[0] == 0 || counts[size-1] == 0 {
		d.fail("an outer bin is empty")
		return b
	}
	b.width = 1
	for most := slices.Max(counts); b.width < 8 && most>>(8*b.width) > 0; {
		b.width *= 2
	}
	b.grow(int32(lo), int32(lo)+int32(size)-1)
	for i, n := range counts {
		b.set(b.lo+int32(i), n)
	}
	return b
}

func (d *decoder) heavy() (h heavy) {
	size := d.uvarint("number of candidates")
	if size > maxHeavy {
		d.fail("%d candidates, want at most %d", size, maxHeavy)
		return h
	}
	if size > 0 {
		values := d.values(size, false)
		var c candidates
		for i, count := range d.counts(len(values), 1) {
			c.all[i], c.n = candidate{values[i], count}, i+1
		}
		h.store(&c)
	}
	h.missed = d.uvarint("missed count")
	return h
}

func (d *decoder) times(low, high float64) *times {
	var t times
	t.first.time = d.varint("time")
	t.last.time = int64(uint64(t.first.time) + d.uvarint("time"))
	t.first.value, t.last.value = d.float("first"), d.float("last")
	if t.first.time > t.last.time {
		d.fail("first is at %d, after last at %d", t.first.time, t.last.time)
	}
	for _, v := range []float64{t.first.value, t.last.value} {
		if v < low || v > high {
			d.fail("first or last is %g, outside [%g, %g]", v, low, high)
		}
	}
	return &t
}

// check returns how many values a decoded histogram has, or what contradicts itself in it.
func (h *histogram) check() (n uint64, err error) {
	above, ok := h.positive.checkedTotal()
	below, okBelow := h.negative.checkedTotal()
	all, okAll := sumOf([]uint64{h.zero, above, below})
	kept, okKept := h.heavy.total()
	switch {
	case !ok || !okBelow || !okAll:
		return 0, fmt.Errorf("more than %d values", uint64(maxCount))
	case all == 0:
		return 0, errors.New("a histogram without values")
	case h.min > h.max:
		return 0, fmt.Errorf("min %g is above max %g", h.min, h.max)
	case !h.hasEnd(h.max, &h.positive, h.negative) || !h.hasEnd(-h.min, h.negative, &h.positive):
		return 0, fmt.Errorf("min %g and max %g are not in the outer bins", h.min, h.max)
	case !h.fractional && !whole([]float64{h.min, h.max}):
		return 0, fmt.Errorf("min %g or max %g is not whole", h.min, h.max)
	case !h.plausible(float64(all)):
		return 0, fmt.Errorf("no %d values from %g to %g have these moments", all, h.min, h.max)
	case h.moments.unit != unitOf(max(h.max, -h.min)):
		return 0, fmt.Errorf("unit %d for values from %g to %g", h.moments.unit, h.min, h.max)
	case !okKept || kept > all || h.heavy.missed > (all-kept)/(maxHeavy+1):
		return 0, errors.New("the candidates have more than their part of the values")
	}
	for _, c := range h.heavy.kept() {
		if c.value < h.min || c.value > h.max {
			return 0, fmt.Errorf("candidate %g is outside [%g, %g]", c.value, h.min, h.max)
		}
	}
	return all, nil
}

// plausible reports whether n values from min to max can have the moments, but for rounding: the squares are at most
// n·(max−mean)·(mean−min) (Bhatia and Davis 2000). So what is made of them stays finite and plausible, however it is
// merged.
func (h *histogram) plausible(n float64) bool {
	const slack, ulp = 1e-6, 0x1p-52
	f := h.moments.factor()
	low, high := h.min*f, h.max*f
	magnitude, width := max(high, -low), high-low
	largest := n * magnitude
	sum, m2 := h.moments.sum, h.moments.m2
	squares := n * width * width
	mean, off := sum.sum()/n, ulp*magnitude
	most := n * (max(high-mean, 0) + off) * (max(mean-low, 0) + off)
	return sum.sum() >= n*low-slack*largest && sum.sum() <= n*high+slack*largest && math.Abs(sum.low) <= largest &&
		m2.sum() >= -slack*squares && m2.sum() <= most+slack*squares && math.Abs(m2.low) <= squares
}

func (b *bins) checkedTotal() (uint64, bool) {
	var sum uint64
	if b.empty() {
		return 0, true
	}
	for i := b.lo; i <= b.hi; i++ {
		n := b.at(i)
		if n > maxCount-sum {
			return 0, false
		}
		sum += n
	}
	return sum, true
}

// hasEnd reports whether v is in the outermost bin on the side of above: its highest, or else zero, or else the lowest of below,
// negated.
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
