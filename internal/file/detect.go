package file

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// Format is how records are written.
type Format uint8

// The formats. Auto detects which of the others it is by the content. It does not use the extension of the name, because the
// standard input has none.
const (
	Auto Format = iota
	LineProtocol
	CSV
	JSONLines
)

// String returns the name of a format for people.
func (f Format) String() string {
	return [...]string{Auto: "auto", LineProtocol: "line protocol", CSV: "CSV", JSONLines: "JSON"}[f]
}

// ParseFormat reads the name of a format, in any case. "tsv" is CSV: the caller sets its delimiter, a tab. The error for another
// name lists the names.
func ParseFormat(name string) (Format, error) {
	switch strings.ToLower(name) {
	case "auto":
		return Auto, nil
	case "lp", "influx", "line":
		return LineProtocol, nil
	case "csv", "tsv":
		return CSV, nil
	case "json", "jsonl", "ndjson":
		return JSONLines, nil
	}
	return Auto, fmt.Errorf("unknown format %q, want auto, lp, csv, tsv or jsonl", name)
}

// detect sets the format of the source by its first content, which has a line end unless it is all there is, and what the format
// needs: the schema of CSV, the name of the time of JSON. It returns where the records start. It is called once for a file,
// before its first chunk is cut.
//
// A format that the options name is used in any case, with a note if the content looks like another one. Nothing more is detected for
// line protocol: each line has its measurement, its names, kinds and time.
func (s *source) detect(data []byte) (start int, err error) {
	if start, err = s.readable(data); err != nil {
		return 0, err
	}
	if bytes.IndexByte(data, '\n') < 0 {
		if err := oneLine(data); err != nil {
			return 0, err
		}
	}
	format, looks := s.o.Format, formatOf(data[start:])
	if format == Auto {
		format = looks
	}
	if format != looks && len(bytes.TrimSpace(data[start:])) > 0 {
		s.o.note(s.name(), fmt.Sprintf("read as %s, as --format wants, but it looks like %s", format, looks))
	}
	switch format {
	case JSONLines:
		err = s.sniffJSON(data[start:])
	case CSV:
		var header int
		header, err = s.sniffCSV(data[start:])
		start += header
	case LineProtocol, Auto:
	}
	s.format = format
	s.noteEncoding(data)
	return start, err
}

// noteEncoding notes the first line of data that is not UTF-8. Its bytes are kept, so that texts are counted right, but they
// cannot be shown. The last line is not looked at, as the data may end within a character of it. The note suggests Latin-1 as an
// example: the bytes do not show which encoding they are of.
func (s *source) noteEncoding(data []byte) {
	number := 0
	for line := range bytes.Lines(data) {
		if number++; line[len(line)-1] == '\n' && !utf8.Valid(line) {
			s.o.note(s.name(), fmt.Sprintf("line %d is not UTF-8, so some characters are shown as \uFFFD "+
				"(iconv -f LATIN1 -t UTF-8 FILE | telegraf-describe describe -)", number))
			return
		}
	}
}

// oneLine returns an error if data, which has no line feed, has a carriage return within it that is not quoted: such content
// has the line ends of old Macs, and would be one long line. Carriage returns at the end of data divide nothing and do not count.
func oneLine(data []byte) error {
	quoted := false
	for _, c := range bytes.TrimRight(data, "\r") {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\r' && !quoted:
			return errors.New(`the lines end with carriage returns, want line feeds (tr '\r' '\n' < FILE | telegraf-describe describe -)`)
		}
	}
	return nil
}

// notText are the first bytes of content that people take for text, and what to do with it. No text of the formats that are read
// begins so. The first that fits counts: the mark of UTF-32 begins as that of UTF-16, so it comes before that one. The names continue
// the sentence "the content is …".
var notText = []struct{ magic, name string }{
	{"\xff\xfe\x00\x00", converted("UTF-32")},
	{"\xff\xfe", converted("UTF-16")},
	{"\xfe\xff", converted("UTF-16")},
	{"PAR1", "a Parquet file, want text"},
	{"PK\x03\x04", "a ZIP file (unzip -p FILE | telegraf-describe describe -) or an Excel workbook (save it as CSV)"},
	{"\xd0\xcf\x11\xe0", "an old Excel workbook (save it as CSV)"},
	{"BZh", "compressed by bzip2 (bzcat FILE | telegraf-describe describe -)"},
	{"\xfd7zXZ", "compressed by xz (xzcat FILE | telegraf-describe describe -)"},
	{"SQLite format 3", "an SQLite database, want text"},
}

// converted returns the name of an encoding, and how to convert it.
func converted(encoding string) string {
	return encoding + ", want UTF-8 (iconv -f " + encoding + " -t UTF-8 FILE | telegraf-describe describe -)"
}

// wideEncoding returns the encoding of data whose first NUL is at byte i, or which has none if i is negative: UTF-16 without a byte
// order mark, if the first characters are ASCII in it, as those of a header are. Otherwise it returns "".
//
//	"a,"   00 61 00 2c   UTF-16BE, the first NUL at byte 0
//	"a,"   61 00 2c 00   UTF-16LE, the first NUL at byte 1
func wideEncoding(data []byte, i int) string {
	const looked = 16
	if i < 0 || i > 1 || len(data) < 4 {
		return ""
	}
	for k, c := range data[:min(len(data), looked)] {
		if isNUL := c == 0; isNUL != (k%2 == i) {
			return ""
		}
	}
	return []string{"UTF-16BE", "UTF-16LE"}[i]
}

// readable returns where the text starts: after byte order marks. It refuses content that is not text: what notText lists and UTF-16
// always, other content with a NUL in its first 64 KiB only while the format is to be detected.
func (s *source) readable(data []byte) (start int, err error) {
	for _, known := range notText {
		if bytes.HasPrefix(data, []byte(known.magic)) {
			return 0, errors.New("the content is " + known.name)
		}
	}
	const looked = 64 << 10
	i := bytes.IndexByte(data[:min(len(data), looked)], 0)
	if encoding := wideEncoding(data, i); encoding != "" {
		return 0, errors.New("the content is " + converted(encoding))
	}
	if i >= 0 && s.o.Format == Auto {
		return 0, fmt.Errorf("byte %d is NUL, so the content is not text (--format reads it all the same)", i+1)
	}
	return markLength(data), nil
}

// markLength returns how many bytes at the start of data are byte order marks. Programs that add one to a file that has one make two.
func markLength(data []byte) (n int) {
	const mark = "\xef\xbb\xbf"
	for bytes.HasPrefix(data[n:], []byte(mark)) {
		n += len(mark)
	}
	return n
}

// formatOf returns the format of a text: JSON lines if it starts with a brace or a bracket, line protocol if its first line that
// is not a comment is one, and CSV otherwise. A text of comments alone is line protocol without lines.
//
//	{"a": 1}              JSON lines
//	weather temp=21.5     line protocol
//	# made by hand        goes on with the next line; line protocol if there is none
//	# time,temp           CSV: a comment with a comma or a tab may be its header
//	time,temp             CSV
//	p=21.5 1793536200     line protocol if the next lines are: with an equals sign in it, the first line may be cut, as by tail -c
func formatOf(data []byte) Format {
	format := CSV
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, newline)
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case line[0] == '{' || line[0] == '[':
			return JSONLines
		case line[0] == '#' && bytes.IndexByte(line, ',') < 0 && bytes.IndexByte(line, '\t') < 0: // a comment of line protocol
			format = LineProtocol
		case isLineProtocol(data) || bytes.IndexByte(line, '=') >= 0 && areLineProtocol(rest):
			return LineProtocol
		default:
			return CSV
		}
		data = rest
	}
	return format
}

// areLineProtocol reports whether the lines after a damaged one, such as the first one of a file that was cut, are line protocol:
// at least two, and each of the first ten that are complete.
func areLineProtocol(data []byte) bool {
	const looked, fewest = 10, 2
	n := 0
	for line := range bytes.Lines(data) {
		if n == looked || line[len(line)-1] != '\n' {
			break
		}
		if !isLineProtocol(line) {
			return false
		}
		n++
	}
	return n >= fewest
}

// isLineProtocol reports whether data begins with a line of line protocol, perhaps after comments: a measurement, at least one
// field with a value of a known type, and a time or none. The decoder of influxdata decides, as when the lines are parsed. It
// reads one line only. A header of CSV fails at its first comma or at its end, because no equals sign follows.
func isLineProtocol(data []byte) bool {
	d := lineprotocol.NewDecoderWithBytes(data)
	if !d.Next() {
		return false
	}
	if _, err := d.Measurement(); err != nil {
		return false
	}
	for {
		key, _, err := d.NextTag()
		if err != nil {
			return false
		}
		if key == nil {
			break
		}
	}
	fields := 0
	for {
		key, _, _, err := d.NextFieldBytes()
		if err != nil {
			return false
		}
		if key == nil {
			break
		}
		fields++
	}
	_, err := d.TimeBytes()
	return err == nil && fields > 0
}
