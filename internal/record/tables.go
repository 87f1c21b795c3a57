package record

import "time"

// TableEntry is a table in the list of all tables.
type TableEntry struct {
	Table
	LastWrite time.Time // when an agent last wrote records of the table, in UTC
}

// TableInfo describes the contents of a table.
type TableInfo struct {
	Fields, TagKeys []string  // the described fields and the keys of tags, sorted
	First, Last     time.Time // the starts of the first and the last bucket, zero if there is no bucket
	Version         int64     // each write increases it; 0 for a table that does not exist
}

// Range selects buckets of a table by their starts, in [Start, End). A zero time is no bound. If Last is above 0, only the
// newest Last of these buckets are selected, and if First is above 0, only the oldest First of them. At most one of the two is
// above 0. The zero Range selects all. For example, Range{Start: t, Last: 3} selects the newest three of the buckets that start at t or
// later.
type Range struct {
	Start, End  time.Time
	Last, First int
}

// Contains reports whether start is in [r.Start, r.End). It ignores Last and First.
func (r Range) Contains(start time.Time) bool {
	return (r.Start.IsZero() || !start.Before(r.Start)) && (r.End.IsZero() || start.Before(r.End))
}
