package conns_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/conns"
)

const refusal = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// listener is one whose tests can wait until a connection is idle: the client has the answer before that.
type listener struct {
	*conns.Listener
	idled   atomic.Int64  // how often a connection became idle
	seconds atomic.Int64  // the time of the clock, which only the test moves
	waiting chan struct{} // gets a value for each request for /wait
}

func (l *listener) waitIdle(t *testing.T, times int64) {
	t.Helper()
	require.Eventually(t, func() bool { return l.idled.Load() == times }, patience, time.Millisecond)
}

// waitOpen waits until so many connections are open.
func (l *listener) waitOpen(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return l.Counts().Open == n }, patience, time.Millisecond)
}

// patience is how long the tests wait for what must come. A machine that does other work can stand still for many seconds.
const patience = 2 * time.Minute

// serve starts an HTTP server with limits. The path /wait is answered when the test ends.
func serve(t *testing.T, limits conns.Limits) *listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &listener{Listener: conns.Listen(inner, limits, refusal), waiting: make(chan struct{}, 10)}
	l.UseClock(func() time.Time { return time.Unix(l.seconds.Load(), 0) })
	ended := make(chan struct{})
	state := func(c net.Conn, state http.ConnState) {
		l.ConnState(c, state)
		if state == http.StateIdle {
			l.idled.Add(1)
		}
	}
	server := &http.Server{ConnState: state, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			l.waiting <- struct{}{}
			select {
			case <-ended:
			case <-r.Context().Done(): // the client has closed the connection
			}
		}
		_, _ = io.WriteString(w, "hello")
	})}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		close(ended)
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return l
}

// connect opens a connection from a loopback address.
func connect(t *testing.T, l net.Listener, from string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, path string) {
	t.Helper()
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	require.NoError(t, err)
}

// status returns the status of the next answer, or 0 if the connection was closed.
func status(t *testing.T, c net.Conn) int {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		return 0
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

func get(t *testing.T, c net.Conn) int {
	t.Helper()
	send(t, c, "/")
	return status(t, c)
}

func TestOneClientHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	l := serve(t, conns.Limits{Max: 100, PerClient: 3})
	var busy []net.Conn
	for range 3 {
		c := connect(t, l, "127.0.0.2")
		send(t, c, "/wait")
		busy = append(busy, c)
	}
	l.waitOpen(t, 3)
	require.Equal(t, http.StatusServiceUnavailable, status(t, connect(t, l, "127.0.0.2")), "a fourth connection")
	require.Equal(t, http.StatusOK, get(t, connect(t, l, "127.0.0.3")), "another client")
	require.Equal(t, 1, l.Counts().Refused)
	require.NoError(t, busy[0].Close())
	l.waitOpen(t, 3) // two of the client and the other one
}

func TestIdleConnectionsAreClosedForOthers(t *testing.T) {
	t.Parallel()
	l := serve(t, conns.Limits{Max: 5, PerClient: 4})
	var idle []net.Conn
	for i := range 4 {
		c := connect(t, l, "127.0.0.2")
		require.Equal(t, http.StatusOK, get(t, c))
		l.waitIdle(t, int64(i+1))
		idle = append(idle, c)
	}
	require.Equal(t, http.StatusOK, get(t, connect(t, l, "127.0.0.2")), "in place of the first one of the client")
	require.Zero(t, status(t, idle[0]))
	l.waitIdle(t, 5)
	require.Equal(t, http.StatusOK, get(t, connect(t, l, "127.0.0.3")))
	l.waitIdle(t, 6)
	require.Equal(t, http.StatusOK, get(t, connect(t, l, "127.0.0.4")), "in place of the longest idle one of the client with most of them")
	require.Zero(t, status(t, idle[1]))
	require.Equal(t, http.StatusOK, get(t, idle[3]), "others stay open")
	require.Equal(t, conns.Counts{Open: 5, Closed: 2}, l.Counts())
}

func TestConnectionsDuringARequestAreNotClosed(t *testing.T) {
	t.Parallel()
	l := serve(t, conns.Limits{Max: 2, PerClient: 2})
	for range 2 {
		send(t, connect(t, l, "127.0.0.2"), "/wait")
		<-l.waiting
	}
	l.seconds.Add(2)
	require.Equal(t, http.StatusServiceUnavailable, status(t, connect(t, l, "127.0.0.3")))
	require.Equal(t, conns.Counts{Open: 2, Refused: 1}, l.Counts())
}

// A client that opens connections and sends nothing does not keep others out.
func TestConnectionsWithoutARequestAreClosedForOthers(t *testing.T) {
	t.Parallel()
	l := serve(t, conns.Limits{Max: 3, PerClient: 3})
	for range 3 {
		connect(t, l, "127.0.0.2")
	}
	l.waitOpen(t, 3)
	require.Equal(t, http.StatusServiceUnavailable, status(t, connect(t, l, "127.0.0.3")), "they may be about to send a request")
	l.seconds.Add(1)
	require.Equal(t, http.StatusOK, get(t, connect(t, l, "127.0.0.3")))
}
