package stats

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Kind is what a [Statistic] measures. The package comment defines each kind.
type Kind uint8

// The kinds in order of output.
const (
	Count Kind = iota
	Min
	Max
	Sum
	Mean
	Range
	StdDev
	Variance
	Median
	Mode
	ModeCount
	ModeError
	Quantile // a percentile, p<q>
	IQR
	First
	Last
	MaxError
	numKinds // how many kinds there are
)

// kinds defines every kind: its name, and the function that reads it from a summary. The summary is not empty.
var kinds = [numKinds]struct {
	name string
	read func(s *Summary, p Percentile, m Method) float64
}{
	Count:     {"count", func(s *Summary, _ Percentile, _ Method) float64 { return float64(s.Count()) }},
	Min:       {"min", func(s *Summary, _ Percentile, _ Method) float64 { return s.Min() }},
	Max:       {"max", func(s *Summary, _ Percentile, _ Method) float64 { return s.Max() }},
	Sum:       {"sum", func(s *Summary, _ Percentile, _ Method) float64 { return s.Sum() }},
	Mean:      {"mean", func(s *Summary, _ Percentile, _ Method) float64 { return s.Mean() }},
	Range:     {"range", func(s *Summary, _ Percentile, _ Method) float64 { return s.Range() }},
	StdDev:    {"stddev", func(s *Summary, _ Percentile, _ Method) float64 { return s.StdDev() }},
	Variance:  {"variance", func(s *Summary, _ Percentile, _ Method) float64 { return s.Variance() }},
	Median:    {"median", func(s *Summary, _ Percentile, m Method) float64 { return s.Median(m) }},
	Mode:      {"mode", func(s *Summary, _ Percentile, _ Method) float64 { v, _ := s.Mode(); return v }},
	ModeCount: {"mode_count", func(s *Summary, _ Percentile, _ Method) float64 { _, n := s.Mode(); return float64(n) }},
	ModeError: {"mode_error", func(s *Summary, _ Percentile, _ Method) float64 { return float64(s.ModeError()) }},
	Quantile:  {"p<q>", (*Summary).Quantile},
	IQR:       {"iqr", func(s *Summary, _ Percentile, m Method) float64 { return s.IQR(m) }},
	First:     {"first", func(s *Summary, _ Percentile, _ Method) float64 { return s.First() }},
	Last:      {"last", func(s *Summary, _ Percentile, _ Method) float64 { return s.Last() }},
	MaxError:  {"max_error", func(s *Summary, _ Percentile, _ Method) float64 { return s.MaxError() }},
}

// Names returns the names of all statistics as users write them, in order of output, with "p<q>" for the percentiles.
func Names() []string {
	names := make([]string, len(kinds))
	for k := range kinds {
		names[k] = kinds[k].name
	}
	return names
}

// Statistic is a number that describes the values of a summary. The zero Statistic is count. Statistics are
// comparable.
type Statistic struct {
	kind       Kind
	percentile Percentile // of a Quantile
}

// Defaults returns the statistics that are selected if the user names none. [NewSelection] adds max_error and
// mode_error for summaries that are not exact.
func Defaults() []Statistic {
	return []Statistic{
		{kind: Count}, {kind: Min}, {kind: Max}, {kind: Mean}, {kind: Median}, {kind: Mode},
		{kind: Quantile, percentile: Percentile{num: 95}},
	}
}

// UnknownStatistic is the error for a name that no statistic has. Use errors.As to find it.
type UnknownStatistic struct {
	Name  string
	Meant string // our name, if other programs have that one for it, as "avg" for "mean"; otherwise ""
}

// Error suggests the name that was meant, or else lists the known ones.
func (e UnknownStatistic) Error() string {
	if e.Meant != "" {
		return fmt.Sprintf("unknown statistic %q, did you mean %q?", e.Name, e.Meant)
	}
	return fmt.Sprintf("unknown statistic %q, known are %s", e.Name, strings.Join(Names(), ", "))
}

// ParseStatistic reads the name of a statistic as users write it: "mean", "p95", "p99.9". The error for an unknown name is an
// [UnknownStatistic]. The error for a percentile is that of [ParsePercentile].
func ParseStatistic(name string) (Statistic, error) {
	if i := slices.Index(Names(), name); i >= 0 && Kind(i) != Quantile {
		return Statistic{kind: Kind(i)}, nil
	}
	if rank, ok := strings.CutPrefix(name, "p"); ok && rank != "" && strings.Trim(rank, "0123456789.") == "" {
		p, err := ParsePercentile(rank)
		if err != nil {
			return Statistic{}, fmt.Errorf("statistic %q: %w", name, err)
		}
		return Statistic{kind: Quantile, percentile: p}, nil
	}
	return Statistic{}, UnknownStatistic{Name: name, Meant: synonym(name)}
}

// Kind returns what the statistic measures.
func (s Statistic) Kind() Kind { return s.kind }

// String returns the name of the statistic as users write it. ParseStatistic accepts the name.
func (s Statistic) String() string {
	if s.kind == Quantile {
		return "p" + s.percentile.String()
	}
	return kinds[s.kind].name
}

// isError reports whether the statistic is the error of other statistics. Such a statistic is 0 for an exact summary.
func (s Statistic) isError() bool { return s.kind == ModeError || s.kind == MaxError }

// Compare returns a negative number, 0 or a positive number if s comes before t in the output, is equal to t, or
// comes after it. The order is that of kinds, and of ranks among percentiles.
func (s Statistic) Compare(t Statistic) int {
	if c := cmp.Compare(s.kind, t.kind); c != 0 {
		return c
	}
	return s.percentile.Compare(t.percentile)
}
