package openapi

import (
	"embed"
	"net/http"

	"github.com/telegraf-describe/telegraf-describe/internal/static"
)

// The files of the viewer, with the licences of Swagger UI, whose other files are compressed.
//
//go:embed viewer/*.gz viewer/*.html viewer/*.css viewer/*.js viewer/*.txt viewer/LICENSE viewer/NOTICE
var embedded embed.FS

// policy is the Content-Security-Policy of the viewer. Its icons are in its style sheet.
const policy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"

// index is the file of the page itself.
const index = "index.html"

// Viewer is a page that shows the document at the address openapi.json, relative to its own address /docs, and sends
// requests. Its files are at /docs/{name}. It is safe for concurrent use.
type Viewer struct{ files static.Files }

// NewViewer returns the viewer. It reads all files, so it is called once.
func NewViewer() *Viewer {
	files, err := static.New(embedded)
	if err != nil {
		panic(err) // the files are in the program
	}
	return &Viewer{files}
}

// ServeFile answers a GET or HEAD request with a file. The empty name is the page itself. It returns false, and has written
// nothing, if there is no such file.
func (v *Viewer) ServeFile(w http.ResponseWriter, r *http.Request, name string) bool {
	switch name {
	case "":
		w.Header().Set("Content-Security-Policy", policy)
		return v.files.Serve(w, r, index)
	case index: // its addresses are relative to those of the page
		return false
	}
	return v.files.Serve(w, r, name)
}
