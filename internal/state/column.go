package state

import (
	"encoding/binary"
	"math"
)

// Columns
//
// The values of one field in a block of rows are a column. It is encoded as
//
//	1 byte    kind
//
// and, by kind, with n values:
//
//	0  raw        n × 8 bytes: the IEEE 754 bits of the values, little endian
//	1  constant   8 bytes: the bits of all the values
//	2  whole      n uvarints: 0 is NaN, k is the whole number v with zigzag(v) = k−1
//	3  constant   1 uvarint: the same for all the values
//	              whole
//
// zigzag(v) is 2v for v ≥ 0 and −2v−1 below. The decoded bits of every value are those that were encoded, except for
// NaN, of which only the fact that it is NaN is encoded. −0 is never encoded as a whole number.
//
// The kinds are few and simple, because a Push waits for the encoding. They suit fields of metrics: many do not change for some time,
// and many are small whole numbers.
const (
	columnRaw = iota
	columnConstant
	columnWhole
	columnConstantWhole
)

// maxWhole is the largest magnitude of a value that is stored as a whole number. Its uvarint takes 7 bytes, one less
// than the bits of the value.
const maxWhole = 1 << 47

// appendColumn appends column f of the rows, which have width values each.
func appendColumn(dst []byte, rows []float64, f, width int) []byte {
	first := math.Float64bits(rows[f])
	constant, whole := true, true
	for i := f; i < len(rows) && (constant || whole); i += width {
		constant = constant && math.Float64bits(rows[i]) == first
		whole = whole && isWhole(rows[i])
	}
	switch {
	case constant && whole:
		return binary.AppendUvarint(append(dst, columnConstantWhole), wholeCode(rows[f]))
	case constant:
		return binary.LittleEndian.AppendUint64(append(dst, columnConstant), first)
	case whole:
		dst = append(dst, columnWhole)
		for i := f; i < len(rows); i += width {
			dst = binary.AppendUvarint(dst, wholeCode(rows[i]))
		}
		return dst
	}
	dst = append(dst, columnRaw)
	for i := f; i < len(rows); i += width {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(rows[i]))
	}
	return dst
}

// isWhole reports whether v has a wholeCode: it is NaN, or a whole number of at most maxWhole in magnitude and not
// −0.
func isWhole(v float64) bool {
	if v != v {
		return true
	}
	return v > -maxWhole && v < maxWhole && math.Float64bits(float64(int64(v))) == math.Float64bits(v)
}

// wholeCode returns the code of a whole number or of NaN: 0 is NaN, and k is the number v with zigzag(v) = k−1.
func wholeCode(v float64) uint64 {
	if v != v {
		return 0
	}
	k := int64(v)
	return uint64(k<<1^k>>63) + 1
}

// wholeValue returns the value whose wholeCode is code.
func wholeValue(code uint64) float64 {
	if code == 0 {
		return math.NaN()
	}
	code--
	return float64(int64(code>>1) ^ -int64(code&1))
}

// column reads a column of len(values) values. Their number is not in the column; the caller has checked it, so that a column of few
// bytes cannot fill any amount of memory.
func (d *decoder) column(values []float64) {
	if len(d.b) == 0 {
		d.fail("it ends early")
		return
	}
	kind, b := d.b[0], d.b[1:] // b is in registers, which d.b would not be
	var ok bool
	switch kind {
	case columnRaw:
		if ok = len(b) >= 8*len(values); ok {
			for i := range values {
				values[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
			}
			b = b[8*len(values):]
		}
	case columnConstant:
		if ok = len(b) >= 8; ok {
			fill(values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
			b = b[8:]
		}
	case columnConstantWhole:
		if b, ok = wholes(b, values[:1]); ok {
			fill(values, values[0])
		}
	case columnWhole:
		b, ok = wholes(b, values)
	default:
		d.fail("kind of column %d, want at most %d", kind, columnConstantWhole)
		return
	}
	if !ok {
		d.fail("it ends early")
		return
	}
	d.b = b
}

// short reads a column of one value, if it is not near the end of the input and not a large whole number. Otherwise it reports false and
// reads nothing. Many metrics come once in a period, so their blocks have one row.
func (d *decoder) short(v *float64) bool {
	b := d.b
	if len(b) < 9 {
		return false
	}
	switch b[0] {
	case columnRaw, columnConstant:
		*v = math.Float64frombits(binary.LittleEndian.Uint64(b[1:]))
		d.b = b[9:]
		return true
	case columnWhole, columnConstantWhole:
		if b[1] < 0x80 {
			*v = wholeValue(uint64(b[1]))
			d.b = b[2:]
			return true
		}
	}
	return false
}

// wholes reads values that are encoded as whole numbers, and returns the rest of b. It reports false if b ends before.
func wholes(b []byte, values []float64) (rest []byte, ok bool) {
	for i := range values {
		code, n := uint64(0), 1
		if len(b) > 0 && b[0] < 0x80 { // most numbers are small
			code = uint64(b[0])
		} else if code, n = binary.Uvarint(b); n <= 0 {
			return nil, false
		}
		values[i] = wholeValue(code)
		b = b[n:]
	}
	return b, true
}

// fill sets all values.
func fill(values []float64, v float64) {
	for i := range values {
		values[i] = v
	}
}
