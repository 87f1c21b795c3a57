package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

var (
	errPanic   = errors.New("the service failed to answer this request")
	errNoRoute = errors.New("there is nothing at this address")
)

// Fault describes one wrong parameter of a request.
type Fault struct {
	Location string `json:"location"` // such as "query.start"
	Value    string `json:"value"`    // the value found, quoted and shortened
	Message  string `json:"message"`  // the rule
}

// faults are all wrong parameters of a request.
type faults []Fault

// add appends a fault. The format and args make its message.
func (f *faults) add(location, value, format string, args ...any) {
	*f = append(*f, Fault{Location: location, Value: shorten(value), Message: fmt.Sprintf(format, args...)})
}

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

// shorten quotes s and cuts it after maxShown bytes.
func shorten(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// notAllowed is the error for a method that the route does not support.
type notAllowed struct{ methods []string }

func (e notAllowed) Error() string {
	return "only " + strings.Join(e.methods, " and ") + " are allowed here"
}

// notFound is the error for a table or database that does not exist.
type notFound struct{ what string }

func (e notFound) Error() string { return e.what }

// tooMuch is the error for a request beyond a limit of one request.
type tooMuch struct {
	what  string // with the number that was found, such as "the answer has 11 records or more"
	limit int
	reads bool // whether it is a limit of what is read, which field, tag and limit do not reduce
}

func (e tooMuch) Error() string {
	advice := "narrow it down with start, end, last, field or tag, or set limit for the newest records"
	if e.reads {
		advice = "narrow it down with start, end or last"
	}
	return fmt.Sprintf("%s, at most %d are allowed: %s", e.what, e.limit, advice)
}

// unavailable wraps the error of a store that does not answer.
type unavailable struct{ err error }

func (e unavailable) Error() string { return e.err.Error() }
func (e unavailable) Unwrap() error { return e.err }

// statusOf returns the status of an error, and the title and detail of its problem. It is the only place where an
// error becomes a status. Clients see the detail, so it contains no error of Redis, which may contain addresses.
func statusOf(err error) (status int, title, detail string) {
	var bad faults
	var missing notFound
	var much tooMuch
	var away unavailable
	var full busy
	var parts unmergeable
	var accept notAcceptable
	var corrupt *record.Corrupt
	var method notAllowed
	var anonymous unauthorized
	var denied forbidden
	var fast limited
	var host wrongHost
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest, "Bad request", bad.Error()
	case errors.As(err, &missing):
		return http.StatusNotFound, "Not found", missing.Error()
	case errors.Is(err, errNoRoute):
		return http.StatusNotFound, "Not found", err.Error()
	case errors.As(err, &anonymous):
		return http.StatusUnauthorized, "Unauthorized", anonymous.Error()
	case errors.As(err, &denied):
		return http.StatusForbidden, "Forbidden", denied.Error()
	case errors.As(err, &fast):
		return http.StatusTooManyRequests, "Too many requests", fast.Error()
	case errors.As(err, &method):
		return http.StatusMethodNotAllowed, "Method not allowed", method.Error()
	case errors.As(err, &host):
		return http.StatusMisdirectedRequest, "Misdirected request", host.Error()
	case errors.As(err, &accept):
		return http.StatusNotAcceptable, "Not acceptable", accept.Error()
	case errors.As(err, &parts):
		return http.StatusUnprocessableEntity, "No summaries", parts.Error()
	case errors.As(err, &much):
		return http.StatusUnprocessableEntity, "Too much", much.Error()
	case errors.As(err, &full) && full.client:
		return http.StatusTooManyRequests, "Too many requests", full.Error()
	case errors.As(err, &full):
		return http.StatusServiceUnavailable, "Busy", full.Error()
	case errors.As(err, &corrupt):
		return http.StatusInternalServerError, "Corrupt data", corrupt.Error()
	case errors.As(err, &away), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "Unavailable", "the cache does not answer, try again"
	}
	return http.StatusInternalServerError, "Internal error", errPanic.Error()
}

// problem answers with a problem document of RFC 9457. It also logs and counts failures of the service.
func (s *server) problem(w http.ResponseWriter, r *http.Request, err error) {
	status, title, detail := statusOf(err)
	var full busy
	switch {
	case errors.As(err, &full):
		s.metrics.refused(full.reason)
	case status >= http.StatusInternalServerError:
		s.logFailure(r, status, err)
		s.metrics.failed(status)
	}
	h := w.Header()
	s.refuse(h, err)
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
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
	}{Type: "about:blank", Title: title, Status: status, Detail: detail, Instance: r.URL.EscapedPath()}
	var bad faults
	if errors.As(err, &bad) {
		body.Errors = bad[:min(len(bad), maxFaults)]
	}
	b, err := json.Marshal(body)
	if err != nil {
		b = []byte(`{"title":"Internal error","status":500}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// away wraps an error of the reader as unavailable. It returns nil for nil. [statusOf] finds a [record.Corrupt] and the
// errors of package api within it.
func away(err error) error {
	if err == nil {
		return nil
	}
	return unavailable{err}
}

// noTable returns the error for a table that does not exist.
func noTable(t record.Table) error {
	return notFound{fmt.Sprintf("no table %q in database %q", t.Name, t.Database)}
}
