package file

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// peeked is how much of a content is looked at to find out whether JSON is one value a line.
const peeked = 64 << 10

// asLines returns the content of JSON with one value a line, if it is an array of objects or begins with an object of several lines.
// Any other content is returned as it is, except that byte order marks at its start are gone. It waits for the first bytes of content.
//
//	[{"a": 1}, {"a": 2}]      an array of objects, which begins with [ and { or is empty
//	{⏎ "a": 1⏎}⏎{⏎ …          objects of several lines
//	{"a": 1}⏎{"a": 2}⏎        as it is: one object a line
//	[1, 2]⏎[3, 4]⏎            as it is: an array of other values has no columns
func asLines(content io.Reader) io.Reader {
	r := bufio.NewReaderSize(content, peeked)
	start, _ := r.Peek(peeked) // fewer bytes are all there is, or an error that comes again with the first Read
	mark := markLength(start)
	_, _ = r.Discard(mark) // which Peek has read
	start = bytes.TrimLeft(start[mark:], " \t\r\n")
	array, ok := bytes.CutPrefix(start, []byte{'['})
	if array = bytes.TrimLeft(array, " \t\r\n"); ok && len(array) > 0 && (array[0] == '{' || array[0] == ']') {
		return &elements{content: r, array: true, state: outside}
	}
	if bytes.HasPrefix(start, []byte{'{'}) && severalLines(start) {
		return &elements{content: r, state: between}
	}
	return r
}

// severalLines reports whether data begins with an object that goes on after the first line. An object that is not complete and is
// followed by another one is taken for a damaged line. So is one whose first line ends within a string, as no string has a line end.
func severalLines(data []byte) bool {
	first, rest, _ := bytes.Cut(data, newline)
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if len(rest) == 0 || rest[0] == '{' {
		return false
	}
	var e elements
	for _, c := range first {
		e.nest(c)
	}
	return e.depth > 0 && !e.quoted
}

// place is where in the content an [elements] reader is. The constants are in the order in which an array passes them; Read
// compares them, to know whether the array has ended.
type place uint8

const (
	outside place = iota // before the bracket that begins the array
	between              // before a value
	within               // in a value
	behind               // after the bracket that ends the array
	wrong                // in what follows there, where only white space may be
)

// elements reads JSON with one value a line: the elements of an array, or values that follow each other. A value with line ends becomes
// one line, and empty lines make up for them, so that a value that begins a line keeps the number of its line. The syntax is not
// checked further: what comes in a wrong place is passed on, and is an error where the line is read.
//
//	line  content        becomes
//	1     [              (an empty line)
//	2       {"a": 1,     {"a": 1,    "b": 2}
//	3        "b": 2},    (an empty line)
//	4       {"a": 3}     {"a": 3}
//	5     ]
//
// It is a filter of bytes that holds no value as a whole, so that an array and its elements may have any size.
//
// A byte moves it from place to place as follows; "a value" is any other byte that is not white space. Objects that are in no array
// are only between and within, and each ends with the brace that closes it.
//
//	outside ── [ ─▶ between ── a value ─▶ within ── , at depth 0 ─▶ between
//	                   │                    └────── ] at depth 0 ─▶ behind ── a value ─▶ wrong
//	                   └────── ] ─▶ behind
type elements struct {
	content *bufio.Reader
	array   bool // whether the values are the elements of an array; otherwise they follow each other

	state   place
	depth   int  // of the nesting within the value
	quoted  bool // within a string
	escaped bool // after a backslash in a string
	empty   bool // whether an element must follow, as there was a comma
	// Before a value, line ends are returned until written is read. So the value has the number of the line that it begins on, unless
	// more values than lines came before it.
	read    int // line ends that were read
	written int // line ends that were returned

	out  []byte // what the bytes that were read became
	next int    // where in out the next Read goes on
	err  error  // of the content; returned once out is
}

// errArrayOpen is the error of a content that ends within an array.
var errArrayOpen = errors.New("the content ends within the JSON array")

// Read implements io.Reader.
func (e *elements) Read(p []byte) (int, error) {
	for e.next == len(e.out) {
		if e.err != nil {
			return 0, e.err
		}
		e.out, e.next = e.out[:0], 0
		var buf [8 << 10]byte
		n, err := e.content.Read(buf[:])
		for _, c := range buf[:n] {
			e.add(c)
		}
		if errors.Is(err, io.EOF) && e.array && e.state < behind {
			err = errArrayOpen
		}
		e.err = err
	}
	n := copy(p, e.out[e.next:])
	e.next += n
	return n, nil
}

// add appends to out what the next byte of the content becomes. The order of the cases matters: white space is a part of a value, and is
// left out everywhere else.
func (e *elements) add(c byte) {
	if c == '\n' {
		e.read++
	}
	switch {
	case e.state == outside:
		if c == '[' {
			e.state = between
		}
	case e.state == within:
		e.addWithin(c)
	case e.state == wrong && c != '\n':
		e.out = append(e.out, c)
	case isSpace(c):
	case e.state == between && e.array && c == ']':
		if e.empty {
			e.line(',')
		}
		e.state = behind
	case e.state == between && e.array && c == ',':
		e.line(',')
	default: // the first byte of a value
		for ; e.written < e.read; e.written++ {
			e.out = append(e.out, '\n')
		}
		if e.state == between {
			e.state = within
			e.nest(c)
		} else {
			e.state = wrong
			e.out = append(e.out, ']') // an object cannot begin so: the line is an error
		}
		e.out = append(e.out, c)
	}
}

// addWithin appends a byte of a value, and ends the line with the value. White space between tokens stays, line ends as spaces: without
// it, 1 2 would become 12.
func (e *elements) addWithin(c byte) {
	if e.array && e.depth == 0 && !e.quoted && (c == ',' || c == ']') {
		e.end()
		e.empty = c == ','
		if c == ']' {
			e.state = behind
		}
		return
	}
	e.nest(c)
	switch {
	case c != '\n' && (c != '\r' || e.quoted): // in a string, a carriage return is an error where the line is read
		e.out = append(e.out, c)
	case !e.quoted:
		e.out = append(e.out, ' ')
	default: // a line end, not allowed in a string: the line that ends here is an error
		e.end()
		e.state = within
	}
	if !e.array && e.depth == 0 && !e.quoted {
		e.end()
	}
}

// line appends a line with one byte, which is an error where the line is read: an element is missing there. Such an error is
// found by the parser and not here, so that it has the number of its line and counts as a bad line.
func (e *elements) line(c byte) {
	e.out = append(e.out, c)
	e.end()
}

// end ends the line of a value.
func (e *elements) end() {
	e.out = append(e.out, '\n')
	e.written++
	e.state = between
}

// nest follows the nesting and the strings of a value: brackets within strings do not count, nor quotes after a backslash. It
// does not check that a bracket closes the right one: the parser does. At the end of a value that is complete, depth is 0 again and
// quoted and escaped are false.
func (e *elements) nest(c byte) {
	switch {
	case e.escaped:
		e.escaped = false
	case e.quoted:
		e.escaped = c == '\\'
		e.quoted = c != '"'
	case c == '"':
		e.quoted = true
	case c == '{' || c == '[':
		e.depth++
	case c == '}' || c == ']':
		e.depth--
	}
}

// isSpace reports whether c is white space of JSON.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
