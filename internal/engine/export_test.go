package engine

// This file gives the tests in package engine_test access to the memory that the engine holds.

const (
	MaxKeys    = maxKeys
	FewSchemas = fewSchemas
	StageRows  = stageRows
)

// Held is the memory of an engine: the bytes of buckets and spares, and the number of summaries of each kind in open
// buckets.
type Held struct{ Bytes, Exact, Histograms int }

// Counted returns the memory that the budget has counted.
func (e *Engine) Counted() Held {
	h := Held{Bytes: e.budget.held}
	for _, s := range e.table.order {
		for _, b := range s.open {
			h.Exact, h.Histograms = h.Exact+int(b.exact), h.Histograms+int(b.histograms)
		}
	}
	return h
}

// Measured returns the memory that the engine holds, measured by visiting all buckets.
func (e *Engine) Measured() (h Held) {
	for _, s := range e.table.order {
		for _, b := range s.open {
			f := b.measure()
			h.Bytes, h.Exact, h.Histograms = h.Bytes+f.bytes, h.Exact+int(f.exact), h.Histograms+int(f.histograms)
		}
		if s.spare != nil {
			h.Bytes += (&open{fields: s.spare.fields, stage: s.spare.stage}).measure().bytes
		}
	}
	return h
}

// SeriesInTable returns how many series the table holds, and under how many keys.
func (e *Engine) SeriesInTable() (series, keys int) { return len(e.table.order), len(e.table.index) }

// Followers returns how many series, which may be retired, the first series of the table refers to as next.
func (e *Engine) Followers() (n int) {
	for s := e.table.order[0].next; s != nil; s = s.next {
		n++
	}
	return n
}

// Schemas returns how many schemas are shared.
func (e *Engine) Schemas() int { return e.table.schemas.count }

// Positions returns how many fields the first series of the table has positions for.
func (e *Engine) Positions() int { return len(e.table.order[0].schema.names) }

// SetQuietLimit sets the number of retired series whose final buckets the engine remembers.
func (e *Engine) SetQuietLimit(n int) { e.table.quiet.limit = n }

// Quiet returns how many retired series the engine remembers, and how many retirements.
func (e *Engine) Quiet() (series, retirements int) {
	return len(e.table.quiet.series), len(e.table.quiet.order)
}

// NextDemotion returns the number of bytes above which summaries are demoted the next time.
func (e *Engine) NextDemotion() int { return e.budget.next }
