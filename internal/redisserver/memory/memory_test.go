package memory_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/memory"
)

// patience is how long clients and the server wait for each other, also on a machine that stands still meanwhile.
const patience = 2 * time.Minute

func start(t *testing.T) *memory.Server {
	t.Helper()
	s, err := memory.StartPatient("127.0.0.1:0", "S3cretPW", patience)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, s *memory.Server, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: s.Addr(), Password: password, MaxRetries: -1, DisableIdentity: true, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// talk sends bytes on a new connection and returns what the server answers until it or the client has closed.
func talk(t *testing.T, s *memory.Server, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	require.NoError(t, err)
	_ = conn.(*net.TCPConn).CloseWrite() // an error where the server has closed the connection already, which the answer shows
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	answer, _ := io.ReadAll(conn) // a reset is an end too
	return string(answer)
}

// command encodes a command.
func command(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func TestClientsWithThePasswordUseTheServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, s, "S3cretPW")
	require.NoError(t, c.HSet(t.Context(), "h", "f", strings.Repeat("x", 1<<20)).Err())
	require.Len(t, c.HGet(t.Context(), "h", "f").Val(), 1<<20)
	_, err := c.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 5000 {
			p.Set(t.Context(), strconv.Itoa(i), i, time.Hour)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "4999", c.Get(t.Context(), "4999").Val())
	require.NoError(t, c.Set(t.Context(), "short", 1, time.Second).Err())
	require.Eventually(t, func() bool { return c.Exists(t.Context(), "short").Val() == 0 }, patience, 50*time.Millisecond, "keys expire")
	sub := c.Subscribe(t.Context(), "ch")
	defer sub.Close()
	_, err = sub.Receive(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Publish(t.Context(), "ch", "m").Err())
	message, err := sub.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, "m", message.Payload)
}

func TestClientsWithoutThePasswordCanDoNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.NoError(t, client(t, s, "S3cretPW").Set(t.Context(), "k", "precious", 0).Err())
	for _, password := range []string{"", "wrong", "S3cretPW ", "s3cretpw"} {
		require.Error(t, client(t, s, password).Get(t.Context(), "k").Err())
	}
	for _, name := range []string{
		"GET", "SET", "FLUSHALL", "FLUSHDB", "KEYS", "INFO", "PING", "ECHO", "SELECT", "CLIENT", "COMMAND", "CLUSTER", "SHUTDOWN", "CONFIG", "DBSIZE", "TIME", "WAIT", "SUBSCRIBE",
		"PSUBSCRIBE", "PUBLISH", "MULTI", "EXEC", "WATCH", "OBJECT", "MEMORY", "EVAL", "SCRIPT", "SWAPDB", "RENAME", "DUMP", "XADD", "NOSUCH",
	} {
		for args := range 4 {
			answer := talk(t, s, command(append([]string{name}, "k", "v", "0")[:1+args]...))
			require.Equal(t, "-NOAUTH Authentication required.\r\n", answer, name)
		}
	}
	answer := talk(t, s, command("AUTH", "wrong")+command("GET", "k")+command("HELLO", "3", "AUTH", "default", "wrong")+command("GET", "k"))
	require.NotContains(t, answer, "precious")
	require.Equal(t, 2, strings.Count(answer, "-NOAUTH Authentication required."))
	require.NotContains(t, talk(t, s, command("AUTH", "other", "S3cretPW")+command("GET", "k")), "precious")
	require.Contains(t, talk(t, s, command("AUTH", "default", "S3cretPW")+command("GET", "k")), "precious")
	require.Contains(t, talk(t, s, command("HELLO", "2", "AUTH", "default", "S3cretPW")+command("GET", "k")), "precious")
}

// Some of these would end the process, or take its memory, without the gate.
func TestMalformedCommandsEndTheirConnectionOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := client(t, s, "S3cretPW")
	require.NoError(t, good.Set(t.Context(), "k", "v", 0).Err())
	auth := command("AUTH", "S3cretPW")
	for _, text := range []string{
		"*0\r\n", "*-1\r\n", "*1\r\n$-1\r\n", "*1\r\n$99999999999\r\n", "*99999999999\r\n", "*1\r\n$5000\r\n" + strings.Repeat("x", 5000), "*9\r\n", "\r\n", "PING\r\n", "*x\r\n", "*1\n$4\nPING\n",
		"*1\r\n:5\r\n", "*1\r\n+PING\r\n", "*1\r\n$+4\r\nPING\r\n", strings.Repeat("*", 1<<16), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x00", "*1\r\n$", "",
		auth + "*0\r\n", auth + "*1\r\n$99999999999\r\n", auth + "*9999999\r\n", auth + command("GET", "k") + "*1\r\n$-5\r\n", auth + "*2\r\n$3\r\nGET\r\n$67108864\r\n",
	} {
		answer := talk(t, s, text)
		require.NotContains(t, strings.TrimPrefix(answer, "+OK\r\n"), "+OK", "%q", text)
		require.Equal(t, "v", good.Get(t.Context(), "k").Val(), "%q", text)
	}
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC() // the other tests leave garbage
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	conns := make([]net.Conn, 0, 200)
	for range cap(conns) { // each claims 64 MiB and sends nothing of it
		conn, err := net.Dial("tcp", s.Addr())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(auth + "*2\r\n$3\r\nGET\r\n$67000000\r\n"))
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "+OK\r\n", line)
		conns = append(conns, conn)
	}
	require.Less(t, used()-before, int64(64<<20))
	require.Equal(t, "v", good.Get(t.Context(), "k").Val())
}

func TestScriptsAreRefused(t *testing.T) {
	t.Parallel()
	c := client(t, start(t), "S3cretPW")
	for _, args := range [][]any{{"EVAL", "while true do end", 0}, {"eval", "return 1", 0}, {"EVALSHA", "x", 0}, {"SCRIPT", "LOAD", "return 1"}, {"EVAL_RO", "return 1", 0}} {
		require.ErrorContains(t, c.Do(t.Context(), args...).Err(), "a Redis in memory runs no scripts")
	}
	_, err := c.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), "k", "v", 0)
		p.Eval(t.Context(), "while true do end", nil)
		return nil
	})
	require.ErrorContains(t, err, "EXECABORT")
	require.Zero(t, c.Exists(t.Context(), "k").Val())
	require.NoError(t, c.Ping(t.Context()).Err())
}

func TestStartNamesAnAddressInUse(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, err := memory.Start(s.Addr(), "p", nil)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	_, err = memory.Start("127.0.0.1:0", "", nil)
	require.Error(t, err)
}

// A connection of a client that gives no password must not stay open.
func TestAConnectionWithoutThePasswordIsClosed(t *testing.T) {
	t.Parallel()
	s, err := memory.StartPatient("127.0.0.1:0", "S3cretPW", 50*time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
