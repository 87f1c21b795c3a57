package page_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/browser"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// open opens the page at an address and waits until it shows records.
func open(t *testing.T, b *browser.Browser, address string) *browser.Tab {
	t.Helper()
	tab := b.Tab(t)
	show(tab, address)
	return tab
}

// show opens the page at an address in a tab, and waits until it shows records.
func show(tab *browser.Tab, address string) {
	tab.Open(address)
	tab.Until(ready)
}

// showAnew shows the page at an address as a new tab does: without what the page has stored.
func showAnew(tab *browser.Tab, address string) {
	browser.Eval[bool](tab, "localStorage.clear(), sessionStorage.clear(), true")
	show(tab, address)
}

// text returns the text of the first element of a selector.
func textOf(tab *browser.Tab, selector string) string {
	return browser.Eval[string](tab, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// cells returns the texts of a column of the table, which begins with 1.
func cells(tab *browser.Tab, column int) []string {
	return browser.Eval[[]string](tab, fmt.Sprintf("[...document.querySelectorAll('#table tbody tr > :nth-child(%d)')].map((e) => e.textContent)", column))
}

// wantCells waits until a column of the table, which begins with 1, has these texts.
func wantCells(tab *browser.Tab, column int, want ...string) {
	tab.Until(fmt.Sprintf("[...document.querySelectorAll('#table tbody tr > :nth-child(%d)')].map((e) => e.textContent).join() === %q", column, strings.Join(want, ",")))
}

// state returns the parameters of the page's address.
func state(t *testing.T, tab *browser.Tab) url.Values {
	t.Helper()
	v, err := url.ParseQuery(strings.TrimPrefix(browser.Eval[string](tab, "location.search"), "?"))
	require.NoError(t, err)
	return v
}

// choose types a choice into a field and takes it with Enter.
func choose(tab *browser.Tab, id, choice string) {
	tab.Click("#" + id)
	tab.Press(strings.Split(choice, "")...)
	tab.Press(kb.Enter)
}

// ago returns the start of the bucket that is n buckets before the newest one.
func (s *service) ago(n int) time.Time { return s.newest.Add(-time.Duration(n) * width) }

// other returns the record as one of another table.
func other(r record.Record, table string) record.Record {
	r.Table = table
	return r
}

func choices(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(40, "api", "web")...)
	for i := range 10 {
		s.put(t, other(rec(s.ago(i), "idle", true, []string{"cpu", "cpu0"}, 1, 2, 3), "analytics_cpu"), other(rec(s.ago(i), "user", true, []string{"cpu", "cpu0"}, 5, 6), "analytics_cpu"))
	}
	tab := open(t, b, s.address("table", "latency"))
	require.Equal(t, "seconds", state(t, tab).Get("field"), "the page chooses what is open")
	choose(tab, "table-name", "cpu")
	tab.Until("location.search.includes('field=idle')")
	choose(tab, "field", "user")
	tab.Until("document.querySelector('h1').textContent === 'cpu user' && " + ready)
	require.Equal(t, "6", cells(tab, 8)[0], "max of the newest bucket")
	tab.Click("#csv") // a link, not a change of the state

	choose(tab, "table-name", "latency")
	tab.Until("document.querySelector('h1').textContent === 'latency seconds' && " + ready)
	choose(tab, "tag", "service=web")
	tab.Until("document.querySelectorAll('.chart').length === 1 && " + ready)
	browser.Eval[bool](tab, "document.querySelector('#range').value = '6h', document.querySelector('#range').dispatchEvent(new Event('change'))")
	tab.Until("location.search.includes('range=6h') && document.querySelector('#view').innerText.includes('buckets of 30 s') && " + ready)
	tab.Click("#table thead th:nth-child(3) button")
	tab.Until("location.search.includes('sort=-count')")
	want := state(t, tab)
	for name, value := range map[string]string{"db": "db", "table": "latency", "field": "seconds", "tag": "service=web", "range": "6h", "sort": "-count"} {
		require.Equal(t, value, want.Get(name), name)
	}
	require.NotEmpty(t, want.Get("tz"))

	address := browser.Eval[string](tab, "location.href")
	charts := browser.Eval[int](tab, "document.querySelectorAll('.chart').length")

	browser.Eval[bool](tab, "history.back(), true")
	tab.Until("document.querySelector('.chip') && document.querySelector('#range').value !== '6h' && " + ready)
	tab.Click(".chip")
	tab.Until("document.querySelectorAll('.chart').length === 2")

	showAnew(tab, address) // which has the whole state
	require.Equal(t, want, state(t, tab))
	require.Equal(t, "service=web×", textOf(tab, ".chip"))
	require.Equal(t, "6h", browser.Eval[string](tab, "document.querySelector('#range').value"))
	require.Equal(t, "descending", browser.Eval[string](tab, "document.querySelector('#table thead th:nth-child(3)').ariaSort"))
	require.Equal(t, charts, browser.Eval[int](tab, "document.querySelectorAll('.chart').length"))
	tab.Clean(s.URL)
}

func typing(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	for i := range 300 {
		s.put(t, rec(s.ago(1), fmt.Sprintf("field %03d", i), true, nil, 1, 2))
	}
	tab := open(t, b, s.address("table", "latency", "field", "field 007"))
	shown := "[...document.querySelectorAll('#field ~ ul [role=option]')].map((e) => e.textContent)"
	tab.Click("#field")
	require.Len(t, browser.Eval[[]string](tab, shown), 200)
	require.Contains(t, textOf(tab, "#field ~ ul"), "100 more")
	require.Equal(t, "true", browser.Eval[string](tab, "document.querySelector('#field').ariaExpanded"))
	tab.Press("D", " ", "1", "2")
	require.Equal(t, []string{"field 120", "field 121", "field 122", "field 123", "field 124", "field 125", "field 126", "field 127", "field 128", "field 129"}, browser.Eval[[]string](tab, shown))
	tab.Press(kb.ArrowDown, kb.ArrowDown)
	active := "document.getElementById(document.querySelector('#field').getAttribute('aria-activedescendant')).textContent"
	require.Equal(t, "field 122", browser.Eval[string](tab, active))
	tab.Press(kb.Escape)
	require.Equal(t, "field 007", browser.Eval[string](tab, "document.querySelector('#field').value"), "Escape chooses nothing")
	tab.Click("#field")
	tab.Press("n", "o", "n", "e")
	require.Equal(t, "No match", textOf(tab, "#field ~ ul"))
	tab.Press(kb.Enter, kb.Escape)
	tab.Click("#field")
	tab.Press("2", "9", "9", kb.Enter)
	tab.Until("document.querySelector('h1').textContent === 'latency field 299'")
	tab.Clean(s.URL)
}

func distributions(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(i + 1)
	}
	s.put(t, rec(s.ago(3), "seconds", true, []string{"host", "a"}, values...), rec(s.ago(3), "seconds", true, []string{"host", "b"}, 1, 2),
		rec(s.ago(2), "seconds", true, []string{"host", "a"}, 7, 7, 7), rec(s.ago(1), "seconds", true, []string{"host", "a"}, 5))
	// A range up to now would move on between a look at the chart and the click.
	from, to := s.ago(80), s.ago(-10)
	tab := open(t, b, s.address("tag", "host=a", "from", from.UTC().Format(time.RFC3339), "to", to.UTC().Format(time.RFC3339)))
	// A click on the chart at the place of the bucket.
	share := float64(s.ago(3).Sub(from)) / float64(to.Sub(from))
	at := browser.Eval[[]float64](tab, fmt.Sprintf(`(() => {
		const over = document.querySelector(".u-over").getBoundingClientRect();
		return [over.left + %v * over.width, over.top + 40];
	})()`, share))
	tab.ClickAt(at[0], at[1])
	tab.Until("document.querySelector('#distribution svg')")
	require.Contains(t, textOf(tab, "#distribution"), "100 values in 20 parts of equal width")
	require.Equal(t, []float64{5, 5, 5}, browser.Eval[[]float64](tab, `[...document.querySelectorAll("#distribution title")].slice(0, 3).map((e) => parseFloat(e.textContent.match(/: ([\d.]+) %/)[1]))`))
	require.Contains(t, textOf(tab, "#distribution dl"), "median50.5")
	require.Contains(t, textOf(tab, "#distribution dl"), "p7575.25")
	require.Equal(t, "host=a", state(t, tab).Get("of"))
	before := textOf(tab, "#distribution")
	showAnew(tab, browser.Eval[string](tab, "location.href"))
	tab.Until("document.querySelector('#distribution svg')")
	require.Equal(t, before, textOf(tab, "#distribution"))

	browser.Eval[bool](tab, "document.querySelector('#table tbody tr:nth-child(2) button').click(), true")
	tab.Until("document.querySelector('#distribution').textContent.includes('All 3 values are 7.')")
	browser.Eval[bool](tab, "document.querySelector('#table tbody tr:nth-child(1) button').click(), true")
	tab.Until("document.querySelector('#distribution').textContent.includes('The only value is 5.')")
	tab.Press(kb.Escape)
	tab.Until("document.querySelector('#distribution').hidden")
	require.Empty(t, state(t, tab).Get("at"))

	tail := make([]float64, 200)
	for i := range tail {
		tail[i] = 1 + float64(i%40)/100
	}
	tail[0] = 1000
	show(tab, s.address("tag", "host=a", "range", "15m"))
	s.put(t, rec(s.ago(0), "seconds", true, []string{"host", "a"}, tail...))
	tab.Until("document.querySelector('#table tbody tr').textContent.includes('1,000')")
	browser.Eval[bool](tab, "document.querySelector('#table tbody tr button').click(), true")
	tab.Until("document.querySelector('#distribution').textContent.includes('200 values in 29 parts of equal ratio')")
	tab.Clean(s.URL)
}

const isLive = "document.querySelector('#live').dataset.state === 'live'"

func live(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, rec(s.ago(3), "seconds", true, []string{"host", "a"}, 1, 2), rec(s.ago(2), "seconds", false, []string{"host", "a"}, 1, 2))
	tab := open(t, b, s.address())
	tab.Until(isLive)
	require.Equal(t, []string{"open", "final"}, cells(tab, 2))
	s.put(t, rec(s.ago(1), "seconds", false, []string{"host", "a"}, 3, 4, 123), rec(s.ago(2), "seconds", true, []string{"host", "a"}, 1, 2, 3), rec(s.ago(1), "bytes", false, []string{"host", "a"}, 9))
	wantCells(tab, 2, "open", "final", "final") // an event for each bucket
	require.Equal(t, []string{"3", "3", "2"}, cells(tab, 3))
	require.Equal(t, "123", cells(tab, 8)[0])
	release := tab.Hold("#table thead th:nth-child(3) button")
	s.put(t, rec(s.ago(1), "seconds", false, []string{"host", "b"}, 8))
	tab.Until("document.querySelectorAll('.chart').length === 2")
	require.Len(t, cells(tab, 2), 3, "the table waits for the end of a click")
	release()
	tab.Until("location.search.includes('sort=') && document.querySelectorAll('#table tbody tr').length === 4")

	tab.Click("#live")
	tab.Until("document.querySelector('#live').dataset.state === 'off'")
	require.Equal(t, "off", state(t, tab).Get("live"))
	s.put(t, rec(s.ago(0), "seconds", false, []string{"host", "a"}, 8))
	tab.Click("#live")
	tab.Until("document.querySelectorAll('#table tbody tr').length === 5")
	tab.Until(isLive)
	browser.Eval[bool](tab, "Object.defineProperty(document, 'hidden', { value: true, configurable: true }), document.dispatchEvent(new Event('visibilitychange'))")
	tab.Until("document.querySelector('#live').dataset.state === 'off'")
	require.Empty(t, state(t, tab).Get("live"), "a page that nobody sees has no stream, and continues when it is seen")
	browser.Eval[bool](tab, "delete document.hidden, document.dispatchEvent(new Event('visibilitychange'))")
	tab.Until(isLive)
	// The page connects again after two seconds, with the id of its last event. Nobody may look until then.
	browser.Eval[bool](tab, `(() => {
		const live = document.querySelector("#live");
		new MutationObserver(() => { window.broken ||= live.dataset.state === "broken"; }).observe(live, { attributes: true });
		return true;
	})()`)
	s.CloseClientConnections()
	tab.Until("window.broken")
	s.put(t, rec(s.ago(0), "seconds", false, []string{"host", "b"}, 9))
	tab.Until("document.querySelectorAll('#table tbody tr').length === 6")
	tab.Clean(s.URL)
}

func liveMerged(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, rec(s.ago(3), "seconds", true, []string{"host", "a"}, 1, 2), rec(s.ago(3), "seconds", true, []string{"host", "b"}, 3))
	tab := open(t, b, s.address("split", "merged"))
	tab.Until(isLive)
	require.Equal(t, []string{"3"}, cells(tab, 3))
	s.put(t, rec(s.ago(3), "seconds", true, []string{"host", "c"}, 4), rec(s.ago(1), "seconds", true, []string{"host", "c"}, 4))
	tab.Until("[...document.querySelectorAll('#table tbody td:nth-child(3)')].map((e) => e.textContent).join() === '1,4'")
	tab.Clean(s.URL)
}

func hostile(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	const bad = `<img src=x onerror="window.hacked=1"><script>window.hacked=2<`
	field, tag := bad+"/script>", `"><svg onload=window.hacked=3>`
	for i := range 5 {
		for _, value := range []string{tag, "b", "../..?x=1#y", "=cmd|' /C calc'!A0", "\u202eevil"} {
			s.put(t, other(rec(s.ago(i), field, true, []string{tag, "x", "host", value}, 1, 2, 3), "analytics_"+bad))
		}
	}
	tab := open(t, b, s.address())
	require.Equal(t, bad+" "+field, textOf(tab, "h1"))
	require.Contains(t, cells(tab, 2), "host="+tag)
	require.Contains(t, textOf(tab, "#summary"), tag+"=x")
	tab.Click("#tag")
	tab.Press(">")
	tab.Click("#field")
	browser.Eval[bool](tab, "document.querySelector('#table tbody button').click(), true")
	tab.Until("document.querySelector('#distribution svg')")
	tab.Until("!document.querySelector('#main [onerror], #main script, #main svg[onload], #main img') && window.hacked === undefined")
	require.Equal(t, 1, browser.Eval[int](tab, "document.images.length"), "the icon alone")
	name := browser.Eval[string](tab, "document.querySelector('#csv').download")
	require.NotContains(t, name, "<")
	require.NotContains(t, name, "/")
	choose(tab, "tag", "host="+tag)
	tab.Until("document.querySelectorAll('.chart').length === 1 && " + ready)
	tab.Open(s.address("db", bad, "table", bad, "field", bad, "split", bad, "tz", bad, "sort", bad, "range", bad, "at", bad, "of", bad))
	tab.Until("document.querySelector('#message').getAttribute('role') === 'alert'")
	require.Contains(t, textOf(tab, "#message"), "<img src=x onerror")
	require.True(t, browser.Eval[bool](tab, "window.hacked === undefined"))
	// The browser itself refuses text as HTML.
	require.True(t, browser.Eval[bool](tab, "(() => { try { document.body.innerHTML = '<b>'; return false } catch { return true } })()"))
	require.Len(t, tab.Complaints(), 1, "%q", tab.Complaints())
	require.Contains(t, tab.Complaints()[0], "TrustedHTML")
}

func tokens(t *testing.T, b *browser.Browser) {
	file := filepath.Join(t.TempDir(), "tokens")
	var texts []string
	for _, permission := range []string{"db:db:read,stream", "db:db:read"} {
		p, err := token.ParsePermission(permission)
		require.NoError(t, err)
		text, made := token.New("", []token.Permission{p}, time.Now(), time.Time{})
		require.NoError(t, token.Add(file, made))
		texts = append(texts, text)
	}
	store, err := token.Open(file, time.Now, nil)
	require.NoError(t, err)
	s := start(t, func(o *api.Options) { o.Tokens = store })
	s.put(t, s.latencies(20, "api")...)
	tab := b.Tab(t)
	tab.Open(s.address())
	tab.Until("document.querySelector('#token')")
	require.Contains(t, textOf(tab, "#message"), "The service wants a token")
	require.Equal(t, "token", browser.Eval[string](tab, "document.activeElement.id"))
	tab.Press("w", "r", "o", "n", "g", kb.Enter)
	tab.Until("document.querySelector('#message').textContent.includes('This token is not valid')")
	tab.Press(strings.Split(texts[0], "")...)
	tab.Press(kb.Enter)
	tab.Until(ready)
	tab.Until(isLive)
	require.True(t, browser.Eval[bool](tab, "document.querySelector('#message').hidden"))
	s.put(t, rec(s.ago(0).Add(width), "seconds", false, []string{"host", "vm", "service", "api"}, 77))
	tab.Until("document.querySelector('#table tbody tr').textContent.includes('77')")
	require.Equal(t, "{}", browser.Eval[string](tab, "JSON.stringify(localStorage)"), "the token is not kept")
	require.NotContains(t, browser.Eval[string](tab, "location.href + document.cookie"), texts[0])
	for _, address := range tab.Requests() {
		require.NotContains(t, address, texts[0])
	}
	tab.Clean(s.URL)

	tab.Script("sessionStorage.setItem('token', " + strconv.Quote(texts[1]) + ")")
	tab.Open(s.address())
	tab.Until(ready)
	tab.Until("document.querySelector('#live').title.includes('db:NAME:stream')")
	require.Equal(t, "Not live", textOf(tab, "#live-text"))
	tab.Clean(s.URL)
}

func empty(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	tab := b.Tab(t)
	tab.Open(s.address())
	tab.Until("document.querySelector('#message').getAttribute('role') === 'status'")
	require.Contains(t, textOf(tab, "#message"), "Nothing is stored yet")
	tab.Until("document.querySelector('footer').textContent.includes('a test, not persistent')")
	tab.Screenshot("nothing-stored")
	s.put(t, s.latencies(3, "api")...)
	tab.Until(ready)
	require.True(t, browser.Eval[bool](tab, "document.querySelector('#message').hidden"))
	tab.Clean(s.URL)
}

func emptyRange(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, rec(s.ago(3000), "seconds", true, nil, 1, 2), rec(s.ago(2999), "seconds", true, nil, 1, 2))
	tab := b.Tab(t)
	tab.Open(s.address("range", "1h"))
	tab.Until("document.querySelector('#message').getAttribute('role') === 'status'")
	require.Contains(t, textOf(tab, "#message"), "No buckets in this range")
	require.Contains(t, textOf(tab, "#message"), "8 hours ago")
	tab.Click("#message button")
	tab.Until(ready)
	require.Len(t, cells(tab, 1), 2)
	require.NotEmpty(t, state(t, tab).Get("from"))

	tab.Open(s.address("range", "1h"))
	tab.Until("document.querySelector('#message').getAttribute('role') === 'status'")
	tab.Until(isLive)
	s.put(t, rec(s.ago(0), "seconds", true, nil, 1, 2))
	tab.Until(ready)
	tab.Clean(s.URL)
}

func unknownTable(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(3, "api")...)
	tab := b.Tab(t)
	tab.Open(s.address("db", "db", "table", "latenci"))
	tab.Until("document.querySelector('#message').getAttribute('role') === 'alert'")
	text := textOf(tab, "#message")
	require.Contains(t, text, `No table "analytics_latenci" in database "db".`)
	require.Contains(t, text, "The lists above have the databases and tables that there are.")
	require.NotContains(t, text, "GET")
}

// A single bucket shows no width. The page assumes the 30 s that describe has by default.
func firstBucket(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, rec(time.Now().Add(-20*time.Second), "seconds", false, nil, 1, 2))
	tab := open(t, b, s.address())
	require.Equal(t, "15m", browser.Eval[string](tab, "document.querySelector('#range').value"))
	tab.Clean(s.URL)
}

func away(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(20, "api")...)
	tab := b.Tab(t)
	s.redis.SetError("LOADING away")
	tab.Open(s.address())
	tab.Until("document.querySelector('#message').getAttribute('role') === 'alert'")
	require.Contains(t, textOf(tab, "#message"), "Redis does not answer")
	require.Contains(t, textOf(tab, "#message"), "The page tries again every 5 s.")
	require.NotEmpty(t, browser.Eval[string](tab, "document.querySelector('#zone').value"))
	tab.Screenshot("redis-away")
	s.redis.SetError("")
	tab.Until(ready)
	require.True(t, browser.Eval[bool](tab, "document.querySelector('#message').hidden"))
	tab.Clean(s.URL)
}

func limited(t *testing.T, b *browser.Browser) {
	s := start(t, func(o *api.Options) { o.MaxBuckets = 50 })
	s.put(t, s.latencies(100, "api")...)
	tab := b.Tab(t)
	tab.Open(s.address("range", "1h"))
	tab.Until("document.querySelector('#message').getAttribute('role') === 'alert'")
	require.Contains(t, textOf(tab, "#message"), "This is more than one answer may have")
	require.Contains(t, textOf(tab, "#message"), "at most 50 are allowed")
	require.Contains(t, textOf(tab, "#message"), "Choose a shorter range")
	tab.Screenshot("limit")
	require.Equal(t, "seconds", browser.Eval[string](tab, "document.querySelector('#field').value"), "the reader can choose something else")
	tab.Clean(s.URL)
}

func keys(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(20, "api")...)
	tab := open(t, b, s.address())
	focused := "document.activeElement.id || document.activeElement.className || document.activeElement.textContent"
	browser.Eval[bool](tab, "document.activeElement.blur(), true")
	var order []string
	for range 15 {
		tab.Press(kb.Tab)
		order = append(order, browser.Eval[string](tab, focused))
	}
	require.Equal(t, []string{"skip", "live", "quiet", "theme", "database", "table-name", "field", "tag", "range", "zone", "split", "csv", "json", "plot"}, order[:14])
	browser.Eval[bool](tab, "document.querySelector('.plot').focus(), true")
	announced := func() string { return textOf(tab, "#announce") }
	tab.Press(kb.ArrowLeft)
	first := announced()
	require.Contains(t, first, "median")
	tab.Press(kb.ArrowLeft, kb.ArrowLeft)
	require.NotEqual(t, first, announced())
	tab.Press(kb.Home)
	oldest := cells(tab, 1)[19]
	require.Contains(t, announced(), oldest[strings.Index(oldest, " ")+1:])
	tab.Press(kb.Enter)
	tab.Until("document.querySelector('#distribution dl')")
	require.Equal(t, "distribution", browser.Eval[string](tab, "document.activeElement.id"))
	require.Contains(t, textOf(tab, "#distribution"), oldest)
	tab.Press(kb.Escape)
	tab.Until("document.querySelector('#distribution').hidden && document.activeElement.className === 'plot'")

	// Every control has a name, and the table says how it is sorted.
	unnamed := browser.Eval[[]string](tab, `[...document.querySelectorAll("button, a, input, select, [tabindex='0'], [role=img]")].filter((e) =>
		!(e.textContent.trim() || e.ariaLabel || e.getAttribute("aria-labelledby") || e.labels?.length)).map((e) => e.outerHTML)`)
	require.Empty(t, unnamed)
	require.Equal(t, 1, browser.Eval[int](tab, "document.querySelectorAll('#table th[aria-sort=descending]').length"))
	browser.Eval[bool](tab, "document.querySelector('#table thead th:nth-child(3) button').focus(), true")
	tab.Press(kb.Enter)
	tab.Until("location.search.includes('sort=-count') && document.activeElement.dataset.id === 'sort-count'")
	tab.Clean(s.URL)
}

func rolled(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(500, "api")...)
	tab := open(t, b, s.address("range", "1d", "tz", "Europe/Berlin"))
	require.Contains(t, textOf(tab, "#summary"), "buckets of 2 min")
	require.Contains(t, browser.Eval[string](tab, "document.querySelector('#csv').href"), "bucket=2m&timezone=Europe%2FBerlin")
	require.Contains(t, cells(tab, 3), "480", "twelve buckets of 40 values")
	browser.Eval[bool](tab, "document.querySelector('#table tbody tr:nth-child(5) button').click(), true")
	tab.Until("document.querySelector('#distribution svg')")
	require.Contains(t, textOf(tab, "#distribution"), "480 values in 44 parts")
	tab.Clean(s.URL)
}

// withoutSummary returns the records without their summaries.
func withoutSummary(all []record.Record) []record.Record {
	for i := range all {
		all[i].Summary = nil
	}
	return all
}

func plain(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	var all []record.Record
	for i := range 2500 {
		all = append(all, rec(s.ago(i), "seconds", true, []string{"host", "vm"}, float64(i%7), 9))
	}
	s.put(t, withoutSummary(all)...)
	tab := open(t, b, s.address("range", "1d"))
	require.Contains(t, textOf(tab, "#summary"), "2,500 buckets of 10 s")
	require.Contains(t, textOf(tab, "#note"), "emit_summary")
	browser.Eval[bool](tab, "document.querySelector('#table tbody tr button').click(), true")
	tab.Until("document.querySelector('#distribution [role=alert]')")
	require.Contains(t, textOf(tab, "#distribution"), `This bucket has no summary of its values. With emit_summary = "compact"`)
	tab.Open(s.address("range", "1h", "split", "merged"))
	tab.Until("document.querySelector('#message').getAttribute('role') === 'alert'")
	require.Contains(t, textOf(tab, "#message"), "No summaries")
	tab.Clean(s.URL)
}

func manySeries(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	var all []record.Record
	for i := range 4 {
		for k := range 70 {
			all = append(all, rec(s.ago(i), "seconds", true, []string{"host", fmt.Sprint("h", k), "rack", fmt.Sprint("r", k%3)}, float64(k), 1))
		}
	}
	s.put(t, all...)
	tab := open(t, b, s.address())
	require.Equal(t, 1, browser.Eval[int](tab, "document.querySelectorAll('.chart').length"))
	require.Contains(t, textOf(tab, "#note"), "70 series are merged into one")
	require.Equal(t, "140", cells(tab, 3)[0])
	browser.Eval[bool](tab, "document.querySelector('#split').value = 'rack', document.querySelector('#split').dispatchEvent(new Event('change'))")
	tab.Until("document.querySelectorAll('.chart').length === 3 && " + ready)
	require.Equal(t, "rack=r0", textOf(tab, ".chart h2"))
	tab.Screenshot("split-by-rack")
	browser.Eval[bool](tab, "document.querySelector('#split').value = 'each', document.querySelector('#split').dispatchEvent(new Event('change'))")
	tab.Until("document.querySelectorAll('.chart').length === 60 && " + ready)
	require.Contains(t, textOf(tab, "#note"), "60 of 70 series")
	tab.Clean(s.URL)
}

func missingStatistics(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	r := rec(s.ago(1), "seconds", true, nil, 1, 2, 3)
	r.Stats = []record.Stat{{Name: "p99_9", Value: 3.0}, {Name: "count", Value: int64(3)}}
	s.put(t, r)
	tab := open(t, b, s.address())
	require.Contains(t, textOf(tab, ".readout"), "median 2")
	browser.Eval[bool](tab, "document.querySelector('#table tbody tr button').click(), true")
	tab.Until("document.querySelector('#distribution').textContent.includes('3 values in 8 parts')")
	bare := rec(s.ago(1), "other", true, nil, 1, 2, 3)
	bare.Summary, bare.Stats = nil, r.Stats
	s.put(t, bare)
	show(tab, s.address("field", "other"))
	require.Equal(t, "p99.9", textOf(tab, "#table thead th:nth-child(4) button"), "what is stored is shown")
	tab.Clean(s.URL)
}

// pauses of a page that is open for days must not add up.
func pauses(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	tab := b.Tab(t)
	tab.Open(s.URL + "/page/icon.svg") // the module alone is enough
	browser.Eval[bool](tab, `import("./api.js").then(async ({ pause }) => {
		const signal = new AbortController().signal;
		const [add, remove] = [signal.addEventListener, signal.removeEventListener];
		let listeners = 0;
		signal.addEventListener = (...all) => (listeners++, add.apply(signal, all));
		signal.removeEventListener = (...all) => (listeners--, remove.apply(signal, all));
		await pause(1, signal);
		window.listeners = listeners;
	}), true`)
	tab.Until("window.listeners !== undefined")
	require.Zero(t, browser.Eval[int](tab, "window.listeners"))
	tab.Clean(s.URL)
}

func agents(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	first, second := rec(s.ago(1), "seconds", true, []string{"host", "a"}, 1, 2), rec(s.ago(1), "seconds", true, []string{"host", "a"}, 30, 40)
	second.Agent = "a2"
	s.put(t, first)
	tab := open(t, b, s.address())
	tab.Until(isLive)
	s.put(t, second)
	tab.Until("document.querySelector('#table tbody td:nth-child(3)').textContent === '4'") // the values of both

	first.Field, second.Field = "other", "other"
	s.put(t, withoutSummary([]record.Record{first, second})...)
	show(tab, s.address("field", "other"))
	require.Equal(t, []string{"agent a1", "agent a2"}, cells(tab, 2))
	require.Equal(t, []string{"2", "40"}, cells(tab, 9))

	first.Field, second.Field = "third", "third"
	s.put(t, withoutSummary([]record.Record{first})...)
	show(tab, s.address("field", "third"))
	tab.Until(isLive)
	s.put(t, withoutSummary([]record.Record{second})...)
	tab.Until("document.querySelectorAll('.chart').length === 2")
	tab.Clean(s.URL)
}

func sorted(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	var all []record.Record
	for i := range 120 {
		all = append(all, rec(s.ago(i), "seconds", true, []string{"host", []string{"a", "b"}[i%2]}, float64((i*37)%120), 200))
	}
	s.put(t, all...)
	tab := open(t, b, s.address("range", "1h"))
	mins := func() []string { return cells(tab, 5) }
	begins := func(with string) { // the table is drawn after the address has changed
		t.Helper()
		tab.Until(fmt.Sprintf("document.querySelector('#table tbody td:nth-child(5)').textContent === %q", with))
	}
	require.Len(t, mins(), 50)
	require.Contains(t, textOf(tab, "#pager"), "1–50 of 120 buckets")
	tab.Click("#table thead th:nth-child(5) button")
	tab.Until("location.search.includes('sort=-min')")
	begins("119")
	require.Equal(t, []string{"119", "118", "117"}, mins()[:3])
	tab.Click("#table thead th:nth-child(5) button")
	tab.Until("location.search.includes('sort=min')")
	begins("0")
	require.Equal(t, []string{"0", "1", "2"}, mins()[:3])
	browser.Eval[bool](tab, "document.querySelector('#pager button:last-child').click(), document.querySelector('#pager button:last-child').click(), true")
	require.Equal(t, "119", mins()[19])
	require.True(t, browser.Eval[bool](tab, "document.querySelector('#pager button:last-child').disabled"))
	tab.Clean(s.URL)
}

func exports(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(30, "api", "web")...)
	tab := open(t, b, s.address("tag", "service=web", "range", "15m"))
	get := func(selector string) io.Reader {
		resp, err := s.Client().Get(browser.Eval[string](tab, fmt.Sprintf("document.querySelector(%q).href", selector)))
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return bytes.NewReader(body)
	}
	rows, err := csv.NewReader(get("#csv")).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 31)
	var records []map[string]any
	require.NoError(t, json.NewDecoder(get("#json")).Decode(&records))
	require.Len(t, records, 30)
	require.Equal(t, "web", records[0]["service"])
	require.Equal(t, "latency-seconds.csv", browser.Eval[string](tab, "document.querySelector('#csv').download"))
	tab.Clean(s.URL)
}

func ownRange(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	day := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC) // clocks in Berlin are set back at 01:00 UTC
	for i := range 30 {
		s.put(t, rec(day.Add(time.Duration(i-3)*time.Hour), "seconds", true, nil, float64(i), 2))
	}
	tab := open(t, b, s.address("tz", "Europe/Berlin", "from", "2026-10-24T22:00:00Z", "to", "2026-10-25T23:00:00Z"))
	require.Len(t, cells(tab, 1), 25, "the day has 25 hours")
	require.Equal(t, []string{"2026-10-25 03:00:00", "2026-10-25 02:00:00", "2026-10-25 02:00:00", "2026-10-25 01:00:00"}, cells(tab, 1)[20:24])
	require.Equal(t, "2026-10-25T00:00", browser.Eval[string](tab, "document.querySelector('#from').value"))
	require.Equal(t, "2026-10-26T00:00", browser.Eval[string](tab, "document.querySelector('#to').value"))
	for _, at := range [][2]string{{"01:00:00", "2026-10-24T23"}, {"02:00:00", "2026-10-25T00"}, {"03:00:00", "2026-10-25T02"}} {
		browser.Eval[bool](tab, "document.querySelector('#from').value = '2026-10-25T"+at[0]+"', document.querySelector('#from').dispatchEvent(new Event('change'))")
		tab.Until("location.search.includes('from=" + at[1] + "%3A00%3A00.000Z') && " + ready)
	}
	require.True(t, browser.Eval[bool](tab, "document.querySelector('#live').hidden"), "a range of the past does not change")
	choose(tab, "zone", "Asia/Tokyo")
	tab.Until("document.querySelector('#from').value === '2026-10-25T11:00'")
	tab.Clean(s.URL)
}

func prefix(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	s.put(t, s.latencies(20, "api")...)
	target, err := url.Parse(s.URL)
	require.NoError(t, err)
	proxy := httptest.NewServer(http.StripPrefix("/stats", forward(target)))
	t.Cleanup(proxy.Close)
	t.Cleanup(proxy.CloseClientConnections)
	tab := open(t, b, proxy.URL+"/stats/?live=off")
	tab.Clean(proxy.URL + "/stats")
}

// forward sends requests on to a server.
func forward(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
}

// medians finds the line of medians in the picture of the first chart: the place of its highest pixel, as a share of the height,
// and the number of its pieces.
const medians = `(() => {
	const canvas = document.querySelector(".plot canvas");
	const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
	const columns = new Set();
	let top = 1;
	for (let i = 0; i < data.length; i += 4) {
		if ([11, 122, 117, 255].some((value, k) => Math.abs(data[i + k] - value) > 12)) continue;
		columns.add((i / 4) % canvas.width);
		top = Math.min(top, Math.floor(i / 4 / canvas.width) / canvas.height);
	}
	const x = [...columns].sort((a, b) => a - b);
	return [top, x.filter((at, i) => i === 0 || at - x[i - 1] > 3).length];
})()`

func peaks(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	all := s.latencies(40, "api")
	all[20] = rec(s.ago(19), "seconds", true, []string{"host", "vm", "service", "api"}, .01, .02, .02, .03, .03, .02, .02, .02, .02, .02, .02, .02, .02, .02, .02, .02, .02, .02, .02, .02, 99)
	s.put(t, all...)
	tab := open(t, b, s.address())
	low := browser.Eval[[]float64](tab, medians)
	tab.Screenshot("a-peak-cut-off")
	tab.Click("#full")
	tab.Until("location.search.includes('peaks=all')")
	require.Greater(t, browser.Eval[[]float64](tab, medians)[0], low[0]+.1, "the medians are a flat line at the bottom")
	tab.Screenshot("a-peak-shown")
	tab.Clean(s.URL)
}

func gaps(t *testing.T, b *browser.Browser) {
	s := start(t, nil)
	for _, i := range []int{60, 59, 58, 40, 20, 19, 18} {
		s.put(t, rec(s.ago(i), "seconds", true, nil, 1, float64(2+i%3)))
	}
	tab := open(t, b, s.address("range", "15m"))
	require.Equal(t, 3.0, browser.Eval[[]float64](tab, medians)[1], "two pieces of line and a point")
	tab.Screenshot("gaps")
	tab.Clean(s.URL)
}
