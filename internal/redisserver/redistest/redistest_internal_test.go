package redistest

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// This test is inside of the package because it chooses the ports of a node, which are random otherwise.

// Another process can take the port of a node, or the port of its cluster bus, after it was found free.
func TestNodeStartsOnOtherPortsIfItsAreTaken(t *testing.T) {
	t.Parallel()
	Need(t)
	own := busFree(t, "127.0.0.1")
	listen(t, own)
	bus := busFree(t, "127.0.0.1")
	host, port, err := net.SplitHostPort(bus)
	require.NoError(t, err)
	var number int
	_, err = fmt.Sscan(port, &number)
	require.NoError(t, err)
	listen(t, fmt.Sprintf("%s:%d", host, number+10000))

	free := busFree(t, "127.0.0.1")
	next := []string{own, bus, free}
	s := startOn(t, func() redisserver.Options {
		addr := next[0]
		next = next[1:]
		return redisserver.Options{Addr: addr, Args: clusterArgs(t)}
	})
	require.Equal(t, free, s.Addr())
	require.NoError(t, Client(t, s).Ping(t.Context()).Err())
}

func listen(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
}
