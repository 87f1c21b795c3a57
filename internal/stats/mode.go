package stats

import "math"

// Mode returns the most frequent value, the smallest among ties, and how often it occurs; NaN and 0 of
// an empty summary. Of a histogram it is the value that most surely occurs often, and the count a lower bound: of 16
// candidates (see [Summary.ModeError]), or the smallest value where all look distinct.
func (s *Summary) Mode() (value float64, count uint64) {
	switch {
	case s.Count() == 0:
		return math.NaN(), 0
	case s.hist != nil:
		return s.hist.mode()
	}
	return s.exact.order().mode()
}

// ModeError returns how far the count of another value could exceed the count that Mode returns: 0 while s is
// exact, and at most n/17 as a histogram.
func (s *Summary) ModeError() uint64 {
	if s.hist == nil {
		return 0
	}
	return s.hist.heavy.missed
}
