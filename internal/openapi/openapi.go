// Package openapi has the parts of an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html) that describe an API
// which only reads, as Go types, and the page that shows the document. Texts named Description are Markdown.
package openapi

import "encoding/json"

// Version is the value of [Document.OpenAPI].
const Version = "3.1.1"

// Document is a whole document. The types have the names of the specification, and their fields are its members.
type Document struct {
	OpenAPI    string          `json:"openapi"`
	Info       Info            `json:"info"`
	Servers    []Server        `json:"servers"`
	Tags       []Tag           `json:"tags"`
	Paths      map[string]Path `json:"paths"`
	Components Components      `json:"components"`
}

// Info describes the API.
type Info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
}

// Server is the address of the API. A relative address belongs to that of the document.
type Server struct {
	URL string `json:"url"`
}

// Tag is a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Path has the operations of a path.
type Path struct {
	Get *Operation `json:"get"`
}

// Operation describes the requests of one method.
type Operation struct {
	ID          string              `json:"operationId"`
	Tags        []string            `json:"tags"`
	Summary     string              `json:"summary"`
	Description string              `json:"description"`
	Parameters  []Parameter         `json:"parameters,omitempty"`
	Responses   map[string]Response `json:"responses"` // by status
	// Security lists what a request needs; an empty list means nothing. It is not nil: the specification has no null here.
	Security []map[string][]string `json:"security"`
	// Samples are requests, in the form that several viewers show.
	Samples []Sample `json:"x-codeSamples,omitempty"`
}

// Parameter is a parameter in a "query", "path" or "header".
type Parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
	Required    bool   `json:"required,omitempty"`
	Schema      Schema `json:"schema"`
}

// Schema describes a value by JSON Schema 2020-12. Members with their zero value are left out of the document.
type Schema struct {
	Type     string   `json:"type,omitempty"`
	Items    *Schema  `json:"items,omitempty"`
	MaxItems int      `json:"maxItems,omitempty"`
	Minimum  *int     `json:"minimum,omitempty"`
	Maximum  *int     `json:"maximum,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Default  any      `json:"default,omitempty"`
	Examples []any    `json:"examples,omitempty"`
	Ref      string   `json:"$ref,omitempty"`
	AllOf    []Schema `json:"allOf,omitempty"`

	Properties map[string]Schema `json:"properties,omitempty"`
}

// Response describes the answers with one status.
type Response struct {
	Description string               `json:"description"`
	Headers     map[string]Header    `json:"headers,omitempty"`
	Content     map[string]MediaType `json:"content,omitempty"` // by content type
}

// Header describes a header of an answer.
type Header struct {
	Description string `json:"description"`
	Schema      Schema `json:"schema"`
}

// MediaType describes a body.
type MediaType struct {
	Schema   Schema             `json:"schema"`
	Examples map[string]Example `json:"examples,omitempty"`
}

// Example is a body.
type Example struct {
	Summary string `json:"summary"`
	Value   any    `json:"value"`
}

// Sample is the text of a request.
type Sample struct {
	Lang   string `json:"lang"`
	Label  string `json:"label"`
	Source string `json:"source"`
}

// Components are the parts that others refer to.
type Components struct {
	// Schemas has a schema of JSON Schema 2020-12 by name.
	Schemas         json.RawMessage           `json:"schemas"`
	SecuritySchemes map[string]SecurityScheme `json:"securitySchemes,omitempty"`
}

// SecurityScheme describes how a request is authenticated.
type SecurityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme"`
	Description string `json:"description"`
}
