package bucket

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

// LoadZone returns the time zone with that name of the IANA time zone database, such as
// "Europe/Berlin", or "UTC". It refuses "" and names that depend on the host ("Local", "localtime"),
// so that the same configuration makes the same buckets everywhere. It also refuses the zones below
// "right/", which count leap seconds, as event times do not.
//
// It reads the database of the host. If the host has none, it reads the one that the program embeds by importing
// time/tzdata.
func LoadZone(name string) (*time.Location, error) {
	const want = `want an IANA name such as "Europe/Berlin", or "UTC"`
	switch {
	case name == "":
		return nil, fmt.Errorf("time zone %q: %s", name, want)
	case name == "Local" || name == "localtime":
		return nil, fmt.Errorf("time zone %q depends on the host, so that buckets would differ between hosts: %s", name, want)
	case strings.HasPrefix(name, "right/"):
		return nil, fmt.Errorf("time zone %q counts leap seconds: %s", name, want)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w, %s", name, err, want)
	}
	return zone, nil
}

// piece is an interval of time in which the offset of a zone is constant. It ends where the next
// piece starts. Its fields are whole seconds, so that local times at the edges of int64 nanoseconds do
// not overflow.
type piece struct {
	from   int64 // when it starts, since 1970 in UTC; the first piece starts before all times
	offset int64 // local time minus UTC
	// reached is the exclusive end of the local times that the clock has shown before the piece starts. It does not
	// fall from one piece to the next, although the clock itself does when it is set back.
	reached int64
}

// beforeAll is a time in seconds before all times and local times that int64 nanoseconds hold.
const beforeAll = math.MinInt64 / 4

// pieces returns the pieces of a zone from 1677 to 2262, ascending.
func pieces(zone *time.Location) []piece {
	at := time.Unix(0, math.MinInt64).In(zone)
	_, offset := at.Zone()
	all := []piece{{from: beforeAll, offset: int64(offset), reached: beforeAll}}
	last := time.Unix(0, math.MaxInt64)
	for {
		at = nextChange(at)
		if at.IsZero() || at.After(last) {
			return all
		}
		_, offset := at.Zone()
		before := all[len(all)-1]
		if int64(offset) == before.offset {
			continue // only the name of the zone changes, or nothing
		}
		all = append(all, piece{
			from: at.Unix(), offset: int64(offset), reached: max(before.reached, at.Unix()+before.offset),
		})
	}
}

// nextChange returns a time after at, in the same zone, up to which the offset does not change, or the zero time if it
// never changes again.
//
// For years after those that the time zone database lists, Go applies a yearly rule. ZoneBounds then assumes that a
// year ends after 365 days, so on 31 December of a leap year it returns an end that is not after at. The offset is
// constant on that day, so nextChange continues with the first instant of the next year.
func nextChange(at time.Time) time.Time {
	_, end := at.ZoneBounds()
	if !end.IsZero() && !end.After(at) {
		return time.Date(at.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).In(at.Location())
	}
	return end
}

// pieceAt returns the index of the piece that holds a time in seconds.
func pieceAt(all []piece, sec int64) int {
	return sort.Search(len(all)-1, func(i int) bool { return all[i+1].from > sec })
}

// firstReach returns the index of the piece in which the clock first reaches a local time in seconds.
func firstReach(all []piece, local int64) int {
	return sort.Search(len(all)-1, func(i int) bool { return all[i+1].reached > local })
}
