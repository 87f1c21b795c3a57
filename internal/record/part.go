package record

import (
	"fmt"
	"time"
)

// Part is some of the records of one bucket, or all of them.
type Part struct {
	// Start is the start of the bucket.
	Start time.Time
	// Texts are the JSON of the records, in any order.
	Texts []string
	// Names has a name for each of Texts, which no other record of the bucket has. It is nil if the bucket has
	// one part. A later part may have a record again, with the same name; the later text is then newer or equal.
	Names []string
	// Size is the number of records of the bucket when its first part was read, or 0 if it is not known.
	Size int
	// Last is true if this is the last part of the bucket. A bucket without records has one part, which is empty.
	Last bool
}

// Corrupt is the error for stored data that no writer of records has stored, such as a key of another type. A second try
// gives the same error. Use errors.As with a *Corrupt to find it.
type Corrupt struct {
	Table Table  // zero for the list of all tables
	What  string // the fault, in words that a client may see
}

// Error returns the table and the fault.
func (e *Corrupt) Error() string {
	if e.Table == (Table{}) {
		return "the list of tables is corrupt: " + e.What
	}
	return fmt.Sprintf("table %q of database %q is corrupt: %s", e.Table.Name, e.Table.Database, e.What)
}
