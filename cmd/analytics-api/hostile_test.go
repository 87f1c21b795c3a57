package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// A client that sends one byte of its header at a time is disconnected, and others do not wait for it.
func TestSlowHeadersEndTheirConnection(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the time limit of headers")
	}
	c := start(t, nil, "--listen", "127.0.0.1:0")
	const slow, most = 200, 10
	// A machine that stands still can disconnect the slow clients before the first answer. Then they come again.
	for round, beside := 1, 0; beside == 0; round++ {
		require.LessOrEqual(t, round, most, "no answer has come while slow clients were connected")
		ended := c.sendSlowly(t, slow)
		var times []time.Duration
		for len(times) < 50 {
			sent := time.Now()
			status, _ := c.get(t, "/health")
			require.Equal(t, http.StatusOK, status)
			times = append(times, time.Since(sent))
			if len(ended) == 0 {
				beside++
			}
			time.Sleep(20 * time.Millisecond)
		}
		slices.Sort(times)
		t.Logf("a good client beside %d slow ones: %d of 50 answers before the first of these was disconnected, p50 %s, p99 %s", slow, beside, times[25], times[49])
		for range slow {
			select {
			case d := <-ended:
				require.Greater(t, d, headerTimeout-time.Second)
			case <-time.After(headerTimeout + patience):
				t.Fatal("a slow client is still connected")
			}
		}
	}
}

// sendSlowly connects n clients that send one byte of their header each 100 ms. The channel gets the time after which each of them was
// disconnected.
func (c *child) sendSlowly(t *testing.T, n int) (ended chan time.Duration) {
	t.Helper()
	ended = make(chan time.Duration, n)
	began := time.Now()
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			for _, b := range "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + strings.Repeat("x", 10_000) {
				if _, err := conn.Write([]byte{byte(b)}); err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			_, _ = io.Copy(io.Discard, conn)
			ended <- time.Since(began)
		}()
	}
	return ended
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t, nil, "--listen", "127.0.0.1:0")
	address := strings.TrimPrefix(c.url, "http://")
	many := strings.Builder{}
	for i := range 2000 {
		fmt.Fprintf(&many, "X-%d: 1\r\n", i)
	}
	for request, want := range map[string]int{
		"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n": http.StatusRequestHeaderFieldsTooLarge,
		"GET /health HTTP/1.1\r\nHost: localhost\r\n" + many.String() + "\r\n":                      http.StatusRequestHeaderFieldsTooLarge,
		"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n":              http.StatusRequestHeaderFieldsTooLarge,
		"GET /health HTTP/1.1\r\n\r\n":                                                                        http.StatusBadRequest,
		"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                                  http.StatusBadRequest,
		"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n":                                                     http.StatusHTTPVersionNotSupported,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n":           http.StatusBadRequest,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n":        http.StatusNotImplemented,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nX : 1\r\n\r\n":                                            http.StatusBadRequest,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":                                                        http.StatusBadRequest,
		"GET /analytics/%zz?database=db HTTP/1.1\r\nHost: localhost\r\n\r\n":                                  http.StatusBadRequest,
		"GET /analytics/a%00b?database=db HTTP/1.1\r\nHost: localhost\r\n\r\n":                                http.StatusBadRequest,
		"GET http://127.0.0.1/health HTTP/1.1\r\nHost: localhost\r\n\r\n":                                     http.StatusOK,
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                       http.StatusOK,
		"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n":                                         http.StatusMethodNotAllowed,
		"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n":                      http.StatusMethodNotAllowed,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n":              http.StatusOK,
		"GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n": http.StatusOK,
	} {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, _ = conn.Write([]byte(request)) // the service may answer and close it before it has read all
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, "%.80q", request)
		require.Equal(t, want, resp.StatusCode, "%.80q", request)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, conn.Close())
	}
	status, _ := c.get(t, "/health")
	require.Equal(t, http.StatusOK, status)
}

// relay forwards connections to a Redis. While it holds, it keeps the answers back.
type relay struct {
	addr    string
	holds   atomic.Bool
	asked   chan struct{} // receives a value when a command arrives while it holds
	release chan struct{} // closed by the test
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	r := &relay{addr: l.Addr().String(), asked: make(chan struct{}, 1000), release: make(chan struct{})}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go r.copy(server, client, func() { r.asked <- struct{}{} })
			go r.copy(client, server, func() { <-r.release })
		}
	}()
	return r
}

// copy copies until an end is closed. It calls held before it passes bytes on while the relay holds.
func (r *relay) copy(to, from net.Conn, held func()) {
	defer to.Close()
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if r.holds.Load() {
			held()
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func TestRunningRequestsAreAnsweredBeforeTheServiceEnds(t *testing.T) {
	t.Parallel()
	r := startRelay(t, redistest.Server(t).Addr())
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "redis://"+r.addr)
	status, _ := c.get(t, "/ready")
	require.Equal(t, http.StatusOK, status)
	r.holds.Store(true)
	answer := make(chan int, 1)
	go func() {
		resp, err := apitest.Client.Get(c.url + "/ready")
		if err != nil {
			answer <- 0
			return
		}
		defer resp.Body.Close()
		answer <- resp.StatusCode
	}()
	<-r.asked
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { // the service accepts no more connections
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patience, 10*time.Millisecond)
	close(r.release)
	require.Equal(t, http.StatusOK, <-answer)
	require.NoError(t, c.wait(t))
}
