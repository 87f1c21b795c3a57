package stats

import "math"

// maxScale bounds the powers of two by which values are scaled: each has an exact inverse.
const maxScale = 1000

// Sum returns the sum of all values, at most ±math.MaxFloat64; 0 of an empty summary.
func (s *Summary) Sum() float64 {
	sum, scale := s.total()
	return saturate(sum * scale)
}

// Mean returns the arithmetic mean, within [min, max], or NaN of an empty summary.
func (s *Summary) Mean() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	sum, scale := s.total()
	return min(max(sum/float64(s.n)*scale, s.Min()), s.Max())
}

// Variance returns the sample variance (divided by n−1), at most math.MaxFloat64, or NaN for fewer
// than two values.
func (s *Summary) Variance() float64 {
	m2, scale := s.spread()
	return saturate(m2 / float64(s.n-1) * scale * scale)
}

// StdDev returns the square root of the sample variance, or NaN for fewer than two values. It is
// right also where the variance is out of range.
func (s *Summary) StdDev() float64 {
	m2, scale := s.spread()
	return saturate(math.Sqrt(m2/float64(s.n-1)) * scale)
}

// Range returns max − min, at most math.MaxFloat64, or NaN of an empty summary.
func (s *Summary) Range() float64 { return saturate(s.Max() - s.Min()) }

// total returns the sum of all values divided by scale, a power of two that keeps it in range.
func (s *Summary) total() (sum, scale float64) {
	s.settle()
	if sum = s.sumOf(1); !math.IsInf(sum, 0) && !math.IsNaN(sum) {
		return sum, 1
	}
	scale = math.Ldexp(1, 64) // there are fewer than 2^64 values
	return s.sumOf(1 / scale), scale
}

func (s *Summary) sumOf(factor float64) float64 {
	var acc accumulator
	for i, v := range s.values {
		acc.add(v*factor, float64(s.countAt(i)))
	}
	return acc.sum()
}

// spread returns the sum of squared distances from the mean, each distance divided by scale, a power
// of two near the range of the values: so no square is lost to overflow or underflow. NaN for fewer
// than two values.
func (s *Summary) spread() (m2, scale float64) {
	if s.n < 2 {
		return math.NaN(), 1
	}
	mean := s.Mean()
	_, exp := math.Frexp(s.Range())
	exp = min(max(exp, -maxScale), maxScale)
	scale, inverse := math.Ldexp(1, exp), math.Ldexp(1, -exp)
	var squares, rest accumulator
	for i, v := range s.values {
		d, c := v*inverse-mean*inverse, float64(s.countAt(i))
		squares.add(d*d, c)
		rest.add(d, c)
	}
	// The second term takes back what the rounding of the mean added (Chan, Golub, LeVeque 1983).
	r := rest.sum()
	return max(squares.sum()-r*r/float64(s.n), 0), scale
}

// accumulator adds up with the rounding errors kept beside the sum (Neumaier 1974).
type accumulator struct{ high, low float64 }

// add adds v·count.
func (a *accumulator) add(v, count float64) {
	p := v * count
	a.low += math.FMA(v, count, -p) // what the product lost
	t := a.high + p
	if math.Abs(a.high) >= math.Abs(p) {
		a.low += (a.high - t) + p
	} else {
		a.low += (p - t) + a.high
	}
	a.high = t
}

func (a *accumulator) sum() float64 { return a.high + a.low }

// saturate brings an infinite result back to the largest float64. NaN stays NaN.
func saturate(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.Copysign(math.MaxFloat64, v)
	}
	return v
}
