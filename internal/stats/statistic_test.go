package stats_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func TestEveryKindHasANameAndCanBeRead(t *testing.T) {
	for k := range stats.Names() {
		require.True(t, stats.Readable(stats.Kind(k)), "kind %d", k)
	}
}

// The default list has max_error and mode_error only for summaries in which they are not 0 by definition.
func TestTheDefaultListHasErrorsOnlyForEstimates(t *testing.T) {
	read := func(names []string, s *stats.Summary) map[string]float64 {
		sel, err := stats.NewSelection(names, stats.Linear)
		require.NoError(t, err)
		got := make(map[string]float64)
		for i, v := range sel.Append(nil, s) {
			if !math.IsNaN(v) {
				got[sel.Statistics()[i].String()] = v
			}
		}
		return got
	}
	s := limited(4, []float64{1, 2, 3, 4})
	require.Equal(t, map[string]float64{"count": 4, "min": 1, "max": 4, "mean": 2.5, "median": 2.5, "mode": 1, "p95": 3.85}, read(nil, s))
	require.Equal(t, map[string]float64{"max_error": 0, "mode_error": 0}, read([]string{"max_error", "mode_error"}, s))
	s.Add(5)
	require.Contains(t, read(nil, s), "max_error")
	require.Contains(t, read(nil, s), "mode_error")
	require.Equal(t, map[string]float64{"count": 5}, read([]string{"count"}, s))

	one := limited(4, []float64{1}) // as the memory limit or a state makes it a histogram
	one.Demote()
	for range 3 { // further values, a copy that was encoded, and a merge into a summary that is exact
		require.Contains(t, read(nil, one), "max_error")
		require.Contains(t, read(nil, one), "mode_error")
		one.Add(1)
		next := limited(1000, []float64{1})
		require.NoError(t, next.UnmarshalBinary(encoded(t, one)))
		one = limited(1000, []float64{1})
		require.NoError(t, one.Merge(next))
	}
}

func TestStatisticNamesReadBack(t *testing.T) {
	for i, name := range stats.Names() {
		if stats.Kind(i) == stats.Quantile {
			continue
		}
		s, err := stats.ParseStatistic(name)
		require.NoError(t, err)
		require.Equal(t, stats.Kind(i), s.Kind())
		require.Equal(t, name, s.String())
	}
	for name, want := range map[string]string{
		"p0": "p0", "p5": "p5", "p05": "p5", "p95": "p95", "p95.0": "p95", "p99.90": "p99.9", "p0.5": "p0.5", "p0.05": "p0.05",
		"p100": "p100", "p100.000": "p100", "p12.000000001": "p12.000000001",
	} {
		s, err := stats.ParseStatistic(name)
		require.NoError(t, err, name)
		require.Equal(t, want, s.String())
	}
}

func TestTheErrorOfAnUnknownStatisticListsTheKnownOnes(t *testing.T) {
	for name, want := range map[string]string{
		"medain": `unknown statistic "medain", known are count, min, max`,
		"p<q>":   `unknown statistic "p<q>"`, "p": `unknown statistic "p"`, "": `unknown statistic ""`,
		"P95": `unknown statistic "P95"`, "p-1": `unknown statistic "p-1"`, "p99_9": `unknown statistic "p99_9"`,
		"p101": `percentile "101" is above 100`, "p100.000001": "is above 100",
		"p99999999999999999999999": "is above 100",
		"p9.":                      `percentile "9." is not a decimal number`, "p.5": "is not a decimal number", "p1.2.3": "is not a decimal number",
		"p1.0123456789": "has 10 decimals, want at most 9",
	} {
		_, err := stats.ParseStatistic(name)
		require.ErrorContains(t, err, want, name)
	}
}

func TestTheErrorOfANameOfOtherProgramsHasOurs(t *testing.T) {
	for name, want := range map[string]string{
		"avg": "mean", "std": "stddev", "standard_deviation": "stddev", "var": "variance", "Median": "median", "MAX": "max",
		"95": "p95", "P95": "p95", "q99": "p99", "99.9%": "p99.9", "p99_9": "p99.9", "95Percentile": "p95", "95th_percentile": "p95", "percentile95": "p95",
		"quantile_50": "p50",
	} {
		_, err := stats.ParseStatistic(name)
		require.EqualError(t, err, fmt.Sprintf("unknown statistic %q, did you mean %q?", name, want))
		_, err = stats.ParseStatistic(want)
		require.NoError(t, err)
	}
	for _, name := range []string{"950", "s", "percentile", "0.95.1"} {
		_, err := stats.ParseStatistic(name)
		require.ErrorContains(t, err, "known are", name)
	}
}

func TestSelectionIsInOrderOfOutput(t *testing.T) {
	sel, err := stats.NewSelection([]string{"last", "p99.9", "mode", "p5", "count", "stddev"}, stats.Linear)
	require.NoError(t, err)
	var names []string
	for _, s := range sel.Statistics() {
		names = append(names, s.String())
	}
	require.Equal(t, []string{"count", "stddev", "mode", "p5", "p99.9", "last"}, names)

	sel, err = stats.NewSelection(nil, stats.Linear)
	require.NoError(t, err)
	names = nil
	for _, s := range sel.Statistics() {
		names = append(names, s.String())
	}
	require.Equal(t, []string{"count", "min", "max", "mean", "median", "mode", "mode_error", "p95", "max_error"}, names)
}

func TestSelectionRejectsAStatisticThatIsListedTwice(t *testing.T) {
	_, err := stats.NewSelection([]string{"mean", "p95", "p95.0", "nope"}, stats.Linear)
	require.ErrorContains(t, err, `statistic "p95.0" is listed twice, the first time as "p95"`)
	require.ErrorContains(t, err, `unknown statistic "nope"`)
}

func TestSelectionReadsEveryStatistic(t *testing.T) {
	sel, err := stats.NewSelection([]string{
		"count", "min", "max", "sum", "mean", "range", "stddev", "variance", "median", "mode", "mode_count", "mode_error",
		"p25", "p75", "iqr", "first", "last", "max_error",
	}, stats.Linear)
	require.NoError(t, err)
	s := summaryOf([]float64{4, 1, 2, 2, 6})
	require.InDeltaSlice(t, []float64{5, 1, 6, 15, 3, 5, 2, 4, 2, 2, 2, 0, 2, 4, 2, 4, 6, 0}, sel.Append(nil, s), 1e-15)

	one := sel.Append(nil, summaryOf([]float64{4}))
	require.True(t, math.IsNaN(one[6]) && math.IsNaN(one[7]), "a single value has neither stddev nor variance")
	require.Equal(t, []float64{1, 4, 4, 4, 4, 0}, one[:6])

	empty := sel.Append(nil, new(stats.Summary))
	require.Zero(t, empty[0])
	for _, v := range empty[1:] {
		require.True(t, math.IsNaN(v))
	}
}

// Half of the subnormal just below zero is rounded to −0.
func TestNoSelectedStatisticIsNegativeZero(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 512} {
		for i, v := range mustSelect(t).Append(nil, untimed(limit, []float64{-math.SmallestNonzeroFloat64, 0})) {
			require.False(t, v == 0 && math.Signbit(v), "limit %d, statistic %d", limit, i)
		}
	}
}

func TestMedianOfFloorRankIsInterpolated(t *testing.T) {
	s := summaryOf([]float64{1, 2, 3, 4})
	require.Equal(t, 2.5, s.Median(stats.Linear))
	require.Equal(t, 2.5, s.Median(stats.FloorRank))
	require.Equal(t, 2.0, s.Median(stats.NearestRank))
	require.Equal(t, 3.0, s.Quantile(percentiles("50")[0], stats.FloorRank))
}

func TestMethodNamesReadBack(t *testing.T) {
	for _, m := range []stats.Method{stats.Linear, stats.NearestRank, stats.FloorRank} {
		got, err := stats.ParseMethod(m.String())
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
	_, err := stats.ParseMethod("r7")
	require.EqualError(t, err, `unknown method "r7", known are linear, nearest_rank, floor_rank`)
}
