package file

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gzipMagic begins each member of a gzip file.
var gzipMagic = []byte{0x1f, 0x8b}

// members reads the members of a gzip file one after the other. Like gzip itself it ignores zero bytes after the last one, as
// tapes and block devices add them, and anything else there with a note. An incomplete or damaged member is an error. It is not
// safe for concurrent use.
//
// Programs that append to a compressed log write several members (RFC 1952, 2.2). gzip.Reader reads these by itself, but ends
// with an error at bytes behind the last one, after all the data was right.
//
// What comes after the first members of a file, and what the reader does then:
//
//	member │ member │ 00 00 00 …          the end
//	member │ member │ anything else       a note, and the end
//	member │ half of a member             an error from Read
type members struct {
	current *gzip.Reader      // of one member, see gzip.Reader.Multistream
	content *bufio.Reader     // compressed; current reads no further than the end of its member
	note    func(text string) // not nil
	ended   bool              // whether the last member was read; Read returns io.EOF from then on
}

// newMembers returns a reader of content, which begins with a member. It calls note at most once, from within Read. An error is one of the
// header of that member.
//
// The members are read from a bufio.Reader of ours. gzip.Reader puts one of its own around a reader without the method ReadByte, and the
// bytes behind the member would be in there, out of reach.
func newMembers(content io.Reader, note func(text string)) (*members, error) {
	m := &members{content: bufio.NewReader(content), note: note}
	z, err := gzip.NewReader(m.content)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	m.current = z
	return m, nil
}

// Read implements io.Reader.
func (m *members) Read(p []byte) (int, error) {
	for !m.ended {
		n, err := m.current.Read(p)
		if n > 0 && errors.Is(err, io.EOF) {
			err = nil // the next call advances
		}
		if n > 0 || err == nil || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := m.advance(); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// advance goes to the next member, or to the end if there is none. It is called once current has returned io.EOF, so that content is
// behind the checksum of its member.
func (m *members) advance() error {
	next, err := m.content.Peek(len(gzipMagic))
	if bytes.Equal(next, gzipMagic) {
		err := m.current.Reset(m.content)
		m.current.Multistream(false)
		return err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	// Everything behind the last member is read up to the first byte that is not zero, however long that takes.
	m.ended = true
	for {
		c, err := m.content.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c != 0:
			m.note("what follows the compressed content is not gzip and is ignored")
			return nil
		}
	}
}
