package stats

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// maxDecimals is how many decimals a percentile may have.
const maxDecimals = 9

// Percentile is a number from 0 to 100, both included, with at most nine decimals. It is an exact decimal fraction:
// as a float64, some products n·p/100 would be rounded to another rank. The zero Percentile is 0, the minimum.
//
// Percentiles are comparable with ==.
type Percentile struct {
	num      uint64 // the rank times 10^decimals, at most 100·10^decimals
	decimals uint8  // the fewest that the rank needs
}

// The percentiles of the median and of iqr.
var (
	p25 = Percentile{num: 25}
	p50 = Percentile{num: 50}
	p75 = Percentile{num: 75}
)

// ParsePercentile reads a percentile such as "95" or "99.9": a decimal from 0 to 100, both included, without sign or
// exponent. It has a digit before the point and one after it, and at most nine decimals apart from zeros at the end.
func ParsePercentile(s string) (Percentile, error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if !digits(whole) || dotted && !digits(fraction) {
		return Percentile{}, fmt.Errorf("percentile %q is not a decimal number", s)
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > maxDecimals {
		return Percentile{}, fmt.Errorf("percentile %q has %d decimals, want at most %d", s, len(fraction), maxDecimals)
	}
	p := Percentile{decimals: uint8(len(fraction))}
	num, err := strconv.ParseUint(whole+fraction, 10, 64)
	p.num = num
	if errors.Is(err, strconv.ErrRange) || p.num > p.denominator() {
		return Percentile{}, fmt.Errorf("percentile %q is above 100", s)
	}
	return p, err
}

// digits reports whether s has digits only, at least one.
func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// String returns the percentile as the shortest decimal, such as "99.9".
func (p Percentile) String() string {
	s := strconv.FormatUint(p.num, 10)
	if p.decimals == 0 {
		return s
	}
	s = strings.Repeat("0", max(0, int(p.decimals)+1-len(s))) + s
	point := len(s) - int(p.decimals)
	return s[:point] + "." + s[point:]
}

// Compare returns -1, 0 or 1 if p is smaller than q, equal to q, or larger.
func (p Percentile) Compare(q Percentile) int {
	ph, pl := bits.Mul64(p.num, q.denominator())
	qh, ql := bits.Mul64(q.num, p.denominator())
	switch {
	case ph < qh || ph == qh && pl < ql:
		return -1
	case ph == qh && pl == ql:
		return 0
	}
	return 1
}

// denominator returns the number by which num is divided to give a quantile from 0 to 1: 100 for p95, 1000 for p99.9.
func (p Percentile) denominator() uint64 {
	d := uint64(100)
	for range p.decimals {
		d *= 10
	}
	return d
}

// of returns the whole part of n·p/100, which is exact, and the fraction in [0, 1), rounded to a float64. For example, for p = 99.9 and
// n = 10, it returns 9 and 0.99.
func (p Percentile) of(n uint64) (whole uint64, rest float64) {
	d := p.denominator()
	hi, lo := bits.Mul64(n, p.num)
	whole, r := bits.Div64(hi, lo, d) // hi < d, because num ≤ d
	return whole, float64(r) / float64(d)
}
