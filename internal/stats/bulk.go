package stats

import "math"

const (
	// bulkBlock is how many values the largest block of a Bulk has room for, and firstBlock is that of the smallest.
	bulkBlock  = 1 << 16
	firstBlock = 1 << 10
	// worthCounting is the ratio of values to distinct values from which a Bulk keeps distinct values with counts.
	worthCounting = 4
)

// Bulk collects the values of one field of a large input for one exact [Summary]. It is for values that are read only
// after the last one: a Summary keeps its values in order while they come, and a Bulk sorts all of them once. For a
// million distinct values that takes an eighth of the time (BenchmarkBulk), and 8 bytes a value. Values that mostly repeat
// are kept with their counts.
//
//	AddAll ─▶ counted, while no block has values and counted has few distinct ones
//	       └▶ blocks, after that ─▶ look: counted, if each value occurs four times on average
//	Summary ─▶ the values of both, sorted and merged
//
// The zero Bulk is empty and ready to use. It is not safe for concurrent use.
type Bulk struct {
	counted Summary     // distinct values with counts, and the first and the last value of all; its limit is Unlimited
	blocks  [][]float64 // values in the order in which they came; all are full but the last
	single  int         // how many values the blocks have
	check   int         // once single has reached it, look finds out whether the values repeat
}

// AddAll adds values, with their times unless at is nil, and returns how many it added, as [Summary.AddAll] does. NaN and
// the infinities are not added. AddAll keeps neither vs nor at.
func (b *Bulk) AddAll(vs []float64, at []int64) int {
	if b.check == 0 {
		b.counted, b.check = New(Unlimited), bulkBlock
	}
	if b.counted.times != nil || at != nil {
		b.note(vs, at)
	}
	added := 0
	// After each batch, there may be too many distinct values to go on.
	for len(vs) > 0 && b.single == 0 && b.fewDistinct() {
		k := min(len(vs), batchSize)
		added += b.counted.addBatch(vs[:k])
		vs = vs[k:]
	}
	if len(vs) > 0 {
		b.release()
		added += b.append(vs)
	}
	return added
}

// note updates the first and the last value before values are added, as [Summary.note] does. That method treats b.counted as
// empty if it counts no values, but the blocks may have some: then note adds to the times that b.counted has.
func (b *Bulk) note(vs []float64, at []int64) {
	if b.counted.Count() > 0 || b.single == 0 {
		b.counted.note(vs, at)
		return
	}
	for i, v := range vs {
		switch {
		case v-v != 0: // NaN and infinities are not added
		case at == nil:
			b.counted.times = nil
			return
		case b.counted.times != nil:
			b.counted.times.include(point{at[i], v + 0})
		}
	}
}

// fewDistinct reports whether finding a value among the counted ones is fast: they are single values, or a table into which new values
// are inserted directly.
func (b *Bulk) fewDistinct() bool {
	t := b.counted.exact.table
	return t == nil || len(t.values) <= maxDirect && t.later == nil
}

// release moves the counted values to the blocks if hardly any of them repeats.
func (b *Bulk) release() {
	x := &b.counted.exact
	if x.count() == 0 || x.count() > maxSingle+bulkBlock {
		return
	}
	o := x.order()
	if total := o.total(); total > 2*uint64(len(o.values)) {
		return
	}
	for i, v := range o.values {
		for range o.count(i) {
			b.append([]float64{v})
		}
	}
	x.drop()
}

// append adds the finite ones of the values to the blocks and returns how many these are.
func (b *Bulk) append(vs []float64) (added int) {
	for len(vs) > 0 {
		last := b.room()
		k := min(len(vs), cap(*last)-len(*last))
		n := len(*last)
		for _, v := range vs[:k] {
			if v-v == 0 {
				*last = append(*last, v+0) // −0 becomes 0
			}
		}
		added += len(*last) - n
		b.single += len(*last) - n
		vs = vs[k:]
	}
	return added
}

// room returns a block that has room. Blocks grow in size, as most collections are small.
func (b *Bulk) room() *[]float64 {
	if b.single >= b.check {
		b.look()
	}
	last := len(b.blocks) - 1
	if last < 0 || len(b.blocks[last]) == cap(b.blocks[last]) {
		size := min(max(b.single/2, firstBlock), bulkBlock)
		b.blocks = append(b.blocks, make([]float64, 0, size))
		last++
	}
	return &b.blocks[last]
}

// look sorts the values of the blocks. If each occurs four times on average, it keeps them with their counts. If not, room
// calls it again when there are 16 times as many values.
func (b *Bulk) look() {
	values := make([]float64, b.single)
	sortInto(values, b.blocks)
	o := ordered{values, nil}
	if o.distinct() > b.single/worthCounting {
		const later = 16
		b.check = later * b.single
		return
	}
	b.counted.exact.addOrdered(o.compact(), uint64(b.single))
	b.blocks, b.single, b.check = b.blocks[:0], 0, bulkBlock
}

// Count returns how many values were added.
func (b *Bulk) Count() uint64 { return b.counted.Count() + uint64(b.single) }

// Bytes returns how many bytes of memory the values hold beyond the struct b. [Bulk.Summary] takes up to 8 bytes a value
// more for the sorted values.
func (b *Bulk) Bytes() int {
	size := b.counted.Bytes() + sliceSize*cap(b.blocks)
	for _, block := range b.blocks {
		size += 8 * cap(block)
	}
	return size
}

// Summary returns an exact summary of the values, with the limit [Unlimited], and empties b. All its statistics are equal
// to the last bit to those of a Summary to which the values were added in any order; first and last depend on the order
// as they do there. Of an empty Bulk it returns an empty summary. The caller owns the summary, which shares no memory with b.
func (b *Bulk) Summary() *Summary {
	s := b.counted
	if b.check == 0 {
		s = New(Unlimited)
	}
	if b.single > 0 {
		sorted := make([]float64, b.single)
		sortInto(sorted, b.blocks)
		o := ordered{sorted, nil}
		if s.exact.count() == 0 && b.single <= math.MaxInt32 {
			s.exact = exact{single: o.values, sorted: int32(b.single), limit: Unlimited}
		} else {
			s.exact.addOrdered(o.compact(), uint64(b.single))
		}
	}
	*b = Bulk{}
	return &s
}
