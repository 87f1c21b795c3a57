package record

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Wanted describes which records of a table to select. The zero value of a member selects all.
type Wanted struct {
	Fields []string     // the field of the record is one of these
	Tags   []series.Tag // the record has all of these tags; a tag with the key [Agent] or [Replica] is compared with the record's agent or replica too
	Final  bool         // the state of the record is [Final]
}

// Filter selects records by their JSON. It does so without parsing most records, because [Record.AppendJSON] writes
// the members in a fixed order and each text in one form only. A Filter is immutable, so its methods may be called
// concurrently.
type Filter struct {
	prefixes []string     // the JSON begins with one of these; none selects all
	members  []string     // the JSON contains each of these
	exact    []series.Tag // these tags could be confused with other members in the text, so the record is parsed for them
}

// NewFilter returns a filter for the records of the table of that name.
func NewFilter(table string, w Wanted) Filter {
	var f Filter
	for _, field := range w.Fields {
		f.prefixes = append(f.prefixes, string(appendNames(nil, table, field)))
	}
	for _, tag := range w.Tags {
		if tag.Key == Agent || tag.Key == Replica || strings.ContainsAny(tag.Key, `,:"\`) || Reserved(tag.Key) {
			f.exact = append(f.exact, tag)
			continue
		}
		f.members = append(f.members, string(appendTag(nil, tag)))
	}
	if w.Final {
		f.members = append(f.members, finalMember)
	}
	return f
}

// Match reports whether the record with this JSON is wanted. The text must be a result of [Record.AppendJSON]: for
// any other text the result has no meaning.
func (f Filter) Match(text string) bool {
	if len(f.prefixes) > 0 && !slices.ContainsFunc(f.prefixes, func(p string) bool { return strings.HasPrefix(text, p) }) {
		return false
	}
	for _, member := range f.members {
		if !strings.Contains(text, member) {
			return false
		}
	}
	return len(f.exact) == 0 || f.matchExact(text)
}

// matchExact parses the record and reports whether it has the exact tags. It returns false for text that is not a
// record.
func (f Filter) matchExact(text string) bool {
	r, err := Parse([]byte(text))
	if err != nil {
		return false
	}
	for _, tag := range f.exact {
		if tag.Key == Agent && r.Agent == tag.Value || tag.Key == Replica && r.Replica != "" && r.Replica == tag.Value {
			continue
		}
		if !slices.Contains(r.Tags, tag) {
			return false
		}
	}
	return true
}
