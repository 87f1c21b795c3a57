package record

import (
	"strconv"
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

// Summaries are the parts of one bucket, or some of them, in any order.
type Summaries struct {
	// Start is the start of the bucket.
	Start time.Time
	Parts []SummaryPart
	// Invalid is the number of stored texts that were skipped because they are not records.
	Invalid int
	// Last is true if no more parts of the bucket come. Of a bucket that comes in several Summaries, a part may come again; the
	// later one is then newer or equal.
	Last bool
}

// StateOf returns the state of a record from its JSON, a result of [Record.AppendJSON]. For any other text the result has no
// meaning. It does not parse the JSON: quotation marks inside strings are escaped, so the text that it searches for can only end the
// name of a member. The value of any other member with such a name is a string, so StateOf cannot confuse it with true or false.
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

// RevisionOf returns the revision of a record from its JSON, 0 for a record without one. It does not parse the JSON: see
// [StateOf].
func RevisionOf(text string) int64 { return max(0, integerOf(text, Revision)) }

// CountOf returns the statistic count of a record from its JSON, or -1 for a record without it. It does not parse the JSON:
// see [StateOf].
func CountOf(text string) int64 { return integerOf(text, countName) }

// integerOf returns the value of a member that is an integer of 0 or more, or -1 if there is none.
func integerOf(text, name string) int64 {
	_, rest, ok := strings.Cut(text, `,"`+name+`":`)
	if !ok {
		return -1
	}
	end := strings.IndexAny(rest, ",}")
	if end < 0 {
		return -1
	}
	n, err := strconv.ParseInt(rest[:end], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
