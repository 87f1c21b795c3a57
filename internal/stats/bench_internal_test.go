package stats

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// These benchmarks are inside of the package because they measure only sorting.

// BenchmarkSort compares sorting by digits with slices.Sort, and is the reason for radixSort. Each iteration sorts
// other values, because the branch predictor learns a sort that is repeated.
func BenchmarkSort(b *testing.B) {
	const arrays = 200
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{64, 360, 512} {
		xs := make([]float64, arrays*n)
		for i := range xs {
			xs[i] = 50 + 10*r.NormFloat64()
		}
		for _, by := range []struct {
			name string
			sort func([]float64)
		}{{"digits", func(values []float64) { sortFloats(values) }}, {"comparing", slices.Sort[[]float64]}} {
			b.Run(fmt.Sprintf("n=%d/by=%s", n, by.name), func(b *testing.B) {
				got := make([]float64, n)
				i := 0
				for b.Loop() {
					copy(got, xs[i*n:])
					by.sort(got)
					i = (i + 1) % arrays
				}
				if !slices.IsSorted(got) {
					b.Fatal("not in order")
				}
			})
		}
	}
}

// BenchmarkSortLarge compares sorting in parts with slices.Sort, and is the reason for sortInto.
func BenchmarkSortLarge(b *testing.B) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(1, 1))
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = 50 + 10*r.NormFloat64()
	}
	got := make([]float64, n)
	for _, by := range []struct {
		name string
		sort func()
	}{
		{"parts", func() { sortInto(got, [][]float64{xs}) }},
		{"comparing", func() { copy(got, xs); slices.Sort(got) }},
	} {
		b.Run("by="+by.name, func(b *testing.B) {
			for b.Loop() {
				by.sort()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
			if !slices.IsSorted(got) {
				b.Fatal("not in order")
			}
		})
	}
}
