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
)

// table counts at most maxTable distinct values. It is exact at any count.
type table struct {
	values []float64         // distinct
	counts []uint64          // how often each occurred
	index  [tableSlots]uint8 // 1 + position in values, or 0; by hash with linear probing
	recent int32             // the position found last
	sorted bool              // whether values are ascending
}

// add counts v n times, or returns false where it would be one distinct value too many.
func (t *table) add(v float64, n uint64) bool {
	if len(t.values) > 0 && t.values[t.recent] == v {
		t.counts[t.recent] += n
		return true
	}
	slot := slotOf(v)
	for t.index[slot] != 0 {
		i := t.index[slot] - 1
		if t.values[i] == v {
			t.counts[i] += n
			t.recent = int32(i)
			return true
		}
		slot = (slot + 1) % tableSlots
	}
	if len(t.values) == maxTable {
		return false
	}
	t.insert(v, n, slot)
	return true
}

func (t *table) insert(v float64, n uint64, slot uint8) {
	if size := len(t.values); size == cap(t.values) {
		// Sized to need: most fields that get here have one or two values for ever.
		t.values = append(make([]float64, 0, min(max(1, 2*size), maxTable)), t.values...)
		t.counts = append(make([]uint64, 0, min(max(1, 2*size), maxTable)), t.counts...)
	}
	t.recent = int32(len(t.values))
	t.sorted = len(t.values) == 0 || t.sorted && v > t.values[len(t.values)-1]
	t.values = append(t.values, v)
	t.counts = append(t.counts, n)
	t.index[slot] = uint8(len(t.values))
}

// slotOf spreads values by the upper bits of a product (Knuth's multiplicative hashing).
func slotOf(v float64) uint8 {
	const golden = 0x9e3779b97f4a7c15
	return uint8(math.Float64bits(v) * golden >> 58)
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
	t.index = [tableSlots]uint8{}
	for i, v := range t.values {
		slot := slotOf(v)
		for t.index[slot] != 0 {
			slot = (slot + 1) % tableSlots
		}
		t.index[slot] = uint8(i + 1)
	}
	t.recent, t.sorted = 0, true
}

func (t *table) reset() {
	*t = table{values: t.values[:0], counts: t.counts[:0]}
}

func (t *table) clone() *table {
	c := *t
	c.values, c.counts = slices.Clone(t.values), slices.Clone(t.counts)
	return &c
}
