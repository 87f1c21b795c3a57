package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// This test is inside of the package because it leaves a page before it has loaded, in contrast to Open.

// A tab is left while Chromium still replaces its page by a blank one.
func TestTheHistoryIsEmptiedAfterTheNextPageHasTakenOver(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>t</title><link rel=icon href=data:,>"))
	}))
	t.Cleanup(s.Close)
	tab := Start(t).Tab(t)
	tab.Open(s.URL)
	command(tab, page.Navigate, page.NavigateParams{URL: "about:blank"}) // in contrast to Open, it does not wait for the page
	tab.forget()                                                         // Chromium mostly refuses it at first
	history, err := chromedp.Call(tab.ctx, page.GetNavigationHistory, cdp.Empty{})
	require.NoError(t, err)
	require.Len(t, history.Entries, 1)
	require.Equal(t, "about:blank", history.Entries[0].URL)
}
