package profile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// part is the rows of one table in one batch, divided by group. Group k of the part has keys[k], rows[k] and groups[k]:
//
//	rows of the batch   0:a 1:b 2:a 3:c 4:b        keys       a b c
//	a column            1.5 2.5 3.5 4.5 5.5        numbers    1.5 3.5 | 2.5 5.5 | 4.5
//	                                               runs       {a 2} {b 4} {c 5}
//
// So a field gets all its cells of a batch in one piece. A parsing goroutine makes the part; the collector adds groups, columns.to
// and columns.fields; the adders read it. It lives as long as the batch has this content: until its job is free again.
type part struct {
	table   *file.Table  // of batch
	batch   *file.Batch  // has the texts that spans point into; reused with its job
	keys    []groupKey   // of the groups in the order of their first rows
	rows    []int        // how many each group has
	groups  []*group     // the same groups in the table of the run
	columns []partColumn // those with a cell, with an invalid one, or that the file names
	grouped bool         // whether the table has a column to group by
}

// partColumn is a column whose cells are in the order of the groups.
//
// One of numbers, texts and times has the cells, and the others are empty: which of them follows from the kind of from. The last run ends
// at the number of cells. If to is set, there is a field for each run.
//
// A column without cells has no runs. It is there all the same, so that the column is known and its invalid cells are counted.
type partColumn struct {
	from *file.Column
	to   *column // nil if the cells are not described
	runs []span  // ascending by group, without those of groups that have no cell
	// fields are those that the cells of each run are added to; the collector sets them before it passes on the part.
	fields []*field

	numbers []float64   // those of from with a single group, copies otherwise; so are texts and times
	texts   []file.Span // in part.batch
	times   []int64     // in nanoseconds since 1970
	at      []int64     // the time of the row of each number; nil if no statistic needs it
}

// span is the cells of one group, which is the number of a group in the part: those from the end of the run before up to end.
type span struct{ group, end int }

// bytes returns how much memory the cells may take once they are added: more than they will, so that the limit of memory is not
// exceeded unseen, and not so much more that the fields are measured often. Each run counts as if its field were new.
func (q *part) bytes() (n int) {
	const perCell, perText, perGroup = 16, 96, 512
	for i := range q.columns {
		c := &q.columns[i]
		n += perCell*(len(c.numbers)+len(c.times)) + perText*len(c.texts) + perGroup*len(c.runs)
	}
	return n
}

// grouper divides batches. It is not safe for concurrent use: each parsing goroutine has one. Its maps are of one table at a time, as
// the numbers of groups within a batch mean nothing outside it.
//
// A group has three numbers: its index in grouper.of and part.keys, which is of one part; the index of its texts in names, which is of one
// table of one batch; and group.number, which the collector gives it for the whole run.
type grouper struct {
	o     *Options
	timed bool    // whether a statistic needs the time of values
	of    []int32 // the group of each row of the current table, unless it has a single group
	next  []int   // scratch of arrange: where the next cell of each group goes

	seen     map[localKey]int // the groups of a table
	index    map[string]int32 // the combinations of group texts, by raw
	names    []string         // their keys
	raw      []byte           // the texts of a row: each with its length
	previous []byte           // raw of the row before
}

// localKey is a group within a batch. It is compared for each row, which is why it has the number of the tags instead of their text.
type localKey struct {
	start int64 // of the bucket, in nanoseconds since 1970; 0 without buckets
	tags  int32 // in grouper.names
}

// group divides the tables of a batch and appends the parts to dst. The parts point into the batch, which must not be reset as long as
// they are used.
func (g *grouper) group(b *file.Batch, dst []*part) []*part {
	for _, t := range b.Tables {
		q := &part{table: t, batch: b}
		g.divide(q)
		for _, c := range t.Columns {
			if c.Len() > 0 || c.Invalid > 0 || c.Declared {
				q.columns = append(q.columns, g.arrange(q, c))
			}
		}
		dst = append(dst, q)
	}
	return dst
}

// cursor reads the texts of a column row by row. Rows without a cell in the column are not in it, so the next cell may be of a later row.
type cursor struct {
	column *file.Column
	next   int // the cell that was not read yet
}

// divide finds the group of each row: it sets keys, rows and grouped of the part, and g.of. Rows often follow rows of their group,
// so that the bucket and the tags of the row before are tried first.
func (g *grouper) divide(q *part) {
	var by []cursor
	for _, c := range q.table.Columns {
		if c.Kind == file.Text && g.o.Group != nil && g.o.Group(c.Name, c.Tag) {
			by = append(by, cursor{column: c})
		}
	}
	q.grouped = len(by) > 0
	if len(by) == 0 && g.o.Grid == nil {
		q.keys, q.rows = []groupKey{{}}, []int{q.table.Rows} // one group; g.of is not needed
		return
	}
	by = sortedTags(by)
	g.seen, g.index, g.names = make(map[localKey]int), make(map[string]int32), g.names[:0]
	g.of = slices.Grow(g.of[:0], q.table.Rows)[:q.table.Rows]
	key, end, group := localKey{}, int64(0), -1
	for row := range g.of {
		before := key
		if g.o.Grid != nil {
			// With a grid, file.Options.NeedTime is set, and so each row has a time.
			if at := q.table.Time.Times[row]; at < key.start || at >= end || row == 0 {
				var ok bool
				if key.start, end, ok = g.o.Grid.Bounds(at); !ok {
					key.start, end = at, at // the first bucket of all times begins too early; its rows get buckets of their own
				}
			}
		}
		if len(by) > 0 {
			key.tags = g.tagsOf(q.batch, by, row, key.tags)
		}
		if key != before || group < 0 {
			group = g.find(q, key)
		}
		g.of[row] = int32(group)
		q.rows[group]++
	}
}

// sortedTags returns the columns by name. Of a tag and a field with one name it returns the tag if that has cells, and otherwise the
// field: a group has one value for each name.
func sortedTags(by []cursor) []cursor {
	later := func(c *file.Column) int {
		if c.Tag && c.Len() > 0 { // a tag without cells is of another chunk, and which chunks share a batch is by chance
			return 0
		}
		return 1
	}
	slices.SortStableFunc(by, func(a, b cursor) int {
		return cmp.Or(cmp.Compare(a.column.Name, b.column.Name), later(a.column)-later(b.column), b.column.Len()-a.column.Len())
	})
	return slices.CompactFunc(by, func(a, b cursor) bool { return a.column.Name == b.column.Name })
}

// tagsOf returns the number of the texts of a row, which is the one after that of the last call. before is the number that was
// returned then. A row without a text in a column, and one with an empty text, are of one group.
//
// The texts are compared as raw: for each column the length as a uvarint, and the text. So "ab" and "c" differ from "a" and "bc":
//
//	"ab" and "c"   02 'a' 'b' 01 'c'
//	"ab" and none  02 'a' 'b' 00
func (g *grouper) tagsOf(b *file.Batch, by []cursor, row int, before int32) int32 {
	g.raw, g.previous = g.previous[:0], g.raw
	for i := range by {
		c := &by[i]
		if c.next < c.column.Len() && c.column.Row(c.next) == row {
			text := b.Text(c.column.Texts[c.next])
			g.raw = binary.AppendUvarint(g.raw, uint64(len(text)))
			g.raw = append(g.raw, text...)
			c.next++
		} else {
			g.raw = append(g.raw, 0)
		}
	}
	if row > 0 && bytes.Equal(g.raw, g.previous) {
		return before
	}
	n, ok := g.index[string(g.raw)]
	if !ok {
		n = int32(len(g.names))
		g.index[string(g.raw)] = n
		g.names = append(g.names, keyOf(g.raw, by))
	}
	return n
}

// keyOf returns the key of the tags that raw encodes, which is the same in all batches. A missing or empty text is no tag.
func keyOf(raw []byte, by []cursor) string {
	var tags []series.Tag
	for i := range by {
		n, size := binary.Uvarint(raw)
		text := raw[size : size+int(n)]
		raw = raw[size+int(n):]
		if n > 0 {
			tags = append(tags, series.Tag{Key: by[i].column.Name, Value: string(text)})
		}
	}
	return string(series.AppendTags(nil, tags))
}

// find returns the number of a group in the part, to which it adds the group if it is new. A new one has no rows yet.
func (g *grouper) find(q *part, key localKey) int {
	i, ok := g.seen[key]
	if ok {
		return i
	}
	global := groupKey{start: key.start}
	if len(g.names) > 0 {
		global.tags = g.names[key.tags]
	}
	g.seen[key] = len(q.keys)
	q.keys, q.rows = append(q.keys, global), append(q.rows, 0)
	return len(q.keys) - 1
}

// arrange returns the cells of a column in the order of the groups, and of the rows within a group. With a single group these are the
// cells as they are; otherwise they are copies, by a counting sort.
func (g *grouper) arrange(q *part, c *file.Column) partColumn {
	n := c.Len()
	p := partColumn{from: c, numbers: c.Numbers, texts: c.Texts, times: c.Times}
	if g.timed && c.Kind == file.Number {
		p.at = timesOf(q.table, c)
	}
	if n == 0 {
		return p
	}
	if len(q.keys) == 1 {
		p.runs = []span{{0, n}}
		return p
	}
	order := g.order(c, len(q.keys), &p)
	p.numbers, p.texts = permuted(c.Numbers, order), permuted(c.Texts, order)
	p.times, p.at = permuted(c.Times, order), permuted(p.at, order)
	return p
}

// timesOf returns the time of each cell: that of its row, or 0 if the table has no times, as cells are added in the order
// of the file.
func timesOf(t *file.Table, c *file.Column) []int64 {
	at := make([]int64, c.Len())
	if t.Time != nil && t.Time.Len() == t.Rows {
		for i := range at {
			at[i] = t.Time.Times[c.Row(i)]
		}
	}
	return at
}

// order returns the place of each cell in the order of the groups, and sets the runs: those of groups with a cell. It counts the
// cells of each group, which gives where its first one goes, and then deals them out.
func (g *grouper) order(c *file.Column, groups int, p *partColumn) []int32 {
	g.next = slices.Grow(g.next[:0], groups)[:groups]
	clear(g.next)
	n := c.Len()
	for i := range n {
		g.next[g.of[c.Row(i)]]++
	}
	end := 0 // of the groups before
	for k, count := range g.next {
		if count > 0 {
			p.runs = append(p.runs, span{k, end + count})
		}
		g.next[k] = end
		end += count
	}
	order := make([]int32, n)
	for i := range order {
		k := g.of[c.Row(i)]
		order[i] = int32(g.next[k])
		g.next[k]++
	}
	return order
}

// permuted returns a copy of vs with each value at its place; nil if there are none, as a column has cells of one kind only.
// place is a permutation of the indexes of vs, unless vs is empty: value i goes to place[i].
func permuted[E any](vs []E, place []int32) []E {
	if len(vs) == 0 {
		return nil
	}
	moved := make([]E, len(vs))
	for i, v := range vs {
		moved[place[i]] = v
	}
	return moved
}
