package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/openapi"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

var update = flag.Bool("update", false, "write the answers to the examples of the OpenAPI document anew")

// description is the OpenAPI document of a service.
type description struct {
	openapi.Document
	text    []byte
	mu      sync.Mutex           // guards the field below
	schemas *jsonschema.Compiler // validates values by the parts of the document
	paths   *http.ServeMux       // finds the path of a request
}

// documentAddress is the address of the document for its references. It would be taken for the name of a file if it had no scheme.
const documentAddress = "http://localhost/openapi.json"

// describe reads the document of a service.
func describe(t testing.TB, h http.Handler) *description {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, documentAddress, http.NoBody)
	r.RemoteAddr = "192.0.2.77:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	d := &description{text: w.Body.Bytes(), schemas: jsonschema.NewCompiler(), paths: http.NewServeMux()}
	require.NoError(t, json.Unmarshal(d.text, &d.Document))
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
	require.NoError(t, err)
	d.schemas.AssertFormat()
	require.NoError(t, d.schemas.AddResource(documentAddress, value))
	for path := range d.Paths {
		pattern := path
		if path == "/" {
			pattern = "/{$}"
		}
		d.paths.HandleFunc("GET "+pattern, func(http.ResponseWriter, *http.Request) {})
	}
	return d
}

// operation returns the description of a GET or HEAD request and the pointer to it in the document, or nil if there is none.
func (d *description) operation(r *http.Request) (*openapi.Operation, string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, ""
	}
	_, pattern := d.paths.Handler(r)
	path := strings.TrimSuffix(strings.TrimPrefix(pattern, "GET "), "{$}")
	return d.Paths[path].Get, pointer("paths", path, "get")
}

// pointer returns a JSON pointer as the fragment of an address.
func pointer(parts ...string) string {
	var text strings.Builder
	text.WriteByte('#')
	for _, part := range parts {
		text.WriteString("/" + url.PathEscape(strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")))
	}
	return text.String()
}

// check fails the test if the document does not describe an answer: its status, its content type or its body.
func (d *description) check(t testing.TB, r *http.Request, status int, h http.Header, body []byte) {
	t.Helper()
	op, at := d.operation(r)
	if op == nil || status == http.StatusTemporaryRedirect {
		return
	}
	described, ok := op.Responses[strconv.Itoa(status)]
	require.True(t, ok, "%s has the status %d, which is not described: %s", r.URL, status, body)
	if status == http.StatusNotModified || r.Method == http.MethodHead {
		return
	}
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	require.NoError(t, err, r.URL)
	require.Contains(t, described.Content, media, r.URL)
	if strings.HasSuffix(media, "json") && h.Get("Content-Encoding") == "" {
		d.validate(t, at+strings.TrimPrefix(pointer("responses", strconv.Itoa(status), "content", media, "schema"), "#"), body)
	}
}

// validate fails the test if a JSON text is not as the schema at a place of the document.
func (d *description) validate(t testing.TB, at string, text []byte) {
	t.Helper()
	d.mu.Lock()
	schema, err := d.schemas.Compile(documentAddress + at)
	d.mu.Unlock()
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err, "%s", text)
	require.NoError(t, schema.Validate(value), "%s", text)
}

// described is a service whose answers are compared with its document.
type described struct {
	http.Handler
	t        *testing.T
	document func() *description
}

// newAPI returns an API. In tests, its answers are compared with its document, which is that of another API with the same
// options, so that reading it is not in the log.
func newAPI(t testing.TB, reader api.Reader, o api.Options) http.Handler {
	h := api.New(reader, o)
	test, ok := t.(*testing.T)
	if !ok { // it would make benchmarks slow, and the function of a fuzz test has another T
		return h
	}
	collectSeldom()
	return described{h, test, sync.OnceValue(func() *description { return describeOnce(test, reader, o) })}
}

// collectSeldom makes the garbage collector run a quarter as often as by default, in tests and not in benchmarks. Tests make much garbage
// and keep little: collecting it took a sixth of the processor time of the long tests.
var collectSeldom = sync.OnceFunc(func() { debug.SetGCPercent(400) })

// known has the descriptions of the services with some options, as each takes a tenth of a second to read.
var known sync.Map

// describeOnce returns the description of a service with the options, which may be that of another one. The routes, statuses and bodies in
// the document depend only on which options are set. Their values are in its texts and in the bounds of parameters, which are not compared
// with answers. A document for each of the values took a tenth of the processor time of the tests.
func describeOnce(t *testing.T, reader api.Reader, o api.Options) *description {
	t.Helper()
	o.Log, o.Now, o.Collectors = nil, nil, nil
	var key strings.Builder
	for _, v := range reflect.ValueOf(o).Fields() {
		fmt.Fprintf(&key, "%t,", v.IsZero())
	}
	if d, ok := known.Load(key.String()); ok {
		return d.(*description)
	}
	d, _ := known.LoadOrStore(key.String(), describe(t, api.New(reader, o)))
	return d.(*description)
}

// largestChecked is how many bytes of an answer are compared; more would make the tests slow.
const largestChecked = 16 << 10

func (d described) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	copied := &copiedWriter{ResponseWriter: w, status: http.StatusOK}
	d.Handler.ServeHTTP(copied, r)
	if r.Context().Err() == nil && copied.body.Len() <= largestChecked {
		d.document().check(d.t, r, copied.status, w.Header(), copied.body.Bytes())
	}
}

// copiedWriter keeps a copy of the begin of an answer.
type copiedWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *copiedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *copiedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *copiedWriter) Write(b []byte) (int, error) {
	if w.body.Len() <= largestChecked {
		w.body.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// sample returns a service with the records of the examples.
func sample(t testing.TB, edit func(*api.Options)) *service {
	t.Helper()
	s := withStreams(t, func(o *api.Options) {
		o.Export = []exporter.Table{{Table: record.Table{Database: "mydb", Name: "cpu"}}}
		if edit != nil {
			edit(o)
		}
	})
	selection, err := stats.NewSelection([]string{"count", "min", "max", "mean", "p95"}, stats.Linear)
	require.NoError(t, err)
	var records []record.Record
	for minute := range 90 {
		for i, host := range []string{"a", "b"} {
			values := make([]float64, 6)
			for j := range values {
				values[j] = 90 + float64((minute*7+j*5+i*3)%21)/2
			}
			r := summarized(marked(rec(minute, "usage_idle", host, 0), minute > 0), values...)
			r.Tags = []series.Tag{{Key: "host", Value: host}}
			sum := stats.New(64)
			sum.AddAll(values, nil)
			r.Stats = nil
			for k, v := range selection.Append(nil, &sum) {
				r.Stats = append(r.Stats, record.Stat{Name: selection.Statistics()[k].String(), Value: v})
			}
			records = append(records, r)
		}
	}
	writer := cache.NewWriter(s.client, cache.Options{Retention: time.Hour, Now: func() time.Time { return now }})
	require.NoError(t, writer.Put(t.Context(), record.Table{Database: "mydb", Name: "analytics_cpu"}, records))
	return s
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	d := describe(t, sample(t, nil))
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile("testdata/openapi/schema.json")
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value))

	var schemas map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(d.Components.Schemas, &schemas))
	for name := range schemas {
		_, err := d.schemas.Compile(documentAddress + pointer("components", "schemas", name))
		require.NoError(t, err, name)
	}
	for _, reference := range regexp.MustCompile(`"\$ref":"#/components/schemas/(\w+)"`).FindAllSubmatch(d.text, -1) {
		require.Contains(t, schemas, string(reference[1]))
	}
}

// everyOperation calls check for each operation with its path.
func (d *description) everyOperation(check func(path string, op *openapi.Operation)) {
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		check(path, d.Paths[path].Get)
	}
}

func TestEverythingInTheDocumentIsDescribed(t *testing.T) {
	t.Parallel()
	s := sample(t, nil)
	d := describe(t, s)
	for pattern := range everyRoute(t, s) {
		require.Contains(t, d.Paths, pattern)
	}
	ids := make(map[string]bool)
	groups := make(map[string]bool)
	for _, tag := range d.Tags {
		groups[tag.Name] = true
	}
	readme, err := os.ReadFile("../../cmd/analytics-api/README.md")
	require.NoError(t, err)
	d.everyOperation(func(path string, op *openapi.Operation) {
		require.NotNil(t, op, path)
		require.False(t, ids[op.ID], op.ID)
		ids[op.ID] = true
		require.NotEmpty(t, op.Summary, path)
		require.NotEmpty(t, op.Description, path)
		require.NotEmpty(t, op.Samples, path)
		require.Len(t, op.Tags, 1, path)
		require.True(t, groups[op.Tags[0]], path)
		for _, p := range op.Parameters {
			require.True(t, strings.HasSuffix(p.Description, "."), "%s %s", path, p.Name)
			require.NotEmpty(t, examplesOf(p), "%s %s", path, p.Name)
			if p.In == "query" {
				require.Regexp(t, "`"+p.Name+"[`=]", string(readme), "the README describes the parameter")
			}
		}
		for status, response := range op.Responses {
			require.NotEmpty(t, response.Description, "%s %s", path, status)
		}
	})
}

// examplesOf returns the examples of the values of a parameter.
func examplesOf(p openapi.Parameter) []any {
	if p.Schema.Items != nil {
		return p.Schema.Items.Examples
	}
	return p.Schema.Examples
}

// A request with each example of a parameter succeeds, and so do those with each choice and with the limits of a number.
// Other values are refused.
func TestEveryParameterAcceptsItsExamplesAndNothingElse(t *testing.T) {
	t.Parallel()
	s := sample(t, nil)
	describe(t, s).everyOperation(func(path string, op *openapi.Operation) {
		for _, p := range op.Parameters {
			value := p.Schema
			if value.Items != nil {
				value = *value.Items
			}
			good, bad := value.Examples, []any{}
			for _, choice := range value.Enum {
				good = append(good, choice)
				bad = append(bad, choice+"x", "")
			}
			if value.Maximum != nil {
				good = append(good, *value.Minimum, *value.Maximum)
				bad = append(bad, *value.Minimum-1, *value.Maximum+1, "x")
			}
			for _, v := range good {
				require.Equal(t, http.StatusOK, send(s, path, p, fmt.Sprint(v)).Code, "%s %s=%v", path, p.Name, v)
			}
			for _, v := range bad {
				require.Equal(t, http.StatusBadRequest, send(s, path, p, fmt.Sprint(v)).Code, "%s %s=%v", path, p.Name, v)
			}
		}
	})
}

// needed is the beginning of a value of the parameter that another one needs, by the text of its description.
var needed = regexp.MustCompile("It needs the parameter `(\\w+)`")

// send sends a request with a value of one parameter, and with those that it needs.
func send(s *service, path string, p openapi.Parameter, value string) *httptest.ResponseRecorder {
	query := url.Values{}
	if strings.HasPrefix(path, "/analytics") {
		query.Set("database", "mydb")
	}
	if m := needed.FindStringSubmatch(p.Description); m != nil {
		query.Set(m[1], map[string]string{"bucket": "1d"}[m[1]])
	}
	table := "cpu"
	r := httptest.NewRequest(http.MethodHead, "/", http.NoBody) // a stream would not end
	switch p.In {
	case "path":
		table = value
	case "header":
		r.Header.Set(p.Name, value)
	default:
		query.Set(p.Name, value)
	}
	r.URL.Path, r.URL.RawQuery = strings.Replace(path, "{table}", table, 1), query.Encode()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// exampleAnswer is the answer to an example in examples.json.
type exampleAnswer struct {
	ContentType string          `json:"content_type"`
	Body        json.RawMessage `json:"body"`
}

// Each example of the document has an answer as the document describes it. The document shows the answers that a service
// with records gives.
func TestExamplesOfTheDocumentAreTrue(t *testing.T) {
	t.Parallel()
	s := sample(t, nil)
	d := describe(t, s)
	answers := make(map[string]map[string]exampleAnswer)
	d.everyOperation(func(path string, op *openapi.Operation) {
		for _, sample := range op.Samples {
			if path == "/analytics/{table}/stream" {
				continue // see TestTheExampleOfAStreamIsTrue
			}
			address, ok := strings.CutPrefix(sample.Source, "GET ")
			require.True(t, ok, sample.Source)
			require.Contains(t, op.Description, "`"+address+"`")
			r := httptest.NewRequest(http.MethodGet, address, http.NoBody)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			d.check(t, r, w.Code, w.Header(), w.Body.Bytes())
			_, at := d.operation(r)
			require.Equal(t, pointer("paths", path, "get"), at, "it is an example of another route")
			if shown(op) {
				if answers[op.ID] == nil {
					answers[op.ID] = make(map[string]exampleAnswer)
				}
				answers[op.ID][sample.Label] = answerOf(t, w)
			}
		}
	})
	want, err := json.MarshalIndent(answers, "", "  ")
	require.NoError(t, err)
	want = append(want, '\n')
	if *update {
		require.NoError(t, os.WriteFile("examples.json", want, 0o600))
		return
	}
	got, err := os.ReadFile("examples.json")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go test ./internal/api -run TestExamplesOfTheDocumentAreTrue -update")
}

// shown reports whether the document shows the answers to the examples of an operation. Metrics change all the time, and the
// document and its page are shown already.
func shown(op *openapi.Operation) bool {
	return !slices.Contains([]string{"metrics", "export", "openapi", "docs"}, op.ID)
}

// tableVersion is the version of a table, which begins with the time of its first write.
var tableVersion = regexp.MustCompile(`"version":\d+`)

// answerOf returns an answer as the document shows it.
func answerOf(t testing.TB, w *httptest.ResponseRecorder) exampleAnswer {
	t.Helper()
	body := tableVersion.ReplaceAll(bytes.TrimSpace(w.Body.Bytes()), []byte(`"version":1767323045000000`))
	a := exampleAnswer{ContentType: w.Header().Get("Content-Type"), Body: body}
	if !strings.HasSuffix(a.ContentType, "json") {
		text, err := json.Marshal(w.Body.String())
		require.NoError(t, err)
		a.Body = text
	}
	return a
}

// The example of the route of streams is a request whose events are as the document describes them.
func TestTheExampleOfAStreamIsTrue(t *testing.T) {
	t.Parallel()
	s, address, _ := streaming(t, 10)
	d := describe(t, s)
	put := func(minute int) {
		table := record.Table{Database: "mydb", Name: "analytics_cpu"}
		require.NoError(t, s.writer.Put(t.Context(), table, []record.Record{marked(rec(minute, "usage_idle", "a", 1), false)}))
	}
	put(2)
	for _, sample := range d.Paths["/analytics/{table}/stream"].Get.Samples {
		path, ok := strings.CutPrefix(sample.Source, "GET ")
		require.True(t, ok)
		events := listen(t, address+path, "")
		events.want("present")
		put(1)
		changed := events.want("bucket")
		require.Contains(t, changed.data, `"field_name":"usage_idle"`)
		d.validate(t, pointer("components", "schemas", "Event"), []byte(changed.data))
		events.stop()
	}
}

// The permission that the document has for an operation is enough, and no token is not, unless it has none.
func TestTheDocumentHasThePermissionOfEachRoute(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	d := describe(t, g)
	require.Equal(t, "bearer", d.Components.SecuritySchemes["token"].Scheme)
	d.everyOperation(func(path string, op *openapi.Operation) {
		address := strings.Replace(path, "{table}", "cpu", 1)
		if strings.HasPrefix(path, "/analytics") {
			address += "?database=db"
		}
		anonymous := with(g, http.MethodGet, address).Code
		if len(op.Security) == 0 {
			require.Equal(t, http.StatusOK, anonymous, path)
			require.NotContains(t, op.Responses, "401", path)
			return
		}
		require.Equal(t, http.StatusUnauthorized, anonymous, path)
		permissions := []string{"db:other:read"} // any token
		for _, permission := range op.Security[0]["token"] {
			permissions = []string{strings.Replace(permission, "NAME", "db", 1)}
			other := "db:db:metrics"
			if strings.Contains(permission, "metrics") {
				other = "db:db:read"
			}
			require.Equal(t, http.StatusForbidden, with(g, http.MethodGet, address, "Authorization", "Bearer "+g.token(t, other)).Code, path)
		}
		require.Equal(t, http.StatusOK, with(g, http.MethodGet, address, "Authorization", "Bearer "+g.token(t, permissions...)).Code, path)
	})
}

// Without a token the document does not have the version, as /health.
func TestTheDocumentIsOpenAndHidesTheVersion(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	version := func(headers ...string) string {
		w := with(g, http.MethodGet, "/openapi.json", headers...)
		var d openapi.Document
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d))
		again := with(g, http.MethodGet, "/openapi.json", append(headers, "If-None-Match", w.Header().Get("ETag"))...)
		require.Equal(t, http.StatusNotModified, again.Code)
		return d.Info.Version
	}
	require.Equal(t, "unknown", version())
	require.Equal(t, "v1", version("Authorization", "Bearer "+g.token(t, "db:db:read")))
	require.Equal(t, http.StatusOK, with(g, http.MethodGet, "/docs").Code)
	for name, status := range map[string]int{
		"viewer.js": http.StatusOK, "LICENSE": http.StatusOK, "NOTICE": http.StatusOK, "swagger-ui-bundle.js.LICENSE.txt": http.StatusOK,
		"index.html": http.StatusNotFound, "README.md": http.StatusNotFound, "none": http.StatusNotFound,
	} {
		require.Equal(t, status, with(g, http.MethodGet, "/docs/"+name).Code, name)
	}
}

// Every kind of problem is one of some route, except for that of other methods, which no operation has.
func TestEveryKindOfProblemIsOfARoute(t *testing.T) {
	t.Parallel()
	g := guard(t, func(o *api.Options) { o.CheckHost, o.TokenRate, o.AddressRate = true, 1000, 1000 })
	documented, err := os.ReadFile("../../docs/problems.md")
	require.NoError(t, err)
	want := []string{}
	for _, heading := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllSubmatch(documented, -1) {
		if kind := string(heading[1]); kind != "method-not-allowed" {
			want = append(want, kind)
		}
	}
	found := make(map[string]bool)
	for _, kind := range regexp.MustCompile(`problems\.md#([a-z-]+)"[],]`).FindAllSubmatch(describe(t, g).text, -1) {
		found[string(kind[1])] = true
	}
	require.ElementsMatch(t, want, slices.Collect(maps.Keys(found)))
}
