// Package option makes errors about the options of a plugin. Each names the option, its value, the rule and a value that
// is valid; for a near miss it suggests the name that was probably meant.
package option

import (
	"errors"
	"fmt"
	"slices"
)

// Error is the error of one option of a plugin.
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

// Examples has a valid value in TOML for each option of a plugin, by name.
type Examples map[string]string

// Errorf returns an [Error]. The format continues the text "invalid '<name>' setting" and begins with a space or a colon.
func (x Examples) Errorf(name, format string, args ...any) error {
	e := &Error{Option: name, Err: fmt.Errorf(format, args...)}
	if value, ok := x[name]; ok {
		e.Example = name + " = " + value
	}
	return e
}

// OneOf returns an error unless the value is one of the known ones.
func (x Examples) OneOf(name, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return x.Errorf(name, " %q, known are %q%s", value, known, Suggest(value, known))
}

// All returns the errors that err joins, at any depth, or err itself.
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

// Of returns the name of the option that an error is about, or "".
func Of(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Option
	}
	return ""
}
