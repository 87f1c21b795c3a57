package stats

import (
	"math"
	"math/big"
)

// The boundaries of a histogram's bins are the powers of 2^(2^-scale). Bin i holds what is above
// boundary i and at most boundary i+1, as the buckets of OpenTelemetry's exponential histograms do; the
// native histograms of Prometheus number the same buckets one higher. Halving the scale joins the bins
// 2i and 2i+1 to bin i, so the bin of a value at a scale is that at the finest scale, shifted right.
const (
	maxBinScale  = 8
	minBinScale  = 5
	perOctave    = 1 << maxBinScale // bins between a power of two and the next, at the finest scale
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	exponentBias = 1023
)

// octave has the boundaries from 1 to 2 at the finest scale, as mantissas of float64s rounded down: a
// value is above a boundary exactly when its mantissa is above that. The last one is beyond every mantissa.
var octave = octaveBoundaries()

// cells is for each of 512 equal parts of the mantissas how many boundaries are below the part. No part
// has more than one boundary: they are at least 1/370 apart.
var cells = octaveCells()

func octaveBoundaries() (bounds [perOctave + 1]uint64) {
	const precision = 200
	root := big.NewFloat(2).SetPrec(precision)
	for range maxBinScale {
		root.Sqrt(root)
	}
	boundary := big.NewFloat(1).SetPrec(precision)
	for j := range perOctave {
		v, accuracy := boundary.Float64()
		bounds[j] = math.Float64bits(v) & mantissaMask
		if accuracy == big.Above {
			bounds[j]--
		}
		boundary.Mul(boundary, root)
	}
	bounds[0], bounds[perOctave] = 0, 1<<mantissaBits
	return bounds
}

const cellBits = 9

func octaveCells() (cells [1 << cellBits]uint16) {
	for c := range cells {
		start := uint64(c) << (mantissaBits - cellBits)
		for octave[cells[c]] < start {
			cells[c]++
		}
	}
	return cells
}

// binOf returns the bin of a at the finest scale. a is above zero and finite.
func binOf(a float64) int32 {
	bits := math.Float64bits(a)
	exponent := int32(bits >> mantissaBits)
	if exponent == 0 { // subnormal
		const up = 54
		bits = math.Float64bits(a * (1 << up))
		exponent = int32(bits>>mantissaBits) - up
	}
	mantissa := bits & mantissaMask
	below := cells[mantissa>>(mantissaBits-cellBits)]
	if mantissa > octave[below] {
		below++
	}
	return (exponent-exponentBias)<<maxBinScale + int32(below) - 1
}

// boundary returns the lower boundary of bin i at a scale, rounded down; it is the upper one of bin i−1.
func boundary(i int32, scale int8) float64 {
	i <<= maxBinScale - scale
	m := math.Float64frombits(octave[i&(perOctave-1)] | exponentBias<<mantissaBits)
	return math.Ldexp(m, int(i>>maxBinScale))
}

// binWidth returns the relative width of the bins at a scale: how much the upper boundary is above the lower
// one, as a share of the lower one.
func binWidth(scale int8) float64 { return math.Exp2(math.Exp2(-float64(scale))) - 1 }
