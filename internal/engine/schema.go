package engine

import (
	"slices"
	"strings"

	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
)

const (
	// namelessField is the name with which a field leaves whose own name line protocol cannot carry at all.
	namelessField = "_"
	// fewSchemas is how many schemas are kept whether or not a series has them.
	fewSchemas = 64
)

// schema gives each field of a series a position. Series whose fields came together share one. A schema that grew out
// of another begins as that does, so a position once given stays, and mostly shares its memory. Fields whose names
// leave alike have one position.
type schema struct {
	number  uint64   // of the list of names, never used again for another one; 0 is no list
	names   []string // as they leave, by position
	known   []known
	aliases bool           // whether a name leaves as another one
	index   map[string]int // of a name in known; nil until it is needed

	grown map[string]*schema // by the names that were added
	heir  bool               // one of these has the memory behind names and known, and the index
}

// known is a name as it arrives and the position of its field.
type known struct {
	name     string
	position int
}

// find returns where in known the name is, or −1.
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

// schemas keeps the schemas that series share: a tree that grows from the empty one.
type schemas struct {
	empty  *schema
	count  int    // of schemas in the tree
	limit  int    // at which those without a series are let go
	number uint64 // the largest that a schema has
}

func (t *schemas) init() { t.empty, t.count, t.limit = &schema{}, 0, fewSchemas }

// extend returns the schema that has the new names too, which s does not know and of which none comes twice.
// Whatever their order, it is the same schema. extend sorts names and keeps none of their memory.
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

// child returns a schema that begins as s does. The first one takes over the memory behind it, so that a series
// whose fields come one after another does not copy all of them each time.
func (s *schema) child() *schema {
	c := &schema{names: slices.Clip(s.names), known: slices.Clip(s.known), aliases: s.aliases}
	if !s.heir {
		s.heir = true
		c.names, c.known, c.index = s.names, s.known, s.index
		s.index = nil
	}
	return c
}

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

// leavingAs returns the position of the field that leaves under that name, or −1.
func (s *schema) leavingAs(name string) int {
	if s.aliases {
		return slices.Index(s.names, name)
	}
	if i := s.find(name); i >= 0 {
		return s.known[i].position
	}
	return -1
}

// sweep lets go of the schemas that no series has, when there are many: the tree begins anew, and series keep
// theirs.
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
