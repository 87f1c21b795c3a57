package influxtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The types of columns, as the database names them.
const (
	timeColumn = "iox::column_type::time"
	tagColumn  = "iox::column_type::tag"
)

// columns are the types of a table's columns by name. A column keeps its first type for ever.
type columns map[string]string

// table has rows in columns.
type table struct {
	columns columns
	rows    map[rowKey]*Row
}

// rowKey is what makes two points one row.
type rowKey struct {
	time int64
	tags string
}

func (k rowKey) compare(o rowKey) int {
	return cmp.Or(cmp.Compare(k.time, o.time), cmp.Compare(k.tags, o.tags))
}

// add writes the point: a row of the same tags and time gets the union of the fields, the newer value
// where both have one.
func (t *table) add(p point) {
	key := rowKey{p.time, fmt.Sprintf("%q", p.tags)} // fmt sorts maps
	row := t.rows[key]
	if row == nil {
		row = &Row{Tags: p.tags, Fields: make(map[string]any), Time: p.time}
		t.rows[key] = row
	}
	row.Writes++
	maps.Copy(row.Fields, p.fields)
}

// check returns why a table with these columns refuses the point.
func (c columns) check(p point) error {
	added := 0
	for _, name := range slices.Sorted(maps.Keys(p.types)) {
		have, ok := c[name]
		switch {
		case !ok:
			added++
		case have != p.types[name]:
			return mismatch(name, have, p.types[name])
		}
	}
	if n := len(c) + added; n > MaxColumns {
		return fmt.Errorf("table '%s' would have %d columns, more than %d", p.table, n, MaxColumns)
	}
	return nil
}

func mismatch(column, have, got string) error {
	return fmt.Errorf("invalid column type for column '%s', expected %s, got %s", column, have, got)
}

// lineError is what the database says of a line that it refuses.
type lineError struct {
	Message string `json:"error_message"`
	Number  int    `json:"line_number"`
	Line    string `json:"original_line"`
}

// batch is the lines of one body. Nothing of it is in the tables before commit.
type batch struct {
	tables   map[tableKey]*table
	database string
	columns  map[string]columns // of the tables that the lines name, as the good lines leave them
	good     []point
	bad      []lineError
}

// add reads a line and checks it against the table and the lines before.
func (b *batch) add(l line, unit int64, now time.Time) {
	p, err := parse(l.text, unit, now)
	if err == nil {
		err = b.columnsOf(p.table).check(p)
	}
	if err != nil {
		b.bad = append(b.bad, lineError{err.Error(), l.number, l.text})
		return
	}
	maps.Copy(b.columnsOf(p.table), p.types)
	b.good = append(b.good, p)
}

func (b *batch) columnsOf(name string) columns {
	c := b.columns[name]
	if c != nil {
		return c
	}
	if t := b.tables[tableKey{b.database, name}]; t != nil {
		c = maps.Clone(t.columns)
	} else {
		c = columns{"time": timeColumn}
	}
	b.columns[name] = c
	return c
}

// commit writes the good lines.
func (b *batch) commit() {
	for _, p := range b.good {
		key := tableKey{b.database, p.table}
		t := b.tables[key]
		if t == nil {
			t = &table{rows: make(map[rowKey]*Row)}
			b.tables[key] = t
		}
		t.columns = b.columns[p.table]
		t.add(p)
	}
}
