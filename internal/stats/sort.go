package stats

import (
	"math"
	"slices"
)

const (
	// Up to fewSorted values are sorted by insertion, and up to maxRadix by digits.
	maxRadix  = 512
	fewSorted = 32
)

// sortFloats sorts finite values, and reports whether all are distinct.
//
// A few hundred values are sorted by digits (radix sort): the range of the values is divided into 65,536 parts, and
// the digits are the two bytes of the number of the part. An insertion sort then orders the values within each part,
// which are few unless the data is very uneven. Sorting by digits has hardly any branches that the processor predicts
// wrongly: it takes a tenth of the time of slices.Sort (BenchmarkSort, 360 values: 1.6 µs instead of 17).
func sortFloats(values []float64) (distinct bool) {
	switch {
	case len(values) <= fewSorted:
		_, distinct = insertionSort(values, len(values)*len(values))
		return distinct
	case len(values) > maxRadix:
		slices.Sort(values)
		return allDistinct(values)
	}
	low, high := ends(values)
	if perUnit := (radixParts - 1) / (high - low); perUnit > 0 && perUnit*(high-low) < radixParts {
		radixSort(values, low, perUnit)
	}
	// Without a radix sort, all values are equal, or they are too near or too far apart for the division.
	if ok, distinct := insertionSort(values, 4*len(values)); ok {
		return distinct
	}
	slices.Sort(values)
	return allDistinct(values)
}

// radixParts is how many parts radixSort has: as many as two bytes can number.
const radixParts = 1 << 16

// radixSort sorts values by the number of their part: their distance from low times perUnit, rounded down. The number
// is below radixParts. Values within a part keep their order.
//
// Two passes move the values: by the lower byte to moved, and by the upper byte back. The second one keeps the order that the first one has
// made.
func radixSort(values []float64, low, perUnit float64) {
	var parts, movedParts [maxRadix]uint16
	var moved [maxRadix]float64
	var lower, upper [256]uint16 // how many values have a byte, then the position of the next value that has it
	for i, v := range values {
		p := uint16(int32((v - low) * perUnit))
		parts[i] = p
		lower[p&0xff]++
		upper[p>>8]++
	}
	l, u := uint16(0), uint16(0)
	for b := range lower {
		lower[b], l = l, l+lower[b]
		upper[b], u = u, u+upper[b]
	}
	for i, v := range values {
		p := parts[i]
		to := lower[p&0xff]
		lower[p&0xff]++
		moved[to], movedParts[to] = v, p
	}
	for i := range values {
		b := movedParts[i] >> 8
		values[upper[b]] = moved[i]
		upper[b]++
	}
}

// insertionSort sorts values with at most budget moves, and reports whether all are distinct. If it needs more, it
// returns false, and the values are not in order.
func insertionSort(values []float64, budget int) (ok, distinct bool) {
	distinct = true
	last := math.Inf(-1) // the value before
	for i, v := range values {
		if v >= last {
			if v == last {
				distinct = false
			}
			last = v
			continue
		}
		j := i
		for ; j > 0 && values[j-1] > v; j-- {
			values[j] = values[j-1]
		}
		values[j] = v
		if j > 0 && values[j-1] == v {
			distinct = false
		}
		last = values[i]
		if budget -= i - j; budget < 0 {
			return false, false
		}
	}
	return true, distinct
}

// allDistinct reports whether no two of some ascending values are equal.
func allDistinct(values []float64) bool {
	for i := 1; i < len(values); i++ {
		if values[i] == values[i-1] {
			return false
		}
	}
	return true
}
