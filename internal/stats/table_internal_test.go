package stats

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// This test is inside of the package because the runs of a table change the time of merging only, and no statistic.

// A run of a large table is at least four times as long as the next one. So there are few runs, each value is moved
// few times, and the time of merging is nearly proportional to the number of values.
func TestTheRunsOfALargeTableGetShorter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := New(Unlimited)
	parts := 500
	if testing.Short() {
		parts = 100
	}
	for range parts {
		part := New(Unlimited)
		for range 1 + r.IntN(700) {
			v := float64(r.IntN(1_000_000)) / 7
			part.AddAll([]float64{v, v}, nil)
		}
		require.NoError(t, s.Merge(&part))
		s.AddAll([]float64{1, 2, 3}, nil)
		if s.exact.table.later == nil {
			continue
		}
		length := len(s.exact.table.values)
		for _, run := range *s.exact.table.later {
			require.GreaterOrEqual(t, length, levelRatio*len(run.values))
			length = len(run.values)
		}
	}
	before := s.Count()
	s.Max()
	require.Equal(t, before, s.exact.order().total())
}
