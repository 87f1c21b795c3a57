package cache_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// statOf returns a number of the section stats of INFO.
func statOf(t testing.TB, client redis.UniversalClient, name string) (n int) {
	t.Helper()
	_, rest, ok := strings.Cut(client.Info(t.Context(), "stats").Val(), name+":")
	require.True(t, ok, name)
	_, err := fmt.Sscan(rest, &n)
	require.NoError(t, err)
	return n
}

func TestAServerWithoutRoomForClientsNamesItsReason(t *testing.T) {
	t.Parallel()
	for name, password := range map[string]string{"without a password": "", "with a password": "secret"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, redisserver.Options{Password: password})
			admin := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: password, PoolSize: 1, ReadTimeout: patience})
			t.Cleanup(func() { _ = admin.Close() })
			require.NoError(t, admin.ConfigSet(t.Context(), "maxclients", "1").Err())
			o := cache.DialOptions{Servers: []string{"redis://" + s.Addr()}, Password: password}
			w := writerOf(t, dial(t, o), nil)
			names := cache.Names{Servers: "servers", Password: "password"}
			for range 5 {
				before := statOf(t, admin, "rejected_connections")
				err := w.Put(t.Context(), table, []record.Record{rec(60, "f", "h", 1)})
				require.Error(t, err)
				require.EqualError(t, o.Explain(err, names),
					"redis at "+s.Addr()+": ERR max number of clients reached: raise maxclients in Redis, or close other connections")
				require.True(t, cache.IsUnavailable(err))
				require.False(t, cache.IsAnswer(err))
				require.False(t, cache.IsPermanent(err))
				require.LessOrEqual(t, statOf(t, admin, "rejected_connections")-before, 2, "connections of one Put")
			}
			require.NoError(t, admin.ConfigSet(t.Context(), "maxclients", "100").Err())
			put(t, w, table, rec(60, "f", "h", 1))
		})
	}
}

// answering returns the address of a server that sends texts to each client and closes the connection. After each text but the last one it
// waits for a byte of the client.
func answering(t *testing.T, texts ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			for i, text := range texts {
				if i > 0 {
					_, _ = conn.Read(make([]byte, 1))
				}
				_, _ = io.WriteString(conn, text)
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestTheAnswerBeforeAConnectionIsClosedIsTheReason(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"-DENIED Redis is running in protected mode\r\n": "DENIED Redis is running in protected mode: without a password, Redis refuses other hosts (protected-mode); check 'password', 'servers'",
		"-ERR max number of clients reached\r\n":         "ERR max number of clients reached: raise maxclients in Redis, or close other connections",
		"-ERR of another kind\r\n":                       "ERR of another kind: Redis has closed the connection; check 'servers'",
		"":                                               "EOF: the server closed the connection; it may want TLS (\"rediss://\"); check 'servers'",
	} {
		addr := answering(t, answer)
		for _, password := range []string{"", "secret"} {
			o := cache.DialOptions{Servers: []string{"redis://" + addr}, Password: password}
			client := dial(t, o)
			for range 5 {
				err := client.Ping(t.Context()).Err()
				require.Error(t, err)
				if answer == "" && !errors.Is(err, io.EOF) {
					continue // a reset
				}
				require.EqualError(t, o.Explain(err, cache.Names{Servers: "servers", Password: "password"}), "redis at "+addr+": "+want)
			}
		}
	}
}

// Telegraf writes the text to its log without a change.
func TestTheTextOfAServerHasNoControlCharactersAndABoundedLength(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"ERR \x1b[2J\x00\x7f\u009b\xff é":        "ERR ?[2J???? é: Redis has closed the connection",
		"ERR \rredis: all is well\t":             "ERR ?redis: all is well?: Redis has closed the connection",
		"DENIED " + strings.Repeat("x", 1500):    "DENIED " + strings.Repeat("x", 1500) + ": without a password, Redis refuses other hosts (protected-mode)",
		"ERR " + strings.Repeat("x", 3500):       "ERR " + strings.Repeat("x", 1996) + ": Redis has closed the connection",
		"ERR " + strings.Repeat("x", 1995) + "é": "ERR " + strings.Repeat("x", 1995) + "?: Redis has closed the connection",
	} {
		addr := answering(t, "-"+answer+"\r\n")
		o := cache.DialOptions{Servers: []string{"redis://" + addr}}
		require.EqualError(t, o.Explain(dial(t, o).Ping(t.Context()).Err(), cache.Names{}), "redis at "+addr+": "+want)
	}
	o := cache.DialOptions{Servers: []string{"redis://h:1"}}
	err := errors.Join(oldAnswer("OOM \x1b[2J"), fmt.Errorf("a table: %w", oldAnswer("ERR other")))
	require.EqualError(t, o.Explain(err, cache.Names{}), "redis at h:1: OOM ?[2J\na table: ERR other: raise maxmemory in Redis, or keep less")
	require.ErrorIs(t, o.Explain(err, cache.Names{}), err)
}

// The network may deliver a text in parts.
func TestTheReasonOfAClosedConnectionMayComeInParts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for _, texts := range [][]string{
		{"ERR max number of clients reached: raise maxclients in Redis, or close other connections", "-", "ERR max number", " of clients reached\r", "\n"},
		{"EOF: the server closed the connection", "-ERR max number", " of clients reached\r"},
		{"ERR " + long[:1996] + ": Redis has closed the connection", "-ERR ", long, "\r\n"},
		{"EOF: the server closed the connection", "-ERR ", long, long, long, "\r\n"},
	} {
		want, texts := texts[0], texts[1:]
		u, err := cache.DialOptions{Servers: []string{"redis://h"}, Timeout: patience}.Universal()
		require.NoError(t, err)
		conn, err := u.Dialer(t.Context(), "tcp", answering(t, texts...))
		require.NoError(t, err)
		buffer := make([]byte, 4000)
		for i, text := range texts {
			if i > 0 {
				_, err = conn.Write([]byte("x"))
				require.NoError(t, err)
			}
			_, err := io.ReadFull(conn, buffer[:len(text)])
			require.NoError(t, err)
		}
		_, err = conn.Read(buffer)
		require.EqualError(t, cache.DialOptions{Servers: []string{"redis://h"}}.Explain(err, cache.Names{}), "redis at h:6379: "+want)
		require.NoError(t, conn.Close())
	}
}

// An error that the server sends later is the answer to a command.
func TestOnlyTheFirstAnswerOfAConnectionCanBeTheReason(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"error":                   {"+OK\r\n", "-ERR later\r\n"},
		"another answer after it": {"-ERR first\r\n", "+OK\r\n"},
		"two errors":              {"-ERR first\r\n", "-ERR later\r\n"},
		"more than an error":      {"-ERR first\r\n+OK\r\n"},
	} {
		u, err := cache.DialOptions{Servers: []string{"redis://h"}, Timeout: patience}.Universal()
		require.NoError(t, err)
		conn, err := u.Dialer(t.Context(), "tcp", answering(t, texts...))
		require.NoError(t, err)
		buffer := make([]byte, 100)
		for i, text := range texts {
			if i > 0 {
				_, err = conn.Write([]byte("x"))
				require.NoError(t, err)
			}
			n, err := conn.Read(buffer)
			require.NoError(t, err)
			require.Equal(t, text, string(buffer[:n]))
		}
		_, err = conn.Read(buffer)
		require.Equal(t, io.EOF, err, name)
		o := cache.DialOptions{Servers: []string{"redis://h"}}
		require.EqualError(t, o.Explain(err, cache.Names{Servers: "servers"}), "redis at h:6379: EOF: the server closed the connection; check 'servers'",
			"a server that has answered does not want TLS")
		require.NoError(t, conn.Close())
	}
}
