package rediscache

import "time"

// outage is the time since the first of the writes or connections that failed. The zero outage is none.
type outage struct {
	since    time.Time
	attempts int // that have failed
}

// fail notes a failed attempt.
func (o *outage) fail(now time.Time) {
	if o.attempts == 0 {
		o.since = now
	}
	o.attempts++
}

// end ends the outage. It returns how long the outage was and how many attempts failed, 0 if there was none.
func (o *outage) end(now time.Time) (lasted time.Duration, attempts int) {
	if o.attempts > 0 {
		lasted, attempts = now.Sub(o.since), o.attempts
	}
	*o = outage{}
	return lasted, attempts
}
