package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because they compare sums before statistics round them.

// The sum of values has the bits of two accumulators to which the values are added in turn.
func TestSumOfFloatsHasTheBitsOfTwoAccumulators(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	for name, value := range map[string]func() float64{
		"positive":   func() float64 { return 50 + 10*r.NormFloat64() },
		"both signs": r.NormFloat64,
		"negative":   func() float64 { return -r.ExpFloat64() },
		"heavy tail": func() float64 { return math.Exp(40 * r.NormFloat64()) },
		"levels":     func() float64 { return float64(r.IntN(5)) / 10 },
		"subnormal":  func() float64 { return float64(r.IntN(1000)) * math.SmallestNonzeroFloat64 },
	} {
		for n := 1; n < 100; n++ {
			values := make([]float64, n)
			for i := range values {
				values[i] = value()
			}
			slices.Sort(values)
			requireInTurns(t, values, name)
			r.Shuffle(n, func(i, j int) { values[i], values[j] = values[j], values[i] })
			requireInTurns(t, values, name)
		}
	}
}

func requireInTurns(t *testing.T, values []float64, name string) {
	t.Helper()
	var turns [2]accumulator
	for i, v := range values[:len(values)/2*2] {
		turns[i%2].plus(v)
	}
	if n := len(values); n%2 == 1 {
		turns[0].plus(values[n-1])
	}
	turns[0].merge(turns[1])
	require.Equal(t, turns[0], sumOfFloats(values), "%s, n=%d", name, len(values))
}

// Which of two sums is merged into the other makes no difference.
func TestMergingSumsIsSymmetric(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	for range 1000 {
		a, b := accumulator{r.NormFloat64(), r.NormFloat64() * 0x1p-50}, accumulator{r.NormFloat64(), r.NormFloat64() * 0x1p-50}
		ab, ba := a, b
		ab.merge(b)
		ba.merge(a)
		require.Equal(t, ab, ba)
	}
}
