package stats

// roomValues is how many values a block of a Room has: 512 B.
const roomValues = 64

// Room is memory for the first values of many summaries, as after a restart. The summaries share blocks of memory, of which each
// takes a part: BenchmarkRestart of package describe took a fifth less time.
//
// A block stays in memory until none of its summaries uses its part any more. [Summary.Bytes] counts the part only, so
// a Room is for summaries that live equally long. The zero Room is ready to use. It is not safe for concurrent use.
type Room struct{ free []float64 }

// AddBlocks is [Summary.AddBlocks], with an estimate of how many more values will come. If s is new and there will be at most 8 values,
// they are in the memory of the room.
func (r *Room) AddBlocks(s *Summary, vs []float64, at []int64, sizes []int, more int) {
	if n := len(vs) + more; s.hist == nil && s.exact.table == nil && cap(s.exact.single) == 0 && n <= fewValues {
		if len(r.free) < n {
			r.free = make([]float64, roomValues)
		}
		s.exact.single = r.free[:0:n]
		r.free = r.free[n:]
	}
	s.addBlocks(vs, at, sizes, more)
}
