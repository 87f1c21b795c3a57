package describe

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// namelessField is what a field is called whose name cannot be said in line protocol at all.
	namelessField = "_"
	// fewSchemas is how many schemas are kept whether or not a series has them.
	fewSchemas = 64
)

// schema gives each field of a series a position. Series whose fields came together share one; a schema that
// grew out of another begins as that does, so a position once given stays. Fields whose names arrive alike
// have one position. A schema is immutable, but for its index.
type schema struct {
	id    string   // the names as they arrive, in the order of known
	names []string // as they leave, by position
	known []known
	seed  maphash.Seed
	index []int32 // by hash of a name, with linear probing: 1 + position in known, or 0; built when first needed
}

// known is a name as it arrives and the position that it stands for.
type known struct {
	name     string
	position int
}

// find returns where in known the name is, or −1.
func (s *schema) find(name string) int {
	if s.index == nil {
		s.build()
	}
	mask := len(s.index) - 1
	for slot := int(maphash.String(s.seed, name)) & mask; ; slot = (slot + 1) & mask {
		i := int(s.index[slot]) - 1
		if i < 0 || s.known[i].name == name {
			return i
		}
	}
}

func (s *schema) build() {
	size := 8
	for size < 2*len(s.known) {
		size *= 2
	}
	s.index = make([]int32, size)
	for i, k := range s.known {
		slot := int(maphash.String(s.seed, k.name)) & (size - 1)
		for s.index[slot] != 0 {
			slot = (slot + 1) & (size - 1)
		}
		s.index[slot] = int32(i + 1)
	}
}

// schemas keeps the schemas that series share, by id.
type schemas struct {
	seed  maphash.Seed
	byID  map[string]*schema
	empty *schema // of a series that has no field yet
	limit int     // of schemas, at which those without a series are let go
}

func (t *schemas) init() {
	t.seed = maphash.MakeSeed()
	t.empty = &schema{seed: t.seed}
	t.byID = make(map[string]*schema)
	t.limit = fewSchemas
}

// extend returns the schema that has the new names too, which s does not know and of which none comes twice.
// Whatever their order, it is the same schema. extend sorts names and keeps none of their memory.
func (t *schemas) extend(s *schema, names []string) *schema {
	slices.Sort(names)
	id := []byte(s.id)
	for _, name := range names {
		id = appendText(id, name)
	}
	if known, ok := t.byID[string(id)]; ok {
		return known
	}
	grown := &schema{id: string(id), names: slices.Clip(s.names), known: slices.Clip(s.known), seed: t.seed}
	for _, name := range names {
		grown.add(strings.Clone(name))
	}
	t.byID[grown.id] = grown
	return grown
}

func (s *schema) add(arriving string) {
	name := record.Sendable(arriving)
	if name == "" {
		name = namelessField
	}
	position := slices.Index(s.names, name)
	if position < 0 {
		position = len(s.names)
		s.names = append(s.names, name)
	}
	s.known = append(s.known, known{arriving, position})
}

// sweep lets go of the schemas that no series has, when there are many.
func (t *schemas) sweep(all []*series) {
	if len(t.byID) <= t.limit {
		return
	}
	clear(t.byID)
	for _, s := range all {
		if s.schema != t.empty {
			t.byID[s.schema.id] = s.schema
		}
	}
	t.limit = 2*len(t.byID) + fewSchemas
}
