package stats

import "math"

// times are the first and the last value by time.
type times struct{ first, last point }

// point is a value at a time.
type point struct {
	time  int64   // nanoseconds since 1970
	value float64 // finite
}

// include adds a point after all others. Among points of the same time, first is the one that was added first and
// last the one that was added last.
func (t *times) include(p point) {
	if p.time < t.first.time {
		t.first = p
	}
	if p.time >= t.last.time {
		t.last = p
	}
}

// merge adds the points of o, as if each had been added after those of t.
func (t *times) merge(o *times) {
	if o.first.time < t.first.time {
		t.first = o.first
	}
	if o.last.time >= t.last.time {
		t.last = o.last
	}
}

// First returns the value with the smallest time. Among several values of that time, it is the one that was added
// first. It is NaN for an empty summary, and unless all values were added with a time.
func (s *Summary) First() float64 {
	if s.times == nil {
		return math.NaN()
	}
	return s.times.first.value
}

// Last returns the value with the largest time. Among several values of that time, it is the one that was added last.
// It is NaN for an empty summary, and unless all values were added with a time.
func (s *Summary) Last() float64 {
	if s.times == nil {
		return math.NaN()
	}
	return s.times.last.value
}

// note updates the first and the last value before values are added. If there are values without a time, it removes
// both.
func (s *Summary) note(vs []float64, at []int64) {
	empty := s.Count() == 0
	if empty {
		s.times = nil
	}
	for i, v := range vs {
		switch {
		case v-v != 0: // NaN and infinities are not added
		case at == nil:
			s.times = nil
			return
		case empty:
			p := point{at[i], v + 0}
			s.times = &times{p, p}
			empty = false
		case s.times != nil:
			s.times.include(point{at[i], v + 0})
		}
	}
}

// mergeTimes updates the first and the last value before the values of o are added.
func (s *Summary) mergeTimes(o *Summary) {
	switch {
	case o.times == nil || s.times == nil && s.Count() > 0:
		s.times = nil
	case s.Count() == 0:
		merged := *o.times
		s.times = &merged
	default:
		s.times.merge(o.times)
	}
}
