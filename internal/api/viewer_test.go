package api_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	chromium "github.com/telegraf-describe/telegraf-describe/internal/browser"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// The viewer shows every operation, in a browser that applies its Content-Security-Policy. Below a path of a proxy, and with
// a token that is typed into it, it sends requests.
func TestTheViewerShowsTheDocumentAndSendsRequests(t *testing.T) {
	t.Parallel()
	b := chromium.Start(t)
	tokens := &guarded{file: filepath.Join(t.TempDir(), "tokens")}
	text := tokens.token(t, "db:mydb:read")
	s := sample(t, func(o *api.Options) {
		store, err := token.Open(tokens.file, o.Now, nil)
		require.NoError(t, err)
		o.Tokens = store
	})
	server := httptest.NewServer(http.StripPrefix("/stats", s))
	t.Cleanup(server.Close)
	tab := b.Tab(t)
	tab.Open(server.URL + "/stats/docs")
	tab.Until(`document.querySelectorAll('.opblock').length > 0`)
	operations := chromium.Eval[[]string](tab, `[...document.querySelectorAll('.opblock-summary-path')].map(e => e.dataset.path)`)
	require.ElementsMatch(t, []string{
		"/", "/analytics", "/analytics/{table}", "/analytics/{table}/stream", "/databases", "/docs", "/health", "/metrics", "/metrics/analytics", "/openapi.json", "/ready",
	}, operations)
	tab.Screenshot("docs")

	click(tab, ".btn.authorize")
	enter(tab, ".auth-container input", text)
	click(tab, ".auth-btn-wrapper .authorize")
	click(tab, ".auth-btn-wrapper .btn-done")

	const operation = "#operations-Records-tables "
	click(tab, operation+".opblock-summary-control")
	click(tab, operation+".try-out__btn")
	tab.Until(`document.querySelector('` + operation + `input')`)
	require.Empty(t, chromium.Eval[string](tab, `document.querySelector('`+operation+`input').value`), "examples do not become values")
	enter(tab, operation+"input", "mydb")
	click(tab, operation+".execute")
	tab.Until(`document.querySelector('` + operation + `.live-responses-table')?.innerText.includes('"usage_idle"')`)
	require.Contains(t, tab.Requests(), server.URL+"/stats/analytics?database=mydb")
	tab.Screenshot("docs-request")

	click(tab, "#operations-Records-records .opblock-summary-control")
	tab.Until(`document.querySelector('#operations-Records-records .parameters')`)
	chromium.Eval[any](tab, `document.querySelector('#operations-Records-records').scrollIntoView()`)
	tab.Screenshot("docs-records")
	tab.Dark()
	tab.Until(`document.documentElement.classList.contains('dark-mode')`)
	tab.Screenshot("docs-dark")
	tab.Clean(server.URL)
}

// click waits for an element and clicks on it.
func click(tab *chromium.Tab, selector string) {
	tab.Until(`document.querySelector('` + selector + `')`)
	chromium.Eval[any](tab, `document.querySelector('`+selector+`').click()`)
}

// enter writes a text into an input of React, which ignores a value that is only set.
func enter(tab *chromium.Tab, selector, text string) {
	tab.Until(`document.querySelector('` + selector + `')`)
	chromium.Eval[any](tab, `{ const e = document.querySelector('`+selector+`')
		Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(e, '`+text+`')
		e.dispatchEvent(new Event('input', { bubbles: true }))
		e.dispatchEvent(new Event('focusout', { bubbles: true })) }`)
}
