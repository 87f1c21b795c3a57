// Package stats turns values into the statistics that describe them.
//
// A [Summary] is the mergeable state of the values of one field: values go in with Add, summaries
// come together with Merge, and a [Selection] reads statistics out. The package knows numbers alone:
// no time zones, no names of fields, no series.
//
// # Definitions
//
// With x₀ ≤ x₁ ≤ … ≤ xₙ₋₁ the n values in ascending order:
//
//   - count is n, min is x₀, max is xₙ₋₁, range is max − min.
//   - sum is Σx, mean is Σx/n. Both are computed with compensated summation (Neumaier 1974): of an exact
//     summary over the values in ascending order, so that the order of arrival does not matter, and of a
//     histogram as they come, where it may change the last digit.
//   - variance is Σ(x−mean)²/(n−1), stddev its square root. Both are absent at n = 1.
//   - A percentile p<q> is the quantile q/100 by one of three methods (see [Method]). median is the
//     middle value, or half the sum of the two middle values, except that with [NearestRank] it is
//     p50. iqr is p75 − p25.
//   - mode is the most frequent value, the smallest among ties; mode_count says how often it occurs,
//     mode_error how far a rival's count could exceed that.
//   - first and last are the values with the smallest and the largest event time. Among values of the
//     same time, first is the one that came first and last the one that came last.
//   - max_error is the worst relative error of the summary's quantiles: 0 while it is exact. Where magnitudes
//     are not within a factor of 65,536, values far below the largest have a larger one, see [Summary.MaxError].
//
// Of a summary that is no longer exact (see [Summary]), quantiles are within max_error and mode is what its
// candidates tell; all else is as above.
//
// Every result is finite. What would be beyond the range of float64 (the sum of huge values, say) is
// given as ±math.MaxFloat64. NaN and the infinities are no values: Add refuses them. −0 counts as 0.
package stats
