package engine

import (
	"unsafe"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// stageRows is the number of rows that a bucket collects before they are added to its summaries. The summaries of
	// a bucket are far apart in memory, and adding a column of values loads each of them once for all rows. With a stage of one row,
	// BenchmarkAdd/series=10000/data=cpu/limit=64 took twice as long.
	stageRows = 16
	// fewRows is the number of rows for which a new stage has room, because many buckets get only a few rows in a
	// period.
	fewRows = 4
)

// stage collects the points of one bucket as rows of values, in the order of their arrival. Its values are in no summary yet.
//
//	Add ─▶ collect ─▶ rows: up to stageRows ─ settle ─▶ log of the store (Rows)
//	                                                 ├▶ copies for other engines (keepCopies), while the summaries lack the rows
//	                                                 ├▶ summaries (addRows)
//	                                                 └▶ log of the store (Demoted)
//
// A stage is settled when a row comes for which it is full or has another schema, before values that are not in a row, and before
// anything that needs all values of the bucket, such as a Push.
type stage struct {
	rows   []float64 // row by row, len(schema.names) values each; NaN for a field that the point did not have
	times  []int64   // one time for each row; nil if no statistic needs times
	schema *schema   // of the rows; nil before the first one
}

// grow makes room for at least one more row of that width and, if timed, for its time: for fewRows at first, and then for four times as
// many as there are, up to stageRows. The stage is not full.
func (st *stage) grow(width int, timed bool) {
	rows := min(max(fewRows, 4*len(st.rows)/width), stageRows)
	st.rows = append(make([]float64, 0, rows*width), st.rows...)
	if timed && cap(st.times) < rows {
		st.times = append(make([]int64, 0, rows), st.times...)
	}
}

// bytes returns how many bytes of memory the rows and times hold, with the room for more.
func (st *stage) bytes() int { return 8 * (cap(st.rows) + cap(st.times)) }

// isFull reports whether there are stageRows rows.
func (st *stage) isFull() bool { return len(st.rows) == stageRows*len(st.schema.names) }

// collect appends e.row to the stage of a bucket of the series.
func (e *Engine) collect(s *series, b *open, t int64) {
	st := &b.stage
	if st.schema != s.schema || st.isFull() {
		e.settle(b)
		st.schema = s.schema
	}
	if len(st.rows)+len(e.row) > cap(st.rows) {
		st.grow(len(e.row), e.timed)
		e.budget.hold(b)
	}
	st.rows = append(st.rows, e.row...)
	if e.timed {
		st.times = append(st.times, t)
	}
	b.changed = true
}

// settle adds the staged rows to the summaries of the bucket and to the log of the store. The log has the rows before the demotions that
// they cause. It does nothing for an empty stage.
func (e *Engine) settle(b *open) {
	st := &b.stage
	if len(st.rows) == 0 {
		return
	}
	if e.o.Store != nil {
		e.o.Store.Rows(b.handle, st.schema.number, st.schema.names, st.rows, st.times)
	}
	if b.copying {
		b.keepCopies()
	}
	if len(b.fields) < len(st.schema.names) {
		b.fields = e.grow(b.fields, len(st.schema.names))
	}
	e.demoted = addRows(b.fields, st.rows, len(st.schema.names), st.times, e.demoted[:0])
	e.logDemoted(b, st.schema)
	st.rows, st.times = st.rows[:0], st.times[:0]
	e.budget.hold(b)
}

// logDemoted logs that summaries of the bucket became histograms: those at the positions e.demoted.
func (e *Engine) logDemoted(b *open, of *schema) {
	if e.o.Store == nil {
		return
	}
	for _, position := range e.demoted {
		e.o.Store.Demoted(b.handle, of.names[position])
	}
}

// addRows adds at most stageRows rows of that width to the summaries, column by column. NaN, which marks a missing
// field, is not added. It appends the positions of the summaries that became histograms to demoted.
func addRows(fields []stats.Summary, rows []float64, width int, times []int64, demoted []int) []int {
	var column [stageRows]float64
	n := len(rows) / width
	for f := range width {
		for r := range n {
			column[r] = rows[r*width+f]
		}
		exact := fields[f].Exact()
		if fields[f].AddAll(column[:n], times); exact && !fields[f].Exact() {
			demoted = append(demoted, f)
		}
	}
	return demoted
}

// addSamples adds e.samples to a bucket of the series, after the staged rows. It updates the budget after each value,
// so that a series with many fields cannot exceed it between two Pushes.
func (e *Engine) addSamples(s *series, b *open, t int64) {
	if len(e.samples) == 0 {
		return
	}
	e.settle(b) // earlier values come first, for the statistics first and last
	if width := len(s.schema.names); len(b.fields) < width {
		b.fields = e.grow(b.fields, width)
		e.budget.hold(b)
	}
	var times []int64
	if e.timed {
		times = []int64{t}
	}
	for _, v := range e.samples {
		if b.copying {
			b.keepCopy(v.position)
			e.budget.hold(b)
		}
		summary := &b.fields[v.position]
		var before, after footprint
		before.add(summary)
		row := [1]float64{v.value}
		summary.AddAll(row[:], times)
		after.add(summary)
		e.budget.replace(b, before, after)
		if e.o.Store != nil {
			e.o.Store.Rows(b.handle, 0, s.schema.names[v.position:v.position+1], row[:], times)
			if before.exact > 0 && after.exact == 0 {
				e.o.Store.Demoted(b.handle, s.schema.names[v.position])
			}
		}
	}
	b.changed = true
}

// grow appends empty summaries until there are size of them. If it allocates, it leaves room for a quarter of the
// former number more.
func (e *Engine) grow(fields []stats.Summary, size int) []stats.Summary {
	n := len(fields)
	if size > cap(fields) {
		fields = append(make([]stats.Summary, 0, size+n/4), fields...)
	}
	fields = fields[:size]
	for i := n; i < size; i++ {
		fields[i] = stats.New(e.o.ExactLimit)
	}
	return fields
}

// summarySize is the size of a Summary, without the memory that it points to: see stats.Summary.Bytes.
const summarySize = int(unsafe.Sizeof(stats.Summary{}))
