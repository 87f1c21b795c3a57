package stats

import "fmt"

// This file gives the tests in package stats_test access to unexported state.

// Bins returns the parts of a histogram that depend on the values alone, as text.
func (s *Summary) Bins() string {
	h := s.histogram()
	return fmt.Sprintf("%d %d %g %g %t %x %x", h.scale, h.zero, h.min, h.max, h.fractional, h.positive.append(nil), h.negative.append(nil))
}

// Candidates returns the candidates for the mode of a histogram with the lower bounds of their counts.
func (s *Summary) Candidates() map[float64]uint64 {
	bounds := make(map[float64]uint64)
	for _, c := range s.histogram().heavy.kept() {
		bounds[c.value] = c.count
	}
	return bounds
}

// ValueAt returns the value with the given rank, which a histogram estimates.
func (s *Summary) ValueAt(rank uint64) float64 {
	if s.histogram() != nil {
		return s.histogram().at(rank)
	}
	return s.exact.order().at(rank)
}

// HasCounts reports whether an exact summary keeps counts of its values.
func (s *Summary) HasCounts() bool {
	return s.exact.table != nil && s.exact.order().counts != nil
}

// Readable reports whether a kind can be read from a summary.
func Readable(k Kind) bool { return kinds[k].name != "" && kinds[k].read != nil }
