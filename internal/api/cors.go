package api

import (
	"net/http"
	"slices"
)

// cors lets pages of the origins in CORSOrigins read the answers. The origin "*" means all. Browsers send no credentials
// of their own to the API, so the header for these is never set. A page sends a token as any other client.
//
// A browser sends the page's origin in the header Origin, and shows the answer to the page only if that allows the origin. Before a request
// that a form could not send, such as one with the header Authorization, it asks by OPTIONS, which is answered here: without a
// token, as the browser does not send it then. A request of another origin is answered all the same: it is the browser that
// hides the answer.
//
// The headers are those of https://fetch.spec.whatwg.org/#http-cors-protocol:
//
//	Access-Control-Allow-Origin     who may see the answer
//	Access-Control-Expose-Headers   headers of the answer that scripts can read, beside the usual ones
//	Access-Control-Allow-Headers    headers of a request that a form could not send
//	Access-Control-Max-Age          for how many seconds the browser need not ask again
func (s *server) cors(next http.Handler) http.Handler {
	if len(s.CORSOrigins) == 0 {
		return next
	}
	all := slices.Contains(s.CORSOrigins, "*")
	preflight := s.beside(scopeOpen, allowPage)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		// The answer depends on the origin, also if this request has none.
		if !all {
			h.Add("Vary", "Origin")
		}
		if origin == "" || !all && !slices.Contains(s.CORSOrigins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		if all {
			origin = "*"
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Link, Retry-After, X-Request-Id")
		// Only a browser that asks sends this header. Another OPTIONS is for the route.
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		preflight.ServeHTTP(w, r)
	})
}

// allowPage answers the question of a browser whether a page may send a request.
func allowPage(w http.ResponseWriter, _ *http.Request, _ *params) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Allow-Headers", "Authorization, If-None-Match, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
