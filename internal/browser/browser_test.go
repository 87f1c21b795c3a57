package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/browser"
)

// A tab that misses what a page does would make the tests of pages worthless.
func TestATabSeesWhatAPageDoes(t *testing.T) {
	b := browser.Start(t)
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for name, test := range map[string]struct {
		body       string
		complaints int
		elsewhere  bool
	}{
		"nothing":   {"<p>fine", 0, false},
		"inline":    {"<script>1</script>", 1, false},
		"exception": {`<script src="throw.js"></script>`, 1, false},
		"console":   {`<script src="error.js"></script>`, 1, false},
		"elsewhere": {`<a href="` + other.URL + `">`, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Security-Policy", "default-src 'self'; connect-src *")
				switch r.URL.Path {
				case "/":
					w.Header().Set("Content-Type", "text/html")
					_, _ = w.Write([]byte("<!doctype html><title>t</title><link rel=icon href=/icon>" + test.body))
				case "/throw.js":
					w.Header().Set("Content-Type", "text/javascript")
					_, _ = w.Write([]byte("throw new Error('thrown')"))
				case "/error.js":
					w.Header().Set("Content-Type", "text/javascript")
					_, _ = w.Write([]byte("console.error('an error')"))
				}
			}))
			t.Cleanup(s.Close)
			tab := b.Tab(t)
			tab.Open(s.URL + "/")
			tab.Until("document.readyState === 'complete'")
			if test.elsewhere {
				require.True(t, browser.Eval[bool](tab, "fetch(document.querySelector('a').href, { mode: 'no-cors' }).then(() => true)"))
			}
			require.Len(t, tab.Complaints(), test.complaints)
			requests := fmt.Sprint(tab.Requests())
			require.Contains(t, requests, s.URL)
			if test.elsewhere {
				require.Contains(t, requests, other.URL)
			}
		})
	}
}
