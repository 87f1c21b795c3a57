package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// settings are the settings of a run. All come from environment variables, so that make demo needs no flags.
type settings struct {
	seconds            int // 0 for no end
	apiPort, redisPort int
}

// The default ports of the API and of Redis.
const (
	defaultAPIPort   = 8001
	defaultRedisPort = 6379
)

// choose reads the settings from the environment. A port that is not set is the default port. If the default port is in use, a free one
// is chosen, and a line on out names it. A port that is set and in use is an error. The error joins the faults of all variables, so that
// a user can correct them at once; after an error the settings must not be used.
//
//	DEMO_SECONDS=20      the run ends after 20 s, or with the first fresh records after that, and fails without any for another minute
//	DEMO_API_PORT=8002   of the API and the page
//	DEMO_REDIS_PORT=6380
func choose(out io.Writer) (settings, error) {
	s := settings{}
	err := errors.Join(
		readNumber("DEMO_SECONDS", 0, 1_000_000, &s.seconds),
		readNumber("DEMO_API_PORT", 1, 65535, &s.apiPort),
		readNumber("DEMO_REDIS_PORT", 1, 65535, &s.redisPort),
	)
	if err != nil {
		return s, err
	}
	// Each port that is not set must differ from the other one, which may be set to its default.
	err = errors.Join(
		choosePort(out, "DEMO_API_PORT", "the API", defaultAPIPort, s.redisPort, &s.apiPort),
		choosePort(out, "DEMO_REDIS_PORT", "Redis", defaultRedisPort, s.apiPort, &s.redisPort),
	)
	if err == nil && s.apiPort == s.redisPort {
		err = fmt.Errorf("port %d cannot be the port of both the API and Redis: choose another one, such as make demo DEMO_REDIS_PORT=%d",
			s.redisPort, another(s.redisPort))
	}
	return s, err
}

// readNumber stores the number of an environment variable, which must be from least to most, in *to. An empty variable leaves *to as it is.
func readNumber(name string, least, most int, to *int) error {
	text := os.Getenv(name)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%s=%q, want a number from %d to %d", name, text, least, most)
	}
	*to = n
	return nil
}

// choosePort checks the port if it is set. If it is 0, choosePort sets it to the default port if that is free and not
// other, the port of the other program, and to a free port otherwise.
func choosePort(out io.Writer, variable, program string, usual, other int, port *int) error {
	if *port != 0 {
		return checkPort(*port, variable)
	}
	if usual != other && canListen(usual) == nil {
		*port = usual
		return nil
	}
	free, err := freePort()
	if err != nil {
		return fmt.Errorf("no free port for %s: %w", program, err)
	}
	*port = free
	fmt.Fprintf(out, "Port %d is in use: %s gets port %d.\n", usual, program, free)
	return nil
}

// checkPort returns an error if the demo cannot listen on the port. It names the variable, and a port that may be free.
func checkPort(port int, variable string) error {
	err := canListen(port)
	if err == nil {
		return nil
	}
	why := "in use"
	if errors.Is(err, os.ErrPermission) {
		why = "not permitted"
	}
	return fmt.Errorf("port %d is %s: choose another one, such as make demo %s=%d", port, why, variable, another(port))
}

// canListen returns an error if no program can listen on the port of the loopback interface. The port is free again when it returns, so
// another program may take it before ours does.
func canListen(port int) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	return l.Close()
}

// freePort returns a port that no program listens on, chosen by the kernel. As with canListen, another program may take it afterwards.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// another returns a port to suggest instead of one, from 1 to 65535: 18001 for 8001. Whether it is free is not checked.
func another(port int) int {
	if port > 55535 {
		return port - 10000
	}
	return port + 10000
}
