package stats

const (
	// roomTables and roomNumbers are how many tables and numbers a block of a Room has: 1 KB with the header of the allocator, and
	// 512 B.
	roomTables  = 15
	roomNumbers = 64
)

// Room is memory for the first values of many summaries, as after a restart. The summaries share blocks of memory, of which each
// takes a part, instead of having two or three blocks each: BenchmarkRestart of package describe took a third less time.
//
// A block stays in memory until none of its summaries uses its part any more. [Summary.Bytes] counts the part only, so
// a Room is for summaries that live equally long. The zero Room is ready to use. It is not safe for concurrent use.
type Room struct {
	tables []table
	values []float64
	counts []uint64
}

// AddBlocks is [Summary.AddBlocks]. If s is new, the values are in the memory of the room.
func (r *Room) AddBlocks(s *Summary, vs []float64, at []int64, sizes []int) {
	if !r.begin(s, vs, at) {
		s.AddBlocks(vs, at, sizes)
	}
}

// begin adds the first values of a new summary, in the form that AddAll gives them. It returns false and adds none if s is not new,
// if there are more than a batch, or if not all of them are finite.
func (r *Room) begin(s *Summary, vs []float64, at []int64) bool {
	x, n := &s.exact, uint64(len(vs))
	if s.hist != nil || x.table != nil || cap(x.single) > 0 || n == 0 || n > min(batchSize, x.maxExact()) {
		return false
	}
	low, high, plain := span(vs)
	if !plain {
		return false
	}
	if at != nil {
		s.note(vs, at)
	}
	if continuous(vs) {
		x.single = part(&r.values, batchSize, roomNumbers)[:n]
		copy(x.single, vs)
		return true
	}
	var b batch
	if low == high {
		b.fresh[0], b.counts[0], b.new = low, n, 1
	} else {
		for _, v := range vs {
			b.count(v)
		}
	}
	t := &part(&r.tables, 1, roomTables)[0]
	t.n, t.values = n, part(&r.values, b.new, roomNumbers)
	copy(t.values, b.fresh[:b.new])
	if n > uint64(b.new) {
		t.counts = part(&r.counts, b.new, roomNumbers)
		copy(t.counts, b.counts[:b.new])
	}
	x.table = t
	return true
}

// part takes n elements, which are zero, from a block. If it has not so many left, part begins a new block of that size.
func part[E any](block *[]E, n, size int) []E {
	if len(*block) < n {
		*block = make([]E, size)
	}
	taken := (*block)[:n:n]
	*block = (*block)[n:]
	return taken
}
