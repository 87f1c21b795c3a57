package stats

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because of the counters of bins and their memory, and the scale of a histogram.

// The bins of one sign take at most 1,300 bytes, and 2,300 once one of them has more than 65,535 values.
func TestBinsHaveAHardCap(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		s := New(1)
		for i := range 3000 {
			s.Add(sign * math.Exp2(float64(i%600)/32))
		}
		bins := func() *bins {
			if sign > 0 {
				return &s.histogram().positive
			}
			return s.histogram().negative
		}
		for s.Count() < 65_535*513 {
			require.NoError(t, s.Merge(&s))
			if largest := slices.Max(bins().run().Counts); largest <= math.MaxUint16 {
				require.LessOrEqual(t, cap(bins().data), 1300)
			} else {
				require.LessOrEqual(t, cap(bins().data), 2300)
			}
		}
		require.Len(t, bins().run().Counts, maxBins)
	}
}

// Counters become wider if a merge makes one of them overflow.
func TestMergedCountersWiden(t *testing.T) {
	for _, most := range []uint64{math.MaxUint8, math.MaxUint16, math.MaxUint32} {
		var to, from bins
		to.cover(0, 40)
		from.cover(0, 40)
		for i := range int32(41) {
			to.set(i, most-uint64(i%3))
			from.set(i, uint64(i%5))
		}
		to.merge(&from, 0)
		for i := range int32(41) {
			require.Equal(t, most-uint64(i%3)+uint64(i%5), to.at(i), "bin %d", i)
		}
	}
}

// Counters of one byte become wider if joining bins makes them overflow.
func TestJoinedCountersWiden(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		for _, least := range []int{120, 126, 127, 128, 250} { // with 127, the first sum above 255 is 256
			var xs []float64
			for i := range int32(40) {
				v := sign * between(boundary(i, maxBinScale), boundary(i+1, maxBinScale), 0.5)
				xs = append(xs, slices.Repeat([]float64{v}, least+int(i)%3)...)
			}
			s := estimated(xs)
			require.EqualValues(t, maxBinScale, s.histogram().scale)
			xs = append(xs, sign*5)
			s.Add(sign * 5)
			atOnce := estimated(xs)
			require.EqualValues(t, maxBinScale-1, s.histogram().scale)
			require.Equal(t, atOnce.Bins(), s.Bins(), "at least %d of each, sign %g", least, sign)
		}
	}
}

// A histogram gets the scale of a coarser histogram that is merged into it. The bins of the coarser one alone do not
// force this: converted to the finer scale, they span one bin less than its values.
func TestMergingACoarserHistogramCoarsens(t *testing.T) {
	at := func(bin float64) float64 { return math.Exp2((bin + 0.5) / perOctave) }
	coarse := estimated([]float64{at(0), at(maxBins)})
	fine := estimated([]float64{at(100), at(101)})
	require.Equal(t, []int8{maxBinScale - 1, maxBinScale}, []int8{coarse.hist.scale, fine.hist.scale})
	require.NoError(t, fine.Merge(coarse))
	want := estimated([]float64{at(0), at(100), at(101), at(maxBins)})
	require.Equal(t, want.Bins(), fine.Bins())
}

// estimated returns a summary that is a histogram.
func estimated(xs []float64) *Summary {
	var s Summary
	s.AddAll(xs, nil)
	s.Demote()
	return &s
}
