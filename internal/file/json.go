package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// maxDepth is how deep objects and arrays may be nested.
const maxDepth = 100

// jsonParser reads lines that are JSON objects (RFC 8259). Members of nested objects are columns whose names are joined by
// points. Arrays are texts. A null is a missing cell; a member that is always null is a column without cells. NaN and the
// infinities, which Python writes although they are not JSON, are read as in CSV: NaN is missing, and an infinity is invalid.
//
//	{"id": 7, "room": {"name": "a", "sizes": [2, 3]}}   ─▶   id=7   room.name="a"   room.sizes="[2,3]"
//
// It is a recursive descent over the bytes of the line, one method for each rule of the grammar: object, key, member, array, element,
// text, number, literal. The syntax is checked to the end, but only the members that are wanted become cells; encoding/json would
// make a map of strings and interfaces of each line. Cells are collected in row and added once the whole line is known to be good.
//
// Each method begins at data[i], and leaves i behind what it has read. After an error i has no meaning but for the message.
type jsonParser struct {
	source *source
	names  *decisions

	data  []byte  // the current line, without white space around it
	i     int     // of data: what was read
	name  []byte  // of the current member: the names on the way to it, joined by points
	row   []value // the cells of the line so far, without the time
	tight []byte  // scratch of compact
	at    int64   // the time of the row, in nanoseconds since 1970
	timed bool    // whether there is one
	wrong []byte  // a copy of a time that cannot be read; means nothing if timed, as a later member of the name was read
}

// parse fills b from a chunk, see [Parser.Parse]. All lines of a file are of one table. Blank lines are no rows, but count as lines.
func (p *jsonParser) parse(data []byte, b *Batch) {
	name := ""
	if p.source.o.Table != nil {
		name = p.source.o.Table(p.source.path)
	}
	t := b.table([]byte(name))
	line := 0
	for len(data) > 0 {
		text, rest, _ := bytes.Cut(data, newline)
		data = rest
		if text = bytes.Trim(text, " \t\r"); len(text) > 0 {
			kept := len(b.Bytes)
			if err := p.line(text, t, b); err != nil {
				b.Bytes = b.Bytes[:kept]
				b.bad(line, err.Error())
			}
		}
		line++
	}
	b.Lines = line
}

// line reads one object. If there is an error, it adds no cell.
func (p *jsonParser) line(text []byte, t *Table, b *Batch) error {
	// Everything starts anew, except for the scratch memory.
	*p = jsonParser{source: p.source, names: p.names, data: text, name: p.name[:0], row: p.row[:0], tight: p.tight}
	if text[0] != '{' {
		return fmt.Errorf("found %q, want an object", clip(text))
	}
	if err := p.object(t, b, maxDepth); err != nil {
		return err
	}
	if p.space(); p.i < len(p.data) {
		return fmt.Errorf("found %q after the object", clip(p.data[p.i:]))
	}
	if !p.timed && p.source.o.NeedTime {
		if p.wrong != nil {
			return fmt.Errorf("%q in the member %q is not a time", clip(p.wrong), p.source.time)
		}
		return fmt.Errorf("the object has no member %q for the time", p.source.time)
	}
	if p.timed || p.wrong != nil {
		p.addTime(t)
	}
	t.commit(p.row)
	return nil
}

// addTime adds the time of the row, or counts it as invalid. The column is made by the first row with one. It is called before commit,
// which counts the row: t.Rows is still the number of this one.
func (p *jsonParser) addTime(t *Table) {
	if t.Time == nil {
		t.Time = t.Columns[t.column([]byte(p.source.time), Time, false)]
	}
	if p.timed {
		t.Time.addTime(t.Rows, p.at)
	} else {
		t.Time.addInvalid(p.wrong)
	}
}

// space skips white space.
func (p *jsonParser) space() {
	for p.i < len(p.data) {
		switch p.data[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

// next returns the next character that is not a space, or 0 at the end. It does not read it. A NUL in the content also is 0; it begins no
// token, and so is an error like the end.
func (p *jsonParser) next() byte {
	if p.space(); p.i == len(p.data) {
		return 0
	}
	return p.data[p.i]
}

// errEnd is the error of an object that goes on behind the line.
var errEnd = errors.New("the object is not complete")

// unexpected returns the error of a character that is not the wanted one.
func (p *jsonParser) unexpected(want string) error {
	if p.i >= len(p.data) {
		return errEnd
	}
	return fmt.Errorf("found %q at byte %d, want %s", clip(p.data[p.i:]), p.i+1, want)
}

// object reads an object, whose brace is next. Its members are columns. depth is how many objects and arrays may be nested, this one
// included. p.name is the path of the object, without a point at its end, and is so again at the end.
func (p *jsonParser) object(t *Table, b *Batch, depth int) error {
	if depth == 0 {
		return fmt.Errorf("objects are nested more than %d deep", maxDepth)
	}
	p.i++
	if p.next() == '}' {
		p.i++
		return nil
	}
	prefix := len(p.name)
	for {
		name, err := p.key()
		if err != nil {
			return err
		}
		if prefix > 0 {
			p.name = append(p.name[:prefix], '.')
		}
		p.name = append(p.name, name...)
		if err := p.member(t, b, depth); err != nil {
			return err
		}
		p.name = p.name[:prefix]
		switch p.next() {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return p.unexpected("a comma or a brace")
		}
	}
}

// member reads the value of the member p.name. Where that is an object, its members are read in its place. depth is that of the object
// which has the member.
//
// Every value is read to its end, also one that is not wanted: only so is it known where the next member begins, and that the line
// is good.
func (p *jsonParser) member(t *Table, b *Batch, depth int) error {
	c := p.next()
	if c == '{' {
		return p.object(t, b, depth-1)
	}
	start := p.i
	if c == '"' {
		text, err := p.text()
		if err == nil {
			p.addText(text, t, b)
		}
		return err
	}
	if c == '[' {
		if err := p.array(depth - 1); err != nil {
			return err
		}
		p.addText(p.compact(p.data[start:p.i]), t, b)
		return nil
	}
	if c != 0 && isNumber(p.data[start:]) {
		text, err := p.number()
		if err == nil {
			err = p.addNumber(text, t, b)
		}
		return err
	}
	v, err := p.literal()
	wanted := p.names.of(p.name, false)
	if err != nil || p.isTime() || !wanted.read {
		return err
	}
	if wanted.text {
		v.kind = Text
		if v.form != missing {
			v.text = b.keep(p.data[start:p.i])
		}
	}
	p.add(t, v)
	return nil
}

// isNumber reports whether a value, which is not empty, begins as a number. A minus may also begin the literal -Infinity.
func isNumber(text []byte) bool {
	return text[0]-'0' <= 9 || text[0] == '-' && !bytes.HasPrefix(text, []byte("-I"))
}

// isTime reports whether the current member has the time of the row.
func (p *jsonParser) isTime() bool { return p.source.time != "" && string(p.name) == p.source.time }

// add adds the value of the current member to the row.
func (p *jsonParser) add(t *Table, v value) {
	v.column = t.expect(len(p.row), p.name, v.kind, false)
	p.row = append(p.row, v)
}

// addText adds a text, which it copies, to the row, if the current member is wanted.
func (p *jsonParser) addText(text []byte, t *Table, b *Batch) {
	if p.isTime() {
		p.readTime(text)
		return
	}
	if p.names.of(p.name, false).read {
		p.add(t, value{kind: Text, text: b.keep(text)})
	}
}

// readTime reads the time of the row: in words from a string, since 1970 from a number or a string. A member that occurs twice
// counts the last time, as with encoding/json.
func (p *jsonParser) readTime(text []byte) {
	if p.at, p.timed = p.source.o.Times.Read(scan.Trim(text)); !p.timed {
		p.wrong = bytes.Clone(text)
	}
}

// addNumber adds a number to the row, if the current member is wanted. The text is that of the line, so that numbers of any
// length are texts in full.
func (p *jsonParser) addNumber(text []byte, t *Table, b *Batch) error {
	if p.isTime() {
		p.readTime(text)
		return nil
	}
	wanted := p.names.of(p.name, false)
	if !wanted.read {
		return nil
	}
	if wanted.text {
		p.add(t, value{kind: Text, text: b.keep(text)})
		return nil
	}
	v, isWhole, ok := scan.Number(text)
	if !ok {
		return fmt.Errorf("the number %s is beyond the range of 64-bit floats", clip(text))
	}
	form := fraction
	if isWhole {
		form = whole
	}
	p.add(t, value{kind: Number, form: form, number: v})
	return nil
}

// text reads a string, whose quote is next. The result is valid until the next line: without escapes it is a part of the line.
// Bytes that are not UTF-8 are kept there, and are U+FFFD beside escapes. Strings with escapes are rare, so that encoding/json
// may decode them.
func (p *jsonParser) text() ([]byte, error) {
	p.i++
	start := p.i
	escaped := false
	for ; p.i < len(p.data); p.i++ {
		switch c := p.data[p.i]; {
		case c == '"':
			text := p.data[start:p.i]
			p.i++
			if escaped {
				return unescape(p.data[start-1 : p.i])
			}
			return text, nil
		case c == '\\':
			escaped = true
			p.i++
		case c < ' ':
			return nil, fmt.Errorf("found the control character %q in a string", c)
		}
	}
	return nil, errors.New("a string is not closed")
}

// unescape returns the text of a quoted string with escapes.
func unescape(quoted []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, fmt.Errorf("the string %q: %w", clip(quoted), err)
	}
	return []byte(text), nil
}

// number reads a number, whose first character is next, by the grammar of RFC 8259, section 6: no plus sign, no leading zeros, digits
// on both sides of a point.
func (p *jsonParser) number() ([]byte, error) {
	start := p.i
	if p.data[p.i] == '-' {
		p.i++
	}
	first := p.i
	if p.digits() == 0 || p.data[first] == '0' && p.i > first+1 {
		return nil, fmt.Errorf("found %q, want a number", clip(p.data[start:]))
	}
	if p.i < len(p.data) && p.data[p.i] == '.' {
		if p.i++; p.digits() == 0 {
			return nil, fmt.Errorf("found %q, want a number", clip(p.data[start:]))
		}
	}
	if p.i < len(p.data) && p.data[p.i]|0x20 == 'e' {
		if p.i++; p.i < len(p.data) && (p.data[p.i] == '+' || p.data[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return nil, fmt.Errorf("found %q, want a number", clip(p.data[start:]))
		}
	}
	return p.data[start:p.i], nil
}

// digits reads digits and returns how many there are.
func (p *jsonParser) digits() int {
	start := p.i
	for p.i < len(p.data) && p.data[p.i]-'0' <= 9 {
		p.i++
	}
	return p.i - start
}

// literals are the values that are words: those of RFC 8259, section 3, and those that Python's json writes for floats that are no
// numbers.
var literals = []struct {
	word  string
	value value
}{
	{"true", value{kind: Number, form: boolean, number: 1}},
	{"false", value{kind: Number, form: boolean}},
	{"null", value{kind: Number, form: missing}},
	{"NaN", value{kind: Number, form: missing}},
	{"Infinity", value{kind: Number, form: infinite, number: math.Inf(1)}},
	{"-Infinity", value{kind: Number, form: infinite, number: math.Inf(-1)}},
}

// literal reads one of the literals and returns its value. What follows is not looked at: the caller finds that "nullx" has an x in the
// place of a comma.
func (p *jsonParser) literal() (v value, err error) {
	for i := range literals {
		if bytes.HasPrefix(p.data[p.i:], []byte(literals[i].word)) {
			p.i += len(literals[i].word)
			return literals[i].value, nil
		}
	}
	return value{}, p.unexpected("a value")
}

// array reads an array, whose bracket is next, and checks it. Its elements become no cells: the array is one text. depth is how many
// objects and arrays may be nested, this one included.
func (p *jsonParser) array(depth int) error {
	if depth == 0 {
		return fmt.Errorf("arrays are nested more than %d deep", maxDepth)
	}
	return p.list(']', "a comma or a bracket", func() error { return p.element(depth) })
}

// list reads a list of items that commas separate, up to its end. The bracket or brace that begins it is next. want describes the comma or
// the end in the error for another character.
func (p *jsonParser) list(end byte, want string, item func() error) error {
	p.i++
	if p.next() == end {
		p.i++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.i++
		case end:
			p.i++
			return nil
		default:
			return p.unexpected(want)
		}
	}
}

// element reads and checks an element of an array.
func (p *jsonParser) element(depth int) (err error) {
	switch c := p.next(); {
	case c == '[':
		return p.array(depth - 1)
	case c == '{':
		return p.inner(depth - 1)
	case c == '"':
		_, err = p.text()
	case c != 0 && isNumber(p.data[p.i:]):
		_, err = p.number()
	default:
		_, err = p.literal()
	}
	return err
}

// compact returns JSON without the white space between its tokens, so that an array is the same text however it is indented.
// It is valid until the next call. data must be valid JSON.
//
//	[ 1, "a b", {"c" : 2} ]   ─▶   [1,"a b",{"c":2}]
func (p *jsonParser) compact(data []byte) []byte {
	p.tight = p.tight[:0]
	quoted, escaped := false, false
	for _, c := range data {
		if !quoted && isSpace(c) {
			continue
		}
		p.tight = append(p.tight, c)
		quoted = quoted != (c == '"' && !escaped)
		escaped = c == '\\' && !escaped
	}
	return p.tight
}

// inner reads and checks an object in an array. Unlike object, it makes no cells of the members, and does not change p.name.
func (p *jsonParser) inner(depth int) error {
	if depth == 0 {
		return fmt.Errorf("objects are nested more than %d deep", maxDepth)
	}
	return p.list('}', "a comma or a brace", func() error {
		if _, err := p.key(); err != nil {
			return err
		}
		return p.element(depth)
	})
}

// key reads the name of a member and the colon after it. The name is valid until the next call of text.
func (p *jsonParser) key() ([]byte, error) {
	if p.next() != '"' {
		return nil, p.unexpected("a name")
	}
	name, err := p.text()
	if err != nil {
		return nil, err
	}
	if p.next() != ':' {
		return nil, p.unexpected("a colon")
	}
	p.i++
	return name, nil
}

// findTime returns the name of the member with the time: the first of the usual names whose value in one of the first
// objects is a time in words, or a number of the time since 1970. It returns "" if there is none. Only members of the outermost
// object are looked at, and names have to be in lower case as in timeNames.
//
// The first object that has such a member decides. Lines that are no objects are passed over. There are few lines, so that
// encoding/json may read them; UseNumber keeps the digits of a time, of which a float64 would lose the last ones.
func (p *jsonParser) findTime(data []byte) string {
	for range sampleLines {
		line, rest, more := bytes.Cut(data, newline)
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		if utf8.Valid(line) && decoder.Decode(&object) == nil {
			for _, name := range timeNames {
				if p.isTimeOf(object[name]) {
					return name
				}
			}
		}
		if !more {
			break
		}
		data = rest
	}
	return ""
}

// isTimeOf reports whether the value of a member with a usual name is a time.
func (p *jsonParser) isTimeOf(v any) bool {
	var n sample
	switch v := v.(type) {
	case string:
		n.add([]byte(v), p.source.o)
		return n.times > 0
	case json.Number:
		n.add([]byte(v), p.source.o)
		return n.plausible > 0
	}
	return false
}
