package describefile

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxNames is how many names a selector keeps. A file with random names can have more; to keep these would need more memory than it
// saves time.
const maxNames = 1000

// selector decides which columns the names and globs of an option select. It keeps the names of columns that it has decided on, to
// decide faster the next time, and to list them if none was selected. It is safe for concurrent use.
//
// Each parsing goroutine asks for the columns of each of its batches, which are the same few names again and again. So an answer is read
// without a lock, and a new name copies the map: for n names n²/2 entries in all, half a million at maxNames.
type selector struct {
	option string   // such as --columns
	globs  []string // of path.Match, each valid; only read once there is a second goroutine

	seen atomic.Pointer[map[string]bool] // the answers by name; never nil, and no map that it has pointed to changes
	mu   sync.Mutex                      // of making a new map, so that none of two names is lost
}

// newSelector returns a selector, or an error if one of the globs has no meaning.
func newSelector(option string, globs []string) (*selector, error) {
	for _, glob := range globs {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf(`%s %q is no name or pattern: write a backslash before a [ or \ that means itself`, option, glob)
		}
	}
	s := &selector{option: option, globs: globs}
	s.seen.Store(new(map[string]bool))
	return s, nil
}

// has reports whether the option selects a name. Two goroutines may decide on one name at the same time; both get the same answer. Beyond
// maxNames it decides each time anew.
func (s *selector) has(name string) bool {
	if answer, known := (*s.seen.Load())[name]; known {
		return answer
	}
	answer := slices.ContainsFunc(s.globs, func(glob string) bool { return match(glob, name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen := *s.seen.Load(); len(seen) < maxNames {
		more := maps.Clone(seen)
		if more == nil {
			more = make(map[string]bool)
		}
		more[name] = answer
		s.seen.Store(&more)
	}
	return answer
}

// unmatched returns the globs that match none of the names, which are misspelled in most cases. The "*" of --group-by is not among the
// globs, so it is never unmatched.
func (s *selector) unmatched(names []string) []string {
	return slices.DeleteFunc(slices.Clone(s.globs), func(glob string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return match(glob, name) })
	})
}

// found returns the names of all columns in ascending order: those that were read, and those that selectors were asked about, which were
// not read if they are not selected. complete is false if there may be more, because a selector keeps at most maxNames. It changes neither
// read nor the selectors.
func (o *options) found(read []string) (names []string, complete bool) {
	names, complete = read, true
	for _, s := range []*selector{o.columnNames, o.groupNames, o.textNames} {
		if s != nil {
			seen := *s.seen.Load()
			complete = complete && len(seen) < maxNames
			names = slices.AppendSeq(slices.Clip(names), maps.Keys(seen))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(names))), complete
}

// listed returns names for a message, with commas between them. Of more than twenty it returns the first twenty and "…".
func listed(names []string) string {
	const shown = 20
	if len(names) > shown {
		names = append(slices.Clone(names[:shown]), "…")
	}
	return strings.Join(names, ", ")
}

// match reports whether a name is the glob itself or matches it by the rules of path.Match. Names are not paths, so a slash is a
// character like any other: it is replaced by a character that no name has. A name with brackets matches itself. "temp*" matches "temp",
// "temp_1" and "temp/1", "t[ab]" matches "ta" and "t[ab]", but not "t". Letters must have the same case.
func match(glob, name string) bool {
	if glob == name {
		return true
	}
	ok, err := path.Match(strings.ReplaceAll(glob, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return ok && err == nil
}

// isGlob reports whether a name may match other names than itself.
func isGlob(name string) bool { return strings.ContainsAny(name, `*?[\`) }
