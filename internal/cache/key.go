package cache

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// catalogueKey is a sorted set of all tables by the time of their last write, in milliseconds.
const catalogueKey = "analytics:tables"

// maxName is the most bytes that a database or table may have in its name.
const maxName = 255

// CheckName returns the rule that a name breaks, or nil where a database or table can have it. It is the
// same rule for all who write and read the cache: valid UTF-8 of 1 to 255 bytes, without control
// characters, which no log shows; without braces, which say in which slot of a cluster a key is; and
// without "/", so that a name is one segment of an address. The error does not name the name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("want a name")
	case len(name) > maxName:
		return fmt.Errorf("a name has at most %d bytes, this one has %d", maxName, len(name))
	case !utf8.ValidString(name):
		return errors.New("a name is valid UTF-8")
	case strings.ContainsFunc(name, isControl):
		return errors.New("a name has no control characters")
	case strings.ContainsAny(name, "{}/"):
		return errors.New("a name has none of { } /")
	}
	return nil
}

// Table names a table of a database.
type Table struct {
	Database string
	Name     string // the whole name, such as "analytics_cpu"
}

// Check returns an error that says which name no table can have, see [CheckName], or that the table's
// compatibility key would be the catalogue. No two tables that pass share a key, apart from the
// compatibility keys of names with colons, and none has a key of another kind.
func (t Table) Check() error {
	if err := CheckName(t.Database); err != nil {
		return fmt.Errorf("database name %s: %w", shorten(t.Database), err)
	}
	if err := CheckName(t.Name); err != nil {
		return fmt.Errorf("table name %s: %w", shorten(t.Name), err)
	}
	if t.String() == catalogueKey {
		return fmt.Errorf("table name %q in database %q: the key %q is the list of all tables, want another name", t.Name, t.Database, catalogueKey)
	}
	return nil
}

// maxShown is how many bytes of a name an error shows.
const maxShown = 80

func shorten(name string) string {
	if len(name) > maxShown {
		return strconv.Quote(name[:maxShown]) + "…"
	}
	return strconv.Quote(name)
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// String returns the table as "database:name", which is also the key of its compatibility value: the
// one that the Python plugin used.
func (t Table) String() string { return t.Database + ":" + t.Name }

// member is the table in the catalogue.
func (t Table) member() string {
	return escape(t.Database, reservedInKeys) + ":" + escape(t.Name, reservedInKeys)
}

func parseMember(s string) (Table, error) {
	database, name, ok := strings.Cut(s, ":")
	if !ok {
		return Table{}, fmt.Errorf("table %q has no colon", s)
	}
	d, err := unescape(database)
	if err != nil {
		return Table{}, err
	}
	n, err := unescape(name)
	return Table{Database: d, Name: n}, err
}

// The keys that are derived from a table. The part in braces makes them share a cluster slot, which is
// that of the compatibility key too unless a name has a "%" or a colon.
func (t Table) derived(rest string) string { return "{" + t.member() + "}:" + rest }

func (t Table) bucketKey(start string) string  { return t.derived("b:" + start) } // hash: records
func (t Table) summaryKey(start string) string { return t.derived("q:" + start) } // hash: encoded summaries, stale where their count is not the record's
func (t Table) indexKey() string               { return t.derived("idx") }        // sorted set of bucket starts
func (t Table) expiryKey() string              { return t.derived("exp") }        // sorted set of their expiry times, in ms
func (t Table) namesKey() string               { return t.derived("names") }      // sorted set of fields and tag keys by last write
func (t Table) versionKey() string             { return t.derived("ver") }        // counts the writes
func (t Table) channel() string                { return t.derived("ch") }         // tells the starts of changed buckets

// The members of a table's names.
const (
	fieldName = "f:"
	tagName   = "t:"
)

// startText returns a bucket's start as it stands in keys: seconds since 1970, with decimals where they
// are not whole.
func startText(start time.Time) string {
	seconds, nanos := start.Unix(), start.Nanosecond()
	if nanos == 0 {
		return strconv.FormatInt(seconds, 10)
	}
	sign := ""
	if seconds < 0 { // -1.5 is two seconds before 1970 and half a second after that
		sign, seconds, nanos = "-", -seconds-1, int(time.Second)-nanos
	}
	return fmt.Sprintf("%s%d.%s", sign, seconds, strings.TrimRight(fmt.Sprintf("%09d", nanos), "0"))
}

// parseStart reads what startText writes.
func parseStart(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, fmt.Errorf("bucket start %q is no number of seconds", s)
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("bucket start %q is no number of seconds", s)
	}
	t := time.Unix(seconds, int64(nanos)).UTC()
	if strings.HasPrefix(whole, "-") {
		t = time.Unix(seconds, -int64(nanos)).UTC()
	}
	if startText(t) != s {
		return time.Time{}, fmt.Errorf("bucket start %q is not in its shortest form", s)
	}
	return t, nil
}

// score returns a start as the index sorts it, in seconds: exact to the microsecond in our century.
func score(start time.Time) float64 {
	return float64(start.Unix()) + float64(start.Nanosecond())/1e9
}

// hashField returns the field of a record in its bucket's hash: series, field and agent, so that every
// write of a record replaces the same one and agents never overwrite each other.
func hashField(r *record.Record) string {
	tags := slices.Clone(r.Tags)
	slices.SortFunc(tags, func(a, b record.Tag) int { return strings.Compare(a.Key, b.Key) })
	var b strings.Builder
	for i, tag := range tags {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(escape(tag.Key, reservedInFields))
		b.WriteByte('=')
		b.WriteString(escape(tag.Value, reservedInFields))
	}
	return b.String() + "|" + escape(r.Field, reservedInFields) + "|" + escape(r.Agent, reservedInFields)
}

// The characters that have a meaning: in keys and members of the catalogue only few, so that a table's
// keys mostly share the slot of its compatibility key, and in the fields of hashes.
const (
	reservedInKeys   = "%{}:"
	reservedInFields = "%{}:|,="
)

// escape percent-encodes the reserved characters, control characters and what is not UTF-8, so that no
// two names are alike in a key.
func escape(s, reserved string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, reserved) && !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || isControl(r) || strings.ContainsRune(reserved, r) {
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if len(after) < 2 {
			return "", fmt.Errorf("%q ends in an escape", s)
		}
		c, err := strconv.ParseUint(after[:2], 16, 8)
		if err != nil {
			return "", fmt.Errorf("escape %q is not hexadecimal", after[:2])
		}
		b.WriteByte(byte(c))
		s = after[2:]
	}
}
