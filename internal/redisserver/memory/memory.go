// Package memory is a Redis in this process, for a demo or a small site. It is miniredis behind a gate: miniredis alone
// is for tests, and clients without a password could end the process with a malformed command.
//
//	client ─▶ listener ─▶ gate ─▶ miniredis
//	          at most     whole commands within limits,
//	          1000 open   only AUTH and HELLO before the password
//
// Answers go back through the connection as they are.
package memory

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"golang.org/x/net/netutil"
)

// maxConnections is how many connections are open at the same time.
const maxConnections = 1000

// Server is a running server. It loses its records when it is closed.
type Server struct {
	redis    *miniredis.Miniredis // listens on no port itself
	listener net.Listener
	stop     chan struct{} // closed by Close
	running  sync.WaitGroup
}

// Start starts a server on an address, host:port, whose clients need the password, which must not be empty. It calls before, if
// that is not nil, with the address before clients are served. If the address is in use, the error wraps that of [net.Listen].
func Start(addr, password string, before func(addr string)) (*Server, error) {
	return start(addr, password, before, authTime)
}

// start is Start with another time that a connection may stay open without the password.
func start(addr, password string, before func(addr string), patience time.Duration) (*Server, error) {
	if password == "" {
		return nil, errors.New("a Redis in memory needs a password")
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{redis: miniredis.NewMiniRedis(), listener: netutil.LimitListener(listener, maxConnections), stop: make(chan struct{})}
	s.redis.RequireAuth(password)
	first, err := s.redis.Dial()
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	_ = first.Close() // it has started the server, which has no method to start without a port
	s.redis.Server().SetPreHook(s.refuseScripts)
	if before != nil {
		before(s.Addr())
	}
	s.running.Go(s.expire)
	s.running.Go(func() { s.accept(password, patience) })
	return s, nil
}

// Addr returns the host and port on which the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server and its connections. It is called once. accept ends first, as miniredis must not get a connection after it is
// closed: nobody would close that one.
func (s *Server) Close() {
	close(s.stop)
	_ = s.listener.Close()
	s.running.Wait()
	s.redis.Close()
}

// accept serves connections until the listener is closed. They may stay open without the password for that long.
func (s *Server) accept(password string, patience time.Duration) {
	for {
		conn, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // such as too many open files
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.redis.Server().ServeConn(newGate(conn, password, patience))
	}
}

// expire advances the clock by which keys expire, once a second: times to live stand still in miniredis otherwise. A key lives up to about a
// second too long.
func (s *Server) expire() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.redis.FastForward(time.Second)
		}
	}
}

// refuseScripts answers to commands that run scripts, because a script without an end would stop all clients. A transaction with one of
// them is refused as a whole, as by Redis: its client waits for an EXECABORT.
func (s *Server) refuseScripts(c *server.Peer, cmd string, _ ...string) bool {
	switch cmd {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "SCRIPT", "FCALL", "FCALL_RO", "FUNCTION":
		c.WriteError("ERR unknown command '" + cmd + "': a Redis in memory runs no scripts")
		// A command without its arguments aborts the transaction. Nobody reads its answer.
		unread := server.NewPeer(bufio.NewWriter(io.Discard))
		unread.Ctx = c.Ctx
		s.redis.Server().Dispatch(unread, []string{"GET"})
		return true
	}
	return false
}
