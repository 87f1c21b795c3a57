package page_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/page"
)

// serve returns the answer for a file.
func serve(t *testing.T, p *page.Page, name string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	require.True(t, p.ServeFile(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody), name), name)
	return w
}

// sources returns the contents of the files by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, folder := range []string{"static", "uplot"} {
		require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
			require.NoError(t, err)
			if ext := filepath.Ext(name); !entry.IsDir() && ext != ".md" && ext != "" {
				b, err := os.ReadFile(filepath.Join(folder, name))
				require.NoError(t, err)
				all[name] = string(b)
			}
			return nil
		}))
	}
	return all
}

func TestFilesAreServed(t *testing.T) {
	t.Parallel()
	p := page.New()
	for name, want := range sources(t) {
		if name == "index.html" {
			name = ""
		}
		w := serve(t, p, name)
		require.Equal(t, want, w.Body.String(), name)
		require.Equal(t, name == "", strings.Contains(w.Header().Get("Content-Security-Policy"), "require-trusted-types-for 'script'"), name)
	}
	for _, name := range []string{"index.html", "LICENSE", "README.md", "static/app.js"} {
		require.False(t, p.ServeFile(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody), name), name)
	}
}

// A browser that finds the addresses of all modules in the page loads them at the same time.
func TestThePageNamesItsFilesAndNoOthers(t *testing.T) {
	t.Parallel()
	all := sources(t)
	named := regexp.MustCompile(`(?:src|href)="([^"#]*)"`).FindAllStringSubmatch(all["index.html"], -1)
	names := []string{"index.html"}
	for _, match := range named {
		if match[1] == "docs" { // another page of the service
			continue
		}
		name, own := strings.CutPrefix(match[1], "page/")
		require.True(t, own, match[1])
		require.Contains(t, all, name)
		names = append(names, name)
	}
	for name := range all {
		require.True(t, slices.Contains(names, name), "the page does not name %s", name)
	}
}

// The Content-Security-Policy refuses these, in most cases without a test noticing.
func TestThePageHasNoInlineCodeAndNoHTMLFromText(t *testing.T) {
	t.Parallel()
	for name, source := range sources(t) {
		if strings.HasPrefix(name, "uPlot") {
			continue
		}
		var found []string
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "javascript:", "srcdoc", "DOMParser", "<style", " style=", "https://", "//cdn"} {
			if strings.Contains(source, bad) {
				found = append(found, bad)
			}
		}
		require.Empty(t, found, name)
		require.False(t, regexp.MustCompile(`\son[a-z]+="`).MatchString(source), name)
	}
}

func TestTheLibraryHasItsLicence(t *testing.T) {
	t.Parallel()
	licence, err := os.ReadFile("uplot/LICENSE")
	require.NoError(t, err)
	require.Contains(t, string(licence), "MIT License")
	readme, err := os.ReadFile("uplot/README.md")
	require.NoError(t, err)
	version := regexp.MustCompile(`uPlot ([0-9.]+),`).FindStringSubmatch(string(readme))
	require.Len(t, version, 2)
	require.Contains(t, sources(t)["uPlot.iife.min.js"], "(v"+version[1]+")")
}
