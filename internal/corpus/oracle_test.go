package corpus

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The oracle itself is checked by hand.
func TestTheOracleOnAFewValues(t *testing.T) {
	t.Parallel()
	all, err := Describe([]byte(`m,h=a v=3,s="x" 1700000000000000000
m,h=b v=1i 1700000000000000001
m,h=a v=10u,b=true 1699999999999999999
m,h=b v=1 1700000000000000002
`), Grouping{Width: time.Hour})
	require.NoError(t, err)
	require.Len(t, all, 2)
	v := all[0]
	require.Equal(t, "m", v.Measurement)
	require.Equal(t, "v", v.Field)
	require.Equal(t, time.Date(2023, 11, 14, 22, 0, 0, 0, time.UTC), v.Start)
	require.Equal(t, []float64{1, 1, 3, 10}, v.Sorted)
	require.Equal(t, []float64{10, 1, 15, 3.75, 18.25, 2},
		[]float64{v.First, v.Last, v.Sum(), v.Mean(), v.Variance(), v.Linear(50)})
	require.Equal(t, []float64{1, 10, 7.9, 3}, []float64{v.Linear(0), v.Linear(100), v.Linear(90), v.NearestRank(75)})
	require.Equal(t, []float64{1, 1, 3, 10, 10}, []float64{v.NearestRank(0), v.NearestRank(50), v.FloorRank(50), v.FloorRank(75), v.FloorRank(100)})
	mode, count := v.Mode()
	require.Equal(t, []any{1.0, 2}, []any{mode, count})
	require.Equal(t, []float64{1}, all[1].Sorted)
	require.True(t, math.IsNaN(all[1].Variance()))
	mode, count = (&Described{Sorted: []float64{1, 2, 2, 3, 3}}).Mode()
	require.Equal(t, []any{2.0, 2}, []any{mode, count}, "the smallest of the tied values")

	series, err := Describe([]byte("m,h=a v=1 1\nm,h=b v=2 1\nm,h=a v=3 3600000000000\nm,h=a v=5 2\n"), Grouping{Width: time.Hour, BySeries: true})
	require.NoError(t, err)
	require.Len(t, series, 3)
	require.Equal(t, []float64{1, 5}, series[0].Sorted)
	require.Equal(t, map[string]string{"h": "b"}, series[1].Tags)

	sums := &Described{Sorted: []float64{-1e16, 1, 1, 1e16}}
	require.Equal(t, 2.0, sums.Sum())
	require.Equal(t, .5, sums.Mean())

	for _, bad := range []string{"m", "m v=x 1", "m,t= v=1", "m v=1 x"} {
		_, err := Describe([]byte(bad), Grouping{Width: time.Hour})
		require.Error(t, err, bad)
	}
}
