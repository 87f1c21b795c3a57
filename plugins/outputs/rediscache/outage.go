package rediscache

import (
	"sync"
	"time"
)

// outage is a time in which writes or connections fail. It begins with the first attempt that fails. The zero outage is none.
// Only the methods that Telegraf calls use it, one at a time. An outage that begins at the start, in Connect, goes on until the first
// Write that succeeds for all tables.
type outage struct {
	since    time.Time // when the first attempt failed; not set while attempts is 0
	attempts int       // how many failed, one after another
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

const (
	// upkeepEvery is the shortest time between two messages about errors of upkeep.
	upkeepEvery = time.Minute
	// upkeepOver is the time without an error after which upkeep works again. The writer tries it at least once a minute
	// while there are metrics.
	upkeepOver = 2 * time.Minute
)

// upkeep is the state of the work that the writer tries again by itself: cleaning, repairs, the list of tables and
// the compatibility keys. The writer reports only errors, so upkeep takes a while without errors for success. Its methods
// may be called concurrently.
type upkeep struct {
	mu     sync.Mutex // guards the fields below
	logged time.Time  // when an error was last logged; zero if upkeep works
	failed time.Time  // the last error
}

// fail notes an error. It returns whether to log it: the first one, and then at most one in upkeepEvery.
func (u *upkeep) fail(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed = now
	if now.Sub(u.logged) < upkeepEvery {
		return false
	}
	u.logged = now
	return true
}

// end returns true once, if upkeep works again after an error that was logged.
func (u *upkeep) end(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.logged.IsZero() || now.Sub(u.failed) < upkeepOver {
		return false
	}
	u.logged = time.Time{}
	return true
}

// lossesEvery is the shortest time between two messages about losses. With a maxmemory-policy that evicts keys, a full Redis loses some
// at every write.
const lossesEvery = time.Minute

// losses counts the losses of data in Redis that are not logged yet. The zero losses is ready to use. Its methods may be called
// concurrently.
type losses struct {
	mu      sync.Mutex // guards the fields below
	logged  time.Time  // when losses were last logged
	times   int        // how often data was lost since then
	tables  int        // of all these times, so that a table can count several times
	records int
}

// add notes a loss.
func (l *losses) add(tables, records int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times, l.tables, l.records = l.times+1, l.tables+tables, l.records+records
}

// take returns the losses to log, of which times is 0 if there are none, or if others were logged less than lossesEvery ago.
func (l *losses) take(now time.Time) (times, tables, records int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times == 0 || now.Sub(l.logged) < lossesEvery {
		return 0, 0, 0
	}
	times, tables, records = l.times, l.tables, l.records
	l.logged, l.times, l.tables, l.records = now, 0, 0, 0
	return times, tables, records
}
