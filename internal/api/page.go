package api

import (
	"net/http"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/format"
)

// Page has the files of the page at "/". Its method is called concurrently.
type Page interface {
	// ServeFile answers with a file. The empty name is the page itself. It returns false, and has written nothing, if there is
	// no such file.
	ServeFile(w http.ResponseWriter, r *http.Request, name string) bool
}

// page answers with a file of the page. The files have no data, so that they need no token: a browser cannot send one before the
// page has asked for it. The error for another name is a 404.
func (s *server) page(w http.ResponseWriter, r *http.Request, _ *params) error {
	if !s.Page.ServeFile(w, r, r.PathValue("file")) {
		return errNoRoute
	}
	return nil
}

// byAccept returns a handler that answers with html if a request prefers HTML to JSON, as requests of browsers do, and else with
// other. Equal weights, as in "*/*", are for programs. An answer of either kind depends on the header.
func byAccept(html, other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		accept := strings.Join(r.Header.Values("Accept"), ",")
		if format.Weight(accept, "text/html") > format.Weight(accept, "application/json") {
			html.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}
