package api

import (
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

// Fault is what is wrong with one parameter of a request.
type Fault struct {
	Location string `json:"location"` // such as "query.start"
	Value    string `json:"value"`    // what was found, shortened
	Message  string `json:"message"`  // the rule
}

// faults are all that is wrong with a request.
type faults []Fault

// add notes a fault.
func (f *faults) add(location, value, format string, args ...any) {
	*f = append(*f, Fault{Location: location, Value: shorten(value), Message: fmt.Sprintf(format, args...)})
}

func (f faults) Error() string {
	if len(f) == 1 {
		return fmt.Sprintf("%s: found %s, %s", f[0].Location, f[0].Value, f[0].Message)
	}
	return fmt.Sprintf("%d parameters are wrong, the first: %s: found %s, %s", len(f), f[0].Location, f[0].Value, f[0].Message)
}

// maxShown is how much of a value an error shows.
const maxShown = 80

func shorten(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// notAllowed is the error for a method that a route does not have.
type notAllowed struct{ methods []string }

func (e notAllowed) Error() string {
	return "only " + strings.Join(e.methods, " and ") + " are allowed here"
}

// notFound is a table or database that is not there.
type notFound struct{ what string }

func (e notFound) Error() string { return e.what }

// tooMuch is an answer beyond a limit.
type tooMuch struct {
	what         string
	found, limit int
}

func (e tooMuch) Error() string {
	return fmt.Sprintf("the answer has %d %s, at most %d are allowed: narrow it down with start, end, last, field or tag, or set limit for the newest records",
		e.found, e.what, e.limit)
}

// unavailable is a failure of Redis.
type unavailable struct{ err error }

func (e unavailable) Error() string { return e.err.Error() }
func (e unavailable) Unwrap() error { return e.err }

// inconsistent is the error for metrics that Prometheus refuses together. Its text names only metrics, so clients may read
// it.
type inconsistent struct{ err error }

func (e inconsistent) Error() string { return "the metrics are not consistent: " + e.err.Error() }
func (e inconsistent) Unwrap() error { return e.err }

// statusOf is the only place where an error becomes a status. The detail is for the client; what may
// tell of the inside is logged instead.
func statusOf(err error) (status int, title, detail string) {
	var bad faults
	var missing notFound
	var much tooMuch
	var away unavailable
	var metrics inconsistent
	var method notAllowed
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest, "Bad request", bad.Error()
	case errors.As(err, &missing):
		return http.StatusNotFound, "Not found", missing.Error()
	case errors.Is(err, errNoRoute):
		return http.StatusNotFound, "Not found", err.Error()
	case errors.As(err, &method):
		return http.StatusMethodNotAllowed, "Method not allowed", method.Error()
	case errors.As(err, &much):
		return http.StatusUnprocessableEntity, "Too much", much.Error()
	case errors.As(err, &away), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "Unavailable", "the cache does not answer, try again"
	case errors.As(err, &metrics):
		return http.StatusInternalServerError, "Internal error", metrics.Error()
	}
	return http.StatusInternalServerError, "Internal error", errPanic.Error()
}

// problem answers with a problem of RFC 9457.
func (s *server) problem(w http.ResponseWriter, r *http.Request, err error) {
	status, title, detail := statusOf(err)
	if status >= http.StatusInternalServerError {
		s.logFailure(r, status, err)
		s.metrics.failed(status)
	}
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
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
		body.Errors = bad
	}
	b, err := json.Marshal(body)
	if err != nil {
		b = []byte(`{"title":"Internal error","status":500}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// logFailure logs what the client is not told: the cause, and where Redis is when it is that.
func (s *server) logFailure(r *http.Request, status int, err error) {
	attrs := []any{"path", r.URL.Path, "status", status}
	if status == http.StatusServiceUnavailable {
		attrs = append(attrs, "redis", s.Redis)
	}
	s.Log.Error("request failed", append(attrs, "error", err)...)
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	write(w, append(b, '\n'))
	return nil
}

// write writes a JSON body. An error means that the client is gone, and nobody else can be told.
func write(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// away wraps a failure of the cache.
func away(err error) error {
	if err == nil {
		return nil
	}
	return unavailable{err}
}

func noTable(t record.Table) error {
	return notFound{fmt.Sprintf("no table %q in database %q", t.Name, t.Database)}
}
