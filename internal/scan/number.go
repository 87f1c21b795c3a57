package scan

import (
	"bytes"
	"math"
	"strconv"
)

const (
	// maxExact is the largest power of ten that a float64 has exactly: 10^22 = 5^22 · 2^22, and 5^22 < 2^53.
	maxExact = 22
	// maxDigits is how many digits fit into a uint64, whatever they are.
	maxDigits = 19
)

// powers are the powers of ten that are exact.
var powers = [maxExact + 1]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// Number reads a decimal number: an optional sign, digits with at most one point among, before or behind them, and an
// optional exponent, such as "-12", "+.5", "3." or "1.5e-3". The sign may be the minus of Unicode, U+2212. whole reports that it
// has neither a point nor an exponent.
//
// The value is the float64 nearest to the number, as from [strconv.ParseFloat]. ok is false for any other text and for
// numbers beyond the range of float64. Digits are not grouped, spaces are not skipped, and infinities and NaN are not numbers.
//
// A number of up to 2^53 with up to 22 decimals is one integer divided by a power of ten. Both are exact, so that one
// rounding gives the nearest float64 (Clinger, "How to Read Floating Point Numbers Accurately", 1990). Others are left to
// strconv, which takes two to five times as long for the first kind, of which nearly all cells are.
//
//	"12"       12, whole
//	"12.0"     12, not whole
//	"1e3"      1000, not whole
//	"-0"       −0, whole
//	"1,5"      not ok, and so are "1 000", "0x10", "inf" and ""
func Number(b []byte) (v float64, whole, ok bool) {
	i := 0
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		i = 1
	}
	start := i
	i, mantissa := digits(b, i, 0)
	n, decimals := i-start, 0
	whole = true
	if i < len(b) && b[i] == '.' {
		point := i + 1
		i, mantissa = digits(b, point, mantissa)
		decimals = i - point
		n += decimals
		whole = false
	}
	if n == 0 { // nothing but a sign or a point, or text
		return unicodeMinus(b)
	}
	if i < len(b) {
		if !isExponent(b[i:]) {
			return 0, false, false
		}
		return slow(b)
	}
	if n > maxDigits || mantissa > 1<<53 || decimals > maxExact {
		v, _, ok = slow(b) // with more than maxDigits, mantissa may have overflowed
		return v, whole, ok
	}
	v = float64(mantissa)
	if decimals > 0 {
		v /= powers[decimals]
	}
	if negative {
		v = -v // −0 too
	}
	return v, whole, true
}

// unicodeMinus reads a number with the minus sign of Unicode before it, which typesetters and some programs write instead of the hyphen.
func unicodeMinus(b []byte) (v float64, whole, ok bool) {
	rest, found := bytes.CutPrefix(b, []byte("−"))
	if !found || len(rest) == 0 || rest[0] != '.' && rest[0]-'0' > 9 {
		return 0, false, false
	}
	v, whole, ok = Number(rest)
	return -v, whole, ok
}

// digits appends the digits of b from i on to the decimal number mantissa, modulo 2^64. It returns where they end.
func digits(b []byte, i int, mantissa uint64) (end int, appended uint64) {
	for ; i < len(b) && b[i]-'0' <= 9; i++ { // a byte below '0' wraps around to more than 9
		mantissa = mantissa*10 + uint64(b[i]-'0')
	}
	return i, mantissa
}

// isExponent reports whether b is e or E, an optional sign and digits.
func isExponent(b []byte) bool {
	if b[0] != 'e' && b[0] != 'E' {
		return false
	}
	b = b[1:]
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return len(b) > 0
}

// slow reads a number of the grammar of Number, all of which ParseFloat reads. It refuses those beyond float64, and rounds those near
// zero to 0. whole is always false: a caller that knows better sets it. The conversion to a string stays on the stack for short texts, as
// ParseFloat keeps no part of it.
func slow(b []byte) (v float64, whole, ok bool) {
	v, err := strconv.ParseFloat(string(b), 64)
	return v, false, err == nil && !math.IsInf(v, 0)
}

// Trim returns b without the spaces and tabs around it. Other white space stays: a line end within a cell is a part of its text. The result
// is in the memory of b.
func Trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// Missing reports whether a cell without spaces around it has no value: it is empty or one of NA, #NA, N/A, #N/A, <NA>, NaN,
// -NaN, nil, null and None, in lower case, in upper case or as written here, or \N, as PostgreSQL and MySQL write null.
func Missing(b []byte) bool {
	if len(b) > len("#N/A") { // the longest of them: most cells need no comparison
		return false
	}
	switch string(b) {
	case "", "NA", "na", "#NA", "#na", "N/A", "n/a", "#N/A", "#n/a", "<NA>", "<na>", "NaN", "nan", "NAN", "-NaN", "-nan", "-NAN",
		"nil", "NIL", "null", "NULL", "Null", "None", "none", "NONE", `\N`:
		return true
	}
	return false
}

// Infinite reports whether a cell is an infinity in words: inf or infinity in any case, perhaps with a sign. [Number] does
// not read these, as no statistic has a use for them.
func Infinite(b []byte) bool {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	const short, long = "inf", "infinity"
	return (len(b) == len(short) || len(b) == len(long)) && (bytes.EqualFold(b, []byte(short)) || bytes.EqualFold(b, []byte(long)))
}

// Bool reads true or false, in lower case, in upper case or with a capital. Words such as yes and on are texts, as the data may
// have a third one.
func Bool(b []byte) (v, ok bool) {
	switch string(b) {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}
