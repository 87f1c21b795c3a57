package engine

// What tests from outside cannot see otherwise: where the engine keeps its memory.

const (
	MaxKeys    = maxKeys
	FewSchemas = fewSchemas
	StageRows  = stageRows
)

// Held is what an engine holds: bytes of buckets and spares, and summaries of each kind in open buckets.
type Held struct{ Bytes, Exact, Histograms int }

// Counted returns what the engine counts as held.
func (e *Engine) Counted() Held {
	h := Held{Bytes: e.budget.held}
	for _, s := range e.table.order {
		for _, b := range s.open {
			h.Exact, h.Histograms = h.Exact+int(b.exact), h.Histograms+int(b.histograms)
		}
	}
	return h
}

// Measured returns what the engine holds, measured anew.
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

// Schemas returns how many schemas are shared.
func (e *Engine) Schemas() int { return e.table.schemas.count }

// Positions returns how many fields the first series of the table has positions for.
func (e *Engine) Positions() int { return len(e.table.order[0].schema.names) }

// SetQuietLimit sets of how many retired series the engine remembers the final buckets.
func (e *Engine) SetQuietLimit(n int) { e.table.quiet.limit = n }

// Quiet returns how many retired series the engine remembers, and how many retirements.
func (e *Engine) Quiet() (series, retirements int) {
	return len(e.table.quiet.series), len(e.table.quiet.order)
}

// NextDemotion returns beyond how many bytes summaries are demoted the next time.
func (e *Engine) NextDemotion() int { return e.budget.next }
