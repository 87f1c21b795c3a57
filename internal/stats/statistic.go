package stats

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Kind says what a [Statistic] tells of the values.
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
)

var kindNames = [...]string{
	Count: "count", Min: "min", Max: "max", Sum: "sum", Mean: "mean", Range: "range",
	StdDev: "stddev", Variance: "variance", Median: "median",
	Mode: "mode", ModeCount: "mode_count", ModeError: "mode_error",
	Quantile: "p<q>", IQR: "iqr", First: "first", Last: "last", MaxError: "max_error",
}

// Statistic is one thing to tell of the values of a summary. The zero Statistic is count.
// Statistics are comparable.
type Statistic struct {
	kind       Kind
	percentile Percentile // of a Quantile
}

// Defaults returns the statistics that are computed where none are named.
func Defaults() []Statistic {
	return []Statistic{
		{kind: Count}, {kind: Min}, {kind: Max}, {kind: Mean}, {kind: Median}, {kind: Mode},
		{kind: Quantile, percentile: Percentile{num: 95}},
	}
}

// ParseStatistic reads the name of a statistic as users write it: "mean", "p95", "p99.9". The error
// for an unknown name lists the known ones.
func ParseStatistic(name string) (Statistic, error) {
	if i := slices.Index(kindNames[:], name); i >= 0 && Kind(i) != Quantile {
		return Statistic{kind: Kind(i)}, nil
	}
	if rank, ok := strings.CutPrefix(name, "p"); ok && rank != "" && strings.Trim(rank, "0123456789.") == "" {
		p, err := ParsePercentile(rank)
		if err != nil {
			return Statistic{}, fmt.Errorf("statistic %q: %w", name, err)
		}
		return Statistic{kind: Quantile, percentile: p}, nil
	}
	return Statistic{}, fmt.Errorf("unknown statistic %q, known are %s", name, strings.Join(kindNames[:], ", "))
}

// Kind returns what the statistic tells.
func (s Statistic) Kind() Kind { return s.kind }

// String returns the name of the statistic as users write it; ParseStatistic reads it back.
func (s Statistic) String() string {
	if s.kind == Quantile {
		return "p" + s.percentile.String()
	}
	return kindNames[s.kind]
}

// Compare orders statistics by output: by kind, percentiles by rank.
func (s Statistic) Compare(t Statistic) int {
	if c := cmp.Compare(s.kind, t.kind); c != 0 {
		return c
	}
	return s.percentile.Compare(t.percentile)
}
