package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manager is the socket of a service manager.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	require.NoError(t, l.SetReadDeadline(time.Now().Add(patience)))
	return l
}

// state returns the next state that a manager gets.
func state(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 100)
	n, err := l.Read(b)
	require.NoError(t, err)
	return string(b[:n])
}

// shortFolder returns a folder whose path leaves room for the name of a socket.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestSocketsOfEveryFormGetTheState(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	dir := shortFolder(t)
	abstract := fmt.Sprintf("@analytics-api-test-%d", os.Getpid())
	for _, name := range []string{
		filepath.Join(dir, "a"), dir + "/" + strings.Repeat("a", maxSocket-len(dir)-1), abstract, abstract + strings.Repeat("a", maxSocket-len(abstract)),
	} {
		l := manager(t, name)
		require.NoError(t, notify([]string{"NOTIFY_SOCKET=" + name}, "READY=1"), name)
		require.Equal(t, "READY=1", state(t, l))
	}
}

func TestASocketThatCannotBeOneIsReported(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"notify":                            `NOTIFY_SOCKET "notify": want the path of a socket, or @ and the name of an abstract one`,
		"vsock:2:1234":                      `NOTIFY_SOCKET "vsock:2:1234": want the path`,
		"/" + strings.Repeat("a", 107):      "NOTIFY_SOCKET has 108 bytes, want at most 107",
		"@" + strings.Repeat("a", 1_000):    "NOTIFY_SOCKET has 1001 bytes, want at most 107",
		"/none/notify":                      "NOTIFY_SOCKET: dial unixgram /none/notify: connect: no such file or directory",
		"@analytics-api-test-of-no-process": "NOTIFY_SOCKET: dial unixgram ",
	} {
		require.ErrorContains(t, notify([]string{"NOTIFY_SOCKET=" + name}, "READY=1"), want)
	}
	require.NoError(t, notify(nil, "READY=1"))
	require.NoError(t, notify([]string{"NOTIFY_SOCKET="}, "READY=1"))
}

// The service must end also if the manager has no room for STOPPING=1.
func TestAManagerThatDoesNotReadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	name := filepath.Join(shortFolder(t), "notify")
	manager(t, name)
	var err error
	for sent := 0; err == nil; sent++ {
		require.Less(t, sent, 100_000)
		err = notify([]string{"NOTIFY_SOCKET=" + name}, "WATCHDOG=1")
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestTheWatchdogIsFedWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	name := filepath.Join(shortFolder(t), "notify")
	l := manager(t, name)
	c := start(t, []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=200000"}, "--listen", "127.0.0.1:0")
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		require.Equal(t, want, state(t, l))
	}
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	got := "WATCHDOG=1"
	for got == "WATCHDOG=1" {
		got = state(t, l)
	}
	require.Equal(t, "STOPPING=1", got)
	require.NoError(t, c.wait(t))
}

func TestTheWatchdogIsForThisProcess(t *testing.T) {
	t.Parallel()
	pid := fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid())
	for want, all := range map[time.Duration][][]string{
		3 * time.Second: {{"WATCHDOG_USEC=3000000"}, {"WATCHDOG_USEC=3000000", pid}},
		0: {
			nil, {"WATCHDOG_USEC="}, {"WATCHDOG_USEC=0"}, {"WATCHDOG_USEC=-1"}, {"WATCHDOG_USEC=x"}, {"WATCHDOG_USEC=9223372036854775807"},
			{"WATCHDOG_USEC=99999999999999999999"}, {"WATCHDOG_USEC=3000000", pid + "0"},
		},
	} {
		for _, environ := range all {
			require.Equal(t, want, watchdogTime(environ), environ)
		}
	}
}
