package record

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Wanted describes which records of a table to select. The zero value of a member selects all.
type Wanted struct {
	Fields []string     // the record describes one of these fields
	Tags   []series.Tag // the record has each of these tags; the key [Agent] stands for the record's agent
	Final  bool         // the record is [Final]
}

// Filter selects records by their JSON. It reads most records without parsing them: [Record.AppendJSON] writes the
// members in a fixed order and each text in one form only. It does not change, so its methods may be called concurrently.
type Filter struct {
	prefixes []string     // the JSON begins with one of these; none selects all
	members  []string     // the JSON contains each of these
	exact    []series.Tag // tags whose text could also be that of another member, so the record is parsed
}

// NewFilter returns a filter for the records of the table of that name.
func NewFilter(table string, w Wanted) Filter {
	var f Filter
	for _, field := range w.Fields {
		f.prefixes = append(f.prefixes, string(appendNames(nil, table, field)))
	}
	for _, tag := range w.Tags {
		if tag.Key == Agent || strings.ContainsAny(tag.Key, `,:"\`) || Reserved(tag.Key) {
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

// Match reports whether the record with this JSON is wanted. Text that is not the JSON of a record may match.
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

func (f Filter) matchExact(text string) bool {
	r, err := Parse([]byte(text))
	if err != nil {
		return false
	}
	for _, tag := range f.exact {
		if tag.Key == Agent && r.Agent == tag.Value {
			continue
		}
		if !slices.Contains(r.Tags, tag) {
			return false
		}
	}
	return true
}
