// Package record is the shape in which statistics leave a bucket: a record holds the statistics of one field of one
// series in one bucket. The aggregator emits records, the cache stores them and the API answers with them.
//
//	            Layout.AddTags, AddFields             Record.AppendJSON
//	Record ─────────────────────────────▶ row ─▶ Record ──────────────▶ JSON in the cache ─▶ Filter, Parse
//	(engine)                       (a metric)  FromRow
//
// fields.go has every name that a record carries, row.go the row, json.go and parse.go the JSON.
package record

import (
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Stat is one statistic of a record. Value is a float64, int64, uint64 or bool.
type Stat struct {
	Name  string
	Value any
}

// State is the state of a bucket as a record gives it.
type State uint8

const (
	// Unmarked records do not give the state of their bucket. It is the zero State.
	Unmarked State = iota
	// Open records describe a bucket that may still get values.
	Open
	// Final records describe a bucket that gets no more values, unless late ones lead to a new revision.
	Final
)

// String returns the value of the tag [BucketState]: "open", "final", or "" for an unmarked record.
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Final:
		return "final"
	}
	return ""
}

// Record holds the statistics of one field of one series in one bucket.
//
// A record is identified by its table, tags, field, start and agent. Of two records that agree in these, the one of the
// higher revision replaces the other; with equal revisions the later one does.
type Record struct {
	// Table is the whole name of the table, such as "analytics_cpu".
	Table string
	// Field is the name of the field that was described.
	Field string
	// Agent names the running Telegraf that computed the record.
	Agent string
	// Tags are those of the series, in ascending order of keys, each key once. The names of a row (field_name,
	// time_bucket, bucket_state) are not among them. Other clashes are allowed: [Record.JSONTags] renames such tags.
	Tags []series.Tag
	// Start is the inclusive start of the bucket.
	Start time.Time
	// State is the state of the bucket when the record was made.
	State State
	// HasRevision is true if the record's revision is known: the engine that made it keeps its state on disk.
	HasRevision bool
	// Revision counts how often the bucket had been final before, from 0. It is 0 if HasRevision is false.
	Revision int64
	// Stats are in the order of output.
	Stats []Stat
	// Summary is the encoded summary, or empty. It is not part of the record's JSON.
	Summary []byte
}
