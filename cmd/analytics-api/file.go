package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

// Limits of a configuration file, so that another file in its place is an error at once. The sample has about 7,000 bytes. The TOML library
// needs memory for the square of the depth of blocks and of keys: gigabytes for a megabyte of "{a=".
const (
	maxConfig     = 256 << 10 // bytes
	maxLine       = 10_000    // bytes of a line
	maxBraces     = 1000
	maxDots       = 300 // of the key of a line, or of a line without a key
	maxFileFaults = 20  // that are reported
)

// sources are the places where settings were set, by their names, for errors: a line of the file, a variable or a flag. A setting
// with its default has none.
type sources map[string]string

// locate adds to each error about a setting the place where that was set. For example, an error of max_records becomes:
//
//	configuration analytics-api.toml: line 3: invalid 'max_records' setting 0, want 1 to 1000000000
func (s sources) locate(err error) error {
	all := option.All(err)
	for i, e := range all {
		if place := s[option.Of(e)]; place != "" {
			all[i] = fmt.Errorf("%s: %w", place, e)
		}
	}
	return errors.Join(all...)
}

// readFile reads the configuration file. Its name is the first of these that is set: the flag, ANALYTICS_API_CONFIG, the default.
// Only the default file may be missing. Settings that the file does not have stay as they are. An unknown setting is an error: it
// is often a known one with a typing error, which would silently have no effect. A fault of TOML ends the reading; all other faults
// are reported together, in the order of the file. The places of the settings are added to from.
func (c *config) readFile(named string, environ []string, from sources) error {
	if named == "" {
		named = lookup(environ, envPrefix+"CONFIG")
	}
	path := named
	if path == "" {
		path = defaultFile
	}
	text, err := readAtMost(path, maxConfig)
	switch {
	case named == "" && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return c.readText(path, text, from)
}

// readText is readFile for the text of the file.
func (c *config) readText(path, text string, from sources) (err error) {
	f := file{path: path, config: c, from: from}
	if err := checkDepth(text); err != nil {
		return f.fault("", err)
	}
	if f.meta, err = toml.Decode(text, &f.values); err != nil {
		return f.fault("", explainSyntax(err))
	}
	return f.decode()
}

// checkDepth returns an error for a text that the TOML library could need gigabytes for.
func checkDepth(text string) error {
	number := 0
	for line := range strings.Lines(text) {
		number++
		key, _, _ := strings.Cut(line, "=")
		switch {
		case len(line) > maxLine:
			return fmt.Errorf("line %d has more than %d bytes", number, maxLine)
		case strings.Count(key, ".") > maxDots && !strings.HasPrefix(key, "#"):
			return fmt.Errorf("line %d has a key of more than %d parts", number, maxDots)
		}
	}
	if strings.Count(text, "{") > maxBraces {
		return fmt.Errorf("the file has more than %d braces", maxBraces)
	}
	return nil
}

// readAtMost returns the content of a file. A larger one is an error, so that a wrong path, such as that of a device or of a
// database, does not use up the memory.
func readAtMost(path string, size int64) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the files of the settings
	if err != nil {
		return "", err
	}
	defer f.Close()
	tooLarge := &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("the file has more than %d bytes", size)}
	if info, err := f.Stat(); err == nil && info.Size() > size { // there is no need to read it
		return "", tooLarge
	}
	b, err := io.ReadAll(io.LimitReader(f, size+1)) // a device has no size, and a file may have grown
	if err != nil {
		return "", err
	}
	if int64(len(b)) > size {
		return "", tooLarge
	}
	return string(b), nil
}

// file is a configuration file that is being read. Each value is decoded on its own, so that the fault of one does not hide others.
type file struct {
	path   string
	values map[string]toml.Primitive // by the names in the file
	meta   toml.MetaData             // of values
	config *config                   // gets the values
	from   sources                   // gets their places
}

// fault returns an error of the file, with the line of a key of the outermost level, unless that is empty.
func (f *file) fault(key string, err error) error {
	return fmt.Errorf("%s%w", f.place(key), err)
}

// place returns the path of the file and the line of a key of the outermost level, with a colon and a space at its end.
func (f *file) place(key string) string {
	place := "configuration " + f.path + ": "
	if line := f.line(key); line > 0 {
		place += fmt.Sprintf("line %d: ", line)
	}
	return place
}

// errLine is the error of [lineOf].
var errLine = errors.New("the value was not wanted")

// lineOf takes the place of a value whose line is wanted: only an error of the TOML library has the line.
type lineOf struct{}

// UnmarshalTOML returns errLine. It implements [toml.Unmarshaler].
func (*lineOf) UnmarshalTOML(any) error { return errLine }

// line returns the line of a key of the outermost level, or 0 if it is not known.
func (f *file) line(key string) int {
	value, ok := f.values[key]
	if !ok {
		return 0
	}
	var parse toml.ParseError
	if errors.As(f.meta.PrimitiveDecode(value, &lineOf{}), &parse) {
		return parse.Position.Line
	}
	return 0
}

// decode sets the settings of the config to the values of the file. The error joins those of all values.
func (f *file) decode() error {
	var errs []error
	decoded := make(map[string]bool) // keys
	keyOf := make(map[string]string) // of the settings that are set
	for _, path := range f.meta.Keys() {
		key := path[0]
		if decoded[key] {
			continue // another key of the same block
		}
		decoded[key] = true
		if len(errs) >= maxFileFaults {
			return errors.Join(append(errs, f.fault("", errors.New("there are more faults")))...)
		}
		name := settingOf(key)
		switch other := keyOf[name]; {
		case name == "":
			errs = append(errs, f.fault(key, fmt.Errorf("unknown setting %q%s", key, option.Suggest(key, namesInFile()))))
			continue
		case other != "":
			errs = append(errs, f.fault(key, fmt.Errorf("the setting %q is there twice, also as %q", key, other)))
		default:
			if err := f.set(key, name); err != nil {
				errs = append(errs, err)
			}
		}
		keyOf[name] = key
	}
	return errors.Join(errs...)
}

// exportKey is the name of the blocks of [config.Export], and exportNames are those of their members.
const exportKey = "export"

var exportNames = []string{"database", "table", "agents"}

// namesInFile returns the names that the file can have outside of blocks.
func namesInFile() []string {
	outside := settings()
	known := make([]string, 0, len(outside)+1)
	for _, s := range outside {
		known = append(known, s.name)
	}
	return append(known, exportKey)
}

// settingOf returns the setting that a key means, or "". The case of letters does not count.
func settingOf(key string) string {
	known := namesInFile()
	if slices.Contains(known, key) {
		return key
	}
	if i := slices.IndexFunc(known, func(name string) bool { return strings.EqualFold(name, key) }); i >= 0 {
		return known[i]
	}
	return ""
}

// set sets a setting to the value of a key.
func (f *file) set(key, name string) error {
	if name == exportKey {
		return f.setExport(key)
	}
	f.from[name] = strings.TrimSuffix(f.place(key), ": ")
	at := fieldOf(reflect.ValueOf(f.config).Elem(), name)
	if err := f.meta.PrimitiveDecode(f.values[key], at.Addr().Interface()); err != nil {
		return f.fault(key, f.wrongType(f.values[key], key, at.Type()))
	}
	return nil
}

// fieldOf returns the field of a struct that has the name in its tag toml. It must exist.
func fieldOf(of reflect.Value, name string) reflect.Value {
	for i := range of.NumField() {
		if of.Type().Field(i).Tag.Get("toml") == name {
			return of.Field(i)
		}
	}
	panic("no setting " + name)
}

// setExport sets the exported tables to the blocks of the file. Their errors have the number of the block, because the TOML library
// does not know the lines of repeated blocks.
func (f *file) setExport(key string) error {
	var blocks []map[string]toml.Primitive
	err := f.meta.PrimitiveDecode(f.values[key], &blocks)
	// The library decodes other values of a list to nil.
	if err != nil || slices.ContainsFunc(blocks, func(b map[string]toml.Primitive) bool { return b == nil }) {
		return f.fault(key, fmt.Errorf("%q is no list of blocks, want [[%s]] above the database and the table of each", key, exportKey))
	}
	for _, name := range exportNames {
		f.from[exportKey+"."+name] = "configuration " + f.path
	}
	var errs []error
	f.config.Export = make([]export, len(blocks))
	for i, block := range blocks {
		place := fmt.Sprintf("configuration %s: block %d of [[%s]]: ", f.path, i+1, exportKey)
		for _, name := range slices.Sorted(maps.Keys(block)) {
			if err := f.setInExport(&f.config.Export[i], block[name], name); err != nil {
				errs = append(errs, fmt.Errorf("%s%w", place, err))
			}
		}
	}
	return errors.Join(errs...)
}

// setInExport sets a member of an exported table.
func (f *file) setInExport(e *export, value toml.Primitive, name string) error {
	if !slices.Contains(exportNames, name) {
		return fmt.Errorf("unknown setting %q%s", exportKey+"."+name, option.Suggest(name, exportNames))
	}
	at := fieldOf(reflect.ValueOf(e).Elem(), name)
	if err := f.meta.PrimitiveDecode(value, at.Addr().Interface()); err != nil {
		return f.wrongType(value, exportKey+"."+name, at.Type())
	}
	return nil
}

// wrongType returns the error for a value that is not one of the type of its setting. It has the type that was found, and not the
// value, which may be a password. For example, for max_records = "10":
//
//	invalid value of the setting "max_records", want a whole number without quotes, found a text
func (f *file) wrongType(value toml.Primitive, key string, want reflect.Type) error {
	wanted := map[reflect.Type]string{
		reflect.TypeFor[string](): "a text in quotes", reflect.TypeFor[int](): "a whole number without quotes", reflect.TypeFor[bool](): "true or false",
		reflect.TypeFor[[]string](): `a list in brackets, such as ["a", "b"]`, reflect.TypeFor[duration](): `a time in quotes, such as "5s"`,
	}[want]
	return fmt.Errorf("invalid value of the setting %q, want %s, found %s", key, wanted, f.typeOf(value))
}

// typeOf describes the type of a value.
func (f *file) typeOf(value toml.Primitive) string {
	var found any
	if err := f.meta.PrimitiveDecode(value, &found); err != nil {
		return "another value"
	}
	switch found := found.(type) {
	case string:
		return "a text"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case []any:
		if i := slices.IndexFunc(found, func(e any) bool { _, ok := e.(string); return !ok }); i >= 0 {
			return "a list with other values than texts"
		}
		return "a list"
	case map[string]any, []map[string]any:
		return "a block"
	}
	return "a date or time"
}

// quoted matches the parts of a message of the TOML library that may be a part of a value, and so of a password.
var quoted = regexp.MustCompile(`".{2,}"|'[-+0-9][^']{2,}'|\b[0-9][0-9a-zA-Z_.+-]{5,}`)

// explainSyntax returns an error of the TOML library with its line and key, and without parts of the value.
func explainSyntax(err error) error {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	message := parse.Message
	if !strings.HasPrefix(message, "Key ") && !strings.HasPrefix(message, "TOML files") { // these have a key, or the code of a character
		message = quoted.ReplaceAllString(message, "…")
	}
	at := ""
	if parse.LastKey != "" {
		at = fmt.Sprintf(" in or after the setting %q", parse.LastKey)
	}
	return fmt.Errorf("line %d: not TOML%s: %s", parse.Position.Line, at, message)
}
