package stats_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// countAtMost returns how many of the values are less than or equal to v.
func countAtMost(xs []float64, v float64) (n uint64) {
	for _, x := range xs {
		if x <= v {
			n++
		}
	}
	return n
}

func TestAtMostBoundsTheTrueCount(t *testing.T) {
	t.Parallel()
	for _, n := range sizes() {
		for kind, xs := range shapes(n) {
			exact, histogram := summaryOf(xs), limited(1, xs)
			probes := []float64{0, -1e-300, 1e-300, -5e-324, math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, exact.Mean()}
			for _, x := range xs[:min(len(xs), 50)] {
				probes = append(probes, x, -x, math.Nextafter(x, math.Inf(1)), math.Nextafter(x, math.Inf(-1)), x/3)
			}
			widest := uint64(0)
			for _, v := range probes {
				want := countAtMost(xs, v)
				low, high := exact.AtMost(v)
				require.Equal(t, []uint64{want, want}, []uint64{low, high}, "%s, n=%d, at most %g", kind, n, v)
				low, high = histogram.AtMost(v)
				require.LessOrEqual(t, low, want, "%s, n=%d, at most %g", kind, n, v)
				require.GreaterOrEqual(t, high, want, "%s, n=%d, at most %g", kind, n, v)
				widest = max(widest, high-low)
			}
			if kind == "continuous" && n == 5000 {
				require.Less(t, widest, uint64(200), "a bin 0.54 %% wide has few of %d continuous values", n)
			}
		}
	}
}

// At least the smallest value is at most a value between the ends, and the largest is not.
func TestAtMostKnowsTheEndsOfAHistogram(t *testing.T) {
	t.Parallel()
	s := summaryOf([]float64{1.001, 1.0011, 1.0012}) // in one bin
	s.Demote()
	low, high := s.AtMost(1.0011)
	require.Equal(t, []uint64{1, 2}, []uint64{low, high})
}

func TestShareIsTheMiddleOfItsBounds(t *testing.T) {
	t.Parallel()
	exact := summaryOf([]float64{1, 2, 2, 4})
	for v, want := range map[float64]float64{0.5: 0, 1: 0.25, 2: 0.75, 3: 0.75, 4: 1, 5: 1} {
		share, maxError, ok := exact.Share(v)
		require.True(t, ok)
		require.Equal(t, []float64{want, 0}, []float64{share, maxError})
	}
	xs := shape("continuous", 5000)
	s := limited(64, xs)
	for _, v := range xs[:100] {
		share, maxError, _ := s.Share(v)
		require.InDelta(t, float64(countAtMost(xs, v))/5000, share, maxError+1e-12)
		require.Less(t, maxError, 0.02)
	}
	_, _, ok := new(stats.Summary).Share(1)
	require.False(t, ok)
	low, high := exact.AtMost(math.NaN())
	require.Zero(t, low+high)
}
