package cache

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// server is a parsed URL of a server.
type server struct {
	*redis.Options
	shown    string // the URL without its secrets
	named    bool   // whether the URL has credentials
	numbered bool   // whether the URL has a database
}

// ErrEncoding is the error of a URL whose credentials have special characters that are not percent-encoded.
var ErrEncoding = errors.New("a server with credentials is not a URL, want one such as \"redis://127.0.0.1:6379\" with the special characters of " +
	"a password percent-encoded: %2F for \"/\", %23 for \"#\", %3F for \"?\", %40 for \"@\" and %25 for \"%\"")

// parseServer parses the URL of a server. Its errors contain no secret.
func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		if strings.Contains(text, "@") { // the error of url.Parse may quote a part of the password
			return server{}, ErrEncoding
		}
		return server{}, errors.New("a server is not a URL, want one such as \"redis://127.0.0.1:6379\"")
	}
	if u.Scheme != "unix" && strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return server{}, ErrEncoding
	}
	shown := *u
	shown.RawQuery, shown.Fragment = "", "" // a password in the wrong place may be among them
	parsed, err := redis.ParseURL(text)
	if rule := checkURL(u); rule != nil {
		err = rule
	}
	if err == nil && parsed.DB < 0 {
		err = fmt.Errorf("database %d, want 0 or more", parsed.DB)
	}
	if err != nil {
		return server{}, fmt.Errorf("server %q: %w, want a URL such as \"redis://127.0.0.1:6379\"", shown.Redacted(), err)
	}
	return server{Options: parsed, shown: shown.Redacted(), named: u.User != nil, numbered: hasDB(u) || u.RawQuery != ""}, nil
}

// checkURL returns an error if a part of the URL would have no effect.
func checkURL(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the text after \"?\" is not a list of options")
	}
	for name := range query {
		if name != "db" {
			return fmt.Errorf("a URL cannot have the option %q, only \"db\"", name)
		}
	}
	switch {
	case len(query["db"]) > 1 || len(query["db"]) == 1 && hasDB(u):
		return errors.New("it has more than one database")
	case u.Fragment != "":
		return errors.New("a URL cannot have a \"#\"")
	case u.Scheme == "unix" && u.Host != "":
		return fmt.Errorf("a socket has no host, found %q and want three slashes, as in \"unix:///run/redis.sock\"", u.Host)
	}
	return nil
}

// hasDB reports whether a URL has a database as its path.
func hasDB(u *url.URL) bool { return u.Scheme != "unix" && strings.Trim(u.Path, "/") != "" }
