package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifyTimeout bounds the sending of a state: a service manager that does not read must not keep the service from ending.
const notifyTimeout = time.Second

// maxSocket is the length of the longest path of a socket, or name of an abstract one, on Linux: that of sun_path without a NUL.
const maxSocket = 107

// notify sends a state, such as "READY=1", to the service manager if that has set NOTIFY_SOCKET, as systemd does for a
// service of Type=notify: see sd_notify(3). Without the variable it does nothing. The protocol is one datagram for each
// state, so no library is needed. The variable is the path of a socket, or "@" and the name of an abstract one.
//
// The states that the service sends are "READY=1", once it accepts requests, "STOPPING=1", and "WATCHDOG=1": see watchdog.
func notify(environ []string, state string) error {
	socket := lookup(environ, "NOTIFY_SOCKET")
	switch {
	case socket == "":
		return nil
	case !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@"):
		return fmt.Errorf("NOTIFY_SOCKET %q: want the path of a socket, or @ and the name of an abstract one", socket)
	case len(socket) > maxSocket:
		return fmt.Errorf("NOTIFY_SOCKET has %d bytes, want at most %d", len(socket), maxSocket)
	}
	// Package net takes a name that begins with "@" for an abstract socket.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return nil
}

// watchdog sends "WATCHDOG=1" twice in each time that the service manager allows, until ctx ends, if that has set WATCHDOG_USEC, as systemd
// does for a service with WatchdogSec: see sd_watchdog_enabled(3). So a process that is stopped or has no processor time is restarted.
// Only the first failure is logged.
func watchdog(ctx context.Context, environ []string, log *slog.Logger) {
	every := watchdogTime(environ) / 2
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for failed := false; ; {
		if err := notify(environ, "WATCHDOG=1"); err != nil && !failed {
			failed = true
			log.Warn("the service manager was not notified", "state", "WATCHDOG=1", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// watchdogTime returns the longest time between two notifications that the service manager allows to this process, or 0 for no
// limit.
func watchdogTime(environ []string) time.Duration {
	usec, err := strconv.ParseInt(lookup(environ, "WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0
	}
	if pid := lookup(environ, "WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}
