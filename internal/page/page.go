// Package page is the page at "/" of analytics-api: HTML, a style sheet and ES modules, without a build step. Its files are
// embedded and have no data. The page reads the data from the routes of the API, relative to its own address, and requests
// nothing else.
package page

import (
	"embed"
	"net/http"

	"github.com/telegraf-describe/telegraf-describe/internal/static"
)

// The folder uplot has the library uPlot, with its licence.
//
//go:embed static uplot/*.js uplot/*.css
var embedded embed.FS

// policy is the Content-Security-Policy of the page. Text that becomes HTML is an error in the browser, so that no name of the data can
// become an element.
const policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// index is the file of the page itself.
const index = "index.html"

// Page serves the files of the page. It is safe for concurrent use.
type Page struct{ files static.Files }

// New returns the page. Each file is compressed when it is first requested.
func New() *Page {
	files, err := static.New(embedded)
	if err != nil {
		panic(err) // the files are in the program
	}
	return &Page{files}
}

// ServeFile answers a GET or HEAD request with a file. The empty name is the page itself. It returns false, and has written
// nothing, if there is no such file.
func (p *Page) ServeFile(w http.ResponseWriter, r *http.Request, name string) bool {
	switch name {
	case index: // its addresses are relative to that of the page
		return false
	case "":
		w.Header().Set("Content-Security-Policy", policy)
		name = index
	}
	return p.files.Serve(w, r, name)
}
