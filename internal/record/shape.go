package record

import (
	"math"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Shape is the form that the statistics of a selection have in records: their names and types. It is immutable.
type Shape struct {
	names  []string // by [StatName]
	counts []bool   // whether a statistic is the count, which is an integer; all others are floats
}

// ShapeOf returns the shape of the statistics of a selection.
func ShapeOf(sel *stats.Selection) Shape {
	all := sel.Statistics()
	s := Shape{names: make([]string, len(all)), counts: make([]bool, len(all))}
	for i, st := range all {
		s.names[i] = StatName(st)
		s.counts[i] = IsCount(s.names[i])
	}
	return s
}

// Append appends statistics to those of a record, and returns the extended slice. values are all that [stats.Selection.Append] has
// appended for one summary. Those that are NaN, which the summary does not have, are left out.
func (s Shape) Append(dst []Stat, values []float64) []Stat {
	for i, v := range values {
		switch {
		case math.IsNaN(v):
		case s.counts[i]:
			dst = append(dst, Stat{Name: s.names[i], Value: int64(v)})
		default:
			dst = append(dst, Stat{Name: s.names[i], Value: v})
		}
	}
	return dst
}
