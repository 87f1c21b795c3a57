package redistest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// databases is how many logical databases the shared server has. Each test takes at least one.
const databases = 1000

// shared has the servers that the tests of a package share. The first test that needs one starts it and [Main] stops it.
var shared struct {
	mu       sync.Mutex // guards all below
	server   *redisserver.Server
	cluster  []string
	cleanups []func()
	used     int32 // how many of the logical databases belong to a test
}

// Main runs the tests of a package, then stops the servers that these shared. A package that calls [Database] or
// [SharedCluster] calls it from TestMain.
func Main(m *testing.M) {
	m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, f := range slices.Backward(shared.cleanups) {
		f()
	}
}

// lasting is the test that starts a shared server, which outlives that test.
type lasting struct{ testing.TB }

func (lasting) Cleanup(f func()) { shared.cleanups = append(shared.cleanups, f) }

func (lasting) Context() context.Context { return context.Background() }

func (l lasting) TempDir() string {
	dir, err := os.MkdirTemp("", "redistest")
	require.NoError(l, err)
	l.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Database returns the address, as host:port/number, of an empty logical database that no other test uses. It belongs to
// one redis-server of the whole package.
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

// Open returns a client of the Redis at host:port or host:port/number, which closes with the test.
func Open(t testing.TB, addr string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL("redis://" + addr)
	require.NoError(t, err)
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// SharedCluster returns the addresses of one Redis Cluster of the whole package, as [Cluster] does. Its keys are those of
// all tests, so a test takes names of its own.
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
