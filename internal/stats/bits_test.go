package stats

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The order of the counts is the one with the fewest bits.
func TestCountsTakeTheFewestBits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	rounds := 300
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		numbers := make([]uint64, 1+r.IntN(40))
		shift := r.IntN(57)
		for i := range numbers {
			numbers[i] = r.Uint64() >> 7 >> shift // so that their sum is below 2^63
		}
		size := func(k int) int {
			w := bitWriter{}
			for _, v := range numbers {
				w.golomb(v, k)
			}
			return 8*len(w.bytes) + w.used
		}
		best := orderOf(numbers, 0)
		for k := range 64 {
			require.GreaterOrEqual(t, size(k), size(best), "order %d", k)
			require.True(t, k >= best || size(k) > size(best), "the smallest such order")
		}
		d := decoder{rest: appendCounts(nil, numbers, 0)}
		got := make([]uint64, len(numbers))
		d.counts(got, 0)
		require.Equal(t, numbers, got)
		require.NoError(t, d.err)
	}
}
