package series

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// ClashSuffix is appended to the key of a tag that another name would hide.
const ClashSuffix = "_tag"

// escapes replaces control characters as Telegraf does. Making it takes longer than replacing.
var escapes = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\f", `\f`, "\r", `\r`)

// Sendable returns s as a reader of line protocol receives it. Telegraf writes tabs, newlines, form feeds and
// carriage returns as an escape of two characters. Line protocol cannot express a backslash at the end of a name, so
// Sendable removes these. InfluxDB accepts valid UTF-8 only, so each run of other bytes becomes U+FFFD. The result may be
// empty. Two texts have the same result if a reader receives the same text for both.
func Sendable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\t\n\f\r") && !strings.HasSuffix(s, `\`) {
		return s
	}
	s = escapes.Replace(strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimRight(s, `\`)
}

// RenameTags gives the tags keys that line protocol can carry. Each new key is a result of [Sendable], not empty,
// different from the other keys, and not taken. A key that clashes gets [ClashSuffix] once or more, until it is free.
// RenameTags changes tags in place, keeps their order even if the new keys are not ascending, and returns the old keys of
// the tags that it renamed.
func RenameTags(tags []Tag, taken func(key string) bool) (renamed []string) {
	for i := range tags {
		old := tags[i].Key
		key := Sendable(old)
		if key == old && key != "" && !taken(key) {
			continue
		}
		for key == "" || taken(key) || isOther(tags, i, key) {
			key += ClashSuffix
		}
		tags[i].Key = key
		renamed = append(renamed, old)
	}
	return renamed
}

// isOther reports whether a tag other than the i-th has that key.
func isOther(tags []Tag, i int, key string) bool {
	j := slices.IndexFunc(tags, func(t Tag) bool { return t.Key == key })
	return j >= 0 && j != i
}
