// Package record is the shape in which statistics leave a bucket: one record says what the values of
// one field of one series were like in one bucket. It is what the aggregator emits, what the cache
// stores and what the API answers with.
//
// The package also owns every name that a record carries: see fields.go.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// ErrFormat is wrapped by every error of [Parse].
var ErrFormat = errors.New("not a record")

// Stat is one statistic of a record. Value is a float64, int64, uint64 or bool; a float that is not
// finite is written as null.
type Stat struct {
	Name  string
	Value any
}

// Record holds the statistics of one field of one series in one bucket.
//
// A record is identified by its table, tags, field, start and agent: of two records that agree in
// these the later one replaces the earlier one.
type Record struct {
	// Table is the whole name of the table, such as "analytics_cpu".
	Table string
	// Field is the name of the field that was described.
	Field string
	// Agent names the running Telegraf that computed the record.
	Agent string
	// Tags are those of the series, in any order, without field_name and time_bucket.
	Tags []series.Tag
	// Start is the inclusive start of the bucket.
	Start time.Time
	// Stats are in the order of output.
	Stats []Stat
	// Summary is the encoded summary in base64, or empty. It is not part of the record's JSON.
	Summary string
}

// AppendJSON appends the record as one JSON object to dst and returns the extended slice.
//
// The members are, in this order: table_name, field_name, time_bucket (RFC 3339), time (milliseconds
// since 1970), agent, the tags as strings by key, the statistics as numbers or booleans. Tags whose
// name another member has are renamed by [RenameTags]; a statistic that has the name of one of the first
// five members is left out. Invalid UTF-8 becomes U+FFFD.
func (r *Record) AppendJSON(dst []byte) []byte {
	start := r.Start.UTC()
	dst = append(dst, `{"table_name":`...)
	dst = appendString(dst, r.Table)
	dst = append(dst, `,"field_name":`...)
	dst = appendString(dst, r.Field)
	dst = append(dst, `,"time_bucket":"`...)
	dst = start.AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","time":`...)
	dst = strconv.AppendInt(dst, start.UnixMilli(), 10)
	dst = append(dst, `,"agent":`...)
	dst = appendString(dst, r.Agent)
	for _, tag := range r.JSONTags() {
		dst = append(dst, ',')
		dst = appendString(dst, tag.Key)
		dst = append(dst, ':')
		dst = appendString(dst, tag.Value)
	}
	for _, s := range r.Stats {
		if isMember(s.Name) {
			continue
		}
		dst = append(dst, ',')
		dst = appendString(dst, s.Name)
		dst = append(dst, ':')
		dst = appendValue(dst, s.Value)
	}
	return append(dst, '}')
}

// JSONTags returns the tags sorted by key, under the names that [Record.AppendJSON] gives them: no other member of the
// object has these. The slice is the caller's.
func (r *Record) JSONTags() []series.Tag {
	if len(r.Tags) == 0 {
		return nil
	}
	tags := slices.Clone(r.Tags)
	slices.SortFunc(tags, func(a, b series.Tag) int { return strings.Compare(a.Key, b.Key) })
	taken := func(name string) bool {
		return name == Agent || slices.ContainsFunc(r.Stats, func(s Stat) bool { return s.Name == name })
	}
	RenameTags(tags, taken)
	slices.SortFunc(tags, func(a, b series.Tag) int { return strings.Compare(a.Key, b.Key) })
	return tags
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(dst, "null"...)
		}
		return appendFloat(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case bool:
		return strconv.AppendBool(dst, v)
	}
	return append(dst, "null"...)
}

// appendFloat writes v as the shortest decimal that reads back as v, with an exponent only where
// encoding/json writes one.
func appendFloat(dst []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

func appendString(dst []byte, s string) []byte {
	if plain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return append(dst, b...)
}

// plain reports whether s is a JSON string as it stands.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			return false
		}
	}
	return true
}

// Parse reads a record from the JSON that [Record.AppendJSON] writes. Members after agent are tags
// where they are strings and statistics where they are numbers or booleans; null is left out.
// Numbers written without a point or exponent are returned as int64 or uint64 where they fit, all others
// as float64, so a float that is whole comes back as an integer. Tags and statistics keep
// their order. Errors wrap [ErrFormat].
func Parse(b []byte) (Record, error) {
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := delim(dec, '{'); err != nil {
		return Record{}, err
	}
	var r Record
	seen := make(map[string]bool)
	for dec.More() {
		if err := r.parseMember(dec, seen); err != nil {
			return Record{}, err
		}
	}
	if err := delim(dec, '}'); err != nil {
		return Record{}, err
	}
	if dec.More() {
		return Record{}, fmt.Errorf("%w: more after its end", ErrFormat)
	}
	for _, name := range []string{TableName, FieldName, TimeBucket} {
		if !seen[name] {
			return Record{}, fmt.Errorf("%w: no member %q", ErrFormat, name)
		}
	}
	return r, nil
}

func delim(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if token != want {
		return fmt.Errorf("%w: found %v, want %v", ErrFormat, token, want)
	}
	return nil
}

func (r *Record) parseMember(dec *json.Decoder, seen map[string]bool) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	name, ok := token.(string)
	if !ok {
		return fmt.Errorf("%w: found %v, want a member's name", ErrFormat, token)
	}
	if seen[name] {
		return fmt.Errorf("%w: member %q stands twice", ErrFormat, name)
	}
	seen[name] = true
	value, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: member %q: %w", ErrFormat, name, err)
	}
	return r.set(name, value)
}

func (r *Record) set(name string, value json.Token) error {
	text, isString := value.(string)
	switch {
	case name == Time:
		return nil // time_bucket says it
	case isString:
		return r.setString(name, text)
	case isMember(name):
		return fmt.Errorf("%w: member %q is %v, want a string", ErrFormat, name, value)
	}
	switch v := value.(type) {
	case json.Number:
		number, err := parseNumber(v)
		if err != nil {
			return fmt.Errorf("%w: member %q: %w", ErrFormat, name, err)
		}
		r.Stats = append(r.Stats, Stat{Name: name, Value: number})
		return nil
	case bool:
		r.Stats = append(r.Stats, Stat{Name: name, Value: v})
		return nil
	case nil:
		return nil
	}
	return fmt.Errorf("%w: member %q is %v, want a string, a number or a boolean", ErrFormat, name, value)
}

func (r *Record) setString(name, value string) error {
	switch name {
	case TableName:
		r.Table = value
	case FieldName:
		r.Field = value
	case Agent:
		r.Agent = value
	case TimeBucket:
		start, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFormat, TimeBucket, err)
		}
		r.Start = start.UTC()
	default:
		r.Tags = append(r.Tags, series.Tag{Key: name, Value: value})
	}
	return nil
}

func parseNumber(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u, nil
	}
	return n.Float64()
}
