package record

import "errors"

// Name is the name of a record in its bucket, and what it shows of the record's JSON: the outline without Stats.
type Name struct {
	Text string
	Outline
}

// ErrUnclear is the error for a bucket with a name that does not show the outline of its record. Use errors.Is to find it.
var ErrUnclear = errors.New("a name does not show which record it has")
