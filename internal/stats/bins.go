package stats

import (
	"encoding/binary"
	"math"
)

const (
	// maxBins is how many contiguous bins a histogram has for each sign: as many as values within a factor of 4,
	// both ends included, can take at the finest scale.
	maxBins = 2*perOctave + 1
	// slackBins is by how many bins more than it needs a run grows.
	slackBins = 16
)

// bins counts values by bin in a contiguous run of counters, which start at one byte each and widen to
// 2, 4 and 8 together when one overflows. The zero bins are empty.
type bins struct {
	data   []byte // the counters, little endian
	first  int32  // the bin of the first counter
	lo, hi int32  // the lowest and the highest bin that counts something, when data is not empty
	width  uint8  // bytes of a counter: 1, 2, 4 or 8
}

func (b *bins) empty() bool { return len(b.data) == 0 }

// span returns how many bins there are from the lowest to the highest at a scale that is coarser by shift.
func (b *bins) span(shift int8) int32 {
	if b.empty() {
		return 0
	}
	return b.hi>>shift - b.lo>>shift + 1
}

// at returns the count of bin i, which is within the run.
func (b *bins) at(i int32) uint64 {
	k := int(i - b.first)
	switch b.width {
	case 1:
		return uint64(b.data[k])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b.data[2*k:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b.data[4*k:]))
	}
	return binary.LittleEndian.Uint64(b.data[8*k:])
}

// add adds n to bin i, which [bins.cover] has made room for.
func (b *bins) add(i int32, n uint64) {
	k := int(i - b.first)
	if b.width == 1 {
		if sum := uint64(b.data[k]) + n; sum <= math.MaxUint8 && n <= math.MaxUint8 {
			b.data[k] = byte(sum)
			return
		}
	}
	b.set(i, b.at(i)+n)
}

func (b *bins) set(i int32, n uint64) {
	for b.width < 8 && n>>(8*b.width) > 0 {
		b.widen()
	}
	k := int(i - b.first)
	switch b.width {
	case 1:
		b.data[k] = byte(n)
	case 2:
		binary.LittleEndian.PutUint16(b.data[2*k:], uint16(n))
	case 4:
		binary.LittleEndian.PutUint32(b.data[4*k:], uint32(n))
	default:
		binary.LittleEndian.PutUint64(b.data[8*k:], n)
	}
}

// widen doubles the bytes of every counter.
func (b *bins) widen() {
	wide := bins{data: make([]byte, 2*len(b.data)), first: b.first, lo: b.lo, hi: b.hi, width: 2 * b.width}
	for i := b.lo; i <= b.hi; i++ {
		wide.set(i, b.at(i))
	}
	*b = wide
}

// cover makes room for the bins from lo to hi, together with those that count already at most maxBins, and takes
// them for counted: the caller counts something in both.
func (b *bins) cover(lo, hi int32) {
	if b.empty() {
		b.width = 1
	} else {
		lo, hi = min(lo, b.lo), max(hi, b.hi)
		if lo >= b.first && int(hi-b.first) < len(b.data)/int(b.width) {
			b.lo, b.hi = lo, hi
			return
		}
	}
	b.grow(lo, hi)
}

func (b *bins) grow(lo, hi int32) {
	need := hi - lo + 1
	size := min((need+slackBins+15)&^15, max(maxBins, need))
	grown := bins{data: make([]byte, int(size)*int(b.width)), first: lo - (size-need)/2, lo: lo, hi: hi, width: b.width}
	if !b.empty() {
		copy(grown.data[int(b.lo-grown.first)*int(b.width):], b.data[int(b.lo-b.first)*int(b.width):int(b.hi-b.first+1)*int(b.width)])
	}
	*b = grown
}

// coarsen joins bins in pairs, as at the next coarser scale.
func (b *bins) coarsen() {
	if b.empty() {
		return
	}
	coarse := bins{width: b.width}
	coarse.grow(b.lo>>1, b.hi>>1)
	for i := b.lo; i <= b.hi; i++ {
		if n := b.at(i); n > 0 {
			coarse.set(i>>1, coarse.at(i>>1)+n)
		}
	}
	*b = coarse
}

// raise collapses the bins below lo into bin lo.
func (b *bins) raise(lo int32) {
	if b.empty() || lo <= b.lo {
		return
	}
	raised := bins{width: b.width}
	raised.grow(lo, max(lo, b.hi))
	for i := b.lo; i <= b.hi; i++ {
		if n := b.at(i); n > 0 {
			raised.set(max(i, lo), raised.at(max(i, lo))+n)
		}
	}
	*b = raised
}

// total returns the sum of all counts.
func (b *bins) total() uint64 {
	var n uint64
	if !b.empty() {
		for i := b.lo; i <= b.hi; i++ {
			n += b.at(i)
		}
	}
	return n
}

func (b *bins) clone() bins {
	c := *b
	c.data = append([]byte(nil), b.data...)
	return c
}
