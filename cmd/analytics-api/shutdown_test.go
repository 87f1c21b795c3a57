package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestRequestsThatDoNotEndAreNoErrorOfTheEnd(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(running)
		<-release
	}))
	server.Start()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	<-running
	var log buffer
	require.NoError(t, shutDown(server.Config, time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))))
	require.Contains(t, log.String(), `level=WARN msg="requests did not end in time, their connections are closed" after=1ms`)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// slowLog is a log whose first line takes until release is closed.
type slowLog struct {
	slog.Handler
	begun, release chan struct{}
	ended          atomic.Bool
}

func (l *slowLog) Handle(context.Context, slog.Record) error {
	close(l.begun)
	<-l.release
	l.ended.Store(true)
	return nil
}

// The caller may use its output again after the end.
func TestNothingIsLoggedAboutTheFirstPingAfterTheEnd(t *testing.T) {
	t.Parallel()
	dial := cache.DialOptions{Servers: []string{"redis://127.0.0.1:1"}, Timeout: time.Minute} // no program gets this port by chance
	client, err := cache.Dial(dial)
	require.NoError(t, err)
	defer client.Close()
	log := &slowLog{Handler: slog.NewTextHandler(io.Discard, nil), begun: make(chan struct{}), release: make(chan struct{})}
	giveUp := tryRedis(t.Context(), cache.NewReader(client), dial, slog.New(log))
	<-log.begun
	time.AfterFunc(10*time.Millisecond, func() { close(log.release) })
	giveUp()
	require.True(t, log.ended.Load())
}

// The first ping waits for a Redis that accepts connections and does not answer.
func TestTheEndDoesNotWaitForARedisThatHangs(t *testing.T) {
	t.Parallel()
	r := startRelay(t, redistest.Server(t).Addr())
	r.holds.Store(true)
	defer close(r.release)
	c := start(t, []string{"ANALYTICS_API_REDIS_TIMEOUT=10m"}, "--listen", "127.0.0.1:0", "--redis", "redis://"+r.addr)
	<-r.asked
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.wait(t))
	require.Contains(t, c.stderr.String(), "msg=stopped")
	require.NotContains(t, c.stderr.String(), "level=WARN")
}

// A service manager may send more than one, up to the moment at which the process is gone.
func TestSignalsAfterTheFirstChangeNothing(t *testing.T) {
	t.Parallel()
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "redis://"+redistest.Server(t).Addr())
	ended, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quiet)
		for tick := time.NewTicker(time.Millisecond); ; {
			_ = c.cmd.Process.Signal(syscall.SIGTERM) // an error if it is gone
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	}()
	err := c.wait(t)
	close(ended)
	<-quiet
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(c.stderr.String(), "msg=stopped"))
}

// loadForEver is a redis-server that answers each command with the error that it loads its data. It makes the file asked with the first
// one. Its arguments are those that package redisserver gives: --bind, a host, --port and a port.
func loadForEver(asked string, args []string) {
	l, err := net.Listen("tcp", net.JoinHostPort(args[1], args[3]))
	if err != nil {
		panic(err)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "*") { // the begin of a command
					_, _ = io.WriteString(conn, "-LOADING Redis is loading the dataset in memory\r\n")
					_ = os.WriteFile(asked, nil, 0o600)
				}
			}
		}()
	}
}

// The redis-server may need minutes to read its data. This one never ends, so that a service that waits for it does not end either.
func TestTheEndDoesNotWaitForTheStartOfTheEmbeddedRedis(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	script := fmt.Sprintf("#!/bin/sh\nLOADING_REDIS='%s' exec '%s' \"$@\"\n", asked, os.Args[0])
	// Meanwhile no other test starts a process. It would have the file open for writing for a moment, and Linux runs no such file.
	syscall.ForkLock.RLock()
	err := os.WriteFile(filepath.Join(dir, "redis-server"), []byte(script), 0o700)
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	c := &child{cmd: exec.CommandContext(t.Context(), os.Args[0], embeddedArgs("redis-server")...), stderr: &buffer{}}
	c.cmd.Env = environment(t, "PATH="+dir+":"+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	c.cmd.Dir, c.cmd.Stderr = dir, c.stderr
	require.NoError(t, c.cmd.Start())
	require.Eventually(t, func() bool {
		_, err := os.Stat(asked)
		return err == nil
	}, patience, 5*time.Millisecond)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.wait(t))
	require.Empty(t, c.stderr.String())
}

func TestStreamsEndWithTheService(t *testing.T) {
	t.Parallel()
	c := start(t, nil, embeddedArgs("memory")...)
	c.put(t)
	resp, err := apitest.Client.Get(c.url + "/analytics/solar/stream?database=db")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	lines := bufio.NewReader(resp.Body)
	for line := ""; line != "event: present\n"; { // the stream has begun
		line, err = lines.ReadString('\n')
		require.NoError(t, err)
	}
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(lines)
	require.NoError(t, err, "the answer is whole")
	require.Contains(t, string(rest), "event: dropped\n")
	require.NoError(t, c.wait(t))
}

// The program that reads the log of a service with log_format = "json" could not parse another line.
func TestAnErrorThatEndsTheServiceIsALineOfTheLog(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for format, want := range map[string]string{
		"json": `"level":"ERROR","msg":"the service has ended","error":"cannot listen on ` + l.Addr().String(), "text": "analytics-api: cannot listen on ",
	} {
		command := exec.CommandContext(t.Context(), os.Args[0], "--listen", l.Addr().String())
		command.Env, command.Dir = environment(t, "ANALYTICS_API_LOG_FORMAT="+format), t.TempDir()
		out, err := command.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 1, command.ProcessState.ExitCode())
		require.Contains(t, string(out), want)
		require.Equal(t, 1, strings.Count(string(out), "\n"), string(out))
	}
}

// Handshakes get a whole pair at any time, and the newest one soon.
func TestHandshakesGoOnWhileCertificatesChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := writePair(t, dir, "first")
	c := &certificates{cert: p.cert, key: p.key, log: slog.New(slog.DiscardHandler)}
	_, err := c.get(time.Unix(0, 0))
	require.NoError(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := int64(1); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				config, err := c.get(time.Unix(4*i+int64(g), 0)) // each looks at the files
				if !assert.NoError(t, err) || !assert.Len(t, config.Certificates, 1) {
					return
				}
			}
		})
	}
	for range 50 {
		writePair(t, dir, "next")
	}
	close(stop)
	wg.Wait()
	writePair(t, dir, "last")
	config, err := c.get(time.Unix(1<<40, 0))
	require.NoError(t, err)
	require.Equal(t, "last", config.Certificates[0].Leaf.Subject.CommonName)
}

// Some tools copy files with their times.
func TestACertificateWithTheTimeAndSizeOfTheOldOneIsRead(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), time.Unix(1_700_000_000, 0)
	pad := func(p pair) {
		for _, path := range []string{p.cert, p.key} {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			write(t, path, append(b, strings.Repeat("\n", 2000-len(b))...))
			require.NoError(t, os.Chtimes(path, at, at))
		}
	}
	p := writePair(t, dir, "first")
	pad(p)
	c := &certificates{cert: p.cert, key: p.key, log: slog.New(slog.DiscardHandler)}
	names := func(now time.Time) string {
		config, err := c.get(now)
		require.NoError(t, err)
		return config.Certificates[0].Leaf.Subject.CommonName
	}
	require.Equal(t, "first", names(at))
	next := writePair(t, t.TempDir(), "other")
	pad(next)
	require.NoError(t, os.Rename(next.cert, p.cert))
	require.NoError(t, os.Rename(next.key, p.key))
	require.Equal(t, "first", names(at.Add(time.Second/2)))
	require.Equal(t, "other", names(at.Add(time.Second)))
}

// A token stays valid while others come and go.
func TestRequestsGoOnWhileTokensChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	text := createToken(t, file, "db:*:read")
	c := start(t, nil, append(embeddedArgs("memory"), "--tokens", file)...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !assert.Equal(t, http.StatusOK, c.getWith(t, "/databases", text)) {
					return
				}
			}
		})
	}
	for range 20 {
		createToken(t, file, "db:other:read")
	}
	c.stderr.wait(t, `msg="read the changed file of tokens"`)
	close(stop)
	wg.Wait()
	require.NotContains(t, c.stderr.String(), "is not valid")
}

// A client that has begun its handshake is not cut off by a change of the certificates.
func TestAConnectionKeepsItsCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := writePair(t, dir, "first")
	c := start(t, nil, "--listen", "127.0.0.1:0", "--tls-cert", p.cert, "--tls-key", p.key)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(c.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	writePair(t, dir, "second")
	reader := bufio.NewReader(conn)
	for range 2 {
		_, err = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
}
