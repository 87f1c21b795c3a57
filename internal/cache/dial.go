package cache

import (
	"crypto/tls"
	"errors"
	"fmt"
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
	// several are nodes of a Redis Cluster, or Sentinels when MasterName is set.
	Servers    []string
	MasterName string
	// Username and Password, where not empty, count more than those in the first URL.
	Username, Password string
	// DB, where not 0, counts more than the one in the first URL. A cluster has only 0.
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
		if u, err := url.Parse(server); err == nil {
			addrs = append(addrs, u.Host)
		}
	}
	return addrs
}

// Names are what the user calls the options of a [DialOptions], for messages.
type Names struct{ Servers, Username, Password, DB string }

// Explain says at which servers an error of Redis came up, and which options to look at where it comes from
// them: the credentials where Redis refuses them, the number of the database, or the servers where there is
// no answer. It shows no secret.
func (o DialOptions) Explain(err error, n Names) error {
	var answer redis.Error
	at := strings.Join(o.Addrs(), ", ")
	switch {
	case IsRefused(err):
		return fmt.Errorf("redis at %s: %w; want a '%s' and '%s' that it takes, or other '%s'", at, err, n.Username, n.Password, n.Servers)
	case isNoDB(err):
		return fmt.Errorf("redis at %s: %w; want a '%s' that it has, or other '%s'", at, err, n.DB, n.Servers)
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
	for i, server := range o.Servers {
		parsed, err := parseServer(server)
		if err != nil {
			return nil, err
		}
		u.Addrs = append(u.Addrs, parsed.Addr)
		if i == 0 {
			u.Username, u.Password, u.DB = parsed.Username, parsed.Password, parsed.DB
		}
		if u.TLSConfig == nil && parsed.TLSConfig != nil {
			u.TLSConfig = parsed.TLSConfig
			u.TLSConfig.ServerName = "" // each connection is verified against the host that it dials, which the client fills in
		}
	}
	o.override(u)
	if u.DB != 0 && len(u.Addrs) > 1 && u.MasterName == "" {
		return nil, fmt.Errorf("database %d of Redis is not to be had in a cluster, which has only 0", u.DB)
	}
	return u, nil
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

func parseServer(server string) (*redis.Options, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("a server is no URL, want one such as \"redis://127.0.0.1:6379\"")
	}
	parsed, err := redis.ParseURL(server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w, want a URL such as \"redis://127.0.0.1:6379\"", u.Redacted(), err)
	}
	return parsed, nil
}

// IsAnswer reports whether an error is Redis' own answer, rather than that there is none.
func IsAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}
