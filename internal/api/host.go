package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// wrongHost is the error for a request whose header Host is not a name of this machine.
type wrongHost struct{ host string }

func (e wrongHost) Error() string {
	return "the host " + shorten(e.host) + " is not a name of this machine; the setting hosts allows other names"
}

// checkHost refuses requests whose Host is neither a loopback name or address nor one of [Options.Hosts]. A page from the
// internet can have the browser of this machine send requests to loopback, by a name whose DNS entry it changes; such
// requests have that name as Host.
//
// This attack is known as DNS rebinding. It fails where requests need tokens, because the page has none to send.
func (s *server) checkHost(next http.Handler) http.Handler {
	refuse := s.beside(scopeOpen, func(_ http.ResponseWriter, r *http.Request, _ *params) error {
		s.metrics.refused("host")
		return wrongHost{r.Host}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.isOwnHost(r.Host) {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOwnHost reports whether a header Host, with or without a port, names this machine. Browsers always send the header, so requests
// without it are accepted. Letters are compared without case, and a dot at the end of a name means nothing. Own names are
// localhost, everything below .localhost, the addresses of loopback, such as 127.0.0.1, 127.1.2.3 and [::1], and those of the
// settings.
func (s *server) isOwnHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	// An IPv6 address without a port still has its brackets.
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if slices.ContainsFunc(s.Hosts, func(own string) bool { return strings.EqualFold(own, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
