package stats

import (
	"math"
	"slices"
)

const (
	// maxTable is how many distinct values a table holds.
	maxTable = 28
	// tableSlots is the size of its index, a power of two.
	tableSlots = 64
	// lookedThrough is how many values a table looks through one by one.
	lookedThrough = 2
)

// table counts at most maxTable distinct values. It is exact at any count.
type table struct {
	values []float64 // distinct
	counts []uint64  // how often each occurred
	index  *slots    // nil while the values are few enough to look through
	sorted bool      // whether values are ascending
}

// slots have 1 + a position in values, or 0, by hash with linear probing.
type slots [tableSlots]uint8

// add counts v n times, or returns false where it would be one distinct value too many.
func (t *table) add(v float64, n uint64) bool {
	i := t.find(v)
	if i < 0 {
		if len(t.values) == maxTable {
			return false
		}
		t.insert(v, n)
		return true
	}
	t.counts[i] += n
	return true
}

// addAll counts values, each as often as counts says, or once where these are nil, until one would be a distinct value
// too many. It returns how many values it took, and n with all that it counted.
func (t *table) addAll(values []float64, counts []uint64, n uint64) (taken int, after uint64) {
	for i, v := range values {
		c := countOf(counts, i)
		if at := t.first(v); at >= 0 {
			t.counts[at] += c
		} else if !t.add(v, c) {
			return i, n
		}
		n += c
	}
	return len(values), n
}

// first returns the position of v where the index has it in the first slot to look at, or −1.
func (t *table) first(v float64) int {
	if t.index == nil {
		return -1
	}
	if i := int(t.index[slotOf(v)]) - 1; i >= 0 && t.values[i] == v {
		return i
	}
	return -1
}

// find returns the position of v, or −1.
func (t *table) find(v float64) int {
	if t.index == nil {
		for i, w := range t.values {
			if v == w {
				return i
			}
		}
		return -1
	}
	for slot := slotOf(v); t.index[slot] != 0; slot = (slot + 1) % tableSlots {
		if i := int(t.index[slot]) - 1; t.values[i] == v {
			return i
		}
	}
	return -1
}

func (t *table) insert(v float64, n uint64) {
	if size := len(t.values); size == cap(t.values) {
		// Sized to need: most fields that get here have one or two values for ever.
		t.values = append(make([]float64, 0, min(max(1, 2*size), maxTable)), t.values...)
		t.counts = append(make([]uint64, 0, min(max(1, 2*size), maxTable)), t.counts...)
	}
	t.sorted = len(t.values) == 0 || t.sorted && v > t.values[len(t.values)-1]
	t.values = append(t.values, v)
	t.counts = append(t.counts, n)
	if t.index != nil {
		t.index.put(v, len(t.values)-1)
	} else if len(t.values) > lookedThrough {
		t.reindex()
	}
}

// reindex makes the index anew.
func (t *table) reindex() {
	t.index = new(slots)
	for i, v := range t.values {
		t.index.put(v, i)
	}
}

// put enters the position of a value that is not in yet.
func (x *slots) put(v float64, position int) {
	slot := slotOf(v)
	for x[slot] != 0 {
		slot = (slot + 1) % tableSlots
	}
	x[slot] = uint8(position + 1)
}

// slotSet is a set of hashes of values.
type slotSet [16]uint64

// add adds the hash of v and reports whether it is new. If it is, so is v.
func (x *slotSet) add(v float64) bool {
	slot := hashOf(v) >> 54
	word, bit := &x[slot>>6], uint64(1)<<(slot&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

func slotOf(v float64) uint8 { return uint8(hashOf(v) >> 58) }

// hashOf spreads values over the upper bits of a product (Knuth's multiplicative hashing).
func hashOf(v float64) uint64 {
	const golden = 0x9e3779b97f4a7c15
	return math.Float64bits(v) * golden
}

// sort brings the values into ascending order.
func (t *table) sort() {
	if t.sorted {
		return
	}
	for i := 1; i < len(t.values); i++ {
		for j := i; j > 0 && t.values[j] < t.values[j-1]; j-- {
			t.values[j], t.values[j-1] = t.values[j-1], t.values[j]
			t.counts[j], t.counts[j-1] = t.counts[j-1], t.counts[j]
		}
	}
	if t.index != nil {
		t.reindex()
	}
	t.sorted = true
}

// bytes returns how much memory the table holds.
func (t *table) bytes() int {
	size := tableSize + 8*(cap(t.values)+cap(t.counts))
	if t.index != nil {
		size += tableSlots
	}
	return size
}

func (t *table) clone() *table {
	c := *t
	c.values, c.counts = slices.Clone(t.values), slices.Clone(t.counts)
	if t.index != nil {
		index := *t.index
		c.index = &index
	}
	return &c
}
