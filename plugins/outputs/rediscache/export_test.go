package rediscache

import "github.com/redis/go-redis/v9"

// Counts returns the plugin's own statistics: records written, outdated and rejected, fields ignored, errors of upkeep.
func (r *RedisCache) Counts() [5]int64 {
	c := &r.counters
	return [5]int64{c.written.Get(), c.outdated.Get(), c.rejected.Get(), c.ignored.Get(), c.faults.Get()}
}

// Client returns the client of a connected plugin.
func (r *RedisCache) Client() redis.UniversalClient { return r.client }

// Errors returns an error of each of the types that Telegraf recognizes, which wrap err.
func Errors(err error) []error { return []error{&startupError{err: err}, &partialError{err: err}} }
