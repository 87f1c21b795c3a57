package describefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/show"
)

// The exit statuses of the command, as help lists them. 2 is what package flag and most commands of Unix have for wrong options.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 and the number of the signal, as shells have it
)

// Run runs the command with its arguments, without its name, and returns the exit status. The result goes to stdout in one
// piece, once all of it is known; errors and notes go to stderr. If ctx ends before that, Run writes no result and returns
// 130.
//
// While it runs it changes the share of the garbage collector, for the whole process: see collectOften. If ctx ends during a read of
// stdin, a goroutine may stay in that read.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var f flags
	paths, err := f.parse(args)
	if f.showHelp && err == nil {
		_, err = io.WriteString(stdout, Help)
		return status(err, exitFailed)
	}
	var o *options
	if err == nil {
		o, err = f.check()
	}
	if err == nil {
		err = checkPaths(paths)
	}
	if err != nil {
		fmt.Fprintf(stderr, "describe: %s\n%s\n", show.Clean(err.Error()), usage)
		return exitUsage
	}
	// Nothing is wrong with the command line: from here on, errors are those of files and have no usage.
	defer collectOften()()
	c := &command{options: o, stdout: stdout, stderr: stderr}
	err = c.run(ctx, paths, stdin)
	if err != nil && ctx.Err() != nil {
		return exitInterrupted
	}
	if err != nil {
		c.say("%s", withoutOperation(err))
	}
	return status(err, exitFailed)
}

// withoutOperation returns an error of the file system without the name of the system call, which does not help users: only the path
// and the reason. "open x.csv: no such file or directory" becomes "x.csv: no such file or directory". Other errors keep their texts.
func withoutOperation(err error) string {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return strings.Replace(err.Error(), failed.Error(), failed.Path+": "+failed.Err.Error(), 1)
	}
	return err.Error()
}

// collectOften makes the garbage collector run before the heap has grown by half, unless the environment variable GOGC sets
// another share. Most of the heap are numbers, which the collector need not read, and new memory costs more: with the usual
// 100 %, a million rows took a quarter more memory and no less time, and with 25 %, many groups took a fifth more time. undo
// restores the share.
func collectOften() (undo func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	const percent = 50
	before := debug.SetGCPercent(percent)
	return func() { debug.SetGCPercent(before) }
}

// checkPaths returns an error if there is no path, or if the standard input, which can be read only once, is named twice.
func checkPaths(paths []string) error {
	if len(paths) == 0 {
		return errors.New("no file is named")
	}
	first := slices.Index(paths, file.Stdin)
	if first >= 0 && slices.Contains(paths[first+1:], file.Stdin) {
		return errors.New("the standard input (-) is named more than once")
	}
	return nil
}

// status returns failed for an error, and otherwise 0.
func status(err error, failed int) int {
	if err != nil {
		return failed
	}
	return exitOK
}

// command is one run of the command, for one goroutine, except that say, note and draw may be called by any: the one that reads files has
// notes on them, and startProgress has one of its own. Its options do not change once run has set the name of the table and the function
// for notes.
type command struct {
	*options

	stdout, stderr io.Writer // for the result, and for people

	mu    sync.Mutex // of writing to stderr
	drawn bool       // whether the last line there is the progress, which has no end; guarded by mu
}

// say writes a line to stderr, cleaned of what a terminal would obey: names and cells are those of files. Its error is dropped, as there
// is no other place to report it. It replaces the progress, which is drawn again below it.
func (c *command) say(format string, args ...any) {
	line := "describe: " + show.Clean(fmt.Sprintf(format, args...))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drawn {
		line = "\r\x1b[K" + line
	}
	fmt.Fprintln(c.stderr, line)
	c.drawn = false
}

// note is say for what --quiet suppresses.
func (c *command) note(format string, args ...any) {
	if !c.flags.quiet {
		c.say(format, args...)
	}
}

// run describes the files and writes the result. The error has not been written. A user sees its steps in this order: the progress, which
// is removed; notes on the input; the result; and on a terminal how long it took. An error of report comes before the result, because
// nothing is written to stdout unless the status is 0.
func (c *command) run(ctx context.Context, paths []string, stdin io.Reader) error {
	c.file.Note = func(path, text string) { c.note("%s: %s", path, text) }
	c.name = tableName(paths[0])
	r, err := file.NewReader(paths, stdin, &c.file) // profile.Run closes it
	if err != nil {
		return err
	}
	start := time.Now()
	stop := c.startProgress(r)
	result, err := profile.Run(ctx, r, c.profile)
	stop()
	if err != nil {
		return err
	}
	if err := c.report(result); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := c.write(&out, result.Rows); err != nil {
		return err
	}
	// Writing cannot be interrupted. It is the first output: up to here the user has nothing that is half.
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := c.stdout.Write(out.Bytes()); err != nil {
		return err
	}
	if took := time.Since(start); isTerminal(c.stderr) && took > time.Second {
		c.note("%s, %s in %.1f s", show.Counted(result.Points, "row"), byteSize(float64(r.Read())), took.Seconds())
	}
	return nil
}

// tableName returns the name of a file without its folder and extensions, all of them: that of data.csv.gz is data. Of several files it is
// that of the first one, since their rows are described together.
func tableName(path string) string {
	if path == file.Stdin {
		return "stdin"
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return name
}

// report writes what of the input could not be described, and how. It returns an error if that is all of it: if no line could be read, or
// if --group-by or --columns match nothing. That some lines or columns are missing is only noted.
func (c *command) report(result *profile.Result) error {
	c.noteLines(result)
	c.noteValues(result)
	// An empty file is fine, for the sake of scripts; a file of which nothing fits what was asked for is not.
	switch {
	case result.Points == 0 && result.BadCount > 0:
		return errors.New("no line could be read")
	case result.Points == 0:
		c.note("the input has no rows")
	case len(c.groupBy) > 0 && !result.Grouped:
		names, _ := c.found(result.Columns)
		return fmt.Errorf("no tag or column matches --group-by %s: the input has %s", c.flags.groupBy.String(), listed(names))
	case len(result.Rows) == 0 && len(c.asked) > 0:
		names, _ := c.found(result.Columns)
		return fmt.Errorf("no column matches --columns %s: the input has %s", c.flags.columns.String(), listed(names))
	}
	if result.Points > 0 {
		c.noteUnmatched(result)
	}
	return nil
}

// noteLines notes the lines that were not read as they are: the first bad ones each, then the number of all, then rows with too few cells
// and headers that were repeated. Notes are in that order for all files together, because package profile counts over all files.
func (c *command) noteLines(result *profile.Result) {
	const shown = 5 // bad lines; the count of all follows
	for i, bad := range result.Bad {
		if i < shown {
			c.note("%s", bad)
		}
	}
	// The number of lines that were lost is an error, though a small one: --quiet does not suppress it.
	if result.BadCount > 0 {
		c.say("%d of %s could not be read", result.BadCount, show.Counted(result.Lines, "line"))
	}
	if result.Short > 0 {
		have := "have"
		if result.Short == 1 {
			have = "has"
		}
		c.note("%s %s fewer cells than the header, the first in %s:%d: the cells that are not there count as missing", show.Counted(result.Short, "row"), have,
			result.FirstShort.Path, result.FirstShort.Line)
	}
	if result.Repeated > 0 {
		repeat := "repeat the header and count as no rows"
		if result.Repeated == 1 {
			repeat = "repeats the header and counts as no row"
		}
		c.note("%s %s", show.Counted(result.Repeated, "line"), repeat)
	}
}

// noteValues notes the values that do not fit their columns, or the memory. Each note names the option that helps, if there is one.
func (c *command) noteValues(result *profile.Result) {
	for _, invalid := range result.Invalid {
		are := "are"
		if invalid.Count == 1 {
			are = "is"
		}
		c.note("column %q: %s %s not of the type %s, such as %q (--text %s reads the whole column as text)", invalid.Column,
			show.Counted(invalid.Count, "value"), are, invalid.Kind, invalid.First, invalid.Column)
	}
	for _, name := range result.Rounded {
		c.note("column %q: whole numbers of 2^53 or more are rounded to 53 bits (--text %s counts them exactly)", name, name)
	}
	if result.Demoted > 0 {
		c.note("the statistics of %s are estimates: to keep all values needs more than --memory-limit %s", c.demoted(result.Demoted), c.flags.memoryLimit)
	}
	if result.Over {
		c.note("even with estimates, the columns and groups need more memory than --memory-limit %s", c.flags.memoryLimit)
	}
}

// noteUnmatched notes the names in options that no column has. With so many columns that not all names were kept, it notes nothing, as a
// name may be among the others.
func (c *command) noteUnmatched(result *profile.Result) {
	names, complete := c.found(result.Columns)
	if !complete {
		return
	}
	for _, s := range []*selector{c.columnNames, c.groupNames, c.textNames} {
		if globs := s.unmatched(names); len(globs) > 0 {
			c.note("nothing matches %s of %s: the input has %s", listed(globs), s.option, listed(names))
		}
	}
}

// demoted returns what became estimates: columns, or columns in single buckets and groups. One column in two groups counts twice.
func (c *command) demoted(n int) string {
	switch {
	case c.profile.Grid == nil && len(c.groupBy) == 0:
		return show.Counted(n, "column")
	case n == 1:
		return "1 column of a group"
	}
	return fmt.Sprintf("%d columns of groups", n)
}

// write writes the rows in the form of --output to w. Whether people read it depends on stdout, to which w is copied: only for a terminal
// are names bold, and control characters in CSV escapes.
func (c *command) write(w io.Writer, rows []profile.Row) error {
	switch c.output {
	case "lp":
		return c.writeLP(w, rows)
	case "csv":
		return show.CSV(w, c.frame(rows), isTerminal(c.stdout))
	case "json", "jsonl":
		return show.JSON(w, c.frame(rows), c.output == "jsonl")
	case "markdown":
		return show.Markdown(w, c.frame(rows))
	}
	t := show.Terminal{Width: c.width(), Transpose: c.flags.transpose}
	// https://no-color.org: an empty NO_COLOR counts as none. A dumb terminal has no escape sequences.
	t.Bold = isTerminal(c.stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return t.Write(w, c.frame(rows))
}

// width returns the width of the table: --width, or else that of the terminal. 0 means no limit.
func (c *command) width() int {
	if c.flags.width != ownWidth {
		return c.flags.width
	}
	return terminalWidth(c.stdout)
}

// terminalWidth returns how many columns the terminal has that w is. Without one it is the environment variable COLUMNS, or
// 80.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	const usual = 80
	return usual
}

// isTerminal reports whether w is a terminal. Writers that are no files, as in tests, are none.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
