package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errFormat is wrapped by every error about bytes that are not in the format of the store.
var errFormat = errors.New("not of this format")

// decoder reads untrusted bytes. After the first error, all methods return zero values, so callers test the error once, before they
// use what they have read. Lengths are checked before memory is allocated from them. The results share no memory with the input, except
// those of the method bytes.
//
// The methods read what the functions append that are named like them: byte and uint64 (8 bytes, little endian) have a fixed length,
// uvarint and varint are those of package encoding/binary, and bytes, string and length begin with a uvarint.
type decoder struct {
	b   []byte // what is not read yet; nil after an error
	err error  // the first error
}

// fail sets the error, which wraps errFormat, unless there is one already. Nothing more is read after it.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errFormat, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

// byte reads one byte.
func (d *decoder) byte() byte {
	if len(d.b) < 1 {
		d.fail("it ends early")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// uint32 reads 4 bytes, little endian.
func (d *decoder) uint32() uint32 {
	if len(d.b) < 4 {
		d.fail("it ends early")
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

// uvarint reads a number of 1 to 10 bytes.
func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // most numbers are small
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	return d.longUvarint()
}

// longUvarint reads a uvarint of more than one byte.
func (d *decoder) longUvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("it ends within a number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// varint reads a number of either sign, of 1 to 10 bytes.
func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("it ends within a number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads a number of elements, each at least size bytes long. It is an error if the rest of the input is too
// short for that many, so the caller can allocate memory for them.
func (d *decoder) length(size int) int {
	v := d.uvarint()
	if v > uint64(len(d.b)/size) {
		d.fail("%d of at least %d bytes each in %d bytes", v, size, len(d.b))
		return 0
	}
	return int(v)
}

// whole reads a number from 0 to the largest int64.
func (d *decoder) whole() int64 {
	v := d.uvarint()
	if v > math.MaxInt64 {
		d.fail("number %d, want at most %d", v, int64(math.MaxInt64))
		return 0
	}
	return int64(v)
}

// bytes reads a length and that many bytes. The result shares memory with the input.
func (d *decoder) bytes() []byte {
	n := d.length(1)
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// string reads a length and a text of that many bytes, which may be any: the caller checks whether they are UTF-8 if that matters.
func (d *decoder) string() string { return string(d.bytes()) }

// end returns the first error. It is an error if there are bytes left.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after its end", len(d.b))
	}
	return d.err
}

// appendString appends the length of a text and the text.
func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
