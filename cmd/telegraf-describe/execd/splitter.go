package execd

import (
	"bytes"
	"errors"
)

// maxLine is about the most bytes of a line: it bounds the memory for a line that is not complete, most likely a text whose quotation
// mark never ends.
const maxLine = 1 << 20

// errLong is the error of a line of more than maxLine bytes.
var errLong = errors.New("a line of more than 1 MiB")

// splitter splits a stream of line protocol into lines. A text in quotation marks can contain newlines, so a line may have
// several of them. The zero splitter is ready to use.
//
//	buf   m f=1 1⏎ | m f="a⏎b" 2⏎ | m f=
//	       returned  ▲ line         ▲ pos: the next line, which is not complete
//
// Telegraf's stream parser finds lines too, but not their bytes: originals would have to be serialized again to be passed on, and a
// line would not leave as it came.
//
// It is for one goroutine. 0 <= line <= pos <= len(buf): what is before line is of no use any more, and add removes what is before pos.
// buf holds at most maxLine bytes without an end of a line, and what one add brings.
type splitter struct {
	buf   []byte
	line  int  // start of the line that next returned last
	pos   int  // end of it
	ended bool // whether nothing is added any more
	skip  bool // whether what follows, up to a newline, is of a line that was too long
}

// add appends a copy of the bytes.
func (s *splitter) add(b []byte) {
	n := copy(s.buf, s.buf[s.pos:])
	s.buf = append(s.buf[:n], b...)
	s.line, s.pos = 0, 0
}

// end completes a last line without a newline. Nothing may be added after it.
func (s *splitter) end() {
	s.ended = true
	if len(s.buf) > s.pos && s.buf[len(s.buf)-1] != '\n' {
		s.buf = append(s.buf, '\n')
	}
}

// next returns the next line with its newline, or nil if none is complete. The line is valid until the next add. With the error
// errLong it is the start of a line that is too long, whose rest is skipped: that start may look like a line of its own.
//
// A text whose quotation mark does not end, within maxLine bytes or at the end, is returned with all that follows: see reject.
func (s *splitter) next() (line []byte, err error) {
	rest := s.rest()
	if len(rest) == 0 {
		return nil, nil
	}
	n := lineLen(rest)
	if n < 0 {
		if !s.ended && len(rest) < maxLine {
			return nil, nil
		}
		n = len(rest)
		if s.skip = bytes.IndexByte(rest, '\n') < 0; s.skip {
			err = errLong
		}
	}
	s.line, s.pos = s.pos, s.pos+n
	return s.buf[s.line:s.pos], err
}

// rest returns what has not been returned yet, without the end of a line that was too long.
func (s *splitter) rest() []byte {
	if s.skip {
		n := bytes.IndexByte(s.buf[s.pos:], '\n') + 1
		if s.skip = n == 0; s.skip {
			n = len(s.buf) - s.pos
		}
		s.pos += n
	}
	return s.buf[s.pos:]
}

// reject returns the line that next returned last up to its first newline. The next call of next begins after that: a quotation
// mark that does not end must not take the lines after it along.
func (s *splitter) reject() []byte {
	line := s.buf[s.line:s.pos]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
		s.pos = s.line + i + 1
	}
	return line
}

// lineLen returns the length of the first line of b with its newline, or -1 if its end is not in b.
func lineLen(b []byte) int {
	newline := bytes.IndexByte(b, '\n')
	if newline < 0 {
		return -1
	}
	if bytes.IndexByte(b[:newline], '"') < 0 {
		return newline + 1
	}
	fields := fieldsStart(b[:newline])
	if fields < 0 {
		return newline + 1
	}
	equals := false // whether the character before is an equals sign that is not escaped
	for i := fields; i < len(b); i++ {
		c, before := b[i], equals
		equals = c == '='
		switch c {
		case '\\':
			if i+1 < len(b) && b[i+1] != '\n' {
				i++
			}
		case '\n':
			return i + 1
		case '"':
			if !before {
				continue // an ordinary character of a key
			}
			n := textLen(b[i+1:])
			if n < 0 {
				return -1
			}
			i += n
		}
	}
	return -1
}

// fieldsStart returns where the first field may begin: after the space that follows measurement and tags. It is -1 for a
// comment and for a line without fields, which quotation marks do not change. For example, it is 14 for `cpu,host=a\ b f=1`, whose first
// space is escaped.
func fieldsStart(line []byte) int {
	start := len(line) - len(bytes.TrimLeft(line, " \t\v\f\r"))
	if start < len(line) && line[start] == '#' {
		return -1
	}
	for i := start; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case ' ', '\t', '\v', '\f':
			return i + 1
		}
	}
	return -1
}

// textLen returns the length of a text with the quotation mark that ends it, or -1 if b does not have its end. For example, it is 5 for
// `a\"b" 2`.
func textLen(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}
