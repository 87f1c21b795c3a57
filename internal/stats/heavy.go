package stats

import (
	"math"
	"slices"
)

const (
	// maxHeavy is the largest number of candidates for the mode.
	maxHeavy = 16
	// fewHeavy is the number of candidates up to which all are kept, even if each was seen only once.
	fewHeavy = 8
)

// heavy keeps candidates for the most frequent value, with lower bounds of their counts (Misra and Gries, "Finding
// repeated elements", 1982). A candidate occurs at least as often as its bound and at most missed times more. Any
// other value occurs at most missed times. Merging keeps that true (Agarwal et al., "Mergeable Summaries", 2013). Of
// n values, (maxHeavy+1)·missed is at most n minus the sum of the bounds, because missed grows by one only when
// maxHeavy+1 values are dropped. The zero heavy describes no values.
//
// For example, with room for two candidates, after a a a b b:
//
//	a 3  b 2           missed 0
//	a 3  b 2  c 1      the value c is a third one: 1 is subtracted from all three (see candidates.reduce)
//	a 2  b 1           missed 1: a occurs 2 to 3 times, b 1 to 2 times, and c at most once
//
// Values that were seen once can also be dropped earlier: see keep and dropOnce. mayMiss allows that only while the bound of missed
// holds.
type heavy struct {
	all    *[maxHeavy]candidate // the first n are the candidates, distinct and in any order; nil until there is one
	missed uint64               // how much more often than its bound a candidate may occur, and how often any other value
	n      int8                 // how many candidates there are
}

// candidate is a value and a lower bound of its count.
type candidate struct {
	value float64 // finite
	count uint64  // at least 1
}

// add counts at most maxHeavy values, which may repeat. n is the number of all values, including these.
func (h *heavy) add(vs []float64, n uint64) {
	if int(h.n)+len(vs) > fewHeavy && h.allNew(vs) && h.mayMiss(above(h.kept(), 1), n) {
		h.dropOnce()
		return
	}
	c := h.candidates()
	for _, v := range vs {
		c.count(v, 1)
	}
	h.keep(&c, n)
}

// allNew reports whether no value is a candidate and none occurs twice. If two hashes are equal, it may return false
// although both hold. The caller does less work if it returns true; the result is the same. Without allNew,
// BenchmarkAddMore/limit=64/data=continuous took 16 ns a value instead of 12.
func (h *heavy) allNew(vs []float64) bool {
	var seen slotSet
	for _, c := range h.kept() {
		seen.add(c.value)
	}
	for _, v := range vs {
		if !seen.add(v) {
			return false
		}
	}
	return true
}

// mayMiss reports whether missed may grow by one. n is the number of all values, and kept is the sum of the bounds of
// the candidates that stay. Without this check, [Summary.ModeError] could be above n/17.
func (h *heavy) mayMiss(kept, n uint64) bool { return (maxHeavy+1)*(h.missed+1) <= n-kept }

// dropOnce drops the candidates that were seen once, and new values that were not kept. Each of these occurs once
// more than its bound, so missed grows by one.
func (h *heavy) dropOnce() {
	h.missed++
	if h.n > 0 {
		c := h.candidates()
		c.filter(1, 0)
		h.store(&c)
	}
}

// kept returns the candidates, which share the memory of h.
func (h *heavy) kept() []candidate {
	if h.n == 0 {
		return nil
	}
	return h.all[:h.n]
}

// store replaces the candidates by those of c, at most maxHeavy.
func (h *heavy) store(c *candidates) {
	h.n = int8(c.n)
	if c.n == 0 {
		return
	}
	if h.all == nil {
		h.all = new([maxHeavy]candidate)
	}
	copy(h.all[:], c.all[:c.n])
}

// addOrdered counts the values of o. n is the number of values before.
func (h *heavy) addOrdered(o ordered, n uint64) {
	if n == 0 && o.counts == nil && len(o.values) > maxHeavy {
		h.missed = 1 // no candidate, and no value occurs more than once
		return
	}
	for i := 0; i < len(o.values); i += maxHeavy {
		end := min(i+maxHeavy, len(o.values))
		part := ordered{values: o.values[i:end]}
		if o.counts != nil {
			part.counts = o.counts[i:end]
		}
		n += part.total()
		h.addFew(part, n)
	}
}

// addFew counts at most maxHeavy distinct values. n is the number of all values, including these.
func (h *heavy) addFew(o ordered, n uint64) {
	c := h.candidates()
	for i, v := range o.values {
		c.count(v, o.count(i))
	}
	h.keep(&c, n)
}

// mergeHeavy counts the candidates of o. n is the number of values of both.
func (h *heavy) mergeHeavy(o *heavy, n uint64) {
	h.missed += o.missed
	if o.n == 0 {
		return
	}
	c := h.candidates()
	for _, k := range o.kept() {
		c.count(k.value, k.count)
	}
	h.keep(&c, n)
}

// mode returns the candidate with the largest bound, the smallest value among ties, and the bound. The count is 0 if no
// bound is above 1.
func (h *heavy) mode() (value float64, count uint64) {
	for _, c := range h.kept() {
		if c.count >= 2 && (c.count > count || c.count == count && c.value < value) {
			value, count = c.value, c.count
		}
	}
	return value, count
}

// candidates returns a copy of the candidates, with room for as many new ones.
func (h *heavy) candidates() (c candidates) {
	c.n = copy(c.all[:], h.kept())
	return c
}

// keep replaces the candidates by those of c, after it has reduced these to at most maxHeavy. n is the number of all
// values.
func (h *heavy) keep(c *candidates, n uint64) {
	if all := c.all[:c.n]; c.n > fewHeavy && hasOnce(all) && h.mayMiss(above(all, 1), n) {
		h.missed++
		c.filter(1, 0)
	}
	if c.n > maxHeavy {
		h.missed += c.reduce()
	}
	h.store(c)
}

// clone returns a copy that shares no memory with h.
func (h *heavy) clone() heavy {
	c := heavy{missed: h.missed, n: h.n}
	if h.n > 0 {
		all := *h.all
		c.all = &all
	}
	return c
}

// bytes returns how many bytes of memory the candidates hold.
func (h *heavy) bytes() int {
	if h.all == nil {
		return 0
	}
	return maxHeavy * candidateSize
}

// hasOnce reports whether one of the candidates was seen once, as far as is known.
func hasOnce(all []candidate) bool {
	return slices.ContainsFunc(all, func(c candidate) bool { return c.count == 1 })
}

// above returns the sum of the counts above limit.
func above(all []candidate, limit uint64) (sum uint64) {
	for i := range all {
		if all[i].count > limit {
			sum += all[i].count
		}
	}
	return sum
}

// candidates holds distinct values with counts, before they are reduced to maxHeavy.
type candidates struct {
	all [2 * maxHeavy]candidate
	n   int
}

// count counts v n times.
func (c *candidates) count(v float64, n uint64) {
	for i := range c.all[:c.n] {
		if c.all[i].value == v {
			c.all[i].count += n
			return
		}
	}
	c.all[c.n] = candidate{v, n}
	c.n++
}

// reduce subtracts the 17th largest count from all counts, drops the candidates whose count becomes 0 or less, and
// returns the number that it subtracted. So at most 16 candidates remain. It is 0 if there are fewer than 17 candidates, and then nothing
// changes. The sum of the counts falls by at least 17 times the number.
func (c *candidates) reduce() uint64 {
	var largest [maxHeavy + 1]uint64 // descending
	for _, k := range c.all[:c.n] {
		i := maxHeavy
		if k.count <= largest[i] {
			continue
		}
		for ; i > 0 && largest[i-1] < k.count; i-- {
			largest[i] = largest[i-1]
		}
		largest[i] = k.count
	}
	c.filter(largest[maxHeavy], largest[maxHeavy])
	return largest[maxHeavy]
}

// filter keeps the candidates with counts above limit, and subtracts less from each of these counts.
func (c *candidates) filter(limit, less uint64) {
	kept := 0
	for _, k := range c.all[:c.n] {
		if k.count > limit {
			c.all[kept] = candidate{k.value, k.count - less}
			kept++
		}
	}
	c.n = kept
}

// slotSet is a set of hashes of values: one bit for each of 1,024 hashes.
type slotSet [16]uint64

// add adds the hash of v and reports whether it is new. If it is, v is new too.
func (x *slotSet) add(v float64) bool {
	const golden = 0x9e3779b97f4a7c15 // Knuth's multiplicative hashing
	slot := math.Float64bits(v) * golden >> 54
	word, bit := &x[slot>>6], uint64(1)<<(slot&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
