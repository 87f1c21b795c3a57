package describe

import (
	"slices"
	"strconv"
	"strings"
)

// differences returns the options that differ in two identities, for the log: "name = old → new" in the spelling of TOML, sorted by name
// and separated by commas. An option that an identity lacks is "not known". For example:
//
//	bucket = "1h" → "1d", group_by = ["host"] → ["*"]
//
// It is empty for equal identities.
func differences(before, after map[string]string) string {
	var all []string
	for _, from := range []map[string]string{before, after} {
		for name := range from {
			old, hadOld := before[name]
			current, hasNew := after[name]
			if hadOld != hasNew || old != current {
				all = append(all, name+" = "+spelled(name, old, hadOld)+" → "+spelled(name, current, hasNew))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// spelled returns the value of an option of an identity in the spelling of TOML.
func spelled(name, value string, known bool) string {
	switch {
	case !known:
		return "not known"
	case name == "group_by":
		return list(value)
	}
	return strconv.Quote(value)
}

// list returns the TOML of the list that identity has written as quoted texts between brackets, with spaces. Another text is quoted.
func list(value string) string {
	var items []string
	rest := strings.TrimSuffix(strings.TrimPrefix(value, "["), "]")
	for rest != "" {
		item, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return strconv.Quote(value)
		}
		items = append(items, item)
		rest = strings.TrimPrefix(rest[len(item):], " ")
	}
	return "[" + strings.Join(items, ", ") + "]"
}
