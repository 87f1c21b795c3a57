package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// A request may name fields and keys of tags that the table does not have, mostly by a typing error. That is a fault with the known
// names, and not an empty answer:
//
//	askedNames ─▶ names seen within nameAge are right ─▶ else Info of the table ─▶ known: seen from now on
//	                                                                            └▶ unknown: a fault, with a hint
//
// A new field is known with its first record, so a name that was unknown is looked up again by each request.
const (
	// maxNames is the number of names of a table from which the reader's list of them can be incomplete.
	maxNames = 10_000
	// nameAge is how long a name that a table has is not looked up again.
	nameAge = time.Minute
	// maxSeen is how many of these names are kept in memory, and maxSeenName the most bytes of each.
	maxSeen     = 10_000
	maxSeenName = 255
	// maxListed is how many known names an error lists, and maxListedBytes about how many bytes they have.
	maxListed      = 20
	maxListedBytes = 1000
	// Suggestions are made for so many faults of a request, words of so many bytes, and among so many names, because each
	// comparison needs time.
	maxSuggested, maxSuggestedWord, maxSuggestedNames = 5, 64, 1000
)

// askedName is a field or the key of a tag that a request names.
type askedName struct {
	location string // of the parameter, for a fault
	tag      bool   // whether it is the key of a tag
	name     string // as the client wrote it
}

// seenName is a name that a table has.
type seenName struct {
	table record.Table
	tag   bool
	name  string
}

// seenNames are names that tables had within nameAge, so that most requests with a field or a tag do not read the list of
// names. It is safe for concurrent use.
type seenNames struct {
	mu   sync.Mutex // guards the field below
	seen map[seenName]time.Time
}

// has reports whether the table had the name within nameAge. If the name was seen after now, because the clock was put back, the result
// is false.
func (s *seenNames) has(name seenName, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.seen[name]
	return ok && !now.Before(at) && now.Sub(at) < nameAge
}

// add notes that the table has the name. It forgets all names when there are maxSeen.
func (s *seenNames) add(name seenName, now time.Time) {
	if len(name.name) > maxSeenName {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= maxSeen {
		s.seen = make(map[seenName]time.Time)
	}
	// The name can be a part of the text of a large request, which must not stay in memory.
	s.seen[seenName{name.table, name.tag, strings.Clone(name.name)}] = now
}

// askedNames returns the names in the parameters field, tag and group_by. The keys agent and replica of the parameter tag are left out,
// because these members of a record are not tags.
func askedNames(fields []string, tags []series.Tag, groupBy []string) []askedName {
	asked := make([]askedName, 0, len(fields)+len(tags)+len(groupBy))
	for _, field := range fields {
		asked = append(asked, askedName{location: "query.field", name: field})
	}
	for _, tag := range tags {
		if tag.Key != record.Agent && tag.Key != record.Replica {
			asked = append(asked, askedName{location: "query.tag", tag: true, name: tag.Key})
		}
	}
	for _, key := range groupBy {
		asked = append(asked, askedName{location: "query.group_by", tag: true, name: key})
	}
	return asked
}

// checkNames returns faults for names that the table does not have. It reads the table's names only if one of the names was not
// seen lately. A table whose list of names is lost or too long has no unknown names. It changes the slice of the asked names. The
// error is a faults, or an unavailable.
func (s *server) checkNames(ctx context.Context, t record.Table, asked []askedName) error {
	now := s.Now()
	unseen := slices.DeleteFunc(asked, func(a askedName) bool { return s.names.has(seenName{t, a.tag, a.name}, now) })
	if len(unseen) == 0 {
		return nil
	}
	info, err := s.reader.Info(ctx, t)
	if err != nil {
		return away(err)
	}
	if len(info.Fields) == 0 || len(info.Fields)+len(info.TagKeys) >= maxNames {
		return nil
	}
	var bad faults
	lists := [2]bool{true, true} // whether the next fault lists the fields, or the keys of tags
	for _, a := range unseen {
		known, kind, list := info.Fields, "field", &lists[0]
		if a.tag {
			known, kind, list = info.TagKeys, "key of a tag", &lists[1]
		}
		if _, ok := slices.BinarySearch(known, a.name); ok {
			s.names.add(seenName{t, a.tag, a.name}, now)
			continue
		}
		bad.add(a.location, a.name, "unknown %s of %s%s", kind, shorten(t.Name), hint(a.name, known, len(bad), *list))
		*list = false
	}
	if bad == nil {
		return nil
	}
	return bad
}

// hint returns the part of a fault about the known names, given the number of faults before it. The first faults suggest a name.
// Only the first fault of a kind lists the names, so that the answer stays small. For example, for the field usage_idel:
//
//	, did you mean "usage_idle"? Known are "usage_idle", "usage_user"; others are known after their first record
func hint(name string, known []string, before int, list bool) string {
	suggestion := ""
	if before < maxSuggested && len(name) <= maxSuggestedWord && len(known) <= maxSuggestedNames {
		// A suggestion needs at most 3 edits, so names whose lengths differ more need no comparison.
		near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return len(k) > len(name)+3 || len(k) < len(name)-3 })
		if nearest := option.Nearest(name, near); nearest != "" { // one is enough beside the list of all
			suggestion = fmt.Sprintf(", did you mean %q?", nearest)
		}
	}
	switch {
	case !list:
		return suggestion
	case suggestion == "":
		return "; " + listed(known)
	}
	return suggestion + " " + upper(listed(known))
}

// upper returns a sentence that begins with an upper-case letter.
func upper(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }

// listed returns a sentence with the known names, or the first of them. It has neither an upper-case letter at the beginning nor a
// full stop.
func listed(known []string) string {
	if len(known) == 0 {
		return "there are none yet"
	}
	var text strings.Builder
	text.WriteString("known are ")
	for i, name := range known {
		if i == maxListed || text.Len() > maxListedBytes {
			fmt.Fprintf(&text, " and %d more", len(known)-i)
			break
		}
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(shorten(name))
	}
	return text.String() + "; others are known after their first record"
}
