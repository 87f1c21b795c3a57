package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// validateListen checks the addresses that the command listens on. With tokens, other machines may reach the service. They may
// always reach the probes, which return no records. The embedded Redis has a password but no TLS, so only allow_public allows an
// address that they can reach. It does not listen: whether an address is free is found by serve.
func (c *config) validateListen() error {
	errs := []error{c.validateAddress("listen", c.Listen, c.AllowPublic || c.Tokens != "", "requests need no token; set tokens, or")}
	if c.HealthListen != "" {
		errs = append(errs, c.validateAddress("health_listen", c.HealthListen, true, ""))
	}
	if c.Embedded != "" {
		errs = append(errs, c.validateAddress("embedded_listen", c.EmbeddedListen, c.AllowPublic, "its traffic is not encrypted;"))
	}
	return errors.Join(errs...)
}

// validateAddress returns an error for a malformed address and, unless public is true, for an address that is not a loopback
// address. name is the name of the setting. reason is a part of the error for an address that is not loopback: why it is refused,
// and what the user can do other than to set allow_public. For example, "127.0.0.1:8001" and "[::1]:0" are valid, and ":8001" needs
// public, as it means all addresses.
func (c *config) validateAddress(name, address string, public bool, reason string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("invalid '%s' setting %q, want host:port such as \"127.0.0.1:8001\": %w", name, address, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("invalid '%s' setting %q: port %q, want a number from 0 (any free one) to 65535", name, address, port)
	}
	if public || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("invalid '%s' setting %q: this address is reachable from other machines and %s set allow_public or --allow-public to allow that",
		name, address, reason)
}

// isLoopback reports whether only this machine can reach the host. It resolves no names, so it is false for every name other than
// localhost, and for "", which means all addresses. A name could mean another machine later.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checksHost reports whether the header Host of requests is checked. It is if only this machine can reach the service and
// requests need no token: a page in a browser on this machine could otherwise read the records under a name of its own, which
// it lets point to this machine after it was loaded (DNS rebinding). A token stops such a page, as it does not know one.
func (c *config) checksHost() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLoopback(host) && c.Tokens == ""
}

// validateAccess checks the settings of tokens, rates, CORS and TLS, and reads their files. It sets c.proxies.
func (c *config) validateAccess() error {
	return errors.Join(c.validateTokens(), c.parseProxies(), c.validateOrigins(), c.validateTLS())
}

// validateTokens checks the settings of tokens and rates. It reads the file of tokens and keeps nothing of it: see
// [config.useTokens].
func (c *config) validateTokens() error {
	var errs []error
	// A rate of 0 is valid, so these two are not among the limits of validate.
	for name, rate := range map[string]int{"token_rate": c.TokenRate, "address_rate": c.AddressRate} {
		if rate < 0 {
			errs = append(errs, fmt.Errorf("invalid '%s' setting %d, want requests per second, or 0 for no limit", name, rate))
		}
	}
	if c.TokenRate > 0 && c.Tokens == "" {
		errs = append(errs, errors.New("invalid 'token_rate' setting: there are no tokens, want 'tokens' or 'address_rate'"))
	}
	if c.Tokens == "" {
		return errors.Join(errs...)
	}
	_, err := token.List(c.Tokens)
	switch {
	// A file without a token is valid, and a missing one is not: its name may be a typing error.
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w; make the first token with: analytics-api token create --tokens %s --permission db:NAME:read", err, c.Tokens)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w; the user of the service must own the file: run analytics-api token create as this user", err)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("invalid 'tokens' setting: %w", err))
	}
	return errors.Join(errs...)
}

// parseProxies sets c.proxies. A single address is a network of one. It rejects IPv4 addresses in the form of IPv6, such as
// "::ffff:10.0.0.1", and addresses with a zone. An address in that form would match no client, as the API compares
// IPv4 addresses as such. For example, 10.0.0.0/8, 192.0.2.1 and 2001:db8::/32 are valid.
func (c *config) parseProxies() error {
	var errs []error
	c.proxies = nil
	for _, text := range c.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if address, notAddress := netip.ParseAddr(text); notAddress == nil && address.Zone() == "" {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || network.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("invalid 'trusted_proxies' setting %q, want an address or a network such as \"10.0.0.0/8\"", text))
		}
		c.proxies = append(c.proxies, network)
	}
	return errors.Join(errs...)
}

// validateOrigins checks that each origin is as browsers send it: a scheme, a host and perhaps a port. Origins are compared as
// texts, so one with a path or a "/" at its end would silently match none. For example, https://grafana.example.com and
// http://127.0.0.1:3000 are valid.
func (c *config) validateOrigins() error {
	var errs []error
	for _, origin := range c.CORSOrigins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || origin != u.Scheme+"://"+u.Host) {
			errs = append(errs, fmt.Errorf("invalid 'cors_origins' setting %q, want an origin such as \"https://grafana.example.com\", or \"*\"", origin))
		}
	}
	return errors.Join(errs...)
}

// validateTLS checks the TLS settings of the service, and reads their files. It keeps nothing of them, because they are
// read again when the service starts: see [config.encrypt].
func (c *config) validateTLS() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("'tls_cert' and 'tls_key' belong together, want both or none")
	case c.TLSCert == "" && c.TLSClientCA != "":
		return errors.New("invalid 'tls_client_ca' setting: there is no 'tls_cert', and only TLS has certificates of clients")
	case c.TLSCert == "":
		return nil
	}
	// The same code as at the start, so that --check finds the same faults.
	_, err := c.certificates(nil).load()
	return err
}

// certificates returns the files of the TLS settings of the service. log may be nil for a single load. No file is read yet.
func (c config) certificates(log *slog.Logger) *certificates {
	return &certificates{cert: c.TLSCert, key: c.TLSKey, clientCA: c.TLSClientCA, log: log}
}
