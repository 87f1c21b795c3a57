package describefile

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/scan"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// maxWorkers bounds --workers: each worker has up to three chunks of a quarter of a megabyte in flight, and each is passed to
	// every worker.
	maxWorkers = 256
	// minWidth is the least --width other than 0: a narrower table has no room for a name and a number.
	minWidth = 20
	// ownWidth is the value of --width if the user sets none: the table is as wide as the terminal.
	ownWidth = math.MinInt
)

// autoTexts is how many different texts of a column are counted exactly with --accuracy auto.
const autoTexts = 10_000

// The options in three steps. parse only splits the command line, and check turns texts into values. So a wrong option is found before a
// file is opened; only whether its names match columns is known later.
//
//	args ──parse──▶ flags, paths ──check──▶ options ──▶ file.Options, profile.Options, columns of the output
//	                texts                   values

// flags are the options as they are written; check makes options of them. Help describes each.
type flags struct {
	by, tz, origin          string // by is empty for no buckets, and origin for the one of package bucket
	groupBy, columns, text  list   // names and globs; empty for no groups, all columns, and none to read as text
	time, timeUnit          string // time is empty for the detected column
	stats                   list   // empty for defaultNames
	method, accuracy        string
	memoryLimit             string // a size: see parseSize
	format, delimiter       string // delimiter is empty for the detected one
	decimal                 string
	header, noHeader        bool // at most one; neither for detection
	output                  string
	transpose               bool
	width, workers          int // width is ownWidth, 0 for no limit, or minWidth and more
	strict, quiet, showHelp bool
}

// list is an option that may be repeated and whose values are separated by commas: "--columns a,b --columns c" is a, b and c. It implements
// flag.Value. A name with a comma cannot be written; a glob can match it.
type list []string

// String returns the values as they may be written.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds the values of s, without the spaces around them and without empty ones. An option without any value is an error, because an
// empty list means that the option was not given.
func (l *list) Set(s string) error {
	before := len(*l)
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	if len(*l) == before {
		return errors.New("want at least one name")
	}
	return nil
}

// set returns the options with their defaults. The texts of package flag are not used: help is written as a whole. Two names of one option
// set the same field, so that the last one on the command line counts; of a list, all of them.
func (f *flags) set() *flag.FlagSet {
	s := flag.NewFlagSet("describe", flag.ContinueOnError)
	s.SetOutput(io.Discard)
	s.Usage = func() {}
	s.StringVar(&f.by, "by", "", "")
	s.StringVar(&f.tz, "tz", "UTC", "")
	s.StringVar(&f.origin, "origin", "", "")
	s.Var(&f.groupBy, "group-by", "")
	s.Var(&f.columns, "columns", "")
	s.Var(&f.columns, "fields", "")
	s.Var(&f.text, "text", "")
	s.StringVar(&f.time, "time", "", "")
	s.StringVar(&f.timeUnit, "time-unit", "auto", "")
	s.Var(&f.stats, "stats", "")
	s.StringVar(&f.method, "quantile-method", "linear", "")
	s.StringVar(&f.accuracy, "accuracy", "exact", "")
	s.StringVar(&f.memoryLimit, "memory-limit", "1GiB", "")
	s.StringVar(&f.format, "format", "auto", "")
	s.StringVar(&f.delimiter, "delimiter", "", "")
	s.StringVar(&f.decimal, "decimal", "auto", "")
	s.BoolVar(&f.header, "header", false, "")
	s.BoolVar(&f.noHeader, "no-header", false, "")
	s.StringVar(&f.output, "o", "table", "")
	s.StringVar(&f.output, "output", "table", "")
	s.BoolVar(&f.transpose, "transpose", false, "")
	s.IntVar(&f.width, "width", ownWidth, "")
	s.IntVar(&f.workers, "workers", min(runtime.GOMAXPROCS(0), maxWorkers), "")
	s.BoolVar(&f.strict, "strict", false, "")
	s.BoolVar(&f.quiet, "quiet", false, "")
	s.BoolVar(&f.showHelp, "help", false, "")
	s.BoolVar(&f.showHelp, "h", false, "")
	return s
}

// parse reads the arguments and returns the paths. Options may come before, between and behind paths, up to "--": package flag ends at
// the first path, and so is called again behind each of them. "-" alone is a path. So "a.csv --by 1h b.csv -- --c.csv" has the paths
// a.csv, b.csv and --c.csv. Without paths there is no error, because --help needs none.
func (f *flags) parse(args []string) (paths []string, err error) {
	var rest []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	s := f.set()
	for {
		if err := s.Parse(args); err != nil {
			return nil, plain(err, s)
		}
		if args = s.Args(); len(args) == 0 {
			return append(paths, rest...), nil
		}
		paths, args = append(paths, args[0]), args[1:]
	}
}

// plain returns an error of package flag in the form of our other errors. s has the known flags. Package flag has no types for its errors,
// so their texts are read:
//
//	flag provided but not defined: -foo                      unknown option --foo
//	flag needs an argument: -by                              option --by needs a value
//	invalid value "x" for flag -width: parse error           --width "x", want a whole number
//	invalid boolean value "3" for -strict: parse error       --strict "3", want true or false
//
// A text that it does not know is returned as it is.
func plain(err error, s *flag.FlagSet) error {
	text := err.Error()
	var known []string
	s.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	if name, unknown := option.UnknownFlag(err, known); unknown {
		return fmt.Errorf("unknown option %s", name)
	}
	if name, found := strings.CutPrefix(text, "flag needs an argument: -"); found {
		return fmt.Errorf("option %s needs a value", dashed(name))
	}
	var value, name, reason string
	if n, _ := fmt.Sscanf(text, "invalid boolean value %q for -%s", &value, &name); n == 2 {
		return fmt.Errorf("%s %q, want true or false", dashed(strings.TrimSuffix(name, ":")), value)
	}
	if n, _ := fmt.Sscanf(text, "invalid value %q for flag -%s", &value, &name); n == 2 {
		name = strings.TrimSuffix(name, ":")
		if _, reason, _ = strings.Cut(text, "-"+name+": "); reason == "parse error" {
			reason = "want a whole number"
		}
		return fmt.Errorf("%s %q, %s", dashed(name), value, reason)
	}
	return err
}

// dashed returns an option as help writes it: -o, but --output. Package flag accepts one or two dashes for both.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// options are the checked options. They do not change once they are checked, except the parts that a Reader of files sets. All goroutines
// of a run read them; the selectors in them keep answers, and are safe for that.
type options struct {
	profile profile.Options
	file    file.Options   // command.run adds Note
	zone    *time.Location // of the output, and of times without an offset
	output  string         // one of outputs
	columns []outputColumn // of the output, behind those that identify a row
	groupBy []string       // names and globs
	asked   []string       // the globs of --columns
	// columnNames, groupNames and textNames are --columns, --group-by and --text.
	columnNames, groupNames, textNames *selector

	name  string // of the table in line protocol, of files that have no names of measurements; command.run sets it
	flags *flags // as they were written, for messages and for what needs no check
}

// outputs are the values of --output. "md" is another name of "markdown".
var outputs = []string{"table", "csv", "json", "jsonl", "markdown", "lp"}

// check turns the options into values. It returns the error of the first option that is wrong, which names that and its value. It opens
// no file. f must not change afterwards, because the options keep it.
func (f *flags) check() (*options, error) {
	o := &options{output: f.output, groupBy: f.groupBy, asked: f.columns, flags: f}
	if f.output == "md" {
		o.output = "markdown"
	}
	if !slices.Contains(outputs, o.output) {
		return nil, fmt.Errorf("--output %q, want %s", f.output, strings.Join(outputs, ", "))
	}
	if f.workers < 1 || f.workers > maxWorkers {
		return nil, fmt.Errorf("--workers %d, want 1 to %d", f.workers, maxWorkers)
	}
	if f.width != ownWidth && f.width != 0 && f.width < minWidth {
		return nil, fmt.Errorf("--width %d, want 0 or at least %d", f.width, minWidth)
	}
	for _, check := range []func(*options) error{f.checkTime, f.checkStats, f.checkLimits, f.checkFormat, f.checkNames} {
		if err := check(o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// checkTime checks the options of times and buckets. A grid needs the time of each row, so that with --by a file without times is an error.
// The zero origin is that of package bucket, with which weeks start on Monday.
func (f *flags) checkTime(o *options) (err error) {
	if o.zone, err = bucket.LoadZone(f.tz); err != nil {
		return fmt.Errorf("--tz: %w", err)
	}
	o.file.Times.Zone = o.zone // calendars, times without an offset and the output: one zone for all
	if o.file.Times.Unit, err = scan.ParseUnit(f.timeUnit); err != nil {
		return fmt.Errorf("--time-unit: %w", err)
	}
	o.file.Time = f.time
	var origin time.Time
	if f.origin != "" {
		if origin, err = time.Parse(time.RFC3339, f.origin); err != nil {
			return fmt.Errorf(`--origin %q, want a time such as "2026-01-01T00:00:00Z"`, f.origin)
		}
	}
	if f.by == "" {
		if f.origin != "" {
			return errors.New("--origin needs --by")
		}
		return nil
	}
	width, err := bucket.ParseWidth(f.by)
	if err != nil {
		return fmt.Errorf("--by: %w", err)
	}
	grid, err := bucket.NewGrid(width, origin, o.zone)
	if err != nil {
		return fmt.Errorf("--by: %w", err)
	}
	o.profile.Grid = &grid
	o.file.NeedTime = true
	return nil
}

// checkStats checks --stats: the statistics of numbers are a selection of package stats, the facts are known here only. Package stats
// refuses a statistic that is listed twice, and facts are checked here: they would make two columns of one name.
func (f *flags) checkStats(o *options) error {
	method, err := stats.ParseMethod(f.method)
	if err != nil {
		return fmt.Errorf("--quantile-method: %w", err)
	}
	names := expanded(f.stats)
	var known []string
	for i, name := range names {
		switch {
		case factOf(name) == nil:
			known = append(known, name)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("--stats: %q is listed twice", name)
		}
	}
	if len(names) > 0 && len(known) == 0 {
		known = []string{"count"} // a selection without names is the default one
	}
	if o.profile.Selection, err = stats.NewSelection(known, method); err != nil {
		// Each of several errors is on a line of its own, and lists the statistics that are known, without the facts.
		list := strings.Join(stats.Names(), ", ")
		longer := strings.Join(append(stats.Names(), factNames()...), ", ")
		return fmt.Errorf("--stats: %s", strings.NewReplacer("\n", "; ", list, longer).Replace(err.Error()))
	}
	o.columns = outputColumns(names, o.profile.Selection)
	return nil
}

// checkLimits checks the options of memory, accuracy and workers. The limit of memory holds for both accuracies: beyond it, exact columns
// become estimates too, the largest ones first.
func (f *flags) checkLimits(o *options) (err error) {
	o.profile.Workers, o.profile.Strict, o.file.Strict = f.workers, f.strict, f.strict
	switch f.accuracy {
	// exact is the default here and auto is that of the aggregator: a command ends, and the agent runs for ever.
	case "exact":
		o.profile.ExactLimit, o.profile.TextLimit = stats.Unlimited, math.MaxInt
	case "auto":
		o.profile.ExactLimit, o.profile.TextLimit = stats.DefaultExactLimit, autoTexts
	default:
		return fmt.Errorf("--accuracy %q, want exact or auto", f.accuracy)
	}
	o.profile.MemoryLimit, err = parseSize(f.memoryLimit)
	if err != nil {
		return fmt.Errorf("--memory-limit: %w", err)
	}
	return nil
}

// sizeUnits are the units of sizes, the longer ones first: the first that a size ends with is its unit, and "MiB" also ends with "B". A
// prefix with an i is a power of 1024, and one without a power of 1000.
var sizeUnits = []struct {
	name  string
	bytes int
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"B", 1},
}

// parseSize reads a number of bytes, such as "512MiB", "1.5 GB" or "1000000". It is larger than 0, and less than half of what an int64
// holds. A fraction of a byte is cut off.
func parseSize(s string) (int, error) {
	number, factor := s, 1
	for _, unit := range sizeUnits {
		if strings.HasSuffix(s, unit.name) {
			number, factor = strings.TrimSpace(strings.TrimSuffix(s, unit.name)), unit.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0 && v*float64(factor) < math.MaxInt64/2) {
		return 0, fmt.Errorf(`%q is not a size, want one such as "512MiB"`, s)
	}
	return int(v * float64(factor)), nil
}

// checkFormat checks the options of reading. A delimiter makes the format CSV, as it means nothing elsewhere. Without an option, package
// file detects the format, the delimiter, the header and the decimal mark of each file; an option holds for all files.
func (f *flags) checkFormat(o *options) (err error) {
	if o.file.Format, err = file.ParseFormat(f.format); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	switch {
	case f.delimiter == "" && strings.EqualFold(f.format, "tsv"), f.delimiter == `\t` || f.delimiter == "tab":
		o.file.Delimiter = '\t'
	case len(f.delimiter) == 1 && !strings.ContainsAny(f.delimiter, "\"\r\n"):
		o.file.Delimiter = f.delimiter[0]
	case f.delimiter != "":
		return fmt.Errorf(`--delimiter %q, want one character other than a quote, or "tab"`, f.delimiter)
	}
	if o.file.Delimiter != 0 && o.file.Format == file.Auto {
		o.file.Format = file.CSV
	}
	if o.file.Decimal, err = file.ParseDecimal(f.decimal); err != nil {
		return fmt.Errorf("--decimal %w", err)
	}
	switch {
	case f.header && f.noHeader:
		return errors.New("--header and --no-header exclude each other")
	case f.header:
		o.file.Header = file.WithHeader
	case f.noHeader:
		o.file.Header = file.NoHeader
	}
	return nil
}

// checkNames makes functions of the options that select columns. They stay nil for options that are not given, which means all columns for
// --columns and none for the others.
func (f *flags) checkNames(o *options) (err error) {
	if o.columnNames, err = newSelector("--columns", f.columns); err != nil {
		return err
	}
	if o.groupNames, err = newSelector("--group-by", f.groupBy); err != nil {
		return err
	}
	if o.textNames, err = newSelector("--text", f.text); err != nil {
		return err
	}
	// Both packages get the function: cells that are not selected do not even become values.
	if len(f.columns) > 0 {
		o.profile.Select = o.columnNames.has
		o.file.Select = o.profile.Select
	}
	if len(f.text) > 0 {
		o.file.AsText = o.textNames.has
	}
	if len(f.groupBy) > 0 {
		// A * alone is all tags, and not the columns of texts too: these are rarely what rows are grouped by.
		allTags := slices.Contains(f.groupBy, "*")
		o.groupNames.globs = slices.DeleteFunc(slices.Clone(f.groupBy), func(glob string) bool { return glob == "*" })
		o.profile.Group = func(name string, tag bool) bool { return tag && allTags || o.groupNames.has(name) }
		o.file.Group = o.profile.Group
	}
	return nil
}
