package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
)

// Files of the log
//
// A file of the log, "log-" and a number of 16 digits, is
//
//	8 bytes   "tdstate" and the version: 1
//
// and then frames. A frame is
//
//	4 bytes   magic: F5 'T' 'D' 'F'
//	4 bytes   length of the data, at most 2^18
//	8 bytes   number of the commit
//	4 bytes   number of the frame within the commit, from 0
//	4 bytes   CRC32C of the data
//	4 bytes   CRC32C of the 24 bytes before
//	data
//
// Integers are little endian. The data of the frames of a commit, one after another, are its payload: records (see
// record.go). A frame without data ends the commit: without it, the commit did not happen. Commits are numbered in
// order. A number that is missing is a commit that was lost. A commit that is there twice, as the first attempt to
// write it failed, counts once.
const (
	logMagic    = "tdstate\x01"
	frameMagic  = "\xf5TDF"
	frameHeader = 28
	maxFrame    = 1 << 18
	// maxPayload bounds the payload of a commit that is read back. Commits that are written are shorter: MaxPending
	// bounds what is collected, and one bucket is far below it.
	maxPayload = 1 << 31
)

// crcTable is that of CRC32C, of RFC 3720.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC32C of b, for which processors have an instruction.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crcTable) }

// frame is the header of a frame.
type frame struct {
	length int    // of the data, bytes; 0 ends the commit
	commit uint64 // number of the commit
	number uint32 // of the frame within the commit, from 0
	crc    uint32 // of the data
}

// appendFrame appends a frame in the format above.
func appendFrame(dst []byte, commit uint64, number uint32, data []byte) []byte {
	at := len(dst)
	dst = append(dst, frameMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(data)))
	dst = binary.LittleEndian.AppendUint64(dst, commit)
	dst = binary.LittleEndian.AppendUint32(dst, number)
	dst = binary.LittleEndian.AppendUint32(dst, checksum(data))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
	return append(dst, data...)
}

// appendCommit appends the frames of a commit.
func appendCommit(dst []byte, commit uint64, payload []byte) []byte {
	number := uint32(0)
	for ; len(payload) > 0; number++ {
		n := min(len(payload), maxFrame)
		dst = appendFrame(dst, commit, number, payload[:n])
		payload = payload[n:]
	}
	return appendFrame(dst, commit, number, nil)
}

// parseFrame reads the header at the beginning of b, and reports whether it is one.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < frameHeader || string(b[:4]) != frameMagic ||
		checksum(b[:24]) != binary.LittleEndian.Uint32(b[24:]) {
		return frame{}, false
	}
	f.length = int(binary.LittleEndian.Uint32(b[4:]))
	f.commit = binary.LittleEndian.Uint64(b[8:])
	f.number = binary.LittleEndian.Uint32(b[16:])
	f.crc = binary.LittleEndian.Uint32(b[20:])
	return f, f.length <= maxFrame
}

// readBytes is how much of a file of the log is in memory at a time, at least the largest frame. With whole files of 32 MB, a restart
// spent a tenth of its time on providing new pages of memory: BenchmarkRestart.
const readBytes = 1 << 20

// commitReader reads the commits of a file of the log, and skips damaged parts.
type commitReader struct {
	file  io.Reader // nil after its end
	err   error     // of file, apart from its end
	known bool      // whether the file begins with logMagic; frames are found nevertheless
	size  int       // how many bytes of the file were read
	buf   []byte    // memory for a part of the file
	b     []byte    // the bytes in buf that no frame was made of
	last  uint64    // number of the last commit that was returned; commits up to this number are skipped

	// Of the commit that is being read:
	commit  uint64
	next    uint32 // number of its next frame
	intact  bool   // all frames so far were there
	payload []byte // the data of these, after those of earlier commits that the caller needs still
	kept    int    // how many bytes of payload these take

	end     int // the end of the last whole commit, returned or skipped
	damaged int // bytes before end that are not a frame, or that belong to an incomplete commit
	damage  int // the same since end
}

// newCommitReader returns a reader of the commits after last in a file of that size, or of a longer one. It uses the memory of buf, and it
// appends the payloads to kept.
//
// The memory for a short file has one byte more than the file, so that its end is found at once. Most files are short, as those of a restart
// of many blocks, of which each would need readBytes.
func newCommitReader(file io.Reader, size int64, last uint64, buf, kept []byte) *commitReader {
	r := &commitReader{file: file, last: last, payload: kept, kept: len(kept)}
	r.buf = slices.Grow(buf[:0], int(min(size+1, readBytes)))
	r.fill()
	if r.known = bytes.HasPrefix(r.b, []byte(logMagic)); r.known {
		r.b, r.end = r.b[len(logMagic):], len(logMagic)
	}
	return r
}

// fill reads more of the file, unless r.b has a whole frame of any length.
func (r *commitReader) fill() {
	for r.file != nil && len(r.b) < frameHeader+maxFrame {
		if len(r.b) == cap(r.buf) { // the file has become longer
			r.buf = slices.Grow(r.buf[:0], readBytes)
		}
		room := r.buf[:min(cap(r.buf), readBytes)]
		n := copy(room, r.b)
		more, err := io.ReadFull(r.file, room[n:])
		r.b = room[:n+more]
		r.size += more
		if err == nil {
			continue
		}
		r.file = nil
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			r.err = err
		}
	}
}

// read returns the next whole commit. The payload is valid until the next call, unless kept is increased. ok is false at the end.
func (r *commitReader) read() (commit uint64, payload []byte, ok bool) {
	for {
		r.fill()
		if len(r.b) == 0 || r.err != nil {
			return 0, nil, false
		}
		f, ok := parseFrame(r.b)
		if !ok {
			r.skip()
			continue
		}
		data := r.b[frameHeader:]
		if f.length > len(data) || checksum(data[:f.length]) != f.crc {
			r.intact = false
			r.pass(frameHeader)
			continue
		}
		if r.take(f, data[:f.length]) {
			return r.commit, r.payload[r.kept:], true
		}
	}
}

// take adds a frame to its commit, and reports whether the frame ends a commit that read must return.
func (r *commitReader) take(f frame, data []byte) bool {
	r.pass(frameHeader + f.length)
	if f.number == 0 {
		r.commit, r.next, r.intact, r.payload = f.commit, 0, f.length > 0, r.payload[:r.kept]
	}
	if f.commit != r.commit || f.number != r.next || len(r.payload)-r.kept+f.length > maxPayload {
		r.intact = false
	}
	if !r.intact {
		return false
	}
	r.next++
	if f.length > 0 {
		if len(r.payload)+f.length > cap(r.payload) { // append alone would copy a large payload a dozen times
			r.payload = slices.Grow(r.payload, max(f.length, cap(r.payload)))
		}
		r.payload = append(r.payload, data...)
		return false
	}
	r.intact = false // a second end does not count
	whole := int(r.next)*frameHeader + len(r.payload) - r.kept
	r.end += r.damage
	r.damaged += r.damage - whole
	r.damage = 0
	if r.commit <= r.last {
		return false
	}
	r.last = r.commit
	return true
}

// skip skips bytes that are not a frame, up to the next frame magic, the beginning of which may be at the end of r.b.
func (r *commitReader) skip() {
	n := bytes.Index(r.b[1:], []byte(frameMagic)) + 1
	if n == 0 {
		n = len(r.b)
		if r.file != nil {
			n -= len(frameMagic) - 1
		}
	}
	r.pass(n)
}

// pass skips n damaged bytes and counts them.
func (r *commitReader) pass(n int) {
	r.b = r.b[n:]
	r.damage += n
}
