package state

// counts is a multiset of commit numbers that returns its smallest in constant time on average, as numbers are added
// at the upper end only. The zero counts is empty.
type counts struct {
	n   map[uint64]int
	low uint64 // no number below it is in the multiset
}

func (c *counts) add(commit uint64) {
	if c.n == nil {
		c.n = make(map[uint64]int)
	}
	if len(c.n) == 0 || commit < c.low {
		c.low = commit
	}
	c.n[commit]++
}

func (c *counts) remove(commit uint64) {
	if c.n[commit]--; c.n[commit] <= 0 {
		delete(c.n, commit)
	}
}

// min returns the smallest number, or otherwise if there is none.
func (c *counts) min(otherwise uint64) uint64 {
	if len(c.n) == 0 {
		return otherwise
	}
	for c.n[c.low] == 0 {
		c.low++
	}
	return c.low
}
