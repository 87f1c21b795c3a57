package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	chromium "github.com/telegraf-describe/telegraf-describe/internal/browser"
)

// The viewer shows every operation and sends requests, in a browser that applies its Content-Security-Policy, also below a
// path of a proxy.
func TestTheViewerShowsTheDocumentAndSendsRequests(t *testing.T) {
	t.Parallel()
	b := chromium.Start(t)
	s := sample(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/", s)
	mux.Handle("/stats/", http.StripPrefix("/stats", s))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for _, prefix := range []string{"", "/stats"} {
		tab := b.Tab(t)
		tab.Open(server.URL + prefix + "/docs")
		tab.Until(`document.querySelectorAll('.opblock').length > 0`)
		operations := chromium.Eval[[]string](tab, `[...document.querySelectorAll('.opblock-summary-path')].map(e => e.dataset.path)`)
		require.ElementsMatch(t, []string{
			"/", "/analytics", "/analytics/{table}", "/analytics/{table}/stream", "/databases", "/docs", "/health", "/metrics", "/metrics/analytics", "/openapi.json", "/ready",
		}, operations)
		tab.Screenshot("docs")

		if prefix != "" {
			sendsRequests(t, tab, server.URL+prefix)
		}
		tab.Clean(server.URL)
	}
}

// sendsRequests fails the test unless the viewer below an address sends a request for tables.
func sendsRequests(t *testing.T, tab *chromium.Tab, address string) {
	t.Helper()
	click := func(selector string) {
		tab.Until(`document.querySelector('` + selector + `')`)
		chromium.Eval[any](tab, `document.querySelector('`+selector+`').click()`)
	}
	click("#operations-Records-tables .opblock-summary-control")
	click("#operations-Records-tables .try-out__btn")
	const input = `document.querySelector('#operations-Records-tables input[placeholder="database"]')`
	tab.Until(input)
	require.Empty(t, chromium.Eval[string](tab, input+`.value`), "examples do not become values")
	chromium.Eval[any](tab, `{ const e = `+input+`
		Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(e, 'mydb')
		e.dispatchEvent(new Event('input', { bubbles: true }))
		e.dispatchEvent(new Event('focusout', { bubbles: true })) }`)
	click("#operations-Records-tables .execute")
	tab.Until(`document.querySelector('#operations-Records-tables .live-responses-table')?.innerText.includes('"usage_idle"')`)
	require.Contains(t, tab.Requests(), address+"/analytics?database=mydb")
	tab.Screenshot("docs-request")

	click("#operations-Records-records .opblock-summary-control")
	tab.Until(`document.querySelector('#operations-Records-records .parameters')`)
	chromium.Eval[any](tab, `document.querySelector('#operations-Records-records').scrollIntoView()`)
	tab.Screenshot("docs-records")
}
