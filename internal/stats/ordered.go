package stats

import (
	"iter"
	"slices"
)

// ordered is values in ascending order with how often each occurs: the form in which exact values are read, merged
// and encoded.
//
// With counts, the values are distinct and values[i] occurs counts[i] times. Without counts, a value occurs once for
// each time that it is in values.
type ordered struct {
	values []float64
	counts []uint64
}

// runs yields the distinct values in ascending order with their counts.
func (o ordered) runs() iter.Seq2[float64, uint64] {
	return func(yield func(float64, uint64) bool) {
		if o.counts != nil {
			for i, v := range o.values {
				if !yield(v, o.counts[i]) {
					return
				}
			}
			return
		}
		for i := 0; i < len(o.values); {
			start, v := i, o.values[i]
			for i < len(o.values) && o.values[i] == v {
				i++
			}
			if !yield(v, uint64(i-start)) {
				return
			}
		}
	}
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

// compact returns the same values, each of them once: with counts, unless no value occurs twice. It may share memory
// with o.
func (o ordered) compact() ordered {
	n := o.distinct()
	if n == len(o.values) {
		return o
	}
	c := ordered{make([]float64, 0, n), make([]uint64, 0, n)}
	for v, count := range o.runs() {
		c.values, c.counts = append(c.values, v), append(c.counts, count)
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

func (o ordered) min() float64 { return o.values[0] }

func (o ordered) max() float64 { return o.values[len(o.values)-1] }

// at returns the value at a rank, which is below the total.
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

// longestRun is mode without counts. It compares each value with the one that many places further that the longest
// run so far has values, so it takes one comparison a value.
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

// find returns the position of v, or where it would be inserted. The values are distinct. The loop has no branch that
// depends on the data, so the searches for the values of a batch overlap in the processor.
func (o ordered) find(v float64) (i int, found bool) {
	if len(o.values) == 0 {
		return 0, false
	}
	for n := len(o.values); n > 1; {
		half := n / 2
		if o.values[i+half] <= v {
			i += half
		}
		n -= half
	}
	if o.values[i] < v {
		return i + 1, false
	}
	return i, o.values[i] == v
}

// merge adds the values of b. Both have distinct values.
func (o *ordered) merge(b ordered) {
	added := o.missing(b)
	if o.counts == nil && (b.counts != nil || added < len(b.values)) {
		o.counts = ones(len(o.values), len(o.values)+added)
	}
	o.insert(b, added)
}

// missing returns how many values of b are not in o. Both have distinct values.
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

// insert adds the values of b, of which that many are not in o. It moves values from the largest down, so that nothing
// is overwritten before it was moved.
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

// grown returns s with n more elements. Small slices grow by what they need or by their size, large ones by an eighth.
func grown[E any](s []E, n int) []E {
	size := len(s) + n
	if size > cap(s) {
		const small = 64
		s = append(make([]E, 0, max(size, len(s)+min(len(s), small), len(s)+len(s)/8)), s...)
	}
	return s[:size]
}

func (o ordered) clone() ordered {
	return ordered{slices.Clone(o.values), slices.Clone(o.counts)}
}

// bytes returns how much memory the values and the counts hold.
func (o ordered) bytes() int { return 8 * (cap(o.values) + cap(o.counts)) }

// ones returns n counts of 1.
func ones(n, capacity int) []uint64 {
	counts := make([]uint64, n, capacity)
	for i := range counts {
		counts[i] = 1
	}
	return counts
}
