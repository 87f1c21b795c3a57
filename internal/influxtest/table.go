package influxtest

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// The types of columns, as the database names them.
const (
	timeColumn = "iox::column_type::time"
	tagColumn  = "iox::column_type::tag"
)

// table has rows, and columns that keep their first type for ever.
type table struct {
	columns map[string]string // type by name
	rows    map[string]*Row   // by tags and time
}

// point is a parsed line.
type point struct {
	table  string
	tags   map[string]string
	fields map[string]any
	types  map[string]string // of the columns
	time   int64
}

// parse reads a line as strictly as the database does.
func parse(line string, unit int64, now time.Time) (point, error) {
	p := point{tags: make(map[string]string), fields: make(map[string]any), types: make(map[string]string)}
	d := lineprotocol.NewDecoderWithBytes([]byte(line))
	if !d.Next() {
		return p, errors.New("no line")
	}
	name, err := d.Measurement()
	if err != nil {
		return p, err
	}
	p.table = string(name)
	if err := p.readTags(d, line); err != nil {
		return p, err
	}
	if err := p.readFields(d); err != nil {
		return p, err
	}
	return p, p.readTime(d, unit, now)
}

func (p *point) readTags(d *lineprotocol.Decoder, line string) error {
	for {
		key, value, err := d.NextTag()
		switch {
		case err != nil && strings.Contains(err.Error(), "tag value"):
			_, rest, _ := strings.Cut(line, "=")
			return fmt.Errorf("Expected tag value, got `%s`", rest) //nolint:staticcheck // the database's words
		case err != nil:
			return err
		case key == nil:
			return nil
		}
		name := string(key)
		if _, twice := p.tags[name]; twice {
			return fmt.Errorf("invalid line protocol - multiple instances of '%s' tag found", name)
		}
		p.tags[name], p.types[name] = string(value), tagColumn
	}
}

func (p *point) readFields(d *lineprotocol.Decoder) error {
	for {
		key, value, err := d.NextField()
		switch {
		case err != nil && len(p.fields) == 0 && strings.Contains(err.Error(), "expected field"):
			return errors.New("No fields were provided") //nolint:staticcheck // the database's words
		case err != nil:
			return err
		case key == nil:
			return nil
		}
		name := string(key)
		if _, twice := p.fields[name]; twice {
			return fmt.Errorf("invalid line protocol - multiple instances of '%s' field found", name)
		}
		if p.types[name] == tagColumn {
			return mismatch(name, tagColumn, fieldType(value))
		}
		if f, ok := value.Interface().(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return fmt.Errorf("field '%s' is no number", name)
		}
		p.fields[name], p.types[name] = value.Interface(), fieldType(value)
	}
}

func fieldType(v lineprotocol.Value) string {
	names := map[lineprotocol.ValueKind]string{
		lineprotocol.Int: "integer", lineprotocol.Uint: "uinteger", lineprotocol.Float: "float", lineprotocol.Bool: "boolean", lineprotocol.String: "string",
	}
	return "iox::column_type::field::" + names[v.Kind()]
}

// readTime reads the time in the unit, or in the one that its size says where unit is 0.
func (p *point) readTime(d *lineprotocol.Decoder, unit int64, now time.Time) error {
	b, err := d.TimeBytes()
	if err != nil {
		return err
	}
	if len(b) == 0 {
		p.time = now.UnixNano()
		return nil
	}
	var t int64
	if _, err := fmt.Sscan(string(b), &t); err != nil {
		return fmt.Errorf("timestamp %q is no number: %w", b, err)
	}
	if unit == 0 {
		unit = guess(t)
	}
	if t > math.MaxInt64/unit || t < math.MinInt64/unit {
		return fmt.Errorf("timestamp %d is out of range", t)
	}
	p.time = t * unit
	return nil
}

// guess returns how many nanoseconds the unit of a time has, by its size: precision "auto".
func guess(t int64) int64 {
	switch size := max(t, -t); {
	case size < 5e9:
		return int64(time.Second)
	case size < 5e12:
		return int64(time.Millisecond)
	case size < 5e15:
		return int64(time.Microsecond)
	}
	return 1
}

func precision(name string) (int64, error) {
	units := map[string]int64{
		"": 0, "auto": 0, "second": int64(time.Second), "s": int64(time.Second), "millisecond": int64(time.Millisecond), "ms": int64(time.Millisecond),
		"microsecond": int64(time.Microsecond), "us": int64(time.Microsecond), "nanosecond": 1, "ns": 1,
	}
	unit, ok := units[name]
	if !ok {
		return 0, fmt.Errorf("unknown precision %q", name)
	}
	return unit, nil
}

func mismatch(column, have, got string) error {
	return fmt.Errorf("invalid column type for column '%s', expected %s, got %s", column, have, got)
}

// check returns why the table refuses the point.
func (t *table) check(p point) error {
	added := 0
	names := make([]string, 0, len(p.types))
	for name := range p.types {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		have, ok := t.columns[name]
		switch {
		case !ok:
			added++
		case have != p.types[name]:
			return mismatch(name, have, p.types[name])
		}
	}
	if n := len(t.columns) + added; n > MaxColumns {
		return fmt.Errorf("table '%s' would have %d columns, more than %d", p.table, n, MaxColumns)
	}
	return nil
}

// add writes the point: a row of the same tags and time gets the union of the fields, the newer value
// where both have one.
func (t *table) add(p point) {
	for name, kind := range p.types {
		t.columns[name] = kind
	}
	key := fmt.Sprintf("%q %d", p.tags, p.time) // fmt sorts maps
	row := t.rows[key]
	if row == nil {
		row = &Row{Tags: p.tags, Fields: make(map[string]any), Time: p.time}
		t.rows[key] = row
	}
	row.Writes++
	for name, value := range p.fields {
		row.Fields[name] = value
	}
}
