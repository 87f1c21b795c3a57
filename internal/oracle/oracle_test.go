package oracle_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
)

// The expected results were computed by hand.
func TestStatisticsOfFourValues(t *testing.T) {
	t.Parallel()
	xs := []float64{10, 3, 1, 1}
	v := oracle.Of(xs)
	require.Equal(t, []float64{10, 3, 1, 1}, xs)
	require.Equal(t, oracle.Values{1, 1, 3, 10}, v)
	require.Equal(t, []int{4, 3}, []int{v.Count(), v.Distinct()})
	require.Equal(t, []float64{1, 10, 10}, []float64{v.Min(), v.Max(), v.MaxAbs()})
	require.Equal(t, []float64{15, 3.75, 18.25, math.Sqrt(18.25)}, nearest(v.Sum(), v.Mean(), v.Variance(), v.StdDev()))
}

func nearest(xs ...*big.Float) []float64 {
	var floats []float64
	for _, x := range xs {
		floats = append(floats, oracle.Nearest(x))
	}
	return floats
}

func TestQuantilesOfFourValues(t *testing.T) {
	t.Parallel()
	v := oracle.Values{1, 1, 3, 10}
	for _, c := range []struct {
		num, den                       int64
		linear, nearestRank, floorRank float64
	}{
		{0, 1, 1, 1, 1}, {1, 4, 1, 1, 1}, {1, 2, 2, 1, 3}, {3, 4, 4.75, 3, 10}, {90, 100, 7.9, 10, 10}, {1, 1, 10, 10, 10},
	} {
		require.Equal(t, c.linear, v.Linear(c.num, c.den), "linear %d/%d", c.num, c.den)
		require.Equal(t, c.nearestRank, v.NearestRank(c.num, c.den), "nearest rank %d/%d", c.num, c.den)
		require.Equal(t, c.floorRank, v.FloorRank(c.num, c.den), "floor rank %d/%d", c.num, c.den)
	}
	single := oracle.Values{7}
	require.Equal(t, []float64{7, 7, 7}, []float64{single.Linear(1, 3), single.NearestRank(1, 3), single.FloorRank(1, 3)})
}

func TestModeIsTheSmallestOfTheMostFrequentValues(t *testing.T) {
	t.Parallel()
	mode, count := oracle.Values{1, 2, 2, 3, 3}.Mode()
	require.Equal(t, []any{2.0, 2}, []any{mode, count})
	mode, count = oracle.Values{math.Copysign(0, -1), 0, 4}.Mode()
	require.Equal(t, []any{0.0, 2}, []any{math.Abs(mode), count})
	require.Equal(t, []int{2, 0}, []int{oracle.Values{1, 2, 2, 4}.CountOf(2), oracle.Values{1, 2, 2, 4}.CountOf(3)})
}

func TestSumsAreNotRounded(t *testing.T) {
	t.Parallel()
	v := oracle.Of([]float64{math.MaxFloat64, 1, 1, math.SmallestNonzeroFloat64, -math.MaxFloat64})
	require.Equal(t, "2", v.Sum().Text('g', 20))
	require.Equal(t, 1, v.Sum().Cmp(oracle.Exact(2)))
	require.Equal(t, []float64{2, .5}, nearest(oracle.Values{-1e16, 1, 1, 1e16}.Sum(), oracle.Values{-1e16, 1, 1, 1e16}.Mean()))
}

// The variance of two values is half of the square of their distance, however near or far they are.
func TestVariancesAreNotRounded(t *testing.T) {
	t.Parallel()
	for _, v := range []oracle.Values{
		{1e300, math.Nextafter(1e300, math.Inf(1))}, {0, math.SmallestNonzeroFloat64}, {math.SmallestNonzeroFloat64, math.MaxFloat64},
		{-math.MaxFloat64, math.MaxFloat64}, {1, math.Nextafter(1, 2)}, {7, 7},
	} {
		distance := oracle.Exact(0).Sub(oracle.Exact(v[1]), oracle.Exact(v[0]))
		want := new(big.Float).SetPrec(9000).Mul(distance, distance)
		require.Zero(t, want.Quo(want, big.NewFloat(2)).Cmp(v.Variance()), "%v: got %v, want %v", v, v.Variance(), want)
	}
}

func TestWithinComparesTheMagnitudesOfNonzeroValues(t *testing.T) {
	t.Parallel()
	require.True(t, oracle.Values{-8, 0, 2}.Within(4))
	require.False(t, oracle.Values{-8.5, 0, 2}.Within(4))
	require.True(t, oracle.Values{0, 0}.Within(4))
}
