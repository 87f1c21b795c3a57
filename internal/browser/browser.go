// Package browser runs pages in a headless Chromium, for tests. Without an installed Chromium, the tests are skipped: see
// [Start].
//
// The package drives Chromium by chromedp, over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/):
//
//	Start ─▶ Browser ─ Tab ─▶ Tab: Open, Run, Eval, Until, Click … ─▶ Clean
//	                              └ meanwhile, note records its requests and complaints
//
// A method that fails ends the test. What was started ends with its test, in the opposite order.
package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// timeout bounds the use of one tab by one test. A test needs a few seconds of it, unless the machine does other work.
const timeout = 5 * time.Minute

// without are features of Chromium that tests do not want: chromedp's own list, then the pages of the address bar in each window and the
// processes kept for the next site. The last two took two fifths of the processor time of the tests of the page.
const without = "Translate,BlinkGenPropertyTrees,WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,SpareRendererForSitePerProcess"

// find returns the path of an installed Chromium. The one without a window, if it is installed too, comes first: the tests of the page took
// 29 instead of 41 s of processor time with it.
func find() (path string, err error) {
	for _, name := range []string{"chromium-headless-shell", "chromium-browser", "chromium"} { // the last is that of Debian, which the error has
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// Browser is a running Chromium. It is safe for concurrent use. Its context ends with the test of Start.
type Browser struct {
	ctx context.Context

	mu   sync.Mutex // guards idle
	idle []opened   // tabs that no test uses
}

// opened is an open tab of the browser.
type opened struct {
	ctx   context.Context
	close context.CancelFunc
}

// Start starts a Chromium and stops it when the test ends. If none is on PATH, it skips the test; if the environment
// variable REQUIRE_CHROMIUM is 1, it fails the test instead. Subtests share the browser, because a start takes a second.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := find()
	if err != nil {
		if os.Getenv("REQUIRE_CHROMIUM") == "1" {
			t.Fatalf("%v, but REQUIRE_CHROMIUM is 1", err)
		}
		t.Skipf("%v: install chromium to run this test", err)
	}
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Flag("enable-precise-memory-info", true),
		chromedp.WSURLReadTimeout(timeout), chromedp.WindowSize(1440, 900), chromedp.Flag("disable-features", without),
	})
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with its sandbox
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx), "Chromium does not start")
	return &Browser{ctx: ctx}
}

// Tab is a tab of the browser with cookies and storage of its own. It records the requests and the errors of its page. It can be
// used for five minutes. Its methods are called by the goroutine of the test, because they may end it.
type Tab struct {
	t       testing.TB
	ctx     context.Context
	scripts []page.ScriptIdentifier // of Script

	mu         sync.Mutex // guards the fields below
	requests   []string   // addresses
	complaints []string   // exceptions, errors of the console and of the browser, such as violations of the CSP
}

// Tab returns a tab without a page until the test ends. The tab must not be used after the test of Tab, or after that of Start.
//
// A test that passes leaves its tab empty, for another test: a new one has a process of its own, which costs as much as the page. Only
// what the pages of the last server have stored is removed, so the pages of one test should all be of one server.
func (b *Browser) Tab(t testing.TB) *Tab {
	t.Helper()
	o := b.take(t)
	ctx, stop := context.WithTimeout(o.ctx, timeout)
	tab := &Tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		defer stop()
		if t.Failed() {
			o.close()
			return
		}
		tab.leave()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.idle = append(b.idle, o)
	})
	require.NoError(t, chromedp.Listen(ctx, tab.note))
	tab.Size(1440, 900)
	return tab
}

// take returns an idle tab, or opens one.
func (b *Browser) take(t testing.TB) opened {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := len(b.idle) - 1; last >= 0 {
		o := b.idle[last]
		b.idle = b.idle[:last]
		return o
	}
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	_, err := chromedp.Call(ctx, target.SetDiscoverTargets, target.SetDiscoverTargetsParams{}) // every tab would hear of every other
	require.NoError(t, err)
	// The first three make the browser send the events that note records. The others end events that nobody reads, for each change of the page.
	for _, method := range []string{network.Enable.Method, runtime.Enable.Method, log.Enable.Method, css.Disable.Method, dom.Disable.Method} {
		_, err := chromedp.Call(ctx, cdp.Command[cdp.Empty, cdp.Empty]{Method: method}, cdp.Empty{})
		require.NoError(t, err, method)
	}
	return opened{ctx, stop}
}

// leave removes the page from the tab, and what the test has set.
func (tab *Tab) leave() {
	tab.t.Helper()
	Eval[bool](tab, "(() => { try { localStorage.clear(), sessionStorage.clear() } catch {} return true })()") // a blank page has no storage
	for _, id := range tab.scripts {
		command(tab, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams{Identifier: id})
	}
	command(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	tab.Open("about:blank")
	tab.forget()
	command(tab, network.ClearBrowserCookies, cdp.Empty{})
}

// forget empties the history of the tab. A blank page can say that it has loaded before the browser has made it the page of the tab. Until
// then, the browser refuses the command.
func (tab *Tab) forget() {
	tab.t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, err := chromedp.Call(tab.ctx, page.ResetNavigationHistory, cdp.Empty{})
		if err == nil || !strings.Contains(err.Error(), notActive) || time.Since(begin) > patience {
			require.NoError(tab.t, err)
			return
		}
	}
}

// notActive is Chromium's error for a page that is not that of its tab: content/browser/devtools/protocol/page_handler.cc.
const notActive = "Not attached to an active page"

// command sends a command of the protocol to the tab. Its result is not used.
func command[P, R any](tab *Tab, c cdp.Command[P, R], params P) {
	tab.t.Helper()
	_, err := chromedp.Call(tab.ctx, c, params)
	require.NoError(tab.t, err)
}

// note records an event of the tab.
func (tab *Tab) note(event any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tab.requests = append(tab.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		tab.complaints = append(tab.complaints, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			texts := make([]string, 0, len(e.Args))
			for _, arg := range e.Args {
				texts = append(texts, string(arg.Value)+arg.Description)
			}
			tab.complaints = append(tab.complaints, "console "+strings.Join(texts, " "))
		}
	case *log.EventEntryAdded:
		// An answer with an error status is no fault of the page.
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level != log.EntryLevelVerbose && e.Entry.Level != log.EntryLevelInfo {
			tab.complaints = append(tab.complaints, string(e.Entry.Source)+" "+e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// Run runs actions and fails the test if one fails.
func (tab *Tab) Run(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	require.NoError(tab.t, chromedp.Do(tab.ctx, actions...))
}

// Open opens an address. It waits until the page has loaded, but not for what its scripts do after that: see Until.
func (tab *Tab) Open(address string) {
	tab.t.Helper()
	tab.Run(chromedp.Navigate(address))
}

// Size sets the size of the window in pixels.
func (tab *Tab) Size(width, height int64) {
	tab.t.Helper()
	tab.Run(chromedp.EmulateViewport(width, height))
}

// Dark makes the tab prefer dark colours.
func (tab *Tab) Dark() {
	tab.t.Helper()
	dark := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}
	command(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: dark})
}

// Script runs a script before those of each page that the tab opens from now on.
func (tab *Tab) Script(source string) {
	tab.t.Helper()
	added, err := chromedp.Call(tab.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
	require.NoError(tab.t, err)
	tab.scripts = append(tab.scripts, added.Identifier)
}

// Eval evaluates an expression of JavaScript in the page of a tab and returns its value. It waits for a promise. It is no method,
// because methods cannot have type parameters of their own. For example:
//
//	width := browser.Eval[float64](tab, "document.body.clientWidth")
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	v, err := chromedp.Run(tab.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(tab.t, err, expression)
	return v
}

// Click clicks the middle of the first element of a selector. It waits until the element is
// visible, and scrolls to it.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.Until(fmt.Sprintf("document.querySelector(%q)?.checkVisibility({ visibilityProperty: true })", selector))
	at := tab.middle(selector)
	tab.ClickAt(at[0], at[1])
}

// Hold presses the mouse in the middle of the first element of a selector. The returned function releases it there.
func (tab *Tab) Hold(selector string) (release func()) {
	tab.t.Helper()
	at := tab.middle(selector)
	tab.Run(chromedp.MouseEvent(chromedp.MousePressed, at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
	return func() {
		tab.t.Helper()
		tab.Run(chromedp.MouseEvent(chromedp.MouseReleased, at[0], at[1], chromedp.ButtonLeft, chromedp.ClickCount(1)))
	}
}

// middle scrolls to the first element of a selector, and returns the point of the window where its middle is.
func (tab *Tab) middle(selector string) [2]float64 {
	tab.t.Helper()
	return Eval[[2]float64](tab, fmt.Sprintf(`((element) => {
		element.scrollIntoViewIfNeeded();
		const { x, y, width, height } = element.getBoundingClientRect();
		return [x + width / 2, y + height / 2];
	})(document.querySelector(%q))`, selector))
}

// ClickAt clicks a point of the window.
func (tab *Tab) ClickAt(x, y float64) {
	tab.t.Helper()
	tab.Run(chromedp.MouseClickXY(x, y))
}

// Press presses keys one after the other: characters, or keys of package kb.
func (tab *Tab) Press(keys ...string) {
	tab.t.Helper()
	for _, key := range keys {
		tab.Run(chromedp.KeyEvent(key))
	}
}

// Until waits until an expression of JavaScript is true in the page. If that takes too long, it fails the test with the text
// of the page.
func (tab *Tab) Until(expression string) {
	tab.t.Helper()
	wait := fmt.Sprintf(`(async () => {
		for (const begin = performance.now(); performance.now() - begin < %d; await new Promise((done) => setTimeout(done, 20))) {
			if (%s) return true;
		}
		return false;
	})()`, patience.Milliseconds(), expression)
	is, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](wait, chromedp.EvalAwaitPromise))
	if err != nil || !is {
		text, _ := chromedp.Run(tab.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		require.NoError(tab.t, err, "%s has no value, the page has the text:\n%s\nand complains: %q", expression, text, tab.Complaints())
		require.True(tab.t, is, "%s is not true, the page has the text:\n%s\nand complains: %q", expression, text, tab.Complaints())
	}
}

// patience is how long Until waits.
const patience = 2 * time.Minute

// Heap returns how many bytes of memory the objects of JavaScript in the page have, after the garbage is collected.
func (tab *Tab) Heap() float64 {
	tab.t.Helper()
	command(tab, heapprofiler.CollectGarbage, cdp.Empty{})
	usage, err := chromedp.Call(tab.ctx, runtime.GetHeapUsage, cdp.Empty{})
	require.NoError(tab.t, err)
	return usage.UsedSize
}

// Requests returns the addresses that the page has requested. They are in the order in which they began, also of requests that
// failed.
func (tab *Tab) Requests() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.Clone(tab.requests)
}

// Complaints returns the exceptions of the page, and the errors and warnings of the console and of the browser. Answers with an
// error status are not among them.
func (tab *Tab) Complaints() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.Clone(tab.complaints)
}

// Clean fails the test if the page had an error, or requested anything that is not of the server at an address such as
// "http://127.0.0.1:8001".
func (tab *Tab) Clean(address string) {
	tab.t.Helper()
	require.Empty(tab.t, tab.Complaints())
	for _, url := range tab.Requests() {
		own := strings.HasPrefix(url, address+"/") || strings.HasPrefix(url, "blob:"+address+"/") ||
			strings.HasPrefix(url, "data:") || url == "about:blank"
		require.True(tab.t, own, "a request to %s", url)
	}
}

// Screenshot writes a picture of the window to a file NAME.png in the folder of the environment variable SCREENSHOTS, or else
// in the folder of the test's artifacts. Without that variable and without go test -artifacts, nobody keeps the picture, and it is not
// taken.
func (tab *Tab) Screenshot(name string) {
	tab.t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		if keep := flag.Lookup("test.artifacts"); keep == nil || keep.Value.String() != "true" {
			return
		}
		folder = tab.t.ArtifactDir()
	}
	picture, err := chromedp.Run(tab.ctx, chromedp.CaptureScreenshot())
	require.NoError(tab.t, err)
	require.NoError(tab.t, os.MkdirAll(folder, 0o750))                                       //nolint:gosec // the folder that the user names
	require.NoError(tab.t, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600)) //nolint:gosec // as above
}
