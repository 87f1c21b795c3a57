package stats

import "slices"

const (
	// maxSingle is how many values are kept one by one. More are kept with their counts.
	maxSingle = 512
	// fewValues is how many values are kept one by one in any case: a table of them takes more memory and time. With 0 here,
	// BenchmarkAddBlocks/blocks=6/rows=1/data=few/with=AddAll took 0.44 µs instead of 0.15.
	fewValues = 8
	// fewDistinct is the number of distinct values up to which a table is kept even if it takes more memory.
	fewDistinct = 16
)

// exact keeps every value: as single values, or as a table of distinct values with counts. It uses the form that
// takes less memory or time. No result of a summary depends on the form.
//
//	                  single values              table
//	no table          all, up to maxSingle       none
//	a small table     none                       all, in one run: up to maxDirect distinct values
//	a large table     the newest, in any order   the others, in one run or more
type exact struct {
	// single holds single values, of which the first ones are in ascending order. If there is a table, these are the
	// newest values, which are not in the table yet.
	single []float64
	table  *table // values kept with their counts, or nil
	// sorted is how many of single are in ascending order, or the negative of that if these are known to be all distinct.
	// A member for the latter would make each summary 8 bytes larger. Use inOrder and unique to read it.
	sorted int32
	limit  int32 // the exact limit of the summary, 0 for the default; here it fills the padding of the struct
}

// maxExact returns the exact limit: so many values are exact, even if all are distinct.
func (x *exact) maxExact() uint64 {
	switch x.limit {
	case 0:
		return DefaultExactLimit
	case Unlimited:
		return maxCount
	}
	return uint64(x.limit)
}

// fits reports whether n values, of which the given number are distinct, can be exact.
func (x *exact) fits(n uint64, distinct int) bool {
	limit := x.maxExact()
	return n <= limit || 2*uint64(distinct) <= limit
}

// roomForSingle reports whether n values may be kept as single values.
func (x *exact) roomForSingle(n uint64) bool { return n <= min(x.maxExact(), maxSingle) }

// count returns how many values there are.
func (x *exact) count() uint64 {
	n := uint64(len(x.single))
	if x.table != nil {
		n += x.table.n
	}
	return n
}

// add adds 1 to batchSize finite values from low to high, none of them −0. It returns false and adds none if the
// summary would no longer be exact.
func (x *exact) add(vs []float64, low, high float64) bool {
	n := x.count() + uint64(len(vs))
	if x.table == nil {
		if x.keepsSingle(vs) {
			x.append(vs)
			return true
		}
		if !x.tabulate(n) {
			return false
		}
	}
	t := x.table
	if len(t.values) > maxDirect {
		// How many of the values are distinct is known only after they are merged. That is needed only if too many could be.
		if x.fits(n, t.spread()+len(x.single)+len(vs)) {
			x.collect(vs)
			return true
		}
		x.settle()
	} else if low == high && len(t.values) == 1 && t.values[0] == low && x.fits(n, 1) {
		t.addConstant(uint64(len(vs)))
		return true
	}
	var b batch
	t.look(vs, &b)
	if !x.fits(n, len(t.values)+b.new) {
		return false
	}
	t.add(&b)
	x.shrink()
	return true
}

// keepsSingle reports whether new values are kept one by one, as those that there are. There is no table.
func (x *exact) keepsSingle(vs []float64) bool {
	n := len(x.single) + len(vs)
	return x.roomForSingle(uint64(n)) && (n <= fewValues || len(x.single) > fewValues || continuous(x.single, vs))
}

// continuous reports whether the first values, at most fewValues that there are and new ones, are at least half a batch and all distinct.
// Most later values will then be distinct too. It looks at no more values than a batch has. If a table came first for all values,
// BenchmarkAdd/limit=512/data=continuous/n=360 took 2.9 µs instead of 2.3.
func continuous(single, vs []float64) bool {
	vs = vs[:min(len(vs), batchSize-len(single))]
	for i, v := range vs {
		if slices.Contains(single, v) || slices.Contains(vs[:i], v) {
			return false
		}
	}
	for i, v := range single {
		if slices.Contains(single[:i], v) {
			return false
		}
	}
	return len(single)+len(vs) >= batchSize/2
}

// append appends single values.
func (x *exact) append(vs []float64) {
	x.grow(len(vs))
	x.single = append(x.single, vs...)
}

// grow makes room for n more single values. Memory grows in small steps, because most summaries have this form most of the time.
func (x *exact) grow(n int) {
	need := len(x.single) + n
	if need <= cap(x.single) {
		return
	}
	const least, small = 4, 128
	size := max(cap(x.single), least)
	for size < need {
		size += max(min(size, small), size/8)
	}
	x.single = append(make([]float64, 0, size), x.single...)
}

// growTo makes room for size single values, and for more that will probably come. While there are few values, it makes room for few only,
// because further ones may make a table of them.
func (x *exact) growTo(size, more int) {
	most := uint64(maxSingle)
	if size <= fewValues {
		most = fewValues
	}
	if size = max(size, int(min(uint64(size+more), x.maxExact(), most))); size > cap(x.single) {
		x.single = append(make([]float64, 0, size), x.single...)
	}
}

// reserve allocates memory for the single values, at most for 128, unless there is some already.
func (x *exact) reserve() {
	if x.table == nil && cap(x.single) == 0 {
		x.single = make([]float64, 0, min(x.maxExact(), 128))
	}
}

// tabulate moves the single values to a new table. It returns false and does nothing if n values would not be exact
// in a table either.
func (x *exact) tabulate(n uint64) bool {
	o := x.order()
	if !x.fits(n, o.distinct()) {
		return false
	}
	x.table = tableOf(o)
	x.single = nil
	x.markSorted()
	return true
}

// collect keeps new values of a large table as single values until there are many of them, which become one run. With runs of 16 values,
// BenchmarkBulk/with=summary/data=continuous took as long, but 25 times as many allocations.
func (x *exact) collect(vs []float64) {
	x.append(vs)
	if len(x.single) >= maxSingle {
		x.pushSingle()
	}
}

// pushSingle moves the single values to the table.
func (x *exact) pushSingle() {
	if x.sort(); len(x.single) > 0 {
		x.table.push(ordered{slices.Clone(x.single), nil}.compact(), uint64(len(x.single)))
		x.single = x.single[:0]
		x.markSorted()
	}
}

// settle moves the single values to the table and makes the table one run. There must be a table.
func (x *exact) settle() {
	x.pushSingle()
	x.table.settle()
}

// shrink replaces the table by single values if these take less memory.
func (x *exact) shrink() {
	t := x.table
	if d := len(t.values); d <= fewDistinct || 2*uint64(d) <= t.n || !x.roomForSingle(t.n) {
		return
	}
	x.table = nil
	x.appendOrdered(t.ordered)
	x.markSorted()
}

// appendOrdered appends each value of o as often as it occurs, as single values.
func (x *exact) appendOrdered(o ordered) {
	if o.counts == nil {
		x.append(o.values)
		return
	}
	x.single = slices.Grow(x.single, int(o.total()))
	for i, v := range o.values {
		for range o.counts[i] {
			x.single = append(x.single, v)
		}
	}
}

// addOrdered adds the m values of o and keeps no part of their memory. It returns false and adds none if the summary
// would no longer be exact.
func (x *exact) addOrdered(o ordered, m uint64) bool {
	n := x.count() + m
	// If the first values come with counts, they go to a table, and shrink decides whether they stay there.
	if x.table == nil && x.roomForSingle(n) && (o.counts == nil || len(x.single) > 0) {
		x.appendOrdered(o)
		if len(x.single) == int(m) {
			x.markSorted()
		}
		return true
	}
	if o = o.compact(); !x.fits(n, len(o.values)) || x.table == nil && !x.tabulate(n) {
		return false
	}
	t := x.table
	if !x.fits(n, t.spread()+len(x.single)+len(o.values)) { // at most so many are distinct: perhaps they are fewer
		x.settle()
		if !x.fits(n, len(t.values)+t.missing(o)) {
			return false
		}
	}
	switch {
	case len(t.values) > maxDirect:
		t.push(o.clone(), m)
	default:
		t.merge(o)
		t.n += m
		x.shrink()
	}
	return true
}

// markSorted records that the single values are in ascending order. It is not known then whether they are all distinct.
func (x *exact) markSorted() { x.sorted = int32(len(x.single)) }

// inOrder returns how many of the first single values are in ascending order.
func (x *exact) inOrder() int { return int(max(x.sorted, -x.sorted)) }

// unique reports whether the values are kept as single values, all of them in order and known to be all distinct.
func (x *exact) unique() bool { return x.table == nil && int(-x.sorted) == len(x.single) }

// order returns all values in ascending order. The result shares memory with x and is valid until the next change of
// x.
func (x *exact) order() ordered {
	if x.table != nil {
		if len(x.single) > 0 || x.table.later != nil {
			x.settle()
		}
		return x.table.ordered
	}
	if x.inOrder() < len(x.single) {
		x.sort()
	}
	return ordered{x.single, nil}
}

// distinct returns how many distinct values there are. Values that were found all distinct when they were sorted are not
// compared again: without that, BenchmarkSelection/limit=512/data=continuous took 3.2 µs instead of 2.6.
func (x *exact) distinct() int {
	o := x.order()
	if x.unique() {
		return len(o.values)
	}
	return o.distinct()
}

// mode returns the most frequent value, the smallest among ties, and its count. There is at least one value.
func (x *exact) mode() (value float64, count uint64) {
	o := x.order()
	if x.unique() {
		return o.min(), 1
	}
	return o.mode()
}

// sort sorts the single values. Those that are in order already are merged with the others: if all were sorted again,
// BenchmarkQuantiles/limit=512/data=continuous/reading=more took 146 µs instead of 38.
func (x *exact) sort() {
	tail := x.single[x.inOrder():]
	if len(tail) == 0 {
		return
	}
	distinct := sortFloats(tail)
	if head := x.single[:x.inOrder()]; len(head) > 0 {
		if head[len(head)-1] > tail[0] {
			mergeTail(x.single, len(head))
		}
		distinct = distinct && allDistinct(x.single)
	}
	x.markSorted()
	if distinct {
		x.sorted = -x.sorted
	}
}

// mergeTail sorts values of which both values[:head] and values[head:] are in ascending order. It copies the tail and fills the values from
// the end, so the head needs no copy.
func mergeTail(values []float64, head int) {
	tail := slices.Clone(values[head:])
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

// reset empties x. It keeps its memory, but not that of a large table.
func (x *exact) reset() {
	t := x.table
	*x = exact{single: x.single[:0], limit: x.limit}
	if t != nil && cap(t.values) <= maxDirect {
		*t = table{ordered: ordered{t.values[:0], t.counts[:0]}}
		x.table = t
	}
}

// drop removes all values and releases their memory.
func (x *exact) drop() { *x = exact{limit: x.limit} }

// clone returns a copy that shares no memory with x.
func (x *exact) clone() exact {
	c := exact{single: slices.Clone(x.single), sorted: x.sorted, limit: x.limit}
	if x.table != nil {
		c.table = x.table.clone()
	}
	return c
}

// bytes returns how many bytes of memory the values hold.
func (x *exact) bytes() int {
	size := 8 * cap(x.single)
	if x.table != nil {
		size += x.table.bytes()
	}
	return size
}
