package api

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Limits of the requests that read Redis at the same time. A request does not know before how much it will read, so each one begins
// as a quick one.
const (
	// maxQuick is how many requests read at the same time that have read at most quickRecords records and quickBytes
	// bytes, and maxQuickClient is how many of them are of one client. Others wait for at most quickWait.
	maxQuick       = 32
	maxQuickClient = maxQuick / 4
	quickRecords   = 5000
	quickBytes     = 1 << 20
	quickWait      = 2 * time.Second
	// maxLong is how many requests read at the same time that have read more. It is small, so that quick requests
	// stay quick beside them. At most maxWaiting others wait, maxWaitingClient of one client, for at most longWait.
	maxLong          = 2
	maxWaiting       = 32
	maxWaitingClient = maxWaiting / 2
	longWait         = 10 * time.Second
)

// busy is the error for a request beyond a limit that requests share. The same request may succeed later.
type busy struct {
	what   string
	reason string // of the metric of refused requests
	client bool   // whether it is a limit of one client
}

// Error is for clients, so it does not say who the others are.
func (e busy) Error() string { return e.what + ", try again later" }

// limits are the limits that all requests share. It is safe for concurrent use.
//
//	begin ─▶ a place of the client, of maxQuickClient ─▶ a place in quick, of maxQuick ─▶ reads
//	           └ after quickWait: busy                       └ the same                     │ more than quickRecords or quickBytes
//	                                                                                        ▼
//	                      busy ◀─ maxWaiting others wait, or after longWait ─ a place in long, of maxLong ─▶ reads on
//
// Those that merge summaries have another place beside these: see mergePlaces. A request gives its place back before it sends the
// answer, so that a slow client has memory of the budget but no place.
type limits struct {
	quick, long chan struct{} // hold an element for each request that reads
	merges      chan struct{} // holds an element for each request that merges summaries
	ofClient    int           // the most of these that are of one client
	waiting     atomic.Int64  // requests that wait for a place in long or merges
	budget      budget

	mu      sync.Mutex       // guards the field below, and turn.users
	clients map[string]*turn // those with users
}

// turn has the places of one client among the quick requests, and among those that merge summaries.
type turn struct {
	places, merges chan struct{} // hold an element for each place
	users          int           // calls of join without leave; a request can have several
	waiting        atomic.Int64  // requests that wait for a place in limits.long or limits.merges
}

// newLimits returns limits with a budget of so many bytes.
func newLimits(bytes int) *limits {
	merges, ofClient := mergePlaces(bytes)
	return &limits{
		quick: make(chan struct{}, maxQuick), long: make(chan struct{}, maxLong), merges: make(chan struct{}, merges), ofClient: ofClient,
		budget: budget{limit: bytes, clients: make(map[string]int)}, clients: make(map[string]*turn),
	}
}

// join returns the turn of a client. The caller must call leave. The turn exists as long as a request of the client has or wants a
// place.
func (l *limits) join(client string) *turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.clients[client]
	if t == nil {
		t = &turn{places: make(chan struct{}, maxQuickClient), merges: make(chan struct{}, l.ofClient)}
		l.clients[client] = t
	}
	t.users++
	return t
}

// leave ends the use of a turn.
func (l *limits) leave(client string, t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(l.clients, client)
	}
}

// work is the part of the limits that one request uses. One goroutine uses it. It begins with a place among the quick
// requests.
type work struct {
	limits *limits       // shared
	client string        // whom the places and the bytes are counted for
	turn   *turn         // of the client if place is quick, or nil
	place  chan struct{} // the list with the request's place, or nil
	// merging is the turn of the client while the request has a place among those that merge summaries, or nil.
	merging *turn
	read    int    // how many records were read
	size    int    // the bytes of these records
	bytes   int    // the bytes of the budget that are in use
	made    func() // to be called when the answer is made: see [server.share]
}

// begin waits for a place among the quick requests, at most quickWait. The caller must call end. The error is a busy, or an
// unavailable when ctx ends.
func (l *limits) begin(ctx context.Context, client string) (*work, error) {
	w := &work{limits: l, client: client}
	if err := w.enter(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// enter waits for a place among the quick requests. The request has no place.
func (w *work) enter(ctx context.Context) error {
	l := w.limits
	t := l.join(w.client)
	end := time.Now().Add(quickWait)
	if !enter(ctx, t.places, end) {
		l.leave(w.client, t)
		return waited(ctx, "quick")
	}
	// The place of the client comes first: a client with too many requests waits here, and not with a place that others need.
	w.turn = t
	if !enter(ctx, l.quick, end) {
		w.rest()
		return waited(ctx, "quick")
	}
	w.place = l.quick
	return nil
}

// enter puts an element into a list of places. It returns false if there was no room until the end, or until ctx ended. The caller
// takes the element out again.
func enter(ctx context.Context, places chan struct{}, end time.Time) bool {
	select {
	case places <- struct{}{}: // the usual case needs no timer
		return true
	default:
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// waited returns the error of a request that did not get a place: that of its own context, or that the service is busy. reason is
// the label of the metric of refused requests.
func waited(ctx context.Context, reason string) error {
	if err := ctx.Err(); err != nil {
		return away(err)
	}
	return busy{what: "other requests are being answered", reason: reason}
}

// add counts records that were read, and their bytes, and moves on: see moveOn.
func (w *work) add(ctx context.Context, records, bytes int) error {
	w.count(records, bytes)
	return w.moveOn(ctx)
}

// count counts records that were read, and their bytes. moveOn and the limit MaxScanned use the sums.
func (w *work) count(records, bytes int) { w.read, w.size = w.read+records, w.size+bytes }

// moveOn makes a request that has read more than quickRecords or quickBytes wait for a place among the long requests. A
// request that has one reads on. The error is a busy, or an unavailable when ctx ends; the request then has no place.
func (w *work) moveOn(ctx context.Context) error {
	if w.read <= quickRecords && w.size <= quickBytes || w.place != w.limits.quick {
		return nil
	}
	return w.makeLong(ctx, true)
}

// makeLong makes the request wait for a place among the long requests if long is true and it has none. The errors are those of moveOn.
func (w *work) makeLong(ctx context.Context, long bool) error {
	if !long || w.place == w.limits.long {
		return nil
	}
	return w.wait(func() error {
		if err := w.limits.enterLong(ctx); err != nil {
			return err
		}
		w.place = w.limits.long
		return nil
	})
}

// share calls f, which waits for work that other requests may have begun. Meanwhile the request has no place. After that, it waits
// for one among the quick requests, also if the error is [record.ErrUnclear]: the request then reads in another way.
func (w *work) share(ctx context.Context, f func() error) error {
	err := w.wait(f)
	if err != nil && !errors.Is(err, record.ErrUnclear) {
		return err
	}
	// An error of enter is returned rather than ErrUnclear, because the request has no place then.
	return cmp.Or(w.enter(ctx), err)
}

// wait gives up the place and calls f, which waits. It returns an error at once if too many requests wait. When it returns, the request
// has a place only if f has taken one. A request that has a place to merge has waited for that, and is not counted again.
func (w *work) wait(f func() error) error {
	w.rest()
	if w.merging != nil {
		return f()
	}
	l := w.limits
	t := l.join(w.client)
	defer l.leave(w.client, t)
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxWaitingClient {
		return busy{what: "other requests of this client with many records or summaries wait", reason: "client_long", client: true}
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > maxWaiting {
		return busy{what: "other requests with many records or summaries wait", reason: "long"}
	}
	return f()
}

// enterLong waits for a place among the long requests. The caller gives it back by leaveLong, or by [work.rest] if it is the place of a
// work. It waits at most longWait.
func (l *limits) enterLong(ctx context.Context) error {
	if !enter(ctx, l.long, time.Now().Add(longWait)) {
		return waited(ctx, "long")
	}
	return nil
}

// leaveLong gives up a place among the long requests.
func (l *limits) leaveLong() { <-l.long }

// grow takes n more bytes of the budget, which end gives back at the latest. The error is a busy, and then nothing was taken.
func (w *work) grow(n int) error {
	if err := w.limits.budget.take(w.client, w.bytes, n); err != nil {
		return err
	}
	w.bytes += n
	return nil
}

// shrink returns n bytes to the budget, or all if the request has fewer.
func (w *work) shrink(n int) {
	n = min(n, w.bytes)
	w.bytes -= n
	w.limits.budget.give(w.client, n)
}

// rest gives up the place, when the request does not read any more.
func (w *work) rest() {
	if w.place != nil {
		<-w.place
		w.place = nil
	}
	if w.turn != nil {
		<-w.turn.places
		w.limits.leave(w.client, w.turn)
		w.turn = nil
	}
}

// end gives back everything. It may be called twice. A request calls it after its answer.
func (w *work) end() {
	w.rest()
	w.endMerge()
	w.shrink(w.bytes)
}
