package rediscache

import (
	"os"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// twinEvery is the shortest time between two warnings about another Telegraf with the same name. It lasts until somebody changes a
// configuration, so a line a minute would hide other lines.
const twinEvery = 10 * time.Minute

// started is about when this process started. It distinguishes the processes of containers, which have few PIDs.
var started = time.Now()

// process identifies a running Telegraf. The zero process is this one.
type process struct {
	host    string           // "" if it is unknown
	pid     int              // not 0, except in the zero process
	started time.Time        // distinguishes processes that have the same host and PID, one after another
	now     func() time.Time // its clock
}

// orThis returns the process, or this one if it is zero.
func (p process) orThis() process {
	if p.pid != 0 {
		return p
	}
	host, _ := os.Hostname() // without it, PID and start are enough
	return process{host, os.Getpid(), started, time.Now}
}

// identity returns the process as others see it, with the options agent and replica.
func (p process) identity(agent, replica string) cache.Identity {
	return cache.Identity{Agent: agent, Replica: replica, Host: p.host, PID: p.pid, Started: p.started}
}

// logTwin counts and logs that another Telegraf with the same agent and replica writes a table, at most once in twinEvery: see
// [cache.Options]. The writer calls it only during Write.
func (r *RedisCache) logTwin(t record.Table, other cache.Identity) {
	r.counters.twins.Incr(1)
	process := r.process.orThis()
	now := process.now()
	if !r.twin.IsZero() && now.Sub(r.twin) < twinEvery {
		return
	}
	r.twin = now
	r.Log.Warnf("Two running Telegrafs with the same 'agent' %q and 'replica' %q write table %s, so they overwrite each other's records: "+
		"this one (%s) and another (%s); give each its own 'agent' name, or its own 'replica' if both see the same values",
		r.Agent, r.Replica, t, process.identity(r.Agent, r.Replica), other)
}
