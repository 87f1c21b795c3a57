package stats_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

var allStatistics = sync.OnceValue(func() *stats.Selection {
	sel, err := stats.NewSelection([]string{
		"count", "min", "max", "sum", "mean", "range", "stddev", "variance", "median", "mode", "mode_count", "mode_error",
		"p0", "p5", "p99.9", "p100", "iqr", "first", "last", "max_error",
	}, stats.Linear)
	if err != nil {
		panic(err)
	}
	return sel
})

// bitsOf returns every statistic of a summary, to the last bit.
func bitsOf(t *testing.T, s *stats.Summary) string {
	t.Helper()
	sel := allStatistics()
	text := fmt.Append(nil, "exact ", s.Exact())
	for i, v := range sel.Append(nil, s) {
		text = fmt.Appendf(text, " %s=%x", sel.Statistics()[i], math.Float64bits(v))
	}
	return string(text)
}

// ways returns summaries of the same values, which were added in different ways.
func ways(t *testing.T, r *rand.Rand, limit int, xs []float64) map[string]*stats.Summary {
	t.Helper()
	shuffled := slices.Clone(xs)
	r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	one, batches, merged := stats.New(limit), stats.New(limit), stats.New(limit)
	for _, x := range xs {
		require.True(t, one.Add(x))
	}
	for rest := xs; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(1+r.IntN(50)))
		batches.AddAll(rest[:n], nil)
		require.NoError(t, merged.Merge(untimed(limit, rest[:n])))
		if rest = rest[n:]; r.IntN(3) == 0 {
			merged.Median(stats.Linear)
		}
	}
	all := map[string]*stats.Summary{
		"at once": untimed(limit, xs), "one by one": &one, "in batches": &batches, "merged": &merged, "shuffled": untimed(limit, shuffled),
	}
	for name, s := range all {
		var decoded stats.Summary
		require.NoError(t, decoded.UnmarshalBinary(encoded(t, s)))
		all[name+" and decoded"] = &decoded
	}
	return all
}

func TestExactSummariesOfTheSameValuesAreEqualToTheLastBit(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 11))
	check := func(t *testing.T, limit int, xs []float64) {
		var want string
		for name, s := range ways(t, r, limit, xs) {
			require.True(t, s.Exact())
			got := bitsOf(t, s)
			if want == "" {
				want = got
			}
			require.Equal(t, want, got, "%s, n=%d", name, len(xs))
		}
	}
	check(t, 512, []float64{1.5, 1.7, 0.4, 2.3, 1.3, 0.7, 2.4, 1})
	for _, n := range sizes() {
		for _, xs := range shapes(n) {
			check(t, stats.Unlimited, xs)
			if n <= 512 {
				check(t, 512, xs)
			}
		}
	}
}

// Whether a summary is exact depends only on the number of values and of distinct values.
func TestASummaryIsExactWhileItsValuesFit(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(12, 12))
	for _, limit := range []int{1, 2, 63, 64, 512, 1500} {
		for _, c := range []struct {
			n, distinct int
			want        bool
		}{
			{limit, limit, true}, {limit + 1, limit/2 + 1, false}, {limit + 1, limit/2 + limit%2, limit%2 == 0}, {3000, limit / 2, true}, {3000, limit/2 + 1, false},
		} {
			if c.distinct == 0 {
				continue
			}
			var xs []float64
			for i := range c.n {
				xs = append(xs, float64(i%c.distinct)/3-2)
			}
			for name, s := range ways(t, r, limit, xs) {
				require.Equal(t, c.want, s.Exact(), "%s: limit %d, n=%d, %d distinct", name, limit, c.n, c.distinct)
			}
			var decoded stats.Summary
			require.NoError(t, decoded.UnmarshalBinary(untimed(stats.Unlimited, xs).AppendLimited(nil, limit)))
			require.Equal(t, c.want, decoded.Exact(), "encoded with limit %d, n=%d, %d distinct", limit, c.n, c.distinct)
			half := untimed(limit, xs[:len(xs)/2])
			for i := len(xs) / 2; i < len(xs); i++ { // each part has one distinct value
				require.NoError(t, half.Merge(untimed(limit, xs[i:i+1])))
			}
			require.Equal(t, c.want, half.Exact(), "merged one by one: limit %d, n=%d, %d distinct", limit, c.n, c.distinct)
		}
	}
}

// The first distinct value beyond the limit makes the summary a histogram, even if it is the last value.
func TestTheLastDistinctValueEndsExactness(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{2, 64, 512, 1500} {
		var xs []float64
		for i := range 2 * limit {
			xs = append(xs, float64(i%(limit/2))/3)
		}
		added, merged, known := untimed(limit, xs), untimed(limit, xs), untimed(limit, xs)
		added.Add(-1)
		require.NoError(t, merged.Merge(untimed(limit, []float64{-1})))
		require.NoError(t, known.Merge(untimed(limit, xs[:1])))
		known.Add(xs[0])
		require.Equal(t, []bool{false, false, true}, []bool{added.Exact(), merged.Exact(), known.Exact()}, "limit %d", limit)
	}
}

// A large table keeps its newest values apart for a while. They count too.
func TestTheNewestValuesOfALargeTableCountTowardsTheLimit(t *testing.T) {
	t.Parallel()
	const limit, settled = 1500, 600
	var xs []float64
	for i := range limit/2 + 1 {
		xs = append(xs, float64(i)/3)
	}
	for name, add := range map[string]func(s *stats.Summary, x float64){
		"added":  func(s *stats.Summary, x float64) { s.Add(x) },
		"merged": func(s *stats.Summary, x float64) { require.NoError(t, s.Merge(untimed(limit, []float64{x}))) },
	} {
		for last, want := range map[float64]bool{xs[limit/2-1]: true, xs[limit/2]: false} {
			s := untimed(limit, slices.Repeat(xs[:settled], 3))
			s.AddAll(xs[settled:limit/2], nil)
			add(s, last)
			require.Equal(t, want, s.Exact(), "%s %v", name, last)
		}
	}
}

// randomValues returns values of one of several kinds.
func randomValues(r *rand.Rand, n int) []float64 {
	kind, scale := r.IntN(7), math.Exp2(float64(r.IntN(40)-20))
	xs := make([]float64, n)
	for i := range xs {
		switch kind {
		case 0:
			xs[i] = 5
		case 1:
			xs[i] = float64(r.IntN(20))
		case 2:
			xs[i] = float64(r.IntN(300)) / 10
		case 3:
			xs[i] = 50 + 10*r.NormFloat64()
		case 4:
			xs[i] = scale * r.NormFloat64()
		case 5:
			xs[i] = math.Copysign(math.Exp2(2000*r.Float64()-1000), r.Float64()-0.5)
		default:
			xs[i] = float64(r.IntN(3)-1) * math.Exp(3*r.NormFloat64())
		}
	}
	return xs
}

// change returns a random change of a summary.
func change(t *testing.T, r *rand.Rand) func(s *stats.Summary) {
	t.Helper()
	xs := randomValues(r, 1+r.IntN(60))
	at := make([]int64, len(xs))
	for i := range at {
		at[i] = r.Int64N(1000) - 500
	}
	switch r.IntN(40) {
	case 0:
		return func(s *stats.Summary) { s.AddAll(xs, nil) }
	case 1:
		return func(s *stats.Summary) { s.Demote() }
	case 2:
		return func(s *stats.Summary) { require.NoError(t, s.Merge(s)) }
	case 3, 4, 5, 6:
		limit := []int{1, 64, stats.Unlimited}[r.IntN(3)]
		o := stats.New(limit)
		o.AddAll(xs, at)
		return func(s *stats.Summary) { require.NoError(t, s.Merge(&o)) }
	case 7, 8:
		return func(s *stats.Summary) { s.AddAt(xs[0], at[0]) }
	}
	return func(s *stats.Summary) { s.AddAll(xs, at) }
}

// A decoded summary has the same statistics as the original, and still has them after both are changed in the same
// way. So the encoding contains the whole state.
func TestADecodedSummaryChangesLikeTheOriginal(t *testing.T) {
	t.Parallel()
	for seed := range sampled(uint64(150), 12) {
		r := rand.New(rand.NewPCG(13, seed))
		limit := []int{1, 8, 64, 512, 2000, stats.Unlimited}[seed%6]
		original, restored := stats.New(limit), stats.New(limit)
		for step := range 60 {
			if r.IntN(4) == 0 {
				b := encoded(t, &original)
				if r.IntN(2) == 0 {
					restored = stats.New(limit) // else what it has is overwritten
				}
				require.NoError(t, restored.UnmarshalBinary(b))
			}
			do := change(t, r)
			do(&original)
			do(&restored)
			if r.IntN(2) == 0 {
				continue // reading sorts
			}
			require.Equal(t, bitsOf(t, &original), bitsOf(t, &restored), "seed %d, step %d", seed, step)
			require.Equal(t, encoded(t, &original), encoded(t, &restored), "seed %d, step %d", seed, step)
		}
	}
}

// Rounding does not move the mean beyond the values, although the float64 sum 0.1 + 0.1 + 0.1 is above 3 · 0.1.
func TestTheMeanIsWithinTheValues(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 512} {
		require.Equal(t, 0.1, untimed(limit, []float64{0.1, 0.1, 0.1}).Mean(), "limit %d", limit)
		require.Equal(t, -0.1, untimed(limit, []float64{-0.1, -0.1, -0.1}).Mean(), "limit %d", limit)
	}
}

// The error of a sum is one rounding and n²·2^-106 of the sum of magnitudes (Ogita, Rump and Oishi 2005). If values cancel
// almost completely, that may be more than the sum.
func TestSumsAreCompensatedButNotExact(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2.0, untimed(512, []float64{1e16, 1, -1e16, 1}).Sum())
	require.Equal(t, 0.0, untimed(512, []float64{1e100, 1e50, 1, 2, -1e50, -1e100}).Sum())
	r := rand.New(rand.NewPCG(14, 14))
	for range 300 {
		xs := randomValues(r, 2+r.IntN(300))
		for _, x := range xs[1:] {
			xs = append(xs, -x)
		}
		want, magnitudes := oracle.Of(xs).Sum(), oracle.Exact(0)
		for _, x := range xs {
			magnitudes.Add(magnitudes, oracle.Exact(math.Abs(x)))
		}
		n := float64(len(xs))
		bound := magnitudes.Mul(magnitudes, oracle.Exact(n*n*0x1p-106))
		bound.Add(bound, oracle.Exact(math.Abs(xs[0])*0x1p-52))
		for _, limit := range []int{1, stats.Unlimited} {
			off := oracle.Exact(untimed(limit, xs).Sum())
			off.Sub(off, want)
			require.LessOrEqual(t, off.Abs(off).Cmp(bound), 0, "limit %d, n=%g: off by %g, want at most %g", limit, n, off, bound)
		}
	}
}
