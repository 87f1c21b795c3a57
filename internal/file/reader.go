package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

const (
	// chunkSize is how many bytes a chunk has at most, unless a record is longer. With 1 MiB, a chunk and its cells left the
	// cache of a processor before they were added: two processors took a tenth more time (BenchmarkNeighbours).
	chunkSize = 256 << 10
	// firstSize is that of the first chunk of a file, by which the content is detected.
	firstSize = 1 << 20
	// MaxRecord is how many bytes a record may have. A longer one is a bad line.
	MaxRecord = 16 << 20
	// maxWindow bounds the memory that decompressing zstd takes. A frame names its window, so that a few bytes could ask for
	// gigabytes. "zstd --long=28" still fits, and the 128 MiB of "zstd --ultra -22" do.
	maxWindow = 256 << 20
)

// Stdin is the path of the standard input.
const Stdin = "-"

// Options are how to read files. The zero Options detect everything. A Reader changes its Options, so each Reader needs its own.
// Parsers call the functions from several goroutines at once, except Note, which only the goroutine of the Reader calls.
//
// The decisions of the detection are made once for a file, before its first chunk is returned, except those in known: these hold
// for all files of the Reader, because a column of several files is described as one.
type Options struct {
	Format    Format
	Delimiter byte    // of CSV; 0 detects it
	Header    Header  // of CSV
	Decimal   Decimal // of numbers of CSV
	// Time is the name of the column with the time of a row; "" detects it. Line protocol has its own times.
	Time string
	// NeedTime makes a row without a time a bad line.
	NeedTime bool
	// Strict makes a row of CSV with too few cells a bad line.
	Strict bool
	Times  scan.Times                       // how times are written
	Select func(name string) bool           // the columns to read; nil reads all
	AsText func(name string) bool           // the columns to read as texts; nil reads none so
	Group  func(name string, tag bool) bool // the columns that are read in any case, as texts; nil is none
	Table  func(path string) string         // the name of the table of a file that is not line protocol; nil is ""
	Note   func(path, text string)          // receives what a user should read about the detection; nil drops it
	Size   int                              // of chunks in bytes; 0 is 1 MiB for the first one of a file and 256 KiB for the others

	first int // Size of the first chunk of a file
	// known are the kinds of the columns of earlier files of CSV, by name: a column is of one kind in all of them, that of the first
	// file in which it has a value in the sample. Only the goroutine of the Reader uses it.
	known map[string]Kind
}

// Chunk is a part of a file that starts and ends where a record does. It is complete: parsing it needs no other chunk. The chunks
// of a file come in its order and have all of its records, except those of more than MaxRecord bytes. A Chunk does not change, so
// another goroutine than that of the Reader may parse it.
type Chunk struct {
	Path string // for messages: "standard input" for [Stdin]
	Data []byte // in the memory that Next was called with, or that replaced it
	// Skipped is how many lines come before Data: those of a header.
	Skipped int
	// TooLong is why there is no data: a record of more than MaxRecord bytes, which ended after Lines lines.
	TooLong bool
	Lines   int

	source *source
}

// Parser returns a parser for the chunks of this chunk's file. That is last, the parser of an earlier chunk or nil, if it is of
// the same file: a parser keeps scratch memory.
func (c *Chunk) Parser(last *Parser) *Parser {
	if last != nil && last.source == c.source {
		return last
	}
	return newParser(c.source)
}

// Parser turns chunks of one file into batches. It is not safe for concurrent use, but several parsers of one file may run at the
// same time: they share the schema of the file, which does not change. A parser keeps its scratch memory from chunk to chunk; its
// results do not depend on which chunks it has parsed before.
type Parser struct {
	source *source
	parse  func(data []byte, b *Batch)
}

// newParser returns a parser for the chunks of a source whose format is detected: it returned a chunk. Each parser has its own
// decisions: sharing their maps would need a lock for each cell.
func newParser(s *source) *Parser {
	p := &Parser{source: s}
	switch s.format {
	case LineProtocol:
		p.parse = (&lineParser{source: s, names: newDecisions(s.o)}).parse
	case JSONLines:
		p.parse = (&jsonParser{source: s, names: newDecisions(s.o)}).parse
	case CSV, Auto:
		p.parse = (&csvParser{source: s, schema: s.schema}).parse
	}
	return p
}

// Parse fills b, which is new or was Reset, from a chunk of the parser's file. The batch has no part of c: what it needs of its
// Data is copied. So the memory of the chunk is free for the Reader as soon as Parse returns.
//
// There is no error: whatever cannot be read is a bad line or an invalid cell of the batch.
func (p *Parser) Parse(c *Chunk, b *Batch) {
	if b.source != p.source {
		*b = Batch{source: p.source} // the columns of another file may be in another order
	}
	b.Path, b.Lines = c.Path, c.Lines
	if c.TooLong {
		b.bad(0, fmt.Sprintf("the line has more than %d MiB", MaxRecord>>20))
		return
	}
	p.parse(c.Data, b)
	// The parser counted from the start of Data, and the callers count from the start of the file.
	b.Lines += c.Skipped
	b.FirstShort += c.Skipped
	for i := range b.Bad {
		b.Bad[i].Line += c.Skipped
	}
	b.dropEmpty()
}

// dropEmpty removes tables without rows: each was named by bad lines only, or is of an empty chunk.
func (b *Batch) dropEmpty() {
	for i := 0; i < len(b.Tables); i++ {
		if b.Tables[i].Rows > 0 {
			continue
		}
		delete(b.byName, b.Tables[i].Name)
		b.Tables = append(b.Tables[:i], b.Tables[i+1:]...)
		b.last = nil
		i--
	}
}

// Reader reads files one after the other. It is not safe for concurrent use, except Read and Size. Between calls of Next it keeps
// the content that it has read behind the last chunk, at most MaxRecord bytes.
//
//	NewReader ─▶ Next ─▶ Chunk ─▶ Chunk.Parser ─▶ Parse ─▶ Batch ─▶ Reset, and Parse again
//	              │        │                                │
//	              │        └ its memory goes back to Next   └ its texts are valid until Reset
//	              └ opens each file when it is its turn, detects its format, and closes it behind its last chunk
type Reader struct {
	o       *Options
	stdin   io.Reader
	paths   []string     // not yet opened
	current *source      // nil before the first file, between files and behind the last one
	rest    []byte       // read from current and not yet part of a chunk
	read    atomic.Int64 // bytes of all files so far, before decompression
	size    int64        // of all files; −1 if one of them is not a regular file
}

// source is one open file. The goroutine of the Reader sets the results of the detection before it returns the first chunk. They
// do not change after that, so parsers in other goroutines read them without a lock.
//
// Its content passes these, of which most are left out for most files:
//
//	file ─▶ counting ─▶ members or zstd ─▶ elements ─▶ fill ─▶ the buffer of a chunk
//	        progress    decompressed       one JSON
//	                                       value a line
//
// A source outlives its file: chunks and batches refer to it, and compare it to find out whether they are of the same file.
type source struct {
	path    string
	o       *Options   // those of the Reader
	content io.Reader  // decompressed, with JSON one value a line
	closers []func()   // in the order of opening; called by Reader.Close
	format  Format     // Auto until it is detected
	schema  *csvSchema // of CSV
	time    string     // of JSON lines: the name of the time; "" if there is none

	// Only the Reader uses these.
	ended bool // whether the content was read to its end
	skip  bool // whether the next bytes, up to a line end, are of a record that is too long
}

// NewReader returns a reader of the files, with stdin for the path [Stdin]. It opens none yet. It returns an error if one does not
// exist or is a directory, so that this is known before the others are read. It keeps o, which no other Reader may have.
func NewReader(paths []string, stdin io.Reader, o *Options) (*Reader, error) {
	r := &Reader{o: o, stdin: stdin, paths: paths}
	o.first = o.Size
	if o.Size == 0 {
		o.Size, o.first = chunkSize, firstSize
	}
	o.known = make(map[string]Kind)
	for _, path := range paths {
		if path == Stdin {
			r.size = -1
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			return nil, fmt.Errorf("%s is a directory, want a file", path)
		case !info.Mode().IsRegular():
			r.size = -1
		case r.size >= 0:
			r.size += info.Size()
		}
	}
	return r, nil
}

// Size returns how many bytes all files have, as they are stored, or −1 if one of them is not a regular file.
func (r *Reader) Size() int64 { return r.size }

// Read returns how many bytes were read so far. Compressed content counts before it is decompressed, as in Size. Any goroutine
// may call Read at any time.
func (r *Reader) Read() int64 { return r.read.Load() }

// Next returns the next chunk, or nil after the last one. It puts the content into the memory of buf, which may be nil, or into
// a larger buffer. The caller may pass the memory of Chunk.Data to Next again when it does not need the chunk any more.
//
// An error has the name of the file, which is then closed. The next call continues with the file after it.
func (r *Reader) Next(buf []byte) (*Chunk, error) {
	for {
		if r.current == nil {
			if len(r.paths) == 0 {
				return nil, nil
			}
			path := r.paths[0]
			r.paths = r.paths[1:]
			if err := r.open(path); err != nil {
				r.Close()
				return nil, err
			}
		}
		c, err := r.cut(buf)
		if err != nil {
			err = fmt.Errorf("%s: %w", r.current.name(), err)
			r.Close()
			return nil, err
		}
		if c != nil {
			return c, nil
		}
		r.Close()
	}
}

// Close closes the open file, if there is one, and forgets the content behind its last chunk. The next call of Next opens the file after
// it. It may be called again. Chunks that were returned stay valid.
func (r *Reader) Close() {
	if r.current != nil {
		for _, f := range r.current.closers {
			f()
		}
	}
	r.current, r.rest = nil, r.rest[:0]
}

// name returns the name of the file for messages.
func (s *source) name() string {
	if s.path == Stdin {
		return "standard input"
	}
	return s.path
}

// counting counts the bytes that are read from a file, before they are decompressed. So the progress can be compared with the
// size of the file, which is that of the compressed content.
type counting struct {
	io.Reader
	read *atomic.Int64
}

// Read reads and counts. It implements [io.Reader].
func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// open opens a file as r.current, and looks at its first bytes. If there is an error, Close closes what was opened. Errors have the name
// of the file, which those of package os have already.
func (r *Reader) open(path string) error {
	s := &source{path: path, o: r.o}
	r.current = s // before anything is opened, so that Close finds the closers
	content := r.stdin
	if path != Stdin {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, func() { _ = f.Close() }) // it was only read
		content = f
	}
	content = counting{content, &r.read}
	magic := make([]byte, 4) // as long as that of zstd; a file may be shorter
	n, err := io.ReadFull(content, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	if err := s.decompress(magic[:n], content); err != nil {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	return nil
}

// decompress sets the content of the source: the first bytes and the rest, decompressed if the first are a magic number. The magic
// numbers are those of RFC 1952, section 2.3.1 (gzip), and RFC 8878, section 3.1.1 (zstd). The extension of the name is not used:
// the standard input has none, and many compressed logs have another one.
func (s *source) decompress(magic []byte, rest io.Reader) error {
	whole := io.MultiReader(bytes.NewReader(magic), rest)
	s.content = whole
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		z, err := newMembers(whole, func(text string) { s.o.note(s.name(), text) })
		if err != nil {
			return incomplete(err)
		}
		s.content = z
	case string(magic) == "\x28\xb5\x2f\xfd":
		// One goroutine decompresses: the other processors parse.
		z, err := zstd.NewReader(whole, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		s.closers = append(s.closers, z.Close)
		s.content = z
	}
	// Only JSON can have an array of records, or a record on several lines. With Auto, the content may be JSON.
	if s.o.Format == Auto || s.o.Format == JSONLines {
		s.content = asLines(s.content)
	}
	return nil
}
