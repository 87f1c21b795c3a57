package stats_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// shapes returns n values of each of several kinds of data, by the kind.
func shapes(n int) map[string][]float64 {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	fill := func(f func(i int) float64) []float64 {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = f(i)
		}
		return xs
	}
	return map[string][]float64{
		"constant":       fill(func(int) float64 { return 42.5 }),
		"flag":           fill(func(int) float64 { return float64(r.IntN(2)) }),
		"small integers": fill(func(int) float64 { return float64(r.IntN(20) - 10) }),
		"quantised":      fill(func(int) float64 { return math.Round(r.NormFloat64()*100) / 10 }),
		"continuous":     fill(func(int) float64 { return r.NormFloat64()*3 + 50 }),
		"heavy tail":     fill(func(int) float64 { return math.Exp(r.NormFloat64() * 3) }),
		"signs and zero": fill(func(i int) float64 { return float64(i%3-1) * r.ExpFloat64() }),
		"subnormal":      fill(func(int) float64 { return float64(r.IntN(1000)) * math.SmallestNonzeroFloat64 }),
		"all magnitudes": fill(func(int) float64 { return math.Copysign(math.Pow(10, r.Float64()*600-300), r.Float64()-.5) }),
		"adjacent":       fill(func(int) float64 { return math.Float64frombits(math.Float64bits(1) + uint64(r.IntN(8))) }),
		"near 2^53":      fill(func(int) float64 { return math.Exp2(53) - float64(r.IntN(1000)) }),
		"ascending":      fill(func(i int) float64 { return float64(i) }),
		"descending":     fill(func(i int) float64 { return -float64(i) / 7 }),
		"levels":         fill(func(int) float64 { return float64(r.IntN(30+n%31)) + 0.5 }),
	}
}

var sizes = []int{1, 2, 3, 4, 5, 19, 20, 21, 64, 65, 100, 1000, 5000}

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

// oracle has the values and computes statistics of them with exact arithmetic.
type oracle struct{ sorted []float64 }

func oracleOf(xs []float64) oracle {
	sorted := slices.Clone(xs)
	slices.Sort(sorted)
	return oracle{sorted}
}

func (o oracle) n() int { return len(o.sorted) }

// within reports whether the magnitudes of all values but zero are within a factor.
func (o oracle) within(factor float64) bool {
	least, most := math.Inf(1), 0.0
	for _, x := range o.sorted {
		if x != 0 {
			least, most = min(least, math.Abs(x)), max(most, math.Abs(x))
		}
	}
	return most/factor <= least
}

func bigOf(v float64) *big.Float { return new(big.Float).SetPrec(4000).SetFloat64(v) }

func (o oracle) sum() *big.Float {
	sum := bigOf(0)
	for _, x := range o.sorted {
		sum.Add(sum, bigOf(x))
	}
	return sum
}

func (o oracle) mean() *big.Float { return bigOf(0).Quo(o.sum(), bigOf(float64(o.n()))) }

func (o oracle) variance() *big.Float {
	mean, m2 := o.mean(), bigOf(0)
	for _, x := range o.sorted {
		d := bigOf(x)
		d.Sub(d, mean)
		m2.Add(m2, d.Mul(d, d))
	}
	return m2.Quo(m2, bigOf(float64(o.n()-1)))
}

// r7 interpolates at rank (n-1)·num/den, all exact.
func (o oracle) r7(num, den int64) float64 {
	h := big.NewRat(int64(o.n()-1)*num, den)
	i := new(big.Int).Quo(h.Num(), h.Denom()).Int64()
	if int(i) == o.n()-1 {
		return o.sorted[i]
	}
	rest := bigOf(0).SetRat(h.Sub(h, new(big.Rat).SetInt64(i)))
	a, b := bigOf(o.sorted[i]), bigOf(o.sorted[i+1])
	b.Sub(b, a)
	v, _ := a.Add(a, b.Mul(b, rest)).Float64()
	return v
}

func (o oracle) nearestRank(num, den int64) float64 {
	k := (int64(o.n())*num + den - 1) / den // ⌈qn⌉
	return o.sorted[max(k-1, 0)]
}

func (o oracle) floorRank(num, den int64) float64 {
	return o.sorted[min(int64(o.n())*num/den, int64(o.n()-1))]
}

func (o oracle) mode() (value float64, count uint64) {
	for i := 0; i < o.n(); {
		j := i
		for j < o.n() && o.sorted[j] == o.sorted[i] {
			j++
		}
		if uint64(j-i) > count {
			value, count = o.sorted[i], uint64(j-i)
		}
		i = j
	}
	return value, count
}

// countOf returns how often a value occurs.
func (o oracle) countOf(v float64) (n uint64) {
	i, _ := slices.BinarySearch(o.sorted, v)
	for ; i < o.n() && o.sorted[i] == v; i++ {
		n++
	}
	return n
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
