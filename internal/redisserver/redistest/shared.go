package redistest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// databases is the number of logical databases of the shared server. Each test uses at least one. None is used again: with -count=3, a
// package uses three times as many. An empty one takes half a kilobyte.
const databases = 10_000

// shared holds the servers that the tests of a package share. The first test that needs a server starts it, and
// [Main] stops it.
var shared struct {
	mu       sync.Mutex // guards the fields below
	server   *redisserver.Server
	cluster  []string
	cleanups []func()
	used     int32 // how many of the logical databases belong to a test
}

// Main runs the tests of a package, and then stops the shared servers. A package that calls [Database] or
// [SharedCluster] must call it in TestMain. Otherwise the servers stop only as this process ends: on Linux the kernel ends them, and their
// temporary folders stay.
func Main(m *testing.M) {
	m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, f := range slices.Backward(shared.cleanups) {
		f()
	}
}

// lasting is the test that starts a shared server. It delays cleanups until Main, because the server must outlive the
// test. If starting it fails, that test fails, and the next one tries again.
type lasting struct{ testing.TB }

// Cleanup registers a function that Main calls. The caller holds the lock of shared.
func (lasting) Cleanup(f func()) { shared.cleanups = append(shared.cleanups, f) }

// Context returns a context that does not end with the test.
func (lasting) Context() context.Context { return context.Background() }

// TempDir returns a new folder that Main removes.
func (l lasting) TempDir() string {
	dir, err := os.MkdirTemp("", "redistest")
	require.NoError(l, err)
	l.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Database returns the address, as host:port/number, of an empty logical database that no other test uses. All these
// databases are on one redis-server, which the tests of the package share. They have the same channels, so a test that subscribes
// needs a server of its own.
func Database(t testing.TB) string {
	t.Helper()
	Need(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		shared.server = Start(lasting{t}, redisserver.Options{Args: []string{"--databases", strconv.Itoa(databases)}})
	}
	number := shared.used
	shared.used++
	require.Less(t, number, int32(databases))
	return fmt.Sprintf("%s/%d", shared.server.Addr(), number)
}

// Open returns a client of the Redis at host:port or host:port/number, which closes with the test. A password may come before it, as in
// ":password@127.0.0.1:6379". It waits a minute for each answer, because a server that shares a busy machine can be slow.
func Open(t testing.TB, addr string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL("redis://" + addr)
	require.NoError(t, err)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = time.Minute, time.Minute, time.Minute
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// SharedCluster returns the addresses of one Redis Cluster of the whole package, as [Cluster] does. All tests of the
// package use the same keyspace, so each test must choose names that no other test uses.
func SharedCluster(t testing.TB) []string {
	t.Helper()
	Need(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		shared.cluster = Cluster(lasting{t})
	}
	return shared.cluster
}
