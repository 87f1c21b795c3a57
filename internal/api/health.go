package api

import "net/http"

// health answers that the service runs. It does not depend on Redis: restarting the service would not help if Redis is
// down.
func (s *server) health(w http.ResponseWriter, _ *http.Request, _ *params) error {
	return writeJSON(w, map[string]string{"status": "ok", "version": s.Version, "storage": s.Storage})
}

// ready answers whether Redis answers, which requests for records need.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ *params) error {
	if err := s.reader.Ping(r.Context()); err != nil {
		return away(err)
	}
	return writeJSON(w, map[string]string{"status": "ready"})
}
