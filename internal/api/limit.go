package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimited is how many clients a rates object knows at the same time.
const maxLimited = 10_000

// sweepPause is the time between two searches for clients that can be forgotten.
const sweepPause = time.Second

// limited is the error for a client that sends requests too fast.
type limited struct {
	what string        // "token" or "address"
	wait time.Duration // until the next request is allowed
}

// Error does not have the wait, which is in the header Retry-After.
func (e limited) Error() string {
	return "too many requests with this " + e.what
}

// rates limits the requests of each client to a number per second, and allows as many at once after a pause. It is safe
// for concurrent use.
//
// A client has a bucket of tokens: each request takes one of perSecond, and each second puts perSecond back. A client that is not known has
// a full one, so that one whose bucket is full can be forgotten.
type rates struct {
	what      string // for errors
	perSecond int    // 0 for no limit
	now       func() time.Time

	mu      sync.Mutex               // guards the fields below
	clients map[string]*rate.Limiter // at most maxLimited
	swept   time.Time                // when forget was last called
	others  *rate.Limiter            // is shared by further clients while all of these are busy
}

// newRates returns rates that know no client yet. what is the word for a client in errors, and perSecond is 0 for no limit.
func newRates(what string, perSecond int, now func() time.Time) *rates {
	r := &rates{what: what, perSecond: perSecond, now: now, clients: make(map[string]*rate.Limiter)}
	r.others = r.limiter()
	return r
}

// limiter returns the limiter of a new client, who may send perSecond requests at once.
func (r *rates) limiter() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.perSecond), r.perSecond) }

// limited reports whether there is a limit.
func (r *rates) limited() bool { return r.perSecond > 0 }

// allow counts a request of a client, or returns a limited error. A request that is refused takes nothing from the bucket of the client,
// so a client that slows down is answered again soon.
func (r *rates) allow(client string) error {
	if !r.limited() {
		return nil
	}
	now := r.now()
	limiter := r.of(client, now)
	if limiter.AllowN(now, 1) {
		return nil
	}
	missing := 1 - limiter.TokensAt(now)
	return limited{what: r.what, wait: time.Duration(missing / float64(r.perSecond) * float64(time.Second))}
}

// of returns the limiter of a client. If maxLimited clients are known and none can be forgotten, further ones share one limiter.
func (r *rates) of(client string, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.clients[client]; ok {
		return l
	}
	if len(r.clients) >= maxLimited && now.Sub(r.swept) >= sweepPause { // looking at all for each request would be slow
		r.swept = now
		r.forget(now)
	}
	if len(r.clients) >= maxLimited {
		return r.others
	}
	l := r.limiter()
	r.clients[client] = l
	return l
}

// forget removes the clients whose limiters are as good as new ones. It looks at each of them. The caller holds mu.
func (r *rates) forget(now time.Time) {
	for client, l := range r.clients {
		if l.TokensAt(now) >= float64(r.perSecond) {
			delete(r.clients, client)
		}
	}
}
