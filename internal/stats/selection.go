package stats

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Selection is a list of statistics to read from summaries. It is immutable and safe for concurrent
// use.
type Selection struct {
	stats  []Statistic // in order of output
	method Method
	// standard is true for the default list, in which max_error and mode_error are absent while a summary is exact.
	standard bool
}

// NewSelection returns a selection of statistics by their names. Without names it selects [Defaults], and also
// max_error and mode_error for summaries that are not exact. A name that is unknown, or that occurs twice, is an
// error; "p95" and "p95.0" are one statistic. The error joins all faults, and the selection must not be used then. NewSelection does not keep
// names.
func NewSelection(names []string, m Method) (*Selection, error) {
	if len(names) == 0 {
		sel := &Selection{stats: append(Defaults(), Statistic{kind: ModeError}, Statistic{kind: MaxError}), method: m, standard: true}
		slices.SortFunc(sel.stats, Statistic.Compare)
		return sel, nil
	}
	sel := &Selection{method: m}
	var errs []error
	for i, name := range names {
		s, err := ParseStatistic(name)
		switch j := slices.Index(sel.stats, s); {
		case err != nil:
			errs = append(errs, err)
		case j >= 0:
			errs = append(errs, fmt.Errorf("statistic %q is listed twice, the first time as %q", names[i], sel.stats[j].String()))
		default:
			sel.stats = append(sel.stats, s)
		}
	}
	slices.SortFunc(sel.stats, Statistic.Compare)
	return sel, errors.Join(errs...)
}

// Statistics returns the selected statistics in order of output. The caller must not change the slice.
func (sel *Selection) Statistics() []Statistic { return sel.stats }

// Append appends the selected statistics of s to dst, in order of output, and returns the extended slice.
//
// A statistic that s does not have is NaN: the standard deviation of a single value, everything but the count of an
// empty summary, first and last of values without times, and in the default list max_error and mode_error of an exact
// summary. All others are finite, and 0 is never −0. If a summary has a statistic, it still has it after more values are
// added, except first and last if the values have no times.
func (sel *Selection) Append(dst []float64, s *Summary) []float64 {
	// The default list leaves out max_error and mode_error of an exact summary, which are 0.
	empty, exact := s.Count() == 0, sel.standard && s.Exact()
	for _, st := range sel.stats {
		v := math.NaN()
		if st.kind == Count || !empty && (!exact || !st.isError()) {
			v = kinds[st.kind].read(s, st.percentile, sel.method)
		}
		dst = append(dst, v+0) // a mean or quantile that underflows from below zero is 0, not −0
	}
	return dst
}
