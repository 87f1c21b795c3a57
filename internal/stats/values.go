package stats

// Distinct returns how many different values an exact summary has. It returns 0 for a histogram, which does not keep its
// values.
func (s *Summary) Distinct() uint64 {
	if !s.Exact() {
		return 0
	}
	return uint64(s.exact.order().distinct())
}

// Values calls yield for each different value of an exact summary, in ascending order, until yield returns false. It
// yields none for a histogram, which does not keep its values. yield must not change s.
func (s *Summary) Values(yield func(v float64) bool) {
	if !s.Exact() {
		return
	}
	o := s.exact.order()
	for i := 0; i < len(o.values); {
		_, next := o.run(i)
		if !yield(o.values[i]) {
			return
		}
		i = next
	}
}
