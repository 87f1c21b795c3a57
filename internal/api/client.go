package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedFor is the header in which proxies list the addresses that a request came through, the nearest one last.
const forwardedFor = "X-Forwarded-For"

// clientOf returns the client of a request for limits and logs: see [clientName]. It is the address of the connection. If that
// is a trusted proxy, it is the last address in X-Forwarded-For that is not one. A client can write the addresses before
// that, so they are not used.
//
// For example, with the trusted proxies 10.0.0.0/8, and a connection from 10.0.0.2:
//
//	X-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.0.0.1
//	                 │        │            └ a trusted proxy, so the address before it counts
//	                 │        └ the client: 10.0.0.1 has seen it
//	                 └ written by the client, or by a proxy that is not trusted
func (s *server) clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if len(s.TrustedProxies) == 0 {
		if address.Is4() {
			return host // as clientName writes it
		}
		return clientName(address)
	}
	// Several headers are one list, as RFC 9110 defines.
	list := strings.Join(r.Header.Values(forwardedFor), ",")
	for list != "" && s.trusts(address) {
		at := strings.LastIndexByte(list, ',')
		next, ok := parseForwarded(list[at+1:])
		if !ok {
			// A trusted proxy wrote a text that is not an address, so the proxy itself is the client.
			break
		}
		address, list = next, list[:max(at, 0)]
	}
	return clientName(address)
}

// trusts reports whether an address is one of Options.TrustedProxies. IPv4 addresses can arrive in the form of IPv6, and networks
// have no zones.
func (s *server) trusts(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// parseForwarded parses an address in X-Forwarded-For, which some proxies write with a port: 203.0.113.9, 203.0.113.9:4711,
// 2001:db8::1, [2001:db8::1] and [2001:db8::1]:4711 are valid.
func parseForwarded(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr(), true
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return address, err == nil
}

// clientName returns an IPv4 address, or the /64 network of an IPv6 address, because one client usually has all addresses of such a
// network: for example 203.0.113.9 or 2001:db8:1:2::/64.
func clientName(address netip.Addr) string {
	if address = address.Unmap(); address.Is4() {
		return address.String()
	}
	network, _ := address.WithZone("").Prefix(64)
	return network.String()
}
