package redistest

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Slow returns an address at which it listens, and connects clients to the server at addr. Bytes arrive half of the round trip
// later in each direction, as in a slow network of unlimited bandwidth. It stops listening when the test ends, and then waits
// until all clients have closed their connections.
func Slow(t testing.TB, addr string, roundTrip time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for client, err := l.Accept(); err == nil; client, err = l.Accept() {
			server, err := net.Dial("tcp", addr)
			if err != nil {
				_ = client.Close()
				continue
			}
			wg.Go(func() { delay(server, client, roundTrip/2) })
			wg.Go(func() { delay(client, server, roundTrip/2) })
		}
	})
	return l.Addr().String()
}

// delay copies from one connection to the other until either is closed, and then closes both. Each byte is written d
// after it was read. One goroutine reads and another one writes, so that many parts are on their way at the same time: sleeping between
// a read and its write would bound the bandwidth too.
func delay(to, from net.Conn, d time.Duration) {
	type chunk struct {
		data []byte
		due  time.Time // when it is written
	}
	const inFlight = 1000 // chunks; beyond it, reading waits
	chunks := make(chan chunk, inFlight)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 4096)
			n, err := from.Read(buffer)
			chunks <- chunk{buffer[:n], time.Now().Add(d)}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.data); err != nil {
			_ = from.Close() // ends the reading; the remaining chunks cannot be written either
		}
	}
	_ = to.Close()
	_ = from.Close()
}
