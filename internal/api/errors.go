package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Errors without parameters.
var (
	errPanic   = constant{"the service failed to answer this request", internalError}
	errNoRoute = constant{"there is nothing at this address, /docs describes the routes", nothingFound}
	errMethod  = constant{"only " + allowedMethods + " are allowed here", wrongMethod}
)

// constant is an error that is always the same.
type constant struct {
	text string      // for clients
	of   problemKind // what it becomes
}

func (e constant) Error() string { return e.text }

// Fault describes one wrong parameter of a request. It is a member of errors in a problem.
type Fault struct {
	Location string `json:"location"` // such as "query.start"
	Value    string `json:"value"`    // the value found, quoted and shortened
	Message  string `json:"message"`  // the rule
}

// faults are all wrong parameters of a request.
type faults []Fault

// add appends a fault. The format and args make its message. The message follows "found" and the value in a sentence, so it begins
// with a lower-case letter and has no full stop.
func (f *faults) add(location, value, format string, args ...any) {
	*f = append(*f, Fault{Location: location, Value: shorten(value), Message: fmt.Sprintf(format, args...)})
}

// Error names the first fault and how many there are: the members errors of the problem have all.
func (f faults) Error() string {
	if len(f) == 1 {
		return fmt.Sprintf("%s: found %s, %s", f[0].Location, f[0].Value, f[0].Message)
	}
	return fmt.Sprintf("%d parameters are wrong, the first: %s: found %s, %s", len(f), f[0].Location, f[0].Value, f[0].Message)
}

// maxFaults is how many faults a problem lists. Its detail has the number of all.
const maxFaults = 20

// maxShown is how many bytes of a value an error shows.
const maxShown = 80

// shorten quotes s and cuts it after maxShown bytes. It can divide a character of several bytes, whose first bytes are then shown
// as escapes. The result is safe in logs: control characters are escaped.
func shorten(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// notFound is the error for a table or database that does not exist.
type notFound struct{ what string }

func (e notFound) Error() string { return e.what }

// tooMuch is the error for a request beyond a limit of one request.
type tooMuch struct {
	what   string // with the number that was found, such as "the answer has 11 records or more"
	limit  int
	advice string // what the client can do, or empty for adviceAnswer
}

// What a client can do about a limit.
const (
	adviceAnswer = "narrow it down with start, end, last, field or tag, or read it in pages with limit"
	advicePage   = "set a smaller limit"
	advicePages  = adviceReads + orPages
	adviceReads  = "narrow it down with start, end or last" // field and tag do not reduce what is read
	// adviceBuckets is for a roll-up: start, end and last select whole buckets of it.
	adviceBuckets = "narrow it down with start, end, last or a smaller bucket"
	adviceSeries  = "select series with field or tag"
	orPages       = ", or read it in pages with limit"
)

// Error has the number that was found, the limit and the advice, so that a client can correct the request.
func (e tooMuch) Error() string {
	return fmt.Sprintf("%s, at most %d are allowed: %s", e.what, e.limit, cmp.Or(e.advice, adviceAnswer))
}

// unavailable wraps the error of a store that does not answer. Clients get a general sentence instead of its text, which can have
// addresses. The log has the text.
type unavailable struct{ err error }

func (e unavailable) Error() string { return e.err.Error() }
func (e unavailable) Unwrap() error { return e.err }

// unlisted wraps the error of a store that answers, but not with the list of all tables. A client can still read tables by their
// names.
type unlisted struct{ err error }

func (e unlisted) Error() string { return e.err.Error() }
func (e unlisted) Unwrap() error { return e.err }

// problemKind is a kind of problem: an index in problemKinds. Their order is that of the OpenAPI document.
type problemKind int

// The kinds.
const (
	badRequest problemKind = iota
	needsToken
	notPermitted
	nothingFound
	wrongMethod
	noFormat
	otherHost
	noSummaries
	beyondLimit
	tooFast
	overloaded
	noAnswer
	corruptData
	internalError
)

// problemKinds describe the kinds of problems. The name is the end of the problem's type. docs/problems.md describes each.
//
// The names are a part of the interface: clients compare the types of problems.
var problemKinds = [...]struct {
	name   string
	status int
	title  string
	about  string // when it occurs, as a sentence
}{
	badRequest: {
		"bad-request", http.StatusBadRequest, "Bad request",
		"Parameters are wrong or unknown. The member `errors` has each of them.",
	},
	needsToken: {
		"unauthorized", http.StatusUnauthorized, "Unauthorized",
		"The request has no valid token.",
	},
	notPermitted: {
		"forbidden", http.StatusForbidden, "Forbidden",
		"The token does not allow the request.",
	},
	nothingFound: {
		"not-found", http.StatusNotFound, "Not found",
		"The table or database does not exist, or the token does not allow it.",
	},
	wrongMethod: {
		"method-not-allowed", http.StatusMethodNotAllowed, "Method not allowed",
		"The service only reads: GET, HEAD and OPTIONS.",
	},
	noFormat: {
		"not-acceptable", http.StatusNotAcceptable, "Not acceptable",
		"The header Accept allows none of the formats.",
	},
	otherHost: {
		"misdirected-request", http.StatusMisdirectedRequest, "Misdirected request",
		"The header Host is not a name of this machine.",
	},
	noSummaries: {
		"no-summaries", http.StatusUnprocessableEntity, "No summaries",
		"Records cannot be merged, because their summaries are not in the cache.",
	},
	beyondLimit: {
		"too-much", http.StatusUnprocessableEntity, "Too much",
		"The answer, or what must be read for it, is beyond a limit. The detail has the numbers.",
	},
	tooFast: {
		"too-many-requests", http.StatusTooManyRequests, "Too many requests",
		"This client or token has too many requests. The header Retry-After has the seconds to wait.",
	},
	overloaded: {
		"busy", http.StatusServiceUnavailable, "Busy",
		"Other requests use what this one needs. The header Retry-After has the seconds to wait.",
	},
	noAnswer: {
		"unavailable", http.StatusServiceUnavailable, "Unavailable",
		"Redis does not answer, or refuses a command. The header Retry-After has the seconds to wait.",
	},
	corruptData: {
		"corrupt-data", http.StatusInternalServerError, "Corrupt data",
		"Redis has data of the table, or a list of all tables, that no writer stores.",
	},
	internalError: {
		"internal-error", http.StatusInternalServerError, "Internal error",
		"The service failed. Its log has the reason, with the id in the header X-Request-Id.",
	},
}

// problemTypes is the beginning of the type of each problem.
const problemTypes = "https://github.com/telegraf-describe/telegraf-describe/blob/main/docs/problems.md#"

// explained is an error that is a problem with its own text as the detail. Clients see the text, so it contains no error of
// Redis, which may contain addresses.
type explained interface {
	error
	kind() problemKind
}

func (e constant) kind() problemKind    { return e.of }
func (faults) kind() problemKind        { return badRequest }
func (notFound) kind() problemKind      { return nothingFound }
func (unauthorized) kind() problemKind  { return needsToken }
func (forbidden) kind() problemKind     { return notPermitted }
func (limited) kind() problemKind       { return tooFast }
func (wrongHost) kind() problemKind     { return otherHost }
func (notAcceptable) kind() problemKind { return noFormat }
func (unmergeable) kind() problemKind   { return noSummaries }
func (tooMuch) kind() problemKind       { return beyondLimit }

func (e busy) kind() problemKind {
	if e.client {
		return tooFast
	}
	return overloaded
}

// kindOf returns the kind of the problem that an error becomes, and its detail. It is the only place where an error becomes a
// status. Errors that explain themselves come first, because most errors of a reading are wrapped by away, also those that an
// answer makes while it takes records. An error that nobody expects is an internalError, and its text is only in the log.
func kindOf(err error) (kind problemKind, detail string) {
	var known explained
	var corrupt *record.Corrupt
	var list unlisted
	var away unavailable
	switch {
	case errors.As(err, &known):
		return known.kind(), known.Error()
	case errors.As(err, &corrupt):
		return corruptData, corrupt.Error()
	case errors.As(err, &list):
		return noAnswer, "the list of all tables cannot be read now, try again; the log of the service has the reason. " +
			"A table that the address names may be read"
	case errors.As(err, &away), errors.Is(err, context.DeadlineExceeded):
		return noAnswer, "Redis cannot be read now, try again; the log of the service has the reason"
	}
	return internalError, errPanic.Error()
}

// problem answers with a problem document of RFC 9457. It also logs and counts failures of the service.
//
// It must be called at most once for a request, before anything of the answer was written. For example:
//
//	HTTP/1.1 400 Bad Request
//	Content-Type: application/problem+json
//
//	{"type":"https://…/docs/problems.md#bad-request","title":"Bad request","status":400,
//	 "detail":"query.last: found \"0\", want a number from 1 to 10000","instance":"/analytics/cpu",
//	 "errors":[{"location":"query.last","value":"\"0\"","message":"want a number from 1 to 10000"}]}
func (s *server) problem(w http.ResponseWriter, r *http.Request, err error) {
	number, detail := kindOf(err)
	kind := problemKinds[number]
	status := kind.status
	var full busy
	switch {
	case errors.As(err, &full):
		s.metrics.refused(full.reason)
	case status >= http.StatusInternalServerError:
		s.logFailure(r, idOf(w), status, err)
		s.metrics.failed(status)
	}
	h := w.Header()
	s.refuse(h, err)
	// The handler may have set the headers ETag and Link of the answer that failed.
	h.Del("ETag")
	h.Del("Link")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	// refuse has set the header already if it knows the time.
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", cmp.Or(h.Get("Retry-After"), "5"))
	}
	body := struct {
		Type     string  `json:"type"`
		Title    string  `json:"title"`
		Status   int     `json:"status"`
		Detail   string  `json:"detail"`
		Instance string  `json:"instance"`
		Errors   []Fault `json:"errors,omitempty"`
	}{Type: problemTypes + kind.name, Title: kind.title, Status: status, Detail: detail, Instance: r.URL.EscapedPath()}
	var bad faults
	if errors.As(err, &bad) {
		body.Errors = bad[:min(len(bad), maxFaults)]
	}
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // people read it: "p<q>", and not "p\u003cq\u003e"
	_ = encoder.Encode(body)     // the client may be gone
}

// away wraps an error of the reader as unavailable. It returns nil for nil. [kindOf] finds a [record.Corrupt] and the
// errors of package api within it.
func away(err error) error {
	if err == nil {
		return nil
	}
	return unavailable{err}
}

// noTable returns the error for a table that does not exist. It is the same for a table that the token does not allow.
func noTable(t record.Table) error {
	return notFound{fmt.Sprintf("no table %q in database %q; GET /analytics?database=%s lists the tables", t.Name, t.Database, url.QueryEscape(t.Database))}
}
