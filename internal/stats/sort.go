package stats

import (
	"math"
	"slices"
)

const (
	// maxSpread is of how many values sortFloats spreads, and fewSorted how many it sorts by insertion.
	maxSpread = 512
	fewSorted = 12
)

// sortFloats sorts values that are neither NaN nor infinite. Where there are a few hundred it spreads them
// evenly over as many parts of their range first (one pass of a bucket sort), which leaves parts of one or two values
// unless the data is very uneven: half the time of slices.Sort, measured on noise.
func sortFloats(values []float64) {
	switch {
	case len(values) <= fewSorted:
		sortFew(values)
		return
	case len(values) > maxSpread:
		slices.Sort(values)
		return
	}
	low, high := ends(values)
	perUnit := float64(len(values)-1) / (high - low)
	if !(perUnit > 0 && perUnit <= math.MaxFloat64) { // all the same, or too near or too far for the division
		slices.Sort(values)
		return
	}
	spread(values, low, perUnit)
}

// spread sorts values into parts of equal width and then each part.
func spread(values []float64, low, perUnit float64) {
	var ends [maxSpread + 1]uint16
	var parts [maxSpread]uint16
	var from [maxSpread]float64
	for i, v := range values {
		p := uint16((v-low)*perUnit) & (maxSpread - 1)
		parts[i] = p
		from[i] = v
		ends[p+1]++
	}
	n := len(values)
	for p := range n {
		ends[p+1] += ends[p]
	}
	for i, p := range parts[:n] {
		values[ends[p]] = from[i]
		ends[p]++
	}
	start := uint16(0)
	for _, end := range ends[:n] {
		if end-start > fewSorted {
			slices.Sort(values[start:end])
		} else if end-start > 1 {
			sortFew(values[start:end])
		}
		start = end
	}
}

// sortFew sorts by insertion.
func sortFew(values []float64) {
	for i := 1; i < len(values); i++ {
		v, j := values[i], i
		for ; j > 0 && values[j-1] > v; j-- {
			values[j] = values[j-1]
		}
		values[j] = v
	}
}
