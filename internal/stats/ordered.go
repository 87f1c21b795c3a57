package stats

import "slices"

// ordered holds values in ascending order and how often each occurs. Exact values are read, merged and encoded in
// this form.
//
// With counts, the values are distinct, and values[i] occurs counts[i] times. Without counts, values may repeat, and
// each element counts once.
//
// It is a value of two slices, so a copy of it shares their memory. The comment of a method that changes the elements mentions it.
type ordered struct {
	values []float64 // finite, ascending
	counts []uint64  // nil, or as long as values and all above 0
}

// run returns how often values[i] occurs, and the position of the next distinct value. i must be the first position
// of its value.
func (o ordered) run(i int) (count uint64, next int) {
	if o.counts != nil {
		return o.counts[i], i + 1
	}
	for next = i + 1; next < len(o.values) && o.values[next] == o.values[i]; {
		next++
	}
	return uint64(next - i), next
}

// distinct returns how many distinct values there are.
func (o ordered) distinct() int {
	if o.counts != nil || len(o.values) == 0 {
		return len(o.values)
	}
	n := 1
	for i, v := range o.values[1:] {
		if v != o.values[i] {
			n++
		}
	}
	return n
}

// compact returns the values in the form with distinct values: with counts if a value occurs twice, or else without.
// The result may share memory with o.
func (o ordered) compact() ordered {
	n := o.distinct()
	if n == len(o.values) {
		return o
	}
	c := ordered{make([]float64, 0, n), make([]uint64, 0, n)}
	for i := 0; i < len(o.values); {
		count, next := o.run(i)
		c.values, c.counts = append(c.values, o.values[i]), append(c.counts, count)
		i = next
	}
	return c
}

// total returns how many values there are.
func (o ordered) total() uint64 {
	if o.counts == nil {
		return uint64(len(o.values))
	}
	var n uint64
	for _, c := range o.counts {
		n += c
	}
	return n
}

// count returns the count of values[i].
func (o ordered) count(i int) uint64 {
	if o.counts == nil {
		return 1
	}
	return o.counts[i]
}

// min returns the smallest value, and max the largest. There must be one.
func (o ordered) min() float64 { return o.values[0] }

func (o ordered) max() float64 { return o.values[len(o.values)-1] }

// at returns the value with the given rank, 0 for the smallest. The rank must be below the total.
func (o ordered) at(rank uint64) float64 {
	if o.counts == nil {
		return o.values[rank]
	}
	i := 0
	for ; rank >= o.counts[i]; i++ {
		rank -= o.counts[i]
	}
	return o.values[i]
}

// mode returns the most frequent value, the smallest among ties, and its count. There is at least one value.
func (o ordered) mode() (value float64, count uint64) {
	if o.counts == nil {
		return o.longestRun()
	}
	value, count = o.values[0], o.counts[0]
	for i, c := range o.counts {
		if c > count {
			value, count = o.values[i], c
		}
	}
	return value, count
}

// longestRun is mode for values without counts. It compares each value with the one n places further, where n is the
// length of the longest run so far. So it needs only one comparison for each value: with the method run,
// BenchmarkSelection/limit=512/data=sensor250 took 7.2 µs instead of 5.9.
func (o ordered) longestRun() (value float64, count uint64) {
	value, longest := o.values[0], 1
	for i := 0; i+longest < len(o.values); {
		if o.values[i+longest] == o.values[i] {
			value = o.values[i]
			longest++
		} else {
			i++
		}
	}
	return value, uint64(longest)
}

// search finds the positions of at most batchSize values by binary search, and stores them in at. A value that is not
// in o gets the position of the next smaller value, or 0 if there is none. o has at least one value, and its values
// are distinct.
//
// All searches run at the same time, step by step, and no branch depends on the data, so the processor overlaps them.
// With slices.BinarySearch for each value, BenchmarkAddMore/limit=512/data=sensor250 took 16 ns a value instead of 13.
func (o ordered) search(vs []float64, at *[batchSize]int32) {
	clear(at[:])
	for n := len(o.values); n > 1; {
		half := int32(n / 2)
		for k, v := range vs {
			i := &at[k&(batchSize-1)]
			*i += half & -toInt(o.values[*i+half] <= v)
		}
		n -= int(half)
	}
}

// toInt returns 1 for true and 0 for false. The compiler generates no branch for it.
func toInt(b bool) (i int32) {
	if b {
		i = 1
	}
	return i
}

// merge adds the values of b. The values of each are distinct.
func (o *ordered) merge(b ordered) {
	added := o.missing(b)
	if o.counts == nil && (b.counts != nil || added < len(b.values)) {
		o.counts = ones(len(o.values), len(o.values)+added)
	}
	o.insert(b, added)
}

// missing returns how many values of b are not in o. The values of each are distinct.
func (o ordered) missing(b ordered) (n int) {
	i := 0
	for _, v := range b.values {
		for i < len(o.values) && o.values[i] < v {
			i++
		}
		if i == len(o.values) || o.values[i] != v {
			n++
		}
	}
	return n
}

// insert adds the values of b. missing is how many of them are not in o. It moves values from the largest to the
// smallest, so that no value is overwritten before it was moved.
func (o *ordered) insert(b ordered, missing int) {
	i, j := len(o.values)-1, len(b.values)-1
	o.values = grown(o.values, missing)
	if o.counts != nil {
		o.counts = grown(o.counts, missing)
	}
	for k := len(o.values) - 1; j >= 0; k-- {
		v, c := b.values[j], b.count(j)
		switch {
		case i >= 0 && o.values[i] > v:
			v, c = o.values[i], o.count(i)
			i--
		case i >= 0 && o.values[i] == v:
			c += o.count(i)
			i--
			j--
		default:
			j--
		}
		o.values[k] = v
		if o.counts != nil {
			o.counts[k] = c
		}
	}
}

// splice adds the values of b. No value of b may be in o. It is faster than insert if b has few values: with insert,
// BenchmarkAdd/limit=512/data=sensor250/n=1440 took 46 µs instead of 32.
func (o *ordered) splice(b ordered) {
	end := len(o.values)
	o.values = grown(o.values, len(b.values))
	if o.counts != nil {
		o.counts = grown(o.counts, len(b.values))
	}
	for j := len(b.values) - 1; j >= 0; j-- {
		v := b.values[j]
		if end > 0 && o.values[end-1] > v {
			at, _ := slices.BinarySearch(o.values[:end], v)
			copy(o.values[at+j+1:], o.values[at:end])
			if o.counts != nil {
				copy(o.counts[at+j+1:], o.counts[at:end])
			}
			end = at
		}
		o.values[end+j] = v
		if o.counts != nil {
			o.counts[end+j] = b.count(j)
		}
	}
}

// grown returns s with n more elements. If it has to allocate, it also makes room for half as many elements as s has,
// at most 64, or for an eighth of a large slice. It does not double the memory, because most tables soon have all
// their distinct values.
func grown[E any](s []E, n int) []E {
	size := len(s) + n
	if size > cap(s) {
		const few = 64
		s = append(make([]E, 0, max(size, len(s)+min(len(s)/2, few), len(s)+len(s)/8)), s...)
	}
	return s[:size]
}

// clone returns a copy that shares no memory with o.
func (o ordered) clone() ordered {
	return ordered{slices.Clone(o.values), slices.Clone(o.counts)}
}

// bytes returns how many bytes of memory the values and the counts hold.
func (o ordered) bytes() int { return 8 * (cap(o.values) + cap(o.counts)) }

// ones returns n counts of 1, in a slice of the given capacity.
func ones(n, capacity int) []uint64 {
	counts := make([]uint64, n, capacity)
	for i := range counts {
		counts[i] = 1
	}
	return counts
}
