package stats

import "math"

// Mode returns the most frequent value, the smallest among ties, and how often it occurs. It returns NaN and 0 of an empty
// summary. Of a histogram, it returns the candidate with the largest lower bound of its count, and that bound. If no bound
// is above 1, the values look all distinct, and it returns the smallest value and 1.
func (s *Summary) Mode() (value float64, count uint64) {
	switch {
	case s.Count() == 0:
		return math.NaN(), 0
	case s.histogram() != nil:
		return s.histogram().mode()
	}
	return s.exact.order().mode()
}

// ModeError returns how far the count of another value could exceed the count that Mode returns. It is 0 while s is exact,
// and at most n/17 of a histogram.
func (s *Summary) ModeError() uint64 {
	if s.histogram() == nil {
		return 0
	}
	return s.histogram().heavy.missed
}
