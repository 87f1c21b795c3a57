package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// Sentinel starts a Sentinel that watches the primary, host:port, as "main", and stops it when the test ends. more has further
// lines of its configuration. The 1 behind the port is the quorum: one Sentinel is enough to find that the primary is gone.
//
// A Sentinel needs a file of its configuration, which it writes to, as the first argument. Package redisserver gives only options of a
// server. So its binary is a script here, which takes the second and the fourth of these, the host and the port.
func Sentinel(t testing.TB, primary, more string) *redisserver.Server {
	t.Helper()
	Need(t)
	host, port, err := net.SplitHostPort(primary)
	require.NoError(t, err)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor main %s %s 1\n%s", host, port, more), 0o600))
	path, err := redisserver.Find()
	require.NoError(t, err)
	// redis-server takes the file as its first argument
	return Start(t, redisserver.Options{Binary: Script(t, fmt.Sprintf("exec %s %s --bind $2 --port $4 --sentinel", path, conf))})
}

// Script writes a program for sh with these commands, and returns its path.
//
// While the file is open, no other goroutine starts a process: the child would have the file open for writing until it runs another
// program, and Linux starts no program that is open for writing ("text file busy").
func Script(t testing.TB, commands string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "script")
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+commands+"\n"), 0o700) //nolint:gosec // a program
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	return path
}

// Watched has the addresses of a primary and its replica, and of three Sentinels that watch them as "main". The addresses are host:port. After
// a failover, Primary and Replica still name the servers that were so at the start.
type Watched struct {
	Primary, Replica string
	Sentinels        []string

	clients []*redis.Client // of the Sentinels
}

// Sentinels starts a primary, a replica and three Sentinels, and stops them when the test ends. About two seconds after the
// primary has died, the replica takes over. The servers and the Sentinels each have a password, or none if it is empty.
//
// It returns after the replica has its data, and each Sentinel knows the replica and the other Sentinels. Before that there would be no
// failover: a majority of the Sentinels that are known has to agree to it.
func Sentinels(t testing.TB, password, sentinelPassword string) *Watched {
	t.Helper()
	own := []string{"--repl-diskless-sync-delay", "0"}
	more := "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
	if password != "" {
		own = append(own, "--requirepass", password, "--masterauth", password)
		more += "sentinel auth-pass main " + password + "\n"
	}
	if sentinelPassword != "" {
		more += "requirepass " + sentinelPassword + "\nsentinel sentinel-pass " + sentinelPassword + "\n"
	}
	primary := Start(t, redisserver.Options{Args: own})
	replica := Start(t, redisserver.Options{Args: append(own, "--replicaof", strings.ReplaceAll(primary.Addr(), ":", " "))})
	w := &Watched{Primary: primary.Addr(), Replica: replica.Addr()}
	client := openAs(t, replica.Addr(), password)
	require.Eventually(t, func() bool { return strings.Contains(Info(t, client, "replication"), "master_link_status:up") },
		patience, 10*time.Millisecond, "the replica has no primary")
	for range 3 {
		s := Sentinel(t, primary.Addr(), more)
		w.Sentinels = append(w.Sentinels, s.Addr())
		w.clients = append(w.clients, openAs(t, s.Addr(), sentinelPassword))
	}
	for _, s := range w.clients {
		require.Eventually(t, func() bool { return strings.Contains(Info(t, s, "sentinel"), "slaves=1,sentinels=3") },
			patience, 10*time.Millisecond, "the Sentinels do not know each other")
	}
	return w
}

// Replaced reports whether each Sentinel names the replica as the primary. The replica has been the primary for about a second then:
// before, no client can know it.
func (w *Watched) Replaced(t testing.TB) bool {
	t.Helper()
	for _, s := range w.clients {
		primary, err := s.Do(t.Context(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").StringSlice()
		if err != nil || len(primary) != 2 || net.JoinHostPort(primary[0], primary[1]) != w.Replica {
			return false
		}
	}
	return true
}

// openAs returns a client of the server at host:port with a password, which closes with the test.
func openAs(t testing.TB, addr, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, Password: password})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
