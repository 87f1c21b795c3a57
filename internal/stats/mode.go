package stats

import "math"

// Mode returns the most frequent value, the smallest among ties, and how often it occurs. For an empty summary, it
// returns NaN and 0. For a histogram, it returns the candidate with the largest lower bound of its count, and that
// bound. If no bound is above 1, no value is known to repeat, and it returns the smallest value and 1.
func (s *Summary) Mode() (value float64, count uint64) {
	switch {
	case s.Count() == 0:
		return math.NaN(), 0
	case s.histogram() != nil:
		return s.histogram().mode()
	}
	return s.exact.mode()
}

// ModeError returns by how much the count of another value can at most exceed the count that Mode returns. It is 0
// for an exact summary, and at most n/17 for a histogram of n values.
func (s *Summary) ModeError() uint64 {
	if s.histogram() == nil {
		return 0
	}
	return s.histogram().heavy.missed
}
