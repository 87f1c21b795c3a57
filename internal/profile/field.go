package profile

import (
	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
	"github.com/telegraf-describe/telegraf-describe/internal/tally"
)

// field describes the cells of one column in one group. Its adder is the only goroutine that uses it, or, while the adders are idle,
// the collector and then the goroutines of finish. It has either numbers or texts.
//
// A field only grows, in the order of the files. fill reads it once, at the end, and it is of no use afterwards.
type field struct {
	numbers *numbers     // of a column of numbers, or of times less base
	texts   *tally.Texts // of a column of texts

	// The first time, from which the others are counted: the differences of times within 104 days fit into a float64 to the
	// nanosecond, and those of whole seconds within 146 years.
	base             int64
	earliest, latest int64 // exact, whatever the differences are
	rounded          bool  // whether a difference did not fit, so that the number of distinct times is an estimate
}

// newField returns an empty field for a column of that kind.
func newField(kind file.Kind, o *Options) *field {
	if kind == file.Text {
		return &field{texts: tally.NewTexts(o.TextLimit)}
	}
	return &field{numbers: newNumbers(o.ExactLimit)}
}

// add adds cells i to j of a column, j not included. They are all of one group.
func (f *field) add(b *file.Batch, c *partColumn, i, j int) {
	switch {
	case f.texts != nil:
		for _, s := range c.texts[i:j] {
			f.texts.Add(b.Text(s))
		}
	case c.times != nil:
		f.addTimes(c.times[i:j])
	case c.at != nil:
		f.numbers.add(c.numbers[i:j], c.at[i:j])
	default:
		f.numbers.add(c.numbers[i:j], nil)
	}
}

// addTimes adds times, of which there is at least one. They become differences from the first one, which numbers counts: nanoseconds
// since 1970 themselves would be above 2^53 since April 1970, and be rounded to a multiple of 256 today.
func (f *field) addTimes(times []int64) {
	if f.numbers.count() == 0 {
		f.base, f.earliest, f.latest = times[0], times[0], times[0]
	}
	var differences [256]float64 // on the stack
	for len(times) > 0 {
		n := min(len(times), len(differences))
		for i, at := range times[:n] {
			f.earliest, f.latest = min(f.earliest, at), max(f.latest, at)
			d := at - f.base
			differences[i] = float64(d)
			f.rounded = f.rounded || int64(differences[i]) != d
		}
		f.numbers.add(differences[:n], nil)
		times = times[n:]
	}
}

// bytes returns about how much memory the values of the field hold. No adder may be at work, as for exact and demote.
func (f *field) bytes() int {
	if f.texts != nil {
		return f.texts.Bytes()
	}
	return f.numbers.bytes()
}

// exact reports whether the field keeps all values, at least as distinct ones with their counts.
func (f *field) exact() bool {
	if f.texts != nil {
		return f.texts.Exact()
	}
	return f.numbers.distinct == nil
}

// demote makes estimates of the field, which take little memory, and cannot be undone.
func (f *field) demote() {
	if f.texts != nil {
		f.texts.Demote()
	} else {
		f.numbers.demote()
	}
}

// numbers describes numbers: exactly without a limit, or up to one. It is in one of these forms, and goes from left to right:
//
//	no limit   bulk (all values) ───── demote ─────▶ summary (a histogram) and distinct
//	a limit    summary (all values) ── the limit ──▶ the same
//
// A histogram no longer knows how many different values it has, so that distinct counts these from then on. distinct has all values, also
// those from before: it is filled with them when it is made. At any time, one of bulk and summary is set, and distinct is set exactly if
// the summary is a histogram.
type numbers struct {
	bulk     *stats.Bulk     // while exact without a limit
	summary  *stats.Summary  // otherwise
	limit    int             // see Options.ExactLimit
	distinct *tally.Distinct // of a histogram, which does not keep its values; nil while exact
	before   []float64       // scratch of addLimited
}

// newNumbers returns empty numbers that are exact up to a limit, see [Options].
func newNumbers(limit int) *numbers {
	if limit >= stats.Unlimited {
		return &numbers{bulk: new(stats.Bulk), limit: limit}
	}
	s := stats.New(limit)
	return &numbers{summary: &s, limit: limit}
}

// count returns how many numbers were added, without those that a Summary rejects.
func (n *numbers) count() uint64 {
	if n.bulk != nil {
		return n.bulk.Count()
	}
	return n.summary.Count()
}

// bytes returns about how much memory the numbers hold.
func (n *numbers) bytes() int {
	if n.bulk != nil {
		return n.bulk.Bytes()
	}
	size := n.summary.Bytes()
	if n.distinct != nil {
		size += tally.DistinctSize
	}
	return size
}

// add adds numbers, and the times of their rows if a statistic needs these; otherwise at is nil. It keeps neither.
func (n *numbers) add(vs []float64, at []int64) {
	if n.bulk != nil {
		n.bulk.AddAll(vs, at)
		return
	}
	const step = 256 // so that few values must be kept aside for the step that exceeds the limit
	for len(vs) > 0 {
		k := min(len(vs), step)
		var times []int64
		if at != nil {
			times, at = at[:k], at[k:]
		}
		n.addLimited(vs[:k], times)
		vs = vs[k:]
	}
}

// addLimited adds values and, if the summary is a histogram or becomes one, counts the distinct ones. Whether it becomes one is
// known only afterwards, when its values are gone: those that it had are set aside where it may happen. Below the limit it cannot;
// beyond, a summary is exact while its values repeat.
func (n *numbers) addLimited(vs []float64, at []int64) {
	s := n.summary
	if n.distinct == nil {
		n.before = n.before[:0]
		if s.Count()+uint64(len(vs)) > uint64(n.limit) {
			for v := range s.Values {
				n.before = append(n.before, v)
			}
		}
	}
	s.AddAll(vs, at)
	if n.distinct == nil && !s.Exact() {
		n.distinct = new(tally.Distinct)
		for _, v := range n.before {
			n.distinct.AddFloat(v)
		}
		n.before = nil
	}
	if n.distinct != nil {
		for _, v := range vs {
			if v-v == 0 { // neither NaN nor infinite
				n.distinct.AddFloat(v + 0) // −0 is 0
			}
		}
	}
}

// demote makes the summary a histogram, unless it is one or empty.
func (n *numbers) demote() {
	if n.distinct != nil || n.count() == 0 {
		return
	}
	s := n.summed()
	n.distinct = new(tally.Distinct)
	for v := range s.Values {
		n.distinct.AddFloat(v)
	}
	s.Demote()
	n.summary, n.bulk, n.before = s, nil, nil
}

// summed returns the summary of all values, to which nothing is added from then on.
func (n *numbers) summed() *stats.Summary {
	if n.bulk != nil {
		n.summary, n.bulk = n.bulk.Summary(), nil
	}
	return n.summary
}
