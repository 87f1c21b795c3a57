package stats

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrFormat is wrapped by every error of UnmarshalBinary.
var ErrFormat = errors.New("not an encoded summary")

// UnmarshalBinary replaces the values of s by those of the summary that b encodes (see [Summary.AppendBinary]). The
// exact limit of s stays; it applies when the next values are added. s keeps no part of b. On an error, s is
// unchanged. Errors wrap [ErrFormat].
//
// Every field is checked. So for any b without an error, the statistics of s are finite, its quantiles are within
// [min, max], s can be merged, and the encoding of the result can be decoded. UnmarshalBinary also accepts encodings
// that are longer than those of AppendBinary, for example counts in an order that takes more bits. It allocates at
// most 16 KiB and 40 times the length of b.
func (s *Summary) UnmarshalBinary(b []byte) error {
	d := decoder{rest: b}
	flags := d.header()
	if flags&flagHistogram != 0 {
		var read readHistogram
		d.histogram(&read, flags&flagWhole == 0)
		t := d.times(flags, read.min, read.max)
		if d.end() == nil {
			s.restoreHistogram(&read)
			s.restoreTimes(flags, t)
		}
		return d.err
	}
	o, n := d.exact(flags&flagWhole != 0)
	var t times
	if n > 0 {
		t = d.times(flags, o.min(), o.max())
	} else {
		flags = 0 // an empty summary has no times
	}
	if d.end() == nil {
		s.exact.restore(o, n)
		s.hist = nil
		s.restoreTimes(flags, t)
	}
	return d.err
}

// restoreHistogram makes s the histogram that was read. It uses the structs of the histogram that s has again, if there is one.
func (s *Summary) restoreHistogram(read *readHistogram) {
	s.exact.drop()
	if s.hist == nil {
		s.hist = new(histogram)
	}
	negative, all := s.hist.negative, s.hist.heavy.all
	*s.hist = read.histogram
	if !read.below.empty() {
		if negative == nil {
			negative = new(bins)
		}
		*negative = read.below
		s.hist.negative = negative
	}
	if read.heavy.n > 0 {
		if all == nil {
			all = new([maxHeavy]candidate)
		}
		*all = read.all
		s.hist.heavy.all = all
	}
}

// restoreTimes replaces the times of s, or removes them if flagTimes is not set.
func (s *Summary) restoreTimes(flags byte, t times) {
	switch {
	case flags&flagTimes == 0:
		s.times = nil
	case s.times == nil:
		s.times = &times{t.first, t.last} // not &t: then each call would allocate t
	default:
		*s.times = t
	}
}

// restore replaces the values of x by the distinct values o, which describe n values. x owns the memory of o from
// then on. The values become single ones where a table would take more memory: see exact.shrink. Single values that come
// with counts are copied to the memory of those that x had.
func (x *exact) restore(o ordered, n uint64) {
	t, single := x.table, x.single[:0]
	x.drop()
	switch {
	case n <= maxSingle && 2*uint64(len(o.values)) > n && o.counts == nil:
		x.single = o.values
		x.markSorted()
	case n <= maxSingle && 2*uint64(len(o.values)) > n:
		x.single = single
		x.appendOrdered(o)
		x.markSorted()
	case n > 0:
		if t == nil {
			t = new(table)
		}
		*t = table{n: n, ordered: o}
		x.table = t
	}
}

// exact reads the distinct values of an exact summary, and returns them and the number of all values. On an error it
// returns none. whole is the flag for whole numbers.
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

// ones reads n counts that are all 1 and returns true, or reads nothing. With counts alone, BenchmarkDecode/limit=512/data=continuous took
// 3.8 µs instead of 1.2.
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

// values reads n ascending values, as integers if whole. It returns nil on an error.
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

// floats fills values with strictly ascending floats.
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

// wholeValues fills values with strictly ascending whole numbers: the first one, and the distance to each next one.
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

// counts fills the slice with counts: each is the number read plus least. It returns their sum, which is at most
// maxCount, and the largest count.
func (d *decoder) counts(counts []uint64, least uint64) (sum, largest uint64) {
	k := int(d.byte("order of counts"))
	if k > 63 || len(counts) > 8*len(d.rest) {
		d.fail("%d bytes left for %d counts of order %d", len(d.rest), len(counts), k)
		return 0, 0
	}
	r := bitReader{bytes: d.rest}
	if !r.golombs(counts, k) {
		d.fail("%d counts are cut off, or one is above 2^64-1", len(counts))
		return 0, 0
	}
	for i, c := range counts {
		if c += least; c > maxCount-sum {
			d.fail("the sum of %d counts is above 2^63-1", len(counts))
			return 0, 0
		}
		counts[i] = c
		sum += c
		largest = max(largest, c)
	}
	d.rest = r.rest()
	return sum, largest
}

// times reads the first and the last value, which must be within [low, high]. It reads nothing if flagTimes is not set.
func (d *decoder) times(flags byte, low, high float64) (t times) {
	if flags&flagTimes == 0 {
		return t
	}
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
	return t
}
