package stats

import "math"

// Mode returns the most frequent value, the smallest among ties, and how often it occurs; NaN and 0 of
// an empty summary.
func (s *Summary) Mode() (value float64, count uint64) {
	if s.n == 0 {
		return math.NaN(), 0
	}
	s.settle()
	value, count = s.values[0], s.countAt(0)
	for i, c := range s.counts {
		if c > count {
			value, count = s.values[i], c
		}
	}
	return value, count
}

// ModeError returns how far the count of another value could exceed that of the mode: always 0, as s
// is exact.
func (s *Summary) ModeError() uint64 { return 0 }
