package record

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// The names of a record's own members and columns.
const (
	TableName  = "table_name"  // the table, in JSON
	FieldName  = "field_name"  // the described field: a tag of the metric, a member in JSON
	TimeBucket = "time_bucket" // the bucket's start: a tag on request, a member in JSON
	Time       = "time"        // the bucket's start in milliseconds, in JSON; a reserved column in InfluxDB
	Summary    = "summary"     // the encoded summary: a string field of the metric
	Agent      = "agent"       // the Telegraf that computed the record, in JSON
)

// ClashSuffix is added to the name of a tag that one of ours would hide.
const ClashSuffix = "_tag"

// StatName returns the name of the metric's field that holds statistic s: the name that users write,
// with the decimal point of a percentile as an underscore, so "p99.9" is "p99_9". No two statistics
// have the same name.
func StatName(s stats.Statistic) string {
	return strings.ReplaceAll(s.String(), ".", "_")
}

// IsStatName reports whether name is that of a statistic, as [StatName] makes it.
func IsStatName(name string) bool {
	s, err := stats.ParseStatistic(strings.ReplaceAll(name, "_", "."))
	if err == nil {
		return StatName(s) == name
	}
	s, err = stats.ParseStatistic(name)
	return err == nil && StatName(s) == name
}

// Reserved reports whether a tag of that name would clash with a name of ours: InfluxDB refuses a
// column that is both a tag and a field, and a JSON object has each member once.
func Reserved(name string) bool {
	switch name {
	case TableName, FieldName, TimeBucket, Time, Summary:
		return true
	}
	return IsStatName(name)
}

// isMember reports whether every record has a member of that name in JSON.
func isMember(name string) bool {
	switch name {
	case TableName, FieldName, TimeBucket, Time, Agent:
		return true
	}
	return false
}

// Sendable returns s as it arrives by line protocol: Telegraf writes tabs, newlines, form feeds and carriage
// returns as an escape of two characters, a backslash at the end cannot be said, and InfluxDB takes valid
// UTF-8 only. Two texts that arrive alike are made alike by it.
func Sendable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\t\n\f\r") && !strings.HasSuffix(s, `\`) {
		return s
	}
	s = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\f", `\f`, "\r", `\r`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimRight(s, `\`)
}

// TagNames gives tags names that can leave: no two are the same, and none clashes with a name of ours
// or with one that taken reports. A tag that clashes becomes <tag>_tag, the suffix repeated until the
// name is free. Names are made [Sendable] first. TagNames changes tags in place, keeps their order and returns the old names of those it
// renamed. A nil taken takes nothing.
func TagNames(tags []Tag, taken func(name string) bool) []string {
	clashes := func(name string) bool { return Reserved(name) || taken != nil && taken(name) }
	var renamed []string
	for i := range tags {
		old := tags[i].Key
		name := Sendable(old)
		if name == old && !clashes(name) {
			continue
		}
		for name == "" || clashes(name) || isOther(tags, i, name) {
			name += ClashSuffix
		}
		tags[i].Key = name
		renamed = append(renamed, old)
	}
	return renamed
}

// isOther reports whether a tag other than the i-th has that name.
func isOther(tags []Tag, i int, name string) bool {
	j := slices.IndexFunc(tags, func(t Tag) bool { return t.Key == name })
	return j >= 0 && j != i
}
