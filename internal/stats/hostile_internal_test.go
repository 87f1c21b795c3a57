package stats

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because they make histograms that contradict themselves, which no values and no exported function do.

// crafted returns a summary with a histogram that craft has changed, so that it may contradict itself.
func crafted(craft func(h *histogram)) *Summary {
	h := histogramOf(ordered{[]float64{1.0005, 1.0005, 1.0005, 1.0005}, nil})
	craft(h)
	h.moments.n = h.positive.total() + h.negative.total() + h.zero
	return &Summary{hist: h}
}

func TestDecodingRejectsHistogramsThatNoValuesHave(t *testing.T) {
	inverted := crafted(func(h *histogram) { h.min = math.Nextafter(1.0005, 2) })
	require.ErrorContains(t, new(Summary).UnmarshalBinary(encodedBy(inverted)), "min 1.0005000000000002 is above max 1.0005")

	// The mean is 1, and the squares are those of a mean in the middle.
	b := encodedBy(crafted(func(h *histogram) {
		h.min, h.scale = 1, minBinScale
		h.positive = bins{data: []byte{1, 3}, first: -1, lo: -1, hi: 0, width: 1}
		h.moments.sum = accumulator{high: 4}
	}))
	const squaresAt = 35
	binary.LittleEndian.PutUint64(b[squaresAt:], math.Float64bits(4*0.0005*0.0005/4))
	require.ErrorContains(t, new(Summary).UnmarshalBinary(b), "no 4 values from 1 to 1.0005 have these moments")
}

// The encodings of two summaries have moments that are just plausible. Rounding may make those of the merged summary implausible, but
// its encoding can be decoded nevertheless.
func TestASummaryMergedFromJustPlausibleOnesCanBeDecoded(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(15, seed))
		base := r.NormFloat64()
		parts := make([]Summary, 2)
		for i := range parts {
			values := make([]float64, 1+r.IntN(9))
			for k := range values {
				values[k] = base + float64(r.IntN(4))*0x1p-50*float64(seed%2)
			}
			s := Summary{hist: histogramOf(ordered{sorted(values), nil})}
			h := s.histogram()
			for sign := r.Float64() - 0.5; h.plausible(); { // until the mean is too large or too small
				h.moments.sum.high += math.Copysign(math.Abs(base)*0x1p-44, sign)
			}
			h.makePlausible()
			_, most := h.bounds()
			h.moments.m2 = accumulator{high: most}
			require.NoError(t, parts[i].UnmarshalBinary(encodedBy(&s)))
		}
		require.NoError(t, parts[0].Merge(&parts[1]))
		b := encodedBy(&parts[0])
		var decoded Summary
		require.NoError(t, decoded.UnmarshalBinary(b), "seed %d", seed)
		require.Equal(t, b, encodedBy(&decoded))
	}
}

// sorted sorts values and returns them.
func sorted(values []float64) []float64 {
	slices.Sort(values)
	return values
}

// Counters of eight bytes are allocated once, not first as narrower ones.
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
	b := encodedBy(s)
	var decoded Summary
	allocated := AllocatedBy(func() { require.NoError(t, decoded.UnmarshalBinary(b)) })
	require.LessOrEqual(t, allocated, uint64(16<<10+40*len(b)))
	require.Equal(t, s.Count(), decoded.Count())
}

// The sum of the counts of candidates cannot exceed the number of values.
func TestDecodingRejectsImplausibleCandidates(t *testing.T) {
	for what, spoil := range map[string]func(h *heavy){
		"more than there are": func(h *heavy) { h.all[0].count = 1 << 40 },
		"more than counted":   func(h *heavy) { h.all[0].count, h.all[1].count = maxCount, maxCount },
	} {
		s := New(1)
		for i := range 1000 {
			s.Add(float64(i % 3))
			s.Add(float64(i) / 7)
		}
		require.NoError(t, new(Summary).UnmarshalBinary(encodedBy(&s)))
		spoil(&s.histogram().heavy)
		require.ErrorIs(t, new(Summary).UnmarshalBinary(encodedBy(&s)), ErrFormat, what)
	}
}

// The missed count is at most a 17th of the number of values that are not counts of candidates.
func TestDecodingBoundsTheMissedCount(t *testing.T) {
	s := New(1)
	for i := range 1000 {
		s.Add(float64(i % 3))
		s.Add(float64(i) / 7)
	}
	kept := uint64(0)
	for _, c := range s.histogram().heavy.kept() {
		kept += c.count
	}
	s.histogram().heavy.missed = (2000 - kept) / 17
	require.NoError(t, new(Summary).UnmarshalBinary(encodedBy(&s)))
	s.histogram().heavy.missed++
	require.ErrorIs(t, new(Summary).UnmarshalBinary(encodedBy(&s)), ErrFormat)
}

// Contradictions returns encodings of histograms that no values have, by the text of the error.
func Contradictions() map[string][]byte {
	cases := make(map[string][]byte)
	contradict := func(want string, xs []float64, spoil func(h *histogram)) {
		s := estimated(xs)
		spoil(s.histogram())
		cases[want], _ = s.MarshalBinary()
	}
	var whole, signs, above, below []float64
	for i := range 360 {
		x := float64(i)
		whole, signs = append(whole, x), append(signs, float64(i%3-1)*x/99)
		above, below = append(above, x+200.5), append(below, -x-200.5)
	}
	end := func(low, high float64) func(h *histogram) {
		return func(h *histogram) { h.min, h.max = low, high }
	}
	contradict("min 100.5 and max 559.5 are not in the outer bins", above, end(100.5, 559.5))
	contradict("min 200.5 and max 1559.5 are not in the outer bins", above, end(200.5, 1559.5))
	contradict("min -1559.5 and max -200.5 are not in the outer bins", below, end(-1559.5, -200.5))
	contradict("min -559.5 and max -100.5 are not in the outer bins", below, end(-559.5, -100.5))
	contradict("min -0.5 and max 359 are not in the outer bins", whole, end(-0.5, 359))
	contradict("min -50 and max 50 are not in the outer bins", signs, end(-50, 50))
	contradict("min 0 or max 358.5 is not whole", whole, end(0, 358.5))
	contradict("min -359.5 or max 359 is not whole", append(slices.Clone(whole), -360), end(-359.5, 359))
	contradict("unit 700 for values from 200.5 to 559.5", above, func(h *histogram) { h.moments.rescale(unitHuge) })
	contradict("the lowest bin has 1 values and the highest has 0, want 1 or more", []float64{1.5}, func(h *histogram) {
		h.max = 1.52
		h.positive.cover(binOf(1.5), binOf(1.52))
	})
	contradict("the lowest bin has 0 values and the highest has 1, want 1 or more", []float64{1.5}, func(h *histogram) {
		h.min = 1.48
		h.positive.cover(binOf(1.48), binOf(1.5))
	})
	candidate := func(value float64) func(h *histogram) {
		return func(h *histogram) { h.heavy.all[0].value = value }
	}
	contradict("candidate 560 is outside [200.5, 559.5]", append(above, 300.5), candidate(560))
	contradict("candidate 200 is outside [200.5, 559.5]", append(above, 300.5), candidate(200))
	contradict("candidate 300.5 is not whole", append(slices.Clone(whole), 300), candidate(300.5))
	contradict("candidate 300 after 300, want ascending candidates", append(slices.Clone(whole), 300, 301), func(h *histogram) {
		h.heavy.all[0].value, h.heavy.all[1].value = 300, 300
	})
	return cases
}

func TestDecodingRejectsContradictions(t *testing.T) {
	for want, b := range Contradictions() {
		err := new(Summary).UnmarshalBinary(b)
		require.ErrorIs(t, err, ErrFormat, want)
		require.ErrorContains(t, err, want)
	}
}

func encodedBy(s *Summary) []byte {
	b, _ := s.MarshalBinary() // never an error
	return b
}

// AllocatedBy returns about how many bytes f allocates.
func AllocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
