package api

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// Tokens finds what a token allows. Its method is called concurrently. Tokens can be added and deleted while the service runs, so
// an answer holds for one request only.
type Tokens interface {
	// Check returns false for a text that is not a valid token. It needs the same time for each such text.
	Check(text string) (token.Grant, bool)
}

// scope is what a token must allow for a route. The handlers of routes that read tables also check the database.
type scope int

const (
	scopeAny     scope = iota // any valid token; the zero value, so that no route is open by accident
	scopeOpen                 // no token, and no limit of requests, for probes and the files of the page, of which a browser wants many at once
	scopePublic               // no token, for pages and descriptions of the service
	scopeRead                 // records of some database
	scopeStream               // streams of some database
	scopeMetrics              // the export of some database
	scopeSystem               // the metrics of the service itself
)

// allows reports whether a grant is enough for the scope. The database is not known here, so a grant for some database is enough
// for the scopes of records.
func (sc scope) allows(g token.Grant) bool {
	switch sc {
	case scopeRead:
		return g.AllowsSome(token.Read)
	case scopeStream:
		return g.AllowsSome(token.Stream)
	case scopeMetrics:
		return g.AllowsSome(token.Metrics)
	case scopeSystem:
		return g.AllowsSystem()
	default:
		return true
	}
}

// isOpen reports whether requests need no token. A token is checked nevertheless, because /health and /openapi.json have more details for
// requests with a valid one.
func (sc scope) isOpen() bool { return sc == scopeOpen || sc == scopePublic }

// public returns the scope of requests that need no token and are limited as those of sc. It is for OPTIONS, which browsers send
// without a token.
func (sc scope) public() scope {
	if sc == scopeOpen {
		return scopeOpen
	}
	return scopePublic
}

// needs returns the permission of a scope, for an error.
func (sc scope) needs() string {
	switch sc {
	case scopeStream:
		return "db:NAME:stream"
	case scopeMetrics:
		return "db:NAME:metrics"
	case scopeSystem:
		return "system:metrics:read"
	default:
		return "db:NAME:read"
	}
}

// unauthorized is the error for a request without a valid token. It is the same for each reason, so that a client cannot
// find out which ids exist.
type unauthorized struct {
	reason string // for the metrics: "no_token" or "bad_token"
}

// Error explains how to send a token. It does not say why the one that was sent is invalid.
func (unauthorized) Error() string {
	return "want a valid token in the header Authorization, as in \"Authorization: Bearer TOKEN\""
}

// forbidden is the error for a token that does not allow the route.
type forbidden struct{ scope scope }

// Error names a permission that would do, with NAME for a database.
func (e forbidden) Error() string {
	return "the token does not allow this, want one with a permission such as " + e.scope.needs()
}

// admit returns what a request may read, or the reason to refuse it. It checks in this order:
//
//	the rate of the address   429   not for scopeOpen; before the token, so that it also bounds guesses of tokens
//	the token                 401   not for scopeOpen and scopePublic, where an invalid one is as good as none
//	its scope                 403
//	the rate of the token     429   only requests that it allows count
//
// Without Options.Tokens every request gets the grant of everything, and nothing but the rate of its address is checked. The
// databases that a grant allows are checked by the handlers, because a table that it does not allow is a 404 and not a 403.
func (s *server) admit(w http.ResponseWriter, r *http.Request, rt *route) (token.Grant, error) {
	if rt.scope != scopeOpen && s.addresses.limited() {
		if err := s.addresses.allow(clientOf(w)); err != nil {
			return token.Grant{}, err
		}
	}
	if s.Tokens == nil {
		return token.All(), nil
	}
	text, given := tokenOf(r.Header)
	g, ok := s.Tokens.Check(text)
	switch {
	case rt.scope.isOpen():
		return g, nil
	case !ok && !given:
		return token.Grant{}, unauthorized{reason: "no_token"}
	case !ok:
		return token.Grant{}, unauthorized{reason: "bad_token"}
	case !rt.scope.allows(g):
		return token.Grant{}, forbidden{rt.scope}
	}
	return g, s.tokens.allow(g.ID())
}

// tokenOf returns the token in the header Authorization, and whether the request has such a header. The schemes Bearer and Token
// mean the same. Two headers are no token, because a proxy could have checked the other one. The text is not checked here: without
// a header it is empty, which is no valid token either.
//
//	Authorization: Bearer aapi_…    "aapi_…", true
//	Authorization: token aapi_…     "aapi_…", true
//	Authorization: Basic dXNlcg==   "", true
//	no header                       "", false
func tokenOf(h http.Header) (text string, given bool) {
	all := h.Values("Authorization")
	if len(all) != 1 {
		return "", len(all) > 0
	}
	scheme, text, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Token") {
		return "", true
	}
	return strings.TrimLeft(text, " "), true
}

// refuse counts a request that admit has refused, and sets the headers of its answer. Other errors change nothing. WWW-Authenticate
// is what RFC 9110 requires of a 401. Retry-After is rounded up to whole seconds, so that a client that obeys it does
// not come back too early.
func (s *server) refuse(h http.Header, err error) {
	var anonymous unauthorized
	var denied forbidden
	var fast limited
	switch {
	case errors.As(err, &anonymous):
		s.metrics.refused(anonymous.reason)
		h.Set("WWW-Authenticate", `Bearer realm="analytics-api"`)
	case errors.As(err, &denied):
		s.metrics.refused("no_permission")
	case errors.As(err, &fast):
		s.metrics.refused(fast.what + "_rate")
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(fast.wait.Seconds()))))
	}
}
