package stats

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because they write and read single codes of an encoding.

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

// Codes of all lengths follow each other, so that some end with a word of the reader, and some are longer.
func TestNumbersAreReadUpToTheLastBit(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 2000 {
		numbers := make([]uint64, 1+r.IntN(60))
		small := r.IntN(64)
		for i := range numbers {
			numbers[i] = r.Uint64() >> 1 >> min(r.IntN(64), small) >> r.IntN(64)
		}
		k := r.IntN(64)
		w := bitWriter{}
		for _, v := range numbers {
			w.golomb(v, k)
		}
		all := w.flush()

		reader, got := bitReader{bytes: append(all, 0xff)}, make([]uint64, len(numbers))
		require.True(t, reader.golombs(got, k))
		require.Equal(t, numbers, got)
		require.Equal(t, []byte{0xff}, reader.rest())
		reader = bitReader{bytes: all[:r.IntN(len(all))]}
		require.False(t, reader.golombs(got, k), "the end is cut off")
	}
}
