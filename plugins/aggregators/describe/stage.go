package describe

import (
	"math"
	"unsafe"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// stageRows is how many rows a bucket collects before its summaries take them. A series' summaries are far
	// apart in memory: taking a column of values at a time touches each of them once for all of these.
	stageRows = 16
	// fewRows is how many rows there is room for at first: most buckets get only a few in a period.
	fewRows = 4
)

// stage collects the values of one bucket of a series as rows, one a metric.
type stage struct {
	rows  []float64 // width values a row; NaN where the metric did not have the field
	times []int64   // of the rows, when these are wanted
	width int
}

// push appends a row.
func (st *stage) push(row []float64) {
	if need := len(st.rows) + len(row); need > cap(st.rows) {
		room := min(max(fewRows, 4*len(st.rows)/len(row)), stageRows) * len(row)
		st.rows = append(make([]float64, 0, room), st.rows...)
	}
	st.rows = append(st.rows, row...)
}

func (st *stage) bytes() int { return 8 * (cap(st.rows) + cap(st.times)) }

// summaries are what one bucket of one series collects.
type summaries struct {
	fields  []stats.Summary // by position in the schema of the series
	stage   stage
	bytes   int  // held by all of it, as far as the budget knows
	changed bool // since they were emitted
}

// collect adds d.row to the series' bucket.
func (d *Describe) collect(s *series, b *summaries, t int64) {
	st := &b.stage
	if st.width == 0 && b.fields == nil {
		s.reuse(b)
	}
	if st.width != len(d.row) || len(st.rows) == stageRows*st.width {
		d.settle(b)
		st.width = len(d.row)
	}
	room := cap(st.rows)
	st.push(d.row)
	if cap(st.rows) > room {
		d.budget.hold(b)
	}
	if d.timed {
		st.times = append(st.times, t)
	}
	b.changed = true
}

// settle brings what is staged into the summaries.
func (d *Describe) settle(b *summaries) {
	st := &b.stage
	if len(st.rows) == 0 {
		return
	}
	if len(b.fields) < st.width {
		b.fields = d.grow(b.fields, st.width)
	}
	rows := len(st.rows) / st.width
	var column [stageRows]float64
	for f := range st.width {
		for r := range rows {
			column[r] = st.rows[r*st.width+f]
		}
		b.fields[f].AddAll(column[:rows], st.times)
	}
	st.rows, st.times = st.rows[:0], st.times[:0]
	d.budget.hold(b)
}

// addSamples adds d.samples to the series' bucket, after what is staged.
func (d *Describe) addSamples(s *series, b *summaries, t int64) {
	if len(d.samples) == 0 {
		return
	}
	if b.fields == nil {
		s.reuse(b)
	}
	d.settle(b)
	if width := len(s.schema.names); len(b.fields) < width {
		b.fields = d.grow(b.fields, width)
		d.budget.hold(b)
	}
	for _, v := range d.samples {
		summary := &b.fields[v.position]
		before := summary.Bytes()
		if d.timed {
			summary.AddAt(v.value, t)
		} else {
			summary.Add(v.value)
		}
		d.budget.add(b, summary.Bytes()-before)
	}
	b.changed = true
}

// grow returns the summaries with empty ones after them, size in all. Where there are many, it leaves room for
// more.
func (d *Describe) grow(fields []stats.Summary, size int) []stats.Summary {
	n := len(fields)
	if size > cap(fields) {
		fields = append(make([]stats.Summary, 0, size+n/4), fields...)
	}
	fields = fields[:size]
	for i := n; i < size; i++ {
		fields[i] = stats.New(d.limit)
	}
	return fields
}

// held returns about how many bytes the bucket holds.
func (b *summaries) held() int {
	size := bucketSize + b.stage.bytes() + summarySize*cap(b.fields)
	for i := range b.fields {
		size += b.fields[i].Bytes()
	}
	return size
}

const (
	summarySize = int(unsafe.Sizeof(stats.Summary{}))
	// bucketSize is about what an open bucket takes beside its summaries and rows.
	bucketSize = 160
)

// missing marks in a row that the metric has no value of the field: no value is NaN.
var missing = math.NaN()
