package record

import (
	"strings"
	"time"
)

// Form is the form that the JSON of every record of one bucket has. It finds texts that no writer stored, without parsing
// them: a check takes about 0.2 µs (BenchmarkForm), [Parse] takes 10 µs (BenchmarkRecord). A Form is immutable, so its methods may be called concurrently.
type Form struct {
	names string // the JSON up to the value of field_name: {"table_name":"analytics_cpu","field_name":
	start string // the members from time_bucket up to the value of agent: ,"time_bucket":"2026-01-02T03:04:00Z","time":1767323040000,"agent":
}

// NewForm returns the form of the records in the bucket that begins at start. table is the whole name of the table.
func NewForm(table string, start time.Time) Form {
	return Form{names: strings.TrimSuffix(string(appendNames(nil, table, "")), `""`)}.At(start)
}

// At returns the form of the records in another bucket of the table.
func (f Form) At(start time.Time) Form {
	f.start = string(appendAgent(make([]byte, 0, 96), start))
	return f
}

// Matches reports whether text is one JSON object in valid UTF-8 that begins as [Record.AppendJSON] writes a record of the
// bucket and whose other members are strings, numbers, booleans and null. The members replica, final and revision must have
// the type that [Parse] wants and be before all tags and statistics, and none of the first members may occur again. Matches does
// not notice that another member occurs twice.
func (f Form) Matches(text string) bool {
	_, ok := f.Outline(text)
	return ok
}

// member returns the name, with its quotation marks, and the value of the member of an object at the beginning of s. The value
// is empty if s does not begin with a member that may follow the agent of a record. For example, of `"host":"a","count":3}` it returns
// `"host"` and `"a"`, and of `"final":1}` nothing, because that is not a boolean. It does not look at what follows the value.
func member(s string) (name, value string) {
	key := stringLen(s)
	if key == 0 || key == len(s) || s[key] != ':' {
		return "", ""
	}
	name, value = s[:key], s[key+1:]
	value = value[:valueLen(value)]
	if value == "" {
		return "", ""
	}
	switch text := name[1 : key-1]; text {
	case Replica:
		if value[0] != '"' {
			return "", ""
		}
	case FinalName:
		if value != "true" && value != "false" {
			return "", ""
		}
	case Revision:
		if digitsLen(value) != len(value) {
			return "", ""
		}
	default:
		if isMember(text) {
			return "", ""
		}
	}
	return name, value
}

// valueLen returns the length of the JSON string, number, boolean or null at the beginning of s, or 0 for another text.
func valueLen(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case '"':
		return stringLen(s)
	case 't', 'f', 'n':
		for _, word := range [...]string{"true", "false", "null"} {
			if strings.HasPrefix(s, word) {
				return len(word)
			}
		}
		return 0
	}
	return numberLen(s)
}

// stringLen returns the length of the JSON string at the beginning of s with its quotation marks, or 0 if s does not begin
// with one. It does not check whether the text is valid UTF-8.
func stringLen(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return 0
		case c == '\\':
			n := escapeLen(s[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		}
	}
	return 0
}

// escapeLen returns the length of the escape sequence at the beginning of s, such as \n or \u00e9, or 0 for another text.
func escapeLen(s string) int {
	if len(s) < 2 {
		return 0
	}
	if s[1] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, s[1]) < 0 {
			return 0
		}
		return 2
	}
	const length = len(`\u0000`)
	if len(s) < length {
		return 0
	}
	for _, c := range []byte(s[2:length]) {
		if strings.IndexByte("0123456789abcdefABCDEF", c) < 0 {
			return 0
		}
	}
	return length
}

// numberLen returns the length of the JSON number at the beginning of s, or 0 if s does not begin with one.
func numberLen(s string) int {
	whole := strings.TrimPrefix(s, "-")
	n := digitsLen(whole)
	if n == 0 || n > 1 && whole[0] == '0' {
		return 0
	}
	rest := whole[n:]
	if strings.HasPrefix(rest, ".") {
		n = digitsLen(rest[1:])
		if n == 0 {
			return 0
		}
		rest = rest[1+n:]
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		exponent := rest[1:]
		if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
			exponent = exponent[1:]
		}
		n = digitsLen(exponent)
		if n == 0 {
			return 0
		}
		rest = exponent[n:]
	}
	return len(s) - len(rest)
}

// digitsLen returns how many digits s begins with.
func digitsLen(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}
