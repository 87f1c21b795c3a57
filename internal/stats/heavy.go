package stats

import "slices"

const (
	// maxHeavy is how many candidates for the mode a histogram keeps.
	maxHeavy = 16
	// fewHeavy is how many candidates are kept even where all were seen once.
	fewHeavy = 8
)

// heavy keeps the values that may be the most frequent ones, with lower bounds of their counts, after
// Misra and Gries (1982). A value that is kept occurs at least as often as its bound says and at most
// missed times more; one that is not kept occurs at most missed times. Merging keeps that (Agarwal et al.,
// "Mergeable Summaries", 2013). After n values, (maxHeavy+1)·missed is at most n less the sum of the
// bounds. The zero heavy is of no values.
type heavy struct {
	values []float64 // at most maxHeavy, distinct, in any order
	counts []uint64  // their lower bounds
	missed uint64
}

// add counts at most maxHeavy values, which may repeat, after n others.
func (h *heavy) add(vs []float64, n uint64) {
	c := h.candidates()
	for _, v := range vs {
		c.count(v, 1)
	}
	h.keep(&c, n+uint64(len(vs)))
}

// merge counts distinct values after n others, each with its count; nil counts are 1 each.
func (h *heavy) merge(values []float64, counts []uint64, n uint64) {
	for len(values) > 0 {
		c := h.candidates()
		few := min(maxHeavy, len(values))
		for i, v := range values[:few] {
			c.count(v, countOf(counts, i))
			n += countOf(counts, i)
		}
		h.keep(&c, n)
		values = values[few:]
		if counts != nil {
			counts = counts[few:]
		}
	}
}

// mode returns the candidate with the largest bound, the smallest value among ties, or a count of 0 where
// no bound reaches 2.
func (h *heavy) mode() (value float64, count uint64) {
	for i, v := range h.values {
		if c := h.counts[i]; c >= 2 && (c > count || c == count && v < value) {
			value, count = v, c
		}
	}
	return value, count
}

func (h *heavy) candidates() (c candidates) {
	c.n = copy(c.values[:], h.values)
	copy(c.counts[:], h.counts)
	return c
}

// keep takes over the candidates of n values, reduced to at most maxHeavy.
func (h *heavy) keep(c *candidates, n uint64) {
	if c.n > fewHeavy && (maxHeavy+1)*(h.missed+1) <= n-c.above(1) {
		h.missed += c.dropOnce()
	}
	if c.n > maxHeavy {
		h.missed += c.reduce()
	}
	if h.values == nil && c.n > 0 {
		h.values = make([]float64, 0, maxHeavy)
		h.counts = make([]uint64, 0, maxHeavy)
	}
	h.values = append(h.values[:0], c.values[:c.n]...)
	h.counts = append(h.counts[:0], c.counts[:c.n]...)
}

func (h *heavy) clone() heavy {
	return heavy{values: slices.Clone(h.values), counts: slices.Clone(h.counts), missed: h.missed}
}

// candidates are distinct values with their counts, before they are reduced to maxHeavy.
type candidates struct {
	values [2 * maxHeavy]float64
	counts [2 * maxHeavy]uint64
	n      int
}

// count counts v n times.
func (c *candidates) count(v float64, n uint64) {
	for i := range c.n {
		if c.values[i] == v {
			c.counts[i] += n
			return
		}
	}
	c.values[c.n], c.counts[c.n] = v, n
	c.n++
}

// above returns the sum of the counts above limit.
func (c *candidates) above(limit uint64) (sum uint64) {
	for _, n := range c.counts[:c.n] {
		if n > limit {
			sum += n
		}
	}
	return sum
}

// dropOnce lets go of the values that were seen once, and returns how many occurrences of a value that
// misses: 1, or 0 where there are none.
func (c *candidates) dropOnce() uint64 {
	before := c.n
	c.filter(1, 0)
	if c.n == before {
		return 0
	}
	return 1
}

// reduce takes the 17th largest count from all, keeps what is left above 0, and returns that count.
func (c *candidates) reduce() uint64 {
	var largest [maxHeavy + 1]uint64 // descending
	for _, n := range c.counts[:c.n] {
		i := maxHeavy
		if n <= largest[i] {
			continue
		}
		for ; i > 0 && largest[i-1] < n; i-- {
			largest[i] = largest[i-1]
		}
		largest[i] = n
	}
	c.filter(largest[maxHeavy], largest[maxHeavy])
	return largest[maxHeavy]
}

// filter keeps the candidates with counts above limit and takes less from each.
func (c *candidates) filter(limit, less uint64) {
	kept := 0
	for i, n := range c.counts[:c.n] {
		if n > limit {
			c.values[kept], c.counts[kept] = c.values[i], n-less
			kept++
		}
	}
	c.n = kept
}
