package api

import (
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/format"
)

// The examples of parameters and requests are of the table cpu in the database mydb, as in the README.

// databaseParameter is the parameter of every route that reads a database. preset is the setting default_database, which may be
// empty. It is required without a preset.
func databaseParameter(preset string) parameter {
	return parameter{
		name: "database", listed: true, preset: preset, examples: []string{"mydb"},
		about: "The database of the table. It can be left out if the setting `default_database` has one.",
	}
}

// tableParameter is the part {table} of a path.
func tableParameter() parameter {
	return parameter{name: "table", examples: []string{"cpu", "analytics_cpu"}, about: "The table, with or without its prefix `analytics_`."}
}

// fieldParameter selects records by their field.
func fieldParameter() parameter {
	return parameter{
		name: "field", repeated: true, examples: []string{"usage_idle"},
		about: "The field that is described. If repeated, any of them. A field that the table does not have is an error.",
	}
}

// tagParameter selects records by a tag.
func tagParameter() parameter {
	return parameter{
		name: "tag", repeated: true, examples: []string{"host=a"},
		about: "A tag of the series, as `key=value`. If repeated, all of them. A key that the table does not have is an error; a value is not.",
	}
}

// timeAbout describes the values of the parameters start and end.
const timeAbout = "RFC 3339, with `%2B` for `+`; a date, which is midnight in UTC; seconds, milliseconds, microseconds or " +
	"nanoseconds since 1970, distinguished by their magnitude; `now`; or a time ago such as `-6h` (units s, m, h, d and w)."

// recordParameters are the parameters of the route of records. The limits of the service are the largest numbers that they allow.
func (s *server) recordParameters() []parameter {
	return slices.Concat([]parameter{
		databaseParameter(s.DefaultDatabase),
		{name: "start", examples: []string{"-6h", "2026-01-02", "2026-01-02T03:04:05Z", "1767323045"},
			about: "Only buckets that begin at this time or later: " + timeAbout},
		{name: "end", examples: []string{"now", "2026-01-03T00:00:00+01:00"}, about: "Only buckets that begin before this time: " + timeAbout},
		{name: "last", most: s.MaxBuckets, examples: []string{"1", "60"},
			about: "The newest n buckets of these. With `end=now`, no buckets of devices whose clock is ahead. " +
				"With `final=true`, buckets that have a final record."},
		{name: "limit", most: s.MaxRecords, examples: []string{"100"},
			about: "The first n records in the order of the answer: a page. If there are more, the header `Link` has the address of the next page. " +
				"Without `limit` and `cursor`, the answer is complete or an error."},
		{name: "cursor", examples: []string{""},
			about: "The place after which a page begins, from the header `Link` of the page before; empty for the first page. " +
				"It belongs to the other parameters, except `limit`, `format` and `pretty`. " +
				"Without `limit`, a page has as many records as an answer may have."},
		{name: "agents", preset: "merged", choices: []string{"merged", "each"}, examples: []string{"each"},
			about: "How several agents that describe one series, field and bucket are shown: with `merged` as one record of all their values, " +
				"which needs their summaries; with `each` as a record of each agent and replica."},
		{name: "final", choices: []string{"true"}, examples: []string{"true"},
			about: "Only final records. A record without the member `final` counts as final once its bucket has ended."},
		fieldParameter(), tagParameter(),
	}, rollupParameters(), formatParameters())
}

// rollupParameters are the parameters of roll-ups.
func rollupParameters() []parameter {
	// Each has rollup set below, which makes a request with it one for a roll-up, and its text begins with "Roll-up: ".
	all := []parameter{
		{name: "group_by", repeated: true, examples: []string{"host", ""},
			about: "the tags to keep, repeated or separated by commas. Series that differ in other tags are merged, all of them if it is empty."},
		{name: "bucket", examples: []string{"1h", "15m", "1d", "1mo"},
			about: "the width of the buckets, such as `1h`, `1d`, `1w` or `1mo`. `start`, `end` and `last` then select whole buckets of that width. " +
				"A stored bucket is not divided: it counts where it begins."},
		{name: "timezone", with: "bucket", examples: []string{"Europe/Berlin"},
			about: "the time zone in which days, weeks, months and years of `bucket` begin. Default: `UTC`."},
		{name: "stats", repeated: true, examples: []string{"count,mean,p99.9", "max"},
			about: "the statistics, repeated or separated by commas, also any percentile such as `p99.9`. " +
				"Default: those that describe emits by default."},
		{name: "method", choices: []string{"linear", "nearest_rank", "floor_rank"}, examples: []string{"nearest_rank"},
			about: "how percentiles between two values are computed, as `quantile_method` of describe. Default: `linear`."},
		{name: "share_le", repeated: true, number: true, examples: []string{"99.5"},
			about: "a number x. Records get the share of the values that are at most x, as `share_le_<x>`, with its largest error. " +
				"A request can have several."},
	}
	for i := range all {
		all[i].rollup, all[i].about = true, "Roll-up: "+all[i].about
	}
	return all
}

// formatParameters are the parameters of the form of an answer.
func formatParameters() []parameter {
	return []parameter{
		{name: "format", choices: format.Names(), examples: []string{"csv", "jsonl", "lp"},
			about: "The format. Without it the header `Accept` selects: `application/json`, `application/jsonl`, `text/csv` or `text/plain` (line protocol)."},
		{name: "pretty", choices: []string{"true"}, examples: []string{"true"}, about: "JSON that people can read."},
		{name: "order", preset: "asc", choices: []string{"asc", "desc"}, examples: []string{"desc"},
			about: "With `desc`, the newest bucket is first, and the records of a bucket are in the opposite order too."},
	}
}

// streamParameters are the parameters of the route of streams.
func streamParameters(database string) []parameter {
	return []parameter{
		databaseParameter(database), fieldParameter(), tagParameter(),
		{name: "final", choices: []string{"true"}, examples: []string{"true"}, about: "Only records that are marked as final."},
	}
}
