package api

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/telegraf-describe/telegraf-describe/internal/openapi"
	"github.com/telegraf-describe/telegraf-describe/internal/static"
)

// Groups of routes in the document.
const (
	tagRecords    = "Records"
	tagPrometheus = "Prometheus"
	tagService    = "Service"
)

// schemas are the schemas of bodies by name.
//
//go:embed schemas.json
var schemas []byte

// exampleAnswers are the answers to the examples in the table of routes, by route and summary. A test compares them with those of
// a service, and writes them anew with -update.
//
//go:embed examples.json
var exampleAnswers []byte

// exampleAnswer is one of exampleAnswers.
type exampleAnswer struct {
	ContentType string `json:"content_type"`
	Body        any    `json:"body"` // a text, unless the content type is JSON
}

// The content types of problems and of other JSON.
const (
	problemType = "application/problem+json"
	jsonType    = "application/json"
)

// document returns the OpenAPI document of the routes, as JSON.
//
// Its routes and parameters are those of s.table; only the schemas of bodies and the answers to the examples are files. The tests
// compare the answers that they get with the document. An error means that one of these files is not valid.
func (s *server) document(version string) ([]byte, error) {
	var examples map[string]map[string]exampleAnswer
	if err := json.Unmarshal(exampleAnswers, &examples); err != nil {
		return nil, err
	}
	// The address is relative, so that it is also right behind a proxy that adds a prefix.
	d := openapi.Document{
		OpenAPI: openapi.Version,
		Info:    openapi.Info{Title: "analytics-api", Version: version, Summary: "Statistics of buckets of time over HTTP", Description: s.introduction()},
		Servers: []openapi.Server{{URL: "."}},
		Tags: []openapi.Tag{
			{Name: tagRecords, Description: "The statistics, and what there is."},
			{Name: tagPrometheus, Description: "Metrics for Prometheus."},
			{Name: tagService, Description: "The service itself."},
		},
		Paths: make(map[string]openapi.Path),
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, schemas); err != nil {
		return nil, err
	}
	d.Components.Schemas = compact.Bytes()
	if s.Tokens != nil {
		d.Components.SecuritySchemes = map[string]openapi.SecurityScheme{tokenScheme: {
			Type: "http", Scheme: "bearer", Description: "A token, made by `analytics-api token create`. The scheme `Token` means the same.",
		}}
	}
	for _, rt := range s.table {
		if !rt.unlisted {
			d.Paths[strings.TrimSuffix(rt.pattern, "{$}")] = openapi.Path{Get: s.operation(rt, examples[rt.docs.id])}
		}
	}
	return json.Marshal(d)
}

// tokenScheme is the name of the way to authenticate in the document.
const tokenScheme = "token"

// introduction describes what is the same for all routes, and the limits of this service.
func (s *server) introduction() string {
	return fmt.Sprintf("The service only reads. Each address answers GET; HEAD, without a body; and OPTIONS, with the methods and without a token. "+
		"A path with a slash at its end is redirected to the one without. An error is a problem of RFC 9457 with a `type` of its own, "+
		"and has the header `X-Request-Id`: the lines of the log about the request have the same id.\n\n"+
		"The limits of this service: an answer has at most %d records, %d buckets and %d bytes, a request reads at most %d records, "+
		"and it is answered within %s, except for a stream.",
		s.MaxRecords, s.MaxBuckets, s.MaxBytes, s.MaxScanned, s.Timeout)
}

// operation describes the requests of a route, given the answers to its examples. HEAD has no description of its own, because its answers
// only lack the body.
func (s *server) operation(rt route, examples map[string]exampleAnswer) *openapi.Operation {
	op := &openapi.Operation{
		ID: rt.docs.id, Tags: []string{rt.docs.tag}, Summary: rt.docs.summary, Description: rt.docs.about, Security: s.security(rt.scope),
		Responses: make(map[string]openapi.Response),
	}
	for _, needs := range op.Security {
		for _, permission := range needs[tokenScheme] {
			op.Description += "\n\nThe token needs the permission `" + permission + "`."
		}
	}
	if strings.Contains(rt.pattern, "{table}") {
		op.Parameters = append(op.Parameters, describe("path", tableParameter()))
	}
	for _, p := range rt.parameters {
		op.Parameters = append(op.Parameters, describe("query", p))
	}
	for _, p := range rt.docs.headers {
		op.Parameters = append(op.Parameters, describe("header", p))
	}
	s.addAnswers(op, rt)
	s.addProblems(op, rt)
	for _, e := range rt.docs.examples {
		op.Samples = append(op.Samples, openapi.Sample{Lang: "HTTP", Label: e.summary, Source: "GET " + e.address})
		if answer, ok := examples[e.summary]; ok {
			addExample(op.Responses[strconv.Itoa(e.wants())], e, answer)
		}
	}
	op.Description += "\n\nExamples:\n"
	for _, e := range rt.docs.examples {
		op.Description += "\n- " + e.summary + ": `" + e.address + "`"
	}
	return op
}

// addExample adds the answer to an example to the description of its status. Examples of one status and content type have the names
// example1, example2 and so on. to.Content is a map, so that the caller sees the change.
func addExample(to openapi.Response, e exampleDoc, answer exampleAnswer) {
	media, _, _ := strings.Cut(answer.ContentType, ";")
	body := to.Content[media]
	if body.Examples == nil {
		body.Examples = make(map[string]openapi.Example)
	}
	body.Examples[fmt.Sprintf("example%d", len(body.Examples)+1)] = openapi.Example{Summary: e.summary, Value: answer.Body}
	to.Content[media] = body
}

// security returns what a request needs. An empty list means that a request needs no token, and an empty list of permissions that
// any token is enough.
func (s *server) security(sc scope) []map[string][]string {
	if s.Tokens == nil || sc.isOpen() {
		return []map[string][]string{}
	}
	permissions := []string{}
	if sc != scopeAny {
		permissions = append(permissions, sc.needs())
	}
	return []map[string][]string{{tokenScheme: permissions}}
}

// describe describes a parameter in a part of the request: "path", "query" or "header". A listed parameter without a preset is
// required, as are those of the path.
func describe(in string, p parameter) openapi.Parameter {
	value := openapi.Schema{Type: "string", Enum: p.choices}
	switch {
	case p.most > 0:
		least := 1
		value.Type, value.Minimum, value.Maximum = "integer", &least, &p.most
	case p.number:
		value.Type = "number"
	}
	if p.preset != "" {
		value.Default = p.preset
	}
	for _, example := range p.examples {
		value.Examples = append(value.Examples, p.example(example))
	}
	about := p.about
	if p.with != "" {
		about += " It needs the parameter `" + p.with + "`."
	}
	if p.repeated {
		item := value
		value = openapi.Schema{Type: "array", Items: &item, MaxItems: maxRepeated}
	}
	return openapi.Parameter{Name: p.name, In: in, Description: about, Required: in == "path" || p.listed && p.preset == "", Schema: value}
}

// example returns an example of a value, as JSON has it.
func (p parameter) example(text string) any {
	if p.most > 0 || p.number {
		return json.Number(text)
	}
	return text
}

// addAnswers adds the answers with the status 200 or 304. Conditional routes also get the header If-None-Match of the request and
// the ETag of the answer, and those with pages its header Link.
func (s *server) addAnswers(op *openapi.Operation, rt route) {
	ok := openapi.Response{Content: make(map[string]openapi.MediaType)}
	answers := rt.docs.answers
	if rt.html != nil {
		answers = append(slices.Clone(answers), answerDoc{contentType: "text/html", about: "The page, for requests that prefer HTML. It needs no token."})
	}
	for _, a := range answers {
		schema := openapi.Schema{Type: "string"}
		if a.schema != "" {
			schema = openapi.Schema{Ref: schemaPath + a.schema}
		}
		ok.Content[a.contentType] = openapi.MediaType{Schema: schema}
		if len(answers) > 1 {
			ok.Description += "- `" + a.contentType + "`: "
		}
		ok.Description += a.about + "\n"
	}
	ok.Description = strings.TrimSpace(ok.Description)
	if rt.docs.conditional {
		etag := map[string]openapi.Header{"ETag": {Description: "Identifies the answer, for `If-None-Match`.", Schema: openapi.Schema{Type: "string"}}}
		ok.Headers = maps.Clone(etag)
		if slices.ContainsFunc(rt.parameters, func(p parameter) bool { return p.name == "cursor" }) {
			ok.Headers["Link"] = openapi.Header{
				Description: "Has the address of the next page, with `rel=\"next\"`, if the answer is a page and there are more records.",
				Schema:      openapi.Schema{Type: "string"},
			}
		}
		op.Parameters = append(op.Parameters, describe("header", parameter{
			name: "If-None-Match", examples: []string{`"12-a0b1c2d3e4f5a6b7"`}, about: "The `ETag` of the answer that the client has.",
		}))
		op.Responses[strconv.Itoa(http.StatusNotModified)] = openapi.Response{Description: "The client has the answer with this `ETag`.", Headers: etag}
	}
	op.Responses[strconv.Itoa(http.StatusOK)] = ok
}

// schemaPath is the path of the schemas in the document.
const schemaPath = "#/components/schemas/"

// addProblems adds the problems of a route by their status. Several kinds can have one status: then the description has all of
// them, and the schema allows the type of each.
func (s *server) addProblems(op *openapi.Operation, rt route) {
	types := make(map[int][]string)
	for _, k := range s.problems(rt) {
		kind := problemKinds[k]
		types[kind.status] = append(types[kind.status], problemTypes+kind.name)
		status := strconv.Itoa(kind.status)
		response := op.Responses[status]
		if response.Description != "" {
			response.Description += "\n\n"
		}
		response.Description += "**" + kind.title + "**: " + kind.about
		response.Content = map[string]openapi.MediaType{problemType: {Schema: openapi.Schema{AllOf: []openapi.Schema{
			{Ref: schemaPath + "Problem"}, {Properties: map[string]openapi.Schema{"type": {Enum: types[kind.status]}}},
		}}}}
		response.Headers = problemHeaders(kind.status)
		op.Responses[status] = response
	}
}

// problemHeaders describe the headers of a problem. Most have none.
func problemHeaders(status int) map[string]openapi.Header {
	header := func(name, kind, about string) map[string]openapi.Header {
		return map[string]openapi.Header{name: {Description: about, Schema: openapi.Schema{Type: kind}}}
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return header("Retry-After", "integer", "After how many seconds the request may succeed.")
	case http.StatusUnauthorized:
		return header("WWW-Authenticate", "string", "How to send a token.")
	}
	return nil
}

// documents are the OpenAPI documents of a service, which are made when they are needed first.
type documents struct {
	full func() static.Files
	open func() static.Files // without the version of the program
}

// documentName is the name of the file in documents.
const documentName = "openapi.json"

// newDocuments returns the documents of a server with its table of routes. The documents are made by the first request for them,
// and then kept.
func newDocuments(s *server) documents {
	of := func(version string) func() static.Files {
		return sync.OnceValue(func() static.Files {
			text, err := s.document(version)
			if err != nil {
				panic(err) // a file of this package is not valid
			}
			return static.Of(documentName, append(text, '\n'))
		})
	}
	return documents{full: of(cmp.Or(s.Version, hiddenVersion)), open: of(hiddenVersion)}
}

// hiddenVersion is the version in documents that do not have that of the program.
const hiddenVersion = "unknown"

// openAPI answers with the document. It needs no token, because it has nothing of the data, and a page that shows it cannot
// send one. Without a valid token, where tokens are needed, it does not have the version of the program.
func (s *server) openAPI(w http.ResponseWriter, r *http.Request, p *params) error {
	document := s.documents.full
	if s.Tokens != nil && p.grant.ID() == "" {
		document = s.documents.open
	}
	document().Serve(w, r, documentName)
	return nil
}

// viewer answers with a file of the page that shows the document.
func (s *server) viewer(w http.ResponseWriter, r *http.Request, _ *params) error {
	if !viewer().ServeFile(w, r, r.PathValue("file")) {
		return errNoRoute
	}
	return nil
}

// viewer has the files of the page. Each process makes it once.
var viewer = sync.OnceValue(openapi.NewViewer)
