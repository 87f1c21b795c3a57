package api

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// route is one address of the service. The table in [server.routes] is the only list of routes. The handlers, the
// answers to other methods, the redirects of a trailing slash, the index and the label "route" of the service's
// metrics are made from this table.
type route struct {
	// pattern is the path in the syntax of [http.ServeMux], without a method.
	pattern string
	// name is the label of the route in the service's metrics.
	name string
	// methods are the methods that the route supports.
	methods []string
	// parameters are the parameters of the query. A request with another parameter is refused, unless anyQuery is
	// true.
	parameters []parameter
	// anyQuery accepts and ignores every query, for routes that probes and scrapers call.
	anyQuery bool
	// scope is what the token of a request must allow.
	scope scope
	// lasting means that the request may take longer than the timeout.
	lasting bool
	// unlisted leaves the route out of the index.
	unlisted bool
	serve    handler
	// html, unless it is nil, answers requests that prefer HTML, without a token: see [byAccept].
	html handler
}

// parameter is one parameter of a query.
type parameter struct {
	name string
	// repeated allows more than one value.
	repeated bool
	// listed means that the index shows the parameter, because requests without it are refused unless a default is
	// configured.
	listed bool
}

// handler answers a request, or returns an error, which becomes a problem: see [statusOf]. p has the parameters of
// the request. A handler that returns an error has written nothing.
type handler func(w http.ResponseWriter, r *http.Request, p *params) error

// readMethods are the methods of a route that only reads.
var readMethods = []string{http.MethodGet, http.MethodHead}

// routes returns all routes, in the order of the index.
func (s *server) routes() []route {
	database := parameter{name: "database", listed: true}
	get := func(pattern string, serve handler, parameters ...parameter) route {
		return route{pattern: pattern, name: pattern, methods: readMethods, parameters: parameters, scope: scopeRead, serve: serve}
	}
	plain := func(pattern string, sc scope, serve handler) route {
		return route{pattern: pattern, name: pattern, methods: readMethods, anyQuery: true, scope: sc, serve: serve}
	}
	routes := []route{
		get("/databases", s.databases),
		get("/analytics", s.tables, database),
		get("/analytics/{table}", s.records, database, parameter{name: "start"}, parameter{name: "end"}, parameter{name: "last"},
			parameter{name: "limit"}, parameter{name: "final"}, parameter{name: "field", repeated: true}, parameter{name: "tag", repeated: true},
			parameter{name: "group_by", repeated: true}, parameter{name: "bucket"}, parameter{name: "timezone"}, parameter{name: "stats", repeated: true},
			parameter{name: "method"}, parameter{name: "share_le", repeated: true}, parameter{name: "format"}, parameter{name: "pretty"},
			parameter{name: "order"}),
		plain("/health", scopeOpen, s.health),
		plain("/ready", scopeOpen, s.ready),
		plain("/metrics", scopeSystem, s.metrics.serve),
		plain("/metrics/analytics", scopeMetrics, s.export),
		plain(rootPattern, scopeAny, s.index),
	}
	if s.Page != nil {
		root, files := &routes[len(routes)-1], plain("/page/{file}", scopePublic, s.page)
		files.unlisted, root.html = true, s.page
		routes = append(routes, files)
	}
	if s.Streams != nil {
		events := get("/analytics/{table}/stream", s.stream, database, parameter{name: "field", repeated: true}, parameter{name: "tag", repeated: true},
			parameter{name: "final"})
		events.lasting, events.scope = true, scopeStream
		routes = slices.Insert(routes, 3, events)
	}
	return routes
}

// rootPattern matches the path "/" alone.
const rootPattern = "/{$}"

// newMux returns a handler of all routes. Every other path is answered with a problem.
func (s *server) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range s.routes() {
		serve := s.handle(rt, rt.serve)
		if rt.html != nil {
			open := rt
			open.scope = scopePublic
			serve = byAccept(s.handle(open, rt.html), serve)
		}
		for _, method := range rt.methods {
			mux.Handle(method+" "+rt.pattern, serve)
		}
		refuse := s.handle(rt, func(w http.ResponseWriter, _ *http.Request, _ *params) error {
			w.Header().Set("Allow", strings.Join(rt.methods, ", "))
			return notAllowed{rt.methods}
		})
		mux.Handle(rt.pattern, refuse)
		if rt.pattern == rootPattern {
			continue
		}
		for _, method := range rt.methods {
			mux.Handle(method+" "+rt.pattern+"/{$}", s.handle(rt, withoutSlash))
		}
		mux.Handle(rt.pattern+"/{$}", refuse)
	}
	mux.Handle("/", s.handle(route{name: "other", anyQuery: true}, func(http.ResponseWriter, *http.Request, *params) error { return errNoRoute }))
	return mux
}

// withoutSlash redirects to the same address without the slash at its end. The FastAPI service that analytics-api
// replaces did the same. The location is relative, so that it is also right behind a proxy that adds a prefix.
func withoutSlash(w http.ResponseWriter, r *http.Request, _ *params) error {
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	location := ".." + path[strings.LastIndexByte(path, '/'):]
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// handle returns the handler of a route. It refuses requests whose token does not allow the route. It calls h with a
// timeout, answers with a problem if h returns an error or panics, and counts the request by route and status.
func (s *server) handle(rt route, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		grant, refused := s.admit(r, rt)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				s.Log.Error("a handler panicked", "request", idOf(r), "route", rt.name, "panic", p)
				s.problem(sw, r, errPanic)
			}
			took := time.Since(start)
			s.metrics.observe(rt.name, sw.status(), took)
			s.logRequest(r, rt, grant.ID(), sw.status(), took)
		}()
		if refused != nil {
			s.problem(sw, r, refused)
			return
		}
		ctx, cancel := r.Context(), context.CancelFunc(func() {})
		if !rt.lasting {
			ctx, cancel = context.WithTimeout(ctx, s.Timeout)
		}
		defer cancel()
		switch err := h(sw, r.WithContext(ctx), newParams(r, rt, grant)); {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &gone{}):
			s.metrics.refused("slow_client")
			sw.code = statusGone
		case r.Context().Err() != nil, errors.As(err, &gone{}): // the client has closed the connection; Redis did not fail
			sw.code = statusGone
		default:
			s.problem(sw, r, err)
		}
	})
}

// index answers with the version and the addresses of all routes.
func (s *server) index(w http.ResponseWriter, _ *http.Request, _ *params) error {
	addresses := []string{}
	for _, rt := range s.routes() {
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
