package state

import (
	"sync"
	"time"
)

// clock is the store's own time, its age: nanoseconds that pass while the store is open, counted with the monotonic clock.
// A wall clock that jumps does not change it. It begins at the wall time at which the store was created, so that it mostly
// is near the wall time. The age of the last run is in the log and in the database; see resume.
//
// Its methods may be called concurrently.
type clock struct {
	now func() time.Time

	mu   sync.Mutex // guards all below
	age  int64      // at read
	read time.Time  // with a reading of the monotonic clock, unless a test replaced now
}

// maxAge is the largest age that a clock begins with: it never overflows from there.
const maxAge = 1 << 62

// resume sets the age at which the last run ended. The time away since then counts too, as a command that runs for a
// short time now and then would keep its final buckets for years otherwise; but no more than most of it counts, as the
// wall clock, which it comes from, may be wrong at start.
func (c *clock) resume(age int64, away, most time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = c.now()
	c.age = min(max(age, 0)+int64(min(max(away, 0), most)), maxAge)
}

// time returns the age. It never falls.
func (c *clock) time() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.age += int64(max(now.Sub(c.read), 0))
	c.read = now
	return c.age
}
