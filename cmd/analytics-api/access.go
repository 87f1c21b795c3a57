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
	"strings"

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
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.validateDistinct()
}

// validateDistinct returns an error if two addresses to listen on are the same. They are valid.
func (c *config) validateDistinct() error {
	type listener struct{ name, address string }
	all := []listener{{"listen", c.Listen}}
	if c.HealthListen != "" {
		all = append(all, listener{"health_listen", c.HealthListen})
	}
	if c.Embedded != "" {
		all = append(all, listener{"embedded_listen", c.EmbeddedListen})
	}
	var errs []error
	for i, l := range all {
		for _, other := range all[:i] {
			if overlap(l.address, other.address) {
				errs = append(errs, invalid(l.name, " %q, want another address than that of '%s', %q", l.address, other.name, other.address))
			}
		}
	}
	return errors.Join(errs...)
}

// overlap reports whether only one of two addresses, host:port, can be listened on: those with one port and the same host, or a host that
// means all addresses. Names of hosts are compared as they are. Port 0 is another port each time.
func overlap(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	everywhere := func(host string) bool { return host == "" || net.ParseIP(host).IsUnspecified() }
	numberA, _ := strconv.Atoi(portA)
	numberB, _ := strconv.Atoi(portB)
	return numberA == numberB && numberA != 0 && (hostA == hostB || everywhere(hostA) || everywhere(hostB))
}

// validateAddress returns an error for a malformed address and, unless public is true, for an address that is not a loopback
// address. name is the name of the setting. reason is a part of the error for an address that is not loopback: why it is refused,
// and what the user can do other than to set allow_public. For example, "127.0.0.1:8001" and "[::1]:0" are valid, and ":8001" needs
// public, as it means all addresses.
func (c *config) validateAddress(name, address string, public bool, reason string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return invalid(name, " %q, want host:port such as \"127.0.0.1:8001\"", address)
	}
	if !isHost(host) {
		return invalid(name, " %q: host %q, want an address or a name", address, host)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return invalid(name, " %q: port %q, want a number from 0 (any free one) to 65535", address, port)
	}
	if public || isLoopback(host) {
		return nil
	}
	return invalid(name, " %q: this address is reachable from other machines and %s set allow_public or --allow-public to allow that", address, reason)
}

// isHost reports whether a host, without a port, is an address, or can be a name. It is not looked up. A text of digits and dots, such as
// 256.1.1.1, is no name. An empty one means all addresses.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	const letters, others = "abcdefghijklmnopqrstuvwxyz", "0123456789.-_"
	return strings.Trim(strings.ToLower(host), letters+others) == "" && strings.ContainsAny(strings.ToLower(host), letters)
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

// validateAccess checks the settings of tokens, proxies, hosts, CORS and TLS, and reads their files. It sets c.proxies.
func (c *config) validateAccess() error {
	return errors.Join(c.validateTokens(), c.parseProxies(), c.validateHosts(), c.validateOrigins(), c.validateTLS())
}

// validateTokens checks the settings of tokens. It reads the file of tokens and keeps nothing of it: see
// [config.useTokens].
func (c *config) validateTokens() error {
	var errs []error
	if c.TokenRate > 0 && c.TokenRate <= mostCount && c.Tokens == "" {
		errs = append(errs, invalid("token_rate", ": there are no tokens, want 'tokens' or 'address_rate'"))
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
		errs = append(errs, invalid("tokens", ": %w", err))
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
			errs = append(errs, invalid("trusted_proxies", " %q, want an address or a network such as \"10.0.0.0/8\"", text))
		}
		c.proxies = append(c.proxies, network)
	}
	return errors.Join(errs...)
}

// validateHosts checks that each host is a name or an address alone. One with a port, a scheme or a dot at its end would silently
// match no request: see the option Hosts of the API. For example, stats.example.com, 192.0.2.1 and 2001:db8::1 are valid.
func (c *config) validateHosts() error {
	var errs []error
	for _, host := range c.Hosts {
		_, notAddress := netip.ParseAddr(host)
		if notAddress != nil && (host == "" || strings.ContainsAny(host, ":/[]@ \t\r\n") || strings.HasSuffix(host, ".")) {
			errs = append(errs, invalid("hosts", " %q, want the name or address of a host, without a port, such as \"stats.example.com\"", host))
		}
	}
	return errors.Join(errs...)
}

// validateOrigins checks that each origin is as browsers send it: a scheme, a host in lower case and a port other than that of the
// scheme. Origins are compared as texts, so one with a path or a "/" at its end would silently match none. For example,
// https://grafana.example.com and http://127.0.0.1:3000 are valid.
func (c *config) validateOrigins() error {
	var errs []error
	for _, origin := range c.CORSOrigins {
		if origin != "*" && !isOrigin(origin) {
			errs = append(errs, invalid("cors_origins", " %q, want an origin such as \"https://grafana.example.com\", or \"*\"", origin))
		}
	}
	return errors.Join(errs...)
}

// isOrigin reports whether a browser can send a text as an origin.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || text != u.Scheme+"://"+u.Host || text != strings.ToLower(text) {
		return false
	}
	switch u.Scheme {
	case "http":
		return u.Port() != "80" && !strings.HasSuffix(u.Host, ":")
	case "https":
		return u.Port() != "443" && !strings.HasSuffix(u.Host, ":")
	}
	return false
}

// validateTLS checks the TLS settings of the service, and reads their files. It keeps nothing of them, because they are
// read again when the service starts: see [config.encrypt].
func (c *config) validateTLS() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return invalid(oneOf("tls_cert", c.TLSCert, "tls_key"), ": 'tls_cert' and 'tls_key' belong together, want both or none")
	case c.TLSCert == "" && c.TLSClientCA != "":
		return invalid("tls_client_ca", ": there is no 'tls_cert', and only TLS has certificates of clients")
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
