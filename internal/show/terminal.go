package show

import (
	"io"
	"slices"
	"strings"
)

// A table is written in these steps. Widths are those of what is printed, so each step measures the texts and not the cells:
//
//	Table ─▶ forPeople ─▶ gridOf ─▶ drop columns ─▶ clip texts ─▶ lines, and "not shown: …"
//	         optional     texts     until narrow    as little
//	         columns                texts fit       as needed

// Terminal is how to write for people.
type Terminal struct {
	Width     int  // of a line; 0 is no limit
	Bold      bool // whether the names of the columns are bold, by escape sequences of ECMA-48
	Transpose bool // whether rows are written as columns
}

// The widths of texts, in columns of the terminal.
const (
	gap = "  " // between columns
	// widestText is the most that a text takes in a table.
	widestText = 32
	// narrowText is what texts are cut to before columns are dropped.
	narrowText = 20
)

// Write writes a table for people: nothing if it has no rows.
//
// A table that is too wide first loses the ends of long texts and then columns, in the order of [Column.Drop]; a line below
// names these. Transposed, each row is a column; if they do not fit beside each other, they follow below each other.
func (t Terminal) Write(w io.Writer, table *Table) error {
	if len(table.Rows) == 0 {
		return nil
	}
	table = table.forPeople()
	if t.Transpose {
		return t.transposed(w, table)
	}
	grid := gridOf(table)
	kept := make([]int, len(table.Columns))
	for i := range kept {
		kept[i] = i
	}
	narrow := grid.clipped(narrowText)
	var hidden []string
	for t.Width > 0 && narrow.width(kept) > t.Width {
		i := dropped(table.Columns, kept)
		if i < 0 {
			break
		}
		hidden = append(hidden, table.Columns[kept[i]].Name)
		kept = slices.Delete(kept, i, i+1)
	}
	// What is left may have room for more of the texts.
	widest := widestText
	for widest > narrowText && t.Width > 0 && grid.clipped(widest).width(kept) > t.Width {
		widest--
	}
	grid = grid.clipped(widest)
	if err := t.lines(w, grid, kept); err != nil || len(hidden) == 0 {
		return err
	}
	slices.Reverse(hidden)
	words := strings.Fields("not shown: " + Clean(strings.Join(hidden, ", ")) + " (--transpose or -o csv has all)")
	_, err := io.WriteString(w, "\n"+wrapped(words, t.Width)+"\n")
	return err
}

// wrapped joins words by spaces, and by line ends where a line would be wider than limit. A wider word is a line of its own.
func wrapped(words []string, limit int) string {
	var b strings.Builder
	column := 0
	for _, word := range words {
		switch n := width(word); {
		case column == 0:
			column = n
		case column+1+n > limit:
			b.WriteByte('\n')
			column = n
		default:
			b.WriteByte(' ')
			column += 1 + n
		}
		b.WriteString(word)
	}
	return b.String()
}

// dropped returns which of the kept columns is dropped next: its index in kept, or −1 if none may be. Among equals it is the one
// farthest to the right. kept has indexes of columns, in ascending order.
func dropped(columns []Column, kept []int) int {
	worst := -1
	for i, k := range kept {
		if d := columns[k].Drop; d > 0 && (worst < 0 || d >= columns[kept[worst]].Drop) {
			worst = i
		}
	}
	return worst
}

// grid is the texts of a table: rows of cells, of which the first has the names of the columns.
//
// Its methods do not change it: clipped returns another one. A width is counted in columns of the terminal, not in bytes or characters.
type grid struct {
	cells [][]string // clean, and as many in each row
	right []bool     // by column: whether it is aligned to the right, as numbers are
	whole [][]bool   // by cell: whether it is never cut, as a number or a time would be another one then
}

// gridOf returns the texts of a table for people. A column is aligned as numbers are if one of its cells is a number or a count. Names of
// columns are in capitals, and may be cut like texts.
func gridOf(table *Table) *grid {
	g := &grid{right: make([]bool, len(table.Columns))}
	head := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		head[i] = strings.ToUpper(Clean(c.Name))
	}
	g.cells, g.whole = append(g.cells, head), append(g.whole, make([]bool, len(head)))
	layouts := make([]string, len(table.Columns))
	for i := range layouts {
		layouts[i] = layoutOf(table.Rows, i)
	}
	for _, row := range table.Rows {
		line, whole := make([]string, len(row)), make([]bool, len(row))
		for i, c := range row {
			line[i], whole[i] = c.human(layouts[i]), c.kind != ofText
			g.right[i] = g.right[i] || c.kind == ofNumber || c.kind == ofCount
		}
		g.cells, g.whole = append(g.cells, line), append(g.whole, whole)
	}
	return g
}

// clipped returns the grid with texts and names that are not wider than widest. Numbers and times stay as they are.
func (g *grid) clipped(widest int) *grid {
	short := &grid{right: g.right, whole: g.whole}
	for n, line := range g.cells {
		line = slices.Clone(line)
		for i, s := range line {
			if !g.whole[n][i] && width(s) > widest {
				line[i] = clipped(s, widest)
			}
		}
		short.cells = append(short.cells, line)
	}
	return short
}

// widths returns the width of each of these columns: that of its widest cell.
func (g *grid) widths(columns []int) []int {
	all := make([]int, len(columns))
	for _, line := range g.cells {
		for k, i := range columns {
			all[k] = max(all[k], width(line[i]))
		}
	}
	return all
}

// width returns the width of a line with these columns.
func (g *grid) width(columns []int) int {
	sum := len(gap) * (len(columns) - 1)
	for _, w := range g.widths(columns) {
		sum += w
	}
	return sum
}

// lines writes these columns, without spaces at the ends of lines.
func (t Terminal) lines(w io.Writer, g *grid, columns []int) error {
	widths := g.widths(columns)
	var b strings.Builder
	for n, line := range g.cells {
		start := b.Len()
		for k, i := range columns {
			if k > 0 {
				b.WriteString(gap)
			}
			space := strings.Repeat(" ", widths[k]-width(line[i]))
			if g.right[i] {
				b.WriteString(space + line[i])
			} else {
				b.WriteString(line[i] + space)
			}
		}
		text := strings.TrimRight(b.String()[start:], " ")
		if n == 0 && t.Bold {
			text = "\x1b[1m" + text + "\x1b[0m"
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
		b.Reset()
	}
	return nil
}

// transposed writes each row as a column, as many beside each other as fit, at least one. The names are before each such block. No
// column is dropped: it is the form that has all. Two rows beside each other, and one that did not fit:
//
//	NAME   a|b  größe
//	COUNT   12  ~3456
//	MEAN   1.5
//
//	NAME    日本
//	COUNT
//	MEAN   1e-09
func (t Terminal) transposed(w io.Writer, table *Table) error {
	flat := gridOf(table)
	turned := &grid{right: make([]bool, len(flat.cells))}
	for i := range table.Columns {
		line, whole := make([]string, len(flat.cells)), make([]bool, len(flat.cells))
		for k := range flat.cells {
			line[k], whole[k] = flat.cells[k][i], flat.whole[k][i]
			turned.right[k] = k > 0
		}
		turned.cells, turned.whole = append(turned.cells, line), append(turned.whole, whole)
	}
	turned = turned.clipped(widestText)
	// Each block has the names and at least one row, even if that alone is too wide.
	for next := 1; next < len(flat.cells); {
		columns := []int{0}
		for next < len(flat.cells) {
			if wider := append(slices.Clip(columns), next); t.Width > 0 && len(columns) > 1 && turned.width(wider) > t.Width {
				break
			}
			columns = append(columns, next)
			next++
		}
		if err := t.lines(w, turned, columns); err != nil {
			return err
		}
		if next < len(flat.cells) {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
	}
	return nil
}

// markdownText escapes what means something in the cell of a table in Markdown.
var markdownText = strings.NewReplacer("|", `\|`, `\`, `\\`, "<", `\<`, "*", `\*`, "_", `\_`, "`", "\\`")

// Markdown writes a table in Markdown, as GitHub reads it (https://github.github.com/gfm/#tables-extension-). Characters of texts that
// mean something in it are escaped.
func Markdown(w io.Writer, table *Table) error {
	table = table.forPeople()
	g := gridOf(table)
	var b strings.Builder
	for n, line := range g.cells {
		for i, s := range line {
			if n == 0 {
				s = Clean(table.Columns[i].Name)
			}
			b.WriteString("| " + markdownText.Replace(s) + " ")
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i := range line {
			if g.right[i] {
				b.WriteString("| ---: ")
			} else {
				b.WriteString("| --- ")
			}
		}
		b.WriteString("|\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
