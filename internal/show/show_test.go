package show_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/show"
)

func TestDigitsAreThoseThatPeopleRead(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 21.5: "21.5", 1.0 / 3: "0.333333", -2.0 / 3: "-0.666667", 1234567: "1234567", 1234567.891: "1234567.9", 499999.5: "499999.5",
		99.99999999: "100", 0.001234567: "0.00123457", 0.00001: "1e-05", 1e15: "1e+15", 123456789012345: "123456789012345", math.MaxFloat64: "1.79769e+308",
		19.299999999999997: "19.3",
	} {
		require.Equal(t, want, show.Digits(v))
	}
}

func TestCleanTextHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": "plain", "größe 😀": "größe 😀", "a\x1b[31mb": `a\x1b[31mb`, "a\nb\tc": `a\nb\tc`, "\x00": `\x00`, "\u202e": `\u202e`, "\x9b": "\uFFFD",
		"\u009b31m": `\u009b31m`, "\x7f": `\x7f`,
	} {
		require.Equal(t, want, show.Clean(text))
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\u202e\x9b")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range show.Clean(text) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q is not printable in %q", r, show.Clean(text))
			}
		}
	})
}

func sample() *show.Table {
	return &show.Table{
		Columns: []show.Column{{Name: "name"}, {Name: "count", Drop: 1}, {Name: "mean", Drop: 2}, {Name: "top", Drop: 3}},
		Rows: [][]show.Cell{
			{show.Text("a|b"), show.Count(12, false), show.Number(1.5), show.Text("x_y")},
			{show.Text("größe"), show.Count(3456, true), show.Number(math.NaN()), {}},
			{show.Text("日本"), {}, show.Number(1e-9), show.Time(time.Date(2026, 11, 1, 12, 30, 0, 0, time.UTC))},
		},
	}
}

func TestTableDropsColumnsUntilItFits(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{
		0:  "NAME   COUNT   MEAN  TOP\na|b       12    1.5  x_y\ngröße  ~3456\n日本          1e-09  2026-11-01 12:30\n",
		22: "NAME   COUNT   MEAN\na|b       12    1.5\ngröße  ~3456\n日本          1e-09\n\nnot shown: top\n(--transpose or -o csv\nhas all)\n",
		5:  "NAME\na|b\ngröße\n日本\n\nnot\nshown:\ncount,\nmean,\ntop\n(--transpose\nor -o\ncsv\nhas\nall)\n",
	} {
		var b strings.Builder
		require.NoError(t, show.Terminal{Width: width}.Write(&b, sample()))
		require.Equal(t, want, b.String(), width)
	}
}

// In a column, all times have the same parts, and numbers and times are never cut.
func TestTimesOfAColumnAreComparable(t *testing.T) {
	t.Parallel()
	at := func(text string) show.Cell {
		v, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		return show.Time(v)
	}
	table := &show.Table{Columns: []show.Column{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}}, Rows: [][]show.Cell{
		{at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z"), at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")},
		{at("2026-01-02T00:00:00Z"), at("2026-01-01T01:00:00Z"), at("2026-01-01T01:00:00Z"), at("2026-01-01T00:00:00.001002Z"), at("2026-01-01T00:00:00.000002Z")},
	}}
	var b strings.Builder
	require.NoError(t, show.Terminal{Width: 30}.Write(&b, table))
	require.Equal(t, "A           B                 C                    D                        E\n"+
		"2026-01-01  2026-01-01 00:00  2026-01-01 00:00:01  2026-01-01 00:00:00.000  2026-01-01 00:00:00.000000000\n"+
		"2026-01-02  2026-01-01 01:00  2026-01-01 01:00:00  2026-01-01 00:00:00.001  2026-01-01 00:00:00.000002000\n", b.String())
}

// People do not see optional columns that are empty, and programs do.
func TestEmptyColumnsAreNotForPeople(t *testing.T) {
	t.Parallel()
	table := &show.Table{
		Columns: []show.Column{{Name: "a"}, {Name: "b", Drop: 1}, {Name: "c", Drop: 2, Optional: true}, {Name: "d", Drop: 3, Optional: true}},
		Rows:    [][]show.Cell{{show.Text("x"), {}, {}, {}}, {show.Text("y"), {}, {}, show.Number(1)}},
	}
	var terminal, transposed, markdown, csv strings.Builder
	require.NoError(t, show.Terminal{}.Write(&terminal, table))
	require.Equal(t, "A  B  D\nx\ny     1\n", terminal.String())
	require.NoError(t, show.Terminal{Transpose: true}.Write(&transposed, table))
	require.Equal(t, "A  x  y\nB\nD     1\n", transposed.String())
	require.NoError(t, show.Markdown(&markdown, table))
	require.Contains(t, markdown.String(), "| a | b | d |\n")
	require.NoError(t, show.CSV(&csv, table, false))
	require.Equal(t, "a,b,c,d\nx,,,\ny,,,1\n", csv.String())
}

// Texts are as long as the columns that are left allow.
func TestTextsFillTheWidth(t *testing.T) {
	t.Parallel()
	table := &show.Table{Columns: []show.Column{{Name: "name"}, {Name: "n", Drop: 1}}, Rows: [][]show.Cell{{show.Text("123456789_123456789_123456789_"), show.Number(123456)}}}
	for width, want := range map[int]string{30: "123456789_123456789_1…  123456", 38: "123456789_123456789_123456789_  123456", 28: "123456789_123456789…  123456"} {
		var b strings.Builder
		require.NoError(t, show.Terminal{Width: width}.Write(&b, table))
		require.Contains(t, b.String(), want+"\n")
	}
}

func TestTransposedTableContinuesBelow(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, show.Terminal{Width: 20, Transpose: true, Bold: true}.Write(&b, sample()))
	require.Equal(t, "\x1b[1mNAME   a|b  größe\x1b[0m\nCOUNT   12  ~3456\nMEAN   1.5\nTOP    x_y\n\n"+
		"\x1b[1mNAME               日本\x1b[0m\nCOUNT\nMEAN              1e-09\nTOP    2026-11-01 12:30\n", b.String())
}

func TestMachineFormats(t *testing.T) {
	t.Parallel()
	var csv, json, lines, markdown strings.Builder
	require.NoError(t, show.CSV(&csv, sample(), false))
	require.Equal(t, "name,count,mean,top\na|b,12,1.5,x_y\ngröße,3456,,\n日本,,1e-09,2026-11-01T12:30:00Z\n", csv.String())
	require.NoError(t, show.JSON(&json, sample(), false))
	require.Equal(t, []string{
		"[",
		`{"name":"a|b","count":12,"mean":1.5,"top":"x_y"},`,
		`{"name":"größe","count":3456,"mean":null,"top":null},`,
		`{"name":"日本","count":null,"mean":1e-09,"top":"2026-11-01T12:30:00Z"}`,
		"]", "",
	}, strings.Split(json.String(), "\n"))
	require.NoError(t, show.JSON(&lines, &show.Table{}, true))
	require.Empty(t, lines.String())
	require.NoError(t, show.Markdown(&markdown, sample()))
	require.Contains(t, markdown.String(), `| a\|b | 12 | 1.5 | x\_y |`)
}
