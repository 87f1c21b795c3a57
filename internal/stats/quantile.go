package stats

import (
	"fmt"
	"math"
	"strings"
)

// Method defines the quantile q, from 0 to 1, of n ascending values x₀ … xₙ₋₁. For example, the quantiles of 10, 20, 30 and 40:
//
//	              p50   p95
//	Linear        25    38.5
//	NearestRank   20    40
//	FloorRank     30    40
type Method uint8

const (
	// Linear interpolates between the two values around rank (n−1)q: type 7 of Hyndman and Fan,
	// "Sample Quantiles in Statistical Packages" (1996). NumPy and pandas use it by default.
	Linear Method = iota
	// NearestRank is x[⌈qn⌉−1], and x₀ for q = 0: the smallest value such that at least the share q of all values is
	// less than or equal to it.
	NearestRank
	// FloorRank is x[min(⌊qn⌋, n−1)].
	FloorRank
)

// methodNames are the names of the methods in options and requests.
var methodNames = [...]string{Linear: "linear", NearestRank: "nearest_rank", FloorRank: "floor_rank"}

// ParseMethod reads the name of a method: "linear", "nearest_rank" or "floor_rank". The error for another name lists these.
func ParseMethod(name string) (Method, error) {
	for m, known := range methodNames {
		if name == known {
			return Method(m), nil
		}
	}
	return 0, fmt.Errorf("unknown method %q, known are %s", name, strings.Join(methodNames[:], ", "))
}

// String returns the method's name, which ParseMethod accepts. m must be one of the three methods.
func (m Method) String() string { return methodNames[m] }

// Quantile returns the percentile p of the values by method m. It is within [min, max], or NaN for an empty summary. Of an
// exact summary it is exact up to rounding; of a histogram its error is that of [Summary.MaxError].
func (s *Summary) Quantile(p Percentile, m Method) float64 {
	n := s.Count()
	if n == 0 {
		return math.NaN()
	}
	rank, rest := m.rank(p, n)
	if h := s.histogram(); h != nil {
		if rest == 0 {
			return h.at(rank)
		}
		low, high := h.atTwo(rank)
		return between(low, high, rest)
	}
	o := s.exact.order()
	if rest == 0 {
		return o.at(rank)
	}
	return between(o.at(rank), o.at(rank+1), rest)
}

// rank returns the rank of the percentile among n values, from 0 to n−1, and how far the quantile is on the way to
// the next rank, in [0, 1). n is 1 or more.
func (m Method) rank(p Percentile, n uint64) (rank uint64, rest float64) {
	switch m {
	case NearestRank:
		if rank, rest = p.of(n); rest == 0 && rank > 0 {
			rank--
		}
		return rank, 0
	case FloorRank:
		rank, _ = p.of(n)
		return min(rank, n-1), 0
	}
	return p.of(n - 1)
}

// Median returns the middle value, or half the sum of the two middle values. With [NearestRank] it returns the 50th
// percentile. It is NaN for an empty summary.
func (s *Summary) Median(m Method) float64 {
	if m == FloorRank {
		m = Linear
	}
	return s.Quantile(p50, m)
}

// IQR returns the interquartile range, p75 − p25, at most math.MaxFloat64, or NaN for an empty summary.
func (s *Summary) IQR(m Method) float64 { return saturate(s.Quantile(p75, m) - s.Quantile(p25, m)) }

// at estimates the value with the given rank, 0 for the smallest. It assumes that values are spread evenly over their
// bin, or over the whole numbers in the bin if all values are whole.
func (h *histogram) at(rank uint64) float64 {
	switch rank {
	case 0:
		return h.min
	case h.moments.n - 1:
		return h.max
	}
	v := 0.0
	negative := h.negative.total()
	switch {
	case rank < negative: // the smallest of the negative values has the largest magnitude
		v = -h.valueAt(h.negative, negative-1-rank)
	case rank >= negative+h.zero:
		v = h.valueAt(&h.positive, rank-negative-h.zero)
	}
	return min(max(v, h.min), h.max)
}

// valueAt estimates the magnitude with the given rank among those of the run.
func (h *histogram) valueAt(b *bins, rank uint64) float64 {
	return h.within(b.seek(rank))
}

// atTwo returns the results of at for the given rank and for the next one, which must be below the total. If both are
// in one bin, it searches for the bin only once: with two calls of at, BenchmarkQuantiles/limit=64/data=continuous took 320 ns instead of
// 210.
func (h *histogram) atTwo(rank uint64) (low, high float64) {
	below := h.negative.total() + h.zero
	if rank == 0 || rank < below || rank+1 == h.moments.n-1 {
		return h.at(rank), h.at(rank + 1)
	}
	bin, within, count := h.positive.seek(rank - below)
	low = h.within(bin, within, count)
	if within++; within == count {
		bin, within, count = h.positive.next(bin)
	}
	high = h.within(bin, within, count)
	return min(max(low, h.min), h.max), min(max(high, h.min), h.max)
}

// within estimates the magnitude with the given rank among the count values of bin i. It assumes that each value is in the middle of an
// equal part of the bin, or of its whole numbers. The largest magnitude of all values may be below the end of the bin; then the parts end
// there.
func (h *histogram) within(i int32, rank, count uint64) float64 {
	t := (float64(rank) + 0.5) / float64(count)
	low, high := boundary(i, h.scale), min(boundary(i+1, h.scale), max(-h.min, h.max))
	if h.fractional {
		return low + float64((high-low)*t)
	}
	low, high = math.Floor(low)+1, math.Floor(high)
	return min(low+math.Floor(float64((high-low+1)*t)), high)
}

// between returns a + t·(b − a) for a ≤ b and t in [0, 1]. For t = ½ it is half the sum, as the median is defined.
// The result is finite and within [a, b].
func between(a, b, t float64) float64 {
	if t == 0.5 {
		if sum := a + b; !math.IsInf(sum, 0) {
			return sum / 2
		}
	}
	d := b - a
	switch {
	case math.IsInf(d, 0):
		return float64(a*(1-t)) + float64(b*t)
	case t < 0.5:
		return min(a+float64(d*t), b)
	}
	return max(b-float64(d*(1-t)), a)
}
