package stats

import "math"

// Exponential is a summary in the form of a histogram. The boundaries of its bins are the powers of 2^(2^-Scale). The
// exponential histograms of OpenTelemetry have the same buckets. The native histograms of Prometheus have them too,
// with indexes that are one higher.
//
// Every value is counted once: Count is the sum of ZeroCount and of the counts of both runs. Sum is that of
// [Summary.Sum]. Boundaries are real numbers, as both specifications define them. Libraries that compare with boundaries rounded to
// float64 count some values next to a boundary in the neighbouring bucket.
type Exponential struct {
	Scale         int // 5 to 8
	Count         uint64
	Sum, Min, Max float64 // Min and Max are NaN for an empty summary
	// ZeroThreshold is the largest magnitude that ZeroCount includes. If the bins nearest zero have collapsed, it is
	// their upper boundary; otherwise it is 0.
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      Run
	Negative      Run // of the magnitudes
}

// Run is a run of contiguous bins. Counts[k] is the number of magnitudes above 2^((First+k)/2^Scale) and up to
// 2^((First+k+1)/2^Scale), which is included. Neither the first nor the last count is 0. An empty run has no counts.
type Run struct {
	First  int
	Counts []uint64
}

// Exponential returns the values as a histogram. It does not change the statistics of s. The caller owns the result, which
// shares no memory with s.
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

// collapsedTo returns the bin into which lower bins may have collapsed, or noCollapse if none can have.
func (h *histogram) collapsedTo(b *bins) int32 {
	if b.empty() || h.scale > minBinScale || b.hi-b.lo < maxBins-1 {
		return noCollapse
	}
	return b.lo
}

// run returns a copy of the bins.
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

// cut removes the bins up to last from the run, and empty bins that would then be the first, and returns the sum of their counts.
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
