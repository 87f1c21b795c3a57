package profile

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// The types of columns, as users see them in the output.
const (
	TypeEmpty   = "empty" // no cell has a value
	TypeInteger = "integer"
	TypeFloat   = "float"
	TypeBoolean = "boolean"
	TypeTime    = "time"
	TypeText    = "text"
	TypeTag     = "tag" // of line protocol; its values are texts
)

// Row describes one column in one bucket and group. Count and Missing add up to the rows of the group, so they are comparable between
// its columns.
//
// A column of numbers has Stats, one of texts Top and TopCount, one of times Earliest and Latest. The others are zero, and all of them if
// Count is 0.
type Row struct {
	Table  string       // the measurement, or "" without one
	Start  time.Time    // of the bucket, in UTC; zero if there are no buckets
	Tags   []series.Tag // of the group, ascending by key; rows of one group share them
	Column string
	Type   string // one of the constants above

	Count    uint64 // cells with a value
	Missing  uint64 // rows without one, also those whose cell is not of the column's type
	Distinct uint64 // different values
	// Stats are the statistics of the selection, in its order; NaN for those that there are not. It is nil if the column
	// has no numbers.
	Stats []float64
	// Exact is whether the statistics, the distinct values and the most frequent text are exact.
	Exact         bool
	Top           string    // the most frequent text of a column of texts
	TopCount      uint64    // how often it occurs; 0 if there is none
	Earliest      time.Time // of a column of times
	Latest        time.Time // of a column of times; both are zero of other columns
	DistinctExact bool      // Distinct alone, which is an estimate also where exact values were rounded to a float64
}

// needsTime reports whether a statistic needs the times of values.
func needsTime(selection *stats.Selection) bool {
	return slices.ContainsFunc(selection.Statistics(), func(s stats.Statistic) bool {
		return s.Kind() == stats.First || s.Kind() == stats.Last
	})
}

// pair is a column in a group: what a row describes.
type pair struct {
	table  *table
	column *column // of table
	group  *group  // of table
}

// finish completes the result. No adder is at work. If ctx ends before, it returns the error of ctx.
//
// Sorting the values of a field is most of the work, and there is no order among fields: each worker takes the largest one that is left,
// and lets go of its values afterwards. The place of each row is fixed before, so the result does not depend on the order of the work.
func (p *run) finish(ctx context.Context) error {
	pairs := p.pairs()
	p.result.Rows = make([]Row, len(pairs))
	order := largestFirst(pairs)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range p.o.Workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(order) {
					return
				}
				i := order[n]
				p.result.Rows[i] = pairs[i].row(&p.o)
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, t := range p.order {
		for _, c := range t.columns {
			p.result.Columns = append(p.result.Columns, c.name)
			if c.large && !c.hidden {
				p.result.Rounded = append(p.result.Rounded, c.name)
			}
			if c.invalid.Count > 0 && !c.hidden {
				c.invalid.Column, c.invalid.Kind = c.name, c.typeName()
				p.result.Invalid = append(p.result.Invalid, c.invalid)
			}
		}
	}
	return nil
}

// pairs returns what there is to describe, in order: all columns if there is one group, and otherwise those with cells. So a column
// without a value is seen in a table of a file, and not in each of a thousand buckets.
func (p *run) pairs() []pair {
	slices.SortStableFunc(p.order, func(a, b *table) int { return cmp.Compare(a.name, b.name) })
	all := p.o.Grid == nil && p.o.Group == nil
	if p.o.Grid != nil && p.o.Select == nil {
		for _, t := range p.order {
			t.hideTime()
		}
	}
	var pairs []pair
	for _, t := range p.order {
		slices.SortFunc(t.order, func(a, b *group) int {
			return cmp.Or(cmp.Compare(a.start, b.start), compareTags(a.tags, b.tags))
		})
		for _, g := range t.order {
			for _, c := range t.columns {
				if !c.hidden && (all || pair{t, c, g}.field() != nil) {
					pairs = append(pairs, pair{t, c, g})
				}
			}
		}
	}
	return pairs
}

// hideTime hides the column with the time of a row, unless no other one is described: a file of times alone would have no rows.
func (t *table) hideTime() {
	i := slices.IndexFunc(t.columns, func(c *column) bool { return c.time })
	others := slices.ContainsFunc(t.columns, func(c *column) bool { return !c.time && !c.hidden })
	if i >= 0 && others {
		t.columns[i].hidden = true
	}
}

// compareTags orders tags as texts: by the first key, its value, the next key and so on.
func compareTags(a, b []series.Tag) int {
	return slices.CompareFunc(a, b, func(a, b series.Tag) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
}

// largestFirst returns the indexes of the pairs, of which those that hold most come first: if a large one came last, the
// other workers would wait for it.
func largestFirst(pairs []pair) []int {
	order, sizes := make([]int, len(pairs)), make([]int, len(pairs))
	for i, q := range pairs {
		order[i] = i
		if f := q.field(); f != nil {
			sizes[i] = f.bytes()
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	return order
}

// field returns what describes the cells of the pair, or nil if there are none. group.fields ends at the last column of which the group has
// cells.
func (q pair) field() *field {
	if q.column.position >= len(q.group.fields) {
		return nil
	}
	return q.group.fields[q.column.position]
}

// row describes the pair and lets go of its values. Several goroutines may call it at the same time for different pairs: they write to
// different elements of group.fields.
func (q pair) row(o *Options) Row {
	r := Row{Table: q.table.name, Tags: q.group.tags, Column: q.column.name, Type: q.column.typeName(), Exact: true, DistinctExact: true}
	if o.Grid != nil {
		r.Start = time.Unix(0, q.group.start).UTC()
	}
	r.Missing = uint64(q.group.rows)
	f := q.field()
	if f == nil {
		return r
	}
	q.group.fields[q.column.position] = nil
	f.fill(&r, q.column, o)
	r.Missing -= min(r.Count, r.Missing)
	return r
}

// fill sets what the field describes. The field is of no use afterwards.
//
// Exact is about the values that were read, DistinctExact also about those in the file: whole numbers of 2^53 or more, and times far
// from the first one, may have been rounded to one float64 before they were counted.
func (f *field) fill(r *Row, c *column, o *Options) {
	r.Exact = f.exact()
	r.DistinctExact = r.Exact && !f.rounded
	if f.texts != nil {
		r.Count, r.Distinct = f.texts.Count(), f.texts.Distinct()
		r.Top, r.TopCount = f.texts.Top()
		return
	}
	s := f.numbers.summed()
	r.Count, r.Distinct = s.Count(), s.Distinct()
	if f.numbers.distinct != nil {
		r.Distinct = min(f.numbers.distinct.Count(), r.Count) // an estimate may be more than there are values
	}
	if c.kind == file.Time {
		r.Earliest, r.Latest = time.Unix(0, f.earliest).UTC(), time.Unix(0, f.latest).UTC()
		return
	}
	if c.large && (s.Max() >= file.MaxWhole || s.Min() <= -file.MaxWhole) {
		r.DistinctExact = false // different whole numbers may have become one
	}
	r.Stats = o.Selection.Append(nil, s)
	f.numbers = nil
}

// typeName returns the type of the column. A column with whole and other numbers is one of floats, and truth values among numbers
// do not count.
func (c *column) typeName() string {
	switch {
	case c.tag:
		return TypeTag
	case c.kind == file.Text:
		return TypeText
	case c.kind == file.Time:
		return TypeTime
	case c.fraction:
		return TypeFloat
	case c.whole:
		return TypeInteger
	case c.boolean:
		return TypeBoolean
	}
	return TypeEmpty
}
