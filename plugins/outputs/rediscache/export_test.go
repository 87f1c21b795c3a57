package rediscache

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// Counts returns the plugin's own statistics: records written, outdated and rejected, fields ignored, errors of upkeep.
func (r *RedisCache) Counts() [5]int64 {
	c := &r.counters
	return [5]int64{c.written.Get(), c.outdated.Get(), c.rejected.Get(), c.ignored.Get(), c.faults.Get()}
}

// Client returns the client of a connected plugin.
func (r *RedisCache) Client() redis.UniversalClient { return r.client }

// Errors returns an error of each of the types that Telegraf recognizes, which wrap err.
func Errors(err error) []error { return []error{&startupError{err: err}, &partialError{err: err}} }

// RunsAs makes the plugin, before Connect, that of a process with the PID and the clock.
func (r *RedisCache) RunsAs(pid int, now func() time.Time) {
	r.process = process{"web1", pid, time.Unix(int64(pid), 0), now}
}

// NameConflicts returns how often another Telegraf with the same name was noticed.
func (r *RedisCache) NameConflicts() int64 { return r.counters.twins.Get() }

// Restored returns how many records were written again because Redis had lost them.
func (r *RedisCache) Restored() int64 { return r.counters.restored.Get() }

// Kept returns how many records could not be kept, and the memory of those that are.
func (r *RedisCache) Kept() (notKept, size int64) {
	return r.counters.notKept.Get(), r.counters.keptBytes.Get()
}

// Upkeep returns the functions of an upkeep.
func Upkeep() (fail, end func(now time.Time) bool) {
	u := &upkeep{}
	return u.fail, u.end
}

// Losses returns the functions of losses.
func Losses() (add func(tables, records int), take func(now time.Time) (times, tables, records int)) {
	l := &losses{}
	return l.add, l.take
}

// Waiting returns how many records wait for a server of a cluster.
func (r *RedisCache) Waiting() int64 {
	waiting, _, _ := r.writer.Waiting()
	return waiting
}
