package file

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// lineParser reads the lines of line protocol. Tags, strings and the numbers of [Options.AsText] are texts, truth values are
// 1 and 0. Each measurement is a table, and tags and fields are its columns:
//
//	weather,room=a temp=21.5,ok=t 1793536200000000000
//	│       │      │         │    └ time, a column of times
//	│       │      │         └ ok=1, a field
//	│       │      └ temp=21.5, a field
//	│       └ room="a", a tag
//	└ the table
//
// The decoder is that of influxdata (line-protocol/v2), which finds the next line after a bad one. Values are taken as bytes, as
// scan.Number is faster than the decoder's own conversion.
//
// The cells of a line are collected in row, and commit adds them once the time, the last part of the line, is read. What the decoder
// returns is valid until its next call only, so that texts are copied at once.
type lineParser struct {
	source *source
	names  *decisions
	row    []value // the cells of the current line
	data   []byte  // the content of the chunk
	offset int     // of data: within the current line
}

// value is one cell of a row that is not yet known to be good: a line with an error must not leave half of its cells behind. JSON and
// line protocol use it.
type value struct {
	column int     // in Table.Columns
	kind   Kind    // Number or Text; times are kept apart from the row
	number float64 // of the kind Number
	form   form    // of a number; missing also for a text that is a null of JSON
	text   Span    // of the kind Text
}

// form is how a number is written.
type form uint8

// The forms. They decide on the type of the column, see package profile.
const (
	whole    form = iota // without a point and an exponent, such as 5 and 5i
	fraction             // with one of these, and each float of line protocol
	boolean              // a truth value
	missing              // no number: the cell is missing
	infinite             // an infinity of JSON: the cell is invalid
)

// parse fills b from a chunk, see [Parser.Parse].
func (p *lineParser) parse(data []byte, b *Batch) {
	d := lineprotocol.NewDecoderWithBytes(data)
	p.data = data
	for d.Next() {
		err := p.line(d, b)
		if err == nil {
			continue
		}
		var syntax *lineprotocol.DecodeError
		if errors.As(err, &syntax) {
			b.bad(int(syntax.Line)-1, syntax.Err.Error())
		} else {
			b.bad(bytes.Count(data[:p.offset], newline), err.Error())
		}
	}
	b.Lines = lines(data)
}

// note notes where the decoder is: at text, unless that is a copy without escapes. The decoder itself reports the line of
// its own errors only, and for ours, such as a number that is out of range, its position has to be known.
//
// The capacity of a part of p.data shows its offset there: both end at the same byte of memory. Comparing the addresses proves
// that text is such a part.
func (p *lineParser) note(text []byte) {
	if len(text) == 0 {
		return
	}
	if at := cap(p.data) - cap(text); at >= 0 && at < len(p.data) && &p.data[at] == &text[0] {
		p.offset = at
	}
}

// line reads one line. If there is an error, it adds no cell. It may have added a table or columns then, which stay without cells from
// this line: Parse removes tables without rows, and columns without cells are left out by package profile.
func (p *lineParser) line(d *lineprotocol.Decoder, b *Batch) error {
	p.row = p.row[:0]
	kept := len(b.Bytes)
	name, err := d.Measurement()
	if err != nil {
		return err
	}
	t := b.table(name)
	if err = p.tags(d, t, b); err == nil {
		err = p.fields(d, t, b)
	}
	var at int64
	timed := false
	if err == nil {
		at, timed, err = p.time(d)
	}
	if err != nil {
		b.Bytes = b.Bytes[:kept]
		return err
	}
	if timed {
		if t.Time == nil {
			t.Time = t.Columns[t.column([]byte("time"), Time, false)]
		}
		t.Time.addTime(t.Rows, at)
	}
	t.commit(p.row)
	return nil
}

// commit adds the cells of a row, and with it the row. Of several cells of one column, the last one counts: a row has at most
// one, on which the order of cells and rows depends. It is the only place where JSON and line protocol add cells, after the whole
// line is known to be good, so it cannot fail.
func (t *Table) commit(row []value) {
	for i := range row {
		v := &row[i]
		c := t.Columns[v.column]
		if v.form == missing {
			c.Declared = true
			continue
		}
		if v.form == infinite && v.kind == Number {
			c.addInvalid(infinityText(v.number))
			continue
		}
		if n := c.Len(); n > 0 && c.Row(n-1) == t.Rows {
			c.dropLast()
		}
		if v.kind == Text {
			c.addText(t.Rows, v.text)
			continue
		}
		c.addNumber(t.Rows, v.number)
		switch v.form {
		case whole:
			c.noteWhole(v.number)
		case fraction:
			c.Fraction = true
		case boolean:
			c.Bool = true
		case missing, infinite: // added no cell
		}
	}
	t.Rows++
}

// infinityText returns an infinity as it is written in JSON.
func infinityText(v float64) []byte {
	if v < 0 {
		return []byte("-Infinity")
	}
	return []byte("Infinity")
}

// tags adds the tags of a line to the row, those that the options want. The decoder returns a nil key after the last one.
func (p *lineParser) tags(d *lineprotocol.Decoder, t *Table, b *Batch) error {
	for {
		key, text, err := d.NextTag()
		if err != nil {
			return err
		}
		if key == nil {
			return nil
		}
		if p.names.of(key, true).read {
			p.row = append(p.row, value{column: t.expect(len(p.row), key, Text, true), kind: Text, text: b.keep(text)})
		}
	}
}

// fields adds the fields of a line to the row, those that the options want. The values of the others are checked all the same: whether
// a line is bad must not depend on the options.
func (p *lineParser) fields(d *lineprotocol.Decoder, t *Table, b *Batch) error {
	for {
		key, kind, text, err := d.NextFieldBytes()
		if err != nil {
			return err
		}
		if key == nil {
			return nil
		}
		p.note(text)
		v, err := p.field(kind, text, b)
		if err != nil {
			return fmt.Errorf("field %q: %w", key, err)
		}
		if wanted := p.names.of(key, false); wanted.read {
			// If a tag has the name of a field to group by, rows are grouped by the tag.
			if v.kind == Number && wanted.text && (!wanted.group || !p.hasTag(key, t)) {
				v = value{kind: Text, text: b.keep(written(v, text))}
			}
			v.column = t.expect(len(p.row), key, v.kind, false)
			p.row = append(p.row, v)
		}
	}
}

// hasTag reports whether a tag of the row has that name.
func (p *lineParser) hasTag(name []byte, t *Table) bool {
	return slices.ContainsFunc(p.row, func(v value) bool { c := t.Columns[v.column]; return c.Tag && c.Name == string(name) })
}

// written returns the text of a value as it is written, but truth values as true and false, in whichever way they are written.
func written(v value, text []byte) []byte {
	switch {
	case v.form != boolean:
		return text
	case v.number != 0:
		return []byte("true")
	}
	return []byte("false")
}

// field returns the value of a field, without its column. Integers beyond 2^53 are rounded to float64, see [Column.Large].
//
// text is without the quotes of a string and the suffix of an integer: 5 of 5i and 5u. An integer that its type cannot hold is an error.
func (p *lineParser) field(kind lineprotocol.ValueKind, text []byte, b *Batch) (v value, err error) {
	v.kind = Number
	ok := true
	switch kind {
	case lineprotocol.Float:
		v.form = fraction
		v.number, _, ok = scan.Number(text)
	case lineprotocol.Int:
		var n int64
		n, err = strconv.ParseInt(string(text), 10, 64)
		v.number = float64(n)
	case lineprotocol.Uint:
		var n uint64
		n, err = strconv.ParseUint(string(text), 10, 64)
		v.number = float64(n)
	case lineprotocol.Bool:
		v.form = boolean
		v.number, ok = boolOf(text)
	case lineprotocol.String:
		v.kind = Text
		v.text = b.keep(text)
	case lineprotocol.Unknown:
		ok = false
	}
	if err != nil || !ok {
		return v, fmt.Errorf("%q is not a value of the type %s", clip(text), kind)
	}
	return v, nil
}

// boolOf reads a truth value of line protocol: t, T, f, F, or a word that scan.Bool knows.
func boolOf(text []byte) (v float64, ok bool) {
	if len(text) == 1 {
		switch text[0] {
		case 't', 'T':
			return 1, true
		case 'f', 'F':
			return 0, true
		}
	}
	b, ok := scan.Bool(text)
	return truth(b), ok
}

// time reads the time of a line, which is a whole number of nanoseconds, or of the unit of the options. It is not detected by its
// size: a line near 1970 is as right as any other. timed is false for a line without a time, which is an error if the options need one.
func (p *lineParser) time(d *lineprotocol.Decoder) (at int64, timed bool, err error) {
	text, err := d.TimeBytes()
	switch {
	case err != nil:
		return 0, false, err
	case len(text) == 0 && p.source.o.NeedTime:
		return 0, false, errors.New("the line has no time")
	case len(text) == 0:
		return 0, false, nil
	}
	unit := p.source.o.Times.Unit
	if unit == scan.Auto {
		unit = scan.Nanoseconds
	}
	if at, timed = (scan.Times{Unit: unit}).Epoch(text); !timed {
		return 0, false, fmt.Errorf("the time %s is out of range", clip(text))
	}
	return at, true, nil
}
