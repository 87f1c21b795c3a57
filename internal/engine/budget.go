package engine

import (
	"cmp"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// worthDemoting is how many bytes an exact summary must hold to be demoted: a histogram may be larger than a smaller one.
const worthDemoting = 1600

// budget bounds the memory of the summaries.
type budget struct {
	limit int
	held  int // bytes of all open buckets and spares, without what the allocator rounds up
	next  int // summaries are demoted once held exceeds it; at least limit
}

func (m *budget) init(limit int) { *m = budget{limit: limit, next: limit} }

// footprint is what a bucket holds.
type footprint struct {
	bytes      int
	exact      int32 // how many summaries have values and are exact
	histograms int32 // how many have values and are not
}

// add counts one more summary.
func (f *footprint) add(s *stats.Summary) {
	f.bytes += s.Bytes()
	switch {
	case s.Count() == 0:
	case s.Exact():
		f.exact++
	default:
		f.histograms++
	}
}

// measure returns what the bucket holds now.
func (b *open) measure() footprint {
	f := footprint{bytes: bucketSize + b.stage.bytes() + summarySize*cap(b.fields)}
	for i := range b.fields {
		f.add(&b.fields[i])
	}
	return f
}

// hold counts what the bucket holds now.
func (m *budget) hold(b *open) { m.replace(b, b.footprint, b.measure()) }

// replace counts the change of a part of the bucket.
func (m *budget) replace(b *open, before, after footprint) {
	m.held += after.bytes - before.bytes
	b.bytes += after.bytes - before.bytes
	b.exact += after.exact - before.exact
	b.histograms += after.histograms - before.histograms
}

// release stops counting a bucket, which leaves memory.
func (m *budget) release(b *open) { m.replace(b, b.footprint, footprint{}) }

// exceeded reports whether summaries should be demoted.
func (m *budget) exceeded() bool { return m.held > m.next }

// relax lets the limit itself apply again once it is kept.
func (m *budget) relax() {
	if m.held <= m.limit {
		m.next = m.limit
	}
}

// demotable is an exact summary that is worth demoting.
type demotable struct {
	in    *open
	name  string // of the field
	field int
	bytes int
}

func (d demotable) summary() *stats.Summary { return &d.in.fields[d.field] }

// demote makes histograms of exact summaries, the largest first, until an eighth of the limit is free or none is left
// that is worth it.
func (e *Engine) demote() {
	m := &e.budget
	demoted := 0
	for _, d := range e.demotables() {
		if m.held <= m.limit-m.limit/8 {
			break
		}
		d.summary().Demote()
		if e.o.Store != nil {
			e.o.Store.Demoted(d.in.handle, d.name)
		}
		m.hold(d.in)
		demoted++
	}
	e.counters.Demotions += int64(demoted)
	// If all that is worth it was demoted, it is not tried again until there is noticeably more.
	m.next = max(m.limit, m.held+m.limit/8)
	if demoted > 0 {
		e.notify(Notice{Kind: SummariesDemoted, Number: int64(demoted)})
	}
	if m.held > m.limit {
		e.notify(Notice{Kind: MemoryExceeded, Number: int64(m.held)})
	}
}

// demotables returns the exact summaries that are worth demoting, the largest first.
func (e *Engine) demotables() []demotable {
	var all []demotable
	for _, s := range e.table.order {
		for _, b := range s.open {
			for i := range b.fields {
				f := &b.fields[i]
				if size := f.Bytes(); f.Exact() && size >= worthDemoting {
					all = append(all, demotable{b, s.schema.names[i], i, size})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b demotable) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}
