// Package influxtest is the write endpoint of InfluxDB 3 for tests. It accepts, refuses and merges rows as the
// database does, and returns the stored rows to the test.
//
// It follows the documentation of POST /api/v3/write_lp and the answers of InfluxDB 3 Core 3.11.
//
// If a point is written twice with different values, InfluxDB 3 does not promise which version it keeps. So by
// default the endpoint keeps one of them at random, and tests fail for writers that depend on the newest version.
//
//	body ─▶ split ─▶ parse ─▶ columns.check ─▶ batch ─▶ commit ─▶ tables ─▶ Rows
//	        lines    points   types, limits    good and bad lines           of the test
//
// It has these rules of the database: a column keeps the type of its first value. A table, tags and a time identify a point. The
// good lines of a body with bad ones are written, unless the client wants all or nothing. The number of columns and the size of a
// body are limited. There are no queries, no retention and no files.
//
//	status  when                                                    what was written
//	204     every line is good, or the body has no line             all
//	400     a line is bad, and accept_partial is not false          the good lines
//	400     a line is bad with accept_partial=false; bad query      nothing
//	        parameters; a damaged gzip body
//	401     no token                                                nothing
//	403     a wrong token                                           nothing
//	413     the body is too large                                   nothing
//	other   as a test asked for: see [Server.Fail]                  nothing
package influxtest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// MaxColumns is the largest number of columns of a table: its tags, its fields and the time.
const MaxColumns = 500

// Overwrite is the rule for a point that is written again, with the same table, tags and time. Under every rule the row
// has the fields of all writes; the rule decides between different values of one field. After the writes "m x=1,y=1 5" and "m x=2,z=3 5"
// the row at 5 has y = 1, z = 3, and x = 2 under Newest; under Random x is 1 or 2.
type Overwrite int

const (
	// Random keeps all values of the earlier writes or all values of the new one, with equal chance, as InfluxDB 3
	// may do. It does not affect rows that are written once, or again with the same values.
	Random Overwrite = iota
	// Newest keeps the value that was written last, as InfluxDB 1 and 2 do.
	Newest
)

// SeedVariable is the environment variable with the seed of [Random]. It is used if Options.Seed is 0. The log of a test that failed has
// the seed, so INFLUXTEST_SEED=<seed> repeats the choices.
const SeedVariable = "INFLUXTEST_SEED"

// Options configure the endpoint. The zero Options accept every token and keep random versions.
type Options struct {
	Token    string // bearer token that requests must present; empty accepts all requests
	MaxBytes int64  // largest body in bytes after decompression; 0 means 10 MiB
	// RetryAfter is the time in the header Retry-After of the answers of Fail, in whole seconds; 0 means a second.
	RetryAfter time.Duration
	Overwrite  Overwrite
	// Seed makes the choices of Random repeatable, if the points arrive in the same order. If it is 0, the seed is
	// that in SeedVariable or, without one, a random number. New logs the seed to the test.
	Seed uint64
}

// Server is a running endpoint. Its methods may be called concurrently.
type Server struct {
	*httptest.Server
	options Options

	mu       sync.Mutex          // guards the fields below
	tables   map[tableKey]*table // by database and name
	refused  []string            // the reasons of refused lines
	fault    fault               // the answer to the next requests
	requests int                 // the number of answered requests, faults included
	random   *rand.Rand          // the choices of Random; nil under Newest
}

// tableKey identifies a table of one database.
type tableKey struct{ database, name string }

// fault is an answer to requests that are not processed. The zero fault is none.
type fault struct {
	status int // HTTP status; 0 closes the connection
	left   int // how many of the next requests get this answer; below 0 means all
}

// Row is one row of a table. The caller owns its maps.
type Row struct {
	Tags   map[string]string
	Fields map[string]any // float64, int64, uint64, bool or string
	Time   int64          // nanoseconds since 1970
	Writes int            // number of writes of this row
}

// New starts an endpoint that stops at the end of the test. It listens on a free port of the loopback interface; the field URL is its
// address, to which a client adds /api/v3/write_lp. A database or table needs no creation: the first good line of it makes it.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if o.MaxBytes == 0 {
		o.MaxBytes = 10 << 20
	}
	s := &Server{options: o, tables: make(map[tableKey]*table)}
	if o.Overwrite == Random {
		seed := seedOf(t, o)
		t.Logf("InfluxDB 3 keeps random versions of points that are written twice: %s=%d", SeedVariable, seed)
		s.random = rand.New(rand.NewPCG(seed, 0))
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.write))
	t.Cleanup(s.Close)
	return s
}

// seedOf returns the seed of the options, else that of the environment variable, else a random one.
func seedOf(t testing.TB, o Options) uint64 {
	t.Helper()
	text, set := os.LookupEnv(SeedVariable)
	switch {
	case o.Seed != 0:
		return o.Seed
	case !set:
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %q is not a whole number", SeedVariable, text)
	}
	return seed
}

// Fail makes the next n requests fail with an HTTP status such as 503 and a Retry-After, or all requests if n is
// below 0. It replaces an earlier Fail; n = 0 ends it. With status 0, the server closes the connection instead.
func (s *Server) Fail(status, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault{status, n}
}

// Rows returns the rows of a table, sorted by time and tags. It returns none for an unknown table.
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

// Refused returns a message for each refused line, in the order of their arrival: the reason and the line.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Requests returns the number of requests to the write endpoint, including those that [Server.Fail] made fail.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// write handles POST /api/v3/write_lp. The parameters are db, precision and accept_partial; others are ignored. A fault comes before all
// checks, as that of a proxy or of a server that is down would.
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

// failing counts the request, answers it with the fault, if one is set, and reports whether it did. For the fault that closes the
// connection it does not return: the panic releases the lock, as it runs the deferred call.
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
		panic(http.ErrAbortHandler) // net/http closes the connection, without a line in its log
	}
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(s.options.RetryAfter/time.Second))))
	answer(w, s.fault.status, map[string]any{"error": http.StatusText(s.fault.status)})
	return true
}

// authorize returns 0 for a request with the right token, or else the HTTP status of the answer: 401 without a token, 403 with a wrong
// one. The header is "Authorization: Bearer secret" or "Authorization: Token secret".
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

// body reads and decompresses the body. If the body is damaged or too large, it returns the HTTP status of the answer
// instead.
func (s *Server) body(r *http.Request) (body string, status int) {
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return "", http.StatusBadRequest
		}
		in = z
	}
	b, err := io.ReadAll(io.LimitReader(in, s.options.MaxBytes+1)) // one byte more shows that it is too large
	switch {
	case err != nil:
		return "", http.StatusBadRequest
	case int64(len(b)) > s.options.MaxBytes:
		return "", http.StatusRequestEntityTooLarge
	}
	return string(b), 0
}

// take writes the valid lines of a body and answers. If a line is invalid and partial writes are not accepted, it writes none, and
// names the first such line only. The lock is held for the whole body, so that it is written as one. All lines without a time get the same
// time.
func (s *Server) take(w http.ResponseWriter, database, body string, unit int64, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := batch{tables: s.tables, database: database, columns: make(map[string]columns), random: s.random}
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

// answer writes an answer as JSON. The database does not escape characters for HTML, so answer does not either. A refusal with partial
// writes is such as this one, in one line:
//
//	{"data":[{"error_message":"invalid column type for column 'n', expected iox::column_type::field::integer, got
//	iox::column_type::field::float","line_number":2,"original_line":"m n=1"}],"error":"partial write of line protocol occurred"}
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
}
