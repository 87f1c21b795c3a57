package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// cut returns the next chunk of the current file, or nil at its end. It uses buf for the content.
//
// It reads size bytes and ends the chunk after the last complete record in them. The bytes behind that are the start of the next
// chunk. If no record ends there, it doubles the size and reads on, up to MaxRecord. Sizes, not reads, decide where chunks end,
// so that the chunks of a file are the same however its bytes arrive.
//
//	├───────────────────── size ─────────────────────┤
//	header       record   record   …   record   half a record
//	├─ Skipped ─┤├─────────── Data ───────────┤├─── rest ───┤
//
// Data is in the memory of buf, or of a larger buffer, and belongs to the caller from then on. So rest is a copy in memory of the Reader.
// After an error the file is of no further use; Next closes it.
func (r *Reader) cut(buf []byte) (*Chunk, error) {
	s := r.current
	buf = append(buf[:0], r.rest...)
	r.rest = r.rest[:0]
	size := r.o.Size
	if s.format == Auto { // not detected yet: this is the first chunk
		size = r.o.first
	}
	for ; ; size = min(max(2*len(buf), size), MaxRecord) {
		var err error
		if buf, err = s.fill(buf, size); err != nil {
			return nil, err
		}
		// After a record that is too long, the rest of that record is removed first. Until its end is in buf, buf becomes empty and is
		// filled again.
		if s.skip {
			if buf = s.drop(buf); s.skip && !s.ended {
				continue
			}
		}
		header, known, err := s.header(buf)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		// At the end of the content the last record may lack its line end, and even its closing quote: the parser decides on it.
		end := len(buf)
		if !s.ended {
			end = header + s.lastEnd(buf[header:])
		}
		switch {
		// A chunk of a header alone has no Data, but counts its lines.
		case end > header || header > 0 || end == len(buf) && end > 0:
			r.rest = append(r.rest, buf[end:]...)
			return &Chunk{Path: s.name(), Data: buf[header:end], Skipped: bytes.Count(buf[:header], newline), source: s}, nil
		case s.ended:
			return nil, nil
		case len(buf) >= MaxRecord:
			return r.tooLong(buf), nil
		}
	}
}

// header returns where in buf the records start. In the first content of a file, that is after a byte order mark, comments and
// the header of CSV, and the format is detected; later it is 0. known is false if buf has too little for that: less than two lines.
// The caller reads more then, and calls it again. With MaxRecord bytes or all of the content it decides in any case: one line of at most
// that size is enough, and a longer one is an error, as nothing can be detected from a part of it.
func (s *source) header(buf []byte) (start int, known bool, err error) {
	if s.format != Auto {
		return 0, true, nil
	}
	first := bytes.IndexByte(buf, '\n')
	switch {
	case s.ended:
	case len(buf) < MaxRecord && bytes.IndexByte(buf[first+1:], '\n') < 0: // one line may be a header, and kinds need a row
		return 0, false, nil
	case first < 0:
		if err := oneLine(buf); err != nil {
			return 0, false, err
		}
		return 0, false, fmt.Errorf("the first line has more than %d MiB", MaxRecord>>20)
	}
	start, err = s.detect(buf)
	return start, err == nil, err
}

// newline is the line end by which contents are cut. A carriage return before it belongs to the record.
var newline = []byte{'\n'}

// fill reads until buf has size bytes, or to the end of the content, and then sets ended. The result may be in new memory. It reads on
// after a short read, as of a pipe, because the places where chunks end must not depend on how the bytes arrive.
//
// If buf has more than size bytes already, because so many were left from the chunk before, it stays as it is.
func (s *source) fill(buf []byte, size int) ([]byte, error) {
	if cap(buf) < size {
		buf = append(make([]byte, 0, size), buf...)
	}
	for !s.ended && len(buf) < size {
		n, err := s.content.Read(buf[len(buf):size])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			s.ended = true
		} else if err != nil {
			return buf, incomplete(err)
		}
	}
	return buf, nil
}

// incomplete returns an error that explains the end of a compressed content before its last byte, and any other as it is.
func incomplete(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the compressed content is not complete: %w", err)
	}
	return err
}

// drop removes from the start of buf what belongs to a record that is too long, and clears skip if that ends in buf. It may be
// called many times for one record: the memory that such a record takes stays that of one buffer. The record ends at the first line end,
// also if that is within quotes.
func (s *source) drop(buf []byte) []byte {
	end := bytes.IndexByte(buf, '\n') + 1
	if end == 0 {
		return buf[:0]
	}
	s.skip = false
	return buf[:copy(buf, buf[end:])]
}

// tooLong returns the chunk for a record that is too long, which begins buf. The lines after its first line end are read
// as records of their own: most likely a quote was never closed.
func (r *Reader) tooLong(buf []byte) *Chunk {
	s := r.current
	end := bytes.IndexByte(buf, '\n') + 1
	if end == 0 {
		s.skip = true
		end = len(buf)
	}
	r.rest = append(r.rest, buf[end:]...)
	return &Chunk{Path: s.name(), TooLong: true, Lines: 1, source: s}
}

// lastEnd returns where the last complete record of data ends, after its line end; 0 if none does. data starts where a record does.
//
// Without quotes that is the last line end, found from behind. With quotes each record is followed from the start: whether a line
// end is within quotes cannot be known from behind. Records without quotes are skipped a line at a time.
//
//	1,a⏎2,"b⏎c"⏎3,"d⏎e        ends after the line end of record 2, not after the last one, which is within the quotes of record 3
func (s *source) lastEnd(data []byte) int {
	// JSON has no line ends in strings, and elements.go removes those between tokens.
	if s.format == JSONLines || bytes.IndexByte(data, '"') < 0 {
		return bytes.LastIndexByte(data, '\n') + 1
	}
	end := 0
	for {
		n := s.recordEnd(data[end:])
		if n == 0 {
			return end
		}
		end += n
	}
}

// recordEnd returns where the first record of data ends, after its line end; 0 if it does not.
func (s *source) recordEnd(data []byte) int {
	end := bytes.IndexByte(data, '\n') + 1
	if end == 0 || bytes.IndexByte(data[:end], '"') < 0 {
		return end
	}
	if s.format == LineProtocol {
		return lineEnd(data)
	}
	// Cell by cell, as a quote opens a text only at the start of a cell.
	for i := 0; i < len(data); i++ {
		next, ok := cellEnd(data, i, s.schema.delimiter)
		if !ok || next == len(data) {
			return 0
		}
		if i = next; data[i] == '\n' {
			return i + 1
		}
	}
	return 0
}

// cellEnd returns where the cell of CSV that starts at i ends: at a delimiter, at a line end or at the end of data. A cell
// that starts with a quote may contain these up to its closing quote; ok is false if there is none.
func cellEnd(data []byte, i int, delimiter byte) (end int, ok bool) {
	if i < len(data) && data[i] == '"' {
		if i = closingQuote(data, i); i < 0 {
			return len(data), false
		}
	}
	for i < len(data) && data[i] != delimiter && data[i] != '\n' {
		i++
	}
	return i, true
}

// closingQuote returns the position after the quote that closes the one at i, or −1. Two quotes in a row are one quote of the
// text (RFC 4180, 2.7). At the end of data, a quote counts as the closing one, although another one may follow in the next
// content: the record then has no line end yet, and is read again with more of it.
func closingQuote(data []byte, i int) int {
	for i++; ; i += 2 {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		if i += n; i+1 >= len(data) || data[i+1] != '"' {
			return i + 1
		}
	}
}

// lineEnd returns where the first line of line protocol in data ends, after its line end; 0 if it does not. A string may
// contain line ends. A string can only be the value of a field: its quote follows an equals sign, after the first space that is
// not escaped. Quotes elsewhere are characters of names and tags. data must not be empty.
//
//	m,t=a s="x⏎y" 1⏎    one line: the quote follows s=
//	m,t=" f=1⏎          one line: the quote is the value of the tag t
//	m \="=1⏎            one line: the equals sign is escaped, so \=" is the name of a field
func lineEnd(data []byte) int {
	if data[0] == '#' {
		return bytes.IndexByte(data, '\n') + 1
	}
	inFields, inString := false, false
	equals := false // whether the character before is an equals sign that is not escaped
	for i := 0; i < len(data); i++ {
		c, before := data[i], equals
		equals = c == '='
		switch {
		case c == '\\':
			i++ // the next character has no meaning
		case inString:
			inString = c != '"'
		case c == '\n':
			return i + 1
		case c == ' ':
			inFields = true
		case c == '"':
			inString = inFields && before
		}
	}
	return 0
}
