package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// The detection of CSV: sniffCSV is its start, and a csvSchema its result. Everything is decided by a sample of the first chunk, because
// a pipe can be read once only. Most guesses that may be wrong come with a note, which names the option that overrides them.

// Header is whether the first record of CSV has the names of the columns.
type Header uint8

// The values of Header. DetectHeader compares the kinds of the cells in the first record with those in the others.
const (
	DetectHeader Header = iota
	WithHeader
	NoHeader
)

const (
	// sampleRows is how many rows of CSV are looked at.
	sampleRows = 10_000
	// sampleLines is how many lines are looked at for the delimiter.
	sampleLines = 100
	// mostly is the share of the cells of a sample that must be of a kind for the column to be of it, in percent. The
	// others are counted as invalid. Shares are compared as n*100 >= mostly*all, in integers.
	mostly = 95
	// maxColumns is how many columns a file may have.
	maxColumns = 1 << 20
)

// csvSchema is how the rows of a file are read. It does not change once it is detected: the parsers of a file share it.
//
// It is found from the first chunk, in this order, as each step needs the ones before it:
//
//	a line sep= ─▶ comments ─▶ the delimiter ─▶ the header ─▶ the kinds of the columns ─▶ the column with the time
//
// A content of blank lines alone has no columns.
type csvSchema struct {
	delimiter byte // noDelimiter if the lines are not divided
	// header is a copy of the header as it is written, without its line end: repeatsHeader looks for it between the rows. It is empty
	// if there is none, and also in a file of one column, where a row may be the same word.
	header  []byte
	columns []csvColumn // by the number of the cell in a row
	time    int         // the column with the time of a row, or −1
}

// csvColumn is how the cells of one column are read.
type csvColumn struct {
	name  string // different from those of the other columns
	kind  Kind   // Skip for a column that the options do not want
	open  bool   // see Column.Open
	marks marks  // of numbers; zero for a point without groups; of no meaning for the other kinds
}

// sniffCSV sets the schema of the source from its first chunk, and returns where the records start: after a line with the
// delimiter, comments and the header.
func (s *source) sniffCSV(data []byte) (start int, err error) {
	delimiter, before := separatorLine(data)
	named := before // 0 if no line names the delimiter
	if before == 0 {
		before, delimiter = s.comments(data)
		if before > 0 {
			s.o.note(s.name(), counted(lines(data[:before]), "line")+" before the header with # at the start, read as comments")
		}
	}
	if s.o.Delimiter != 0 {
		delimiter = s.o.Delimiter
	} else if named == 0 && isOneColumn(data[before:], delimiter) {
		delimiter = noDelimiter
		s.o.note(s.name(), "read as one column, as the first line has no delimiter (--delimiter divides the lines)")
	}
	header, err := s.sniffRecords(data[before:], delimiter)
	return before + header, err
}

// noDelimiter is the delimiter of a file with one column: a line end ends a cell in any case.
const noDelimiter = '\n'

// isOneColumn reports whether a file whose first record has one cell has one column, although other records contain the delimiter. So it
// is if their numbers of delimiters differ, as of commas in texts; if all delimiters are decimal commas; or if each record has one,
// before a space, as names have.
//
//	text⏎one, two⏎one, two, three⏎       the rows have two and three cells
//	temp⏎21,5⏎22,25⏎                     each row is a number with a decimal comma
//	name⏎Doe, Jane⏎Roe, Richard⏎         each row has one comma, before a space
//	title⏎a,b,c⏎1,2,3⏎                   no: more likely the first line is a title
func isOneColumn(data []byte, delimiter byte) bool {
	counts := cellCounts(data, delimiter)
	if len(counts) < 2 || counts[0] > 1 || slices.Max(counts) == 1 {
		return false
	}
	most := slices.Max(counts[1:])
	if most > slices.Min(counts[1:]) {
		return true
	}
	var scratch [64]byte
	number, rows, numbers, spaces := 0, 0, 0, 0
	for line := range bytes.Lines(data) {
		line = scan.Trim(bytes.TrimRight(line, "\r\n"))
		if number++; number == 1 || number > sampleLines || len(line) == 0 {
			continue
		}
		rows++
		if _, ok := commas.plain(line, scratch[:]); ok {
			numbers++
		}
		if bytes.Contains(line, []byte{delimiter, ' '}) {
			spaces++
		}
	}
	return numbers == rows || most == 2 && spaces == rows
}

// separatorLine returns the delimiter that the first line of data names, and where the line after it starts: 0 if the first
// line names none. Excel reads and writes such a line: sep=; or "sep=;".
func separatorLine(data []byte) (delimiter byte, end int) {
	line, _, _ := bytes.Cut(data, newline)
	text := bytes.TrimSuffix(line, []byte{'\r'})
	if len(text) > 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	name, ok := bytes.CutPrefix(bytes.ToLower(text), []byte("sep="))
	if !ok || len(name) != 1 {
		return 0, 0
	}
	return name[0], min(len(line)+1, len(data))
}

// comments returns how long the comments at the start of data are, and the delimiter of the rest. Lines that start with #
// are comments if each has fewer cells than the first line after them; otherwise one of them may be the header.
//
//	# made by hand⏎time,temp⏎…    a comment of one cell, and a header of two
//	#time,temp⏎1,21.5⏎…           the header: it has as many cells as the row
//
// A delimiter that the options name is used for the counts, and returned.
func (s *source) comments(data []byte) (end int, delimiter byte) {
	for end < len(data) && data[end] == '#' {
		n := bytes.IndexByte(data[end:], '\n') + 1
		if n == 0 {
			end = len(data)
			break
		}
		end += n
	}
	delimiterIn := func(data []byte) byte {
		if s.o.Delimiter != 0 {
			return s.o.Delimiter
		}
		return delimiterOf(data)
	}
	delimiter = delimiterIn(data[end:])
	after := cellCounts(data[end:], delimiter)
	if end == 0 || len(after) == 0 {
		return 0, delimiterIn(data)
	}
	for line := range bytes.Lines(data[:end]) {
		if bytes.Count(line, []byte{delimiter})+1 >= after[0] {
			return 0, delimiterIn(data)
		}
	}
	return end, delimiter
}

// sniffRecords sets the schema of records that follow each other from the start of data, and returns how long the header is: 0 if the
// first record is a row. data has neither comments nor a line sep=. If it has blank lines only, the schema has no columns.
func (s *source) sniffRecords(data []byte, delimiter byte) (header int, err error) {
	schema := &csvSchema{delimiter: delimiter, time: -1}
	s.schema = schema
	p := &csvParser{source: s, schema: schema}
	first, header, err := p.firstRecord(data)
	if err != nil || first == nil {
		return 0, err
	}
	if len(first) > maxColumns {
		return 0, fmt.Errorf("the first line has %d columns, want at most %d", len(first), maxColumns)
	}
	first, note := s.fitHeader(first, data[header:])
	// The kinds of the columns show whether the first record has names, and its own cells count only if it has none.
	schema.columns = make([]csvColumn, len(first))
	if len(first) > 1 {
		schema.header = bytes.Clone(bytes.Trim(data[:header], "\r\n"))
	}
	samples := p.sample(data[header:], s.o)
	named := s.o.Header == WithHeader
	if s.o.Header == DetectHeader {
		if named = isHeader(first, samples, s.o); !named {
			columns := "the column is c1"
			if len(first) > 1 {
				columns = fmt.Sprintf("the columns are c1 to c%d", len(first))
			}
			s.o.note(s.name(), "the first line is read as data, as it has no names; "+columns+" (--header reads names)")
		}
	}
	if !named { // the first record is a row, and the others were sampled without it
		schema.header = nil
		samples = p.sample(data, s.o)
		header = 0
	}
	if named && note != "" {
		s.o.note(s.name(), note)
	}
	schema.name(first, named)
	return header, schema.decide(samples, s)
}

// fitHeader returns the first record with as many cells as the records after it have, if it has one less than each of them: R and
// pandas write no name above the names of rows. It also returns a note on that, or on a first record that has too few cells otherwise.
//
//	mpg,cyl⏎Mazda RX4,21,6⏎…        ─▶ "",mpg,cyl   with the first column c1, see csvSchema.name
//	mpg,cyl⏎21,6,⏎…                 ─▶ mpg,cyl      as the rows end with a delimiter, and have no third cell
//	My cars⏎mpg,cyl,hp⏎21,6,110⏎…   ─▶ My cars      with a note that it may be a title
//
// data is what follows the first record. The note is for a first record that is read as names.
func (s *source) fitHeader(first [][]byte, data []byte) (fitted [][]byte, note string) {
	delimiter := s.schema.delimiter
	if len(first) == 1 && delimiter != noDelimiter && s.o.Delimiter == 0 {
		delimiter = delimiterOf(data) // the first line has none, by which one could be found
	}
	counts := cellCounts(data, delimiter)
	if len(counts) == 0 || s.o.Header == NoHeader || slices.Min(counts) != slices.Max(counts) || counts[0] <= len(first) {
		return first, ""
	}
	switch {
	case counts[0] > len(first)+1 || delimiter != s.schema.delimiter:
		return first, fmt.Sprintf("the first line has %s and the next ones have %d: if it is a title, remove it", counted(len(first), "cell"), counts[0])
	case s.endsWithDelimiter(data):
		return first, ""
	}
	return slices.Insert(slices.Clone(first), 0, nil), "the header has one cell less than the rows, whose first cells are the column c1"
}

// endsWithDelimiter reports whether each of the first lines that are not blank ends with the delimiter.
func (s *source) endsWithDelimiter(data []byte) bool {
	number := 0
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, "\r\n")
		if number++; number > sampleLines {
			break
		}
		if len(line) > 0 && line[len(line)-1] != s.schema.delimiter {
			return false
		}
	}
	return true
}

// note passes a text on to Note, if there is one.
func (o *Options) note(path, text string) {
	if o.Note != nil {
		o.Note(path, text)
	}
}

// delimiterOf returns which of comma, semicolon, tab and bar divides the most lines into the same number of cells, more
// than one; the comma if none does. Among equals it is the semicolon rather than the comma, which may be a decimal comma
// then, and otherwise the one that makes the most cells. The number of cells to compare with is that of the first record.
//
//	a;b⏎1,5;2,5⏎       semicolon: the first line has no comma
//	a;b,c⏎1;2,3⏎       semicolon, although each line has a comma too
//	a,b⏎1,5;2,5⏎       comma: the first line has no semicolon
func delimiterOf(data []byte) byte {
	best, bestScore := byte(','), 0
	for _, delimiter := range []byte{',', '\t', ';', '|'} {
		counts := cellCounts(data, delimiter)
		if len(counts) == 0 || counts[0] < 2 {
			continue
		}
		same := 0
		for _, n := range counts {
			if n == counts[0] {
				same++
			}
		}
		const tie = 1000 // one percent more lines counts more than any number of cells
		score := same*100/len(counts)*tie + min(counts[0], tie-1)
		if score > bestScore || delimiter == ';' && best == ',' && score/tie == bestScore/tie {
			best, bestScore = delimiter, score
		}
	}
	return best
}

// cellCounts returns how many cells each of the first records has, up to sampleLines; it ends before a quote that is not closed. Blank
// lines do not count. It is more lenient than csvParser.record: whatever follows a closing quote is of that cell.
func cellCounts(data []byte, delimiter byte) (counts []int) {
	for i := 0; i < len(data) && len(counts) < sampleLines; {
		cells, start := 0, i
		for i < len(data) {
			end, ok := cellEnd(data, i, delimiter)
			if !ok {
				return counts
			}
			cells++
			i = end + 1
			if end == len(data) || data[end] == '\n' {
				break
			}
		}
		if cells > 1 || len(bytes.TrimSpace(data[start:min(i, len(data))])) > 0 {
			counts = append(counts, cells)
		}
	}
	return counts
}

// sample counts the kinds of the cells of a column. Missing cells are of no kind, and neither are infinities: they are in
// columns of numbers, where they are invalid, but do not make a column one.
//
// Each other cell counts in exactly one of numbers, bools, times and others; the counts below these are of some cells among them. If
// the column turns out to have marks, cells move from others to numbers (see accept). The zero sample is a column without a cell, whose
// kind stays open.
type sample struct {
	marked  // among the others
	amounts // the same

	numbers, bools, times, others int
	infinite                      bool // whether there is an infinity

	plausible int    // numbers that are likely times: of the years 2001 to 2100 in any unit
	points    int    // numbers with a decimal point
	thousands int    // of these, the ones whose point may group thousands, such as 1.234
	dates     int    // others that look like dates with the day or the month first
	firstDate string // the first of these
	zoned     int    // others that are times behind which a name of a zone is
	firstZone string // the first of these
	marks     marks  // of the numbers, see acceptMarks
}

// add counts one cell. A number is never a time here, however plausible: only the name of its column can make it one, see findTime.
func (s *sample) add(cell []byte, o *Options) {
	cell = scan.Trim(cell)
	if v, whole, ok := scan.Number(cell); ok { // most cells are numbers
		s.addNumber(cell, v, whole)
		return
	}
	if scan.Missing(cell) {
		return
	}
	if scan.Infinite(cell) {
		s.infinite = true
		return
	}
	if _, ok := scan.Bool(cell); ok {
		s.bools++
		return
	}
	if o.Times.Written(cell) {
		s.times++
		return
	}
	s.others++
	s.marked.add(cell)
	s.amounts.add(cell, o)
	if looksLikeDate(cell) {
		if s.dates++; s.dates == 1 {
			s.firstDate = string(clip(cell))
		}
	}
	if i := bytes.LastIndexByte(cell, ' '); i > 0 && o.Times.Written(cell[:i]) {
		if s.zoned++; s.zoned == 1 {
			s.firstZone = string(clip(cell))
		}
	}
}

// addNumber counts a cell with the number v.
func (s *sample) addNumber(cell []byte, v float64, whole bool) {
	s.numbers++
	if point := bytes.IndexByte(cell, '.'); !whole && point >= 0 {
		s.points++
		const group = len(".000")
		if len(cell)-point == group && isGrouped(cell, '.') {
			s.thousands++
		}
	}
	const from, to = 978_307_200, 4_102_444_800 // 2001-01-01 and 2100-01-01, in seconds since 1970
	if v < from {
		return
	}
	for _, unit := range []float64{1, 1e3, 1e6, 1e9} {
		if v >= from*unit && v < to*unit {
			s.plausible++
		}
	}
}

// looksLikeDate reports whether a cell begins with two numbers of one or two digits and one of four, with slashes, points
// or hyphens between them, as in 1/31/2026. Package scan reads none of these but 31.01.2026: whether 1/2/2026 is in January
// or in February cannot be known. A space and anything else may follow, as a time of day does.
func looksLikeDate(cell []byte) bool {
	const parts, longest, ofYear = 3, 4, 4
	for part := 1; part <= parts; part++ {
		n := 0
		for n < len(cell) && n < longest && cell[n]-'0' <= 9 {
			n++
		}
		if n == 0 || part == parts {
			return n == ofYear && (n == len(cell) || cell[n] == ' ')
		}
		if n > 2 || n == len(cell) || bytes.IndexByte([]byte("/.-"), cell[n]) < 0 {
			return false
		}
		cell = cell[n+1:]
	}
	return false
}

// all returns how many cells are of any kind.
func (s *sample) all() int { return s.numbers + s.bools + s.times + s.others }

// kind returns the kind of the column. Without values it is one of numbers, which a later chunk may have. A column that has times, but
// fewer than mostly, is one of texts, because times and other values have no mean in common. Truth values are numbers. acceptMarks must
// have been called, as it decides which of the others are numbers.
func (s *sample) kind() Kind {
	all := s.all()
	switch {
	case s.others*100 > (100-mostly)*all:
		return Text
	case s.times*100 >= mostly*all && all > 0:
		return Time
	case s.times > 0:
		return Text
	}
	return Number
}

// isHeader reports whether the first record has names: if a column whose other cells are numbers, truth values or times
// begins with something else, or if there is no such column at all.
//
//	temp⏎21.5⏎          yes: temp is no number
//	21.5⏎22⏎            no
//	name⏎Jane⏎          yes: of texts alone the first line most likely has the names
//	NA,a⏎1,b⏎           no: the first cell is missing, which is no name
func isHeader(first [][]byte, samples []sample, o *Options) bool {
	typed := false
	for i, cell := range first {
		if samples[i].numbers+samples[i].bools+samples[i].times == 0 || samples[i].kind() == Text {
			continue
		}
		typed = true
		var own sample
		if own.add(cell, o); own.others > 0 && !samples[i].reads(cell) {
			return true
		}
	}
	return !typed
}

// reads reports whether a cell is a number with the marks of the column.
func (s *sample) reads(cell []byte) bool {
	if s.marks == (marks{}) {
		return false
	}
	_, ok := s.marks.read(scan.Trim(cell), nil)
	return ok
}

// name sets the names of the columns, which are unique: an empty name becomes c and the number of the column, from 1, and a name that
// was there before gets a number, as in a, a_2, a_3. Bytes that are not UTF-8 become U+FFFD. If the first record has no names, all are
// made so.
//
//	a,,a       a, c2, a_2
//	a,a_2,a    a, a_2, a_3
func (c *csvSchema) name(first [][]byte, named bool) {
	// By name, the largest number that a column of that name has got; 1 for the name alone. So a header of equal names takes linear time.
	seen := make(map[string]int, len(first))
	for i := range first {
		name := "c" + strconv.Itoa(i+1)
		if named {
			if text := strings.TrimSpace(strings.ToValidUTF8(string(first[i]), "\uFFFD")); text != "" {
				name = text
			}
		}
		unique := name
		for n := max(seen[name], 1) + 1; seen[unique] > 0; n++ {
			unique = name + "_" + strconv.Itoa(n)
			seen[name] = n
		}
		seen[unique] = max(seen[unique], 1)
		c.columns[i].name = unique
	}
}

// decide sets the kinds of the columns and which of them is the time. In order of precedence, the kind of a column is
//
//	Text       if the options group by it; see groupsByTime for the time
//	Time       if it is the time
//	Skip       if the options do not select it
//	as before  if an earlier file had a value in it, see Options.known
//	Text       if the options read it as text
//	           the kind of the sample
func (c *csvSchema) decide(samples []sample, s *source) error {
	o := s.o
	for i := range c.columns {
		column := &c.columns[i]
		kind, known := o.known[column.name]
		if !known {
			kind = samples[i].kind()
			if o.AsText != nil && o.AsText(column.name) {
				kind = Text
			}
		}
		if samples[i] != (sample{}) {
			o.known[column.name] = kind // a later file decides on a column without values
		}
		column.kind, column.marks = kind, samples[i].marks
		column.open = !known && kind == Number && samples[i] == (sample{})
	}
	if err := c.findTime(samples, s); err != nil {
		return err
	}
	// After findTime, which may choose a column that is not selected.
	for i := range c.columns {
		column := &c.columns[i]
		switch {
		case i == c.time && s.groupsByTime(column.name):
			column.kind, c.time = Text, -1
		case i != c.time && o.Group != nil && o.Group(column.name, false):
			column.kind = Text
		case i != c.time && o.Select != nil && !o.Select(column.name):
			column.kind = Skip
		}
	}
	c.noteTexts(samples, s)
	c.noteUnits(samples, s)
	return nil
}

// groupsByTime reports whether the options group by the column of that name, which would have the time of a row otherwise: its texts make
// the groups then, and rows have no time. If the options need times, the result is false, with a note: the column stays the time.
func (s *source) groupsByTime(name string) bool {
	if s.o.Group == nil || !s.o.Group(name, false) {
		return false
	}
	if s.o.NeedTime {
		s.o.note(s.name(), fmt.Sprintf("rows are not grouped by %q: it has their times, which --by needs", name))
	}
	return !s.o.NeedTime
}

// noteTexts notes the columns that are read as text although most of their cells look like numbers or dates. Columns that the user asked
// to read so are not noted.
func (c *csvSchema) noteTexts(samples []sample, s *source) {
	for i := range c.columns {
		column := &c.columns[i]
		asked := s.o.AsText != nil && s.o.AsText(column.name) || s.o.Group != nil && s.o.Group(column.name, false)
		if column.kind != Text || asked {
			continue
		}
		if looks := samples[i].looks(s.o.Decimal); looks != "" {
			s.o.note(s.name(), fmt.Sprintf("column %q is read as text: its cells look like %s", column.name, looks))
		}
	}
}

// looks returns what most cells of a column of texts look like, with an example and how to read it; "" if there is nothing to say. The
// text continues "its cells look like …".
func (s *sample) looks(decimal Decimal) string {
	most := func(n int) bool { return n > 0 && n*100 >= mostly*s.others }
	switch {
	case decimal == DetectDecimal && most(max(s.commas, s.grouped)):
		return fmt.Sprintf("numbers with commas, such as %q (--decimal comma reads decimal commas, --decimal point commas between thousands)", s.first)
	case most(s.dates):
		return fmt.Sprintf("dates, such as %q (dates are read as 2026-12-31, 2026/12/31 or 31.12.2026)", s.firstDate)
	case s.bare != nil && s.bare.all()*100 >= mostly*s.all():
		return s.bare.looks(decimal)
	case s.units > 0 && (s.units+s.numbers)*100 >= mostly*s.all():
		return fmt.Sprintf("numbers with different signs, or some without one, such as %q", s.firstUnit)
	case most(s.zoned):
		return fmt.Sprintf("times of a zone by its name, such as %q (--tz with a zone that uses this name reads them)", s.firstZone)
	}
	return ""
}

// timeNames are the names of columns that are looked at for the time first, in this order: as InfluxDB (time, _time), Telegraf
// (timestamp) and Elasticsearch (@timestamp) write them, and as people do.
var timeNames = []string{
	"time", "timestamp", "_time", "@timestamp", "ts", "datetime", "date_time", "date", "epoch", "unixtime", "unix_time",
	"timestamp_ms", "timestamp_us", "timestamp_ns", "time_ms", "time_us", "time_ns", "ts_ms", "ts_us", "ts_ns", "epoch_ms",
}

// findTime sets the column with the time of a row: the one that the options name, the first of the usual names whose cells
// are times or numbers of the time since 1970, or the first one whose cells are times. The usual names are compared in any case, and
// names that come earlier in timeNames win over columns that come earlier in the file.
//
// Without such a column the file has no times, which is an error if the options need them.
func (c *csvSchema) findTime(samples []sample, s *source) error {
	if name := s.o.Time; name != "" {
		for i := range c.columns {
			if c.columns[i].name == name {
				c.setTime(i)
				return nil
			}
		}
		return fmt.Errorf("there is no column %q for the time, the columns are %s", name, c.names())
	}
	for _, name := range timeNames {
		for i := range c.columns {
			if !strings.EqualFold(c.columns[i].name, name) {
				continue
			}
			if n := &samples[i]; c.columns[i].kind == Time || n.plausible > 0 && n.plausible == n.all() {
				c.setTime(i)
				return nil
			}
		}
	}
	for i := range c.columns {
		if c.columns[i].kind == Time {
			c.setTime(i)
			return nil
		}
	}
	if s.o.NeedTime && len(c.columns) > 0 {
		return c.noTime(samples, s.o.Decimal)
	}
	return nil
}

// noTime returns the error of a file without a column that is certainly the time. It names the first column that may be the time.
func (c *csvSchema) noTime(samples []sample, decimal Decimal) error {
	hint := ""
	for i := range samples {
		n := &samples[i]
		if n.plausible > 0 && n.plausible == n.numbers && n.numbers == n.all() {
			hint = ", such as --time " + c.columns[i].name
			break
		}
		if looks := n.looks(decimal); n.dates+n.zoned > 0 && looks != "" {
			return fmt.Errorf("no column has times: the cells of %q look like %s", c.columns[i].name, looks)
		}
	}
	return fmt.Errorf("no column is recognized as the time: name one by --time%s; the columns are %s", hint, c.names())
}

// setTime makes column i the one with the time of a row.
func (c *csvSchema) setTime(i int) { c.time, c.columns[i].kind = i, Time }

// names returns the names of the first columns, for messages, with … after them if there are more.
func (c *csvSchema) names() string {
	const shown = 20
	var names []string
	for i := range c.columns[:min(len(c.columns), shown)] {
		names = append(names, c.columns[i].name)
	}
	if len(c.columns) > shown {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// sniffJSON finds the name of the time of JSON lines: the one that the options name, or the first of the usual names whose
// value in the first objects is a time. Other columns need no schema: the values of JSON have kinds of their own.
func (s *source) sniffJSON(data []byte) error {
	if text := bytes.TrimSpace(data); bytes.HasPrefix(text, []byte{'['}) {
		return fmt.Errorf("the content begins with %q, want JSON objects, one a line or in an array", clip(text))
	}
	s.noteRows(data)
	name := s.o.Time
	if name == "" {
		p := &jsonParser{source: s}
		name = p.findTime(data)
	}
	if name == "" && s.o.NeedTime && len(bytes.TrimSpace(data)) > 0 {
		return errors.New("no member is recognized as the time: name one by --time")
	}
	if name != "" && !s.groupsByTime(name) {
		s.time = name
	}
	return nil
}

// noteRows notes a single object whose member has the rows, as APIs wrap them. It is only noted, as a file of one object may also
// be one row. Every such member is noted, in the order of names.
//
//	{"status": "ok", "rows": [{"a": 1}, {"a": 2}]}   ─▶   a note on "rows"
func (s *source) noteRows(data []byte) {
	first, rest, _ := bytes.Cut(bytes.TrimSpace(data), newline)
	if len(bytes.TrimSpace(rest)) > 0 {
		return
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(first, &object) != nil {
		return // which is an error where the line is read
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if rows := bytes.TrimLeft(bytes.TrimPrefix(object[name], []byte{'['}), " "); len(rows) > 0 && rows[0] == '{' && object[name][0] == '[' &&
			!strings.ContainsAny(name, `'"\`) { // a name that a shell would not pass on to jq as it is
			s.o.note(s.name(), fmt.Sprintf("the content is one object, whose member %q is an array of objects "+
				"(jq -c '.[%q][]' FILE | telegraf-describe describe - describes these)", name, name))
		}
	}
}
