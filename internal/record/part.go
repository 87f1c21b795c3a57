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
	// Names has a name for each text that is different for the other records of the bucket. It is nil if the bucket has
	// one part. A later part may have a record again, with the same name; the later text is then newer or equal.
	Names []string
	// Last is true if this is the last part of the bucket. A bucket without records has one part, which is empty.
	Last bool
}

// Corrupt is the error for stored data of a table that no writer has stored, such as a key of another type. It does not
// go away by a second try.
type Corrupt struct {
	Table Table  // zero for the list of all tables
	What  string // the fault, in words that a client may see
}

func (e *Corrupt) Error() string {
	if e.Table == (Table{}) {
		return "the list of tables is corrupt: " + e.What
	}
	return fmt.Sprintf("table %q of database %q is corrupt: %s", e.Table.Name, e.Table.Database, e.What)
}
