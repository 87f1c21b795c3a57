package record

import (
	"encoding/base64"
	"fmt"
	"iter"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Metric is the part of a Telegraf metric that a [Layout] writes to. The value of a field is a float64, int64, uint64,
// bool or string.
type Metric interface {
	AddTag(key, value string)
	AddField(key string, value any)
}

// Timestamp selects the time of a row.
type Timestamp uint8

const (
	// AtStart is the start of the bucket.
	AtStart Timestamp = iota
	// AtEnd is the end of the bucket.
	AtEnd
	// AtPush is the time of the Push that emits the row.
	AtPush
)

// Layout defines the row of a record: a metric that has the name of the table, and
//
//   - the tags of the series, [FieldName], the bucket's start under BucketTag (RFC 3339), and "open" or "final" under
//     StateTag unless the record is [Unmarked],
//   - the statistics as fields, the summary in base64 as the field [Summary] if there is one, and the integer field
//     [Revision].
//
// A row has the field [Revision] if the record has a revision, but not if the bucket is open and was never final.
//
// For example, the second final row of a bucket, with the StateTag [BucketState], in line protocol:
//
//	analytics_cpu,bucket_state=final,cpu=0,field_name=idle,host=a count=3i,mean=2.5,revision=1i 1767323040000000001
//
// The rows of one bucket differ only in the tag FieldName and in their fields, so an adapter can make the rest once
// and copy it. Rows of the zero Layout have neither of the two tags, and the start of the bucket as their time. The methods change neither
// the Layout nor the record, so they may be called concurrently.
type Layout struct {
	BucketTag string // name of the tag with the bucket's start, usually [TimeBucket]; "" for none
	StateTag  string // name of the tag with the bucket's state, usually [BucketState]; "" for none
	Timestamp Timestamp
}

// AddTags adds the tags of the record's row to m, except [FieldName], which the caller adds.
func (l *Layout) AddTags(m Metric, r *Record) {
	for _, tag := range r.Tags {
		m.AddTag(tag.Key, tag.Value)
	}
	if l.BucketTag != "" {
		m.AddTag(l.BucketTag, r.Start.UTC().Format(time.RFC3339Nano))
	}
	if l.StateTag != "" && r.State != Unmarked {
		m.AddTag(l.StateTag, r.State.String())
	}
}

// AddFields adds the fields of the record's row to m.
func (*Layout) AddFields(m Metric, r *Record) {
	for i := range r.Stats {
		m.AddField(r.Stats[i].Name, r.Stats[i].Value)
	}
	if len(r.Summary) > 0 {
		m.AddField(Summary, base64.StdEncoding.EncodeToString(r.Summary))
	}
	if r.showsRevision() {
		m.AddField(Revision, r.Revision)
	}
}

// showsRevision reports whether the row has the field [Revision]: see [Layout].
func (r *Record) showsRevision() bool { return r.HasRevision && (r.Revision > 0 || r.State != Open) }

// Time returns the timestamp of the record's row. end is the exclusive end of the bucket, and pushed is the time of
// the Push that emits the row. The row of revision r is r nanoseconds after the start or end of the bucket. So each
// revision is a point of its own: of two versions of one point, InfluxDB 3 may keep either.
func (l *Layout) Time(r *Record, end, pushed time.Time) time.Time {
	switch l.Timestamp {
	case AtEnd:
		return end.Add(time.Duration(r.Revision))
	case AtPush:
		return pushed
	case AtStart:
	}
	return r.Start.Add(time.Duration(r.Revision))
}

// FromRow returns the record of a row. The row was made by a [Layout] with the timestamp AtStart or with the
// BucketTag [TimeBucket], because the start of the bucket is read from one of these. FromRow reads the state from the
// tag [BucketState]. table is the name of the metric, and at is its time. Tags may be in any order, each key once.
// Agent and Replica stay empty. The record keeps the strings and the values of the row.
//
// A record has no place for string fields other than the summary: FromRow skips them and returns their number as
// ignored. It returns an error for a row without the tag [FieldName] or without a statistic, and for a value of
// BucketState, TimeBucket, Revision or Summary that no Layout writes.
func FromRow(table string, at time.Time, tags iter.Seq2[string, string], fields iter.Seq2[string, any]) (r Record, ignored int, err error) {
	r = Record{Table: table}
	tagged := false
	for key, value := range tags {
		tagged = tagged || key == TimeBucket
		if err := r.readTag(key, value); err != nil {
			return r, 0, fmt.Errorf("metric %q has %w", table, err)
		}
	}
	if r.Field == "" {
		return r, 0, fmt.Errorf("metric %q has no tag %q, want rows of the describe aggregator: set namepass = [\"analytics_*\"]", table, FieldName)
	}
	series.SortTags(r.Tags)
	for name, value := range fields {
		used, err := r.readField(name, value)
		if err != nil {
			return r, 0, fmt.Errorf("metric %q has %w", table, err)
		}
		if !used {
			ignored++
		}
	}
	if len(r.Stats) == 0 {
		return r, 0, fmt.Errorf("metric %q has no number, want statistics", table)
	}
	if !tagged {
		r.Start = at.Add(-time.Duration(r.Revision)).UTC()
	}
	return r, ignored, nil
}

// readTag stores a tag of the row in the record.
func (r *Record) readTag(key, value string) error {
	switch key {
	case FieldName:
		r.Field = value
	case TimeBucket:
		start, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return fmt.Errorf("the tag %s=%q, want a time in the format RFC 3339", key, value)
		}
		r.Start = start.UTC()
	case BucketState:
		switch value {
		case Open.String():
			r.State = Open
		case Final.String():
			r.State = Final
		default:
			return fmt.Errorf("the tag %s=%q, want %q or %q", key, value, Open, Final)
		}
	default:
		r.Tags = append(r.Tags, series.Tag{Key: key, Value: value})
	}
	return nil
}

// readField stores a field of the row in the record. It returns false for a field that has no place in a record. A number or boolean
// of any name is a statistic.
func (r *Record) readField(name string, value any) (used bool, err error) {
	if name == Revision {
		return true, r.readRevision(value)
	}
	text, isText := value.(string)
	switch {
	case !isText:
		r.Stats = append(r.Stats, Stat{Name: name, Value: value})
	case name == Summary:
		if r.Summary, err = base64.StdEncoding.DecodeString(text); err != nil {
			return false, fmt.Errorf("a summary that is not base64: %w", err)
		}
	default:
		return false, nil
	}
	return true, nil
}

// readRevision stores the field [Revision].
func (r *Record) readRevision(value any) error {
	revision, ok := value.(int64)
	if !ok || revision < 0 {
		return fmt.Errorf("the field %s=%v, want an integer of 0 or more", Revision, value)
	}
	r.HasRevision, r.Revision = true, revision
	return nil
}
