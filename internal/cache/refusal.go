package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// A server that has maxclients connections, or is in protected mode, sends the reason before it has read a command, and closes the
// connection. The client takes this error for the answer to its first command, HELLO. It continues, because old servers do not have HELLO.
// The next command then fails because the connection is closed, and the reason would be lost. So each connection keeps the reason.
//
//	server                                   client
//	-ERR max number of clients reached ────▶ HELLO: an error, as that of a server without HELLO
//	closes the connection ─────────────────▶ PING: broken pipe, reset or EOF ─▶ turnedAway with the answer

// maxReason is the largest number of bytes of a reason that is kept. The longest one of Redis, that of its protected mode, has about 1,000.
const maxReason = 2000

// maxHead is the largest number of bytes of an error whose end has not come yet.
const maxHead = 4 * maxReason

// turnedAway is the error of a connection that Redis has closed after an answer, which is the reason. It is not a [redis.Error], after
// which the client would use the connection again.
type turnedAway struct {
	answer string // such as "ERR max number of clients reached"
	cause  error  // of the connection
}

func (e *turnedAway) Error() string { return e.answer }

// Unwrap returns a list, because the client removes the outermost error of a connection that fails at once, if that wraps a single one.
func (e *turnedAway) Unwrap() []error { return []error{e.cause} }

// unanswered is the error of a connection that the server has closed before it sent anything, as one that wants TLS.
type unanswered struct{ cause error }

func (e *unanswered) Error() string { return e.cause.Error() }

// Unwrap returns a list as that of turnedAway does.
func (e *unanswered) Unwrap() []error { return []error{e.cause} }

// dialer returns the function with which all clients of the options connect.
func dialer(u *redis.UniversalOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := redis.NewDialer(&redis.Options{DialTimeout: u.DialTimeout, TLSConfig: u.TLSConfig})(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return keepReason(conn), nil
	}
}

// keepReason returns a connection that keeps the reason why Redis closes it. The client looks at the sockets of connections that have
// been idle, and of TLS, at what is below it.
func keepReason(conn net.Conn) net.Conn {
	kept := &reasonedConn{Conn: conn}
	switch conn := conn.(type) {
	case syscall.Conn:
		return struct {
			*reasonedConn
			syscall.Conn
		}{kept, conn}
	case layered:
		return struct {
			*reasonedConn
			layered
		}{kept, conn}
	}
	return kept
}

// layered is a connection of TLS, which has another one below it.
type layered interface{ NetConn() net.Conn }

// reasonedConn is a connection with what the server sent first, if that is an error and all that it has sent. One goroutine may read
// while another one writes.
type reasonedConn struct {
	net.Conn

	answered atomic.Bool            // whether the server has sent something
	reason   atomic.Pointer[string] // nil if there is none

	// Only the goroutine that reads uses these.
	head  []byte // what the server has sent, as long as that may be a reason
	known bool   // whether it is no reason
}

func (c *reasonedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.note(b[:n])
	}
	return n, c.explain(err)
}

func (c *reasonedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.explain(err)
}

// note notes what the server has sent. The text of an error may come in parts.
func (c *reasonedConn) note(b []byte) {
	c.answered.Store(true)
	if c.known {
		return
	}
	c.head = append(c.head, b...)
	text, failed := bytes.CutPrefix(c.head, []byte("-"))
	line, rest, ended := bytes.Cut(text, []byte("\r\n"))
	switch {
	case failed && !ended && len(c.head) <= maxHead:
	case failed && ended && len(rest) == 0:
		reason := printable(string(line[:min(len(line), maxReason)]))
		c.reason.Store(&reason)
	default:
		c.known, c.head = true, nil
		c.reason.Store(nil)
	}
}

// explain adds what is known of the reason to an error of a connection that the server has closed.
func (c *reasonedConn) explain(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if reason := c.reason.Load(); reason != nil {
		return &turnedAway{*reason, err}
	}
	if errors.Is(err, io.EOF) && !c.answered.Load() {
		return &unanswered{err}
	}
	return err
}
