package cache

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// passed remembers since when cleanings have found members of a sorted set whose scores are times that have passed. The clock of the
// writer that has set a member, or that of the one that cleans, may be wrong by any time, but no clock goes much too fast. So a member
// leaves only after one writer has seen it unchanged for some time.
//
// The zero passed has seen nothing. It is guarded by the lock of the table.
type passed struct {
	since map[string]time.Time // by score and member, by the local clock
}

// mostPassed is how many members stay at most: a writer that is restarted often sees none for long.
const mostPassed = 1000

// settle returns the members, of those that are there now in the order of their scores, that are to be removed: those that were seen for
// the time least, and the first ones beyond mostPassed.
func (p *passed) settle(members []redis.Z, now time.Time, least time.Duration) (gone []redis.Z) {
	before := p.since
	p.since = make(map[string]time.Time, len(members))
	for i, z := range members {
		key := fmt.Sprint(z.Score, " ", z.Member)
		since, known := before[key]
		if !known {
			since = now
		}
		if i < len(members)-mostPassed || now.Sub(since) >= least {
			gone = append(gone, z)
		} else {
			p.since[key] = since
		}
	}
	return gone
}
