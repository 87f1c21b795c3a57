package redistest

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// ReplicatedCluster starts a Redis Cluster of three primaries with a replica each and returns their addresses, the primaries
// first and the replicas in the same order. A replica takes over from a primary that has died after [Hasten] only. If all servers of
// some slots are gone, the cluster serves the others. It stops the servers when the test ends.
//
// The primaries form a cluster first. Then the replicas meet it, and each is given its primary as soon as it knows that one. The cluster is
// complete when every node knows three ranges of slots with two servers each, and every replica has its data.
//
// A replica gets the data of its primary at once, not after a delay in which more replicas may come.
func ReplicatedCluster(t testing.TB) []string {
	t.Helper()
	const primaries = 3
	start := func() node {
		s := startOn(t, func() redisserver.Options {
			return redisserver.Options{Addr: busFree(t, "127.0.0.1"), Args: replicatedArgs(t.TempDir())}
		})
		return node{s.Addr(), Client(t, s)}
	}
	nodes := make([]node, 0, 2*primaries)
	for range 2 * primaries {
		nodes = append(nodes, start())
	}
	addrs := join(t, nodes[:primaries])
	host, port, err := net.SplitHostPort(addrs[0])
	require.NoError(t, err)
	for i, replica := range nodes[primaries:] {
		addrs = append(addrs, replica.addr)
		require.NoError(t, replica.client.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", primaries+i+1).Err())
		require.NoError(t, replica.client.ClusterMeet(t.Context(), host, port).Err())
	}
	for i, replica := range nodes[primaries:] {
		id, err := nodes[i].client.Do(t.Context(), "CLUSTER", "MYID").Text()
		require.NoError(t, err)
		require.Eventually(t, func() bool { return replica.client.ClusterReplicate(t.Context(), id).Err() == nil }, patience, 20*time.Millisecond,
			"the replica does not know its primary")
	}
	for _, n := range nodes {
		require.Eventually(t, func() bool {
			slots, err := n.client.ClusterSlots(t.Context()).Result() //nolint:staticcheck // the client of a cluster reads this map too
			whole := err == nil && len(slots) == primaries
			for _, s := range slots {
				whole = whole && len(s.Nodes) == 2
			}
			return whole && (!strings.Contains(Info(t, n.client, "replication"), "role:slave") ||
				strings.Contains(Info(t, n.client, "replication"), "master_link_status:up"))
		}, patience, 20*time.Millisecond, "the cluster is not complete")
	}
	return addrs
}

// replicatedArgs returns the arguments of a node of a ReplicatedCluster with a folder for its configuration. A replica may take over however
// long it has heard nothing of its primary.
func replicatedArgs(dir string) []string {
	return []string{
		"--cluster-enabled", "yes", "--dir", dir, "--cluster-node-timeout", steadyTimeout, "--cluster-require-full-coverage", "no",
		"--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0",
	}
}

// Hasten makes nodes of a cluster take others for dead that are silent for a second, until the test calls the result. So a replica takes over
// about two seconds after its primary has died. The nodes must answer.
func Hasten(t testing.TB, addrs ...string) (steady func()) {
	t.Helper()
	set := func(timeout string) {
		t.Helper()
		for _, addr := range addrs {
			require.NoError(t, Open(t, addr).ConfigSet(t.Context(), "cluster-node-timeout", timeout).Err())
		}
	}
	set("1000")
	return func() { set(steadyTimeout) }
}

// Anew returns a function that starts a node of a ReplicatedCluster again after it was killed, without its data. Anew is called before that,
// because it asks the node for its folder.
func Anew(t testing.TB, addr string) (start func()) {
	t.Helper()
	dir := Open(t, addr).ConfigGet(t.Context(), "dir").Val()["dir"]
	require.NotEmpty(t, dir)
	return func() { Start(t, redisserver.Options{Addr: addr, Args: replicatedArgs(dir)}) }
}

// Info returns a section of the answer to INFO, or "" if there is no answer.
func Info(t testing.TB, client redis.Cmdable, section string) string {
	t.Helper()
	return client.Info(t.Context(), section).Val()
}

// Kill ends the server at an address at once, as a crash does, and waits until its port is free. The address may have a
// password, as in ":password@127.0.0.1:6379". The result does nothing; it makes Kill a function of the same type as [Pause].
func Kill(t testing.TB, addr string) (resume func()) {
	t.Helper()
	require.NoError(t, processOf(t, addr).Kill())
	addr = addr[strings.LastIndex(addr, "@")+1:]
	require.Eventually(t, func() bool { return isFree(addr) }, patience, time.Millisecond, "the server at %s still listens", addr)
	return func() {}
}

// Pause makes the server at an address stop answering, like an unreachable host. The server answers again when the test
// ends or resume is called. The kernel still accepts connections to it, and what was sent meanwhile is read then.
func Pause(t testing.TB, addr string) (resume func()) {
	t.Helper()
	process := processOf(t, addr)
	require.NoError(t, process.Signal(syscall.SIGSTOP))
	resume = func() { _ = process.Signal(syscall.SIGCONT) }
	t.Cleanup(resume)
	return resume
}

// processOf returns the process of the server at an address, which must answer: INFO has a line such as "process_id:4711".
func processOf(t testing.TB, addr string) *os.Process {
	t.Helper()
	info := Info(t, Open(t, addr), "server")
	_, rest, ok := strings.Cut(info, "process_id:")
	require.True(t, ok, info)
	number, _, _ := strings.Cut(rest, "\r\n")
	pid, err := strconv.Atoi(number)
	require.NoError(t, err)
	process, err := os.FindProcess(pid)
	require.NoError(t, err)
	return process
}
