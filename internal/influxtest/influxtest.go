// Package influxtest is the write endpoint of InfluxDB 3 for tests: it takes, refuses and merges rows as
// the database does, and tells what it has.
//
// It follows the documentation of POST /api/v3/write_lp and the answers of InfluxDB 3 Core 3.11. Strings
// with a newline, which line protocol allows in fields, are not understood.
package influxtest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
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
	tables   map[string]*table // by "database/table"; guarded by mu, as are the others
	refused  []string          // why lines were refused
	faults   []fault           // to be answered before anything else
	requests int               // that were answered, faults included
}

// fault is an answer to give instead of writing.
type fault struct {
	status int // 0 closes the connection
	left   int // how often; below 0 until told otherwise
}

// Row is one row of a table.
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
	s := &Server{options: o, tables: make(map[string]*table)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.write))
	t.Cleanup(s.Close)
	return s
}

// Fail makes the next n requests fail with a status such as 503, or all of them while n is below 0; n = 0
// ends that. Status 0 closes the connection instead.
func (s *Server) Fail(status, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	if n != 0 {
		s.faults = []fault{{status, n}}
	}
}

// Rows returns the rows of a table, by time and tags.
func (s *Server) Rows(database, name string) []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[database+"/"+name]
	if t == nil {
		return nil
	}
	keys := make([]string, 0, len(t.rows))
	for key := range t.rows {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	rows := make([]Row, 0, len(keys))
	for _, key := range keys {
		rows = append(rows, *t.rows[key])
	}
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].Time < rows[j].Time })
	return rows
}

// Tables returns the names of the tables of a database.
func (s *Server) Tables(database string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for key := range s.tables {
		if name, ok := strings.CutPrefix(key, database+"/"); ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// Refused returns why lines were refused, one text a line.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.refused...)
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

// failing answers with a fault, if there is one to give.
func (s *Server) failing(w http.ResponseWriter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if len(s.faults) == 0 {
		return false
	}
	f := &s.faults[0]
	status := f.status
	if f.left > 0 {
		f.left--
	}
	if f.left == 0 {
		s.faults = nil
	}
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Retry-After", "1")
	answer(w, status, map[string]any{"error": http.StatusText(status)})
	return true
}

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

// lineError is what the database says of a line that it refuses.
type lineError struct {
	Message string `json:"error_message"`
	Number  int    `json:"line_number"`
	Line    string `json:"original_line"`
}

// take writes the good lines of a body, or none where one is bad and partial writes are not accepted.
func (s *Server) take(w http.ResponseWriter, database, body string, unit int64, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var bad []lineError
	var good []point
	now := time.Now()
	for i, line := range strings.Split(body, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p, err := parse(line, unit, now)
		if err == nil {
			err = s.tableOf(database, p.table).check(p)
		}
		if err != nil {
			bad = append(bad, lineError{err.Error(), i + 1, line})
			s.refused = append(s.refused, fmt.Sprintf("%s: %s", err, line))
			continue
		}
		if partial {
			s.tableOf(database, p.table).add(p)
		}
		good = append(good, p)
	}
	switch {
	case len(bad) == 0:
		if !partial {
			for _, p := range good {
				s.tableOf(database, p.table).add(p)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	case partial:
		answer(w, http.StatusBadRequest, map[string]any{"error": "partial write of line protocol occurred", "data": bad})
	default:
		answer(w, http.StatusBadRequest, map[string]any{"error": "line protocol parsing error", "data": bad[0]})
	}
}

func (s *Server) tableOf(database, name string) *table {
	key := database + "/" + name
	t := s.tables[key]
	if t == nil {
		t = &table{columns: map[string]string{"time": timeColumn}, rows: make(map[string]*Row)}
		s.tables[key] = t
	}
	return t
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
