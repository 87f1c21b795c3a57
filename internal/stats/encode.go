package stats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFormat is wrapped by every error of UnmarshalBinary.
var ErrFormat = errors.New("not an encoded summary")

// The first two bytes of an encoded summary.
const (
	version1  = 1
	formExact = 1
)

// pointSize and valueSize are the encoded sizes of a point and a value.
const (
	pointSize = 16
	valueSize = 8
)

// AppendBinary appends the encoded summary to dst. Equal states give equal bytes. The error is always
// nil; with it Summary is an [encoding.BinaryAppender].
//
// Version 1, integers little endian, floats as IEEE 754 bits:
//
//	1 byte    version: 1
//	1 byte    form: 1, exact
//	uvarint   d, the number of distinct values; an empty summary ends here
//	16 bytes  first: time in nanoseconds since 1970 (int64), value
//	16 bytes  last: the same
//	d × 8     the distinct values, strictly ascending, finite, no −0
//	d uvarint how often each occurs, at least once
func (s *Summary) AppendBinary(dst []byte) ([]byte, error) {
	s.settle()
	dst = append(dst, version1, formExact)
	dst = binary.AppendUvarint(dst, uint64(len(s.values)))
	if s.n == 0 {
		return dst, nil
	}
	dst = appendPoint(dst, s.first)
	dst = appendPoint(dst, s.last)
	for _, v := range s.values {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	for i := range s.values {
		dst = binary.AppendUvarint(dst, s.countAt(i))
	}
	return dst, nil
}

// MarshalBinary returns the encoded summary; see [Summary.AppendBinary].
func (s *Summary) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary makes s the summary that b encodes. It keeps no part of b, allocates at most three
// times the length of b, and leaves s as it was on error. Errors wrap [ErrFormat].
func (s *Summary) UnmarshalBinary(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("%w: %d bytes, want at least 3", ErrFormat, len(b))
	}
	if b[0] != version1 || b[1] != formExact {
		return fmt.Errorf("%w: version %d, form %d, want version %d, form %d", ErrFormat, b[0], b[1], version1, formExact)
	}
	d := decoder{rest: b[2:]}
	decoded := d.summary()
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes after its end", len(d.rest))
	}
	if d.err != nil {
		return d.err
	}
	*s = decoded
	return nil
}

func appendPoint(dst []byte, p point) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.time))
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(p.value))
}

// decoder takes a summary off the front of rest. After the first fault every step does nothing.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) summary() Summary {
	distinct := d.uvarint("number of values")
	if distinct == 0 {
		return Summary{}
	}
	s := Summary{first: d.point("first"), last: d.point("last")}
	s.values = d.values(distinct)
	s.counts, s.n = d.counts(len(s.values))
	if d.err != nil {
		return s
	}
	low, high := s.values[0], s.values[len(s.values)-1]
	if s.first.time > s.last.time {
		d.fail("first is at %d, after last at %d", s.first.time, s.last.time)
	}
	for _, v := range []float64{s.first.value, s.last.value} {
		if v < low || v > high {
			d.fail("first or last is %g, outside [%g, %g]", v, low, high)
		}
	}
	return s
}

func (d *decoder) uvarint(what string) uint64 {
	v, size := binary.Uvarint(d.rest)
	if size <= 0 || size != len(binary.AppendUvarint(nil, v)) {
		d.fail("%s is no shortest uvarint", what)
		d.rest = nil
		return 0
	}
	d.rest = d.rest[size:]
	return v
}

func (d *decoder) take(size int, what string) []byte {
	if len(d.rest) < size {
		d.fail("%d bytes left for %s, want %d", len(d.rest), what, size)
		d.rest = nil
		return make([]byte, size)
	}
	b := d.rest[:size]
	d.rest = d.rest[size:]
	return b
}

func (d *decoder) point(what string) point {
	b := d.take(pointSize, what)
	return point{
		time:  int64(binary.LittleEndian.Uint64(b)),
		value: d.float(b[8:], what),
	}
}

func (d *decoder) float(b []byte, what string) float64 {
	v := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if math.IsNaN(v) || math.IsInf(v, 0) || v == 0 && math.Signbit(v) {
		d.fail("%s is %g, want a finite number and no negative zero", what, v)
	}
	return v
}

func (d *decoder) values(n uint64) []float64 {
	if uint64(len(d.rest)) < n || uint64(len(d.rest)) < n*valueSize {
		d.fail("%d bytes left for %d values", len(d.rest), n)
		return nil
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = d.float(d.take(valueSize, "values"), "value")
		if i > 0 && values[i] <= values[i-1] {
			d.fail("value %g after %g, want ascending values", values[i], values[i-1])
		}
	}
	return values
}

// counts returns nil where every count is 1.
func (d *decoder) counts(n int) (counts []uint64, total uint64) {
	if len(d.rest) < n {
		d.fail("%d bytes left for %d counts", len(d.rest), n)
		return nil, 0
	}
	for i := range n {
		c := d.uvarint("count")
		if c == 0 || total+c < total {
			d.fail("count %d after %d values", c, total)
			return nil, 0
		}
		total += c
		if c > 1 && counts == nil {
			counts = ones(n, n)
		}
		if counts != nil {
			counts[i] = c
		}
	}
	return counts, total
}
