package stats

import "slices"

// minPending is how many values a tally collects at least before it sorts them in.
const minPending = 512

// tally keeps every distinct value with its count, as many as there are: 8 bytes a distinct value, 16 once
// a value has occurred twice, and up to half as much again for values that are not sorted in yet. The
// zero tally is empty.
type tally struct {
	values  []float64 // distinct and ascending
	counts  []uint64  // how often each occurred, or nil while that is once for each
	pending []float64 // added and not yet in values, in order of arrival
}

func (t *tally) add(vs []float64) {
	t.makeRoom(len(vs))
	t.pending = append(t.pending, vs...)
}

// makeRoom sorts in what is pending where n more would be many.
func (t *tally) makeRoom(n int) {
	if len(t.pending)+n > max(minPending, len(t.values)/2) {
		t.settle()
	}
}

// insertAll adds other values, each with its count; nil counts are 1 each. With counts they are ascending. A few values
// wait for others, as sorting them in takes time in proportion to all there are.
func (t *tally) insertAll(values []float64, counts []uint64) {
	if counts == nil {
		t.add(values)
		return
	}
	n := total(counts)
	if n > minPending {
		t.settle()
		t.insert(values, counts)
		return
	}
	t.makeRoom(int(n))
	for i, v := range values {
		for range counts[i] {
			t.pending = append(t.pending, v)
		}
	}
}

// settle sorts pending into values.
func (t *tally) settle() {
	if len(t.pending) == 0 {
		return
	}
	sortFloats(t.pending)
	t.insert(t.pending, nil)
	t.pending = t.pending[:0]
}

// insert merges other ascending values into t, whose pending is empty or what is inserted. Without counts
// each occurs once and may be repeated.
func (t *tally) insert(values []float64, counts []uint64) {
	added, repeated := t.compare(values)
	if t.counts == nil && (repeated || counts != nil) {
		t.counts = ones(len(t.values), len(t.values)+added)
	}
	t.merge(values, counts, added)
}

// compare returns how many distinct values are not yet in t, and whether any occurs twice.
func (t *tally) compare(values []float64) (added int, repeated bool) {
	i := 0
	for j, v := range values {
		if j > 0 && v == values[j-1] {
			repeated = true
			continue
		}
		for i < len(t.values) && t.values[i] < v {
			i++
		}
		if i < len(t.values) && t.values[i] == v {
			repeated = true
			continue
		}
		added++
	}
	return added, repeated
}

// merge makes room for added new values and fills it from the largest value down, so that nothing is
// overwritten before it has moved. In t.counts, where there are counts, each value keeps its own.
func (t *tally) merge(values []float64, counts []uint64, added int) {
	i, j := len(t.values)-1, len(values)-1
	t.values = slices.Grow(t.values, added)[:len(t.values)+added]
	if t.counts != nil {
		t.counts = slices.Grow(t.counts, added)[:len(t.values)]
	}
	for k := len(t.values) - 1; j >= 0; k-- {
		v, c := values[j], uint64(0)
		if i >= 0 && t.values[i] > v {
			v, c = t.values[i], countOf(t.counts, i)
			i--
		} else {
			for j >= 0 && values[j] == v {
				c += countOf(counts, j)
				j--
			}
			if i >= 0 && t.values[i] == v {
				c += countOf(t.counts, i)
				i--
			}
		}
		t.values[k] = v
		if t.counts != nil {
			t.counts[k] = c
		}
	}
}

func (t *tally) clone() *tally {
	return &tally{values: slices.Clone(t.values), counts: slices.Clone(t.counts), pending: slices.Clone(t.pending)}
}

func countOf(counts []uint64, i int) uint64 {
	if counts == nil {
		return 1
	}
	return counts[i]
}

func ones(n, capacity int) []uint64 {
	counts := make([]uint64, n, capacity)
	for i := range counts {
		counts[i] = 1
	}
	return counts
}
