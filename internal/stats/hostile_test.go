package stats

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// crafted returns a summary of a histogram that no values have, as its encoding may come from outside.
func crafted(craft func(h *histogram)) *Summary {
	h := histogramOf(ordered{[]float64{1.0005, 1.0005, 1.0005, 1.0005}, nil})
	craft(h)
	h.moments.n = h.positive.total() + h.negative.total() + h.zero
	return &Summary{hist: h}
}

func TestDecodingRefusesWhatNoValuesHave(t *testing.T) {
	for want, s := range map[string]*Summary{
		"min 1.0005000000000002 is above max 1.0005": crafted(func(h *histogram) { h.min = math.Nextafter(1.0005, 2) }),
		"no 4 values from 1 to 1.0005 have these moments": crafted(func(h *histogram) { // the squares are those of a mean in the middle
			h.min, h.scale = 1, minBinScale
			h.positive = bins{data: []byte{1, 3}, first: -1, lo: -1, hi: 0, width: 1}
			h.moments.sum.high = 4
			h.moments.m2.high = 4 * 0.0005 * 0.0005 / 4
		}),
	} {
		var decoded Summary
		require.ErrorContains(t, decoded.UnmarshalBinary(encoded(t, s)), want)
	}
}

// Counters of eight bytes are made at once, not by way of narrower ones.
func TestDecodingWideCountersKeepsToItsBound(t *testing.T) {
	const lo, hi = -200, 312
	s := crafted(func(h *histogram) {
		*h = *emptyHistogram()
		h.fractional, h.scale, h.negative = true, minBinScale, new(bins)
		h.max = boundary(hi+1, minBinScale)
		h.min = -h.max
		for _, b := range []*bins{&h.positive, h.negative} {
			b.cover(lo, hi)
			b.set(lo, 1<<61)
			b.set(hi, 1)
		}
	})
	b := encoded(t, s)
	var decoded Summary
	allocated := allocatedBy(func() { require.NoError(t, decoded.UnmarshalBinary(b)) })
	require.LessOrEqual(t, allocated, uint64(16<<10+40*len(b)))
	require.Equal(t, s.Count(), decoded.Count())
}

// What is merged into a summary of a large limit takes room by its distinct values, not by its count.
func TestManyOfFewValuesTakeLittleRoom(t *testing.T) {
	few := new(Summary)
	for i := range 20 {
		few.AddAll([]float64{float64(i)}, nil)
	}
	for range 15 {
		require.NoError(t, few.Merge(few))
	}
	s := New(100_000_000)
	s.AddAll(shapes(30)["continuous"], nil)
	require.Less(t, allocatedBy(func() { require.NoError(t, s.Merge(few)) }), uint64(10_000))
	require.True(t, s.Exact())
	value, count := s.Mode()
	require.Equal(t, []any{0.0, uint64(1 << 15)}, []any{value, count})
}
