package influxtest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// Package lineprotocol parses a line, but the endpoint finds the ends of lines itself: an answer has the text and the number of each
// refused line.

// line is one line of line protocol in a body. It contains several lines of text if a string field contains newlines.
type line struct {
	number int // the number of its first line of text, counted from 1
	text   string
}

// split returns the lines of a body without blank lines and comments, which count in the numbers of the others. The last line needs no
// newline.
func split(body string) []line {
	var lines []line
	for number := 1; body != ""; {
		end := endOfLine(body)
		text := body[:end]
		if t := strings.TrimSpace(text); t != "" && t[0] != '#' {
			lines = append(lines, line{number, text})
		}
		number += 1 + strings.Count(text, "\n")
		body = strings.TrimPrefix(body[end:], "\n")
	}
	return lines
}

// endOfLine returns the index of the end of the first line. A newline within a string does not end the line. A string
// begins with a quotation mark directly after the equals sign of a field. Names may contain quotation marks, and strings commas and equals
// signs:
//
//	m,t="a q="x=1,y" 5    the tag t is "a with its quotation mark, and the field q is the string x=1,y
//
// A string without an end takes the next line with it.
func endOfLine(body string) int {
	start := len(body) - len(strings.TrimLeft(body, " \t"))
	if newline := strings.IndexByte(body, '\n'); newline >= 0 && strings.HasPrefix(body[start:], "#") {
		return newline
	}
	// A value follows an equals sign that no comma has followed yet: only there does a quotation mark begin a string.
	inFields, quoted, equals, commas := false, false, 0, 0
	for i := start; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\n' && !quoted:
			return i
		case c == '\\' && i+1 < len(body) && body[i+1] != '\n':
			i++
		case c == ' ':
			inFields = true
		case !inFields:
		case c == '"' && equals > commas:
			quoted = !quoted
		case c == '=' && !quoted:
			equals++
		case c == ',' && !quoted:
			commas++
		}
	}
	return len(body)
}

// point is a parsed line. Its maps are its own, and are not nil. It has at least one field unless parse returned an error.
type point struct {
	table  string
	tags   map[string]string
	fields map[string]any // float64, int64, uint64, bool or string
	types  columns        // of its tags and fields
	time   int64          // nanoseconds since 1970
}

// parse parses a line. It rejects the lines that the database rejects. A line without a time gets the time now. unit is the unit of
// times in nanoseconds: see readTime. It knows the line only: whether the table takes the types is for columns.check.
func parse(line string, unit int64, now time.Time) (point, error) {
	p := point{tags: make(map[string]string), fields: make(map[string]any), types: make(columns)}
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

// readTags reads the tags. A tag that occurs twice is an error.
func (p *point) readTags(d *lineprotocol.Decoder, line string) error {
	for {
		key, value, err := d.NextTag()
		switch {
		case err != nil:
			return inTheWordsOfTheDatabase(err, line)
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

// inTheWordsOfTheDatabase replaces the error for a tag without a value by the message of the database, which has the rest of the line: for
// "m,t= f=1i 1" it is "Expected tag value, got ` f=1i 1`". Columns of a DecodeError are bytes, counted from 1.
func inTheWordsOfTheDatabase(err error, line string) error {
	var at *lineprotocol.DecodeError
	if errors.As(err, &at) && strings.HasPrefix(at.Err.Error(), "expected tag value") {
		return fmt.Errorf("Expected tag value, got `%s`", line[at.Column-1:]) //nolint:staticcheck // the database's words
	}
	return err
}

// readFields reads the fields, at least one. A field that occurs twice is an error.
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
			return fmt.Errorf("field '%s' is not a number", name)
		}
		p.fields[name], p.types[name] = value.Interface(), fieldType(value)
	}
}

// fieldType returns the type of a field's column, as the database names it.
func fieldType(v lineprotocol.Value) string {
	names := map[lineprotocol.ValueKind]string{
		lineprotocol.Int: "integer", lineprotocol.Uint: "uinteger", lineprotocol.Float: "float", lineprotocol.Bool: "boolean", lineprotocol.String: "string",
	}
	return "iox::column_type::field::" + names[v.Kind()]
}

// readTime reads the time. unit is in nanoseconds; if it is 0, guess chooses the unit. A time that does not fit into an int64 of
// nanoseconds is an error: it is outside of September 1677 to April 2262.
func (p *point) readTime(d *lineprotocol.Decoder, unit int64, now time.Time) error {
	b, err := d.TimeBytes()
	if err != nil {
		return err
	}
	if len(b) == 0 {
		p.time = now.UnixNano()
		return nil
	}
	t, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("timestamp %q is not a number: %w", b, err)
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

// guess returns the unit of a time in nanoseconds, as precision "auto" derives it from the magnitude. Nanoseconds within 57 days of 1970
// are taken for a larger unit, so tests with such times must name the precision.
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

// precision returns the named unit in nanoseconds, or 0 for "auto".
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
