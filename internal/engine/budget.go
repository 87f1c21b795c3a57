package engine

import (
	"cmp"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// worthDemoting is the smallest size in bytes of an exact summary that is demoted. A histogram of fewer values may be
// larger than the exact summary.
const worthDemoting = 1600

// budget counts the memory of the summaries and compares it with Options.MemoryLimit. The zero budget must be
// initialized by init.
//
// held is an estimate from the sizes that were requested, and is changed only where the memory of a bucket changes: hold after it grew,
// replace for a part of it, release before it goes. Each bucket remembers its share of held in its footprint. Engine.mu guards the
// budget.
//
// Add compares held with next after each point. To find the largest summaries, demote visits those of all open buckets. So next is above
// the limit after a demotion that did not free enough: without that, each further point would repeat the visit.
type budget struct {
	limit int // bytes, above 0
	held  int // bytes that the engine requested for all open buckets and spares; the allocator rounds each block up
	next  int // summaries are demoted once held exceeds it; at least limit
}

// init makes an empty budget.
func (m *budget) init(limit int) { *m = budget{limit: limit, next: limit} }

// footprint is the memory of a bucket and the number of its summaries by kind.
type footprint struct {
	bytes      int
	exact      int32 // how many summaries have values and are exact
	histograms int32 // how many summaries are histograms
}

// add adds a summary to the footprint. A summary without values only adds its memory.
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

// measure returns the current footprint of the bucket. It visits every summary. The few bytes of loans, and of the numbers of values in
// earlier runs, are not counted.
func (b *open) measure() footprint {
	f := footprint{bytes: bucketSize + b.stage.bytes() + summarySize*cap(b.fields)}
	for i := range b.fields {
		f.add(&b.fields[i])
	}
	for _, c := range b.copies {
		f.bytes += summarySize + c.Bytes()
	}
	return f
}

// hold measures the bucket and updates the budget.
func (m *budget) hold(b *open) { m.replace(b, b.footprint, b.measure()) }

// replace updates the footprint of the bucket and the budget after a part of the bucket has changed from before to
// after.
func (m *budget) replace(b *open, before, after footprint) {
	m.held += after.bytes - before.bytes
	b.bytes += after.bytes - before.bytes
	b.exact += after.exact - before.exact
	b.histograms += after.histograms - before.histograms
}

// release removes a bucket from the budget. The caller drops the bucket.
func (m *budget) release(b *open) { m.replace(b, b.footprint, footprint{}) }

// exceeded reports whether summaries should be demoted.
func (m *budget) exceeded() bool { return m.held > m.next }

// relax sets the threshold for demoting back to the limit, if the engine holds no more than the limit.
func (m *budget) relax() {
	if m.held <= m.limit {
		m.next = m.limit
	}
}

// demotable is an exact summary of at least worthDemoting bytes.
type demotable struct {
	in    *open
	name  string // of the field
	field int    // its position in the schema of the series
	bytes int    // of the summary
}

// summary returns the summary, which is that of the bucket itself.
func (d demotable) summary() *stats.Summary { return &d.in.fields[d.field] }

// demote makes histograms of exact summaries, the largest first. It stops when an eighth of the limit is free, or
// when all summaries of at least worthDemoting bytes are histograms.
//
// Staged rows stay staged: a summary gets them after its demotion, and the log of the store has them after it too.
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
	// If demoting everything did not free enough, the next attempt waits until the engine holds an eighth of the
	// limit more.
	m.next = max(m.limit, m.held+m.limit/8)
	if demoted > 0 {
		e.notify(Notice{Kind: SummariesDemoted, Number: int64(demoted)})
	}
	if m.held > m.limit {
		e.notify(Notice{Kind: MemoryExceeded, Number: int64(m.held)})
	}
}

// demotables returns the exact summaries of at least worthDemoting bytes, the largest first.
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
