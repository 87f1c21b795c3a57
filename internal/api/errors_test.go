package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

type problem struct {
	Type, Title, Detail, Instance string
	Status                        int
	Errors                        []api.Fault
}

func problemOf(t testing.TB, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	return p
}

func TestBadRequestNamesEveryFault(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	const base = "/analytics/cpu?database=db"
	long := strings.Repeat("x", 300)
	for path, want := range map[string][]api.Fault{
		"/analytics/cpu":                              {{"query.database", `""`, "want the name of a database, as GET /databases lists them"}},
		"/analytics/cpu?database=":                    {{"query.database", `""`, "want the name of a database, as GET /databases lists them"}},
		"/analytics/cpu?database=a%2Fb":               {{"query.database", `"a/b"`, "a name has none of { } /"}},
		"/analytics/cpu?database=%7Ba%7D":             {{"query.database", `"{a}"`, "a name has none of { } /"}},
		"/analytics/cpu?database=a%0Ab":               {{"query.database", `"a\nb"`, "a name has no control characters"}},
		"/analytics/cpu?database=%ff":                 {{"query.database", `"\xff"`, "a name is valid UTF-8"}},
		"/analytics/cpu?database=" + long:             {{"query.database", `"` + long[:80] + `"…`, "a name has at most 255 bytes, this one has 300"}},
		"/analytics/" + long + "?database=db":         {{"path.table", `"` + long[:80] + `"…`, "a name has at most 255 bytes, this one has 300"}},
		"/analytics/a%2Fb?database=db":                {{"path.table", `"a/b"`, "a name has none of { } /"}},
		"/analytics/a%00?database=db":                 {{"path.table", `"a\x00"`, "a name has no control characters"}},
		"/analytics/a%0Ab?database=db":                {{"path.table", `"a\nb"`, "a name has no control characters"}},
		"/analytics/%7B%7D?database=db":               {{"path.table", `"{}"`, "a name has none of { } /"}},
		"/analytics/%ff?database=db":                  {{"path.table", `"\xff"`, "a name is valid UTF-8"}},
		base + "&limit=0":                             {{"query.limit", `"0"`, "want a number from 1 to 1000"}},
		base + "&limit=1001&last=-1":                  {{"query.last", `"-1"`, "want a number from 1 to 500"}, {"query.limit", `"1001"`, "want a number from 1 to 1000"}},
		base + "&tag=host":                            {{"query.tag", `"host"`, "want key=value, such as tag=host=a"}},
		base + "&last=1&last=2":                       {{"query.last", `"1,2"`, "want this parameter once"}},
		base + "&fields=f":                            {{"query.fields", `"f"`, "unknown parameter, did you mean \"field\"? Known are database, start, end, last, limit, cursor, agents, final, field, tag, group_by, bucket, timezone, stats, method, share_le, format, pretty, order"}},
		base + "&start=2026-01-02T00:00:00Z&end=-10d": {{"query.end", `"-10d"`, "want a time after start, which is 2026-01-02T00:00:00Z"}},
		"/databases?x=1":                              {{"query.x", `"1"`, "unknown parameter, there are none"}},
		"/analytics":                                  {{"query.database", `""`, "want the name of a database, as GET /databases lists them"}},
	} {
		require.Equal(t, want, problemOf(t, s.get(t, path), http.StatusBadRequest).Errors, path)
	}
	p := problemOf(t, s.get(t, base+"&start=yesterday&nope=1"), http.StatusBadRequest)
	require.Len(t, p.Errors, 2)
	require.Contains(t, p.Errors[1].Message, `want a time such as 2026-12-31T23:00:00Z`)
	require.Contains(t, p.Detail, "2 parameters are wrong")
	problemOf(t, s.get(t, base+"&x=%zz"), http.StatusBadRequest)
}

func TestTimeWithASpaceInsteadOfAPlusGetsAHint(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	const hint = "; write + as %2B"
	for start, hinted := range map[string]bool{"2024-01-01T00:00:00+01:00": true, "2024-01-01+00:00:00": false, "noon": false} {
		p := problemOf(t, s.get(t, "/analytics/cpu?database=db&start="+start), http.StatusBadRequest)
		require.Len(t, p.Errors, 1)
		require.Equal(t, hinted, strings.HasSuffix(p.Errors[0].Message, hint), start)
		require.Equal(t, hinted, strings.HasSuffix(p.Detail, hint), start)
	}
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&start=2024-01-01T00:00:00%2B01:00")), 40)
}

func TestNearMissesOfTimesAndParametersAreCorrected(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for query, want := range map[string]string{
		"start=2024-01-01T00:00:00":   "; in UTC, write 2024-01-01T00:00:00Z",
		"start=2024-01-01+00:00":      "; in UTC, write 2024-01-01T00:00:00Z",
		"start=2024-01-01T00:00:00.5": "; in UTC, write 2024-01-01T00:00:00.5Z",
		"end=6h":                      "; write -6h",
		"start=yesterday":             "(units s, m, h, d, w)",
		"lst=1":                       `, did you mean "last"? Known are `,
		"db=x":                        `, did you mean "database"? Known are `,
		"from=now":                    `, did you mean "start"? Known are `,
		"x=1":                         "unknown parameter, known are database, ",
		"stats=p<q>":                  `unknown statistic "p<q>", known are`,
	} {
		w := s.get(t, "/analytics/cpu?database=db&"+query)
		require.Contains(t, w.Body.String(), strings.ReplaceAll(want, `"`, `\"`), query)
		require.Contains(t, problemOf(t, w, http.StatusBadRequest).Errors[0].Message, want)
	}
}

func TestNotFoundNamesTheTableOrDatabase(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for path, want := range map[string]string{
		"/analytics/mem?database=db":        `no table "analytics_mem" in database "db"; GET /analytics?database=db lists the tables`,
		"/analytics/cpu?database=other":     `no table "analytics_cpu" in database "other"; GET /analytics?database=other lists the tables`,
		"/analytics?database=other":         `no database "other"; GET /databases lists the databases`,
		"/nothing":                          "there is nothing at this address, /docs describes the routes",
		"/analytics/a/b?database=db":        "there is nothing at this address, /docs describes the routes",
		"/analytics/analytics_x?database=é": `no table "analytics_x" in database "é"; GET /analytics?database=%C3%A9 lists the tables`,
	} {
		require.Equal(t, want, problemOf(t, s.get(t, path), http.StatusNotFound).Detail, path)
	}
}

// The service answers with problems while Redis is down, and with records when it is back.
func TestServiceRecoversWhenRedisComesBack(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	client, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + server.Addr()}, Timeout: patience})
	require.NoError(t, err)
	defer client.Close()
	s := serve(t, client, func(o *api.Options) { o.Export = exports("cpu") })
	s.fill(t)
	require.Equal(t, http.StatusOK, s.get(t, "/ready").Code)
	require.NoError(t, server.Stop())
	s.clock.Add(10)
	for _, path := range []string{"/ready", "/analytics/cpu?database=db", "/analytics?database=db", "/databases", "/metrics/analytics"} {
		w := s.get(t, path)
		p := problemOf(t, w, http.StatusServiceUnavailable)
		require.Equal(t, "Redis cannot be read now, try again; the log of the service has the reason", p.Detail)
		require.Equal(t, "5", w.Header().Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, s.get(t, "/health").Code)
	require.Contains(t, s.get(t, "/metrics").Body.String(), `analytics_api_failures_total{status="503"} 5`)
	redistest.Start(t, redisserver.Options{Addr: server.Addr()})
	// After ten refused connections for each processor, the client tries one only once in a second.
	require.Eventually(t, func() bool { return s.get(t, "/ready").Code == http.StatusOK }, patience, 20*time.Millisecond)
	s.fill(t)
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db")), 40)
}

func TestPanicInAHandlerIsAnsweredWithAProblem(t *testing.T) {
	t.Parallel()
	o := api.Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute}
	h := newAPI(t, broken{tables: func() ([]record.TableEntry, error) { panic("broken") }}, o)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/databases", http.NoBody))
	require.NotContains(t, problemOf(t, w, http.StatusInternalServerError).Detail, "broken")
}

func TestProblemsDoNotRevealInternalErrors(t *testing.T) {
	t.Parallel()
	o := api.Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute}
	h := newAPI(t, broken{tables: func() ([]record.TableEntry, error) { return nil, errors.New("dial tcp 10.0.0.1: secret") }}, o)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/databases", http.NoBody))
	require.NotContains(t, w.Body.String(), "secret")
	problemOf(t, w, http.StatusServiceUnavailable)
}

// brokenBody is an answer whose body cannot be written, with a panic.
type brokenBody struct{ *httptest.ResponseRecorder }

func (brokenBody) Write([]byte) (int, error) { panic("broken") }

// After a panic in the middle of an answer, the connection is closed: a problem would be taken for a part of the body.
func TestAPanicInTheMiddleOfAnAnswerClosesTheConnection(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	w := brokenBody{httptest.NewRecorder()}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, cpuPath, http.NoBody)) })
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, s.get(t, "/metrics").Body.String(), `analytics_api_failures_total{status="500"} 1`+"\n")
}
