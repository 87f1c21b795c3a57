package stats

import "math"

// span returns the smallest and the largest of one or more values, and whether the values are plain: all finite and
// none −0. If they are not plain, the ends have no meaning.
func span(vs []float64) (low, high float64, plain bool) {
	const infinity, negativeZero = 0x7ff << mantissaBits, 1 << 63
	least, most := endsOfBits(vs)
	if least >= 0 && most < infinity { // so none is below zero, −0 or NaN
		return math.Float64frombits(uint64(least)), math.Float64frombits(uint64(most)), true
	}
	for _, v := range vs {
		if bits := math.Float64bits(v); bits&infinity == infinity || bits == negativeZero {
			return 0, 0, false
		}
	}
	low, high = ends(vs)
	return low, high, true
}

// ends returns the smallest and the largest of one or more values. The values are finite, and none is −0. It compares integers, for which
// the compiler generates no branches: with comparisons of floats, BenchmarkBulk/with=bulk/data=continuous took 57 ns a value instead of 33.
func ends(vs []float64) (low, high float64) {
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for _, v := range vs {
		key := flipped(int64(math.Float64bits(v)))
		least, most = min(least, key), max(most, key)
	}
	return math.Float64frombits(uint64(flipped(least))), math.Float64frombits(uint64(flipped(most)))
}

// flipped changes the bits of a float to an integer, or back: the integers are in the order of the floats.
func flipped(bits int64) int64 { return bits ^ bits>>63&math.MaxInt64 }

// endsOfBits returns the smallest and the largest of the bits of values, as signed integers. The bits of floats that
// are not negative are in the order of the floats, NaN above infinity, and the bits of negative floats are negative
// integers. So one pass is enough for most values: with a look at each value before ends, BenchmarkAddMore/limit=64/data=constant took 2.1 ns
// a value instead of 1.3.
func endsOfBits(vs []float64) (least, most int64) {
	least, most = math.MaxInt64, math.MinInt64
	for _, v := range vs {
		bits := int64(math.Float64bits(v))
		least, most = min(least, bits), max(most, bits)
	}
	return least, most
}
