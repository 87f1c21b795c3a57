package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// DialOptions select a Redis server, a Redis Cluster, or the primary that Redis Sentinels monitor.
type DialOptions struct {
	// Servers are URLs such as "redis://127.0.0.1:6379" or "rediss://host:6380/0": one is a single server or a node of
	// a Redis Cluster, several are nodes of a cluster. They are Sentinels if MasterName is set. "unix:///run/redis.sock"
	// is the socket of a single server. The scheme, the credentials and the database of the first URL apply to all
	// servers. The other URLs must have the same scheme, and the same credentials and database or none. The database is
	// the path of a URL or its option "db", as in "?db=1"; there are no other options.
	Servers    []string
	MasterName string
	// Username and Password override those in the first URL, unless they are empty.
	Username, Password string
	// PasswordFrom returns the password, if it is not nil. It is called for each connection, so that the password can
	// change, and concurrently. An error ends the attempt to connect; "" means no password.
	PasswordFrom func() (string, error)
	// SentinelUsername and SentinelPassword are the credentials of the Sentinels. Those above are used for the primary only.
	SentinelUsername, SentinelPassword string
	// DB overrides the database in the first URL, unless it is 0. It is 0 or more, and 0 in a cluster.
	DB int
	// TLS configures all connections. If it is nil, connections to rediss URLs trust the certificate authorities of
	// the system, and others use no TLS. Without a ServerName, the certificate is verified against the host of each
	// connection.
	TLS *tls.Config
	// Timeout bounds connecting, each read and each write.
	Timeout time.Duration
}

// Addrs returns the addresses of the servers without credentials, for messages. It leaves out malformed ones.
func (o DialOptions) Addrs() []string {
	var addrs []string
	for _, server := range o.Servers {
		if parsed, err := parseServer(server); err == nil {
			addrs = append(addrs, parsed.Addr)
		}
	}
	return addrs
}

// Local returns the address of the only server if it is on this machine, uses no TLS and has no credentials in o.
func (o DialOptions) Local() (addr string, ok bool) {
	u, err := o.universal()
	if err != nil || len(u.Addrs) != 1 || u.MasterName != "" || u.TLSConfig != nil || u.Username+u.Password != "" || o.PasswordFrom != nil {
		return "", false
	}
	host, _, err := net.SplitHostPort(u.Addrs[0]) // the path of a socket has no port
	ip := net.ParseIP(host)
	return u.Addrs[0], err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Names are the names of the options of a [DialOptions] in the user's configuration, for messages. An empty one is not mentioned: the
// user has no such option.
type Names struct {
	Servers, MasterName, Username, Password, PasswordFile, SentinelUsername, SentinelPassword, DB string
	// Limits bound how much is kept.
	Limits, TLS []string
}

// Check returns the error that Dial would return, or nil.
func (o DialOptions) Check() error {
	_, err := o.universal()
	return err
}

// Dial returns a client, which the caller closes. It does not connect yet: the first command does. Errors are about the
// options, and name the server without its credentials. The client is safe for concurrent use.
func Dial(o DialOptions) (redis.UniversalClient, error) {
	u, err := o.universal()
	if err != nil {
		return nil, err
	}
	if len(u.Addrs) == 1 && u.MasterName == "" {
		return newOneServer(u), nil
	}
	if u.MasterName == "" {
		return newCluster(u), nil
	}
	return redis.NewUniversalClient(u), nil
}

// universal returns the options for the client, or the first error of the options. It does not connect.
func (o DialOptions) universal() (*redis.UniversalOptions, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("no server, want a URL such as \"redis://127.0.0.1:6379\"")
	}
	u := &redis.UniversalOptions{
		MasterName: o.MasterName, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword, TLSConfig: o.TLS,
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout, ContextTimeoutEnabled: true,
		// The client must not send commands that are not in the ACL.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               1,
		DialerRetries:            1,
	}
	if err := o.parse(u); err != nil {
		return nil, err
	}
	u.Dialer = dialer(u)
	if o.PasswordFrom != nil {
		u.CredentialsProviderContext = func(context.Context) (username, password string, err error) {
			password, err = o.PasswordFrom()
			return u.Username, password, err
		}
	}
	return u, nil
}

// parse sets the options of u that come from the URLs, and then those that override the URLs.
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
		u.TLSConfig.ServerName = "" // the client sets it to the host of each connection
	}
	o.override(u)
	if u.DB != 0 && len(u.Addrs) > 1 && u.MasterName == "" {
		return noDatabase(u.DB)
	}
	for _, s := range servers {
		if err := o.checkBeside(first, s); err != nil {
			return fmt.Errorf("server %q: %w", s.shown, err)
		}
	}
	return nil
}

// checkBeside returns an error for a server that contradicts the first one in its scheme, credentials or database,
// which apply to all servers.
func (o DialOptions) checkBeside(first, s server) error {
	switch {
	case s.Network == "unix" && (len(o.Servers) > 1 || o.MasterName != ""):
		return errors.New("a socket belongs to a single server, want no other servers and no Sentinels")
	case (s.TLSConfig == nil) != (first.TLSConfig == nil):
		return fmt.Errorf("its scheme differs from that of the first server, %q, want \"redis://\" for all servers or \"rediss://\" for all", first.shown)
	case s.named && (s.Username != first.Username || s.Password != first.Password):
		return fmt.Errorf("its credentials differ from those of the first server, %q, which apply to all servers, want the same or none", first.shown)
	case s.numbered && s.DB != first.DB:
		return fmt.Errorf("database %d differs from database %d of the first server, %q, which applies to all servers, want the same or none",
			s.DB, first.DB, first.shown)
	}
	return nil
}

// override sets the options that are set in o besides the URLs.
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
