package file_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/scan"
)

// read returns what a reader finds in a text: the cells of each row, the bad lines and the error.
func read(content []byte, o file.Options) (rows []string, bad []string, err error) {
	r, err := file.NewReader([]string{file.Stdin}, bytes.NewReader(content), &o)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var parser *file.Parser
	line := 0
	batch := new(file.Batch)
	for {
		c, err := r.Next(nil)
		if err != nil || c == nil {
			return rows, bad, err
		}
		parser = c.Parser(parser)
		batch.Reset()
		parser.Parse(c, batch)
		rows = append(rows, cells(batch)...)
		for _, b := range batch.Bad {
			bad = append(bad, fmt.Sprintf("%d: %s", line+b.Line+1, b.Reason))
		}
		line += batch.Lines
	}
}

// cells returns the rows of a batch, each with its cells in the order of the columns.
func cells(b *file.Batch) (rows []string) {
	for _, t := range b.Tables {
		lines := make([][]string, t.Rows)
		for _, c := range t.Columns {
			for i := range c.Len() {
				var text string
				switch c.Kind {
				case file.Number:
					text = fmt.Sprint(c.Numbers[i])
				case file.Text:
					text = fmt.Sprintf("%q", b.Text(c.Texts[i]))
				case file.Time:
					text = fmt.Sprintf("@%d", c.Times[i])
				case file.Skip:
				}
				lines[c.Row(i)] = append(lines[c.Row(i)], c.Name+"="+text)
			}
			if c.Invalid > 0 {
				rows = append(rows, fmt.Sprintf("%s: %d invalid, %q", c.Name, c.Invalid, c.FirstInvalid))
			}
		}
		for _, line := range lines {
			slices.Sort(line)
			rows = append(rows, strings.TrimSpace(t.Name+" "+strings.Join(line, " ")))
		}
	}
	return rows
}

// unitNote returns the note on a column whose numbers are read without their unit.
func unitNote(column, unit, cell, number string) string {
	return fmt.Sprintf("column %q: numbers are read without %q, so that %q is %s (--text %s reads them as text)", column, unit, cell, number, column)
}

// differentUnits returns the note on a column of texts with several units.
func differentUnits(column, cell string) string {
	return fmt.Sprintf("column %q is read as text: its cells look like numbers with different signs, or some without one, such as %q", column, cell)
}

// eitherComma is the note on a column whose commas may be decimal ones or between thousands.
func eitherComma(column, cell string) string {
	return fmt.Sprintf("column %q is read as text: its cells look like numbers with commas, such as %q "+
		"(--decimal comma reads decimal commas, --decimal point commas between thousands)", column, cell)
}

type inputCase struct {
	name    string
	content string
	o       file.Options
	rows    []string
	bad     []string
	notes   []string // checked unless nil
	err     string
}

var inputCases = []inputCase{
	{name: "CSV", content: "a,b\n1,x\n2.5,y\n", rows: []string{`a=1 b="x"`, `a=2.5 b="y"`}},
	{name: "no line end at the end", content: "a,b\n1,x", rows: []string{`a=1 b="x"`}},
	{name: "CRLF", content: "a,b\r\n1,x\r\n2,\"y\"\r\n", rows: []string{`a=1 b="x"`, `a=2 b="y"`}},
	{name: "CR only", content: "a,b\r1,x\r2,y\r", err: `the lines end with carriage returns, want line feeds (tr '\r' '\n' < FILE | telegraf-describe describe -)`},
	{name: "CR in quotes", content: "1,\"x\ry\"\r", o: file.Options{Header: file.NoHeader}, rows: []string{`c1=1 c2="x\ry"`}},
	{name: "one line of JSON with CR", content: "{\"a\":1}\r", rows: []string{"a=1"}},
	{name: "comments before the header", content: "# it's made; by x\n#\na;b;c\n1;x;2\n2;y;3;4\n", rows: []string{`a=1 b="x" c=2`}, bad: []string{"5: 4 cells, want 3"}},
	{name: "comments before data", content: "# made, by x\n1,2,3\n4,5,6\n", rows: []string{"c1=1 c2=2 c3=3", "c1=4 c2=5 c3=6"}},
	{name: "header that starts with #", content: "#a,b\n1,x\n", rows: []string{`#a=1 b="x"`}},
	{name: "byte order mark", content: "\xef\xbb\xbfa,b\n1,x\n", rows: []string{`a=1 b="x"`}},
	{name: "TSV", content: "a\tb\n1\tx, y\n", rows: []string{`a=1 b="x, y"`}},
	{name: "semicolons", content: "a;b\n1;x,y\n2;z\n", rows: []string{`a=1 b="x,y"`, `a=2 b="z"`}},
	{name: "bars", content: "a|b\n1|x\n", rows: []string{`a=1 b="x"`}},
	{name: "one column", content: "a\n1\n2\n", rows: []string{"a=1", "a=2"}},
	{name: "quotes", content: "a,b\n1,\"x \"\"y\"\", z\"\n2,5\" pipe\n", rows: []string{`a=1 b="x \"y\", z"`, `a=2 b="5\" pipe"`}},
	{
		name: "line ends in quotes", content: "a,b\n1,\"x\ny\"\nz,w,v\n3,w\n", rows: []string{`a=1 b="x\ny"`, `a=3 b="w"`},
		bad: []string{"4: 3 cells, want 2"},
	},
	{
		name: "ragged rows", content: "a,b,c\n1,v\n2,x,y,z\n3\n# 4\n\"5\"\n\n6,w,7", rows: []string{`a=1 b="v"`, "a=3", "a=5", `a=6 b="w" c=7`},
		bad: []string{"3: 4 cells, want 3", "5: 1 cell, want 3"},
	},
	{name: "ragged rows with Strict", content: "a,b\n1\n2,x\n", o: file.Options{Strict: true}, rows: []string{`a=2 b="x"`}, bad: []string{"2: 1 cell, want 2"}},
	{name: "a last row that is cut off", content: "a,b\n1,2\n3.1", rows: []string{"a=1 b=2"}, bad: []string{"3: 1 cell, want 2"}},
	{name: "a row without the cell of the time", content: "v,time\n1,2026-11-01\n2\n", o: file.Options{NeedTime: true}, rows: []string{"time=@1793491200000000000 v=1"}, bad: []string{`3: "" in column "time" is not a time`}},
	{name: "the header several times", content: "\na,b\n1,x\na,b\r\n\xef\xbb\xbfa,b\na,c\n2,y\n" + strings.Repeat("3,z\n", 30), rows: append([]string{`a: 1 invalid, "a"`, `a=1 b="x"`, `b="c"`, `a=2 b="y"`}, slices.Repeat([]string{`a=3 b="z"`}, 30)...)},
	{
		name: "one column of texts with commas", content: "text\nfirst, second\nthird\n\n\"a, \"\"b\"\", c\"\n", rows: []string{`text="first, second"`, `text="third"`, `text="a, \"b\", c"`},
		notes: []string{"read as one column, as the first line has no delimiter (--delimiter divides the lines)"},
	},
	{name: "one column of names", content: "name\nDoe, Jane\nRoe, Richard\n", rows: []string{`name="Doe, Jane"`, `name="Roe, Richard"`}},
	{name: "one column with decimal commas", content: "t\n1,5\n-2,25\n", rows: []string{"t=1.5", "t=-2.25"}},
	{name: "one column that the options divide", content: "a\n1,5\n2\n", o: file.Options{Delimiter: ','}, rows: []string{"a=2"}, bad: []string{"2: 2 cells, want 1"}},
	{
		name: "no name above the names of rows", content: "\"a\",\"b\"\n\"x\",1,2\n\"y\",3,\n", rows: []string{`a=1 b=2 c1="x"`, `a=3 c1="y"`},
		notes: []string{"the header has one cell less than the rows, whose first cells are the column c1"},
	},
	{
		name: "a title", content: "a title\n\nx,y,z\n1,2,3\n", bad: []string{"3: 3 cells, want 1", "4: 3 cells, want 1"},
		notes: []string{"the first line has 1 cell and the next ones have 3: if it is a title, remove it"},
	},
	{
		name: "a title before semicolons", content: "a title\nx;y\n1;2\n", rows: []string{`a title="x;y"`, `a title="1;2"`},
		notes: []string{"the first line has 1 cell and the next ones have 2: if it is a title, remove it"},
	},
	{name: "blank lines before a header with semicolons", content: "\n\na;b\n1;2\n", rows: []string{"a=1 b=2"}},
	{name: "a first row that is long", content: "time;v\n2026-11-01;" + strings.Repeat("x", 3000) + "\n2026-11-02;y\n", o: file.Options{Size: 1000, NeedTime: true}, rows: []string{
		"time=@1793491200000000000 v=\"" + strings.Repeat("x", 3000) + "\"", `time=@1793577600000000000 v="y"`,
	}},
	{name: "the header of one column as a value", content: "a\na\nb\n", rows: []string{`a="a"`, `a="b"`}},
	{name: "blank lines", content: "\n\na,b\n\n1,x\n\n", rows: []string{`a=1 b="x"`}},
	{name: "lines of spaces", content: "a,b\n  \t\n1,x\n \r\n2,\n", rows: []string{`a=1 b="x"`, "a=2"}},
	{name: "one column with an empty cell in quotes", content: "a\n1\n\"\"\n2\n\n", rows: []string{"a=1", "", "a=2"}},
	{name: "Excel workbook", content: "PK\x03\x04", err: "the content is a ZIP file (unzip -p FILE | telegraf-describe describe -) or an Excel workbook (save it as CSV)"},
	{name: "old Excel workbook", content: "\xd0\xcf\x11\xe0\xa1", err: "the content is an old Excel workbook (save it as CSV)"},
	{name: "missing", content: "a,b\n1,x\nNA,\n,null\n2,y\n", rows: []string{`a=1 b="x"`, "", "", `a=2 b="y"`}},
	{name: "names twice and missing", content: "a,a,,a_2\n1,2,3,4\n", rows: []string{"a=1 a_2=2 a_2_2=4 c3=3"}},
	{name: "truth values", content: "on\ntrue\nFALSE\n", rows: []string{"on=1", "on=0"}},
	{name: "infinities among numbers", content: "v,w\n1,inf\n-inf,-Infinity\n+INF,2\n", rows: []string{`v: 2 invalid, "-inf"`, `w: 2 invalid, "inf"`, "v=1", "", "w=2"}},
	{name: "infinities alone", content: "v,w\ninf,a\n", rows: []string{`v: 1 invalid, "inf"`, `w="a"`}},
	{name: "NaN with a sign", content: "v\n-nan\n1\n#NA\n", rows: []string{"", "v=1", ""}},
	{name: "a delimiter at the end of rows", content: "a,b\n1,2,\n3,4,\r\n5,6\n7,8,9\n", rows: []string{"a=1 b=2", "a=3 b=4", "a=5 b=6"}, bad: []string{"5: 3 cells, want 2"}},
	{name: "the delimiter in a line before the header", content: "sep=;\r\na,x;b\r\n1,5;2\r\n7;8;9\r\n", rows: []string{"a,x=1.5 b=2"}, bad: []string{"4: 3 cells, want 2"}},
	{name: "the delimiter in quotes before data", content: "\"sep=|\"\n1|2\n3|4\n", rows: []string{"c1=1 c2=2", "c1=3 c2=4"}},
	{name: "a line with the delimiter and nothing else", content: "sep=,", rows: nil},
	{name: "a column named sep=", content: "sep=a,b\n1,2\n", rows: []string{"b=2 sep=a=1"}},
	{
		name: "one column without a header", content: "1\n2\n", rows: []string{"c1=1", "c1=2"},
		notes: []string{"the first line is read as data, as it has no names; the column is c1 (--header reads names)"},
	},
	{
		name: "bytes that are not UTF-8", content: "a,b\nx,1\nM\xfcller,2\n", rows: []string{`a="x" b=1`, `a="M\xfcller" b=2`},
		notes: []string{"line 3 is not UTF-8, so some characters are shown as \uFFFD (iconv -f LATIN1 -t UTF-8 FILE | telegraf-describe describe -)"},
	},
	{name: "dates with points", content: "day,v\n31.12.2026,1\n01.02.2026 12:30,2\n", rows: []string{"day=@1798675200000000000 v=1", "day=@1769949000000000000 v=2"}},
	{
		name: "dates with slashes", content: "day,v\n1/2/2026,1\n31/12/2026 10:00,2\n", rows: []string{`day="1/2/2026" v=1`, `day="31/12/2026 10:00" v=2`},
		notes: []string{`column "day" is read as text: its cells look like dates, such as "1/2/2026" (dates are read as 2026-12-31, 2026/12/31 or 31.12.2026)`},
	},
	{
		name: "names of zones", content: "time,v\n2026-11-01 00:00:00 CET,1\n2026-11-01 00:00 CET,2\n", rows: []string{`time="2026-11-01 00:00:00 CET" v=1`, `time="2026-11-01 00:00 CET" v=2`},
		notes: []string{`column "time" is read as text: its cells look like times of a zone by its name, such as "2026-11-01 00:00:00 CET" (--tz with a zone that uses this name reads them)`},
	},
	{
		name: "dates with slashes where times are needed", content: "v,day\n1,1/2/2026\n", o: file.Options{NeedTime: true},
		err: `no column has times: the cells of "day" look like dates, such as "1/2/2026" (dates are read as 2026-12-31, 2026/12/31 or 31.12.2026)`,
	},
	{
		name: "times since 1970 under a name of their own", content: "v,created\n1,1793491200\n", o: file.Options{NeedTime: true},
		err: "no column is recognized as the time: name one by --time, such as --time created; the columns are v, created",
	},
	{name: "times since 1970 with their unit in the name", content: "v,timestamp_ms\n1,1793491200000\n", rows: []string{"timestamp_ms=@1793491200000000000 v=1"}},
	{name: "texts that begin as dates do", content: "a,b,c\n1/2/2026x,1/2/20265,1/2\n", o: file.Options{Header: file.WithHeader}, rows: []string{`a="1/2/2026x" b="1/2/20265" c="1/2"`}, notes: []string{}},
	{name: "no header", content: "1,2\n3,4\n", rows: []string{"c1=1 c2=2", "c1=3 c2=4"}},
	{name: "header of numbers", content: "2020,2021\n3,4\n", o: file.Options{Header: file.WithHeader}, rows: []string{"2020=3 2021=4"}},
	{name: "texts without header", content: "a,b\nc,d\n", o: file.Options{Header: file.NoHeader}, rows: []string{`c1="a" c2="b"`, `c1="c" c2="d"`}},
	{name: "header only", content: "a,b\n"},
	{name: "empty", content: ""},
	{name: "spaces around numbers", content: "a, b\n 1 , 2\n", rows: []string{"a=1 b=2"}},
	{name: "numbers as texts", content: "id,v\n007,1\n", o: file.Options{AsText: func(name string) bool { return name == "id" }}, rows: []string{`id="007" v=1`}},
	{
		name: "a few cells of another kind", content: "a,b\n" + strings.Repeat("1,2\n", 30) + "err,2\n",
		rows: append(append([]string{`a: 1 invalid, "err"`}, slices.Repeat([]string{"a=1 b=2"}, 30)...), "b=2"),
	},
	{name: "selected", content: "a,b,c\n1,2,3\n", o: file.Options{Select: func(name string) bool { return name == "b" }}, rows: []string{"b=2"}},
	{name: "infinite", content: "a,b\n1e999,1\n1,1\n" + strings.Repeat("1,1\n", 30), rows: append([]string{`a: 1 invalid, "1e999"`, "b=1"}, slices.Repeat([]string{"a=1 b=1"}, 31)...)},
	{name: "times", content: "when,v\n2026-11-01T00:00:00Z,1\n2026-11-01 00:00:01,2\n", rows: []string{"v=1 when=@1793491200000000000", "v=2 when=@1793491201000000000"}},
	{name: "times since 1970", content: "ts,v\n1793491200,1\n1793491201000,2\n", rows: []string{"ts=@1793491200000000000 v=1", "ts=@1793491201000000000 v=2"}},
	{name: "decimal commas", content: "t;v\n-1,5;2\n 2,25e1 ;3\n;1\n4;\n", rows: []string{"t=-1.5 v=2", "t=22.5 v=3", "v=1", "t=4"}},
	{name: "decimal commas in quotes", content: "t,v\n\"1,5\",2\n\"0,25\",3\n", o: file.Options{Decimal: file.DecimalComma}, rows: []string{"t=1.5 v=2", "t=0.25 v=3"}},
	{name: "decimal commas and no header", content: "1,5;x\n2,5;y\n", rows: []string{`c1=1.5 c2="x"`, `c1=2.5 c2="y"`}},
	{
		name: "commas between thousands or decimal ones", content: "t;v\n\"1,234\";2\n\"12,345\";3\n999;4\n", rows: []string{`t="1,234" v=2`, `t="12,345" v=3`, `t="999" v=4`},
		notes: []string{eitherComma("t", "1,234")},
	},
	{name: "commas between thousands that the options ask for", content: "t;v\n1,234;2\n999;3\n", o: file.Options{Decimal: file.DecimalPoint}, rows: []string{"t=1234 v=2", "t=999 v=3"}},
	{
		name: "commas that can only be between thousands", content: "t,u\n\"1,234\",\"1,234.50\"\n\"12,345,678\",.5\n\"-1,234\",-2\n", notes: []string{},
		rows: []string{"t=1234 u=1234.5", "t=1.2345678e+07 u=0.5", "t=-1234 u=-2"},
	},
	{
		name: "points between thousands", content: "t;v\n1.234,50;1\n-1.000.000;2\n1.234;3\n7,5;4\n,25;5\n", notes: []string{},
		rows: []string{"t=1234.5 v=1", "t=-1e+06 v=2", "t=1234 v=3", "t=7.5 v=4", "t=0.25 v=5"},
	},
	{name: "no groups of thousands", content: "t;u\n1.23.456,5;1,5\n1..234,5;1234,5\n0.123,5;2,5\n", rows: []string{`t="1.23.456,5" u=1.5`, `t="1..234,5" u=1234.5`, `t="0.123,5" u=2.5`}},
	{
		name: "commas in a file with commas", content: "t,v\n\"1,5\",2\n", rows: []string{`t="1,5" v=2`},
		notes: []string{eitherComma("t", "1,5")},
	},
	{name: "decimal commas as texts", content: "t;v\n1,5;2\n", o: file.Options{Decimal: file.DecimalPoint}, rows: []string{`t="1,5" v=2`}},
	{
		name: "points among decimal commas", content: "t;v\n" + strings.Repeat("1,5;2\n", 39) + "1.500;3\n1.5;4\n",
		rows: slices.Concat([]string{`t: 2 invalid, "1.500"`}, slices.Repeat([]string{"t=1.5 v=2"}, 39), []string{"v=3", "v=4"}),
	},
	{
		name: "apostrophes and spaces between thousands", content: "a;b;c;d\n1'234.5;1\u202f234,5;1 234;1’234’567\n-7;12\u00a0345;\u22121 234 567;\u22122,5\n2.25;,5;9;\n", notes: []string{},
		rows: []string{"a=1234.5 b=1234.5 c=1234 d=1.234567e+06", "a=-7 b=12345 c=-1.234567e+06 d=-2.5", "a=2.25 b=0.5 c=9"},
	},
	{
		name: "apostrophes and spaces that do not group", content: "a;b;c\n1'23;12 34;1'234.5\n1'234';1  234;1'234,5\n",
		rows: []string{`a="1'23" b="12 34" c="1'234.5"`, `a="1'234'" b="1  234" c="1'234,5"`},
	},
	{name: "the minus of Unicode", content: "a;b\n\u22121.5;\u22121,5\n2;2,5\n", rows: []string{"a=-1.5 b=-1.5", "a=2 b=2.5"}},
	{name: "the minus of Unicode beyond the sample", content: "a\n" + strings.Repeat("1\n", 10_000) + "\u22122\n", rows: append(slices.Repeat([]string{"a=1"}, 10_000), "a=-2")},
	{
		name: "currencies", content: "a;b;c;d\n$1,234.50;1.234,50 €;R$ 2;-£3\n-$2;-2 €;R$ -1;£−4.5\n($3.10);;R$ 0;NA\n$ 4;0,5€;(R$ 5);£1\n",
		rows:  []string{"a=1234.5 b=1234.5 c=2 d=-3", "a=-2 b=-2 c=-1 d=-4.5", "a=-3.1 c=0", "a=4 b=0.5 c=-5 d=1"},
		notes: []string{unitNote("a", "$", "$1,234.50", "1234.50"), unitNote("b", "€", "1.234,50 €", "1234.50"), unitNote("c", "R$", "R$ 2", "2"), unitNote("d", "£", "-£3", "-3")},
	},
	{
		name: "percents", content: "a;b\n12%;1,5 %\n12.5%;\u22122 %\n", rows: []string{"a=12 b=1.5", "a=12.5 b=-2"},
		notes: []string{unitNote("a", "%", "12%", "12"), unitNote("b", "%", "1,5 %", "1.5")},
	},
	{
		name: "a few cells without the unit", content: "a,b\n" + strings.Repeat("5%,1\n", 39) + "0.5,2\n$1,3\n",
		rows: slices.Concat([]string{`a: 2 invalid, "0.5"`}, slices.Repeat([]string{"a=5 b=1"}, 39), []string{"b=2", "b=3"}),
	},
	{
		name: "several units", content: "a,b,c\n€1,12%,$ 1 $\n$2,0.5,%5\n", rows: []string{`a="€1" b="12%" c="$ 1 $"`, `a="$2" b="0.5" c="%5"`},
		notes: []string{differentUnits("a", "€1"), differentUnits("b", "12%")},
	},
	{
		name: "amounts whose comma can be either", content: "a;b\n$1,234;1\n$5,678;2\n", rows: []string{`a="$1,234" b=1`, `a="$5,678" b=2`},
		notes: []string{eitherComma("a", "1,234")},
	},
	{name: "amounts without a header", content: "$1,2%\n$3,4%\n", rows: []string{"c1=1 c2=2", "c1=3 c2=4"}},
	{name: "texts with signs", content: "a,b,c\n$,(1),1€2\n$x,(2),-$-1\n", o: file.Options{Header: file.WithHeader}, rows: []string{`a="$" b="(1)" c="1€2"`, `a="$x" b="(2)" c="-$-1"`}, notes: []string{}},
	{name: "named time", content: "n,v\n5,1\n", o: file.Options{Time: "n", Times: scan.Times{Unit: scan.Seconds}}, rows: []string{"n=@5000000000 v=1"}},
	{name: "no such time", content: "n,v\n5,1\n", o: file.Options{Time: "when"}, err: `there is no column "when" for the time, the columns are n, v`},
	{name: "no time", content: "n,v\n5,1\n", o: file.Options{NeedTime: true}, err: "no column is recognized as the time: name one by --time; the columns are n, v"},
	{
		name: "row without a time", content: "time,v\n2026-11-01,1\n,2\n", o: file.Options{NeedTime: true}, rows: []string{"time=@1793491200000000000 v=1"},
		bad: []string{`3: "" in column "time" is not a time`},
	},
	{name: "unclosed quote", content: "a,b\n1,x\n2,\"y\n3,z\n", rows: []string{`a=1 b="x"`, `a=3 b="z"`}, bad: []string{"3: a quote is not closed"}},
	{name: "text after a quote", content: "a,b\n1,\"x\"y\n3,z\n", rows: []string{`a=3 b="z"`}, bad: []string{"2: cell 2 has text after its closing quote"}},
	{name: "NUL", content: "a,b\n1,\x00\n", err: "byte 7 is NUL, so the content is not text (--format reads it all the same)"},
	{name: "NUL in CSV", content: "a,b\n1,\x00\n", o: file.Options{Format: file.CSV}, rows: []string{`a=1 b="\x00"`}},
	{name: "UTF-16", content: "\xff\xfea\x00", err: "the content is UTF-16, want UTF-8 (iconv -f UTF-16 -t UTF-8 FILE | telegraf-describe describe -)"},
	{name: "UTF-32", content: "\xff\xfe\x00\x00a\x00\x00\x00", err: "the content is UTF-32, want UTF-8 (iconv -f UTF-32 -t UTF-8 FILE | telegraf-describe describe -)"},
	{
		name: "UTF-16 without a mark", content: "a\x00,\x00b\x00\n\x00", o: file.Options{Format: file.CSV},
		err: "the content is UTF-16LE, want UTF-8 (iconv -f UTF-16LE -t UTF-8 FILE | telegraf-describe describe -)",
	},
	{name: "UTF-16BE without a mark", content: "\x00a\x00,\x00b\x00\n", err: "the content is UTF-16BE, want UTF-8 (iconv -f UTF-16BE -t UTF-8 FILE | telegraf-describe describe -)"},
	{name: "two byte order marks", content: "\xef\xbb\xbf\xef\xbb\xbfa,b\n1,x\n", rows: []string{`a=1 b="x"`}},
	{name: "a byte order mark before line protocol", content: "\xef\xbb\xbfm v=1 1\nm v=2 2\n", rows: []string{"m time=@1 v=1", "m time=@2 v=2"}},
	{name: "a byte order mark before JSON on several lines", content: "\xef\xbb\xbf{\n\"a\":1}\n{\"a\":2}\n", rows: []string{"a=1", "a=2"}},
	{name: "null as databases write it", content: "a,b\n1,\\N\n2,x\n", rows: []string{"a=1", `a=2 b="x"`}},

	{
		name: "line protocol", content: "# comment\ncpu,host=a\\ b usage=1.5,n=2i,u=3u,on=t,s=\"x, \\\"y\\\"\" 17\nmem free=1\n",
		rows: []string{`cpu host="a b" n=2 on=1 s="x, \"y\"" time=@17 u=3 usage=1.5`, "mem free=1"},
	},
	{name: "strings of two lines", content: "m s=\"a\nb\",v=1 1\nm v=2 2\n", rows: []string{`m s="a\nb" time=@1 v=1`, "m time=@2 v=2"}},
	{
		name: "bad lines of line protocol", content: "m v=1 1\nm v= 2\nm v=99999999999999999999i 3\n\nm v=1.2.3 4\nm v=2\n", o: file.Options{NeedTime: true},
		rows: []string{"m time=@1 v=1"},
		bad: []string{
			"2: field value has unrecognized type", `3: field "v": "99999999999999999999" is not a value of the type int`,
			`5: field "v": "1.2.3" is not a value of the type float`, "6: the line has no time",
		},
	},
	{name: "line protocol whose first line is cut", content: "sage=1.5,b=2 17\nm v=2 2\nm v=3 3\nm v=", rows: []string{"m time=@2 v=2", "m time=@3 v=3"}, bad: []string{"1: want '=' after field key \"17\", found '\\n'", "4: expected field value, found end of input"}},
	{name: "a header with an equals sign and texts like line protocol", content: "a=b\nm v=2\nx\n", rows: []string{`a=b="m v=2"`, `a=b="x"`}},
	{name: "comments alone", content: "# a\n# b\n"},
	{name: "quotes in a key", content: "m \\=\"=1 1\nm \\=\"=2 2\n", rows: []string{`m ="=1 time=@1`, `m ="=2 time=@2`}},
	{name: "line protocol in seconds", content: "m v=1 5\n", o: file.Options{Times: scan.Times{Unit: scan.Seconds}}, rows: []string{"m time=@5000000000 v=1"}},

	{
		name: "JSON lines", content: `{"a":1,"b":{"c":-2.5e1,"d":"x\n"},"e":[1,{"f":2}],"g":true,"h":null}` + "\n" + `{"a":2}` + "\n",
		rows: []string{`a=1 b.c=-25 b.d="x\n" e="[1,{\"f\":2}]" g=1`, "a=2"},
	},
	{name: "JSON with a time", content: `{"time":"2026-11-01T00:00:00Z","v":1}`, rows: []string{"time=@1793491200000000000 v=1"}},
	{name: "JSON with a time since 1970", content: `{"ts":1793491200,"v":1}`, rows: []string{"ts=@1793491200000000000 v=1"}},
	{
		name: "bad JSON", content: "{\"a\":1}\n{\"a\":}\n{\"a\":1\n[1]\n{\"a\":1} x\n{\"a\":1e999}\n{\"a\":01}\n{\"a\" 1}\n",
		rows: []string{"a=1"},
		bad: []string{
			`2: found "}" at byte 6, want a value`, "3: the object is not complete", `4: found "[1]", want an object`, `5: found "x" after the object`,
			"6: the number 1e999 is beyond the range of 64-bit floats", `7: found "01}", want a number`, `8: found "1}" at byte 6, want a colon`,
		},
	},
	{
		name: "JSON on several lines", content: "\n{\n  \"a\": 1,\r\n\"b\":{\"c\":\"}\\\"]\"}}\n\n{\"a\":2} {\"a\"\n:3}\n{\"a\":\n4",
		rows: []string{`a=1 b.c="}\"]"`, "a=2", "a=3"}, bad: []string{"8: the object is not complete"},
	},
	{name: "a form feed after an object", content: "{\"a\":1}\f\n", bad: []string{`1: found "\f" after the object`}},
	{name: "one object that is not complete", content: "{\"a\":1\n", bad: []string{"1: the object is not complete"}},
	{name: "an object that is not complete and another", content: "{\"a\":1\n{\"a\":2}\n", rows: []string{"a=2"}, bad: []string{"1: the object is not complete"}},
	{
		name: "one object with rows", content: `{"n":1,"rows":[{"a":1},{"a":2}]}`, rows: []string{`n=1 rows="[{\"a\":1},{\"a\":2}]"`},
		notes: []string{`the content is one object, whose member "rows" is an array of objects (jq -c '.["rows"][]' FILE | telegraf-describe describe - describes these)`},
	},
	{name: "JSON array", content: ` [{"a":1},{"a":2}]`, rows: []string{"a=1", "a=2"}},
	{name: "JSON array after a byte order mark", content: "\xef\xbb\xbf[{\"a\":1}]\n", o: file.Options{Format: file.JSONLines}, rows: []string{"a=1"}},
	{name: "empty JSON array", content: "[ ]"},
	{
		name: "JSON array on several lines", content: "[\n  {\n    \"a\": 1,\n    \"b\": [1, {\"c\": \",]\"}]\n  },\n  {\"a\": 2},\n  {\"a\": x}\n]\n",
		rows: []string{`a=1 b="[1,{\"c\":\",]\"}]"`, "a=2"}, bad: []string{`7: found "x}" at byte 7, want a value`},
	},
	{
		name: "wrong JSON array", content: "[{\"a\":1},\n,{\"a\":2} {\"a\":3},\n7,\n{\"a\":4},\n] {\"a\":5}\n",
		rows: []string{"a=1", "a=4"},
		bad: []string{
			`2: found ",", want an object`, `3: found "{\"a\":3}" after the object`, `4: found "7", want an object`, `6: found ",", want an object`,
			`7: found "]{\"a\":5}", want an object`,
		},
	},
	{name: "JSON array that is not complete", content: `[{"a":1},{"a":2`, err: "the content ends within the JSON array"},
	{name: "a string of two lines in a JSON array", content: "[{\"a\":\"x\ny\"},{\"a\":2}]", rows: []string{"a=2"}, bad: []string{"1: a string is not closed", `2: found "y\"}", want an object`}},
	{
		name: "NaN and infinities of JSON", content: `[{"v":NaN,"w":"x"},{"v":2,"w":"y"},{"v":Infinity,"w":"z"},{"v":-Infinity,"w":[NaN,-Infinity]}]`,
		rows: []string{`v: 2 invalid, "Infinity"`, `w="x"`, `v=2 w="y"`, `w="z"`, `w="[NaN,-Infinity]"`},
	},
	{
		name: "JSON as texts", content: `{"v":true}` + "\n" + `{"v":-Infinity}` + "\n" + `{"v":null}` + "\n" + `{"v":1.50}`,
		o: file.Options{AsText: func(name string) bool { return name == "v" }}, rows: []string{`v="true"`, `v="-Infinity"`, "", `v="1.50"`},
	},
	{name: "words like infinities of JSON", content: "{\"v\":-Inf}\n{\"v\":-I}\n{\"v\":Nan}\n", bad: []string{
		`1: found "-Inf}" at byte 6, want a value`, `2: found "-I}" at byte 6, want a value`, `3: found "Nan}" at byte 6, want a value`,
	}},
	{name: "a carriage return in a string of a JSON array", content: "[{\"a\":\"x\ry\"},\r\n{\"a\":2}]", rows: []string{"a=2"}, bad: []string{`1: found the control character '\r' in a string`}},
	{name: "JSON array of numbers", content: "[1,2]", err: `the content begins with "[1,2]", want JSON objects, one a line or in an array`},
}

// Each format gives the cells, the bad lines and the errors that its case lists.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, c := range inputCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			notes := []string{}
			c.o.Note = func(_, text string) { notes = append(notes, text) }
			rows, bad, err := read([]byte(c.content), c.o)
			if c.err != "" {
				require.EqualError(t, err, "standard input: "+c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.rows, rows)
			require.Equal(t, c.bad, bad)
			if c.notes != nil {
				require.Equal(t, c.notes, notes)
			}
		})
	}
}

func TestCompressedFilesAreDetected(t *testing.T) {
	t.Parallel()
	const content = "a,b\n1,x\n"
	var gz, twice, zst bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, _ = io.WriteString(z, content)
	require.NoError(t, z.Close())
	twice.Write(gz.Bytes())
	z = gzip.NewWriter(&twice)
	_, _ = io.WriteString(z, "2,y\n")
	require.NoError(t, z.Close())
	e, err := zstd.NewWriter(&zst)
	require.NoError(t, err)
	_, _ = io.WriteString(e, content)
	require.NoError(t, e.Close())
	for name, b := range map[string][]byte{"gzip": gz.Bytes(), "two members of gzip": twice.Bytes(), "zstd": zst.Bytes()} {
		rows, _, err := read(b, file.Options{})
		require.NoError(t, err, name)
		require.Equal(t, `a=1 b="x"`, rows[0], name)
		_, _, err = read(b[:len(b)-3], file.Options{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s that is cut off", name)
		require.ErrorContains(t, err, "the compressed content is not complete", name)
	}
}

// Zero bytes after the last member of gzip are padding; other bytes there are ignored with a note.
func TestBytesAfterGzipAreIgnored(t *testing.T) {
	t.Parallel()
	var gz bytes.Buffer
	for _, text := range []string{"a,b\n1,x\n", "2,y\n"} {
		z := gzip.NewWriter(&gz)
		_, _ = io.WriteString(z, text)
		require.NoError(t, z.Close())
	}
	ignored := "standard input: what follows the compressed content is not gzip and is ignored"
	for _, c := range []struct {
		after string
		notes []string
	}{
		{"", nil}, {strings.Repeat("\x00", 5000), nil}, {"x", []string{ignored}}, {"garbage", []string{ignored}}, {"\x00\x00garbage", []string{ignored}},
	} {
		var notes []string
		o := file.Options{Note: func(path, text string) { notes = append(notes, path+": "+text) }}
		rows, bad, err := read(append(bytes.Clone(gz.Bytes()), c.after...), o)
		require.NoError(t, err, "%q", c.after)
		require.Empty(t, bad)
		require.Equal(t, []string{`a=1 b="x"`, `a=2 b="y"`}, rows, "%q", c.after)
		require.Equal(t, c.notes, notes, "%q", c.after)
	}
	_, _, err := read(append(bytes.Clone(gz.Bytes()), "\x1f\x8bnot the header of a member"...), file.Options{})
	require.ErrorIs(t, err, gzip.ErrHeader, "a damaged member")
}

// After an error of one file, the next call reads the file after it.
func TestNextGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var paths []string
	for i, content := range []string{"gone", "a\x00b", "a,b\n1,2\n"} {
		path := filepath.Join(folder, strconv.Itoa(i))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		paths = append(paths, path)
	}
	r, err := file.NewReader(paths, nil, new(file.Options))
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, os.Remove(paths[0]))
	_, err = r.Next(nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = r.Next(nil)
	require.ErrorContains(t, err, "byte 2 is NUL")
	c, err := r.Next(nil)
	require.NoError(t, err)
	require.Equal(t, "1,2\n", string(c.Data))
}

// skipMuchData skips a test of megabytes with -short: a Reader and its parsers share no state, so that the race detector, which makes
// such tests ten times as long, has nothing to find in them.
func skipMuchData(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("reads megabytes")
	}
}

// Content that expands a thousand times is read in chunks, and so is a record without an end.
func TestLongRecordsAreBadLines(t *testing.T) {
	t.Parallel()
	skipMuchData(t)
	long := strings.Repeat("x", file.MaxRecord+100)
	rows, bad, err := read([]byte("a,b\n1,"+long+"\n2,y\n"), file.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"2: the line has more than 16 MiB"}, bad)
	require.Equal(t, []string{`a=2 b="y"`}, rows)

	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	_, _ = z.Write([]byte("a,b\n"))
	for range 80 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	require.NoError(t, z.Close())
	require.Less(t, gz.Len(), 200_000)
	rows, bad, err = read(gz.Bytes(), file.Options{Format: file.CSV})
	require.NoError(t, err)
	require.Empty(t, rows)
	require.Equal(t, []string{"2: the line has more than 16 MiB"}, bad)
}

func TestFirstLineWithoutAnEndIsAnError(t *testing.T) {
	t.Parallel()
	skipMuchData(t)
	_, _, err := read(make([]byte, file.MaxRecord+1), file.Options{Format: file.CSV})
	require.EqualError(t, err, "standard input: the first line has more than 16 MiB")
}

// A quote that is never closed costs its own line only.
func TestUnclosedQuoteCostsOneLine(t *testing.T) {
	t.Parallel()
	skipMuchData(t)
	line := "2," + strings.Repeat("y", 1021) + "\n"
	const lines = file.MaxRecord/1024 + 100
	rows, bad, err := read([]byte("a,b\n1,\"x\n"+strings.Repeat(line, lines)), file.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"2: the line has more than 16 MiB"}, bad)
	require.Len(t, rows, lines)
}

func TestManyColumns(t *testing.T) {
	t.Parallel()
	skipMuchData(t)
	const n = 20_000
	content := "c" + strings.Repeat(",c", n-1) + "\n1" + strings.Repeat(",1", n-1) + "\n"
	rows, bad, err := read([]byte(content), file.Options{})
	require.NoError(t, err)
	require.Empty(t, bad)
	require.Len(t, rows, 1)
	require.Equal(t, n, strings.Count(rows[0], "="))
	_, _, err = read([]byte("c"+strings.Repeat(",c", 2<<20)+"\n"), file.Options{})
	require.ErrorContains(t, err, "want at most 1048576")
}

func TestReaderRefusesWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := file.NewReader([]string{dir}, nil, &file.Options{})
	require.EqualError(t, err, dir+" is a directory, want a file")
	_, err = file.NewReader([]string{filepath.Join(dir, "missing")}, nil, &file.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// checkCuts fails unless the content gives the same rows in chunks of any size. The kinds of columns depend on the first
// chunk, so a header comes with enough rows there.
func checkCuts(t *testing.T, content []byte, o file.Options) {
	t.Helper()
	o.Size = 1 << 20
	wantRows, wantBad, wantErr := read(content, o)
	for _, size := range []int{len(content) + 1, 1 << 12, 600} {
		o.Size = size
		rows, bad, err := read(content, o)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || !slices.Equal(merged(rows), merged(wantRows)) || !slices.Equal(bad, wantBad) {
			t.Fatalf("in chunks of %d bytes: %q, %q, %v, want %q, %q, %v", size, rows, bad, err, wantRows, wantBad, wantErr)
		}
	}
}

// merged returns the rows of all tables in one order, as chunks have their tables apart. It leaves out the counts of
// invalid cells, which are by chunk.
func merged(rows []string) []string {
	rows = slices.DeleteFunc(slices.Clone(rows), func(s string) bool { return strings.Contains(s, " invalid, ") })
	slices.Sort(rows)
	return rows
}

// Rows do not depend on where a file is cut: quotes and strings that contain line ends are never divided.
func TestRowsDoNotDependOnTheCuts(t *testing.T) {
	t.Parallel()
	var quoted, lp, jsonl strings.Builder
	quoted.WriteString("a,b,c\n")
	for i := range 3000 {
		fmt.Fprintf(&quoted, "%d,\"x \"\"%d\"\"\ny,\",z\r\n", i, i)
		fmt.Fprintf(&lp, "m,t=a\"b s=\"x\ny=\\\"%d\\\"\",\\=\"=1,v=%d %d\n", i, i, i)
		fmt.Fprintf(&jsonl, `{"a":%d,"b":"x\"\n,"}`+"\n", i)
	}
	for _, content := range []string{quoted.String(), lp.String(), jsonl.String()} {
		_, bad, err := read([]byte(content), file.Options{})
		require.NoError(t, err)
		require.Empty(t, bad)
		checkCuts(t, []byte(content), file.Options{})
	}
}

// Whatever the content is, the reader ends, and it counts the lines.
func FuzzRead(f *testing.F) {
	for _, c := range inputCases {
		f.Add([]byte(c.content), uint8(c.o.Format))
	}
	f.Fuzz(func(t *testing.T, content []byte, format uint8) {
		o := file.Options{Format: file.Format(format % 4), Size: 512}
		r, err := file.NewReader([]string{file.Stdin}, bytes.NewReader(content), &o)
		require.NoError(t, err)
		var parser *file.Parser
		batch := new(file.Batch)
		for {
			c, err := r.Next(nil)
			if err != nil || c == nil {
				return
			}
			parser = c.Parser(parser)
			batch.Reset()
			parser.Parse(c, batch)
			cells(batch)
			if batch.BadCount < len(batch.Bad) {
				t.Fatalf("%d bad lines, of which %d are listed", batch.BadCount, len(batch.Bad))
			}
		}
	})
}

// notStrict reports whether a text has a word that is no JSON and that is read.
func notStrict(text string) bool {
	return strings.Contains(text, "NaN") || strings.Contains(text, "Infinity")
}

// A line is a JSON object exactly if encoding/json reads it as one, except for numbers beyond float64, NaN, infinities and deep nesting.
func FuzzJSON(f *testing.F) {
	for _, c := range inputCases {
		if strings.HasPrefix(c.content, "{") {
			f.Add(c.content)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n\x00") || notStrict(line) || !strings.HasPrefix(line, "{") || strings.Count(line, "{")+strings.Count(line, "[") > 50 {
			return
		}
		rows, bad, err := read([]byte(line), file.Options{Format: file.JSONLines})
		if err != nil {
			t.Fatal(err)
		}
		if valid := json.Valid([]byte(line)); valid && len(rows) != 1 && !strings.Contains(fmt.Sprint(bad), "64-bit") || !valid && len(bad) != 1 {
			t.Fatalf("valid is %t, but the rows are %q and the bad lines %q", valid, rows, bad)
		}
	})
}

// The objects of an array are read exactly if encoding/json reads the array, except for numbers beyond float64, NaN, infinities and deep
// nesting.
func FuzzJSONArray(f *testing.F) {
	for _, c := range inputCases {
		if strings.HasPrefix(c.content, "[") {
			f.Add(c.content)
		}
	}
	f.Fuzz(func(t *testing.T, content string) {
		if inner := strings.TrimLeft(content, "[ \t\r\n"); !strings.HasPrefix(content, "[") || !strings.HasPrefix(inner, "{") ||
			strings.ContainsRune(content, 0) || notStrict(content) || strings.Count(content, "{")+strings.Count(content, "[") > 50 {
			return
		}
		rows, bad, err := read([]byte(content), file.Options{Format: file.JSONLines})
		var want []json.RawMessage
		valid := json.Unmarshal([]byte(content), &want) == nil && !slices.ContainsFunc(want, func(m json.RawMessage) bool { return m[0] != '{' })
		switch wrong := err != nil || len(bad) > 0; {
		case strings.Contains(fmt.Sprint(bad), "64-bit"):
		case valid && (wrong || len(rows) != len(want)), !valid && !wrong:
			t.Fatalf("valid is %t, but the rows are %q, the bad lines %q and the error is %v", valid, rows, bad, err)
		}
	})
}
