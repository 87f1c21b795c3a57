package stats

import "math"

// Sum returns the sum of all values, 0 for an empty summary. A sum beyond the range of float64 is ±math.MaxFloat64.
func (s *Summary) Sum() float64 {
	if s.Count() == 0 {
		return 0
	}
	m := s.sums()
	return m.total()
}

// Mean returns the arithmetic mean, within [min, max], or NaN for an empty summary.
func (s *Summary) Mean() float64 {
	if s.Count() == 0 {
		return math.NaN()
	}
	if s.histogram() != nil {
		return min(max(s.histogram().moments.mean(), s.histogram().min), s.histogram().max)
	}
	o := s.exact.order()
	m := s.sums()
	return min(max(m.mean(), o.min()), o.max())
}

// Variance returns the sample variance (divided by n−1), at most math.MaxFloat64, or NaN for fewer
// than two values.
func (s *Summary) Variance() float64 {
	if s.Count() < 2 {
		return math.NaN()
	}
	m := s.moments()
	return m.variance()
}

// StdDev returns the square root of the sample variance, at most math.MaxFloat64, or NaN for fewer than two values.
// It is right even if the variance is beyond the range of float64.
func (s *Summary) StdDev() float64 {
	if s.Count() < 2 {
		return math.NaN()
	}
	m := s.moments()
	return m.stdDev()
}

// Range returns max − min, at most math.MaxFloat64, or NaN for an empty summary.
func (s *Summary) Range() float64 { return saturate(s.Max() - s.Min()) }

// moments returns the moments of the values. The summary must not be empty.
func (s *Summary) moments() moments {
	if s.histogram() != nil {
		return s.histogram().moments
	}
	return s.exact.order().moments(s.exact.distinct())
}

// sums returns moments in which the squares may be missing. They take less time than all moments. The summary must
// not be empty.
func (s *Summary) sums() moments {
	if s.histogram() != nil {
		return s.histogram().moments
	}
	return s.exact.order().sums(s.exact.distinct())
}

// moments holds the count of values, their sum and the sum of their squared distances from the mean. The sums are
// compensated (Neumaier 1974). The zero moments describes no values.
//
// All values are divided by 2^unit, which depends on the largest magnitude, so that neither the sum nor a square is
// out of range.
//
// A batch of values is added as moments of its own: their sum and mean first, and then their distances from that mean. The sum of the
// squares of all values minus n times the square of the mean would be the same, but for large values that are near each other, such as
// times, the difference of the two is mostly rounding errors.
type moments struct {
	n       uint64
	sum, m2 accumulator
	unit    int16 // one of the units below
}

// The units. Values whose largest magnitude is from 1/unitLimit to unitLimit have the unit 0.
//
// A float64 goes up to 2^1024, and is precise down to 2^-1022. The distance of two values up to 2^400 is at most 2^401, so the sum of 2^63
// squares is at most 2^865; and the square of 2^-400 is precise. Larger values, divided by 2^700, are at most 2^324. Smaller ones, divided
// by 2^-600, are at most 2^200, and the smallest of all, 2^-1074, becomes 2^-474, whose square is precise too.
const (
	unitLimit = 0x1p400
	unitTiny  = -600
	unitHuge  = 700
)

// unitOf returns the unit for values whose largest magnitude is a.
func unitOf(a float64) int16 {
	switch {
	case a > unitLimit:
		return unitHuge
	case a < 1/unitLimit:
		return unitTiny
	}
	return 0
}

// add adds at most batchSize values. largest is their largest magnitude. With momentsOf for all values,
// BenchmarkAddMore/limit=64/data=continuous took 17 ns a value instead of 10.
func (m *moments) add(vs []float64, largest float64) {
	k := uint64(len(vs))
	if m.n == 0 || m.unit != 0 || largest > unitLimit {
		m.merge(momentsOf(vs, largest))
		return
	}
	o := moments{n: k}
	o.sum = sumOfFloats(vs)
	mean, rest := o.sum.over(float64(k))
	var even, odd float64
	for i := 0; i+1 < len(vs); i += 2 {
		d, e := vs[i]-mean-rest, vs[i+1]-mean-rest
		even += float64(d * d)
		odd += float64(e * e)
	}
	if len(vs)%2 == 1 {
		d := vs[len(vs)-1] - mean - rest
		even += float64(d * d)
	}
	o.m2.high = even + odd
	m.merge(o)
}

// merge adds the moments of other values (Chan, Golub and LeVeque 1983). With a and b values, whose means differ by d, the squared
// distances from the common mean are those from the own means and d²·a·b/(a+b) more.
func (m *moments) merge(o moments) {
	if o.n == 0 {
		return
	}
	if m.n == 0 {
		*m = o
		return
	}
	m.rescale(max(m.unit, o.unit))
	o.rescale(m.unit)
	a, b := float64(m.n), float64(o.n)
	m.n += o.n
	mean, rest := m.sum.over(a)
	otherMean, otherRest := o.sum.over(b)
	d := (otherMean - mean) + (otherRest - rest)
	m.sum.merge(o.sum)
	m.m2.merge(o.m2)
	m.m2.plus(float64(d * d * (a / (a + b) * b)))
}

// rescale changes the unit to a larger one.
func (m *moments) rescale(unit int16) {
	if m.unit == unit {
		return
	}
	down := int(m.unit - unit)
	m.sum.high, m.sum.low = math.Ldexp(m.sum.high, down), math.Ldexp(m.sum.low, down)
	m.m2.high, m.m2.low = math.Ldexp(m.m2.high, 2*down), math.Ldexp(m.m2.low, 2*down)
	m.unit = unit
}

// momentsOf returns the moments of the values, added in the given order. largest is their largest magnitude.
func momentsOf(values []float64, largest float64) moments {
	m := moments{n: uint64(len(values)), unit: unitOf(largest)}
	factor := m.factor()
	for _, v := range values {
		m.sum.plus(float64(v * factor))
	}
	mean, rest := m.sum.over(float64(m.n))
	for _, v := range values {
		d := float64(v*factor) - mean - rest
		m.m2.plus(float64(d * d))
	}
	return m
}

// sums returns the moments of one or more values, of which the given number are distinct, without the squares. It adds
// the distinct values in ascending order, each times its count, with one accumulator for even positions and one for odd
// ones. So the result is the same to the last bit for values with counts and for repeated values. Without the case of values that occur
// once, BenchmarkSelection/limit=512/data=continuous took 3.4 µs instead of 2.5.
func (o ordered) sums(distinct int) moments {
	m := moments{n: o.total(), unit: unitOf(max(-o.min(), o.max()))}
	if m.unit == 0 && o.counts == nil && distinct == len(o.values) {
		m.sum = sumOfFloats(o.values)
		return m
	}
	factor := m.factor()
	var even, odd accumulator
	for i := 0; i < len(o.values); {
		count, next := o.run(i)
		even.times(float64(o.values[i]*factor), float64(count))
		even, odd, i = odd, even, next
	}
	even.merge(odd)
	m.sum = even
	return m
}

// moments returns the moments of one or more values, of which the given number are distinct. Without the case of values that occur once,
// BenchmarkStdDev/limit=512/data=continuous took 3.6 µs instead of 3.1.
func (o ordered) moments(distinct int) moments {
	m := o.sums(distinct)
	factor := m.factor()
	mean, rest := m.sum.over(float64(m.n))
	var even, odd accumulator
	if m.unit == 0 && o.counts == nil && distinct == len(o.values) {
		for _, v := range o.values {
			d := v - mean - rest
			even.plus(float64(d * d))
			even, odd = odd, even
		}
	} else {
		for i := 0; i < len(o.values); {
			count, next := o.run(i)
			d := float64(o.values[i]*factor) - mean - rest
			even.plus(float64(float64(d*d) * float64(count)))
			even, odd, i = odd, even, next
		}
	}
	even.merge(odd)
	m.m2 = even
	return m
}

// factor returns 2^-unit, by which values are multiplied.
func (m *moments) factor() float64 { return timesPower(1, -int(m.unit)) }

// timesPower returns v·2^power. The unit is nearly always 0: with math.Ldexp in any case, BenchmarkMerge/limit=64/data=continuous took 1.08 µs
// instead of 0.97.
func timesPower(v float64, power int) float64 {
	if power == 0 {
		return v
	}
	return math.Ldexp(v, power)
}

// mean returns the mean, which rounding may move beyond the smallest or the largest value.
func (m *moments) mean() float64 {
	return timesPower(m.sum.sum()/float64(m.n), int(m.unit))
}

// total returns the sum of all values, at most ±math.MaxFloat64.
func (m *moments) total() float64 { return saturate(timesPower(m.sum.sum(), int(m.unit))) }

// variance returns the sample variance of at least two values, at most math.MaxFloat64.
func (m *moments) variance() float64 {
	return saturate(timesPower(max(m.m2.sum(), 0)/float64(m.n-1), 2*int(m.unit)))
}

// stdDev returns the square root of the sample variance of at least two values, even if that variance is beyond the
// range of float64.
func (m *moments) stdDev() float64 {
	return saturate(timesPower(math.Sqrt(max(m.m2.sum(), 0)/float64(m.n-1)), int(m.unit)))
}

// accumulator is a sum and the sum of its rounding errors (Neumaier 1974, with Knuth's TwoSum, which has no branch).
// Products in this package are converted to float64, so that no compiler fuses them with a sum, and results are the same
// on every machine.
type accumulator struct{ high, low float64 }

// plus adds v.
func (a *accumulator) plus(v float64) {
	t := a.high + v
	z := t - a.high
	a.low += (a.high - (t - z)) + (v - z)
	a.high = t
}

// sumOfFloats returns the sum of values. There is one accumulator for even positions and one for odd ones, because the processor then
// overlaps the additions. They are variables, which stay in registers: with the method plus for each value,
// BenchmarkSelection/limit=512/data=continuous took 2.8 µs instead of 2.5.
func sumOfFloats(values []float64) accumulator {
	var high, low, oddHigh, oddLow float64
	for ; len(values) >= 2; values = values[2:] {
		v, w := values[0], values[1]
		t, u := high+v, oddHigh+w
		y, z := t-high, u-oddHigh
		low += (high - (t - y)) + (v - y)
		oddLow += (oddHigh - (u - z)) + (w - z)
		high, oddHigh = t, u
	}
	a, b := accumulator{high, low}, accumulator{oddHigh, oddLow}
	for _, v := range values {
		a.plus(v)
	}
	a.merge(b)
	return a
}

// times adds v·count.
func (a *accumulator) times(v, count float64) {
	p := float64(v * count)
	a.low += math.FMA(v, count, -p) // the rounding error of the product
	a.plus(p)
}

// merge adds the sum of o. The result is the same, to the last bit, if a and o are exchanged.
func (a *accumulator) merge(o accumulator) {
	low := a.low + o.low
	a.low = 0
	a.plus(o.high)
	a.low += low
}

// over returns the sum divided by n, and the rounding error of that quotient.
func (a *accumulator) over(n float64) (quotient, rest float64) {
	quotient = a.high / n
	return quotient, (math.FMA(-quotient, n, a.high) + a.low) / n
}

// sum returns the sum, rounded once.
func (a *accumulator) sum() float64 { return a.high + a.low }

// saturate returns v, or the largest float64 of its sign if v is infinite.
func saturate(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.Copysign(math.MaxFloat64, v)
	}
	return v
}
