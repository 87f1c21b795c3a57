package api

import (
	"sync"
	"time"
)

const (
	// outageEvery is the shortest time between two log lines about an outage of Redis.
	outageEvery = time.Minute
	// outageOver is the time without a failed request after which an answer of Redis ends the outage. In a cluster, one server
	// may answer while another one is away.
	outageOver = 5 * time.Second
)

// outage is a time in which requests fail because Redis does not answer. The zero outage is none. It is safe for concurrent use.
//
// For example, an outage of two and a half minutes in which requests come all the time gives four lines: the first failure, one after a minute
// and one after two minutes, and the end.
type outage struct {
	now func() time.Time

	mu     sync.Mutex // guards the fields below
	since  time.Time  // the first failed request
	last   time.Time  // the last failed request
	logged time.Time  // the last line
	failed int        // requests since the first one; 0 without an outage
}

// fail notes a failed request. It returns whether to log it, how long the outage has lasted, and how many requests it has failed.
// The first request of an outage is logged with a duration of 0. Between two lines, it returns false and zeros.
func (o *outage) fail() (log bool, lasted time.Duration, failed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if o.failed == 0 {
		o.since = now
	}
	o.failed++
	o.last = now
	if o.failed > 1 && now.Sub(o.logged) < outageEvery {
		return false, 0, 0
	}
	o.logged = now
	return true, now.Sub(o.since), o.failed
}

// end ends the outage, if no request has failed for outageOver. It returns how long requests failed, and how many, 0 if no outage
// has ended. It is called for each answer of Redis, of which most find no outage.
func (o *outage) end() (lasted time.Duration, failed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == 0 || o.now().Sub(o.last) < outageOver {
		return 0, 0
	}
	lasted, failed = o.last.Sub(o.since), o.failed
	o.failed = 0
	return lasted, failed
}
