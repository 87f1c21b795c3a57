package api

import "net/http"

// health answers that the service is running. The answer does not depend on Redis, because a restart of the service
// would not help if Redis is down. Without a valid token, where tokens are needed, it has no details.
func (s *server) health(w http.ResponseWriter, _ *http.Request, p *params) error {
	if s.Tokens != nil && p.grant.ID() == "" {
		return writeJSON(w, map[string]string{"status": "ok"})
	}
	return writeJSON(w, map[string]string{"status": "ok", "version": s.Version, "storage": s.Storage})
}

// ready answers with success if the store answers, because requests for records need it.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ *params) error {
	if err := s.reader.Ping(r.Context()); err != nil {
		return away(err)
	}
	return writeJSON(w, map[string]string{"status": "ready"})
}
