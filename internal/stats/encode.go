package stats

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

const (
	// version1 is the first byte of an encoding. Databases and state files have summaries of this version. So a change of the format needs
	// another version, and this one must stay readable.
	version1 = 1

	// The flags, in the second byte. Unknown ones are an error.
	flagHistogram = 1 << 0
	flagTimes     = 1 << 1
	flagWhole     = 1 << 2 // every value is a whole number, and of an exact summary at most maxWhole in magnitude
	knownFlags    = flagHistogram | flagTimes | flagWhole

	// maxWhole is the largest magnitude of whole numbers that are written as integers.
	maxWhole = 1 << 53
)

// units are the units of moments by their byte in the encoding.
var units = [...]int16{0, unitTiny, unitHuge}

// AppendBinary appends the encoded summary to dst. The error is always nil; Summary implements
// [encoding.BinaryAppender]. The encoding contains the whole state except the exact limit. If it is decoded into a
// summary with the same limit, both summaries have the same statistics to the last bit. They still do after the same
// calls of AddAll on both, or after the same summaries are merged into both. Exact summaries of the same values have equal
// encodings.
//
// An exact summary takes about 8 bytes for each distinct value, 1 to 2 if the values are small whole numbers, and up
// to 3 for each count up to a million. A histogram takes 60 to 800 bytes for 100,000 values of one sign and up to
// 1,700 for a million of both. Times take up to 36 bytes more.
//
// Version 1. Integers are little endian. Floats are IEEE 754 bits, finite and not −0. uvarint and varint are those of
// encoding/binary. Decoding also accepts varints that are longer than they need to be, and counts in any order.
//
//	1 byte    version: 1
//	1 byte    flags: 1 histogram, 2 times, 4 whole numbers; the others are 0
//
// In an exact summary, its distinct values follow:
//
//	uvarint   d, how many there are; an empty summary ends here
//	          with flag 4, which is set if all are whole numbers and at most 2^53 in magnitude:
//	varint    the smallest
//	uvarint   d−1 times, how far the next is above
//	          else:
//	d × 8     the values, strictly ascending
//	counts    how often each occurs, less 1
//
// In a histogram, these follow:
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
//	counts    lower bounds of their counts, less 1; absent if c is 0
//	uvarint   how much more often than its bound a candidate occurs, at most, and any other value than 0 times
//
// A run is:
//
//	uvarint   b, the number of bins, at most 513; an empty run ends here
//	varint    i, the lowest bin: magnitudes above 2^(i/2^scale) and at most 2^((i+1)/2^scale)
//	counts    of the bins i to i+b−1, not 0 in the first and in the last
//
// Last come the times, if flag 2 is set:
//
//	varint    nanoseconds from 1970 to the first value
//	uvarint   nanoseconds from the first to the last
//	16 bytes  the first and the last value
//
// Counts are:
//
//	1 byte    k, an order: the smallest of those with which the counts take the fewest bits
//	bits      of each number v, with q = ⌊v/2^k⌋+1 which has n bits: n−1 zeros, q, the lowest k bits of v (the
//	          exponential Golomb code of order k); the most significant bits first, padded with zeros to whole bytes
//
// For example, the values 1, 2, 2 and 7 are the bytes 01 04 03 02 01 05 00 a8:
//
//	01 04     version 1, whole numbers
//	03        3 distinct values
//	02 01 05  the smallest is 1; the next are 1 and then 5 above the one before
//	00 a8     counts less 1, which are 0, 1 and 0, of order 0: the bits 1, 010 and 1, and three bits of padding
func (s *Summary) AppendBinary(dst []byte) ([]byte, error) {
	if s.histogram() != nil {
		return s.appendHistogram(dst, s.histogram()), nil
	}
	return s.appendExact(dst, s.exact.order()), nil
}

// MarshalBinary returns the encoded summary; see [Summary.AppendBinary].
func (s *Summary) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// AppendLimited appends the encoded summary to dst, as if the summary had the given exact limit, 1 or more: if the
// summary is exact but has too many values for that limit, it appends a histogram of the values. It does not change
// the summary.
func (s *Summary) AppendLimited(dst []byte, limit int) []byte {
	if s.histogram() != nil {
		return s.appendHistogram(dst, s.histogram())
	}
	o := s.exact.order()
	if as := (exact{limit: int32(min(limit, Unlimited))}); !as.fits(s.Count(), o.distinct()) {
		return s.appendHistogram(dst, histogramOf(o))
	}
	return s.appendExact(dst, o)
}

// appendExact appends the encoding of an exact summary of the values o.
func (s *Summary) appendExact(dst []byte, o ordered) []byte {
	o = o.compact()
	flags := byte(0)
	whole := len(o.values) > 0 && allInteger(o.values)
	if whole {
		flags |= flagWhole
	}
	if s.times != nil {
		flags |= flagTimes
	}
	dst = append(dst, version1, flags)
	dst = binary.AppendUvarint(dst, uint64(len(o.values)))
	if len(o.values) == 0 {
		return dst
	}
	if whole {
		dst = appendWhole(dst, o.values)
	} else {
		dst = appendFloats(dst, o.values)
	}
	if o.counts == nil {
		return s.appendTimes(appendOnes(dst, len(o.values)))
	}
	return s.appendTimes(appendCounts(dst, o.counts, 1))
}

// appendWhole appends ascending whole numbers: the first, and how far each of the others is above the one before.
func appendWhole(dst []byte, values []float64) []byte {
	dst = binary.AppendVarint(dst, int64(values[0]))
	for i, v := range values[1:] {
		dst = binary.AppendUvarint(dst, uint64(int64(v)-int64(values[i])))
	}
	return dst
}

// appendFloats appends the bits of each value, −0 as 0.
func appendFloats(dst []byte, values []float64) []byte {
	dst = slices.Grow(dst, 8*len(values))
	for _, v := range values {
		dst = appendFloat(dst, v)
	}
	return dst
}

// allInteger reports whether all values are whole and at most maxWhole in magnitude. The values are ascending.
func allInteger(values []float64) bool {
	return values[0] >= -maxWhole && values[len(values)-1] <= maxWhole && whole(values)
}

// appendHistogram appends the encoding of the histogram h, with the times of s. If the moments of h are not plausible, it makes them so:
// the encoding of every summary can be decoded.
func (s *Summary) appendHistogram(dst []byte, h *histogram) []byte {
	if !h.plausible() {
		h.makePlausible()
	}
	flags := byte(flagHistogram)
	if !h.fractional {
		flags |= flagWhole
	}
	if s.times != nil {
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

// append appends the unit and the sums. The bins and the zeros of the histogram have the number of values.
func (m *moments) append(dst []byte) []byte {
	dst = append(dst, byte(slices.Index(units[:], m.unit)))
	for _, v := range [...]float64{m.sum.high, m.sum.low, m.m2.high, m.m2.low} {
		dst = appendFloat(dst, v)
	}
	return dst
}

// append appends the bins in use as a run, or an empty run for nil.
func (b *bins) append(dst []byte) []byte {
	if b.empty() {
		return append(dst, 0)
	}
	var counts [maxBins]uint64
	size := int(b.hi - b.lo + 1)
	for i := range counts[:size] {
		counts[i] = b.at(b.lo + int32(i))
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = binary.AppendVarint(dst, int64(b.lo))
	return appendCounts(dst, counts[:size], 0)
}

// append appends the candidates in ascending order of values.
func (h *heavy) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(h.n))
	if h.n > 0 {
		all := *h.all
		ascending := all[:h.n]
		slices.SortFunc(ascending, func(a, b candidate) int { return cmp.Compare(a.value, b.value) })
		var counts [maxHeavy]uint64
		for i, c := range ascending {
			dst = appendFloat(dst, c.value)
			counts[i] = c.count
		}
		dst = appendCounts(dst, counts[:h.n], 1)
	}
	return binary.AppendUvarint(dst, h.missed)
}

// appendTimes appends the times, or nothing if the summary has none. The difference of two times always fits uint64.
func (s *Summary) appendTimes(dst []byte) []byte {
	t := s.times
	if t == nil {
		return dst
	}
	dst = binary.AppendVarint(dst, t.first.time)
	dst = binary.AppendUvarint(dst, uint64(t.last.time)-uint64(t.first.time))
	return appendFloat(appendFloat(dst, t.first.value), t.last.value)
}

// appendFloat appends the bits of a number, with 0 for −0: equal values have equal encodings.
func appendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v+0))
}

// appendCounts appends each count minus least. Counts are from least to 2^63−1.
func appendCounts(dst []byte, counts []uint64, least uint64) []byte {
	k := orderOf(counts, least)
	w := bitWriter{bytes: append(dst, byte(k))}
	for _, c := range counts {
		w.golomb(c-least, k)
	}
	return w.flush()
}

// appendOnes appends n counts of 1, at least one, as appendCounts does with the least count 1: order 0 and n bits that are 1.
// With appendCounts, BenchmarkEncode/limit=512/data=continuous took 3.2 µs instead of 0.7.
func appendOnes(dst []byte, n int) []byte {
	dst = append(dst, 0)
	for ; n >= 8; n -= 8 {
		dst = append(dst, 0xff)
	}
	if n > 0 {
		dst = append(dst, byte(0xff)<<(8-n))
	}
	return dst
}

// orderOf returns the smallest order with which the counts, minus least, take the fewest bits. Without the tally,
// BenchmarkEncode/limit=64/data=continuous took 3.0 µs instead of 2.0.
func orderOf(counts []uint64, least uint64) (best int) {
	largest := slices.Max(counts) - least // with an order above its length, every number takes a bit more
	var tally [64]int                     // how often each number occurs, if all are small, as mostly
	small := largest < uint64(len(tally))
	if small {
		for _, c := range counts {
			tally[c-least]++
		}
	}
	fewest := math.MaxInt
	for k := range bits.Len64(largest) + 1 {
		size := len(counts) * (k - 1)
		if small {
			for v, n := range tally[:largest+1] {
				size += n * 2 * bits.Len64(uint64(v)>>k+1)
			}
		} else {
			for _, c := range counts {
				size += 2 * bits.Len64((c-least)>>k+1)
			}
		}
		if size < fewest {
			best, fewest = k, size
		}
	}
	return best
}
