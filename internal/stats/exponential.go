package stats

import "math"

// Exponential is a summary as a histogram whose bins are bounded by the powers of 2^(2^-Scale). These are
// the buckets of OpenTelemetry's exponential histograms and, one index higher, of Prometheus' native ones.
//
// Every value is counted once: Count is ZeroCount and the counts of both runs.
type Exponential struct {
	Scale         int // 5 to 8
	Count         uint64
	Sum, Min, Max float64 // Min and Max are NaN of an empty summary
	// ZeroThreshold is the largest magnitude that ZeroCount counts: 0, or, where bins nearest zero have
	// collapsed, what they reached to.
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      Run
	Negative      Run // of the magnitudes
}

// Run is contiguous bins: Counts[k] is how many magnitudes are above 2^((First+k)/2^Scale) and at most
// 2^((First+k+1)/2^Scale). Neither the first nor the last count is 0.
type Run struct {
	First  int
	Counts []uint64
}

// Exponential returns the values as a histogram. An exact summary has the bins that it would have as one.
// The result shares no memory with s.
func (s *Summary) Exponential() Exponential {
	if s.Count() == 0 {
		return Exponential{Scale: maxBinScale, Min: math.NaN(), Max: math.NaN()}
	}
	h := s.hist
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

// collapsedTo returns the bin of the run that may count values of lower ones too, or noCollapse.
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

// cut takes the bins up to last off the run, and returns what they counted.
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
