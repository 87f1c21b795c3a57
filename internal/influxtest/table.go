package influxtest

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// The types of columns, as the database names them.
const (
	timeColumn = "iox::column_type::time"
	tagColumn  = "iox::column_type::tag"
)

// columns are the types of a table's columns by name. The type of a column never changes.
type columns map[string]string

// table holds the columns and the rows of a table. It has at least one row, because the first good line makes it.
type table struct {
	columns columns
	rows    map[rowKey]*Row
}

// rowKey identifies a row of a table. Two points with the same key are versions of one row.
type rowKey struct {
	time int64  // nanoseconds since 1970
	tags string // all of them, by name and quoted, such as map["host":"a"]
}

// compare orders rows by time and then by tags.
func (k rowKey) compare(o rowKey) int {
	return cmp.Or(cmp.Compare(k.time, o.time), cmp.Compare(k.tags, o.tags))
}

// add writes the point. An existing row gets the fields that it does not have yet. If it has other values for fields
// of the point, it gets the new values. If random is not nil, it keeps the old values instead with a chance of one
// half.
func (t *table) add(p point, random *rand.Rand) {
	key := rowKey{p.time, fmt.Sprintf("%q", p.tags)} // fmt sorts maps
	row := t.rows[key]
	if row == nil {
		row = &Row{Tags: p.tags, Fields: make(map[string]any), Time: p.time}
		t.rows[key] = row
	}
	row.Writes++
	if random != nil && row.differs(p.fields) && random.IntN(2) == 0 {
		earlier := row.Fields
		row.Fields = maps.Clone(p.fields)
		maps.Copy(row.Fields, earlier)
		return
	}
	maps.Copy(row.Fields, p.fields)
}

// differs reports whether the row has one of the fields with another value. A field that only one of them has is no difference.
func (r *Row) differs(fields map[string]any) bool {
	for name, value := range fields {
		if have, ok := r.Fields[name]; ok && have != value {
			return true
		}
	}
	return false
}

// check returns the reason why a table with these columns refuses the point, or nil. Of several columns with a reason it takes the
// first by name, so that the result is the same each time.
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

// mismatch returns the error of a value whose column has another type, in the words of the database.
func mismatch(column, have, got string) error {
	return fmt.Errorf("invalid column type for column '%s', expected %s, got %s", column, have, got)
}

// lineError describes a refused line, in the JSON of the database.
type lineError struct {
	Message string `json:"error_message"`
	Number  int    `json:"line_number"`
	Line    string `json:"original_line"`
}

// batch holds the lines of one body. It changes no table before commit: whether the good lines are written may depend on the last one. A
// column that a refused body would have added does not exist afterwards, so a later body may give it another type. The Server's lock is
// held for the life of a batch.
type batch struct {
	tables   map[tableKey]*table
	database string
	random   *rand.Rand         // that of the Server; nil keeps the newest values
	columns  map[string]columns // by table, including those of the lines in good
	good     []point
	bad      []lineError
}

// add parses a line and checks it against the table and the lines before it.
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

// columnsOf returns the columns of a table after the valid lines so far. It copies them from the table the first
// time.
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

// commit writes the good lines, in their order. It must be called once at most.
func (b *batch) commit() {
	for _, p := range b.good {
		key := tableKey{b.database, p.table}
		t := b.tables[key]
		if t == nil {
			t = &table{rows: make(map[rowKey]*Row)}
			b.tables[key] = t
		}
		t.columns = b.columns[p.table]
		t.add(p, b.random)
	}
}
