package cache_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// process returns the identity of a process of the agent "a1".
func process(pid int) cache.Identity {
	return cache.Identity{Agent: "a1", Host: "web1", PID: pid, Started: time.Unix(int64(pid), 0).UTC()}
}

// twin is a writer with an identity, and what it has reported.
type twin struct {
	*cache.Writer
	mu    sync.Mutex
	found []cache.Identity // guarded by mu
}

func newTwin(t *testing.T, client redis.UniversalClient, c *clock, id cache.Identity) *twin {
	t.Helper()
	tw := &twin{}
	tw.Writer = writerOf(t, client, func(o *cache.Options) {
		o.Now, o.Identity, o.CompatRecords = c.now, id, 0
		o.Twin = func(_ record.Table, other cache.Identity) {
			tw.mu.Lock()
			defer tw.mu.Unlock()
			tw.found = append(tw.found, other)
		}
	})
	return tw
}

// twins returns what the writer has reported.
func (tw *twin) twins() []cache.Identity {
	tw.mu.Lock()
	defer tw.mu.Unlock()
	return tw.found
}

// rounds lets writers write one after another, every ten seconds.
func rounds(t *testing.T, n int, c *clock, table record.Table, writers ...*twin) {
	t.Helper()
	for range n {
		for _, w := range writers {
			put(t, w.Writer, table, rec(60, "f", "h", 1))
			c.at.Add(5)
		}
	}
}

func TestTwoRunningWritersWithOneNameNoticeEachOther(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		c, table := newClock(time.Now().Unix()), newTable()
		a, b := newTwin(t, client, c, process(1)), newTwin(t, client, c, process(2))
		rounds(t, 6, c, table, a, b)
		require.Contains(t, a.twins(), process(2))
		require.Contains(t, b.twins(), process(1))
		require.NotContains(t, a.twins(), process(1))
		require.NotContains(t, b.twins(), process(2))

		require.NoError(t, b.Close(patience))
		rounds(t, 1, c, table, a) // b has written since the last write of a
		before := len(a.twins())
		rounds(t, 6, c, table, a)
		require.Len(t, a.twins(), before, "the other one has ended")
		require.Zero(t, a.Restored()+b.Restored(), "the marks stay")
	})
}

func TestWritersThatAreNoTwins(t *testing.T) {
	t.Parallel()
	replica := func(name string) cache.Identity {
		id := process(len(name) + 2)
		id.Replica = name
		return id
	}
	other := process(3)
	other.Agent = "a2"
	for name, second := range map[string]cache.Identity{
		"another agent": other, "a replica": replica("b"), "another block of the process": process(1), "without a name": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := server(t)
			c := newClock(time.Now().Unix())
			a, b := newTwin(t, client, c, process(1)), newTwin(t, client, c, second)
			rounds(t, 15, c, table, a, b)
			require.Empty(t, a.twins())
			require.Empty(t, b.twins())
		})
	}
}

// The old process ends with Close, or is killed. In both cases its mark stays in Redis until it expires.
func TestARestartIsNoTwin(t *testing.T) {
	t.Parallel()
	client := server(t)
	c := newClock(time.Now().Unix())
	killed := newTwin(t, client, c, process(1))
	rounds(t, 3, c, table, killed)
	stopped := newTwin(t, client, c, process(2))
	rounds(t, 3, c, table, stopped)
	require.NoError(t, stopped.Close(patience))
	reloaded := newTwin(t, client, c, process(2)) // in the same process
	rounds(t, 3, c, table, reloaded)
	require.NoError(t, reloaded.Close(patience))
	restarted := newTwin(t, client, c, process(3))
	rounds(t, 15, c, table, restarted)
	for _, w := range []*twin{killed, stopped, reloaded, restarted} {
		require.Empty(t, w.twins())
	}
}

// A rolling update starts the new process while the old one still writes its last rows.
func TestALastWriteOfTheOldProcessIsNoTwin(t *testing.T) {
	t.Parallel()
	client := server(t)
	c := newClock(time.Now().Unix())
	old, next := newTwin(t, client, c, process(1)), newTwin(t, client, c, process(2))
	rounds(t, 3, c, table, old)
	rounds(t, 1, c, table, next, old)
	rounds(t, 15, c, table, next)
	require.Empty(t, next.twins())
}

// Redis has marks of earlier versions, which are only a random text, and of later ones.
func TestMarksOfOtherVersionsAreNoTwins(t *testing.T) {
	t.Parallel()
	client := server(t)
	c := newClock(time.Now().Unix())
	a, older := newTwin(t, client, c, process(1)), newTwin(t, client, c, cache.Identity{})
	for range 6 {
		rounds(t, 1, c, table, a, older)
		for _, member := range []string{"0123456789abcdef", `{"id":7}`, `{"id":"1","agent":"a1","pid":"many"}`, `{`} {
			score := float64(c.now().Add(time.Hour).UnixMicro())
			require.NoError(t, client.ZAdd(t.Context(), cache.Key(table, "w"), redis.Z{Score: score, Member: member}).Err())
		}
		// An unknown writer has set the name.
		require.NoError(t, client.ZAdd(t.Context(), cache.Key(table, "w"), redis.Z{Score: 1, Member: cache.NameMember(process(1))}).Err())
	}
	require.Empty(t, a.twins())
	require.Zero(t, a.Restored())
}

// A writer without a twin sends no command for this.
func TestLookingForTwinsCostsNoCommand(t *testing.T) {
	t.Parallel()
	sent := func(id cache.Identity) int64 {
		var commands atomic.Int64
		client := server(t)
		client.AddHook(pipelines(func(cmds []redis.Cmder, next func() error) error {
			commands.Add(int64(named(cmds, "zadd", "zrangebyscore"))) // and not those of new connections
			return next()
		}))
		c := newClock(time.Now().Unix())
		rounds(t, 5, c, table, newTwin(t, client, c, id))
		return commands.Load()
	}
	require.Equal(t, sent(cache.Identity{}), sent(process(1)))
}
