package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// loadVariable is the environment variable of a process that sends requests instead of running tests.
const loadVariable = "API_TEST_LOAD"

// TestMain runs the tests, or sends requests. Another process sends them, so that the processor time of the service is known.
func TestMain(m *testing.M) {
	if os.Getenv(loadVariable) == "" {
		redistest.Main(m)
		return
	}
	if err := sendLoads(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// clients is how many addresses the connections come from, because the places of one client are limited.
const clients = 8

// sendLoads runs the loads that come as JSON, and writes the cost of each.
func sendLoads(r io.Reader, w io.Writer) error {
	open := make(map[string][]*bufio.ReadWriter) // connections that stay open, by address
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var l load
		if err := in.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for len(open[l.Address]) < l.Conns {
			from := net.IPv4(127, 0, 0, byte(1+len(open[l.Address])%clients))
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", l.Address)
			if err != nil {
				return err
			}
			open[l.Address] = append(open[l.Address], bufio.NewReadWriter(bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)))
		}
		cost, err := l.run(open[l.Address][:l.Conns])
		if err != nil {
			return err
		}
		if err := out.Encode(cost); err != nil {
			return err
		}
	}
}

// loader is a process that sends requests.
type loader struct {
	in  *json.Encoder
	out *json.Decoder
}

// newLoader starts the process.
func newLoader(t testing.TB) loader {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), loadVariable+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return loader{json.NewEncoder(in), json.NewDecoder(out)}
}

// send sends the requests of a load.
func (l loader) send(t testing.TB, what load) (c cost) {
	t.Helper()
	require.NoError(t, l.in.Encode(what))
	require.NoError(t, l.out.Decode(&c))
	return c
}

// load are the same request n times over connections that are kept open.
type load struct {
	Address string
	Request string // as it is sent
	Status  string // of each answer, such as "200"
	Size    int    // of the body of each answer
	Conns   int
	N       int
}

// cost is what requests have needed.
type cost struct {
	Wall time.Duration
	CPU  time.Duration // processor time of the client
}

// run sends the requests.
func (l load) run(conns []*bufio.ReadWriter) (cost, error) {
	errs := make([]error, l.Conns)
	var wg sync.WaitGroup
	start, before := time.Now(), processorTime()
	for i, c := range conns {
		n := l.N / l.Conns
		if i < l.N%l.Conns {
			n++
		}
		wg.Go(func() { errs[i] = l.repeat(c, n) })
	}
	wg.Wait()
	return cost{Wall: time.Since(start), CPU: processorTime() - before}, errors.Join(errs...)
}

// repeat sends the request n times on a connection.
func (l load) repeat(c *bufio.ReadWriter, n int) error {
	for range n {
		if _, err := c.WriteString(l.Request); err != nil {
			return err
		}
		if err := c.Flush(); err != nil {
			return err
		}
		if err := l.read(c.Reader); err != nil {
			return err
		}
	}
	return nil
}

// read reads an answer.
func (l load) read(r *bufio.Reader) error {
	status, size := "", 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		if status == "" {
			_, rest, _ := bytes.Cut(line, []byte(" "))
			status = string(rest[:min(len(rest), 3)])
		} else if text, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if size, err = strconv.Atoi(string(text)); err != nil {
				return err
			}
		}
	}
	if status != l.Status || size != l.Size {
		body := make([]byte, min(size, 300))
		_, _ = io.ReadFull(r, body)
		return fmt.Errorf("status %s with %d bytes, want %s with %d: %s", status, size, l.Status, l.Size, body)
	}
	_, err := r.Discard(size)
	return err
}

// processorTime returns the processor time that this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
