package record

import (
	"strings"
	"time"
)

// SummaryPart is what a roll-up needs of one stored record.
type SummaryPart struct {
	// Tags are the tags of the series as [series.AppendTags] writes them.
	Tags string
	// Field is the described field.
	Field string
	// Agent and Replica are those of the record.
	Agent, Replica string
	// State is the state of the record.
	State State
	// Summary is the encoded summary, empty for a record without one.
	Summary []byte
}

// Summaries are the parts of one bucket, in any order.
type Summaries struct {
	// Start is the start of the bucket.
	Start time.Time
	Parts []SummaryPart
	// Invalid is the number of stored texts that were skipped because they are not records.
	Invalid int
}

// StateOf returns the state of a record from its JSON. It does not parse the JSON: quotation marks inside strings are
// escaped, so the text that it searches for can only be a member. The values of tags are strings, so it cannot confuse a
// tag named "final" with the member.
func StateOf(text string) State {
	const member = `"` + FinalName + `":`
	switch i := strings.Index(text, member); {
	case i < 0:
		return Unmarked
	case strings.HasPrefix(text[i+len(member):], "true"):
		return Final
	case strings.HasPrefix(text[i+len(member):], "false"):
		return Open
	}
	return Unmarked
}
