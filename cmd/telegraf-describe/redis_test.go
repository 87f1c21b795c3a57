package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// sharedRedis is the redis-server of all tests that need no server of their own. The first of them starts it and
// TestMain stops it.
var sharedRedis struct {
	start  sync.Once
	server *redisserver.Server
	err    error
	used   atomic.Int32 // how many of the logical databases belong to a test
}

// databasesOfRedis is the number of logical databases of the shared server. Each test takes at least one.
const databasesOfRedis = 1000

// redisDatabase returns the address of an empty logical database that no other test uses, as host:port/number.
func redisDatabase(t *testing.T) string {
	t.Helper()
	redistest.Need(t)
	sharedRedis.start.Do(func() {
		sharedRedis.server, sharedRedis.err = redisserver.Start(context.Background(),
			redisserver.Options{Args: []string{"--databases", strconv.Itoa(databasesOfRedis)}})
	})
	require.NoError(t, sharedRedis.err)
	number := sharedRedis.used.Add(1) - 1
	require.Less(t, number, int32(databasesOfRedis))
	return fmt.Sprintf("%s/%d", sharedRedis.server.Addr(), number)
}

// stopSharedRedis stops the shared server if a test has started it.
func stopSharedRedis() error {
	if sharedRedis.server == nil {
		return nil
	}
	return sharedRedis.server.Stop()
}

// redisClient returns a client of the Redis at host:port or host:port/number, which closes with the test.
func redisClient(t *testing.T, addr string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL("redis://" + addr)
	require.NoError(t, err)
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
