package cache

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// The functions from bucketKey on make the keys of a table, and say what each key holds. Other versions of this program read and write the
// same keys. So new keys can be added, but the names of keys and the form of their members cannot change.
//
// A table of one record, of the field usage of the series host=web1 that agent1 describes, in revision 2 of the bucket 2026-01-01T00:00:00Z:
//
//	key                                     type    content
//	analytics:tables                        zset    metrics:analytics_cpu → 1795706099176, :metrics:analytics_cpu → -1795702499177
//	metrics:analytics_cpu                   string  [{"table_name":"analytics_cpu","field_name":"usage",…}], the compatibility value
//	{metrics:analytics_cpu}:b:1767225600    hash    host=web1|usage|agent1 → {"table_name":"analytics_cpu","field_name":"usage",…}
//	{metrics:analytics_cpu}:q:1767225600    hash    host=web1|usage|agent1 → the encoded summary
//	{metrics:analytics_cpu}:r:1767225600    zset    host=web1|usage|agent1 → 2, complete → 0
//	{metrics:analytics_cpu}:idx             zset    1767225600 → 1767225600
//	{metrics:analytics_cpu}:exp             zset    1767225600 → 1795706099176
//	{metrics:analytics_cpu}:names           zset    f:usage → 1795706099176517, t:host → 1795706099176517
//	{metrics:analytics_cpu}:ver             string  1795702499165415
//	{metrics:analytics_cpu}:w               zset    {"id":"204e939a60587a17","agent":"agent1",…} and {"agent":"agent1"} → 1795706099176517

// catalogueKey is the sorted set of all tables. A table has two members: its name by the time when it expires, and its
// name after a colon by the negative time of its last write, both in milliseconds.
const catalogueKey = "analytics:tables"

// writtenPrefix begins the members of the catalogue that have the time of the last write. No table has such a member,
// because no database has an empty name.
const writtenPrefix = ":"

// CheckTable returns an error if the cache cannot store the table: a name breaks a rule of [record.CheckName], or the
// compatibility key of the table would be the key of the catalogue. Two tables that pass the check have different
// keys. The only exception are the compatibility keys of names with colons: those of the table "b:c" in the database
// "a" and of the table "c" in the database "a:b" are equal.
func CheckTable(t record.Table) error {
	if err := t.Check(); err != nil {
		return err
	}
	if compatKey(t) == catalogueKey {
		return fmt.Errorf("table name %q in database %q: the key %q is the list of all tables, want another name", t.Name, t.Database, catalogueKey)
	}
	return nil
}

// compatKey returns the key of the table's compatibility value. The Python plugin used the same key.
func compatKey(t record.Table) string { return t.String() }

// reservedInNames lists the characters that are escaped in the database and the table of a key. It does not contain
// all of [series.Reserved], so that the keys of most tables have the cluster slot of the compatibility key.
const reservedInNames = "%{}:"

// member returns the table's member of the catalogue.
func member(t record.Table) string {
	return series.Escape(t.Database, reservedInNames) + ":" + series.Escape(t.Name, reservedInNames)
}

// parseMember returns the table of a member of the catalogue. A member with writtenPrefix is an error: the name behind its first colon
// would have a colon that is not escaped.
func parseMember(s string) (record.Table, error) {
	database, name, ok := strings.Cut(s, ":")
	if !ok {
		return record.Table{}, fmt.Errorf("table %q has no colon", s)
	}
	d, err := series.Unescape(database, reservedInNames)
	if err != nil {
		return record.Table{}, err
	}
	n, err := series.Unescape(name, reservedInNames)
	return record.Table{Database: d, Name: n}, err
}

// derived returns a key of the table. All keys of a table have the same part in braces, so they are in one cluster
// slot. The compatibility key is in that slot too, unless a name contains a character of reservedInNames.
func derived(t record.Table, rest string) string { return "{" + member(t) + "}:" + rest }

func bucketKey(t record.Table, start string) string   { return derived(t, "b:"+start) } // hash of records
func summaryKey(t record.Table, start string) string  { return derived(t, "q:"+start) } // hash of encoded summaries, by the same fields
func revisionKey(t record.Table, start string) string { return derived(t, "r:"+start) } // sorted set of the same fields by revision, without 0
func headKey(t record.Table, start string) string     { return derived(t, "h:"+start) } // sorted set of the first and last names of a large bucket, see head.go
func indexKey(t record.Table) string                  { return derived(t, "idx") }      // sorted set of bucket starts
func expiryKey(t record.Table) string                 { return derived(t, "exp") }      // sorted set of bucket starts by expiry time, in ms; see removedPrefix
func namesKey(t record.Table) string                  { return derived(t, "names") }    // sorted set of fields and tag keys by expiry time
func versionKey(t record.Table) string                { return versionOf(member(t)) }   // a number that each write increases, see Writer.advance
func writersKey(t record.Table) string                { return derived(t, "w") }        // sorted set of the writers by the expiry of their last write, in µs
func channel(t record.Table) string                   { return derived(t, "ch") }       // publishes the starts of changed buckets

// removedPrefix begins the members of a table's expiry times that are buckets which an agent has removed because of its MaxBuckets. They
// are no starts, so that no bucket has such a member.
const removedPrefix = "removed:"

// versionOf returns the version key of the table of a member of the catalogue.
func versionOf(member string) string { return "{" + member + "}:ver" }

// Prefixes of the members of a table's names, as a field and a tag may have the same name.
const (
	fieldName = "f:"
	tagName   = "t:"
)

// startText returns a bucket's start as it is written in keys: seconds since 1970, with as many decimals as it needs, as 1767225600,
// 1767222000.5 and -1.5. Each start has one text, so that a bucket has one key.
func startText(start time.Time) string {
	seconds, nanos := start.Unix(), start.Nanosecond()
	if nanos == 0 {
		return strconv.FormatInt(seconds, 10)
	}
	sign := ""
	if seconds < 0 { // Unix counts -1.5 as -2 seconds and 500 million nanoseconds
		sign, seconds, nanos = "-", -seconds-1, int(time.Second)-nanos
	}
	return fmt.Sprintf("%s%d.%s", sign, seconds, strings.TrimRight(fmt.Sprintf("%09d", nanos), "0"))
}

// parseStart returns the start whose startText is s, in UTC. Any other text is an error, also another form of a start, such as 1.50.
func parseStart(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, fmt.Errorf("bucket start %q is not a number of seconds", s)
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("bucket start %q is not a number of seconds", s)
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

// score returns the score of a start in the index: seconds since 1970, exact to the microsecond in this century.
func score(start time.Time) float64 {
	return float64(start.Unix()) + float64(start.Nanosecond())/1e9
}

// scoreText returns the score as an argument of a command, in the shortest form that Redis parses to the same number.
func scoreText(start time.Time) string { return strconv.FormatFloat(score(start), 'f', -1, 64) }

// appendHashField appends the part of a record's hash field that follows the tags. A whole hash field is the tags as
// in a series key, "|", the field, "|" and the agent, each escaped, and "|" and the replica if the record has one. So every
// write of a record replaces the same hash field, and agents never overwrite each other's records.
//
//	tags host=web1, room=a; field usage; agent agent1              host=web1,room=a|usage|agent1
//	no tags; field a|b; agent agent1; replica r2                   |a%7Cb|agent1|r2
func appendHashField(dst []byte, r *record.Record) []byte {
	dst = series.AppendEscaped(append(dst, '|'), r.Field)
	dst = series.AppendEscaped(append(dst, '|'), r.Agent)
	if r.Replica != "" {
		dst = series.AppendEscaped(append(dst, '|'), r.Replica)
	}
	return dst
}

// parseHashField returns the names in the part of a hash field that follows the tags and the first "|". It returns false for a text
// that appendHashField does not write.
func parseHashField(text string) (field, agent, replica string, ok bool) {
	field, text, ok = strings.Cut(text, "|")
	agent, replica, _ = strings.Cut(text, "|")
	for _, name := range [...]*string{&field, &agent, &replica} {
		unescaped, err := series.Unescape(*name, series.Reserved)
		ok = ok && err == nil
		*name = unescaped
	}
	return field, agent, replica, ok
}
