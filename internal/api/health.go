package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// ready answers with success if the store answers within ReadyTimeout, because requests for records need it. The answer has the
// store's warnings without the addresses of its servers, because it needs no token; the log has the addresses. If the store does not
// answer, the answer is a problem with the status 503.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ *params) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.ReadyTimeout)
	defer cancel()
	if err := s.reader.Ping(ctx); err != nil {
		return away(err)
	}
	found, err := s.reader.Warnings(ctx)
	warnings := slices.Sorted(maps.Keys(found))
	if err != nil { // one server of a cluster, while others answer
		s.Log.Warn("the settings of a server cannot be read", "redis", s.Redis, "error", s.Explain(err))
		warnings = append(warnings, "a server does not answer, so its settings are unknown and requests for some tables fail")
	} else {
		s.logWarnings(found)
	}
	return writeJSON(w, nil, struct {
		Status   string   `json:"status"`
		Warnings []string `json:"warnings,omitempty"`
	}{"ready", warnings})
}

// warned remembers the warnings of the store, so that each is logged once and not for every probe. It is safe for concurrent use.
type warned struct {
	mu   sync.Mutex          // guards the field below
	last map[string][]string // the result of the last Warnings of the store without an error; nobody changes it
}

// logWarnings logs the warnings of the store that are new, or that are about other servers than before. A warning that ends and comes
// back is logged again.
func (s *server) logWarnings(found map[string][]string) {
	s.warned.mu.Lock()
	defer s.warned.mu.Unlock()
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
