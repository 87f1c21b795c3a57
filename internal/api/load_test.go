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
)

// loadVariable is the environment variable of a process that sends requests instead of running tests. Its value is a load as
// JSON.
const loadVariable = "API_TEST_LOAD"

// TestMain runs the tests, or sends requests. Another process sends them, so that the processor time of the service is known.
func TestMain(m *testing.M) {
	text := os.Getenv(loadVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var l load
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cost, err := l.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(cost)
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

// start sends the requests from another process.
func (l load) start(t testing.TB) cost {
	t.Helper()
	text, err := json.Marshal(l)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadVariable+"="+string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var c cost
	require.NoError(t, json.Unmarshal(out, &c))
	return c
}

// run sends the requests.
func (l load) run() (cost, error) {
	conns := make([]net.Conn, l.Conns)
	for i := range conns {
		c, err := net.Dial("tcp", l.Address)
		if err != nil {
			return cost{}, err
		}
		defer c.Close()
		conns[i] = c
	}
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
func (l load) repeat(c net.Conn, n int) error {
	r, request := bufio.NewReaderSize(c, 64<<10), []byte(l.Request)
	for range n {
		if _, err := c.Write(request); err != nil {
			return err
		}
		if err := l.read(r); err != nil {
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
