package api

import (
	"context"
	"net/http"
	"sync"

	"github.com/telegraf-describe/telegraf-describe/internal/rendered"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// answersInMaking are the answers that are being made now. The same request at the same time waits for one instead of making it
// too. It is safe for concurrent use.
//
// A channel of running is closed, and removed, when the answer is kept or is known not to be. Those that wait for it get no result from here:
// they look for the kept answer.
type answersInMaking struct {
	mu      sync.Mutex // guards the field below
	running map[rendered.Key]chan struct{}
}

// begin begins an answer, and returns the function that ends its making, which may be called twice. If the answer is being made
// already, it returns a channel that is closed at its end.
func (m *answersInMaking) begin(key rendered.Key) (end func(), other <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if running, ok := m.running[key]; ok {
		return nil, running
	}
	if m.running == nil {
		m.running = make(map[rendered.Key]chan struct{})
	}
	made := make(chan struct{})
	m.running[key] = made
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.running, key)
		close(made)
	}), nil
}

// share lets requests for the same answer share its making: the first one that has a place makes it, and gets a function that it
// calls when the answer is kept, or is known not to be. The others give up their places, wait for that, and are answered with the
// kept answer. A request whose answer was not kept, or has changed meanwhile, takes a place again and makes it too: it waits only
// once, so that clients who leave cannot delay others much.
//
// The caller calls end, unless the answer was sent or there is an error. For two equal requests at the same time:
//
//	first    a place ─▶ begin: none runs ─▶ makes the answer ─▶ rendered.Put ─▶ end ─▶ sends it
//	second   a place ─▶ begin: it runs ─▶ gives the place up, waits ──────────────┘ ─▶ sends the kept answer
//
// ctx has the deadline of the request, and w is its exchange. The error is an unavailable when ctx ends, or a busy without a place.
func (s *server) share(ctx context.Context, w http.ResponseWriter, r *http.Request, grant token.Grant, work *work) (end func(), sent bool, err error) {
	if !s.rendered.Fits(1) {
		return func() {}, false, nil // no answer is kept
	}
	x, key := w.(*exchange), keyOf(r)
	made, other := s.inMaking.begin(key)
	if other == nil {
		making := false
		defer func() {
			if !making {
				made() // also if isCurrent panics
			}
		}()
		x.kept = s.rendered.Get(key) // another request may have made it while this one waited for its place
		if x.kept == nil || !s.isCurrent(ctx, x.kept.Value, grant, s.Now()) {
			making = true
			return made, false, nil
		}
		made() // before this client has read the answer
	} else {
		work.rest()
		select {
		case <-other:
			x.kept = s.rendered.Get(key)
		case <-ctx.Done():
			return nil, false, away(ctx.Err())
		}
	}
	if sent, err = s.sendKept(x, r, grant, s.Now()); sent || err != nil {
		return nil, sent, err
	}
	// The answer was not kept, or is not right for this request. A request that has waited has no place.
	if work.place == nil {
		err = work.enter(ctx)
	}
	return func() {}, false, err
}
