package file

// decision is what the options want of the cells of a column. The zero decision leaves them out.
type decision struct {
	read  bool // to describe them, or to group by them
	text  bool // as texts, whatever kind they have; means nothing unless read
	group bool // to group by them; then read and text are true too
}

// decisions asks the options about names and keeps the answers: the cells of a column come once a row, and asking takes longer than reading
// them. For 1,000,000 lines of 10 fields and a pattern of names, keeping the answers reduced the processor time from 1.25 s to 0.94 s.
// It belongs to one parser, and needs no lock. CSV has no use for it: its schema has the decisions, see csvSchema.decide.
type decisions struct {
	o            *Options
	fields, tags map[string]decision
}

// newDecisions returns decisions by the options.
func newDecisions(o *Options) *decisions {
	return &decisions{o: o, fields: make(map[string]decision), tags: make(map[string]decision)}
}

// of returns the decision on a column. It keeps no part of name. A tag and a field of one name have decisions of their own, because
// Group may want one and not the other.
func (d *decisions) of(name []byte, tag bool) decision {
	o := d.o
	if o.Select == nil && o.AsText == nil && o.Group == nil {
		return decision{read: true}
	}
	known := d.fields
	if tag {
		known = d.tags
	}
	if answer, ok := known[string(name)]; ok { // without a copy of the name
		return answer
	}
	own := string(name)
	answer := decision{group: o.Group != nil && o.Group(own, tag)}
	answer.read = o.Select == nil || o.Select(own) || answer.group
	answer.text = answer.group || o.AsText != nil && o.AsText(own)
	const most = 10_000 // with so many names, most occur only once
	if len(known) < most {
		known[own] = answer
	}
	return answer
}
