package stats

import (
	"math"
	"math/big"
)

// The boundaries of the bins of a histogram are the powers of 2^(2^-scale). Bin i holds the values above boundary i
// and up to boundary i+1, which is included. The exponential histograms of OpenTelemetry have the same buckets. The
// native histograms of Prometheus have them too, with indexes that are one higher. The bins 2i and 2i+1 of a scale
// are bin i of the next coarser scale. So the bin of a value at any scale is its bin at the finest scale, shifted
// right.
//
// For example, at the finest scale:
//
//	bin −1    above 2^(-1/256), up to 1      the value 1
//	bin 0     above 1, up to 2^(1/256)       the value 1.0000001
//	bin 255   above 2^(255/256), up to 2     the value 2; at scale 5 it is in bin 255>>3 = 31, the last one up to 2
//
// Values are compared with the boundaries as real numbers, not with boundaries rounded to float64. So every value is
// in the bin of the definition, even the float64 next to a boundary.
const (
	maxBinScale  = 8
	minBinScale  = 5
	perOctave    = 1 << maxBinScale // bins between a power of two and the next, at the finest scale
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	exponentBias = 1023
)

// octave holds the boundaries from 1 to 2 at the finest scale, as mantissas of float64 values that are rounded down:
// a value is above a boundary if and only if its mantissa is above the mantissa in octave. The last entry is above
// every mantissa.
var octave = octaveBoundaries()

// cells holds, for each of 512 equal parts of the range of mantissas, the number of boundaries below the part. A part
// contains at most one boundary, because boundaries are at least 1/370 apart. So binOf needs one comparison only: with a binary search,
// BenchmarkAddMore/limit=64/data=continuous took 19 ns a value instead of 11.
var cells = octaveCells()

// octaveBoundaries computes the boundaries with 200 bits, so that rounding them down to float64 is exact.
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

// cellBits is how many of the highest bits of a mantissa are the index of its cell.
const cellBits = 9

// octaveCells counts the boundaries below each cell.
func octaveCells() (cells [1 << cellBits]uint16) {
	for c := range cells {
		start := uint64(c) << (mantissaBits - cellBits)
		for octave[cells[c]] < start {
			cells[c]++
		}
	}
	return cells
}

// binOf returns the bin of a at the finest scale. a is finite and above zero.
func binOf(a float64) int32 {
	bits := math.Float64bits(a)
	exponent := int32(bits >> mantissaBits)
	if exponent == 0 { // subnormal
		const up = 54
		bits = math.Float64bits(a * (1 << up))
		exponent = int32(bits>>mantissaBits) - up
	}
	mantissa := bits & mantissaMask
	below := uint64(cells[mantissa>>(mantissaBits-cellBits)])
	// 1 if the mantissa is above. With a branch, which the processor often predicts wrongly, BenchmarkAdd/series=1/data=cpu/limit=64 of package
	// engine took 240 ns instead of 225.
	below += (octave[below] - mantissa) >> 63
	return (exponent-exponentBias)<<maxBinScale + int32(below) - 1
}

// boundary returns the lower boundary of bin i at a scale, rounded down. It is the upper boundary of bin i−1.
func boundary(i int32, scale int8) float64 {
	i <<= maxBinScale - scale
	m := math.Float64frombits(octave[i&(perOctave-1)] | exponentBias<<mantissaBits)
	return math.Ldexp(m, int(i>>maxBinScale))
}

// binWidth returns the width of the bins at a scale as a share of their lower boundary.
func binWidth(scale int8) float64 { return math.Exp2(math.Exp2(-float64(scale))) - 1 }
