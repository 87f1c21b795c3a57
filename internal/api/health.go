package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// health answers that the service is running. The answer does not depend on Redis, because a restart of the service would not help
// if Redis is down. Without a valid token, where tokens are needed, it has no details. The answer is always 200, such as
// {"status":"ok","storage":"Redis","version":"v1.2.0"}.
func (s *server) health(w http.ResponseWriter, _ *http.Request, p *params) error {
	if s.Tokens != nil && p.grant.ID() == "" {
		return writeJSON(w, nil, map[string]string{"status": "ok"})
	}
	return writeJSON(w, nil, map[string]string{"status": "ok", "version": s.Version, "storage": s.Storage})
}

// probes are the two questions of /ready to the store: whether it answers, and which warnings it has. Requests at the same time share them.
//
// A question continues after its request was answered, because a command that is canceled closes its connection. In a slow network, or
// while a server starts, connecting and a command together can take longer than ReadyTimeout. The next request then uses the connection.
// Both questions are asked at once, because ReadyTimeout may be too short for one after the other.
type probes struct {
	pings    flights[struct{}, struct{}]
	warnings flights[struct{}, map[string][]string]
}

// probeSteps is the longest time of a question, as a multiple of ReadyTimeout, which is the timeout of the client of Redis for one step. The
// steps are connecting, HELLO, and the command. A client with a single address takes as many before them, to find the kind of the server.
const probeSteps = 6

func newProbes(timeout time.Duration) *probes {
	p := &probes{}
	p.pings.timeout, p.pings.lasting = probeSteps*timeout, true
	p.warnings.timeout, p.warnings.lasting = probeSteps*timeout, true
	return p
}

// ready answers with success if the store answers within ReadyTimeout, because requests for records need it. The answer has the
// store's warnings without the addresses of its servers, because it needs no token; the log has the addresses. If the store does not
// answer, the answer is a problem with the status 503.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ *params) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.ReadyTimeout)
	defer cancel()
	ping, _ := s.probes.pings.join(ctx, struct{}{}, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.reader.Ping(ctx) })
	defer s.probes.pings.leave(struct{}{}, ping)
	settings, _ := s.probes.warnings.join(ctx, struct{}{}, s.reader.Warnings)
	defer s.probes.warnings.leave(struct{}{}, settings)
	if _, err := ping.wait(ctx); err != nil {
		return away(err)
	}
	found, err := settings.wait(ctx)
	if err := r.Context().Err(); err != nil {
		return away(err) // the client has left, so the error may be that of its context
	}
	s.logAnswer(err) // of all servers of a cluster: requests for one that is away continue the outage
	warnings := slices.Sorted(maps.Keys(found))
	if err != nil { // one server of a cluster, while others answer
		warnings = append(warnings, "a server does not answer, so its settings are unknown and requests for some tables fail")
	}
	s.logWarnings(found, err)
	return writeJSON(w, nil, struct {
		Status   string   `json:"status"`
		Warnings []string `json:"warnings,omitempty"`
	}{"ready", warnings})
}

// warned remembers the warnings of the store, so that each is logged once and not for every probe. It is safe for concurrent use.
type warned struct {
	mu      sync.Mutex          // guards the fields below
	last    map[string][]string // the result of the last Warnings of the store without an error; nobody changes it
	unknown bool                // whether the last Warnings had an error
	logged  time.Time           // the last line about such an error; zero before it
}

// logWarnings logs the warnings of the store that are new, or that are about other servers than before. A warning that ends and comes
// back is logged again. err is that of the same Warnings: it is logged too, unless the one before failed as well, and at most once in
// outageEvery: a server that answers slowly answers some probes in time.
func (s *server) logWarnings(found map[string][]string, err error) {
	s.warned.mu.Lock()
	defer s.warned.mu.Unlock()
	if now := s.Now(); err != nil && !s.warned.unknown && (s.warned.logged.IsZero() || now.Sub(s.warned.logged) >= outageEvery) {
		s.warned.logged = now
		s.Log.Warn("the settings of a server cannot be read", "redis", s.Redis, "error", s.Explain(err))
	}
	if s.warned.unknown = err != nil; err != nil {
		return
	}
	for text, addresses := range found {
		if before, known := s.warned.last[text]; !known || !slices.Equal(before, addresses) {
			s.Log.Warn(text, "redis", cmp.Or(strings.Join(addresses, ", "), s.Redis))
		}
	}
	s.warned.last = found
}

// Probes returns a handler that answers /health and /ready as h does, for any Host, and nothing else. It is for a second listener,
// whose probes are answered also while clients use up the connections of the first one. Other paths get the plain 404 of net/http.
func Probes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" && r.URL.Path != "/ready" {
			http.NotFound(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.Host = "" // probes use the address of the machine
		h.ServeHTTP(w, r)
	})
}
