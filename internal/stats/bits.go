package stats

import "math/bits"

// bitWriter appends bits to bytes, the most significant first.
type bitWriter struct {
	bytes []byte
	free  int // bits of the last byte that are not used yet
}

// write appends the lowest n bits of v, n at most 64.
func (w *bitWriter) write(v uint64, n int) {
	for n > 0 {
		if w.free == 0 {
			w.bytes = append(w.bytes, 0)
			w.free = 8
		}
		k := min(n, w.free)
		w.bytes[len(w.bytes)-1] |= byte(v>>(n-k)&(1<<k-1)) << (w.free - k)
		n -= k
		w.free -= k
	}
}

// golomb appends v, which is below 2^64−1, in the exponential Golomb code of order k: with q = v>>k + 1, as many zeros as q has bits
// after its first, then q, then the lowest k bits of v.
func (w *bitWriter) golomb(v uint64, k int) {
	q := v>>k + 1
	size := bits.Len64(q)
	w.write(0, size-1)
	w.write(q, size)
	w.write(v, k)
}

// bitReader takes bits off the front of bytes. It fails once they do not suffice.
type bitReader struct {
	bytes  []byte
	at     int // bits taken
	failed bool
}

func (r *bitReader) read(n int) (v uint64) {
	if r.at+n > 8*len(r.bytes) {
		r.failed = true
		return 0
	}
	for n > 0 {
		left := 8 - r.at%8
		k := min(n, left)
		v = v<<k | uint64(r.bytes[r.at/8]>>(left-k))&(1<<k-1)
		r.at += k
		n -= k
	}
	return v
}

// golomb takes a number in the code of order k.
func (r *bitReader) golomb(k int) uint64 {
	zeros := 0
	for r.read(1) == 0 {
		if zeros++; r.failed || zeros+k > 63 {
			r.failed = true
			return 0
		}
	}
	q := 1<<zeros | r.read(zeros)
	return (q-1)<<k | r.read(k)
}

// rest returns the bytes after the one of which a bit was taken last.
func (r *bitReader) rest() []byte { return r.bytes[(r.at+7)/8:] }
