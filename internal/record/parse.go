package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// ErrFormat is wrapped by every error of [Parse] and [Outline.Record].
var ErrFormat = errors.New("not a record")

// Parse reads a record from the JSON that [Record.AppendJSON] writes, or from another object with these members in any
// order. table_name, field_name and time_bucket must be there, and no member may occur twice. Other members than the first
// eight of AppendJSON are tags if they are strings and statistics if they are numbers or booleans; null is skipped.
//
// Numbers written without a point or exponent are returned as int64 or uint64 if they fit, all others as float64, so a
// float without a fraction comes back as an integer. Tags and statistics keep their order. A record without the member
// revision has HasRevision false. The record keeps no part of b. Errors wrap [ErrFormat].
func Parse(b []byte) (Record, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
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
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Record{}, fmt.Errorf("%w: found more text after the object", ErrFormat)
	}
	for _, name := range []string{TableName, FieldName, TimeBucket} {
		if !seen[name] {
			return Record{}, fmt.Errorf("%w: no member %q", ErrFormat, name)
		}
	}
	return r, nil
}

// delim reads the next token, which must be the brace or bracket want.
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

// parseMember reads one member of the object. seen has the names of the members before it.
func (r *Record) parseMember(dec *json.Decoder, seen map[string]bool) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	name, ok := token.(string)
	if !ok {
		return fmt.Errorf("%w: found %v, want the name of a member", ErrFormat, token)
	}
	if seen[name] {
		return fmt.Errorf("%w: member %q occurs twice", ErrFormat, name)
	}
	seen[name] = true
	value, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: member %q: %w", ErrFormat, name, err)
	}
	return r.set(name, value)
}

// set stores a member of the object in the record. The first token of an array or of an object is a value of another type, so these are
// errors.
func (r *Record) set(name string, value json.Token) error {
	switch name {
	case TableName, FieldName, TimeBucket, Agent, Replica:
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%w: member %q is %v, want a string", ErrFormat, name, value)
		}
		return r.setText(name, text)
	case Time:
		if _, ok := value.(json.Number); !ok {
			return fmt.Errorf("%w: member %q is %v, want a number", ErrFormat, name, value)
		}
		return nil // the number is not used: time_bucket has the same time, and the nanoseconds
	case FinalName:
		return r.setFinal(value)
	case Revision:
		return r.setRevision(value)
	}
	switch v := value.(type) {
	case string:
		r.Tags = append(r.Tags, series.Tag{Key: name, Value: v})
	case json.Number:
		number, err := parseNumber(v)
		if err != nil {
			return fmt.Errorf("%w: member %q: %w", ErrFormat, name, err)
		}
		r.Stats = append(r.Stats, Stat{Name: name, Value: number})
	case bool:
		r.Stats = append(r.Stats, Stat{Name: name, Value: v})
	case nil:
	default:
		return fmt.Errorf("%w: member %q is %v, want a string, a number or a boolean", ErrFormat, name, value)
	}
	return nil
}

// setText stores a member that is a text and not a tag.
func (r *Record) setText(name, value string) error {
	switch name {
	case TableName:
		r.Table = value
	case FieldName:
		r.Field = value
	case Agent:
		r.Agent = value
	case Replica:
		r.Replica = value
	case TimeBucket:
		start, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFormat, TimeBucket, err)
		}
		r.Start = start.UTC()
	}
	return nil
}

// setFinal stores the member final.
func (r *Record) setFinal(value json.Token) error {
	switch value {
	case true:
		r.State = Final
	case false:
		r.State = Open
	default:
		return fmt.Errorf("%w: member %q is %v, want a boolean", ErrFormat, FinalName, value)
	}
	return nil
}

// setRevision stores the member revision.
func (r *Record) setRevision(value json.Token) error {
	number, _ := value.(json.Number)
	revision, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || revision < 0 {
		return fmt.Errorf("%w: member %q is %v, want an integer of 0 or more", ErrFormat, Revision, value)
	}
	r.HasRevision, r.Revision = true, revision
	return nil
}

// parseNumber returns n as int64, else as uint64, else as float64: the first type that can hold it.
func parseNumber(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u, nil
	}
	return n.Float64()
}
