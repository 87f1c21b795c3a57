package option

import (
	"fmt"
	"slices"
	"strings"
)

// maxSuggested is how many words a suggestion has.
const maxSuggested = 3

// Suggest returns a text such as `, did you mean "mean"?` with the word that [Nearest] finds, or "" if it finds none. If others are as
// near, it has up to three of them, as in `, did you mean "state" or "stats"?` for stat.
func Suggest(word string, known []string) string {
	near := allNearest(word, known)
	switch near = near[:min(len(near), maxSuggested)]; len(near) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(", did you mean %q?", near[0])
	}
	return ", did you mean " + alternatives(near) + "?"
}

// Nearest returns the known word with the fewest edits from the given one, the first among ties, or "" if none is near. An
// edit inserts, removes or replaces a byte, or exchanges two neighbours. Case, and "-" in place of "_", do not count. A known
// word is near if the edits are at most a third of its bytes; one edit is always near, four never are. The word itself is
// not a result.
func Nearest(word string, known []string) string {
	if near := allNearest(word, known); len(near) > 0 {
		return near[0]
	}
	return ""
}

// allNearest returns the known words with the fewest edits from the given one, without repetitions: see [Nearest].
func allNearest(word string, known []string) (near []string) {
	fewest := 3
	for _, candidate := range known {
		limit := min(max(len(candidate)/3, 1), fewest)
		d := distance(fold(word), fold(candidate))
		if d > limit || candidate == word || d == fewest && slices.Contains(near, candidate) {
			continue
		}
		if d < fewest {
			near, fewest = nil, d
		}
		near = append(near, candidate)
	}
	return near
}

// UnknownFlag returns a text such as "--lisen, did you mean --listen?" for the error of package [flag] about a flag that does not
// exist. known has the names of the flags without dashes. It suggests the name that [Nearest] finds, or else the first one that
// begins with the given name. ok is false for any other error.
func UnknownFlag(err error, known []string) (text string, ok bool) {
	name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !ok {
		return "", false
	}
	nearest := Nearest(name, known)
	if i := slices.IndexFunc(known, func(k string) bool { return strings.HasPrefix(k, name) }); nearest == "" && i >= 0 {
		nearest = known[i]
	}
	if nearest == "" {
		return "--" + name, true
	}
	return "--" + name + ", did you mean --" + nearest + "?", true
}

// fold returns a word without the differences that do not count.
func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance returns the optimal string alignment distance of two texts, in bytes: see Boytsov, "Indexing methods for
// approximate dictionary searching", 2011, section 2.2. Row i of the matrix has the distances of a[:i] to each b[:j]; three rows
// are enough.
func distance(a, b string) int {
	var before []int // the row before the last one
	last, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
