package stats

import "math"

// plausible reports whether values from min to max can have the moments, apart from rounding: the mean is between min
// and max, and the sum of squares is at most n·(max−mean)·(mean−min) (Bhatia and Davis 2000). Both hold after a merge
// too if they held for both parts, apart from rounding: see makePlausible. So merged histograms stay finite.
func (h *histogram) plausible() bool {
	_, most := h.bounds()
	n, m2 := float64(h.moments.n), h.moments.m2
	largest := n * max(h.max, -h.min) * h.moments.factor()
	return math.Abs(h.moments.sum.low) <= largest && m2.sum() >= 0 && m2.sum() <= most && math.Abs(m2.low) <= most
}

// bounds returns the mean in the unit of the moments, and the largest plausible sum of squares, which is negative if the mean is not
// between min and max.
func (h *histogram) bounds() (mean, most float64) {
	// meanSlack is how far the mean may be below min or above max, as a share of the largest magnitude. One rounding
	// moves it by about 2^-53. The sums of very many values need more.
	const meanSlack, squareSlack = 0x1p-40, 1e-9
	f, n := h.moments.factor(), float64(h.moments.n)
	low, high := h.min*f, h.max*f
	slack := meanSlack * max(high, -low)
	mean = h.moments.sum.sum() / n
	return mean, n * (high - mean + slack) * (mean - low + slack) * (1 + squareSlack)
}

// makePlausible changes the moments to plausible ones that are near. It is for a histogram whose moments became implausible by rounding.
// That happens only if bytes that no Summary has encoded were decoded, with moments that were just plausible.
func (h *histogram) makePlausible() {
	m := &h.moments
	f, n := m.factor(), float64(m.n)
	mean, _ := h.bounds()
	m.sum = accumulator{high: n * min(max(mean, h.min*f), h.max*f)}
	_, most := h.bounds()
	m.m2 = accumulator{high: min(max(m.m2.sum(), 0), most)}
}
