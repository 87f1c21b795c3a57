package describe

import (
	"cmp"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// worthDemoting is of how many bytes a summary is at least that demoting to a histogram makes smaller.
const worthDemoting = 1600

// budget bounds the memory of the summaries.
type budget struct {
	limit int
	held  int // by all open buckets, about
	next  int // beyond which summaries are demoted the next time
}

func (m *budget) init(limit int) { *m = budget{limit: limit, next: limit} }

// hold counts what the bucket holds now.
func (m *budget) hold(b *summaries) {
	now := b.held()
	m.held += now - b.bytes
	b.bytes = now
}

// add counts what the bucket holds more than before.
func (m *budget) add(b *summaries, bytes int) {
	m.held += bytes
	b.bytes += bytes
}

// release counts a bucket out that is let go.
func (m *budget) release(b *summaries) {
	m.held -= b.bytes
	b.bytes = 0
}

func (m *budget) exceeded() bool { return m.held > m.next }

// relax makes the limit itself the next one to watch, once it is kept again.
func (m *budget) relax() {
	if m.held <= m.limit {
		m.next = m.limit
	}
}

// demotable is an exact summary that would be smaller as a histogram.
type demotable struct {
	in      *summaries
	summary *stats.Summary
	bytes   int
}

// demote makes histograms of the largest exact summaries until an eighth of the limit is free again, or
// none is left that this would make smaller.
func (d *Describe) demote() {
	m := &d.budget
	demoted := 0
	for _, c := range d.demotables() {
		if m.held <= m.limit-m.limit/8 {
			break
		}
		c.summary.Demote()
		m.hold(c.in)
		demoted++
	}
	d.counters.demotions.Incr(int64(demoted))
	// What cannot be made smaller is not tried again before there is noticeably more of it.
	m.next = max(m.limit, m.held+m.limit/8)
	d.warnMemory(demoted)
}

// demotables returns the exact summaries that are worth demoting, the largest first.
func (d *Describe) demotables() []demotable {
	var all []demotable
	for _, s := range d.table.order {
		for _, b := range s.window.Buckets() {
			for i := range b.State.fields {
				f := &b.State.fields[i]
				if size := f.Bytes(); f.Exact() && size >= worthDemoting {
					all = append(all, demotable{&b.State, f, size})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b demotable) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}
