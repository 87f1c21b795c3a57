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
	var room stats.Room // of all summaries
	for seed := range sampled(uint64(300), 40) {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := []int{1, 20, 64, stats.DefaultExactLimit, stats.Unlimited}[r.IntN(5)]
		want, got, roomy := stats.New(limit), stats.New(limit), stats.New(limit)
		timed, distinct := r.IntN(2) == 0, 1+r.IntN(2000)
		for range 1 + r.IntN(6) {
			var vs []float64
			var at []int64
			var sizes []int
			most := []int{2, 40}[r.IntN(2)]
			for range r.IntN(12) {
				begin := len(vs)
				for range r.IntN(most) {
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
			room.AddBlocks(&roomy, vs, at, sizes, []int{0, 3, 100, 1 << 40}[r.IntN(4)])
			requireSameEncoding(t, &want, &got)
			requireSameEncoding(t, &want, &roomy)
		}
	}
}

// Summaries whose first values are in one room do not change each other.
func TestSummariesOfARoomAreApart(t *testing.T) {
	t.Parallel()
	var room stats.Room
	r := rand.New(rand.NewPCG(1, 1))
	want, got := make([]stats.Summary, 100), make([]stats.Summary, 100)
	for range 20 {
		for i := range want {
			vs := make([]float64, 1+i%16)
			for j := range vs {
				vs[j] = float64(r.IntN(1 + i*i/4))
			}
			want[i].AddAll(vs, nil)
			room.AddBlocks(&got[i], vs, nil, []int{len(vs)}, 0)
			if r.IntN(20) == 0 {
				want[i].Reset()
				got[i].Reset()
			}
		}
		for i := range want {
			requireSameEncoding(t, &want[i], &got[i])
			require.LessOrEqual(t, got[i].Bytes(), 2*want[i].Bytes(), "a summary of a room takes much more memory")
		}
	}
}

// A summary of a room gets memory once for its values and those that will come, but not for more than it keeps one by one.
func TestARoomMakesMemoryForValuesThatWillCome(t *testing.T) {
	t.Parallel()
	var room stats.Room
	r := rand.New(rand.NewPCG(1, 1))
	values := make([]float64, 360)
	for i := range values {
		values[i] = r.Float64()
	}
	for _, part := range []int{5, 40, 360} {
		for _, limit := range []int{2, 100, 512} {
			s := stats.New(limit)
			room.AddBlocks(&s, values[:part], nil, []int{part}, len(values)-part)
			first := s.Bytes()
			room.AddBlocks(&s, values[part:], nil, []int{len(values) - part}, 0)
			if limit == 512 && part > 8 {
				require.Equal(t, 8*len(values), first)
				require.Equal(t, first, s.Bytes())
			}
			require.Equal(t, limit == 512, s.Exact())
		}
	}
	s := stats.New(0)
	room.AddBlocks(&s, values, nil, []int{len(values)}, 1<<40)
	require.Equal(t, 8*512, s.Bytes())
}

func requireSameEncoding(t *testing.T, want, got *stats.Summary) {
	t.Helper()
	a, err := want.MarshalBinary()
	require.NoError(t, err)
	b, err := got.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, a, b)
}
