// Package option makes errors about the options of a plugin. Each names the option, its value, the rule and a value that
// is valid; for a near miss it suggests the name that was probably meant:
//
//	invalid 'emit' setting "finl", want "both", "final" or "update", did you mean "final"?; for example emit = "both"
//
// Init of a plugin joins the errors of all options, and [All] and [Of] take them apart for those who show each beside its line.
package option

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is the error of one option of a plugin. Use errors.As to find it.
type Error struct {
	Option  string // its name, such as "bucket"
	Example string // a valid setting in TOML, such as `bucket = "10m"`, or ""
	Err     error  // the value and the rule
}

// Error returns a text such as `invalid 'bucket' setting "7x", want a width; for example bucket = "10m"`.
func (e *Error) Error() string {
	text := fmt.Sprintf("invalid '%s' setting%v", e.Option, e.Err)
	if e.Example != "" {
		text += "; for example " + e.Example
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Examples has a valid value in TOML for each option of a plugin, by name. Errors of options that it lacks have no example.
type Examples map[string]string

// Errorf returns an [Error] of the option name. The format, as of [fmt.Errorf], continues the text "invalid '<name>' setting",
// so it begins with a space or a colon. %w keeps the cause.
func (x Examples) Errorf(name, format string, args ...any) error {
	e := &Error{Option: name, Err: fmt.Errorf(format, args...)}
	if value, ok := x[name]; ok {
		e.Example = name + " = " + value
	}
	return e
}

// OneOf returns nil if value is one of the known values, letter by letter. Otherwise it returns an [Error] that lists them.
func (x Examples) OneOf(name, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return x.Errorf(name, " %q, want %s%s", value, alternatives(known), Suggest(value, known))
}

// alternatives returns the words, at least two, as `"a", "b" or "c"`.
func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = strconv.Quote(word)
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// All returns the errors that err joins, at any depth and in their order; err itself if it joins none; and nothing for nil. An
// error joins others if it was made by [errors.Join], or by [fmt.Errorf] with more than one %w.
func All(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts := joined.Unwrap()
		all := make([]error, 0, len(parts))
		for _, e := range parts {
			all = append(all, All(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// Of returns the name of the option that an error is about, or "" if it is about none. For joined errors it returns that of
// the first one that is about an option.
func Of(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Option
	}
	return ""
}
