package stats

import "slices"

const (
	// maxDirect is the number of distinct values up to which a table takes values at once. In a larger one, inserting a new
	// value into the order takes too long.
	maxDirect = 512
	// levelRatio is the smallest ratio of the lengths of a run and the next one.
	levelRatio = 4
)

// table keeps every distinct value with its count. Most tables are one run of distinct values in ascending order.
//
// Beyond maxDirect distinct values, new ones are collected in later: further runs, each at least levelRatio times as
// long as the next one. A value may be in several runs. So a value is moved a number of times that is logarithmic in
// the number of values (O'Neil et al., "The Log-Structured Merge-Tree", 1996), and settle merges the runs.
type table struct {
	n uint64 // how many values there are
	ordered
	later *[]ordered // nil in all but the largest tables, which saves 16 bytes in the others
}

// tableOf returns a table of values that may repeat. It takes over their memory.
func tableOf(o ordered) *table { return &table{n: o.total(), ordered: o.compact()} }

// spread returns how many distinct values there are at most.
func (t *table) spread() int {
	n := len(t.values)
	if t.later != nil {
		for _, run := range *t.later {
			n += len(run.values)
		}
	}
	return n
}

// batch is values to add to a table: those that it has, by position, and new ones.
type batch struct {
	at     [batchSize]int32   // the first known are positions in the table
	fresh  [batchSize]float64 // the first new are distinct values, in ascending order
	counts [batchSize]uint64  // of fresh
	known  int
	new    int
}

// look fills the empty batch with values, at most batchSize. The table is settled.
func (t *table) look(vs []float64, b *batch) {
	if len(t.values) == 0 {
		for _, v := range vs {
			b.count(v)
		}
		return
	}
	t.search(vs, &b.at)
	for k, v := range vs {
		if i := b.at[k&(batchSize-1)]; t.values[i] == v {
			b.at[b.known] = i // known is at most k
			b.known++
		} else {
			b.count(v)
		}
	}
}

// count counts a new value.
func (b *batch) count(v float64) {
	for k, w := range b.fresh[:b.new] {
		if v == w {
			b.counts[k]++
			return
		}
	}
	i := b.new
	for ; i > 0 && b.fresh[i-1] > v; i-- {
		b.fresh[i], b.counts[i] = b.fresh[i-1], b.counts[i-1]
	}
	b.fresh[i], b.counts[i] = v, 1
	b.new++
}

// add adds the values of a batch that look filled.
func (t *table) add(b *batch) {
	fresh := ordered{b.fresh[:b.new], b.counts[:b.new]}
	n := fresh.total()
	if b.known > 0 || n > uint64(b.new) {
		t.needCounts()
	}
	for _, i := range b.at[:b.known] {
		t.counts[i]++
	}
	t.n += uint64(b.known) + n
	if b.new > 0 {
		t.splice(fresh)
	}
}

// addConstant adds the only value of the table n times.
func (t *table) addConstant(n uint64) {
	t.needCounts()
	t.counts[0] += n
	t.n += n
}

func (t *table) needCounts() {
	if t.counts == nil {
		t.counts = ones(len(t.values), len(t.values))
	}
}

// push adds a run of distinct values, m in all. It takes over their memory.
func (t *table) push(run ordered, m uint64) {
	t.n += m
	if t.later == nil {
		t.later = new([]ordered)
	}
	runs := append(*t.later, run)
	for k := len(runs) - 1; k > 0 && len(runs[k-1].values) < levelRatio*len(runs[k].values); k-- {
		runs = mergeLast(runs)
	}
	if *t.later = runs; len(runs) == 1 && len(t.values) < levelRatio*len(runs[0].values) {
		t.settle()
	}
}

// mergeLast merges the last of at least two runs into the one before.
func mergeLast(runs []ordered) []ordered {
	k := len(runs) - 1
	a, b := &runs[k-1], &runs[k]
	if len(a.values) < len(b.values) {
		*a, *b = *b, *a
	}
	a.merge(*b)
	*b = ordered{}
	return runs[:k]
}

// settle merges all runs into one.
func (t *table) settle() {
	if t.later == nil {
		return
	}
	runs := *t.later
	t.later = nil
	for len(runs) > 1 {
		runs = mergeLast(runs)
	}
	t.merge(runs[0])
}

func (t *table) clone() *table {
	c := &table{n: t.n, ordered: t.ordered.clone()}
	if t.later != nil {
		runs := slices.Clone(*t.later)
		for i := range runs {
			runs[i] = runs[i].clone()
		}
		c.later = &runs
	}
	return c
}

// bytes returns how much memory the table holds.
func (t *table) bytes() int {
	size := tableSize + t.ordered.bytes()
	if t.later != nil {
		size += sliceSize + orderedSize*cap(*t.later)
		for _, run := range *t.later {
			size += run.bytes()
		}
	}
	return size
}
