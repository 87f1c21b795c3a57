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
	switch kind := d.byte(); kind {
	case columnRaw:
		if len(d.b) < 8*len(values) {
			d.fail("it ends early")
			return
		}
		b := d.b[:8*len(values)] // the length is checked once, not for each value
		for i := range values {
			values[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
		d.b = d.b[8*len(values):]
	case columnConstant, columnConstantWhole:
		var v float64
		if kind == columnConstant {
			v = math.Float64frombits(d.uint64())
		} else {
			v = wholeValue(d.uvarint())
		}
		for i := range values {
			values[i] = v
		}
	case columnWhole:
		for i := range values {
			values[i] = wholeValue(d.uvarint())
		}
	default:
		d.fail("kind of column %d, want at most %d", kind, columnConstantWhole)
	}
}
