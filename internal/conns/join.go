package conns

import (
	"context"
	"net"
	"sync"
)

// httpBuffer is the size of the buffer in which net/http collects an answer.
const httpBuffer = 4 << 10

// joining makes the first two writes of an answer one. net/http writes an answer of more than httpBuffer in pieces: a full buffer
// with the header first. Each piece is a system call, and wakes the client. As one call, an answer of 7 KB needs a fifth less
// processor time (BenchmarkServed of package api). Only the goroutine of a request uses it.
type joining struct {
	body int    // from Join to the next Write: the bytes of the body, or 0
	kept []byte // the first piece, or nil
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

// ConnContext makes a connection known to [Join]. It is the hook ConnContext of [http.Server]. A connection of TLS stays unknown: TLS
// makes records of its own.
func (*Listener) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// Join lets an answer begin with one system call instead of two. The caller, a handler with the context of its request, then writes a
// body of n bytes at once. If the body is not written after all, the connection must be closed.
func Join(ctx context.Context, n int) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.joining.body = n
	}
}

// buffers has buffers for the first pieces of answers, to use again.
var buffers = sync.Pool{New: func() any { return new([httpBuffer]byte) }}

// Write writes p. After Join, it keeps p until the next call if p is shorter than the body: another call follows, because p cannot be
// the end of the answer then.
func (c *conn) Write(p []byte) (int, error) {
	body := c.joining.body
	c.joining.body = 0
	switch {
	case c.joining.kept != nil:
		return c.writeJoined(p)
	case len(p) < body && len(p) <= httpBuffer:
		buffer := buffers.Get().(*[httpBuffer]byte)
		c.joining.kept = buffer[:copy(buffer[:], p)]
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// writeJoined writes the first piece and p.
func (c *conn) writeJoined(p []byte) (int, error) {
	first := c.joining.kept
	c.joining.kept = nil
	defer buffers.Put((*[httpBuffer]byte)(first[:httpBuffer]))
	both := net.Buffers{first, p}
	n, err := both.WriteTo(c.Conn)
	return max(int(n)-len(first), 0), err
}
