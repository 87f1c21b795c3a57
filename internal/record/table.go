package record

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the most bytes that the name of a database or table may have.
const maxName = 255

// CheckName returns the rule that a name of a database or table breaks, or nil. The rules are the same for
// everything that writes and reads records: valid UTF-8 of 1 to 255 bytes, without control characters, which logs
// do not show; without braces, which select the slot of a key in a Redis Cluster; and without "/", so that a name is one segment
// of a URL's path. The error does not contain the name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("want a name")
	case len(name) > maxName:
		return fmt.Errorf("a name has at most %d bytes, this one has %d", maxName, len(name))
	case !utf8.ValidString(name):
		return errors.New("a name is valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("a name has no control characters")
	case strings.ContainsAny(name, "{}/"):
		return errors.New("a name has none of { } /")
	}
	return nil
}

// Table names a table of a database. It is comparable, so it can be the key of a map. Check finds names that must not be used.
type Table struct {
	Database string
	Name     string // the whole name, such as "analytics_cpu"
}

// Check returns an error that quotes the database or table name and the rule of [CheckName] that it breaks.
func (t Table) Check() error {
	if err := CheckName(t.Database); err != nil {
		return fmt.Errorf("database name %s: %w", shorten(t.Database), err)
	}
	if err := CheckName(t.Name); err != nil {
		return fmt.Errorf("table name %s: %w", shorten(t.Name), err)
	}
	return nil
}

// String returns the table as "database:name", for people: names can contain a colon.
func (t Table) String() string { return t.Database + ":" + t.Name }

// maxShown is how many bytes of a name an error shows.
const maxShown = 80

// shorten quotes a name for an error, and cuts a long one. A name may come from an HTTP request.
func shorten(name string) string {
	if len(name) > maxShown {
		return strconv.Quote(name[:maxShown]) + "…"
	}
	return strconv.Quote(name)
}
