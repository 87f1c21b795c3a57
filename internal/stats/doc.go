// Package stats turns values into the statistics that describe them.
//
// A [Summary] is the mergeable state of the values of one field. [Summary.Add] adds a value, [Summary.Merge] adds the
// values of another summary, and a [Selection] reads statistics. The package works on numbers alone: it has no time
// zones, no names of fields and no series.
//
// # Definitions
//
// With x₀ ≤ x₁ ≤ … ≤ xₙ₋₁ the n values in ascending order:
//
//   - count is n, min is x₀, max is xₙ₋₁, range is max − min.
//   - sum is Σx, and mean is Σx/n.
//   - variance is Σ(x−mean)²/(n−1), stddev its square root. Both are absent at n = 1.
//   - A percentile p<q> is the quantile q/100 by one of three methods (see [Method]). median is the middle value, or
//     half the sum of the two middle values. With [NearestRank], median is p50. iqr is p75 − p25.
//   - mode is the most frequent value, the smallest among ties. mode_count is how often it occurs. mode_error is an
//     upper bound: no other value occurs more than mode_count + mode_error times.
//   - first and last are the values with the smallest and the largest event time. Among values of the same time,
//     first is the value that was added first and last the value that was added last.
//   - max_error is the largest relative error of the quantiles, 0 while the summary is exact. Quantiles far below the
//     largest value may have a larger error: see [Summary.MaxError].
//
// Every result is finite: a result beyond the range of float64, such as the sum of huge values, is ±math.MaxFloat64.
// NaN and the infinities are not values, and Add rejects them. −0 counts as 0.
//
// # Life cycle of a summary
//
//	           New, Reset
//	               │
//	               ▼
//	      ┌─────────────────┐  over 512 values, or over 8 that seem to repeat   ┌────────────────────┐
//	Add ─▶│ single values,  │ ────────────────────────────────────────────────▶ │ table of distinct  │◀─ Add
//	Merge │ 8 bytes each    │ ◀──────────────────────────────────────────────── │ values with counts,│   Merge
//	      └─────────────────┘  few values, and a table takes more memory        │ 16 bytes each      │
//	               │                                                            └────────────────────┘
//	               │ more values than the limit and more than                             │
//	               │ half as many distinct ones, or Demote                                │
//	               │                       ┌──────────────────────────┐                   │
//	               └──────────────────────▶│ histogram: counts by bin,│◀──────────────────┘
//	                               Add ───▶│ moments, candidates for  │
//	                               Merge   │ the mode                 │
//	                                       └──────────────────────────┘
//
// The first two forms are exact, and no result depends on which of the two a summary has. A histogram stays a
// histogram until Reset.
//
// # Accuracy
//
// An exact summary has the exact count, min, max, range, mode, first, last and order statistics. Sums are compensated
// (Neumaier 1974): their error is one rounding and at most n²·2^-106·Σ|x| for n distinct values (Ogita, Rump and
// Oishi 2005). So 1e16, 1, −1e16, 1 have the sum 2, but 1e100, 1e50, 1, 2, −1e50, −1e100 have the sum 0. The values
// are added in ascending order, so all statistics but first and last of two exact summaries of the same values are
// equal to the last bit.
//
// A histogram has the exact count, min and max. Its sums are compensated too, but the values are added in the order and in
// the blocks of Add and AddAll, which may change the last digits, and the mode within mode_error. Its quantiles are within
// max_error, and its mode_count within mode_error.
//
// Counts above 2^53 are rounded to float64 in the mean and the variance, and as statistics.
package stats
