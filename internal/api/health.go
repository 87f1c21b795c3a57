package api

import "net/http"

// health says that the service runs. It does not ask Redis: a probe must not restart the service because
// Redis is away.
func (s *server) health(w http.ResponseWriter, _ *http.Request, _ *params) error {
	return writeJSON(w, map[string]string{"status": "ok", "version": s.Version, "storage": s.Storage})
}

// ready says whether requests can be answered: Redis is there.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ *params) error {
	if err := s.reader.Ping(r.Context()); err != nil {
		return away(err)
	}
	return writeJSON(w, map[string]string{"status": "ready"})
}
