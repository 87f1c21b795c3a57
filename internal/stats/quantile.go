package stats

import (
	"fmt"
	"math"
	"strings"
)

// Method says how a quantile q is read from n ascending values x₀ … xₙ₋₁.
type Method uint8

const (
	// Linear interpolates between the two values around rank (n−1)q: type 7 of Hyndman and Fan,
	// "Sample Quantiles in Statistical Packages" (1996), the default of NumPy and pandas.
	Linear Method = iota
	// NearestRank is the smallest value that at least the share q of all values does not exceed:
	// x[⌈qn⌉−1], and x₀ for q = 0.
	NearestRank
	// FloorRank is x[min(⌊qn⌋, n−1)].
	FloorRank
)

var methodNames = [...]string{Linear: "linear", NearestRank: "nearest_rank", FloorRank: "floor_rank"}

// ParseMethod reads the name of a method: "linear", "nearest_rank" or "floor_rank".
func ParseMethod(name string) (Method, error) {
	for m, known := range methodNames {
		if name == known {
			return Method(m), nil
		}
	}
	return 0, fmt.Errorf("unknown method %q, known are %s", name, strings.Join(methodNames[:], ", "))
}

// String returns the method's name; ParseMethod reads it back.
func (m Method) String() string { return methodNames[m] }

// Quantile returns the percentile p of the values by method m, always within [min, max], or NaN of an
// empty summary.
func (s *Summary) Quantile(p Percentile, m Method) float64 {
	if s.n == 0 {
		return math.NaN()
	}
	s.settle()
	switch m {
	case NearestRank:
		rank, rest := p.of(s.n)
		if rest == 0 && rank > 0 {
			rank--
		}
		return s.at(rank)
	case FloorRank:
		rank, _ := p.of(s.n)
		return s.at(min(rank, s.n-1))
	}
	rank, rest := p.of(s.n - 1)
	if rest == 0 {
		return s.at(rank)
	}
	return between(s.at(rank), s.at(rank+1), rest)
}

// Median returns the middle value, or half the sum of the two middle values; with [NearestRank] the
// 50th percentile. NaN of an empty summary.
func (s *Summary) Median(m Method) float64 {
	if m == FloorRank {
		m = Linear
	}
	return s.Quantile(p50, m)
}

// at returns the value of that rank, which is below n. pending is empty.
func (s *Summary) at(rank uint64) float64 {
	if s.counts == nil {
		return s.values[rank]
	}
	for i, c := range s.counts {
		if rank < c {
			return s.values[i]
		}
		rank -= c
	}
	panic("stats: rank beyond the values")
}

// between returns the point at share t of the way from a to b, a ≤ b. Halfway is half the sum, as a
// median is defined; neither form can overflow or leave [a, b].
func between(a, b, t float64) float64 {
	if t == 0.5 {
		if sum := a + b; !math.IsInf(sum, 0) {
			return sum / 2
		}
	}
	d := b - a
	switch {
	case math.IsInf(d, 0):
		return a*(1-t) + b*t
	case t < 0.5:
		return min(a+d*t, b)
	}
	return max(b-d*(1-t), a)
}
