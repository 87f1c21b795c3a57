package browser_test

import (
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/browser"
)

func TestTab(t *testing.T) {
	b := browser.Start(t)
	for name, test := range map[string]func(*testing.T, *browser.Browser){
		"sees what a page does":              sees,
		"has nothing of the test before":     again,
		"writes a picture of its whole size": picture,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// A tab that misses what a page does would make the tests of pages worthless.
func sees(t *testing.T, b *browser.Browser) {
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

// A test gets the tab of another one. What that has set, stored or seen would change the result.
func again(t *testing.T, b *browser.Browser) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>t</title><link rel=icon href=data:,><p>text"))
	}))
	t.Cleanup(s.Close)
	const now = `[window.set, document.cookie, localStorage.item, sessionStorage.item, matchMedia("(prefers-color-scheme: dark)").matches,
		innerWidth, history.length].map(String)`
	untouched := []string{"undefined", "", "undefined", "undefined", "false", "1440"}
	var first []string // the length of the history depends on Chromium
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			tab := b.Tab(t)
			require.Empty(t, tab.Requests())
			require.Empty(t, tab.Complaints())
			require.Equal(t, "about:blank", browser.Eval[string](tab, "location.href"))
			tab.Open(s.URL + "/" + name)
			got := browser.Eval[[]string](tab, now)
			require.Equal(t, untouched, got[:len(untouched)])
			if name == "first" {
				first = got
			}
			require.Equal(t, first, got)
			tab.Clean(s.URL)

			tab.Size(500, 400)
			tab.Dark()
			tab.Script("window.set = 1")
			tab.Open(s.URL + "/" + name)
			browser.Eval[bool](tab, "document.cookie = 'a=b', localStorage.item = sessionStorage.item = 1, console.error('an error'), true")
			require.Equal(t, []string{"1", "a=b", "1", "1", "true", "500"}, browser.Eval[[]string](tab, now)[:len(untouched)])
			require.Len(t, tab.Complaints(), 1)
		})
	}
}

func picture(t *testing.T, b *browser.Browser) {
	folder := t.TempDir()
	t.Setenv("SCREENSHOTS", folder)
	tab := b.Tab(t)
	tab.Size(320, 240)
	tab.Screenshot("blank")
	file, err := os.Open(filepath.Join(folder, "blank.png"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	size, err := png.DecodeConfig(file)
	require.NoError(t, err)
	require.Equal(t, [2]int{320, 240}, [2]int{size.Width, size.Height})
}
