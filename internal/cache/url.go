package cache

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// server is a parsed URL of a server. Its options may have a password, so messages contain only shown or the address.
//
//	redis://user:secret@host:6380/2   Addr host:6380, DB 2, named and numbered, shown as redis://host:6380
//	rediss://host                     Addr host:6379, with TLS
//	unix:///run/redis.sock?db=1       Addr /run/redis.sock, DB 1, numbered
type server struct {
	*redis.Options
	shown    string // the URL without its secrets
	named    bool   // whether the URL has credentials
	numbered bool   // whether the URL has a database
}

// ErrEncoding is the error of a URL whose credentials have special characters that are not percent-encoded.
var ErrEncoding = errors.New("a server with credentials is not a URL, want one such as \"redis://127.0.0.1:6379\" with the special characters of " +
	"a password percent-encoded: %2F for \"/\", %23 for \"#\", %3F for \"?\", %40 for \"@\" and %25 for \"%\"")

// errNotURL is the error of a text that is not a URL with a host, or with the path of a socket.
var errNotURL = errors.New("a server is not a URL, want one such as \"redis://127.0.0.1:6379\"")

// parseServer parses the URL of a server. A password may be in the wrong place, so errors contain only the scheme, the
// host and, for a socket, the path.
func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	// With a "/", "#" or "?" in the password, the host ends there, and the "@" before the real host is in a later part.
	misplaced := err != nil || u.Opaque != "" || u.Scheme != "unix" && strings.Contains(u.Path+u.RawQuery+u.Fragment, "@")
	switch {
	case misplaced && strings.Contains(text, "@"):
		return server{}, ErrEncoding
	case misplaced || u.Scheme == "":
		return server{}, errNotURL
	}
	if err := checkURL(u); err != nil {
		return server{}, fmt.Errorf("server %q: %w, want a URL such as \"redis://127.0.0.1:6379\"", shown(u), err)
	}
	parsed, err := redis.ParseURL(text)
	if err != nil { // it may quote any part of the URL; checkURL finds every fault that is known
		return server{}, errNotURL
	}
	return server{Options: parsed, shown: shown(u), named: u.User != nil, numbered: hasDB(u) || u.RawQuery != ""}, nil
}

// shown returns the parts of a URL that are never secret.
func shown(u *url.URL) string {
	safe := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.Scheme == "unix" {
		safe.Path = u.Path
	}
	return safe.String()
}

// checkURL returns an error if a part of the URL is wrong or would have no effect. The error has no part of the URL but the host of a socket.
func checkURL(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the text after \"?\" is not a list of options")
	}
	for name := range query {
		if name != "db" {
			return errors.New("the only option of a URL is \"db\"")
		}
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return errors.New("the scheme is neither redis, rediss nor unix")
	case len(query["db"]) > 1 || len(query["db"]) == 1 && hasDB(u):
		return errors.New("it has more than one database")
	case u.Fragment != "":
		return errors.New("a URL cannot have a \"#\"")
	case u.Scheme == "unix" && u.Host != "":
		return fmt.Errorf("a socket has no host, found %q and want three slashes, as in \"unix:///run/redis.sock\"", u.Host)
	case u.Scheme == "unix" && strings.TrimSpace(u.Path) == "":
		return errors.New("it has no path of a socket")
	case !validPort(u.Port()):
		return errors.New("the port is not a number from 1 to 65535")
	}
	number := query.Get("db")
	if hasDB(u) {
		number = strings.Trim(u.Path, "/")
	}
	if n, err := strconv.Atoi(number); number != "" && (err != nil || n < 0) {
		return errors.New("the database is not a number, want 0 or more")
	}
	return nil
}

// validPort reports whether a port is absent or a number that a server can have.
func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// hasDB reports whether a URL has a database as its path.
func hasDB(u *url.URL) bool { return u.Scheme != "unix" && strings.Trim(u.Path, "/") != "" }
