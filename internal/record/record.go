// Package record defines the record: the statistics of one field of one series in one bucket. The aggregator emits
// records, the cache stores them and the API answers with them.
//
//	            Layout.AddTags, AddFields             Record.AppendJSON
//	Record ─────────────────────────────▶ row ─▶ Record ──────────────▶ JSON in the cache ─▶ Filter, Parse
//	(engine)                       (a metric)  FromRow
//
// fields.go defines every name in a record, shape.go the types of statistics, row.go the row, json.go and parse.go the JSON.
package record

import (
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Stat is one statistic of a record. Value is a float64, int64, uint64 or bool. Name is that of [StatName], such as "p99_9", or any other
// name if the record comes from another program.
type Stat struct {
	Name  string
	Value any
}

// State is the state of a bucket at the time when a record was made.
type State uint8

const (
	// Unmarked is the zero State: the record does not contain the state of its bucket.
	Unmarked State = iota
	// Open means that the bucket may still get values.
	Open
	// Final means that the bucket gets no more values, unless late values lead to a new revision.
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
// Table, tags, field, start, agent and replica identify a record. Of two records that are equal in these, the one with the
// higher revision replaces the other. With equal revisions, the record that was made later replaces the earlier one.
type Record struct {
	// Table is the whole name of the table, such as "analytics_cpu".
	Table string
	// Field is the name of the field that was described.
	Field string
	// Agent names the running Telegraf that computed the record.
	Agent string
	// Replica distinguishes Telegrafs that have the same name and read the same input, so that one of them can fail. It is
	// empty if there is only one. Their records describe the same values: a roll-up takes the fullest of them.
	Replica string
	// Tags are the tags of the series, in ascending order of keys, each key once. No key is field_name, time_bucket
	// or bucket_state, which are tags of the row. Keys may clash with other names of a record: [Record.JSONTags]
	// renames such tags.
	Tags []series.Tag
	// Start is the inclusive start of the bucket.
	Start time.Time
	// State is the state of the bucket when the record was made.
	State State
	// HasRevision reports whether Revision is known. It is known if the engine that made the record keeps its state
	// on disk.
	HasRevision bool
	// Revision is how often the bucket was final before this record, 0 or more. It is 0 if HasRevision is false.
	Revision int64
	// Stats are the statistics in the order of output, at most one for each name.
	Stats []Stat
	// Summary is the encoded summary, or empty. It is not part of the record's JSON.
	Summary []byte
}
