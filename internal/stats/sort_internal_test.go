package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// This test is inside of the package because sortFloats also returns whether it has found equal values, which changes only the memory of a summary.

func TestSortFloats(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 2, 31, 32, 33, 40, 100, 511, 512, 513, 2000} {
		for name, value := range map[string]func(i int) float64{
			"noise":      func(int) float64 { return r.NormFloat64() },
			"levels":     func(int) float64 { return float64(r.IntN(7)) },
			"ascending":  func(i int) float64 { return float64(i) },
			"descending": func(i int) float64 { return -float64(i) },
			"heavy tail": func(int) float64 { return math.Exp(9 * r.NormFloat64()) },
			"subnormal":  func(int) float64 { return float64(r.IntN(1000)) * math.SmallestNonzeroFloat64 },
		} {
			want := make([]float64, n)
			for i := range want {
				want[i] = value(i)
			}
			got := slices.Clone(want)
			distinct := sortFloats(got)
			slices.Sort(want)
			require.Equal(t, want, got, "%s, n=%d", name, n)
			require.Equal(t, len(slices.Compact(want)) == n, distinct, "%s, n=%d", name, n)
		}
	}
	for name, xs := range map[string][]float64{
		"too far apart":  {math.MaxFloat64, -math.MaxFloat64, 0, 1, -1, math.SmallestNonzeroFloat64, 5, 6, 7},
		"too near":       {0, math.SmallestNonzeroFloat64, 3 * math.SmallestNonzeroFloat64, 2 * math.SmallestNonzeroFloat64},
		"an outlier":     {9, 8, 7, 6, 5, 4, 3, 2, 1, -1, -2, -3, 1e300},
		"all the same":   {4},
		"largest values": {math.MaxFloat64, math.MaxFloat64 / 2, math.MaxFloat64 / 4},
	} {
		got := slices.Repeat(xs, 20)
		want := slices.Sorted(slices.Values(got))
		require.False(t, sortFloats(got), name)
		require.Equal(t, want, got, name)
	}
}
