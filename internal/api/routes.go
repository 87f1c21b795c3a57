package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// route is one address of the service. The table in [server.routes] is the only list of routes. The handlers, the
// answers to other methods, the redirects of a trailing slash, the checks of parameters, the index, the OpenAPI document
// and the label "route" of the service's metrics are made from this table.
//
// For example, the route of records has the pattern "/analytics/{table}", and answers these requests:
//
//	GET, HEAD /analytics/cpu?database=mydb    serve, with the parameters of the query
//	GET, HEAD /analytics/cpu/                 a redirect to ../cpu
//	OPTIONS   /analytics/cpu                  204 with the header Allow, without a token
//	POST      /analytics/cpu                  405
type route struct {
	// pattern is the path in the syntax of [http.ServeMux], without a method.
	pattern string
	// name is the label of the route in the service's metrics.
	name string
	// parameters are the parameters of the query. A request with another parameter is refused, unless anyQuery is
	// true.
	parameters []parameter
	// anyQuery accepts and ignores every query, for routes that probes, scrapers and browsers call.
	anyQuery bool
	// scope is what the token of a request must allow.
	scope scope
	// kept means that answers are kept for the same requests: see [server.keptFirst]. It is true for one route.
	kept bool
	// lasting means that the request may take longer than the timeout.
	lasting bool
	// unlisted means that the route has files of an embedded page. Neither the index nor the document lists it.
	unlisted bool
	serve    handler
	// html, unless it is nil, answers requests that prefer HTML, without a token: see [byAccept].
	html handler
	// docs describe the route. An unlisted one has none.
	docs docs
}

// docs describe a route in the OpenAPI document. Texts are Markdown.
type docs struct {
	id      string // the operationId
	tag     string // the group
	summary string // a few words, without a full stop
	about   string
	// headers are the headers of a request that the route reads, beside Authorization and Accept.
	headers []parameter
	// answers are the bodies of the status 200.
	answers []answerDoc
	// conditional means that answers have an ETag, and that there is the status 304.
	conditional bool
	// problems are the problems of the route beside those that follow from its parameters and scope: see [server.problems].
	problems []problemKind
	// examples are requests. A test sends each and checks its answer.
	examples []exampleDoc
}

// answerDoc describes a body.
type answerDoc struct {
	contentType string
	schema      string // the name of a schema in the document, or "" for text
	about       string // what the body has
}

// exampleDoc is a request. It is for the table cpu in the database mydb, as a test fills them.
type exampleDoc struct {
	summary string
	address string // its path and query
	status  int    // of the answer, or 0 for 200
}

// wants returns the status of the answer.
func (e exampleDoc) wants() int { return cmp.Or(e.status, http.StatusOK) }

// parameter is one parameter of a query, a header or a part of the path. The OpenAPI document and the checks of a request use the
// same fields.
type parameter struct {
	name string
	// about describes the parameter. It is Markdown.
	about string
	// examples are valid values. A test sends a request with each.
	examples []string
	// choices are the only allowed values, if there are any.
	choices []string
	// most is the largest value of a whole number from 1, or 0 if the parameter is not such a number.
	most int
	// number means that values are any numbers.
	number bool
	// preset is the value that an absent parameter has, or "".
	preset string
	// with is another parameter that a request with this one must have, or "".
	with string
	// rollup means that a request with the parameter is one for a roll-up.
	rollup bool
	// repeated allows more than one value.
	repeated bool
	// listed means that the index shows the parameter, because requests without it are refused unless a default is
	// configured.
	listed bool
}

// handler answers a request, or returns an error, which becomes a problem: see [kindOf]. p has the parameters of
// the request. A handler that returns an error has written nothing.
//
// It must return soon after the end of r's context, which has the timeout of the service unless the route is lasting.
type handler func(w http.ResponseWriter, r *http.Request, p *params) error

// readMethods are the methods of every route: the service only reads. OPTIONS is answered for each route too.
var readMethods = []string{http.MethodGet, http.MethodHead}

// allowedMethods is the value of the header Allow.
const allowedMethods = "GET, HEAD, OPTIONS"

// routes returns all routes, in the order of the index. Without Options.Page and Options.Streams, their routes do not exist, so
// requests for them are a 404.
func (s *server) routes() []route {
	plain := func(pattern string, sc scope, serve handler, d docs) route {
		return route{pattern: pattern, anyQuery: true, scope: sc, serve: serve, docs: d}
	}
	routes := []route{
		{pattern: "/databases", scope: scopeRead, serve: s.databases, docs: databasesDocs()},
		{pattern: "/analytics", scope: scopeRead, serve: s.tables, parameters: []parameter{databaseParameter(s.DefaultDatabase)}, docs: tablesDocs()},
		{pattern: "/analytics/{table}", scope: scopeRead, kept: true, serve: s.records, parameters: s.recordParameters(), docs: recordsDocs()},
		plain("/health", scopeOpen, s.health, healthDocs()),
		plain("/ready", scopeOpen, s.ready, readyDocs()),
		plain("/metrics", scopeSystem, s.metrics.serve, metricsDocs()),
		plain("/metrics/analytics", scopeMetrics, s.export, exportDocs()),
		plain("/openapi.json", scopePublic, s.openAPI, openAPIDocs()),
		plain("/docs", scopePublic, s.viewer, viewerDocs()),
		{pattern: "/docs/{file}", anyQuery: true, scope: scopePublic, unlisted: true, serve: s.viewer},
		plain(rootPattern, scopeAny, s.index, indexDocs()),
	}
	if s.Page != nil {
		routes[len(routes)-1].html = s.page
		routes = append(routes, route{pattern: "/page/{file}", anyQuery: true, scope: scopeOpen, unlisted: true, serve: s.page})
	}
	if s.Streams != nil {
		routes = slices.Insert(routes, 3, route{
			pattern: "/analytics/{table}/stream", scope: scopeStream, lasting: true, serve: s.stream, parameters: streamParameters(s.DefaultDatabase),
			docs: streamDocs(),
		})
	}
	for i := range routes {
		routes[i].name = routes[i].pattern
	}
	return routes
}

// rootPattern matches the path "/" alone.
const rootPattern = "/{$}"

// newMux returns a handler of all routes, and that of the route whose answers are kept. Every other path is answered with a
// problem. The patterns are those of net/http since Go 1.22: a method is part of the pattern, and a pattern without one gets the
// other methods.
func (s *server) newMux() (mux *http.ServeMux, keeping http.Handler) {
	mux = http.NewServeMux()
	for _, rt := range s.table {
		serve := s.handle(rt, rt.serve)
		if rt.kept {
			keeping = serve
		}
		if rt.html != nil {
			// The page has no data, so only the JSON at the same address needs a token.
			open := rt
			open.scope = scopePublic
			serve = byAccept(s.handle(open, rt.html), serve)
		}
		s.mount(mux, rt, rt.pattern, serve)
		if rt.pattern != rootPattern {
			s.mount(mux, rt, rt.pattern+"/{$}", s.handle(rt, withoutSlash))
		}
	}
	mux.Handle("/", s.beside(scopeAny, func(http.ResponseWriter, *http.Request, *params) error { return errNoRoute }))
	return mux, keeping
}

// mount adds the handlers of all methods for a pattern of a route.
func (s *server) mount(mux *http.ServeMux, rt route, pattern string, serve http.Handler) {
	for _, method := range readMethods {
		mux.Handle(method+" "+pattern, serve)
	}
	mux.Handle(pattern, s.handle(rt, refuseMethod))
	// Browsers send OPTIONS without a token. Its query is checked with the request that follows.
	rt.scope, rt.anyQuery = rt.scope.public(), true
	mux.Handle(http.MethodOptions+" "+pattern, s.handle(rt, func(w http.ResponseWriter, _ *http.Request, _ *params) error {
		w.Header().Set("Allow", allowedMethods)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}))
}

// refuseMethod refuses a method that no route has.
func refuseMethod(w http.ResponseWriter, _ *http.Request, _ *params) error {
	w.Header().Set("Allow", allowedMethods)
	return errMethod
}

// withoutSlash redirects to the same address without the slash at its end. The FastAPI service that analytics-api
// replaces did the same. The location is relative, so that it is also right behind a proxy that adds a prefix.
//
// For example, from /analytics/cpu/?database=mydb to ../cpu?database=mydb.
func withoutSlash(w http.ResponseWriter, r *http.Request, _ *params) error {
	escaped := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	location := ".." + escaped[strings.LastIndexByte(escaped, '/'):]
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// withoutSlashes redirects to an address without repeated slashes, and without one at the end. The one of [http.ServeMux] has
// an absolute path. The location is relative, as that of withoutSlash.
//
// For example, from //analytics///a%2Fb to ../../../../analytics/a%2Fb. The path has at least one slash, and its encoding stays.
func withoutSlashes(w http.ResponseWriter, r *http.Request, _ *params) error {
	escaped := r.URL.EscapedPath()
	location := strings.Repeat("../", strings.Count(escaped, "/")-1) + path.Clean(escaped)[1:]
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// clean redirects requests for paths with repeated slashes, and refuses those without a path, such as CONNECT for a proxy. Paths with dots
// are left to next, an [http.ServeMux], which redirects them: clients resolve these themselves. It counts and logs what next answers
// without a handler of s.
func (s *server) clean(next http.Handler) http.Handler {
	redirect, refuse, other := s.beside(scopePublic, withoutSlashes), s.beside(scopePublic, refuseMethod), route{name: otherRoute}
	observe := s.observer(other.name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect || !strings.HasPrefix(r.URL.Path, "/") {
			refuse.ServeHTTP(w, r)
			return
		}
		// Path is decoded and can have slashes that are parts of names, so it is not enough.
		if strings.Contains(r.URL.Path, "//") && strings.Contains(r.URL.EscapedPath(), "//") && !strings.Contains(r.URL.Path, "/.") {
			redirect.ServeHTTP(w, r)
			return
		}
		x, start := w.(*exchange), s.Now()
		next.ServeHTTP(x, r)
		if !x.handled {
			took := s.Now().Sub(start)
			observe(x.status(), took)
			s.logRequest(x, r, &other, "", took)
		}
	})
}

// otherRoute is the label of requests that no route answers.
const otherRoute = "other"

// beside returns a handler of requests that are not answered by a route. Their route in the metrics and in the log is otherRoute.
func (s *server) beside(sc scope, h handler) http.Handler {
	return s.handle(route{name: otherRoute, anyQuery: true, scope: sc}, h)
}

// handle returns the handler of a route. It refuses requests whose token does not allow the route. It calls h with a timeout,
// answers with a problem if h returns an error or panics before the answer, and counts the request by route and status. Each
// request is counted and logged once, when its answer has ended, also if the client has gone.
func (s *server) handle(rt route, h handler) http.Handler {
	observe := s.observer(rt.name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.Now()
		x := w.(*exchange)
		x.handled = true
		grant, refused := s.admit(x, r, &rt)
		defer func() {
			p, begun := recover(), x.code != 0
			if p != nil {
				s.panicked(x, r, &rt, p)
			}
			took := s.Now().Sub(start)
			observe(x.status(), took)
			s.logRequest(x, r, &rt, grant.ID(), took)
			if p != nil && begun {
				panic(http.ErrAbortHandler) // net/http closes the connection
			}
		}()
		if refused != nil {
			s.problem(x, r, refused)
			return
		}
		switch err := s.answer(&rt, h, x, r, grant, start); {
		case err == nil:
		// The deadline of a write: see pacedWriter. Nothing can be sent any more.
		case errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &gone{}):
			s.metrics.refused("slow_client")
			x.code = statusGone
		case r.Context().Err() != nil, errors.As(err, &gone{}): // the client has closed the connection; Redis did not fail
			x.code = statusGone
		// A handler that returns an error has written nothing.
		default:
			s.problem(x, r, err)
		}
	})
}

// panicked logs and counts a panic of a handler, and answers with a problem unless the answer has begun: after a part of a body, a problem
// would be taken for the rest of it.
func (s *server) panicked(x *exchange, r *http.Request, rt *route, p any) {
	s.Log.Error("a handler panicked", "request", idOf(x), "route", rt.name, "panic", p)
	if x.code == 0 {
		s.problem(x, r, errPanic)
		return
	}
	s.metrics.failed(http.StatusInternalServerError)
}

// answer answers a request that is allowed, with a kept answer or by the handler of the route. All waiting for Redis ends at the
// timeout after the start. A kept answer that was checked just now needs no timer: see [server.isCurrent]. A request for a
// route that keeps answers counts as a hit or a miss.
func (s *server) answer(rt *route, h handler, x *exchange, r *http.Request, grant token.Grant, start time.Time) error {
	if rt.kept {
		sent, err := s.sendKept(x, r, grant, start)
		s.metrics.asked(sent)
		if sent {
			return err
		}
	}
	ctx, cancel := r.Context(), context.CancelFunc(func() {})
	// The time that a check of the kept answer took is a part of the timeout.
	if !rt.lasting {
		ctx, cancel = context.WithTimeout(ctx, s.Timeout-s.Now().Sub(start))
	}
	defer cancel()
	return h(x, r.WithContext(ctx), newParams(r, rt, grant))
}

// index answers with the version and the addresses of all routes. For example:
// {"name":"analytics-api","routes":["/databases","/analytics?database={database}"],"version":"v1"}, but with all routes.
func (s *server) index(w http.ResponseWriter, _ *http.Request, _ *params) error {
	addresses := []string{}
	for _, rt := range s.table {
		if rt.pattern != rootPattern && !rt.unlisted {
			addresses = append(addresses, rt.address())
		}
	}
	return writeJSON(w, nil, map[string]any{"name": "analytics-api", "version": s.Version, "routes": addresses})
}

// address returns the pattern and the listed parameters, such as "/analytics?database={database}".
func (rt route) address() string {
	var listed []string
	for _, p := range rt.parameters {
		if p.listed {
			listed = append(listed, p.name+"={"+p.name+"}")
		}
	}
	if len(listed) == 0 {
		return rt.pattern
	}
	return rt.pattern + "?" + strings.Join(listed, "&")
}
