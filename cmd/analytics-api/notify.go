package main

import (
	"fmt"
	"net"
	"strings"
)

// notify sends a state, such as "READY=1", to the service manager if that has set NOTIFY_SOCKET, as systemd does for a
// service of Type=notify: see sd_notify(3). Without the variable it does nothing. The protocol is one datagram for each
// state, so no library is needed.
//
// The states that the service sends are "READY=1", once it accepts requests, and "STOPPING=1".
func notify(environ []string, state string) error {
	socket := lookup(environ, "NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(socket, "@"); ok {
		socket = "\x00" + name // an abstract socket of Linux
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return nil
}
