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
func (s *server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.isOwnHost(r.Host) {
			s.metrics.refused("host")
			s.problem(w, r, wrongHost{r.Host})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOwnHost reports whether a header Host, with or without a port, names this machine. Browsers always send the header,
// so requests without it are accepted.
func (s *server) isOwnHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if slices.ContainsFunc(s.Hosts, func(own string) bool { return strings.EqualFold(own, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
