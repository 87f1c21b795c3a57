package cache

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// DialOptions say which Redis to talk to.
type DialOptions struct {
	// Servers are URLs such as "redis://127.0.0.1:6379" or "rediss://host:6380/0": one is a single server,
	// several are nodes of a Redis Cluster, or Sentinels when MasterName is set. "unix:///run/redis.sock" is the
	// socket of a single server. What a URL says beside its host counts for all servers, so no two of them say
	// it differently, and a URL has no options but the database, as its path or as "?db=1".
	Servers    []string
	MasterName string
	// Username and Password, where not empty, count more than those in the first URL.
	Username, Password string
	// DB, where not 0, counts more than the one in the first URL. It is 0 or more, and in a cluster 0.
	DB int
	// TLS, where not nil, is used for all connections. A rediss URL alone uses the system's roots. Without a
	// ServerName, each connection is verified against the host that it dials.
	TLS *tls.Config
	// Timeout bounds connecting, and each reading and writing.
	Timeout time.Duration
}

// Addrs returns the addresses of the servers without credentials, for messages.
func (o DialOptions) Addrs() []string {
	var addrs []string
	for _, server := range o.Servers {
		if parsed, err := parseServer(server); err == nil {
			addrs = append(addrs, parsed.Addr)
		}
	}
	return addrs
}

// Names are what the user calls the options of a [DialOptions], for messages.
type Names struct {
	Servers, Username, Password, DB string
	TLS                             []string
}

// Explain says at which servers an error of Redis came up, and which options to look at where it comes from
// them: the credentials where Redis refuses them, the number of the database, those of TLS where the two do
// not agree on it, or the servers where there is no answer. It shows no secret.
func (o DialOptions) Explain(err error, n Names) error {
	var answer redis.Error
	at := strings.Join(o.Addrs(), ", ")
	switch {
	case IsRefused(err):
		return fmt.Errorf("redis at %s: %w; want a '%s' and '%s' that it takes, or other '%s'", at, err, n.Username, n.Password, n.Servers)
	case isNoDB(err):
		return fmt.Errorf("redis at %s: %w; want a '%s' that it has, or other '%s'", at, err, n.DB, n.Servers)
	case isTLS(err):
		return fmt.Errorf("redis at %s: %w; want '%s' that fit its certificate and its authority, or other '%s'",
			at, err, strings.Join(n.TLS, "', '"), n.Servers)
	case !errors.As(err, &answer):
		return fmt.Errorf("redis at %s: %w; want '%s' where a Redis answers", at, err, n.Servers)
	}
	return fmt.Errorf("redis at %s: %w", at, err)
}

// IsRefused reports whether Redis refuses who we are, or what that user does: trying again does not help.
func IsRefused(err error) bool {
	return hasPrefix(err, "WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password")
}

// IsPermanent reports whether a first command would fail again and again.
func IsPermanent(err error) bool { return IsRefused(err) || isNoDB(err) }

// isTLS reports whether an error is of TLS: a certificate that either side does not take, or a server that
// does not speak it.
func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &header) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") // as crypto/tls calls alerts
}

func isNoDB(err error) bool { return hasPrefix(err, "ERR DB index") }

func hasPrefix(err error, prefixes ...string) bool {
	var answer redis.Error
	return errors.As(err, &answer) && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(answer.Error(), p) })
}

// Check returns the error that Dial would return.
func (o DialOptions) Check() error {
	_, err := o.universal()
	return err
}

// Dial returns a client. It does not connect yet. Errors name the server without its credentials.
func Dial(o DialOptions) (redis.UniversalClient, error) {
	u, err := o.universal()
	if err != nil {
		return nil, err
	}
	return redis.NewUniversalClient(u), nil
}

func (o DialOptions) universal() (*redis.UniversalOptions, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("no server is named, want one such as \"redis://127.0.0.1:6379\"")
	}
	u := &redis.UniversalOptions{
		MasterName: o.MasterName, TLSConfig: o.TLS,
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout, ContextTimeoutEnabled: true,
		// Nothing but the commands that the ACL lists.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               1,
		DialerRetries:            1,
	}
	if err := o.parse(u); err != nil {
		return nil, err
	}
	return u, nil
}

// parse sets what the servers' URLs say, and what of the options goes before it.
func (o DialOptions) parse(u *redis.UniversalOptions) error {
	servers := make([]server, 0, len(o.Servers))
	for _, text := range o.Servers {
		s, err := parseServer(text)
		if err != nil {
			return err
		}
		servers = append(servers, s)
		u.Addrs = append(u.Addrs, s.Addr)
	}
	first := servers[0]
	u.Username, u.Password, u.DB = first.Username, first.Password, first.DB
	if u.TLSConfig == nil && first.TLSConfig != nil {
		u.TLSConfig = first.TLSConfig
		u.TLSConfig.ServerName = "" // each connection is verified against the host that it dials, which the client fills in
	}
	o.override(u)
	if u.DB != 0 && len(u.Addrs) > 1 && u.MasterName == "" {
		return fmt.Errorf("database %d of Redis is not to be had in a cluster, which has only 0", u.DB)
	}
	for _, s := range servers {
		if err := o.checkBeside(first, s); err != nil {
			return fmt.Errorf("server %q: %w", s.shown, err)
		}
	}
	return nil
}

// checkBeside returns an error where a server cannot be one of these, or says something that the first one,
// which counts for all, does not.
func (o DialOptions) checkBeside(first, s server) error {
	switch {
	case s.Network == "unix" && (len(o.Servers) > 1 || o.MasterName != ""):
		return errors.New("a socket is that of a single server, want it alone, without a cluster or Sentinels")
	case (s.TLSConfig == nil) != (first.TLSConfig == nil):
		return fmt.Errorf("it is another kind than the first, %q, want all servers to be \"redis://\" or all \"rediss://\"", first.shown)
	case s.named && (s.Username != first.Username || s.Password != first.Password):
		return fmt.Errorf("it has other credentials than the first, %q, which count for all servers, want the same or none", first.shown)
	case s.numbered && s.DB != first.DB:
		return fmt.Errorf("it has database %d and the first, %q, has %d, which counts for all servers, want the same or none", s.DB, first.shown, first.DB)
	}
	return nil
}

func (o DialOptions) override(u *redis.UniversalOptions) {
	if o.Username != "" {
		u.Username = o.Username
	}
	if o.Password != "" {
		u.Password = o.Password
	}
	if o.DB != 0 {
		u.DB = o.DB
	}
}

// server is what the URL of a server says.
type server struct {
	*redis.Options
	shown    string // the URL without its secrets
	named    bool   // it has credentials
	numbered bool   // it has a database
}

// parseServer reads the URL of a server. The error shows no secret.
func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return server{}, errors.New("a server is no URL, want one such as \"redis://127.0.0.1:6379\"")
	}
	if u.Scheme != "unix" && strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return server{}, errors.New("a server's URL has an \"@\" behind its host, want what is special in a password percent-encoded, such as %2F for \"/\"")
	}
	shown := *u
	shown.RawQuery, shown.Fragment = "", "" // one could be a password that is in no place for it
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

// checkURL returns an error where a URL has parts that would not count.
func checkURL(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("what follows the \"?\" is no option")
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

// IsAnswer reports whether an error is Redis' own answer, rather than that there is none.
func IsAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}
