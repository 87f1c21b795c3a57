package stats_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// eachShape runs a test on every shape of data at every size.
func eachShape(t *testing.T, test func(t *testing.T, xs []float64)) {
	for _, n := range sizes() {
		for name, xs := range shapes(n) {
			t.Run(fmt.Sprintf("%s/n=%d", name, n), func(t *testing.T) { test(t, xs) })
		}
	}
}

func TestOrderStatisticsAreThoseOfTheSortedValues(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s, o := summaryOf(xs), oracle.Of(xs)
		require.Equal(t, uint64(len(xs)), s.Count())
		require.Equal(t, o.Min(), s.Min())
		require.Equal(t, o.Max(), s.Max())
		for text, fraction := range map[string][2]int64{
			"0": {0, 1}, "5": {1, 20}, "25": {1, 4}, "50": {1, 2}, "95": {19, 20}, "99.9": {999, 1000}, "100": {1, 1},
			"33.333333333": {33333333333, 100000000000},
		} {
			p, err := stats.ParsePercentile(text)
			require.NoError(t, err)
			require.Equal(t, o.NearestRank(fraction[0], fraction[1]), s.Quantile(p, stats.NearestRank), "p%s", text)
			require.Equal(t, o.FloorRank(fraction[0], fraction[1]), s.Quantile(p, stats.FloorRank), "p%s", text)
			near(t, "p"+text, oracle.Exact(o.Linear(fraction[0], fraction[1])), s.Quantile(p, stats.Linear), 1e-13*spreadOver(o, s.Quantile(p, stats.Linear)))
		}
	})
}

// spreadOver returns the ratio of the largest magnitude to the magnitude of a result. Between values of different
// signs, rounding errors are relative to the larger magnitude.
func spreadOver(o oracle.Values, v float64) float64 {
	largest := o.MaxAbs()
	if v == 0 {
		return 1
	}
	return math.Max(1, largest/math.Abs(v))
}

func TestMomentsAreThoseOfExactArithmetic(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s, o := summaryOf(xs), oracle.Of(xs)
		near(t, "sum", o.Sum(), s.Sum(), 1e-14*cancellation(o, s.Sum()))
		near(t, "mean", o.Mean(), s.Mean(), 1e-14*cancellation(o, s.Sum()))
		if o.Count() == 1 {
			require.True(t, math.IsNaN(s.Variance()))
			require.True(t, math.IsNaN(s.StdDev()))
			return
		}
		nearSpread(t, o, s)
	})
}

// nearSpread checks the variance and its square root. The exact variance takes long to compute.
func nearSpread(t *testing.T, o oracle.Values, s *stats.Summary) {
	t.Helper()
	variance := o.Variance()
	near(t, "variance", variance, s.Variance(), 1e-12)
	near(t, "stddev", oracle.Exact(0).Sqrt(variance), s.StdDev(), 1e-12)
}

// cancellation is Σ|x| / |Σx|, the condition number of a sum.
func cancellation(o oracle.Values, sum float64) float64 {
	var absolute float64
	for _, x := range o {
		absolute += math.Abs(x)
	}
	if sum == 0 || math.IsInf(absolute, 0) {
		return math.MaxFloat64 / 1e20
	}
	return math.Max(1, 1e-10*absolute/math.Abs(sum))
}

func TestModeIsTheSmallestOfTheMostFrequentValues(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		wantValue, wantCount := oracle.Of(xs).Mode()
		value, count := summaryOf(xs).Mode()
		require.Equal(t, wantValue, value)
		require.Equal(t, uint64(wantCount), count)
	})
}

func TestMergingASummaryIntoItselfDoublesEveryCount(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		for _, limit := range limits {
			s := limited(limit, xs)
			want, other := s.Clone(), s.Clone()
			require.NoError(t, want.Merge(other))
			require.NoError(t, s.Merge(s))
			require.Equal(t, uint64(2*len(xs)), s.Count())
			require.Equal(t, encoded(t, want), encoded(t, s))
		}
	})
}

func TestReadingBetweenAddsChangesNothing(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		for _, limit := range limits {
			s, want := stats.New(limit), stats.New(limit)
			for i, x := range xs {
				s.AddAt(x, int64(i))
				want.AddAt(x, int64(i))
				if i%7 == 0 {
					s.Mode()
					s.Mean()
				}
			}
			require.Equal(t, encoded(t, &want), encoded(t, &s))
		}
	})
}

func TestAddRejectsNaNAndInfinities(t *testing.T) {
	var s stats.Summary
	require.False(t, s.Add(math.NaN()))
	require.False(t, s.Add(math.Inf(1)))
	require.False(t, s.Add(math.Inf(-1)))
	require.Zero(t, s.Count())
	require.True(t, s.Add(math.Copysign(0, -1)))
	require.False(t, math.Signbit(s.Min()), "negative zero counts as zero")
}

func TestEmptySummaryHasNoStatistics(t *testing.T) {
	var s stats.Summary
	require.Zero(t, s.Count())
	require.Zero(t, s.Sum())
	mode, count := s.Mode()
	require.True(t, math.IsNaN(mode))
	require.Zero(t, count)
	for _, v := range []float64{s.Min(), s.Max(), s.Mean(), s.Range(), s.Variance(), s.StdDev(), s.Median(stats.Linear)} {
		require.True(t, math.IsNaN(v))
	}
	require.NoError(t, s.Merge(new(stats.Summary)))
	require.Zero(t, s.Count())
}

func TestFirstAndLastAreByTimeThenArrival(t *testing.T) {
	var s stats.Summary
	for _, p := range []struct {
		time  int64
		value float64
	}{{20, 1}, {10, 2}, {10, 3}, {30, 4}, {30, 5}, {25, 6}} {
		s.AddAt(p.value, p.time)
	}
	require.Equal(t, []float64{2, 5}, []float64{s.First(), s.Last()})

	var o stats.Summary
	o.AddAt(7, 10)
	o.AddAt(8, 30)
	require.NoError(t, s.Merge(&o))
	require.Equal(t, 2.0, s.First(), "the value of the receiver came first")
	require.Equal(t, 8.0, s.Last(), "the merged value came last")
}

func TestHugeValuesStayFinite(t *testing.T) {
	xs := []float64{math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64}
	s := summaryOf(xs)
	require.Equal(t, math.MaxFloat64, s.Sum())
	require.InEpsilon(t, math.MaxFloat64/2, s.Mean(), 1e-15)
	require.Equal(t, math.MaxFloat64, s.Range())
	require.Equal(t, math.MaxFloat64, s.Variance())
	require.InEpsilon(t, math.MaxFloat64, s.StdDev(), 1e-15)
	require.Equal(t, math.MaxFloat64, s.Median(stats.Linear))
	require.Equal(t, 0.0, summaryOf([]float64{-math.MaxFloat64, math.MaxFloat64}).Median(stats.Linear))
}

func TestCloneSharesNothing(t *testing.T) {
	s := summaryOf([]float64{1, 2, 2, 3})
	c := s.Clone()
	for range 100 {
		c.AddAt(9, 9)
	}
	require.Equal(t, uint64(4), s.Count())
	require.Equal(t, 3.0, s.Max())
	s.Reset()
	require.Zero(t, s.Count())
	require.Equal(t, uint64(104), c.Count())
}

func TestCloneOfAHistogramSharesNothing(t *testing.T) {
	s := stats.New(1)
	for i := range 2000 {
		s.Add(float64(i%7) - 3)
		s.Add(float64(i)/7 - 100)
	}
	require.NotEmpty(t, s.Candidates())
	before := encoded(t, &s)
	c := s.Clone()
	for i := range 2000 {
		c.Add(float64(i % 5))
		c.Add(-float64(i) * 1.5)
	}
	require.Equal(t, before, encoded(t, &s))
}

func TestAResetSummaryBehavesLikeANewOne(t *testing.T) {
	for _, limit := range limits {
		for _, n := range []int{20, 40, 600} { // single values, a table and a histogram
			s := limited(limit, shape("continuous", n))
			s.Median(stats.Linear)
			s.Reset()
			require.Equal(t, encoded(t, new(stats.Summary)), encoded(t, s))
			xs := shape("descending", 50)
			s.AddAll(xs, nil)
			require.Equal(t, encoded(t, untimed(limit, xs)), encoded(t, s), "limit %d, after %d values", limit, n)
			require.Equal(t, xs[len(xs)-1], s.Min())
		}
	}
}

func TestAddingABatchAllocatesNothing(t *testing.T) {
	often := func(i int) float64 { // one value often, and others that hardly repeat
		if i%3 == 0 {
			return 50
		}
		return 40 + float64(i*7919%10_007)/1000
	}
	for name, value := range map[string]func(i int) float64{
		"one value":     func(int) float64 { return 5 },
		"few values":    func(i int) float64 { return float64(i % 7) },
		"a histogram":   often,
		"of both signs": func(i int) float64 { return often(i) - 47 },
	} {
		s, i := stats.New(64), 0
		add := func() {
			var batch [16]float64
			for range 100 {
				for k := range batch {
					batch[k] = value(i)
					i++
				}
				s.AddAll(batch[:], nil)
			}
		}
		for range 200 {
			add()
		}
		require.Zero(t, testing.AllocsPerRun(20, add), name)
	}
}

// A bucket of a series usually needs as much memory as the bucket before.
func TestResetKeepsTheMemoryOfTheValues(t *testing.T) {
	for name, value := range map[string]func(i int) float64{
		"one value":       func(int) float64 { return 5 },
		"few values":      func(i int) float64 { return float64(i % 7) },
		"of both signs":   func(i int) float64 { return float64(i*7919%1009) - 500 },
		"a narrow spread": func(i int) float64 { return 50 + float64(i*7919%1009)/500 },
	} {
		s := stats.New(64)
		fill := func() {
			s.Reset()
			for i := range 1000 {
				s.Add(value(i))
			}
		}
		fill()
		held, first := s.Bytes(), encoded(t, &s)
		fill()
		require.Equal(t, first, encoded(t, &s), name)
		require.Equal(t, held, s.Bytes(), name)
		s.Reset()
		require.Positive(t, s.Bytes(), name)
		require.LessOrEqual(t, s.Bytes(), held, name)
		require.True(t, s.Exact(), name)
		s.Add(7)
		require.Equal(t, []float64{7, 7, 1}, []float64{s.Min(), s.Max(), float64(s.Count())}, name)
	}
}

func TestResetTwiceDropsTheMemoryOfAHistogram(t *testing.T) {
	s := stats.New(1)
	for i := range 100 {
		s.Add(float64(i))
	}
	require.False(t, s.Exact())
	s.Reset()
	require.Positive(t, s.Bytes())
	s.Reset()
	require.Zero(t, s.Bytes())
}

// A histogram that is merged into an empty summary replaces the memory that the summary has kept for values.
func TestAMergedHistogramReplacesTheMemoryOfExactValues(t *testing.T) {
	s, histogram := stats.New(64), limited(1, shape("continuous", 100))
	s.AddAll(shape("continuous", 60), nil)
	s.Reset()
	require.Positive(t, s.Bytes())
	require.NoError(t, s.Merge(histogram))
	require.Equal(t, s.Clone().Bytes(), s.Bytes())
}
