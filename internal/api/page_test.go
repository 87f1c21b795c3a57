package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
)

// browser is the header Accept that browsers send for a page.
const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// files is a page whose files contain their name.
type files struct{}

func (files) ServeFile(w http.ResponseWriter, _ *http.Request, name string) bool {
	if name == "missing" {
		return false
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("file " + name))
	return true
}

func withPage(o *api.Options) { o.Page = files{} }

func TestBrowsersGetThePageAndOtherClientsTheIndex(t *testing.T) {
	t.Parallel()
	s := withRedis(t, withPage)
	for accept, page := range map[string]bool{
		browser: true, "text/html": true, "text/*, application/json;q=0.9": true,
		"": false, "*/*": false, "application/json": false, "text/html, application/json": false, "text/html;q=0.5, */*": false, "text/html;q=0": false,
	} {
		w := with(s, http.MethodGet, "/", "Accept", accept)
		require.Equal(t, http.StatusOK, w.Code, accept)
		require.Equal(t, page, w.Body.String() == "file ", "%s: %s", accept, w.Body)
		require.Equal(t, "Accept", w.Header().Get("Vary"), accept)
	}
	require.JSONEq(t, withRedis(t, nil).get(t, "/").Body.String(), s.get(t, "/").Body.String(), "the index does not list the files of the page")
}

func TestFilesOfThePage(t *testing.T) {
	t.Parallel()
	s := withRedis(t, withPage)
	require.Equal(t, "file app.js", s.get(t, "/page/app.js").Body.String())
	for _, path := range []string{"/page/missing", "/page", "/page/", "/page/a/b"} {
		problemOf(t, s.get(t, path), http.StatusNotFound)
	}
	problemOf(t, withRedis(t, nil).get(t, "/page/app.js"), http.StatusNotFound)
	problemOf(t, with(s, http.MethodPost, "/page/app.js"), http.StatusMethodNotAllowed)
}

// A browser shows the page before it can send a token. It loads all files of the page at once, so that they have no limit.
func TestThePageNeedsNoToken(t *testing.T) {
	t.Parallel()
	g := guard(t, withPage)
	require.Equal(t, "file ", with(g, http.MethodGet, "/", "Accept", browser).Body.String())
	require.Equal(t, "file app.js", g.get(t, "/page/app.js").Body.String())
	problemOf(t, g.get(t, "/"), http.StatusUnauthorized)

	g = guard(t, func(o *api.Options) { withPage(o); o.AddressRate = 1 })
	require.Equal(t, "file ", with(g, http.MethodGet, "/", "Accept", browser).Body.String())
	for range 5 {
		require.Equal(t, http.StatusOK, g.get(t, "/page/app.js").Code)
	}
	problemOf(t, with(g, http.MethodGet, "/", "Accept", browser), http.StatusTooManyRequests)
}
