// Package conns limits the connections of an HTTP server: of all clients, and of each of them. If a limit is reached, it
// closes a connection that waits for a request, and refuses a new connection only if there is none.
//
//	Accept ─▶ admit ──┬─▶ below the limits: waits ──▶ active ──▶ waits …   (ConnState)
//	                  ├─▶ at a limit, another one waits: that is closed for it
//	                  └─▶ at a limit, all are active: refused with an answer
//
// netutil.LimitListener would stop accepting at the limit: a client that opens connections and sends nothing would then lock out
// all others. Here such connections are the first to go.
package conns

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits of a [Listener], above zero.
type Limits struct {
	Max       int // connections of all clients
	PerClient int // connections of one client: an IPv4 address, or an IPv6 network of 64 bits
}

const (
	// freshTime is how long a new connection may stay without a request before it can be closed for another one: its request may be
	// on its way.
	freshTime = time.Second
	// compared is how many idle connections are compared to choose the one to close: mu is locked meanwhile.
	compared = 100
	// sendBuffer bounds what the kernel buffers of an answer that the client does not read. Linux doubles it.
	sendBuffer = 256 << 10
	// refuseTime bounds writing an answer to a connection that is refused, and lingering is how many of these connections
	// are open at the same time, so that their clients can read the answer.
	refuseTime = time.Second
	lingering  = 64
)

// Listener accepts connections within limits. Its methods may be called concurrently.
//
// The HTTP server reports what a connection does (ConnState), so that idle has exactly those that wait for a request: a connection is in idle
// or active, and counted in clients and open, from admit until it is removed.
type Listener struct {
	net.Listener
	limits Limits
	refuse string        // the answer to a refused connection, or ""
	linger chan struct{} // holds an element for each refused connection that is open
	now    func() time.Time

	mu      sync.Mutex         // guards the fields below
	idle    *list.List         // of the *conn that wait for a request, the longest first
	clients map[netip.Addr]int // how many connections each has; clients without one are not in it
	open    int                // the sum of clients
	refused int                // since the start
	closed  int                // idle connections that were closed for others, since the start
}

// Listen returns a listener that accepts connections of l. The refuse text is written to refused connections; it is an HTTP
// response, or "" if the connections use TLS. The field ConnState of the HTTP server must be [Listener.ConnState].
func Listen(l net.Listener, limits Limits, refuse string) *Listener {
	return &Listener{
		Listener: l, limits: limits, refuse: refuse, linger: make(chan struct{}, lingering), now: time.Now, idle: list.New(),
		clients: make(map[netip.Addr]int),
	}
}

// conn is an open connection. It is counted from admit to the first remove, by Close or for another connection.
type conn struct {
	net.Conn
	listener *Listener  // that counts it
	client   netip.Addr // whom it is counted for: an address, or the first one of a network
	accepted time.Time  // when it was, for freshTime
	joining  joining    // of the answer that is being written

	// Guarded by the listener's mu.
	waits *list.Element // the place in the listener's idle, or nil during a request
	used  bool          // whether it has had a request
	ended bool          // whether it is counted no more
}

// Accept returns the next connection. It closes those that are refused, and never waits for their clients.
//
// A connection that is closed for the new one may just have begun a request, which is then lost: HTTP clients repeat a request
// on a connection that was idle, as servers may close these at any time (RFC 9112, 9.3.1).
func (l *Listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tcp, ok := inner.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer)
		}
		c := &conn{Conn: inner, listener: l, client: clientOf(inner.RemoteAddr()), accepted: l.now()}
		victim, ok := l.admit(c)
		if victim != nil {
			_ = victim.Conn.Close() // not victim.Close, as admit has removed it
		}
		if ok {
			return c, nil
		}
		l.turnAway(inner)
	}
}

// admit counts a connection, if necessary in place of an idle one, which the caller closes. It returns false if the limits
// leave no room.
func (l *Listener) admit(c *conn) (victim *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.clients[c.client] >= l.limits.PerClient:
		victim = l.victim(func(other *conn) bool { return other.client == c.client })
		ok = victim != nil
	case l.open >= l.limits.Max:
		victim = l.victim(func(*conn) bool { return true })
		ok = victim != nil
	default:
		ok = true
	}
	if victim != nil {
		l.remove(victim)
		l.closed++
	}
	if !ok {
		l.refused++
		return nil, false
	}
	l.open++
	l.clients[c.client]++
	c.waits = l.idle.PushBack(c)
	return victim, true
}

// victim returns the connection to close for another one, or nil. Of the matching connections that have waited longest for
// a request, it is one of the client that has most connections. Connections that have just been accepted and have had no
// request are not chosen. The caller holds mu.
func (l *Listener) victim(match func(*conn) bool) (best *conn) {
	n := 0
	for e := l.idle.Front(); e != nil && n < compared; e = e.Next() {
		c := e.Value.(*conn)
		if !match(c) || !c.used && l.now().Sub(c.accepted) < freshTime {
			continue
		}
		if best == nil || l.clients[c.client] > l.clients[best.client] {
			best = c
		}
		n++
	}
	return best
}

// remove counts a connection no more. The caller holds mu.
func (l *Listener) remove(c *conn) {
	if c.ended {
		return
	}
	c.ended = true
	if c.waits != nil {
		l.idle.Remove(c.waits)
		c.waits = nil
	}
	l.open--
	if l.clients[c.client]--; l.clients[c.client] == 0 {
		delete(l.clients, c.client)
	}
}

// turnAway answers on a connection that is refused, and closes it. It does so in a goroutine of its own, at most lingering of them
// and each for refuseTime; beyond that, connections are closed without an answer.
func (l *Listener) turnAway(c net.Conn) {
	select {
	case l.linger <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	go func() {
		defer func() { <-l.linger }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(refuseTime))
		if _, err := c.Write([]byte(l.refuse)); err != nil || l.refuse == "" {
			return
		}
		// Closing a connection with unread bytes would reset it before the client has read the answer.
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
			_, _ = c.Read(make([]byte, 4<<10))
		}
	}()
}

// ConnState notes whether a connection waits for a request. It is the hook ConnState of [http.Server].
func (l *Listener) ConnState(c net.Conn, state http.ConnState) {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // of TLS
		c = wrapped.NetConn()
	}
	own, ok := c.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case own.ended:
	case state == http.StateIdle && own.waits == nil:
		own.waits = l.idle.PushBack(own)
	case state == http.StateActive && own.waits != nil:
		l.idle.Remove(own.waits)
		own.waits, own.used = nil, true
	}
}

// Close closes the connection and counts it no more. It may be called more than once.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Counts are the numbers of connections of a [Listener].
type Counts struct {
	Open    int // now
	Refused int // since the start
	Closed  int // idle ones that were closed for others, since the start
}

// Counts returns the numbers of connections.
func (l *Listener) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Counts{Open: l.open, Refused: l.refused, Closed: l.closed}
}

// clientOf returns the address of a client without its port, or the network of 64 bits for IPv6, of which one client often
// has all addresses. It is the zero Addr for addresses that are not IP addresses.
func clientOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ip
	}
	return network.Masked().Addr()
}
