package memory

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Limits of a command. Those of a client without a password are small.
const (
	maxArgs, maxBytes           = 1 << 20, 64 << 20
	maxArgsBefore, maxBytesAuth = 8, 4 << 10
	// authTime is how long a connection may stay open without the password.
	authTime = 10 * time.Second
)

// errProtocol ends the connection of a client that sends something else than commands.
var errProtocol = errors.New("not a command of Redis")

// noAuth is sent to the server in place of a command of a client without the password. The server answers to it with
// NOAUTH, at the right place among its other answers.
const noAuth = "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"

// gate is a connection whose Read returns whole commands only: arrays of strings within the limits. Before the client
// has given the password, it returns only commands that do so.
//
//	*2\r\n $3\r\nGET\r\n $1\r\nk\r\n      an array of two strings: the only form of RESP in which clients send commands
//
// Inline commands, which people type into telnet, are refused. One goroutine reads from a gate, that of the server.
//
// The server parses each command again. The gate passes on only well-formed commands within the limits.
type gate struct {
	net.Conn // for everything but Read

	r             *bufio.Reader // of the connection; a line in it is at most 4096 bytes
	password      string        // not empty
	authenticated bool          // whether the client has given the password; it stays so
	command       bytes.Buffer  // the command that is being returned, or read
}

// newGate returns a gate for a connection that was just accepted, which may stay open without the password for that long.
func newGate(conn net.Conn, password string, patience time.Duration) *gate {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return &gate{Conn: conn, r: bufio.NewReader(conn), password: password}
}

// Read returns bytes of the commands. It begins with those of a command only after it has read the whole command.
func (g *gate) Read(p []byte) (int, error) {
	if g.command.Len() == 0 {
		g.command.Reset()
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	return g.command.Read(p)
}

// next reads a command into g.command. An error ends the connection: after bytes that are not a command, the start of the next one
// is not known.
func (g *gate) next() error {
	mostArgs, mostBytes := maxArgs, maxBytes
	if !g.authenticated {
		mostArgs, mostBytes = maxArgsBefore, maxBytesAuth
	}
	n, err := g.number('*', 1, mostArgs)
	if err != nil {
		return err
	}
	var first [maxArgsBefore]string // the arguments that identify can need
	for i := range n {
		size, err := g.number('$', 0, mostBytes-g.command.Len())
		if err != nil {
			return err
		}
		start := g.command.Len()
		// The buffer grows with the bytes that arrive, not with the size that the client gives.
		if _, err := io.CopyN(&g.command, g.r, int64(size)+2); err != nil { // with the "\r\n" behind the bytes
			return err
		}
		if i < len(first) && size <= maxBytesAuth {
			first[i] = string(g.command.Bytes()[start : start+size])
		}
	}
	g.identify(first[:min(n, len(first))])
	return nil
}

// number reads a line such as "*3" or "$12", whose number is within bounds, which are inclusive. It adds the line to g.command. So it
// refuses a command of no strings, *0, which ends the process of miniredis.
func (g *gate) number(kind byte, least, most int) (int, error) {
	line, err := g.r.ReadSlice('\n')
	if err != nil {
		return 0, err // also for a line that is longer than the buffer
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok || len(text) < 2 || text[0] != kind {
		return 0, errProtocol
	}
	n, err := strconv.Atoi(text[1:])
	if err != nil || n < least || n > most {
		return 0, errProtocol
	}
	g.command.Write(line)
	return n, nil
}

// identify finds the password in a command, and replaces commands of clients that have not given it. The server checks the password too:
// its answers to the client are the ones that count, and a wrong one leaves the gate closed. The forms are AUTH [user] password and
// HELLO version AUTH user password.
func (g *gate) identify(args []string) {
	if g.authenticated {
		return
	}
	command := strings.ToUpper(args[0])
	var given []string // the user, if there is one, and the password
	switch command {
	case "AUTH":
		given = args[1:]
	case "HELLO":
		if len(args) >= 5 && strings.EqualFold(args[2], "AUTH") {
			given = args[3:5]
		}
	case "QUIT":
		return
	default:
		g.command.Reset()
		g.command.WriteString(noAuth)
		return
	}
	if len(given) == 0 || len(given) > 2 || len(given) == 2 && given[0] != "default" {
		return
	}
	if subtle.ConstantTimeCompare([]byte(given[len(given)-1]), []byte(g.password)) == 1 {
		g.authenticated = true
		_ = g.SetReadDeadline(time.Time{})
	}
}
