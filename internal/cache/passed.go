package cache

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// passed remembers when this writer first found each member of a sorted set whose score is a time that has passed. The clock of the
// writer that set the member, or that of this writer, may be wrong by any time, but a wrong clock still measures durations. So a member is
// removed only after one writer has found it unchanged for some time.
//
// The zero passed has no members. It is guarded by the lock of the table.
type passed struct {
	since map[string]time.Time // by score and member, by the local clock
}

// mostPassed is the largest number of members that are kept. Without it, no member would be removed if all writers are restarted often.
const mostPassed = 1000

// settle takes the members that the set has now, in the order of their scores, and returns those to remove: the members that were found at
// least so long ago, and the first ones if there are more than mostPassed.
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
