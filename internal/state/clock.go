package state

import (
	"sync"
	"time"
)

// clock measures the age of the store: the nanoseconds during which it was open, counted with the monotonic clock.
// Jumps of the wall clock do not change the age. It begins with the wall time at which the store was created, so it
// is usually close to the wall time. The log and the database contain the age at which the last run ended: see
// resume.
//
// Its methods may be called concurrently.
type clock struct {
	now func() time.Time // set before the first call

	mu   sync.Mutex // guards the fields below
	age  int64      // the age at the time read
	read time.Time  // with a reading of the monotonic clock, unless a test replaced now
}

// maxAge is the largest age with which a clock begins. From there, it cannot overflow.
const maxAge = 1 << 62

// resume sets the age at which the last run ended, and adds the time away since then, but at most most. Without the
// time away, a command that runs for a short time now and then would keep its final buckets for years. It is limited
// because it comes from the wall clock, which may be wrong at the start.
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
