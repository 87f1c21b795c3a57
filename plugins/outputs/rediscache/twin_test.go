package rediscache_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// telegrafs are plugins in processes of their own, with one clock.
type telegrafs struct {
	addr    string
	seconds atomic.Int64 // that have passed
}

func (ts *telegrafs) start(t *testing.T, pid int, options string) (*rediscache.RedisCache, *plugintest.Log) {
	t.Helper()
	r, log := output(t, ts.addr, options)
	begin := time.Now()
	r.RunsAs(pid, func() time.Time { return begin.Add(time.Duration(ts.seconds.Load()) * time.Second) })
	require.NoError(t, r.Connect())
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r, log
}

// write lets plugins write the same row, one after another, for some rounds of ten seconds.
func (ts *telegrafs) write(t *testing.T, rounds int, plugins ...*rediscache.RedisCache) {
	t.Helper()
	for range rounds {
		for _, r := range plugins {
			require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 60)}))
		}
		ts.seconds.Add(10)
	}
}

func TestTwoTelegrafsWithOneNameAreLogged(t *testing.T) {
	t.Parallel()
	ts := &telegrafs{addr: redistest.Database(t)}
	a, logA := ts.start(t, 11, "")
	b, logB := ts.start(t, 12, "")
	ts.write(t, 30, a, b)
	for own, log := range map[string]*plugintest.Log{"this one (pid 11 on": logA, "this one (pid 12 on": logB} {
		require.Len(t, log.Warnings(), 1, "five minutes")
		line := log.Warnings()[0]
		require.Contains(t, line, own)
		for _, want := range []string{`'agent' "a1"`, "db:analytics_cpu", "pid 11 on host \"web1\", started at 1970-01-01T00:00:11Z", "pid 12 on host", "give each its own 'agent' name"} {
			require.Contains(t, line, want)
		}
	}
	require.Greater(t, a.NameConflicts(), int64(20))
	ts.write(t, 60, a, b)
	require.Len(t, logA.Warnings(), 2, "ten minutes more: "+strings.Join(logA.Warnings(), "; "))
}

func TestReplicasAndRestartsAreNotLogged(t *testing.T) {
	t.Parallel()
	ts := &telegrafs{addr: redistest.Database(t)}
	a, logA := ts.start(t, 11, `  replica = "a"`)
	b, logB := ts.start(t, 12, `  replica = "b"`)
	ts.write(t, 10, a, b)
	require.NoError(t, a.Close())
	reloaded, logReloaded := ts.start(t, 11, `  replica = "a"`)
	ts.write(t, 10, reloaded, b)
	restarted, logRestarted := ts.start(t, 13, `  replica = "a"`) // the one before was killed
	ts.write(t, 10, restarted, b)
	for _, log := range []*plugintest.Log{logA, logB, logReloaded, logRestarted} {
		require.Empty(t, log.Warnings())
	}
}
