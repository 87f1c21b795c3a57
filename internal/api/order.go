package api

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// entry is a record of the bucket that is being read. Its texts share the memory of the JSON, except name.
type entry struct {
	record.Outline
	text string // its JSON, unchanged
	name string // of the record in its bucket, if the bucket has several parts
	// merged means that the record is made from the summaries of several records later, with these statistics.
	merged bool
	stats  []string
}

// compareNames compares the bounded concatenations of two pairs of names. No JSON string is the beginning of another one, so short
// names need not be put together. It is the order of [record.Bounded] of a+b and of c+d.
func compareNames(a, b, c, d string) int {
	if len(a)+len(b) <= record.MaxPlace && len(c)+len(d) <= record.MaxPlace {
		return cmp.Or(strings.Compare(a, c), strings.Compare(b, d))
	}
	// Long names differ near their beginning nearly always. Sorting with a hash in each comparison took 60 % of a request.
	if c := strings.Compare(beginning(a, b), beginning(c, d)); c != 0 {
		return c
	}
	return strings.Compare(record.Bounded(a+b), record.Bounded(c+d))
}

// beginning returns the first record.MaxPlace bytes of the concatenation of two names.
func beginning(a, b string) string {
	if len(a) >= record.MaxPlace {
		return a[:record.MaxPlace]
	}
	return a + b[:min(len(b), record.MaxPlace-len(a))]
}

// compareEntries compares the places of two records of a bucket: by field and tags, then by agent and replica. The place of a
// record depends only on these four, and not on the records beside it, so that a cursor stays valid while data arrives. The order
// is that of the bytes of their JSON; of long names, that of bounded.
func compareEntries(a, b entry) int {
	if c := compareNames(a.Field, a.Tags, b.Field, b.Tags); c != 0 {
		return c
	}
	return compareNames(a.Agent, a.Replica, b.Agent, b.Replica)
}

// compare compares the places of two records of a bucket in the order of the answer.
func (a *answer) compare(x, y entry) int {
	if a.descending {
		return compareEntries(y, x)
	}
	return compareEntries(x, y)
}

// sameSeries returns how many of the first entries, which are sorted, are of one series and field. There is at least one entry.
func sameSeries(entries []entry) int {
	n := slices.IndexFunc(entries, func(e entry) bool { return !e.SameSeries(&entries[0].Outline) })
	if n < 0 {
		return len(entries)
	}
	return n
}

// place is the place of a record in the order of an answer. series and agent are bounded; agent is empty unless the query wants
// the records of each agent.
//
// For example, of the record of usage_idle of host a:
//
//	place{start: 2026-01-02T03:04:00Z, series: `"usage_idle","host":"a"`, agent: ""}
type place struct {
	start         time.Time
	series, agent string
}

// placeOf returns the place of a record.
func (a *answer) placeOf(start time.Time, o *record.Outline) place {
	p := place{start: start, series: record.Bounded(o.Field + o.Tags)}
	if a.apart {
		p.agent = record.Bounded(o.Agent + o.Replica)
	}
	return p
}

// passed reports whether a record is not after the place where the answer begins. Without agents=each, all records of the last series of
// the page before are passed, because they were one record there.
func (a *answer) passed(start time.Time, o *record.Outline) bool {
	if a.after == nil || !start.Equal(a.after.start) {
		return false // the buckets before it are not read
	}
	p := a.placeOf(start, o)
	c := cmp.Or(strings.Compare(p.series, a.after.series), strings.Compare(p.agent, a.after.agent))
	if a.descending {
		return c >= 0
	}
	return c <= 0
}
