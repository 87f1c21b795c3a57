package stats

import "slices"

// maxRaw is how many values are kept one by one. More are kept with their counts.
const maxRaw = 512

// raw keeps every value. The zero raw is empty.
type raw struct {
	values []float64 // the first sorted of them ascending, then in order of arrival; values may repeat
	sorted int32
	limit  int32 // the exact limit of the summary, or 0 for the default; it is here because there is room
}

// drop lets go of the values.
func (r *raw) drop() { r.values, r.sorted = nil, 0 }

// add appends values. Memory grows in small steps: most summaries are in here most of the time.
func (r *raw) add(vs []float64) {
	if need := len(r.values) + len(vs); need > cap(r.values) {
		const small = 128
		size := max(cap(r.values), 16)
		for size < need {
			size += max(min(size, small), size/8)
		}
		r.values = append(make([]float64, 0, size), r.values...)
	}
	r.values = append(r.values, vs...)
}

// addCounted appends ascending values, each as often as it is counted; nil counts are 1 each.
func (r *raw) addCounted(values []float64, counts []uint64) {
	if counts == nil {
		r.add(values)
		return
	}
	repeated := make([]float64, 0, total(counts))
	for i, v := range values {
		for range counts[i] {
			repeated = append(repeated, v)
		}
	}
	r.add(repeated)
}

// settle sorts what came since it was last called into the rest, and returns all values.
func (r *raw) settle() []float64 {
	tail := r.values[r.sorted:]
	if len(tail) == 0 {
		return r.values
	}
	sortFloats(tail)
	if head := r.values[:r.sorted]; len(head) > 0 && head[len(head)-1] > tail[0] {
		mergeTail(r.values, len(head))
	}
	r.sorted = int32(len(r.values))
	return r.values
}

// mergeTail merges the ascending values from head on into the ascending ones before.
func mergeTail(values []float64, head int) {
	var space [64]float64
	tail := append(space[:0], values[head:]...)
	i, j := head-1, len(tail)-1
	for k := len(values) - 1; j >= 0; k-- {
		if i >= 0 && values[i] > tail[j] {
			values[k] = values[i]
			i--
		} else {
			values[k] = tail[j]
			j--
		}
	}
}

func (r *raw) clone() raw {
	return raw{values: slices.Clone(r.values), sorted: r.sorted, limit: r.limit}
}

// runs returns the distinct ones of ascending values with their counts, which are nil where no value repeats.
func runs(values []float64) (distinct []float64, counts []uint64) {
	n := distinctOf(values)
	if n == len(values) {
		return values, nil
	}
	distinct, counts = make([]float64, 0, n), make([]uint64, 0, n)
	for i, v := range values {
		if i == 0 || v != values[i-1] {
			distinct, counts = append(distinct, v), append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	return distinct, counts
}

// distinctOf returns how many of ascending values are distinct.
func distinctOf(values []float64) (n int) {
	for i := range values {
		if i == 0 || values[i] != values[i-1] {
			n++
		}
	}
	return n
}
