package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// requestID is the header that has the id of a request, which the lines of the log about the request have too. Errors have it, and all
// answers to requests that had one.
const requestID = "X-Request-Id"

// maxRequestID is the length of the longest id that a client can give to its request.
const maxRequestID = 64

// ids makes ids that are unique in this process and, very probably, among processes. A random text for each request would need 0.3
// µs more. It is safe for concurrent use. An example of an id is "avpw6gka-1".
type ids struct {
	prefix string        // random, of this process
	last   atomic.Uint64 // the number of the last id
}

// newIDs returns ids with a new prefix.
func newIDs() *ids { return &ids{prefix: secret.New(8) + "-"} }

// next returns a new id: the prefix and a number, from 1 on.
func (i *ids) next() string {
	return string(strconv.AppendUint(append(make([]byte, 0, 40), i.prefix...), i.last.Add(1), 10))
}

// validID reports whether an id that a client, such as a proxy, gives to its request is kept: it has only letters, digits and the
// characters . _ - so that it cannot be taken for another part of a line of the log. Another id is replaced by one of ours.
func validID(id string) bool {
	const special = ".-_"
	return id != "" && len(id) <= maxRequestID && strings.IndexFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune(special, c)
	}) < 0
}

// logRequest logs an answer if the level of the log is debug. The query is left out, because it can be long. The line has the id of
// the token, which is no secret, or an empty one.
func (s *server) logRequest(x *exchange, r *http.Request, rt *route, tokenID string, took time.Duration) {
	if !s.Log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	s.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("request", idOf(x)), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("route", rt.name), slog.Int("status", x.status()), slog.Duration("took", took), slog.String("client", clientOf(x)),
		slog.String("token", tokenID))
}

// logFailure logs the cause of a failure and, if Redis could not be read, its address and what to check. The client gets neither. Of the
// failures of one outage of Redis, it logs the first, and then at most one line in outageEvery. A problem with the status 503 also counts as a
// failed request of the outage. Of the failures of one fault of a corrupt table, it logs at most one line in repeatsEvery. The other
// failures are logged each time.
func (s *server) logFailure(r *http.Request, id string, status int, err error) {
	attrs := []any{"request", id, "path", r.URL.Path, "status", status}
	var corrupt *record.Corrupt
	if errors.As(err, &corrupt) {
		log, failed := s.repeats.fail(*corrupt, s.Now())
		if !log {
			return
		}
		if failed > 1 {
			attrs = append(attrs, "failed", failed)
		}
	}
	if status == http.StatusServiceUnavailable {
		log, lasted, failed := s.outage.fail()
		if !log {
			return
		}
		err = s.Explain(err)
		if failed > 1 {
			s.Log.Error("Redis still cannot be read", "redis", s.Redis, "since", lasted.Round(time.Second), "failed", failed, "error", err)
			return
		}
		attrs = append(attrs, "redis", s.Redis)
	}
	s.Log.Error("request failed", append(attrs, "error", err)...)
}

// logAnswer notes that Redis has answered if err is nil, and logs the end of an outage. It is called for each reading of the list
// of tables and of a version, which nearly all requests need.
func (s *server) logAnswer(err error) {
	if err != nil {
		return
	}
	if lasted, failed := s.outage.end(); failed > 0 {
		s.Log.Info("Redis can be read again", "redis", s.Redis, "after", lasted.Round(time.Second), "failed", failed)
	}
}
