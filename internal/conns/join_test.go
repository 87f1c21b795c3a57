package conns_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/conns"
)

// recorder is a connection that notes what is written to it, and fails after that if it has an error.
type recorder struct {
	net.Conn
	writes [][]byte
	err    error
}

func (r *recorder) Write(p []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(p))
	if r.err != nil {
		return len(p) / 2, r.err
	}
	return len(p), nil
}

func (*recorder) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// one is a listener with one connection.
type one struct {
	net.Listener
	c net.Conn
}

func (o one) Accept() (net.Conn, error) { return o.c, nil }

// accepted returns a connection as a server gets it, and a function that joins its next writes.
func accepted(t *testing.T, inner net.Conn) (c net.Conn, join func(n int)) {
	t.Helper()
	l := conns.Listen(one{c: inner}, conns.Limits{Max: 1, PerClient: 1}, "")
	c, err := l.Accept()
	require.NoError(t, err)
	ctx := l.ConnContext(t.Context(), c)
	return c, func(n int) { conns.Join(ctx, n) }
}

func TestJoinedWrites(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		join   int
		writes []string // to the connection
		want   []int    // how many pieces the connection below has after each of them
	}{
		"not joined":                           {0, []string{"head", "body"}, []int{1, 2}},
		"the first waits for the second":       {5, []string{"head", "body1", "more"}, []int{0, 2, 3}},
		"an answer in one piece":               {4, []string{"headbody", "next"}, []int{1, 2}},
		"a first piece beyond the buffer":      {1 << 20, []string{string(make([]byte, 5<<10)), "rest"}, []int{1, 2}},
		"a first piece that fills the buffer":  {1 << 20, []string{string(make([]byte, 4<<10)), "rest"}, []int{0, 2}},
		"only once, though the body is longer": {100, []string{"a", "b", "c"}, []int{0, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			below := &recorder{}
			c, join := accepted(t, below)
			if test.join > 0 {
				join(test.join)
			}
			for i, text := range test.writes {
				p := []byte(text)
				n, err := c.Write(p)
				require.NoError(t, err)
				require.Equal(t, len(text), n)
				require.Len(t, below.writes, test.want[i])
				clear(p) // a writer may use its memory again
			}
			for i, text := range test.writes {
				require.Equal(t, text, string(below.writes[i]))
			}
		})
	}
}

func TestAJoinedWriteReturnsTheError(t *testing.T) {
	t.Parallel()
	failed := errors.New("reset by the client")
	c, join := accepted(t, &recorder{err: failed})
	join(100)
	n, err := c.Write([]byte("head"))
	require.NoError(t, err)
	require.Equal(t, 4, n)
	n, err = c.Write([]byte("body"))
	require.ErrorIs(t, err, failed)
	require.Zero(t, n, "nothing of the second piece was written")
	_, err = c.Write([]byte("rest"))
	require.ErrorIs(t, err, failed)
}

// Answers of a server arrive whole, whatever their size, and for several requests on one connection.
func TestJoinedAnswersArrive(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := conns.Listen(inner, conns.Limits{Max: 10, PerClient: 10}, "")
	server := &http.Server{
		ConnState: l.ConnState, ConnContext: l.ConnContext, ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := strconv.Atoi(r.URL.Path[1:])
			if err != nil {
				panic(err)
			}
			w.Header().Set("Content-Length", strconv.Itoa(n))
			conns.Join(r.Context(), n)
			_, _ = w.Write(pattern(n))
		}),
	}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	defer func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()
	client := connect(t, l, "127.0.0.1") // an http.Client may open more than one
	require.NoError(t, client.SetReadDeadline(time.Now().Add(patience)))
	answers := bufio.NewReader(client)
	for _, n := range []int{1, 100, 2047, 2048, 3900, 3990, 4000, 4095, 4096, 4097, 8191, 8192, 100_000, 5_000_000} {
		send(t, client, "/"+strconv.Itoa(n))
		resp, err := http.ReadResponse(answers, nil)
		require.NoError(t, err, n)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err, n)
		require.NoError(t, resp.Body.Close())
		require.True(t, bytes.Equal(pattern(n), body), n)
	}
	require.Equal(t, 1, l.Counts().Open, "all on one connection")
}

// pattern returns n bytes none of which can be in the place of another unnoticed.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}
