package tally

import (
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

const (
	// precision is how many bits of a hash select a register: each one more halves the variance and doubles the memory.
	precision = 12
	registers = 1 << precision
	// DistinctSize is how many bytes a [Distinct] takes: one for each register.
	DistinctSize = registers
	// DistinctError is the standard error of [Distinct.Count], as a share: 1.04 divided by the root of the number of registers.
	DistinctError = 0.01625
)

// Distinct estimates how many different values there are, in 4 KiB of memory (HyperLogLog: Flajolet et al. 2007). The
// estimate depends on the set of values alone, not on their order. The zero Distinct has no values. It is not safe for
// concurrent use.
type Distinct struct {
	// ranks has, for each register, the largest rank of the hashes that select it: the zeros at their start plus one.
	ranks [registers]uint8
}

// AddFloat adds a value. Values with different bits are different, so −0 is not 0: the caller adds 0 to make it so.
func (d *Distinct) AddFloat(v float64) { d.add(mix(math.Float64bits(v))) }

// AddText adds a text.
func (d *Distinct) AddText(text []byte) { d.add(xxhash.Sum64(text)) }

// add adds a value by its hash. The first bits of that select the register, and the zeros after them are the rank. The bit that is set
// behind them ends the zeros where the hash has no bit set.
func (d *Distinct) add(hash uint64) {
	rank := uint8(bits.LeadingZeros64(hash<<precision|1<<(precision-1))) + 1
	if r := &d.ranks[hash>>(64-precision)]; rank > *r {
		*r = rank
	}
}

// mix returns a hash of v: the finalizer of SplitMix64 (Steele, Lea and Flood 2014), which maps no two numbers to one.
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// Count returns the estimate, by the improved estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog
// sketches" (2017), which needs no correction for small or large counts.
func (d *Distinct) Count() uint64 {
	const largest = 64 - precision + 1
	var count [largest + 1]float64
	for _, r := range d.ranks {
		count[r]++
	}
	const m = float64(registers)
	z := m * tau(1-count[largest]/m)
	for k := largest - 1; k >= 1; k-- {
		z = 0.5 * (z + count[k])
	}
	z += m * sigma(count[0]/m)
	return uint64(math.Round(m * m / (2 * math.Ln2 * z)))
}

// sigma is the function σ of Ertl's estimator, for the share x of registers without a value: x + Σ x^(2^k) · 2^(k−1). It ends once a
// term no longer changes the sum.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

// tau is the function τ of Ertl's estimator, for the share 1−x of registers with the largest rank:
// (1 − x − Σ (1 − x^(2^−k))² · 2^−k) / 3.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}
