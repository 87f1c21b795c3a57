package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var limits = []int{1, 64, DefaultExactLimit, Unlimited}

func encoded(t *testing.T, s *Summary) []byte {
	t.Helper()
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	return b
}

// A summary is exact as long as its values are few or hardly differ, whatever their order.
func TestTierDependsOnTheValuesAlone(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		distinct := ordered{oracleOf(xs).sorted, nil}.distinct()
		for _, limit := range limits {
			s := limited(limit, xs)
			require.Equal(t, len(xs) <= limit || 2*distinct <= limit, s.Exact(), "limit %d", limit)
			require.Equal(t, s.Exact(), s.MaxError() == 0)
		}
	})
}

func TestQuantilesStayWithinTheBound(t *testing.T) {
	large := []int{1, 2, 5, 29, 65, 360, 513, 5000, 100_000}
	if !testing.Short() { // it takes seconds; make test runs it
		large = append(large, 1_000_000)
	}
	for _, n := range large {
		for name, xs := range shapes(n) {
			t.Run(fmt.Sprintf("%s/n=%d", name, n), func(t *testing.T) {
				o := oracleOf(xs)
				for _, limit := range []int{1, 64, DefaultExactLimit} {
					checkQuantiles(t, limited(limit, xs), o)
				}
			})
		}
	}
}

func checkQuantiles(t *testing.T, s *Summary, o oracle) {
	t.Helper()
	collapsed := !s.Exact() && !o.within(65_536)
	bound := func(v float64) float64 {
		b := s.MaxError()*math.Abs(v) + math.SmallestNonzeroFloat64
		if collapsed {
			b += collapsedError * math.Max(math.Abs(s.Min()), math.Abs(s.Max()))
		}
		return b
	}
	within := func(what string, want, got, bound float64) {
		if math.Abs(got-want) > bound || got < s.Min() || got > s.Max() {
			t.Errorf("%s: got %v, want %v within %v (error %g), limit %d", what, got, want, bound, s.MaxError(), s.exact.limit)
		}
	}
	require.Equal(t, o.sorted[0], s.Min())
	require.Equal(t, o.sorted[o.n()-1], s.Max())
	for text, fraction := range map[string][2]int64{
		"0": {0, 1}, "1": {1, 100}, "5": {1, 20}, "25": {1, 4}, "50": {1, 2}, "75": {3, 4}, "95": {19, 20}, "99": {99, 100}, "99.9": {999, 1000}, "100": {1, 1},
		"33.333333333": {33333333333, 100000000000},
	} {
		p, err := ParsePercentile(text)
		require.NoError(t, err)
		want := o.nearestRank(fraction[0], fraction[1])
		within("nearest rank p"+text, want, s.Quantile(p, NearestRank), bound(want))
		want = o.floorRank(fraction[0], fraction[1])
		within("floor rank p"+text, want, s.Quantile(p, FloorRank), bound(want))
		i := int64(o.n()-1) * fraction[0] / fraction[1]
		larger := math.Max(math.Abs(o.sorted[i]), math.Abs(o.sorted[min(int(i)+1, o.n()-1)]))
		within("linear p"+text, o.r7(fraction[0], fraction[1]), s.Quantile(p, Linear), bound(larger)+1e-15*larger)
	}
}

// Where the magnitudes are within a factor of 65,536, the smallest are told as well as the largest.
func TestNothingCollapsesWithinAFactorOf65536(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, sign := range []float64{1, -1} {
		xs := []float64{0, sign, sign * 65_536}
		for range 3000 {
			xs = append(xs, sign*math.Exp2(16*r.Float64()))
		}
		checkQuantiles(t, limited(1, xs), oracleOf(xs))
	}
}

// The error is what the documentation says for the ratio of the largest to the smallest magnitude.
func TestMaxErrorIsByTheRatioOfTheMagnitudes(t *testing.T) {
	for _, c := range []struct{ ratio, want float64 }{
		{4, 0.0027}, {4.02, 0.0054}, {16, 0.0054}, {16.2, 0.0109}, {256, 0.0109}, {262, 0.0219}, {65536, 0.0219}, {1e9, 0.0219},
	} {
		for _, sign := range []float64{1, -1} {
			s := New(1)
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
		s := New(1)
		for range 5000 {
			s.Add(float64(r.IntN(most) - most/3))
		}
		require.False(t, s.Exact())
		for rank := range s.Count() {
			v := s.at(rank)
			require.Equal(t, math.Trunc(v), v)
		}
	}
}

// The order statistics that bins tell never descend, nor leave [min, max].
func TestOrderStatisticsAscend(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s := limited(1, xs)
		last := math.Inf(-1)
		for rank := range s.Count() {
			v := s.at(rank)
			require.GreaterOrEqual(t, v, last)
			require.LessOrEqual(t, v, s.Max())
			last = v
		}
		require.Equal(t, s.Max(), last)
	})
}

// Merging the parts of a series is the same as adding the whole of it, wherever the cuts are, in whatever
// order the parts come and however they are grouped.
func TestMergeIsAddingAll(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	eachShape(t, func(t *testing.T, xs []float64) {
		for _, limit := range limits {
			whole := limited(limit, xs)
			parts := make([]*Summary, 1+r.IntN(7))
			for i := range parts {
				s := New(limit)
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
			checkSame(t, whole, grouped(t, r, parts), oracleOf(xs))
		}
	})
}

// grouped merges parts two by two in random order until one is left.
func grouped(t *testing.T, r *rand.Rand, parts []*Summary) *Summary {
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

func checkSame(t *testing.T, want, got *Summary, o oracle) {
	t.Helper()
	require.Equal(t, want.Count(), got.Count())
	require.Equal(t, want.Exact(), got.Exact())
	if want.Exact() {
		require.Equal(t, encoded(t, want), encoded(t, got))
		return
	}
	require.Equal(t, shapeOf(want.hist), shapeOf(got.hist), "bins")
	require.Equal(t, want.times, got.times)
	for _, p := range []Percentile{{}, p25, p50, p75, {num: 95}, {num: 999, decimals: 1}, {num: 100}} {
		require.Equal(t, want.Quantile(p, Linear), got.Quantile(p, Linear))
	}
	spread := 0.0
	for _, x := range o.sorted {
		spread = math.Max(spread, math.Abs(x))
	}
	if math.Abs(want.Mean()-got.Mean()) > 1e-12*math.Abs(want.Mean())+1e-28*spread {
		t.Errorf("mean %v, want %v", got.Mean(), want.Mean())
	}
	if math.Abs(want.StdDev()-got.StdDev()) > 1e-12*want.StdDev()+math.SmallestNonzeroFloat64 {
		t.Errorf("standard deviation %v, want %v", got.StdDev(), want.StdDev())
	}
	checkMode(t, got, o)
}

// shapeOf is what of a histogram depends on the values alone.
func shapeOf(h *histogram) string {
	return fmt.Sprintf("%d %d %g %g %t %x %x", h.scale, h.zero, h.min, h.max, h.fractional, h.positive.append(nil), h.negative.append(nil))
}

// checkMode compares what the candidates say with the true counts.
func checkMode(t *testing.T, s *Summary, o oracle) {
	t.Helper()
	value, count := s.Mode()
	_, most := o.mode()
	var of uint64
	for _, x := range o.sorted {
		if x == value {
			of++
		}
	}
	require.GreaterOrEqual(t, of, count, "the count is a lower bound")
	require.LessOrEqual(t, most, count+s.ModeError(), "no rival exceeds the count by more than the error")
	require.LessOrEqual(t, s.ModeError(), s.Count()/17)
	if !s.Exact() {
		checkCandidates(t, &s.hist.heavy, o)
	}
}

// checkCandidates compares every value's count with what the candidates say of it.
func checkCandidates(t *testing.T, h *heavy, o oracle) {
	t.Helper()
	bounds, sum := make(map[float64]uint64), uint64(0)
	for _, c := range h.kept() {
		bounds[c.value] = c.count
		sum += c.count
	}
	require.Len(t, bounds, int(h.n), "the candidates are distinct")
	require.LessOrEqual(t, (maxHeavy+1)*h.missed, uint64(o.n())-sum, "what was missed was taken from 17 values at once")
	for v, n := range (ordered{o.sorted, nil}).runs() {
		bound := bounds[v]
		if n < bound || n > bound+h.missed {
			t.Errorf("%v occurs %d times, want %d to %d", v, n, bound, bound+h.missed)
		}
		delete(bounds, v)
	}
	require.Empty(t, bounds, "candidates that do not occur")
}

// Whether candidates are few or many, and some of them repeat: a summary reads back, and says of each what is true.
func TestFewDistinctValuesAreCandidates(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for repeats := range 3 {
			xs := make([]float64, 0, n+repeats)
			for i := range n + repeats {
				xs = append(xs, float64(i%n)/3)
			}
			s := summaryOf(xs)
			s.Demote()
			var got Summary
			require.NoError(t, got.UnmarshalBinary(encoded(t, s)), "%d distinct of %d", n, len(xs))
			require.Equal(t, fmt.Sprint(mustSelect(t).Append(nil, s)), fmt.Sprint(mustSelect(t).Append(nil, &got)))
			checkMode(t, &got, oracleOf(xs))
		}
	}
}

func TestMomentsOfHistogramsAreThoseOfExactArithmetic(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		if len(xs) < 2 {
			return
		}
		s, o := limited(1, xs), oracleOf(xs)
		near(t, "sum", o.sum(), s.Sum(), 1e-14*cancellation(o, s.Sum()))
		near(t, "mean", o.mean(), s.Mean(), 1e-14*cancellation(o, s.Sum()))
		near(t, "variance", o.variance(), s.Variance(), 1e-12)
		near(t, "stddev", bigOf(0).Sqrt(o.variance()), s.StdDev(), 1e-12)
		checkMode(t, s, o)
	})
}

// A value of which there are more than one in 17 is among the candidates, and the mode where it stands out.
func TestAFrequentValueIsTheModeOfAHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, limit := range []int{1, 64, DefaultExactLimit} {
		s := New(limit)
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
	s := New(1)
	for i := range 3000 {
		s.Add(float64(3000-i) / 7)
	}
	value, count := s.Mode()
	require.Equal(t, 1.0/7, value)
	require.Equal(t, uint64(1), count)
}

func TestTooManyValuesAreAnErrorAndChangeNothing(t *testing.T) {
	for _, limit := range limits {
		s := New(limit)
		for i := range 40 {
			s.AddAt(float64(i)+0.5, int64(i))
		}
		for s.Count() < 1<<57 {
			require.NoError(t, s.Merge(&s))
		}
		require.InEpsilon(t, 20, s.Mean(), 1e-9)
		for s.Count() <= maxCount-s.Count() {
			require.NoError(t, s.Merge(&s))
		}
		before, o := encoded(t, &s), s.Clone()
		require.ErrorIs(t, s.Merge(&s), ErrOverflow)
		require.ErrorIs(t, s.Merge(o), ErrOverflow)
		require.Equal(t, before, encoded(t, &s))
	}
}

// Of values that would be one too many together, none is added.
func TestValuesBeyondTheCountAreNotAdded(t *testing.T) {
	power := limited(1, []float64{7, 7, 7, 7})
	var s Summary
	for err := error(nil); err == nil; err = power.Merge(power) {
		require.NoError(t, s.Merge(power))
	}
	require.Equal(t, uint64(maxCount-3), s.Count(), "there is room for 3")
	before := encoded(t, &s)
	require.Zero(t, s.AddAll([]float64{1, 2, 3, 4}, []int64{1, 2, 3, 4}))
	require.Equal(t, before, encoded(t, &s))
	require.Equal(t, 3, s.AddAll([]float64{1, 2, 3}, nil))
	require.Equal(t, uint64(maxCount), s.Count())
	require.False(t, s.Add(1))
	require.Equal(t, uint64(maxCount), s.Count())
}

func TestDemotedSummaryGoesOnAsHistogram(t *testing.T) {
	eachShape(t, func(t *testing.T, xs []float64) {
		s, want := limited(Unlimited, xs[:len(xs)/2]), New(1)
		if s.Demote(); s.Count() > 0 {
			require.False(t, s.Exact())
		}
		s.AddAll(xs[len(xs)/2:], nil)
		want.AddAll(xs, nil)
		if !want.Exact() && !s.Exact() {
			require.Equal(t, shapeOf(want.hist), shapeOf(s.hist))
		}
		require.Equal(t, want.Count(), s.Count())
	})
}

// A summary that was decoded from a more exact one is demoted by the next value, not by reading it.
func TestTheLimitOfTheReceiverAppliesFromTheNextValueOn(t *testing.T) {
	xs := shapes(5000)["continuous"]
	s := New(64)
	require.NoError(t, s.UnmarshalBinary(encoded(t, summaryOf(xs))))
	require.True(t, s.Exact())
	s.Add(50)
	require.False(t, s.Exact())
	require.Equal(t, uint64(5001), s.Count())
	require.Equal(t, shapeOf(limited(1, append(slices.Clone(xs), 50)).hist), shapeOf(s.hist))
}

func TestFirstAndLastNeedEveryTime(t *testing.T) {
	sel, err := NewSelection([]string{"first", "last"}, Linear)
	require.NoError(t, err)
	isNaN := func(s *Summary) bool {
		row := sel.Append(nil, s)
		return math.IsNaN(row[0]) && math.IsNaN(row[1])
	}
	s := limited(1, []float64{3, 1, 2})
	require.Equal(t, []float64{3, 2}, sel.Append(nil, s))
	var untimed Summary
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

func TestSortFloats(t *testing.T) {
	for _, n := range []int{0, 1, 2, 31, 32, 33, 40, 100, 511, 512, 513, 2000} {
		for name, xs := range shapes(n) {
			got := slices.Clone(xs)
			sortFloats(got)
			slices.Sort(xs)
			require.Equal(t, xs, got, "%s, n=%d", name, n)
		}
	}
	for name, xs := range map[string][]float64{
		"too far apart":  {math.MaxFloat64, -math.MaxFloat64, 0, 1, -1, math.SmallestNonzeroFloat64, 5, 6, 7},
		"too near":       {0, math.SmallestNonzeroFloat64, 3 * math.SmallestNonzeroFloat64, 2 * math.SmallestNonzeroFloat64},
		"an outlier":     {9, 8, 7, 6, 5, 4, 3, 2, 1, -1, -2, -3, 1e300},
		"all the same":   {4},
		"largest values": {math.MaxFloat64, math.MaxFloat64 / 2, math.MaxFloat64 / 4},
	} {
		got := slices.Repeat(xs, 20)
		want := slices.Sorted(slices.Values(got))
		sortFloats(got)
		require.Equal(t, want, got, name)
	}
}

// A histogram of values that all came once says so: none of them, and no other, came more than once.
func TestHistogramsOfDistinctValuesMissOneOfEach(t *testing.T) {
	for _, s := range []*Summary{limited(64, shapes(65)["continuous"]), summaryOf(shapes(500)["continuous"])} {
		s.Demote()
		value, count := s.Mode()
		require.Equal(t, []any{s.Min(), uint64(1), uint64(1)}, []any{value, count, s.ModeError()})
	}
}

// However many values there are and however far apart, the bins of a sign stay small.
func TestBinsHaveAHardCap(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		s := New(1)
		for i := range 3000 {
			s.Add(sign * math.Exp2(float64(i%600)/32))
		}
		bins := func() *bins {
			if sign > 0 {
				return &s.hist.positive
			}
			return s.hist.negative
		}
		for s.Count() < 65_535*513 {
			require.NoError(t, s.Merge(&s))
			if largest := slices.Max(bins().run().Counts); largest <= math.MaxUint16 {
				require.LessOrEqual(t, cap(bins().data), 1300)
			} else {
				require.LessOrEqual(t, cap(bins().data), 2300)
			}
		}
		require.Len(t, bins().run().Counts, maxBins)
	}
}

// Counters widen wherever a merge goes beyond them.
func TestMergedCountersWiden(t *testing.T) {
	for _, most := range []uint64{math.MaxUint8, math.MaxUint16, math.MaxUint32} {
		var to, from bins
		to.cover(0, 40)
		from.cover(0, 40)
		for i := range int32(41) {
			to.set(i, most-uint64(i%3))
			from.set(i, uint64(i%5))
		}
		to.merge(&from, 0)
		for i := range int32(41) {
			require.Equal(t, most-uint64(i%3)+uint64(i%5), to.at(i), "bin %d", i)
		}
	}
}

// Counters of one byte that overflow as bins are joined widen.
func TestJoinedCountersWiden(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		for least := 120; least <= 250; least += 10 {
			var xs []float64
			for i := range int32(40) {
				v := sign * between(boundary(i, maxBinScale), boundary(i+1, maxBinScale), 0.5)
				xs = append(xs, slices.Repeat([]float64{v}, least+int(i)%6)...)
			}
			s := limited(1, xs)
			require.EqualValues(t, maxBinScale, s.hist.scale)
			xs = append(xs, sign*5)
			s.Add(sign * 5)
			atOnce := summaryOf(xs)
			atOnce.Demote()
			require.EqualValues(t, maxBinScale-1, s.hist.scale)
			require.Equal(t, shapeOf(atOnce.hist), shapeOf(s.hist), "at least %d of each, sign %g", least, sign)
		}
	}
}

// hosts returns n values of each of as many hosts, all of which differ in kind or place.
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

// Summaries of unlike hosts come to the bins of one summary of all values, in whatever order they are merged.
func TestMergingUnlikeHostsIsOneSummaryOfAllValues(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	values := hosts(100, 360)
	all := slices.Concat(values...)
	for _, limit := range []int{64, 512} {
		want := untimed(limit, all)
		require.False(t, want.Exact())
		merge := func(order []int) {
			got := New(limit)
			for _, i := range order {
				require.NoError(t, got.Merge(untimed(limit, values[i])))
			}
			checkSame(t, want, &got, oracleOf(all))
		}
		order := r.Perm(len(values))
		merge(order)
		slices.Sort(order)
		merge(order)
		slices.Reverse(order)
		merge(order)
		parts := make([]*Summary, len(values))
		for i := range parts {
			parts[i] = untimed(limit, values[i])
		}
		checkSame(t, want, grouped(t, r, parts), oracleOf(all))
	}
}

// An unlimited summary is the same however its values come, and counts them only once one repeats.
func TestAnUnlimitedSummaryIsTheSameHoweverItsValuesCome(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, repeat := range []bool{false, true} {
		for range 4 {
			distinct := r.Perm(10_000)
			var added []float64
			s := New(Unlimited)
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
					require.NoError(t, s.Merge(untimed(DefaultExactLimit, xs)))
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
			require.Equal(t, encoded(t, untimed(Unlimited, added)), encoded(t, &s))
			if s.Max(); !repeat && s.exact.table.counts != nil {
				t.Errorf("%d counts of values that do not repeat, want none", len(s.exact.table.counts))
			}
		}
	}
}

// The outer bins of the coarser one do not tell that the other one has to be coarser too: at the finer scale they span
// one bin less than the values did.
func TestMergingACoarserHistogramCoarsens(t *testing.T) {
	at := func(bin float64) float64 { return math.Exp2((bin + 0.5) / perOctave) }
	coarse := limited(1, []float64{at(0), at(maxBins)})
	fine := limited(1, []float64{at(100), at(101)})
	for _, s := range []*Summary{coarse, fine} {
		s.Demote()
	}
	require.Equal(t, []int8{maxBinScale - 1, maxBinScale}, []int8{coarse.hist.scale, fine.hist.scale})
	require.NoError(t, fine.Merge(coarse))
	want := limited(1, []float64{at(0), at(100), at(101), at(maxBins)})
	want.Demote()
	require.Equal(t, shapeOf(want.hist), shapeOf(fine.hist))
}
