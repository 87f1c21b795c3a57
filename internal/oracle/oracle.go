// Package oracle computes statistics exactly and in the most direct way. Tests compare fast and approximate results
// with it. Only tests import it.
package oracle

import (
	"math"
	"math/big"
	"slices"
)

// Values are the values of one group in ascending order. They are finite. Every method but Count, Distinct, Sum and CountOf
// needs at least one value. Negative zero is equal to zero.
type Values []float64

// Of returns the values of xs in ascending order. It does not change xs.
func Of(xs []float64) Values {
	v := Values(slices.Clone(xs))
	slices.Sort(v)
	return v
}

// Count returns the number of values.
func (v Values) Count() int { return len(v) }

// Distinct returns the number of different values.
func (v Values) Distinct() int { return len(slices.Compact(slices.Clone(v))) }

// Min returns the smallest value.
func (v Values) Min() float64 { return v[0] }

// Max returns the largest value.
func (v Values) Max() float64 { return v[len(v)-1] }

// MaxAbs returns the largest magnitude of a value.
func (v Values) MaxAbs() float64 { return max(math.Abs(v.Min()), math.Abs(v.Max())) }

// Within reports whether the largest magnitude is at most factor times the smallest one. Zeros do not count.
func (v Values) Within(factor float64) bool {
	least := math.Inf(1)
	for _, x := range v {
		if x != 0 {
			least = min(least, math.Abs(x))
		}
	}
	return v.MaxAbs()/factor <= least
}

// Sum returns the sum.
func (v Values) Sum() *big.Float {
	sum := Exact(0)
	for _, x := range v {
		sum.Add(sum, Exact(x))
	}
	return sum
}

// Mean returns the arithmetic mean.
func (v Values) Mean() *big.Float { return Exact(0).Quo(v.Sum(), Exact(float64(len(v)))) }

// Variance returns the sample variance (divided by n-1) of at least two values. It is made of exact sums: squares of distances from the
// mean, which has no end in binary, took five times as long.
func (v Values) Variance() *big.Float {
	n, sum, squares := wide(float64(len(v))), wide(0), wide(0)
	for _, x := range v {
		e := wide(x)
		sum.Add(sum, e)
		squares.Add(squares, e.Mul(e, e))
	}
	squares.Mul(squares, n)
	squares.Sub(squares, sum.Mul(sum, sum))
	return squares.Quo(squares, n.Mul(n, wide(float64(len(v)-1))))
}

// wide returns x with 4500 bits. The square of a sum of float64 values and the sum of their squares need fewer than 4400 bits, so neither
// is rounded.
func wide(x float64) *big.Float { return new(big.Float).SetPrec(4500).SetFloat64(x) }

// StdDev returns the square root of the sample variance of at least two values.
func (v Values) StdDev() *big.Float { return Exact(0).Sqrt(v.Variance()) }

// Mode returns the most frequent value, the smallest among ties, and how often it occurs.
func (v Values) Mode() (mode float64, count int) {
	for i := 0; i < len(v); {
		n := v.CountOf(v[i])
		if n > count {
			mode, count = v[i], n
		}
		i += n
	}
	return mode, count
}

// CountOf returns how often x occurs.
func (v Values) CountOf(x float64) (n int) {
	i, _ := slices.BinarySearch(v, x)
	for ; i < len(v) && v[i] == x; i++ {
		n++
	}
	return n
}

// Linear returns the quantile num/den, from 0 to 1, by interpolation between the two values beside rank (n-1)·num/den:
// type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996). Only its result is rounded.
func (v Values) Linear(num, den int64) float64 {
	last := int64(len(v) - 1)
	rank := big.NewRat(num, den)
	rank.Mul(rank, new(big.Rat).SetInt64(last))
	lower := new(big.Int).Quo(rank.Num(), rank.Denom()).Int64()
	part := Exact(0).SetRat(rank.Sub(rank, new(big.Rat).SetInt64(lower)))
	x := Exact(v[lower])
	step := Exact(0).Sub(Exact(v[min(lower+1, last)]), x)
	return Nearest(x.Add(x, step.Mul(step, part)))
}

// NearestRank returns the quantile num/den, from 0 to 1, as the value of rank ⌈n·num/den⌉, counted from 1; the smallest
// value for quantile 0.
func (v Values) NearestRank(num, den int64) float64 {
	rank := (int64(len(v))*num + den - 1) / den
	return v[max(rank-1, 0)]
}

// FloorRank returns the quantile num/den, from 0 to 1, as the value at index ⌊n·num/den⌋; the largest value for
// quantile 1.
func (v Values) FloorRank(num, den int64) float64 {
	return v[min(int64(len(v))*num/den, int64(len(v)-1))]
}

// Exact returns x with 4000 bits. Sums of any float64 values need less than 2200 of them, so they are not rounded.
func Exact(x float64) *big.Float { return new(big.Float).SetPrec(4000).SetFloat64(x) }

// Nearest returns the float64 nearest to x, or an infinity if x is beyond the largest one.
func Nearest(x *big.Float) float64 {
	f, _ := x.Float64()
	return f
}
