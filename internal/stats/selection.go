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
}

// NewSelection returns a selection of statistics by name, as users write them; none means [Defaults].
// Naming one statistic twice is an error.
func NewSelection(names []string, m Method) (*Selection, error) {
	if len(names) == 0 {
		return &Selection{stats: Defaults(), method: m}, nil
	}
	sel := &Selection{method: m}
	var errs []error
	for i, name := range names {
		s, err := ParseStatistic(name)
		switch j := slices.Index(sel.stats, s); {
		case err != nil:
			errs = append(errs, err)
		case j >= 0:
			errs = append(errs, fmt.Errorf("statistic %q stands twice, as %q too", names[i], sel.stats[j]))
		default:
			sel.stats = append(sel.stats, s)
		}
	}
	slices.SortFunc(sel.stats, Statistic.Compare)
	return sel, errors.Join(errs...)
}

// Statistics returns what is selected, in order of output. The caller does not change it.
func (sel *Selection) Statistics() []Statistic { return sel.stats }

// Append appends the selected statistics of s to dst, in order of output, and returns the extended
// slice. A statistic that s does not have (stddev of a single value, anything of an empty summary but
// its count) is NaN; all others are finite.
func (sel *Selection) Append(dst []float64, s *Summary) []float64 {
	for _, st := range sel.stats {
		dst = append(dst, s.value(st, sel.method))
	}
	return dst
}

func (s *Summary) value(st Statistic, m Method) float64 {
	if st.kind == Count {
		return float64(s.n)
	}
	if s.n == 0 {
		return math.NaN()
	}
	switch st.kind {
	case Quantile:
		return s.Quantile(st.percentile, m)
	case IQR:
		return saturate(s.Quantile(p75, m) - s.Quantile(p25, m))
	case Median:
		return s.Median(m)
	case First, Last:
		return s.timeValue(st.kind)
	case Mode, ModeCount, ModeError:
		return s.modeValue(st.kind)
	}
	return s.momentValue(st.kind)
}

func (s *Summary) timeValue(k Kind) float64 {
	t := s.timed()
	switch {
	case t == nil:
		return math.NaN()
	case k == First:
		return t.first.value
	}
	return t.last.value
}

func (s *Summary) modeValue(k Kind) float64 {
	value, count := s.Mode()
	switch k {
	case ModeCount:
		return float64(count)
	case ModeError:
		return float64(s.ModeError())
	}
	return value
}

func (s *Summary) momentValue(k Kind) float64 {
	switch k {
	case Min:
		return s.Min()
	case Max:
		return s.Max()
	case Sum:
		return s.Sum()
	case Mean:
		return s.Mean()
	case Range:
		return s.Range()
	case StdDev:
		return s.StdDev()
	case Variance:
		return s.Variance()
	}
	return s.MaxError()
}
