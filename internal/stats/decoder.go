package stats

import (
	"encoding/binary"
	"fmt"
	"math"
)

// decoder reads the parts of an encoded summary from the front of rest. After the first error, all methods return
// zero values and keep that error.
type decoder struct {
	rest []byte
	err  error
}

// fail sets the error, which wraps [ErrFormat], unless there is one already. For example, its text is "not an encoded summary: version
// 9, want 1". Nothing is left to read then, so the methods need not check the error.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
		d.rest = nil
	}
}

// header reads the version and the flags.
func (d *decoder) header() (flags byte) {
	const shortest = 3
	switch b := d.rest; {
	case len(b) < shortest:
		d.fail("%d bytes, want at least %d", len(b), shortest)
	case b[0] != version1:
		d.fail("version %d, want %d", b[0], version1)
	case b[1]&^knownFlags != 0:
		d.fail("flags %#x, want only %#x", b[1], knownFlags)
	default:
		d.rest = b[2:]
		return b[1]
	}
	return 0
}

// end checks that nothing is left and returns the first error.
func (d *decoder) end() error {
	if len(d.rest) > 0 {
		d.fail("%d bytes after the end", len(d.rest))
	}
	return d.err
}

// uvarint reads a uvarint. The error calls it what.
func (d *decoder) uvarint(what string) uint64 {
	v, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail("%s is not a uvarint", what)
		return 0
	}
	d.rest = d.rest[size:]
	return v
}

// varint reads a varint. The error calls it what.
func (d *decoder) varint(what string) int64 {
	v, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail("%s is not a varint", what)
		return 0
	}
	d.rest = d.rest[size:]
	return v
}

// byte reads a byte. The error calls it what.
func (d *decoder) byte(what string) byte {
	if len(d.rest) == 0 {
		d.fail("no byte left for %s", what)
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// float reads a finite float64 other than −0. The error calls it what.
func (d *decoder) float(what string) float64 {
	if len(d.rest) < 8 {
		d.fail("%d bytes left for %s, want 8", len(d.rest), what)
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.rest))
	if v-v != 0 || v == 0 && math.Signbit(v) {
		d.fail("%s is %g, want a finite number other than negative zero", what, v)
		return 0
	}
	d.rest = d.rest[8:]
	return v
}
