package token

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Action is something that a token allows in some databases.
type Action string

// Actions. Each of them is for the databases of its permission.
const (
	Read    Action = "read"    // lists of databases and tables, and records
	Stream  Action = "stream"  // events of changed buckets
	Metrics Action = "metrics" // the export to Prometheus
)

// actions are all actions.
var actions = []Action{Read, Stream, Metrics}

// systemMetrics is the permission for the metrics of the service itself.
const systemMetrics = "system:metrics:read"

// example is the example in errors about permissions.
const example = `, want one such as "db:mydb:read", "db:site1,plant_*:read,metrics" or "` + systemMetrics + `"`

// Permission allows actions in databases, or the metrics of the service. Its text is
// "db:NAME[,NAME…]:ACTION[,ACTION…]" or "system:metrics:read", as in InfluxDB 3. A name that ends with * is a prefix, so
// that * alone matches every database. In a name, %2C is a comma, %2A a star and %25 a percent sign. A colon may be in a name: the
// last one in the text begins the actions.
//
// The zero Permission allows nothing. A Permission is immutable and safe for concurrent use.
type Permission struct {
	text      string // that was parsed
	databases []pattern
	actions   []Action // in each of them
	system    bool     // for the metrics of the service; without databases and actions then
}

// pattern matches databases: one name, or all with a prefix.
type pattern struct {
	name   string
	prefix bool
}

// matches reports whether the pattern has the name of the database or a prefix of it.
func (p pattern) matches(database string) bool {
	if p.prefix {
		return strings.HasPrefix(database, p.name)
	}
	return database == p.name
}

// ParsePermission parses the text of a permission. The error contains the fault and examples. The databases need not exist.
func ParsePermission(text string) (Permission, error) {
	p := Permission{text: text, system: text == systemMetrics}
	if p.system {
		return p, nil
	}
	rest, ok := strings.CutPrefix(text, "db:")
	last := strings.LastIndexByte(rest, ':')
	if !ok || last < 0 {
		return Permission{}, fmt.Errorf("permission %q%s", text, example)
	}
	for raw := range strings.SplitSeq(rest[:last], ",") {
		database, err := parsePattern(raw)
		if err != nil {
			return Permission{}, fmt.Errorf("permission %q: database %q: %w%s", text, raw, err, example)
		}
		p.databases = append(p.databases, database)
	}
	for raw := range strings.SplitSeq(rest[last+1:], ",") {
		if !slices.Contains(actions, Action(raw)) {
			return Permission{}, fmt.Errorf("permission %q: action %q is not one of %s, %s and %s%s", text, raw, Read, Stream, Metrics, example)
		}
		p.actions = append(p.actions, Action(raw))
	}
	return p, nil
}

// parsePattern parses the name of a database, or a prefix, as it is written in a permission.
func parsePattern(raw string) (pattern, error) {
	text, prefix := strings.CutSuffix(raw, "*")
	name, err := url.PathUnescape(text)
	switch {
	case err != nil:
		return pattern{}, errors.New("a percent sign is written as %25")
	case strings.Contains(text, "*"):
		return pattern{}, errors.New("a star is only possible at the end of a name, and %2A is the character")
	case !prefix && name == "":
		return pattern{}, errors.New("a name has at least one character")
	case !utf8.ValidString(name):
		return pattern{}, errors.New("a name is valid UTF-8")
	}
	return pattern{name: name, prefix: prefix}, nil
}

// String returns the text that was parsed.
func (p Permission) String() string { return p.text }

// Grant has the permissions of one token. The zero Grant allows nothing. A Grant is immutable and safe for concurrent use.
type Grant struct {
	id          string
	permissions []Permission // any of them is enough
	all         bool         // whether everything is allowed
}

// All returns a Grant that allows everything, for a service without tokens.
func All() Grant { return Grant{all: true} }

// ID returns the id of the token, which is not secret. It is "" for the zero Grant and for [All].
func (g Grant) ID() string { return g.id }

// Allows reports whether the action is allowed in a database.
func (g Grant) Allows(a Action, database string) bool {
	if g.all {
		return true
	}
	for _, p := range g.permissions {
		if slices.Contains(p.actions, a) && slices.ContainsFunc(p.databases, func(d pattern) bool { return d.matches(database) }) {
			return true
		}
	}
	return false
}

// AllowsSome reports whether the action is allowed in at least one database. That database need not exist.
func (g Grant) AllowsSome(a Action) bool {
	return g.all || slices.ContainsFunc(g.permissions, func(p Permission) bool { return slices.Contains(p.actions, a) })
}

// AllowsSystem reports whether the metrics of the service are allowed.
func (g Grant) AllowsSystem() bool {
	return g.all || slices.ContainsFunc(g.permissions, func(p Permission) bool { return p.system })
}
