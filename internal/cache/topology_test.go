package cache_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func dial(t testing.TB, o cache.DialOptions) redis.UniversalClient {
	t.Helper()
	o.Timeout = patience
	c, err := cache.Dial(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// A managed cluster has one address, its configuration endpoint.
func TestOneAddressOfAClusterReachesAllOfIt(t *testing.T) {
	t.Parallel()
	addrs := redistest.SharedCluster(t)
	database := newTable().Database
	w := cache.NewWriter(dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[0]}}), cache.Options{
		Retention: time.Hour, CompatRecords: 10, Report: func(err error) { t.Error(err) },
	})
	client := dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[1]}})
	for i := range 10 { // on all nodes
		table := record.Table{Database: database, Name: fmt.Sprint("analytics_", i)}
		put(t, w, table, rec(60, "f", "h", 1), rec(120, "f", "h", 2))
		require.Len(t, all(t, client, table, record.Range{}), 2)
	}
	require.NoError(t, w.Close(patience))
	require.Len(t, compat(t, client, record.Table{Database: database, Name: "analytics_3"}), 2)

	messages := client.Subscribe(t.Context(), cache.ChannelName(record.Table{Database: database, Name: "analytics_new"}))
	defer messages.Close()
	_, err := messages.Receive(t.Context())
	require.NoError(t, err)
	put(t, writerOf(t, client, nil), record.Table{Database: database, Name: "analytics_new"}, rec(60, "f", "h", 3))
	message, err := messages.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, "60", message.Payload)
}

func TestTheErrorOfARefusedCommandIsThatOfTheNodeOfACluster(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	client := dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[0]}})
	for _, addr := range addrs {
		require.NoError(t, redistest.Open(t, addr).ConfigSet(t.Context(), "maxmemory", "1").Err())
	}
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	require.ErrorContains(t, w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}), "OOM command not allowed")
}

// The user of the ACL has no right to ask the server for anything.
func TestAUserOfTheACLMayAskForTheTopology(t *testing.T) {
	t.Parallel()
	client := user(t, writerACL)
	put(t, writerOf(t, client, nil), table, rec(60, "f", "h", 1))
	require.ErrorContains(t, client.Info(t.Context()).Err(), "NOPERM")
}

func TestAServerWithoutHelloIsASingleOne(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redisserver.Options{Args: []string{"--rename-command", "HELLO", ""}})
	client := dial(t, cache.DialOptions{Servers: []string{"redis://" + s.Addr()}})
	put(t, writerOf(t, client, nil), table, rec(60, "f", "h", 1))
	require.Len(t, all(t, client, table, record.Range{}), 1)
}

func TestTheTopologyIsFoundAfterTheServerHasStarted(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	addr := s.Addr()
	require.NoError(t, s.Stop())
	client := dial(t, cache.DialOptions{Servers: []string{"redis://" + addr}})
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	require.ErrorContains(t, w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}), "connection refused")
	redistest.Start(t, redisserver.Options{Addr: addr})
	put(t, w, table, rec(60, "f", "h", 1))
	require.Len(t, all(t, client, table, record.Range{}), 1)
}

// forward returns an address that leads to another one, and a function that changes that for new connections.
func forward(t testing.TB, to string) (addr string, change func(to string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var target atomic.Pointer[string]
	target.Store(&to)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		wg.Wait()
	})
	wg.Go(func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			server, err := net.Dial("tcp", *target.Load())
			if err != nil {
				_ = conn.Close()
				continue
			}
			for _, ends := range [][2]net.Conn{{conn, server}, {server, conn}} {
				wg.Go(func() {
					_, _ = io.Copy(ends[0], ends[1])
					_ = ends[0].Close()
				})
			}
		}
	})
	return l.Addr().String(), func(to string) { target.Store(&to) }
}

// A managed Redis keeps its address when it becomes a cluster.
func TestASingleServerMayBecomeACluster(t *testing.T) {
	t.Parallel()
	s, addrs, database := redistest.Server(t), redistest.SharedCluster(t), newTable().Database
	addr, change := forward(t, s.Addr())
	client, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + addr}, Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	t.Cleanup(func() { require.NoError(t, w.Close(patience)) })
	put(t, w, record.Table{Database: database, Name: "analytics_0"}, rec(60, "f", "h", 1))
	change(addrs[0])
	require.NoError(t, s.Stop())
	write := func(table record.Table) (err error) {
		for range 5 { // the connections to the first server end with other errors
			if err = w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)}); err == nil || cache.IsAnswer(err) {
				break
			}
		}
		return err
	}
	refused := 0
	for i := range 10 { // on all nodes
		table := record.Table{Database: database, Name: fmt.Sprint("analytics_", i)}
		if err := write(table); err != nil {
			require.ErrorContains(t, err, "MOVED ")
			refused++
			put(t, w, table, rec(60, "f", "h", 1))
		}
		require.Len(t, all(t, client, table, record.Range{}), 1)
	}
	require.Equal(t, 1, refused, "the first answer shows that there is a cluster now")
}

// silent returns the address of a server that accepts connections and never answers, and a channel that gets a value for each of them.
func silent(t testing.TB) (addr string, accepted <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conns := make(chan struct{}, 100)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		wg.Wait()
	})
	wg.Go(func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			defer conn.Close()
			conns <- struct{}{}
		}
	})
	return l.Addr().String(), conns
}

// dialFor is dial with a timeout. The caller closes the client.
func dialFor(t testing.TB, addr string, timeout time.Duration) redis.UniversalClient {
	t.Helper()
	client, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + addr}, Timeout: timeout})
	require.NoError(t, err)
	return client
}

// The first command begins the question for the topology, which takes longer than the second one may.
func TestACommandWaitsForTheTopologyUntilItsOwnContextEnds(t *testing.T) {
	t.Parallel()
	addr, accepted := silent(t)
	client := dialFor(t, addr, time.Hour)
	first := make(chan error, 1)
	go func() { first <- client.Ping(context.Background()).Err() }()
	<-accepted
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, client.Ping(ctx).Err(), context.DeadlineExceeded)
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Ping(ctx).Err() })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, first, "the first command still waits")
	require.Empty(t, accepted, "the second question has not begun")
	require.NoError(t, client.Close())
	require.Error(t, <-first)
}

// The command that begins the question gives up first.
func TestTheQuestionForTheTopologyDoesNotEndWithTheCommandThatBeganIt(t *testing.T) {
	t.Parallel()
	addr, accepted := silent(t)
	client := dialFor(t, addr, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- client.Ping(ctx).Err() }()
	<-accepted
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	go func() { first <- client.Ping(context.Background()).Err() }()
	require.Never(t, func() bool { return len(accepted) > 0 || len(first) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, client.Close())
	require.Error(t, <-first)
}

func TestACommandOfAClosedClientDoesNotAskForTheTopology(t *testing.T) {
	t.Parallel()
	addr, accepted := silent(t)
	client := dialFor(t, addr, time.Hour)
	require.NoError(t, client.Close())
	require.ErrorIs(t, client.Ping(t.Context()).Err(), redis.ErrClosed)
	require.Empty(t, accepted)
}

func TestAClusterHasOnlyDatabaseZero(t *testing.T) {
	t.Parallel()
	addr := redistest.SharedCluster(t)[0]
	o := cache.DialOptions{Servers: []string{"redis://" + addr}, DB: 1}
	err := dial(t, o).Ping(t.Context()).Err()
	require.EqualError(t, o.Explain(err, cache.Names{Servers: "servers", DB: "db"}),
		"redis at "+addr+": database 1 of Redis, but a cluster has only database 0; check 'db', 'servers'")
	require.True(t, cache.IsPermanent(err))
}

func TestAnAnswerOfRedisHasItsMeaningAndWhatToChange(t *testing.T) {
	t.Parallel()
	o := cache.DialOptions{Servers: []string{"redis://h:1"}}
	names := cache.Names{Servers: "servers", MasterName: "master_name", Username: "username", Password: "password", Limits: []string{"retention"}}
	for answer, want := range map[string]string{
		"NOPERM User u has no permissions to run the 'hset' command": ": the user lacks a rule of the documented ACL, add it by ACL SETUSER; check 'username', 'servers'",
		"WRONGPASS invalid":                 "; check 'username', 'password', 'servers'",
		"READONLY You":                      ": a replica refuses writes, want the primary, or Sentinels that know it; check 'servers', 'master_name'",
		"MASTERDOWN Link":                   ": a replica has lost its primary, want the primary; check 'servers', 'master_name'",
		"OOM command":                       ": raise maxmemory in Redis, or keep less; check 'retention'",
		"MISCONF Redis":                     ": Redis cannot write to its disk, see its log",
		"NOREPLICAS Not":                    ": fewer replicas are connected than min-replicas-to-write in Redis",
		"BUSY Redis":                        ": a script of another program keeps Redis busy; it can be ended by SCRIPT KILL",
		"LOADING Redis":                     ": Redis reads its data after a start, and then accepts writes",
		"CLUSTERDOWN The":                   ": a part of the cluster has no server; with cluster-require-full-coverage no in Redis, the tables on the other servers are written",
		"TRYAGAIN Multiple":                 ": the cluster moves the table to another server, and then accepts writes",
		"ASK 5267 127.0.0.1:6380":           ": the cluster moves the table to another server, and then accepts writes",
		"MOVED 5267 127.0.0.1:6380":         ": the cluster moves the table to another server, and then accepts writes",
		"ERR max number of clients reached": ": raise maxclients in Redis, or close other connections",
		"DENIED Redis":                      ": without a password, Redis refuses other hosts (protected-mode); check 'password', 'servers'",
		"WRONGTYPE Op":                      ": another program has written a key of that name, delete it",
		"ERR other fault":                   "",
	} {
		require.EqualError(t, o.Explain(oldAnswer(answer), names), "redis at h:1: "+answer+want)
	}
}

// The whole cluster refuses everything once a part of it has no server.
func TestAClusterThatWantsAllItsPartsNamesTheSetting(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	var o cache.DialOptions
	for _, addr := range addrs {
		o.Servers = append(o.Servers, "redis://"+addr)
	}
	w := cache.NewWriter(dial(t, o), cache.Options{Retention: time.Hour})
	put(t, w, table, rec(60, "f", "h", 1))
	redistest.Kill(t, addrs[2])
	for _, addr := range addrs[:2] { // only now, as busy servers could take each other for dead before
		require.NoError(t, redistest.Open(t, addr).ConfigSet(t.Context(), "cluster-node-timeout", "500").Err())
	}
	var err error
	require.Eventually(t, func() bool {
		for i := range 10 {
			if err = w.Put(t.Context(), record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}, []record.Record{rec(60, "f", "h", 1)}); err == nil || cache.IsAnswer(err) {
				break
			}
		}
		return cache.IsAnswer(err)
	}, patience, 50*time.Millisecond)
	require.ErrorContains(t, o.Explain(err, cache.Names{}), "CLUSTERDOWN")
	require.ErrorContains(t, o.Explain(err, cache.Names{}), "with cluster-require-full-coverage no in Redis, the tables on the other servers are written")
	require.True(t, cache.IsUnavailable(err))
	require.NoError(t, w.Ping(t.Context()), "the other servers answer")
}
