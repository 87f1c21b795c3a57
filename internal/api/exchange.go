package api

import (
	"net/http"

	"github.com/telegraf-describe/telegraf-describe/internal/rendered"
)

// exchange is a request with its answer. Every handler gets it as the writer of the answer: a context that has it would need a
// copy of the request. The goroutine of the request uses it.
//
// Each handler below [server.exchanged] can rely on that, and finds it by a type assertion: see idOf and clientOf. These make the id and
// the client when they are first called, because many answers need neither.
type exchange struct {
	http.ResponseWriter
	server  *server
	request *http.Request          // as it arrived
	kept    *rendered.Entry[*kept] // a kept answer to the same request, or nil; it may not be right any more
	client  string                 // empty until it is asked for
	id      string                 // empty until it is asked for
	code    int                    // the status of the answer, or 0 until the header is written
	handled bool                   // whether a handler of [server.handle] has the request, which counts and logs it
}

// exchanged calls next with an exchange as the writer of the answer. If next writes nothing, the answer is a 200 without a body.
// The headers that do not depend on the answer are set before, so that a handler can replace them.
func (s *server) exchanged(next http.Handler) http.Handler {
	caching, vary := []string{"no-cache"}, []string(nil)
	if s.Tokens != nil { // answers depend on the token, so only the client's own cache may keep them
		caching, vary = []string{"private, no-cache"}, []string{"Authorization"}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, server: s, request: r}
		h := w.Header()
		h["Cache-Control"] = caching
		if vary != nil {
			h["Vary"] = vary
		}
		if id := r.Header.Get(requestID); validID(id) {
			x.id = id
			h[requestID] = []string{id}
		}
		next.ServeHTTP(x, r)
		if x.code == 0 {
			x.WriteHeader(http.StatusOK)
		}
	})
}

// idOf returns the id of a request, given the writer of its answer. It makes one unless the client gave one.
func idOf(w http.ResponseWriter) string {
	x := w.(*exchange)
	if x.id == "" {
		x.id = x.server.ids.next()
	}
	return x.id
}

// clientOf returns the client of a request, given the writer of its answer: see [server.clientOf]. It is found once for each
// request.
func clientOf(w http.ResponseWriter) string {
	x := w.(*exchange)
	if x.client == "" {
		x.client = x.server.clientOf(x.request)
	}
	return x.client
}

// Headers of all answers except 304, whose client has them from the answer that it keeps. Nobody changes these slices, which all
// answers share: the methods of http.Header replace them. A ninth header makes the map of headers, and its copy in net/http, hash
// tables: answers of 35 records then need a tenth more processor time.
var (
	nosniff  = []string{"nosniff"}
	referrer = []string{"no-referrer"}
	policy   = []string{"default-src 'self'; frame-ancestors 'none'"} // of answers without a policy of their own
)

// WriteHeader sets the headers that all answers have, and writes the header.
func (x *exchange) WriteHeader(code int) {
	if x.code == 0 {
		x.code = code
		x.complete()
	}
	x.ResponseWriter.WriteHeader(code)
}

// complete sets the headers that all answers with its status have. A handler that sets a policy of its own keeps it, as the page
// does.
func (x *exchange) complete() {
	h := x.Header()
	if x.code >= http.StatusBadRequest {
		h[requestID] = []string{idOf(x)}
	}
	if x.code == http.StatusNotModified {
		return
	}
	h["X-Content-Type-Options"], h["Referrer-Policy"] = nosniff, referrer
	if len(h["Content-Security-Policy"]) == 0 {
		h["Content-Security-Policy"] = policy
	}
}

// Write writes a part of the body, with the status 200 unless the header was written.
func (x *exchange) Write(b []byte) (int, error) {
	if x.code == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return x.ResponseWriter.Write(b)
}

// status returns the status of the answer, which is 200 if the handler wrote nothing.
func (x *exchange) status() int {
	if x.code == 0 {
		return http.StatusOK
	}
	return x.code
}

// statusGone is the status in the metrics for a request whose client closed the connection before the end of the answer, or read too
// slowly. nginx uses the same number. No client gets it.
const statusGone = 499

// Unwrap returns the writer below, for [http.ResponseController].
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
