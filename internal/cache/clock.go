package cache

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// clockEvery is the time between two comparisons with the clock of Redis.
const clockEvery = time.Minute

// serverClock is the clock of Redis. All agents take the expiry times and the limit between past and future from it, so
// an agent whose own clock is wrong neither removes nor displaces the records of others. Its methods may be called
// concurrently.
//
// In a cluster, it is the clock of the server whose table was written when a comparison was due: the clocks of the servers
// should agree.
type serverClock struct {
	local func() time.Time // Options.Now

	mu       sync.Mutex    // guards the fields below
	compared time.Time     // when the clocks were last compared, by the clock of the machine; zero before that
	ahead    time.Duration // how far the clock of Redis is ahead of the local one
	server   bool          // whether ahead is known
}

// now returns the time of Redis, or the local time before the first successful comparison.
func (c *serverClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local().Add(c.ahead)
}

// isOfServer reports whether now returns the time of Redis.
func (c *serverClock) isOfServer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// compare compares the clocks, at most once in clockEvery. If the ACL of the user does not have TIME, the clock stays as
// it is. The error means that Redis did not answer. The time of the round trip is an error of the comparison, so now may be
// behind Redis by as much.
//
// The lock is not held during the round trip, so that now never waits for Redis. Two calls at the same time may both ask.
func (c *serverClock) compare(ctx context.Context, client redis.Cmdable) error {
	c.mu.Lock()
	due := c.compared.IsZero() || time.Since(c.compared) >= clockEvery
	c.mu.Unlock()
	if !due {
		return nil
	}
	server, err := client.Time(ctx).Result()
	if err != nil && !IsAnswer(err) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compared = time.Now() // also after a refusal, because another TIME would be refused too
	if err == nil {
		c.ahead, c.server = server.Sub(c.local()), true
	}
	return nil
}
