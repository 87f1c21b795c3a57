package stats_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

var limits = []int{1, 64, stats.DefaultExactLimit, stats.Unlimited}

func encoded(t *testing.T, s *stats.Summary) []byte {
	t.Helper()
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	return b
}

// A summary is exact while it has few values or few distinct values, in any order.
func TestExactnessDependsOnTheValuesAlone(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		distinct := oracle.Of(xs).Distinct()
		for _, limit := range limits {
			s := limited(limit, xs)
			require.Equal(t, len(xs) <= limit || 2*distinct <= limit, s.Exact(), "limit %d", limit)
			require.Equal(t, s.Exact(), s.MaxError() == 0)
		}
	})
}

func TestQuantilesStayWithinTheBound(t *testing.T) {
	numbers := []int{1, 2, 5, 29, 65, 360, 513, 5000}
	if !testing.Short() {
		numbers = append(numbers, 100_000, 1_000_000)
	}
	for _, n := range numbers {
		for kind := range kinds {
			t.Run(fmt.Sprintf("%s/n=%d", kind, n), func(t *testing.T) {
				xs := shape(kind, n)
				o := oracle.Of(xs)
				for _, limit := range []int{1, 64, stats.DefaultExactLimit} {
					checkQuantiles(t, limited(limit, xs), o)
				}
			})
		}
	}
}

func checkQuantiles(t *testing.T, s *stats.Summary, o oracle.Values) {
	t.Helper()
	collapsed := !s.Exact() && !o.Within(65_536)
	bound := func(v float64) float64 {
		b := s.MaxError()*math.Abs(v) + math.SmallestNonzeroFloat64
		if collapsed {
			b += 1.6e-5 * math.Max(math.Abs(s.Min()), math.Abs(s.Max()))
		}
		return b
	}
	within := func(what string, want, got, bound float64) {
		if math.Abs(got-want) > bound || got < s.Min() || got > s.Max() {
			t.Errorf("%s: got %v, want %v within %v (error %g), n=%d", what, got, want, bound, s.MaxError(), s.Count())
		}
	}
	require.Equal(t, o.Min(), s.Min())
	require.Equal(t, o.Max(), s.Max())
	for text, fraction := range map[string][2]int64{
		"0": {0, 1}, "1": {1, 100}, "5": {1, 20}, "25": {1, 4}, "50": {1, 2}, "75": {3, 4}, "95": {19, 20}, "99": {99, 100}, "99.9": {999, 1000}, "100": {1, 1},
		"33.333333333": {33333333333, 100000000000},
	} {
		p, err := stats.ParsePercentile(text)
		require.NoError(t, err)
		want := o.NearestRank(fraction[0], fraction[1])
		within("nearest rank p"+text, want, s.Quantile(p, stats.NearestRank), bound(want))
		want = o.FloorRank(fraction[0], fraction[1])
		within("floor rank p"+text, want, s.Quantile(p, stats.FloorRank), bound(want))
		i := int64(o.Count()-1) * fraction[0] / fraction[1]
		larger := math.Max(math.Abs(o[i]), math.Abs(o[min(int(i)+1, o.Count()-1)]))
		within("linear p"+text, o.Linear(fraction[0], fraction[1]), s.Quantile(p, stats.Linear), bound(larger)+1e-15*larger)
	}
}

// If the magnitudes are within a factor of 65,536, the smallest values have the same relative error as the largest.
func TestNothingCollapsesWithinAFactorOf65536(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, sign := range []float64{1, -1} {
		xs := []float64{0, sign, sign * 65_536}
		for range 3000 {
			xs = append(xs, sign*math.Exp2(16*r.Float64()))
		}
		checkQuantiles(t, limited(1, xs), oracle.Of(xs))
	}
}

// MaxError depends on the ratio of the largest to the smallest magnitude, as its comment describes.
func TestMaxErrorFollowsFromTheRatioOfMagnitudes(t *testing.T) {
	for _, c := range []struct{ ratio, want float64 }{
		{4, 0.0027}, {4.02, 0.0054}, {16, 0.0054}, {16.2, 0.0109}, {256, 0.0109}, {262, 0.0219}, {65536, 0.0219}, {1e9, 0.0219},
	} {
		for _, sign := range []float64{1, -1} {
			s := stats.New(1)
			for i := range 1000 {
				s.Add(sign * 7 * math.Pow(c.ratio, float64(i)/999))
			}
			require.InDelta(t, c.want, s.MaxError(), 0.00005, "ratio %g", c.ratio)
		}
	}
}

func TestWholeValuesHaveWholeOrderStatistics(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, most := range []int{40, 1000, 1_000_000} {
		s := stats.New(1)
		for range 5000 {
			s.Add(float64(r.IntN(most) - most/3))
		}
		require.False(t, s.Exact())
		for rank := range s.Count() {
			v := s.ValueAt(rank)
			require.Equal(t, math.Trunc(v), v)
		}
	}
}

// The order statistics of a histogram ascend within [min, max].
func TestOrderStatisticsAscend(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s := limited(1, xs)
		last := math.Inf(-1)
		for rank := range s.Count() {
			v := s.ValueAt(rank)
			if v < last || v > s.Max() {
				t.Fatalf("rank %d: %v is not within [%v, %v]", rank, v, last, s.Max())
			}
			last = v
		}
		require.Equal(t, s.Max(), last)
	})
}

// Merging the parts of a series gives the same summary as adding the whole series, wherever it is cut and in whatever order
// the parts are merged.
func TestMergingPartsEqualsAddingAllValues(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	eachShape(t, func(t *testing.T, xs []float64) {
		for _, limit := range limits {
			whole := limited(limit, xs)
			parts := make([]*stats.Summary, 1+r.IntN(7))
			for i := range parts {
				s := stats.New(limit)
				parts[i] = &s
			}
			share := r.IntN(len(parts)) // one part may get most
			for i, x := range xs {
				part := r.IntN(len(parts))
				if r.IntN(2) == 0 {
					part = share
				}
				parts[part].AddAt(x, int64(i))
			}
			checkSame(t, whole, grouped(t, r, parts), oracle.Of(xs))
		}
	})
}

// grouped merges parts two by two in random order until one is left.
func grouped(t *testing.T, r *rand.Rand, parts []*stats.Summary) *stats.Summary {
	t.Helper()
	for len(parts) > 1 {
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		before := encoded(t, parts[1])
		require.NoError(t, parts[0].Merge(parts[1]))
		require.Equal(t, before, encoded(t, parts[1]), "the merged part changed")
		parts = slices.Delete(parts, 1, 2)
	}
	return parts[0]
}

func checkSame(t *testing.T, want, got *stats.Summary, o oracle.Values) {
	t.Helper()
	require.Equal(t, want.Count(), got.Count())
	require.Equal(t, want.Exact(), got.Exact())
	if want.Exact() {
		require.Equal(t, encoded(t, want), encoded(t, got))
		return
	}
	require.Equal(t, want.Bins(), got.Bins(), "bins")
	require.Equal(t, fmt.Sprint(want.First(), want.Last()), fmt.Sprint(got.First(), got.Last()))
	for _, p := range percentiles("0", "25", "50", "75", "95", "99.9", "100") {
		require.Equal(t, want.Quantile(p, stats.Linear), got.Quantile(p, stats.Linear))
	}
	if math.Abs(want.Mean()-got.Mean()) > 1e-12*math.Abs(want.Mean())+1e-28*o.MaxAbs() {
		t.Errorf("mean %v, want %v", got.Mean(), want.Mean())
	}
	if math.Abs(want.StdDev()-got.StdDev()) > 1e-12*want.StdDev()+math.SmallestNonzeroFloat64 {
		t.Errorf("standard deviation %v, want %v", got.StdDev(), want.StdDev())
	}
	checkMode(t, got, o)
}

// checkMode compares the mode and the bounds of the candidates with the true counts.
func checkMode(t *testing.T, s *stats.Summary, o oracle.Values) {
	t.Helper()
	value, count := s.Mode()
	_, most := o.Mode()
	require.GreaterOrEqual(t, uint64(o.CountOf(value)), count, "the count is a lower bound")
	require.LessOrEqual(t, uint64(most), count+s.ModeError(), "no rival exceeds the count by more than the error")
	require.LessOrEqual(t, s.ModeError(), s.Count()/17)
	if !s.Exact() {
		checkCandidates(t, s, o)
	}
}

// checkCandidates compares the count of every value with its bounds.
func checkCandidates(t *testing.T, s *stats.Summary, o oracle.Values) {
	t.Helper()
	bounds, missed, sum := s.Candidates(), s.ModeError(), uint64(0)
	for _, bound := range bounds {
		sum += bound
	}
	require.LessOrEqual(t, 17*missed, uint64(o.Count())-sum, "missed grows by one only when 17 values are dropped")
	for i := 0; i < o.Count(); {
		v, n := o[i], uint64(o.CountOf(o[i]))
		if bound := bounds[v]; n < bound || n > bound+missed {
			t.Errorf("%v occurs %d times, want %d to %d", v, n, bound, bound+missed)
		}
		delete(bounds, v)
		i += int(n)
	}
	require.Empty(t, bounds, "candidates that do not occur")
}

// The bounds of candidates are right for few and many candidates, some of which repeat, and still right after
// decoding.
func TestFewDistinctValuesAreCandidates(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for repeats := range 3 {
			xs := make([]float64, 0, n+repeats)
			for i := range n + repeats {
				xs = append(xs, float64(i%n)/3)
			}
			s := summaryOf(xs)
			s.Demote()
			var got stats.Summary
			require.NoError(t, got.UnmarshalBinary(encoded(t, s)), "%d distinct of %d", n, len(xs))
			require.Equal(t, fmt.Sprint(mustSelect(t).Append(nil, s)), fmt.Sprint(mustSelect(t).Append(nil, &got)))
			checkMode(t, &got, oracle.Of(xs))
		}
	}
}

func TestMomentsOfHistogramsAreThoseOfExactArithmetic(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		if len(xs) < 2 {
			return
		}
		s, o := limited(1, xs), oracle.Of(xs)
		near(t, "sum", o.Sum(), s.Sum(), 1e-14*cancellation(o, s.Sum()))
		near(t, "mean", o.Mean(), s.Mean(), 1e-14*cancellation(o, s.Sum()))
		nearSpread(t, o, s)
		checkMode(t, s, o)
	})
}

// A value that makes up more than a 17th of all values is a candidate. It is the mode if no other value is as
// frequent.
func TestAFrequentValueIsTheModeOfAHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, limit := range []int{1, 64, stats.DefaultExactLimit} {
		s := stats.New(limit)
		for range 20_000 {
			if r.IntN(6) == 0 {
				s.Add(0.1)
			} else {
				s.Add(r.NormFloat64())
			}
		}
		value, count := s.Mode()
		require.Equal(t, 0.1, value)
		require.Greater(t, count, uint64(2000))
		require.LessOrEqual(t, s.ModeError(), s.Count()/17)
	}
}

func TestDistinctValuesHaveTheSmallestAsMode(t *testing.T) {
	s := stats.New(1)
	for i := range 3000 {
		s.Add(float64(3000-i) / 7)
	}
	value, count := s.Mode()
	require.Equal(t, 1.0/7, value)
	require.Equal(t, uint64(1), count)
}

func TestMergeRejectsCountOverflow(t *testing.T) {
	for _, limit := range limits {
		s := stats.New(limit)
		for i := range 40 {
			s.AddAt(float64(i)+0.5, int64(i))
		}
		for s.Count() < 1<<57 {
			require.NoError(t, s.Merge(&s))
		}
		require.InEpsilon(t, 20, s.Mean(), 1e-9)
		for s.Count() <= math.MaxInt64-s.Count() {
			require.NoError(t, s.Merge(&s))
		}
		before, o := encoded(t, &s), s.Clone()
		require.ErrorIs(t, s.Merge(&s), stats.ErrOverflow)
		require.ErrorIs(t, s.Merge(o), stats.ErrOverflow)
		require.Equal(t, before, encoded(t, &s))
	}
}

// AddAll adds none of the values if not all of them can be counted.
func TestAddAllRejectsCountOverflow(t *testing.T) {
	power := limited(1, []float64{7, 7, 7, 7})
	var s stats.Summary
	for err := error(nil); err == nil; err = power.Merge(power) {
		require.NoError(t, s.Merge(power))
	}
	require.Equal(t, uint64(math.MaxInt64-3), s.Count(), "there is room for 3")
	before := encoded(t, &s)
	require.Zero(t, s.AddAll([]float64{1, 2, 3, 4}, []int64{1, 2, 3, 4}))
	require.Equal(t, before, encoded(t, &s))
	require.Equal(t, 3, s.AddAll([]float64{1, 2, 3}, nil))
	require.Equal(t, uint64(math.MaxInt64), s.Count())
	require.False(t, s.Add(1))
	require.Equal(t, uint64(math.MaxInt64), s.Count())
}

func TestDemotedSummaryStaysAHistogram(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s, want := limited(stats.Unlimited, xs[:len(xs)/2]), stats.New(1)
		if s.Demote(); s.Count() > 0 {
			require.False(t, s.Exact())
		}
		s.AddAll(xs[len(xs)/2:], nil)
		want.AddAll(xs, nil)
		if !want.Exact() && !s.Exact() {
			require.Equal(t, want.Bins(), s.Bins())
		}
		require.Equal(t, want.Count(), s.Count())
	})
}

// A decoded summary with more values than the exact limit becomes a histogram when the next value is added.
func TestTheExactLimitAppliesToADecodedSummaryFromTheNextValueOn(t *testing.T) {
	xs := shape("continuous", 5000)
	s := stats.New(64)
	require.NoError(t, s.UnmarshalBinary(encoded(t, summaryOf(xs))))
	require.True(t, s.Exact())
	s.Add(50)
	require.False(t, s.Exact())
	require.Equal(t, uint64(5001), s.Count())
	require.Equal(t, limited(1, append(slices.Clone(xs), 50)).Bins(), s.Bins())
}

func TestFirstAndLastNeedEveryTime(t *testing.T) {
	sel, err := stats.NewSelection([]string{"first", "last"}, stats.Linear)
	require.NoError(t, err)
	isNaN := func(s *stats.Summary) bool {
		row := sel.Append(nil, s)
		return math.IsNaN(row[0]) && math.IsNaN(row[1])
	}
	s := limited(1, []float64{3, 1, 2})
	require.Equal(t, []float64{3, 2}, sel.Append(nil, s))
	var untimed stats.Summary
	untimed.Add(5)
	require.True(t, isNaN(&untimed))
	c := s.Clone()
	require.NoError(t, c.Merge(&untimed))
	require.True(t, isNaN(c))
	require.NoError(t, untimed.Merge(s))
	require.True(t, isNaN(&untimed))
	s.Add(7)
	require.True(t, isNaN(s))
}

// In a histogram of distinct values, no value occurs more than once.
func TestAHistogramOfDistinctValuesMissesOneOfEach(t *testing.T) {
	for _, s := range []*stats.Summary{limited(64, shape("continuous", 65)), summaryOf(shape("continuous", 500))} {
		s.Demote()
		value, count := s.Mode()
		require.Equal(t, []any{s.Min(), uint64(1), uint64(1)}, []any{value, count, s.ModeError()})
	}
}

// hosts returns n values for each of count hosts. The values of any two hosts differ in shape or range.
func hosts(count, n int) [][]float64 {
	r := rand.New(rand.NewPCG(6, 6))
	kinds := []func(i float64) float64{
		func(i float64) float64 { return 20 + i + 5*r.NormFloat64() },
		func(i float64) float64 { return math.Exp(r.NormFloat64() * i / 50) },
		func(i float64) float64 { return float64(r.IntN(10 + int(i))) },
		func(i float64) float64 { return -i * r.ExpFloat64() },
		func(i float64) float64 { return math.Round(i*r.NormFloat64()) / 4 },
	}
	all := make([][]float64, count)
	for i := range all {
		for range n {
			all[i] = append(all[i], kinds[i%len(kinds)](float64(i)))
		}
	}
	return all
}

// Merging the summaries of different hosts in any order gives the bins of one summary of all values.
func TestMergingDifferentHostsInAnyOrderGivesTheSameBins(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	values := hosts(100, 360)
	all := slices.Concat(values...)
	for _, limit := range []int{64, 512} {
		want := untimed(limit, all)
		require.False(t, want.Exact())
		merge := func(order []int) {
			got := stats.New(limit)
			for _, i := range order {
				require.NoError(t, got.Merge(untimed(limit, values[i])))
			}
			checkSame(t, want, &got, oracle.Of(all))
		}
		order := r.Perm(len(values))
		merge(order)
		slices.Sort(order)
		merge(order)
		slices.Reverse(order)
		merge(order)
		parts := make([]*stats.Summary, len(values))
		for i := range parts {
			parts[i] = untimed(limit, values[i])
		}
		checkSame(t, want, grouped(t, r, parts), oracle.Of(all))
	}
}

// An unlimited summary is the same for every way of adding the values, and has counts only if a value repeats.
func TestAnUnlimitedSummaryDependsOnItsValuesAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, repeat := range []bool{false, true} {
		for range 4 {
			distinct := r.Perm(10_000)
			var added []float64
			s := stats.New(stats.Unlimited)
			for len(distinct) > 0 {
				xs := make([]float64, min(len(distinct), 1+r.IntN(40)))
				for i := range xs {
					xs[i] = float64(distinct[i]) / 7
				}
				distinct = distinct[len(xs):]
				switch r.IntN(4) {
				case 0:
					require.Equal(t, len(xs), s.AddAll(xs, nil))
				case 1:
					for _, x := range xs {
						require.True(t, s.Add(x))
					}
				case 2:
					require.NoError(t, s.Merge(untimed(stats.DefaultExactLimit, xs)))
				case 3:
					if repeat {
						xs = slices.Repeat(xs[:1], len(xs))
					}
					require.Equal(t, len(xs), s.AddAll(xs, nil))
				}
				if added = append(added, xs...); r.IntN(100) == 0 {
					require.Equal(t, slices.Max(added), s.Max())
				}
			}
			require.True(t, s.Exact())
			require.Equal(t, encoded(t, untimed(stats.Unlimited, added)), encoded(t, &s))
			if !repeat && s.HasCounts() {
				t.Error("counts of values that do not repeat, want none")
			}
		}
	}
}

// The memory of a summary with a large limit grows with the number of distinct values, not of all values.
func TestMergingManyOfFewDistinctValuesTakesLittleMemory(t *testing.T) {
	few := new(stats.Summary)
	for i := range 20 {
		few.AddAll([]float64{float64(i)}, nil)
	}
	for range 15 {
		require.NoError(t, few.Merge(few))
	}
	s := stats.New(100_000_000)
	s.AddAll(shape("continuous", 30), nil)
	require.Less(t, stats.AllocatedBy(func() { require.NoError(t, s.Merge(few)) }), uint64(10_000))
	require.True(t, s.Exact())
	value, count := s.Mode()
	require.Equal(t, []any{0.0, uint64(1 << 15)}, []any{value, count})
}
