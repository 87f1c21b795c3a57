package record

import (
	"slices"
	"strings"

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

// clashSuffix is added to the name of a tag that one of ours would hide.
const clashSuffix = "_tag"

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

// TagNames renames the tags that clash with a name of ours, or with one that taken reports, to
// <tag>_tag, repeating the suffix until the name is free among tags too. It changes tags in place,
// keeps their order and returns the old names of the tags it renamed. A nil taken takes nothing.
func TagNames(tags []Tag, taken func(name string) bool) []string {
	var renamed []string
	for i := range tags {
		name := tags[i].Key
		if !Reserved(name) && (taken == nil || !taken(name)) {
			continue
		}
		renamed = append(renamed, name)
		tags[i].Key = freeName(name, tags, taken)
	}
	return renamed
}

func freeName(name string, tags []Tag, taken func(string) bool) string {
	for {
		name += clashSuffix
		free := !Reserved(name) && (taken == nil || !taken(name)) &&
			!slices.ContainsFunc(tags, func(t Tag) bool { return t.Key == name })
		if free {
			return name
		}
	}
}
