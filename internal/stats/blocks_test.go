package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Two summaries that get the same values, one block by block and one all blocks at once, have equal encodings, also after
// further values.
func TestAddingBlocksIsAddingOneAfterAnother(t *testing.T) {
	t.Parallel()
	for seed := range sampled(uint64(300), 40) {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := []int{1, 20, 64, stats.DefaultExactLimit, stats.Unlimited}[r.IntN(5)]
		want, got := stats.New(limit), stats.New(limit)
		timed, distinct := r.IntN(2) == 0, 1+r.IntN(2000)
		for range 1 + r.IntN(6) {
			var vs []float64
			var at []int64
			var sizes []int
			for range r.IntN(12) {
				begin := len(vs)
				for range r.IntN(40) {
					v := r.NormFloat64()
					if r.IntN(3) == 0 {
						v = float64(r.IntN(distinct)) / 8
					}
					if r.IntN(50) == 0 {
						v = math.NaN()
					}
					vs = append(vs, v)
					if timed {
						at = append(at, r.Int64N(100))
					}
				}
				sizes = append(sizes, len(vs)-begin)
				var times []int64
				if timed {
					times = at[begin:]
				}
				want.AddAll(vs[begin:], times)
			}
			got.AddBlocks(vs, at, sizes)
			requireSameEncoding(t, &want, &got)
		}
	}
}

func requireSameEncoding(t *testing.T, want, got *stats.Summary) {
	t.Helper()
	a, err := want.MarshalBinary()
	require.NoError(t, err)
	b, err := got.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, a, b)
}
