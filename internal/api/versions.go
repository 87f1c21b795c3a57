package api

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// versionAge is how old the version of a table may be with which a kept answer is compared, counted from the beginning of
	// its reading. So an answer can lack writes that Redis has confirmed less than 20 ms before the request. Reading the version
	// for each request, or for those that wait at the same time, made kept answers 2 to 3 times slower. No reader depends on
	// less: agents write every few seconds, the list of tables is a second old, and a stream reads a changed bucket 20 ms after
	// the change. A client that reads after an event of a stream gets what the event promises: see [versions.forget].
	versionAge = 20 * time.Millisecond
	// maxVersions is how many tables have a version in memory.
	maxVersions = 10_000
)

// versions are the versions of tables, each kept in memory for versionAge. Requests share the newest reading of a table, so that there
// is at most one at a time, except after a call of forget or when there are maxVersions. It is safe for concurrent use.
type versions struct {
	read    func(context.Context, record.Table) (int64, error) // reads the version from Redis
	now     func() time.Time
	timeout time.Duration // bounds one reading

	forgotten atomic.Uint64 // how often forget was called

	mu     sync.Mutex                       // guards the field below
	newest map[record.Table]*reading[int64] // the last reading of each table, which may still run; all are forgotten at maxVersions
}

// of returns a version that the table had at most versionAge before the time asked, or later, and when its reading began. A reading
// of another request that began too long before is waited for, and then another one is made. The error is an unavailable.
func (v *versions) of(ctx context.Context, t record.Table, asked time.Time) (version int64, at time.Time, err error) {
	for now := asked; ; now = v.now() {
		r := v.current(ctx, t, now)
		version, err := r.wait(ctx)
		if err != nil || asked.Sub(r.at) < versionAge {
			return version, r.at, err
		}
	}
}

// current returns the newest reading if it is usable, or else begins a new one. The caller waits for it without the lock.
func (v *versions) current(ctx context.Context, t record.Table, now time.Time) *reading[int64] {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.newest[t]; r != nil && (!r.ended() || r.usable(r.at, versionAge) && now.Sub(r.at).Abs() < versionAge) { // now can be before r.at
		return r
	}
	if v.newest == nil || len(v.newest) >= maxVersions {
		v.newest = make(map[record.Table]*reading[int64])
	}
	r := read(ctx, now, v.timeout, func(ctx context.Context) (int64, error) { return v.read(ctx, t) })
	v.newest[t] = r
	return r
}

// forget makes later calls of [versions.of] read the version of a table again, unless it was read after a time. It also makes the
// checks of all kept answers invalid: see [check].
func (v *versions) forget(t record.Table, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forgotten.Add(1)
	if r := v.newest[t]; r != nil && r.at.Before(at) {
		delete(v.newest, t)
	}
}
