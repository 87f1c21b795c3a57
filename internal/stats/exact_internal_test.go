package stats

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because the table of an exact summary changes its memory only, and no statistic.

// Distinct values that come a few at a time are never moved to a table, which would soon be moved back.
func TestDistinctValuesAreKeptOneByOne(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for _, few := range []int{1, 2, 3, 7, 8, 9, batchSize} {
		var s Summary
		for s.Count()+uint64(few) <= maxSingle {
			vs := make([]float64, few)
			for i := range vs {
				vs[i] = r.NormFloat64()
			}
			s.AddAll(vs, nil)
			require.Nil(t, s.exact.table, "%d at a time, %d values", few, s.Count())
		}
	}
}

// Values of which some repeat are kept with their counts once there are more than a few, wherever the equal ones are.
func TestValuesThatRepeatAreKeptWithTheirCounts(t *testing.T) {
	t.Parallel()
	for _, values := range [][]float64{
		{1, 1, 2, 3, 4, 5, 6, 7, 8},
		{1, 2, 3, 4, 5, 6, 7, 8, 1},
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 9},
	} {
		for _, first := range []int{1, 5, fewValues} {
			var s Summary
			s.AddAll(values[:first], nil)
			require.Nil(t, s.exact.table, "%v", values[:first])
			s.AddAll(values[first:], nil)
			require.NotNil(t, s.exact.table, "%v after the first %d", values, first)
		}
	}
}
