// Package redistest starts real Redis servers for tests. Without an installed redis-server, the tests are skipped:
// see [Need].
//
//	Database, SharedCluster   one server or cluster for all tests of a package: see Main. The fastest
//	Server, Cluster           of the test alone: for options, and for what changes more than keys
//	ReplicatedCluster         with replicas, for the loss of primaries: Kill, Pause, Hasten
//	Sentinels                 the same with Sentinels
//	Slow                      a network with a delay, between a client and any server
//	TLS                       certificates, and servers that want them
//	Free                      an address for a server that comes later
//
// Servers end with the test that has started them, and shared ones with Main. The functions must be called in the goroutine of
// the test, because they may end it.
package redistest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// Need skips the test if no redis-server is on PATH. If the environment variable REQUIRE_REDIS is 1, it fails the test
// instead, so that no test is skipped unnoticed where one must be installed. Every function that starts a server calls it.
func Need(t testing.TB) {
	t.Helper()
	if _, err := redisserver.Find(); err != nil {
		if os.Getenv("REQUIRE_REDIS") == "1" {
			t.Fatalf("%v, but REQUIRE_REDIS is 1", err)
		}
		t.Skipf("%v: install redis-server to run this test", err)
	}
}

// Server starts a server on a free port and stops it when the test ends.
func Server(t testing.TB) *redisserver.Server {
	t.Helper()
	return Start(t, redisserver.Options{})
}

// Start starts a server with options and stops it when the test ends. Without Options.Addr, it listens on an address of [Free], so a test
// can stop it and start another one there.
func Start(t testing.TB, o redisserver.Options) *redisserver.Server {
	t.Helper()
	return startOn(t, func() redisserver.Options {
		next := o
		if next.Addr == "" {
			next.Addr = Free(t)
		}
		return next
	})
}

// Client returns a client of the server, as [Open] does.
func Client(t testing.TB, s *redisserver.Server) *redis.Client {
	t.Helper()
	return Open(t, s.Addr())
}

// patience is how long functions of this package wait for what a server does by itself. Sentinels do nothing for 30 seconds after their
// machine stood still.
const patience = 3 * time.Minute

// node is one server of a cluster.
type node struct {
	addr   string        // by which clients of the cluster connect to it; with TLS, that of the port for TLS
	client *redis.Client // of the port without TLS
}

// Cluster starts a Redis Cluster of three primaries without replicas and returns their addresses, host:port. It stops them when
// the test ends. Three are the fewest of a cluster that redis-cli would make.
func Cluster(t testing.TB) []string {
	t.Helper()
	const primaries = 3
	nodes := make([]node, 0, primaries)
	for range primaries {
		s := startOn(t, func() redisserver.Options {
			return redisserver.Options{Addr: busFree(t, "127.0.0.1"), Args: clusterArgs(t)}
		})
		nodes = append(nodes, node{s.Addr(), Client(t, s)})
	}
	return join(t, nodes)
}

// steadyTimeout is the cluster-node-timeout of nodes that are not meant to be lost, in milliseconds. On a machine that stands still for
// some seconds, nodes with a shorter one take each other for dead, and the cluster refuses commands.
const steadyTimeout = "600000"

// clusterArgs returns the arguments of a node, with a folder for its configuration.
func clusterArgs(t testing.TB) []string {
	return []string{"--cluster-enabled", "yes", "--dir", t.TempDir(), "--cluster-node-timeout", steadyTimeout}
}

// join forms a cluster of the nodes, with an equal share of the slots for each, and returns their addresses. The
// nodes exchange their state in the background, so join polls until all agree. Of three nodes, the first has the slots 0 to 5460, the
// second those to 10921 and the third those to 16383.
//
// Each node gets a configuration epoch of its own, as redis-cli does when it makes a cluster: if two nodes claim a slot, the higher epoch
// decides. All nodes meet the first one, which introduces them to each other.
func join(t testing.TB, nodes []node) []string {
	t.Helper()
	const slots = 16384 // of every cluster
	ctx := t.Context()
	addrs := make([]string, 0, len(nodes))
	for i, n := range nodes {
		addrs = append(addrs, n.addr)
		require.NoError(t, n.client.ClusterAddSlotsRange(ctx, i*slots/len(nodes), (i+1)*slots/len(nodes)-1).Err())
		require.NoError(t, n.client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i > 0 {
			host, port, err := net.SplitHostPort(addrs[0])
			require.NoError(t, err)
			require.NoError(t, n.client.ClusterMeet(ctx, host, port).Err())
		}
	}
	for _, n := range nodes {
		require.Eventually(t, func() bool {
			info, err := n.client.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(nodes)))
		}, patience, 20*time.Millisecond, "the cluster is not complete")
	}
	return addrs
}

// startOn starts a server with the options that next returns, and stops it when the test ends. If another process has
// taken a port in the meantime, it calls next again, up to ten times.
func startOn(t testing.TB, next func() redisserver.Options) *redisserver.Server {
	t.Helper()
	Need(t)
	var failed error
	for range 10 {
		s, err := redisserver.Start(context.Background(), next())
		if err == nil {
			t.Cleanup(func() { require.NoError(t, s.Stop()) })
			return s
		}
		// The error of a port for the cluster bus or for TLS is only in the output of the server, which the error has.
		if text := strings.ToLower(err.Error()); !strings.Contains(text, "address already in use") && !strings.Contains(text, "has the port") {
			require.NoError(t, err)
		}
		t.Log(err)
		failed = err
	}
	require.NoError(t, failed, "no server started in ten attempts")
	return nil
}

// Free returns an address of 127.0.0.1 on which nothing listens. Other tests of this package's users do not choose it before the test ends.
//
// A port that Linux assigns for port 0 would be unsafe: while no server listens on it, it can become that of another server or of a
// connection, even of the client that tries to reach the server.
func Free(t testing.TB) string {
	t.Helper()
	return choose(t, "127.0.0.1", 0)
}

// busFree returns an address of the host with a free port. The port 10,000 above, for the cluster bus, is free too.
func busFree(t testing.TB, host string) string {
	t.Helper()
	return choose(t, host, 10000)
}

// choose returns an address of the host with a free port, so that the port that much above it is free too. The test has reserved both
// until it ends. They are random ports from 10,000 to 31,999, which are below those that Linux assigns for port 0: these begin at 32,768. A
// program that does not reserve ports may still take one of them before it is used, see startOn.
func choose(t testing.TB, host string, above int) string {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(22000-above)
		addr, second := fmt.Sprintf("%s:%d", host, port), fmt.Sprintf("%s:%d", host, port+above)
		if reserve(t, port) && (above == 0 || reserve(t, port+above)) && isFree(addr) && isFree(second) {
			return addr
		}
	}
	t.Fatal("no free port in 1000 attempts")
	return ""
}

// reserve reserves a port until the test ends, and reports whether it was not reserved before. It is reserved for all hosts.
//
// Linux has abstract sockets: a name that exists while its listener is open, in the network to which the port belongs too. So the
// reservation is known to all processes that share the ports, and ends with the process. Other systems reserve nothing.
func reserve(t testing.TB, port int) bool {
	t.Helper()
	if runtime.GOOS != "linux" {
		return true
	}
	l, err := net.Listen("unix", fmt.Sprintf("@redistest-%d", port))
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = l.Close() })
	return true
}

// isFree reports whether a server can listen on the address.
func isFree(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
