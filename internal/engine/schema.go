package engine

import (
	"slices"
	"strings"

	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
)

const (
	// namelessField is the name in rows of a field whose name is empty in line protocol.
	namelessField = "_"
	// fewSchemas is the number of schemas that are kept even if no series has them.
	fewSchemas = 64
)

// schema gives each field of a series a position. Series with the same fields share a schema. A schema is immutable:
// if a series gets more fields, it gets another schema that begins with the same fields, so positions stay valid.
// Fields with the same name in rows have the same position.
//
// For example, series with the field idle, some of which also got busy, or nice and user in one point, have these schemas:
//
//	(empty) ─ ",idle" ─▶ idle ─ ",busy" ──────▶ idle busy
//	                          └ ",nice,user" ─▶ idle nice user
//
// Only index, grown and heir change after extend has returned a schema. Engine.mu guards these three. The rest may be read without it.
type schema struct {
	number  uint64         // different for each list of names; 0 for the empty one
	names   []string       // in rows, by position
	known   []known        // the names in points
	aliases bool           // whether a name in rows differs from the name in points
	index   map[string]int // the index in known of each name; nil until it is needed

	grown map[string]*schema // the schemas that begin with this one, by the added names
	heir  bool               // whether one of these uses the index and the free capacity of names and known
}

// known is the name of a field in points and its position.
type known struct {
	name     string
	position int // in schema.names; two fields that have one name in rows share it
}

// find returns the index of a name in known, or −1. It makes the index if there is none, so the caller holds Engine.mu also if it changes
// nothing else.
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
	count  int    // the number of schemas in the tree, without the root
	limit  int    // the count above which sweep begins a new tree
	number uint64 // the largest number of a schema so far
}

// init makes a tree of the root alone.
func (t *schemas) init() { t.empty, t.count, t.limit = &schema{}, 0, fewSchemas }

// extend returns the schema with the fields of s and more names. The names are all different, and none is in s. Their
// order does not matter. extend sorts the slice names and keeps no part of it.
func (t *schemas) extend(s *schema, names []string) *schema {
	slices.Sort(names)
	// The key of the child in grown, such as ",nice,user". A comma in a name is escaped.
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

// child returns a schema with the fields of s, to which the caller adds others. The first child appends to the memory
// of s: otherwise a series whose fields appear one by one would copy all of them each time. Other children must copy,
// because the first child has used the memory.
func (s *schema) child() *schema {
	c := &schema{names: slices.Clip(s.names), known: slices.Clip(s.known), aliases: s.aliases}
	if !s.heir {
		s.heir = true
		c.names, c.known, c.index = s.names, s.known, s.index
		s.index = nil
	}
	return c
}

// add adds a field by its name in points, which is not in the schema yet. Its name in rows may be: the two fields then share a position.
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

// leavingAs returns the position of the field with that name in rows, or −1 if there is none.
func (s *schema) leavingAs(name string) int {
	if s.aliases {
		return slices.Index(s.names, name)
	}
	if i := s.find(name); i >= 0 {
		return s.known[i].position
	}
	return -1
}

// sweep begins a new tree if there are too many schemas, because a tree also keeps the schemas of retired series. Series keep their
// schemas, and numbers are not used again. Schemas without a series become garbage. The next sweep, which visits all series, comes after
// twice as many new schemas as are in use now, and fewSchemas more.
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
