package stats

import "math"

// Exponential is a summary as a histogram whose bins are bounded by the powers of 2^(2^-Scale). These are the buckets of
// the exponential histograms of OpenTelemetry and, with indexes that are one higher, of the native histograms of
// Prometheus.
//
// Every value is counted once: Count is the sum of ZeroCount and of the counts of both runs. The boundaries are real
// numbers, so a value next to a boundary is counted on the right side of it, as both specifications
// demand. Libraries that compare with rounded boundaries count some of these values in the neighbouring bucket.
type Exponential struct {
	Scale         int // 5 to 8
	Count         uint64
	Sum, Min, Max float64 // Min and Max are NaN of an empty summary
	// ZeroThreshold is the largest magnitude that ZeroCount counts. It is 0 unless the bins nearest zero collapsed, and
	// then their upper boundary.
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      Run
	Negative      Run // of the magnitudes
}

// Run is contiguous bins. Counts[k] is how many magnitudes are above 2^((First+k)/2^Scale) and at most
// 2^((First+k+1)/2^Scale). Neither the first nor the last count is 0.
type Run struct {
	First  int
	Counts []uint64
}

// Exponential returns the values as a histogram. It does not change s. The result shares no memory with s.
func (s *Summary) Exponential() Exponential {
	if s.Count() == 0 {
		return Exponential{Scale: maxBinScale, Min: math.NaN(), Max: math.NaN()}
	}
	h := s.histogram()
	if h == nil {
		h = histogramOf(s.exact.order())
	}
	e := Exponential{
		Scale: int(h.scale), Count: h.moments.n, Sum: s.Sum(), Min: h.min, Max: h.max, ZeroCount: h.zero,
		Positive: h.positive.run(), Negative: h.negative.run(),
	}
	if reach := max(h.collapsedTo(&h.positive), h.collapsedTo(h.negative)); reach > noCollapse {
		e.ZeroThreshold = boundary(reach+1, h.scale)
		e.ZeroCount += e.Positive.cut(int(reach)) + e.Negative.cut(int(reach))
	}
	return e
}

// noCollapse is below every bin.
const noCollapse = math.MinInt32

// collapsedTo returns the bin that may also count values of lower bins, or noCollapse.
func (h *histogram) collapsedTo(b *bins) int32 {
	if b.empty() || h.scale > minBinScale || b.hi-b.lo < maxBins-1 {
		return noCollapse
	}
	return b.lo
}

func (b *bins) run() Run {
	if b.empty() {
		return Run{}
	}
	r := Run{First: int(b.lo), Counts: make([]uint64, b.hi-b.lo+1)}
	for k := range r.Counts {
		r.Counts[k] = b.at(b.lo + int32(k))
	}
	return r
}

// cut removes the bins up to last from the run and returns the sum of their counts.
func (r *Run) cut(last int) (n uint64) {
	k := 0
	for ; k < len(r.Counts) && (r.First+k <= last || r.Counts[k] == 0); k++ {
		n += r.Counts[k]
	}
	r.First, r.Counts = r.First+k, r.Counts[k:]
	if len(r.Counts) == 0 {
		*r = Run{}
	}
	return n
}
