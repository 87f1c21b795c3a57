// Package influxtest is the write endpoint of InfluxDB 3 for tests: it takes, refuses and merges rows as
// the database does, and tells what it has.
//
// It follows the documentation of POST /api/v3/write_lp and the answers of InfluxDB 3 Core 3.11.
package influxtest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// MaxColumns is how many columns a table may have, its tags, fields and time.
const MaxColumns = 500

// Options say how the endpoint behaves.
type Options struct {
	Token    string // the bearer token to present; none is wanted when empty
	MaxBytes int64  // most bytes of a body, unpacked; the default is 10 MiB
}

// Server is a running endpoint. Its methods may be called concurrently.
type Server struct {
	*httptest.Server
	options Options

	mu       sync.Mutex
	tables   map[tableKey]*table // guarded by mu, as are the others
	refused  []string            // why lines were refused
	fault    fault               // to be answered before anything else
	requests int                 // that were answered, faults included
}

// tableKey says which table is meant.
type tableKey struct{ database, name string }

// fault is an answer to give instead of writing.
type fault struct {
	status int // 0 closes the connection
	left   int // how often, 0 for no fault; below 0 until told otherwise
}

// Row is one row of a table. Its maps are the caller's.
type Row struct {
	Tags   map[string]string
	Fields map[string]any // float64, int64, uint64, bool or string
	Time   int64          // nanoseconds since 1970
	Writes int            // how often it was written
}

// New starts an endpoint, which ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if o.MaxBytes == 0 {
		o.MaxBytes = 10 << 20
	}
	s := &Server{options: o, tables: make(map[tableKey]*table)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.write))
	t.Cleanup(s.Close)
	return s
}

// Fail makes the next n requests fail with a status such as 503 and the wish to retry after a second, or all
// of them while n is below 0; n = 0 ends that. Status 0 closes the connection instead.
func (s *Server) Fail(status, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault{status, n}
}

// Rows returns the rows of a table, by time and tags; none where there is no such table.
func (s *Server) Rows(database, name string) []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[tableKey{database, name}]
	if t == nil {
		return nil
	}
	rows := make([]Row, 0, len(t.rows))
	for _, key := range slices.SortedFunc(maps.Keys(t.rows), rowKey.compare) {
		row := *t.rows[key]
		row.Tags, row.Fields = maps.Clone(row.Tags), maps.Clone(row.Fields)
		rows = append(rows, row)
	}
	return rows
}

// Tables returns the names of the tables of a database, sorted.
func (s *Server) Tables(database string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for key := range s.tables {
		if key.database == database {
			names = append(names, key.name)
		}
	}
	slices.Sort(names)
	return names
}

// Refused returns why lines were refused, one text a line.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Requests returns how many requests were answered.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// write is POST /api/v3/write_lp.
func (s *Server) write(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v3/write_lp" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	if s.failing(w) {
		return
	}
	if status := s.authorize(r); status != 0 {
		answer(w, status, map[string]any{"error": http.StatusText(status)})
		return
	}
	q := r.URL.Query()
	unit, err := precision(q.Get("precision"))
	if q.Get("db") == "" || err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": fmt.Sprintf("invalid query: db=%q, precision=%q", q.Get("db"), q.Get("precision"))})
		return
	}
	body, status := s.body(r)
	if status != 0 {
		answer(w, status, map[string]any{"error": http.StatusText(status)})
		return
	}
	s.take(w, q.Get("db"), body, unit, q.Get("accept_partial") != "false")
}

// failing answers with the fault, if there is one to give.
func (s *Server) failing(w http.ResponseWriter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.fault.left == 0 {
		return false
	}
	if s.fault.left > 0 {
		s.fault.left--
	}
	if s.fault.status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Retry-After", "1")
	answer(w, s.fault.status, map[string]any{"error": http.StatusText(s.fault.status)})
	return true
}

// authorize returns the status for a request without the right token, 0 for one with it.
func (s *Server) authorize(r *http.Request) (status int) {
	if s.options.Token == "" {
		return 0
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case kind != "Bearer" && kind != "Token":
		return http.StatusUnauthorized
	case token != s.options.Token:
		return http.StatusForbidden
	}
	return 0
}

// body reads and unpacks the body, or returns the status for one that it cannot take.
func (s *Server) body(r *http.Request) (body string, status int) {
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return "", http.StatusBadRequest
		}
		in = z
	}
	b, err := io.ReadAll(io.LimitReader(in, s.options.MaxBytes+1))
	switch {
	case err != nil:
		return "", http.StatusBadRequest
	case int64(len(b)) > s.options.MaxBytes:
		return "", http.StatusRequestEntityTooLarge
	}
	return string(b), 0
}

// take writes the good lines of a body, or none where one is bad and partial writes are not accepted.
func (s *Server) take(w http.ResponseWriter, database, body string, unit int64, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := batch{tables: s.tables, database: database, columns: make(map[string]columns)}
	now := time.Now()
	for _, l := range split(body) {
		b.add(l, unit, now)
		if len(b.bad) > 0 && !partial {
			break
		}
	}
	for _, l := range b.bad {
		s.refused = append(s.refused, fmt.Sprintf("%s: %s", l.Message, l.Line))
	}
	switch {
	case len(b.bad) == 0:
		b.commit()
		w.WriteHeader(http.StatusNoContent)
	case partial:
		b.commit()
		answer(w, http.StatusBadRequest, map[string]any{"error": "partial write of line protocol occurred", "data": b.bad})
	default:
		answer(w, http.StatusBadRequest, map[string]any{"error": "line protocol parsing error", "data": b.bad[0]})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
}
