package stats_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// bulkShapes are values that a Bulk keeps in different ways.
func bulkShapes(n int) map[string][]float64 {
	r := rand.New(rand.NewPCG(7, 7))
	values := func(f func(i int) float64) []float64 {
		vs := make([]float64, n)
		for i := range vs {
			vs[i] = f(i)
		}
		return vs
	}
	return map[string][]float64{
		"constant":   values(func(int) float64 { return 21.5 }),
		"few":        values(func(int) float64 { return float64(r.IntN(40)) / 2 }),
		"thousands":  values(func(int) float64 { return float64(r.IntN(3000)) }),
		"counter":    values(func(i int) float64 { return float64(i) }),
		"continuous": values(func(int) float64 { return math.Round(r.NormFloat64()*1e6) / 1e6 }),
		"lognormal":  values(func(int) float64 { return math.Exp(4 * r.NormFloat64()) }),
		"all magnitudes": values(func(int) float64 {
			return math.Ldexp(r.Float64()-.5, r.IntN(2000)-1000)
		}),
		"one far value": values(func(i int) float64 { return map[bool]float64{true: 1e300, false: r.Float64()}[i == n/2] }),
		"few, then continuous": values(func(i int) float64 {
			return map[bool]float64{true: float64(i % 5), false: r.Float64()}[i < n/2]
		}),
		"both largest": values(func(i int) float64 { return []float64{-math.MaxFloat64, math.MaxFloat64, r.Float64()}[i%3] }),
		"NaN, infinities and minus zero": values(func(i int) float64 {
			return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), r.Float64()}[i%5]
		}),
	}
}

const everyStatistic = "count min max sum mean range stddev variance median mode mode_count mode_error p0 p1 p95 p99.9 p100 iqr first last max_error"

// The statistics of a Bulk are equal to the last bit to those of a Summary.
func TestBulkEqualsASummary(t *testing.T) {
	t.Parallel()
	selection := selectionOf(t, everyStatistic)
	numbers := []int{1, 2, 16, 511, 513, 3000}
	if !testing.Short() {
		numbers = append(numbers, 70_000, 150_000)
	}
	for _, n := range numbers {
		for name, values := range bulkShapes(n) {
			for _, timed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/n=%d/timed=%t", name, n, timed), func(t *testing.T) {
					t.Parallel()
					var b stats.Bulk
					s := stats.New(stats.Unlimited)
					for i, part := range slices.Collect(slices.Chunk(values, 7001)) {
						var at []int64
						if timed {
							for k := range part {
								at = append(at, int64((i*7919+k*31)%1000))
							}
						}
						require.Equal(t, s.AddAll(part, at), b.AddAll(part, at))
						require.Equal(t, s.Count(), b.Count())
					}
					sameBits(t, selection.Append(nil, &s), selection.Append(nil, b.Summary()))
					require.Zero(t, b.Count(), "after Summary")
				})
			}
		}
	}
}

func selectionOf(t *testing.T, names string) *stats.Selection {
	t.Helper()
	selection, err := stats.NewSelection(strings.Fields(names), stats.Linear)
	require.NoError(t, err)
	return selection
}

func sameBits(t *testing.T, want, got []float64) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, math.Float64bits(want[i]), math.Float64bits(got[i]), "statistic %d: want %v, got %v", i, want[i], got[i])
	}
}

// A block without a finite value adds nothing, so its missing times do not matter.
func TestBlocksWithoutValuesKeepTheTimesOfABulk(t *testing.T) {
	t.Parallel()
	selection := selectionOf(t, everyStatistic)
	for name, values := range bulkShapes(3000) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := make([]int64, len(values))
			for i := range at {
				at[i] = int64(i * 31 % 1000)
			}
			var b stats.Bulk
			s := stats.New(stats.Unlimited)
			for _, block := range [][]float64{values, {math.NaN()}, nil} {
				times := at
				if len(block) < len(values) {
					times = nil
				}
				require.Equal(t, s.AddAll(block, times), b.AddAll(block, times))
			}
			sameBits(t, selection.Append(nil, &s), selection.Append(nil, b.Summary()))
		})
	}
}

// A summary made by a Bulk takes further values and merges as any other.
func TestSummaryOfABulkTakesMoreValues(t *testing.T) {
	t.Parallel()
	selection := selectionOf(t, everyStatistic)
	for name, values := range bulkShapes(5000) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := stats.New(stats.Unlimited)
			whole.AddAll(values, nil)
			var b stats.Bulk
			b.AddAll(values[:3000], nil)
			s := b.Summary()
			s.AddAll(values[3000:4000], nil)
			b.AddAll(values[4000:], nil)
			require.NoError(t, s.Merge(b.Summary()))
			sameBits(t, selection.Append(nil, &whole), selection.Append(nil, s))
		})
	}
}

// Values that repeat are kept with counts, so that a Bulk of them stays small; others take 8 bytes each.
func TestBulkMemory(t *testing.T) {
	t.Parallel()
	n := sampled(1_000_000, 100_000)
	limits := map[string]int{"constant": 1000, "few": 2000, "thousands": 700_000, "counter": 8*n + 8<<16, "continuous": 8*n + 8<<16}
	for name, values := range bulkShapes(n) {
		if limit := limits[name]; limit > 0 {
			var b stats.Bulk
			b.AddAll(values, nil)
			require.Less(t, b.Bytes(), limit, name)
		}
	}
}

func TestDistinctCountsDifferentValues(t *testing.T) {
	t.Parallel()
	for name, values := range bulkShapes(sampled(20_000, 4_000)) {
		finite := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v-v != 0 })
		var b stats.Bulk
		b.AddAll(values, nil)
		s := b.Summary()
		want := oracle.Of(finite)
		require.EqualValues(t, want.Distinct(), s.Distinct(), name)
		var got []float64
		for v := range s.Values {
			got = append(got, v)
		}
		require.Equal(t, []float64(slices.Compact(slices.Clone(want))), got, name)
		s.Demote()
		require.Zero(t, s.Distinct(), "%s: a histogram has no values", name)
	}
}

func BenchmarkBulk(b *testing.B) {
	for name, values := range bulkShapes(1_000_000) {
		b.Run("with=bulk/data="+name, func(b *testing.B) {
			for b.Loop() {
				var bulk stats.Bulk
				for part := range slices.Chunk(values, 10_000) {
					bulk.AddAll(part, nil)
				}
				bulk.Summary()
			}
			perValue(b, len(values))
		})
		b.Run("with=summary/data="+name, func(b *testing.B) {
			for b.Loop() {
				s := stats.New(stats.Unlimited)
				s.AddAll(values, nil)
				s.Min()
			}
			perValue(b, len(values))
		})
	}
}

func perValue(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/value")
}
