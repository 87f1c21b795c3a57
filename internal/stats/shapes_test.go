package stats_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// kinds has a source of values for each of several kinds of data. The source of n values returns value i of them.
var kinds = map[string]func(r *rand.Rand, n int) func(i int) float64{
	"constant":       func(*rand.Rand, int) func(int) float64 { return func(int) float64 { return 42.5 } },
	"flag":           drawn(func(r *rand.Rand) float64 { return float64(r.IntN(2)) }),
	"small integers": drawn(func(r *rand.Rand) float64 { return float64(r.IntN(20) - 10) }),
	"quantised":      drawn(func(r *rand.Rand) float64 { return math.Round(r.NormFloat64()*100) / 10 }),
	"continuous":     drawn(func(r *rand.Rand) float64 { return r.NormFloat64()*3 + 50 }),
	"heavy tail":     drawn(func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64() * 3) }),
	"signs and zero": func(r *rand.Rand, _ int) func(int) float64 {
		return func(i int) float64 { return float64(i%3-1) * r.ExpFloat64() }
	},
	"subnormal":      drawn(func(r *rand.Rand) float64 { return float64(r.IntN(1000)) * math.SmallestNonzeroFloat64 }),
	"all magnitudes": drawn(func(r *rand.Rand) float64 { return math.Copysign(math.Pow(10, r.Float64()*600-300), r.Float64()-.5) }),
	"adjacent":       drawn(func(r *rand.Rand) float64 { return math.Float64frombits(math.Float64bits(1) + uint64(r.IntN(8))) }),
	"near 2^53":      drawn(func(r *rand.Rand) float64 { return math.Exp2(53) - float64(r.IntN(1000)) }),
	"ascending":      func(*rand.Rand, int) func(int) float64 { return func(i int) float64 { return float64(i) } },
	"descending":     func(*rand.Rand, int) func(int) float64 { return func(i int) float64 { return -float64(i) / 7 } },
	"levels": func(r *rand.Rand, n int) func(int) float64 {
		return func(int) float64 { return float64(r.IntN(30+n%31)) + 0.5 }
	},
}

// drawn is a source of values that do not depend on their position.
func drawn(f func(r *rand.Rand) float64) func(*rand.Rand, int) func(int) float64 {
	return func(r *rand.Rand, _ int) func(int) float64 { return func(int) float64 { return f(r) } }
}

// shape returns n values of one of the kinds.
func shape(kind string, n int) []float64 {
	value, xs := kinds[kind](rand.New(rand.NewPCG(1, uint64(n))), n), make([]float64, n)
	for i := range xs {
		xs[i] = value(i)
	}
	return xs
}

// shapes returns n values of each of the kinds of data, by the kind.
func shapes(n int) map[string][]float64 {
	all := make(map[string][]float64, len(kinds))
	for kind := range kinds {
		all[kind] = shape(kind, n)
	}
	return all
}

// sizes returns numbers of values. With -short they are fewer, one of each order of magnitude: the package has no state that goroutines
// share, so with the race detector more data of the same kind shows nothing more.
func sizes() []int {
	if testing.Short() {
		return []int{1, 2, 5, 20, 65, 600}
	}
	return []int{1, 2, 3, 4, 5, 19, 20, 21, 64, 65, 100, 1000, 5000}
}

// sampled returns all, or some with -short, for the same reason.
func sampled[N int | uint64](all, some N) N {
	if testing.Short() {
		return some
	}
	return all
}

// summaryOf returns an exact summary.
func summaryOf(xs []float64) *stats.Summary { return limited(stats.Unlimited, xs) }

// limited returns a summary with that exact limit.
func limited(limit int, xs []float64) *stats.Summary {
	s := stats.New(limit)
	at := make([]int64, len(xs))
	for i := range at {
		at[i] = int64(i)
	}
	s.AddAll(xs, at)
	return &s
}

// untimed returns a summary with that exact limit of values without times.
func untimed(limit int, xs []float64) *stats.Summary {
	s := stats.New(limit)
	s.AddAll(xs, nil)
	return &s
}

// near checks that got is within a relative error of want.
func near(t *testing.T, what string, want *big.Float, got, relative float64) {
	t.Helper()
	w, _ := want.Float64()
	w = min(max(w, -math.MaxFloat64), math.MaxFloat64)
	if math.Abs(got-w) > relative*math.Abs(w)+math.SmallestNonzeroFloat64 {
		t.Errorf("%s: got %v, want %v", what, got, w)
	}
}

// percentiles parses percentiles.
func percentiles(texts ...string) (ps []stats.Percentile) {
	for _, text := range texts {
		p, err := stats.ParsePercentile(text)
		if err != nil {
			panic(err)
		}
		ps = append(ps, p)
	}
	return ps
}
