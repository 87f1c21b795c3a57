package engine

import (
	"slices"
	"strings"

	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
)

const (
	// namelessField is the name in rows of a field whose own name line protocol cannot carry at all.
	namelessField = "_"
	// fewSchemas is how many schemas are always kept, also without a series.
	fewSchemas = 64
)

// schema gives each field of a series a position. Series with the same fields share a schema. A schema does not change:
// for further fields it makes another one that begins with the same fields, so positions stay valid. Fields that have
// the same name in rows have one position.
type schema struct {
	number  uint64         // different for each list of names; 0 for the empty one
	names   []string       // in rows, by position
	known   []known        // the names in points
	aliases bool           // whether a name in rows differs from the name in points
	index   map[string]int // where in known a name is; nil until it is needed

	grown map[string]*schema // the schemas that grew out of this one, by the added names
	heir  bool               // whether one of these has taken over the index and the spare memory of names and known
}

// known is the name of a field in points and its position.
type known struct {
	name     string
	position int
}

// find returns the index of a name in known, or −1.
func (s *schema) find(name string) int {
	if s.index == nil {
		s.index = make(map[string]int, len(s.known))
		for i, k := range s.known {
			s.index[k.name] = i
		}
	}
	if i, ok := s.index[name]; ok {
		return i
	}
	return -1
}

// schemas is the tree of the schemas that series share. Its root is the empty schema.
type schemas struct {
	empty  *schema
	count  int    // of schemas in the tree, without the root
	limit  int    // of count, beyond which sweep begins a new tree
	number uint64 // the largest that a schema has
}

func (t *schemas) init() { t.empty, t.count, t.limit = &schema{}, 0, fewSchemas }

// extend returns the schema that has further names, all different and none of them in s. The order of the names makes no
// difference. extend sorts names and keeps no part of them.
func (t *schemas) extend(s *schema, names []string) *schema {
	slices.Sort(names)
	var added []byte
	for _, name := range names {
		added = ids.AppendEscaped(append(added, ','), name)
	}
	if grown, ok := s.grown[string(added)]; ok {
		return grown
	}
	grown := s.child()
	t.number++
	grown.number = t.number
	for _, name := range names {
		grown.add(strings.Clone(name))
	}
	if s.grown == nil {
		s.grown = make(map[string]*schema)
	}
	s.grown[string(added)] = grown
	t.count++
	return grown
}

// child returns a schema with the fields of s, to which others are added. The first child appends to the memory of s:
// otherwise a series whose fields come one by one would copy all of them each time. Further children must not.
func (s *schema) child() *schema {
	c := &schema{names: slices.Clip(s.names), known: slices.Clip(s.known), aliases: s.aliases}
	if !s.heir {
		s.heir = true
		c.names, c.known, c.index = s.names, s.known, s.index
		s.index = nil
	}
	return c
}

// add adds a name that points carry.
func (s *schema) add(arriving string) {
	name := ids.Sendable(arriving)
	if name == "" {
		name = namelessField
	}
	position := s.leavingAs(name)
	if position < 0 {
		position = len(s.names)
		s.names = append(s.names, name)
	}
	s.aliases = s.aliases || name != arriving
	s.known = append(s.known, known{arriving, position})
	if s.index != nil {
		s.index[arriving] = len(s.known) - 1
	}
}

// leavingAs returns the position of the field with that name in rows, or −1.
func (s *schema) leavingAs(name string) int {
	if s.aliases {
		return slices.Index(s.names, name)
	}
	if i := s.find(name); i >= 0 {
		return s.known[i].position
	}
	return -1
}

// sweep begins a new tree if there are many schemas. The series keep theirs; the others are garbage then.
func (t *schemas) sweep(all []*series) {
	if t.count <= t.limit {
		return
	}
	used := make(map[*schema]bool)
	for _, s := range all {
		s.schema.grown = nil
		used[s.schema] = true
	}
	t.empty = &schema{}
	t.count = 0
	t.limit = 2*len(used) + fewSchemas
}
