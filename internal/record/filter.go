package record

import (
	"slices"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Wanted describes which records of a table to select. The zero value of a member selects all.
type Wanted struct {
	// Fields are names of fields. The record has one of them.
	Fields []string
	// Tags are tags with the names of [Record.JSONTags]. The record has all of them. A tag with the key [Agent] or [Replica] is
	// compared with the agent or the replica of the record; the empty replica selects the records without one.
	Tags []series.Tag
	// Final selects records with the state [Final] only.
	Final bool
}

// Filter selects records by their JSON. It does so without parsing most records, because [Record.AppendJSON] writes
// the members in a fixed order and each text in one form only. A Filter is immutable, so its methods may be called
// concurrently.
//
// For example, for final records of the table analytics_cpu with the field idle and the tag host=a:
//
//	names    {"table_name":"analytics_cpu","field_name":
//	fields   "idle"
//	members  ,"host":"a"   and   ,"final":true
type Filter struct {
	names   string          // the JSON up to the value of field_name
	fields  map[string]bool // the JSON of the wanted values of field_name; none selects all
	members []string        // the JSON contains each of these
	exact   []series.Tag    // these tags could be confused with other members in the text, so the record is parsed for them
	single  bool            // the JSON has no member replica, as of a record whose replica is empty
	none    bool            // no record has the tags
}

// NewFilter returns a filter for the records of the table of that name. It keeps nothing of w.
func NewFilter(table string, w Wanted) Filter {
	f := Filter{names: NewForm(table, time.Time{}).names, fields: make(map[string]bool)}
	for _, field := range w.Fields {
		f.fields[string(appendString(nil, field))] = true
	}
	for _, tag := range w.Tags {
		switch {
		case tag.Key == Replica && tag.Value == "":
			f.single = true
			continue
		case tag.Key == Agent, tag.Key == Replica: // no tag has these names in JSON, so the text can only be that member
		case Reserved(tag.Key) || isMember(tag.Key):
			f.none = true // in JSON, such a tag has another name
		case strings.ContainsAny(tag.Key, `,:"\`):
			f.exact = append(f.exact, tag)
		}
		f.members = append(f.members, string(appendTag(nil, tag)))
	}
	if w.Final {
		f.members = append(f.members, finalMember)
	}
	return f
}

// All reports whether the filter selects every record.
func (f Filter) All() bool { return len(f.fields) == 0 && len(f.members) == 0 && !f.single }

// Match reports whether the record with this JSON is wanted. The text must be a result of [Record.AppendJSON]: for
// any other text the result has no meaning.
func (f Filter) Match(text string) bool {
	if f.none || f.single && strings.Contains(text, replicaMember) {
		return false
	}
	if len(f.fields) > 0 && !f.matchField(text) {
		return false
	}
	for _, member := range f.members {
		if !strings.Contains(text, member) {
			return false
		}
	}
	return len(f.exact) == 0 || f.matchExact(text)
}

// MatchOutline is [Filter.Match] for the outline of a record; it needs no Stats. The filter must not want final records only.
func (f Filter) MatchOutline(o *Outline) bool {
	if f.none || f.single && o.Replica != "" || len(f.fields) > 0 && !f.fields[o.Field] {
		return false
	}
	for _, member := range f.members {
		if !strings.Contains(o.Tags, member) && !isMemberOf(member, agentMember, o.Agent) && !isMemberOf(member, replicaMember, o.Replica) {
			return false
		}
	}
	if len(f.exact) == 0 {
		return true
	}
	r, err := (&Outline{Field: o.Field, Agent: o.Agent, Tags: o.Tags}).Record()
	return err == nil && hasAll(r.Tags, f.exact)
}

// agentMember begins the member agent.
const agentMember = `,"` + Agent + `":`

// isMemberOf reports whether member is the member that begins with a name and has the value, which is not empty.
func isMemberOf(member, name, value string) bool {
	rest, ok := strings.CutPrefix(member, name)
	return ok && value != "" && rest == value
}

// matchField reports whether the record has one of the wanted fields. The time does not depend on their number.
func (f Filter) matchField(text string) bool {
	rest, ok := strings.CutPrefix(text, f.names)
	return ok && f.fields[rest[:stringLen(rest)]]
}

// matchExact parses the record and reports whether it has the exact tags. It returns false for text that is not a
// record.
func (f Filter) matchExact(text string) bool {
	r, err := Parse([]byte(text))
	return err == nil && hasAll(r.Tags, f.exact)
}

// hasAll reports whether tags contains all of the wanted ones.
func hasAll(tags, wanted []series.Tag) bool {
	return !slices.ContainsFunc(wanted, func(tag series.Tag) bool { return !slices.Contains(tags, tag) })
}
