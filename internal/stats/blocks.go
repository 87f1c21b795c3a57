package stats

// AddBlocks makes s what it would be, to the last bit, if [Summary.AddAll] had been called for each block of values: for
// the first sizes[0] of vs and, unless at is nil, of at, then for the next sizes[1], and so on. The sizes are not negative,
// and their sum is the number of values. AddBlocks keeps none of the slices.
//
// The sums of a histogram depend on the blocks in their last bits, and its mode may too, within [Summary.ModeError]. The values of an
// exact summary do not, so they are added at once.
func (s *Summary) AddBlocks(vs []float64, at []int64, sizes []int) { s.addBlocks(vs, at, sizes, 0) }

// addBlocks is AddBlocks with an estimate of how many more values will come.
func (s *Summary) addBlocks(vs []float64, at []int64, sizes []int, more int) {
	if s.addSingle(vs, at, more) {
		return
	}
	if s.histogram() == nil && s.exact.count()+uint64(len(vs)) <= s.exact.maxExact() {
		s.AddAll(vs, at)
		return
	}
	var times []int64
	for _, n := range sizes {
		if at != nil {
			times, at = at[:n], at[n:]
		}
		s.AddAll(vs[:n], times)
		vs = vs[n:]
	}
}

// addSingle adds values to a summary that keeps all of them one by one. It allocates memory for all of them at once, and for those that
// will come. It returns false and adds none if the summary keeps them in another form, or if they are not plain. With AddAll,
// BenchmarkAddBlocks/blocks=12/rows=3/data=continuous/with=blocks took 0.47 µs instead of 0.19.
func (s *Summary) addSingle(vs []float64, at []int64, more int) bool {
	x := &s.exact
	if s.hist != nil || x.table != nil || len(vs) == 0 || !x.keepsSingle(vs) {
		return false
	}
	if _, _, plain := span(vs); !plain {
		return false
	}
	if s.times != nil || at != nil {
		s.note(vs, at)
	}
	x.growTo(len(x.single)+len(vs), more)
	x.single = append(x.single, vs...)
	return true
}
