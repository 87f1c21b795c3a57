package state

// counts is a multiset of commit numbers. It returns the smallest one in constant time on average, because added
// numbers are never below earlier ones. The exception is the start of a run, which adds the commits of the last one in any order.
// The zero counts is empty. It is not safe for concurrent use.
//
// The store counts here from which commit on each open bucket needs the log. Files that are older than the smallest one can be deleted.
type counts struct {
	n   map[uint64]int // how often each number is in the multiset, above 0
	low uint64         // no number below it is in the multiset
}

// add adds a number. It takes constant time.
func (c *counts) add(commit uint64) {
	if c.n == nil {
		c.n = make(map[uint64]int)
	}
	if len(c.n) == 0 || commit < c.low {
		c.low = commit
	}
	c.n[commit]++
}

// remove removes one occurrence of a number, which must be in the multiset.
func (c *counts) remove(commit uint64) {
	if c.n[commit]--; c.n[commit] <= 0 {
		delete(c.n, commit)
	}
}

// min returns the smallest number, or the argument if the multiset is empty.
func (c *counts) min(otherwise uint64) uint64 {
	if len(c.n) == 0 {
		return otherwise
	}
	for c.n[c.low] == 0 {
		c.low++
	}
	return c.low
}
