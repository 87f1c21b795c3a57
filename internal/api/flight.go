package api

import (
	"context"
	"sync"
	"time"
)

// flights shares work among the requests that want the same at the same time: the first one begins it, and the others wait for its
// result. It is safe for concurrent use.
type flights[K comparable, T any] struct {
	timeout time.Duration // bounds the time of one flight
	free    func(T)       // called with the value of a flight when no request uses it any more, unless it is nil
	lasting bool          // whether a flight runs to its end also if no request uses it any more

	mu      sync.Mutex       // guards the field below, and users and ended of each flight
	running map[K]*flight[T] // nil until the first
}

// flight is work that requests share. Its results are set before done is closed.
//
//	join ─▶ run, in a goroutine of its own ─▶ end ─▶ done is closed ─▶ every user reads the results ─▶ leave
//	          └ no users any more, unless lasting: cancel ─▶ run returns soon, and nobody reads the results
//
// A flight is in running until it ends or nobody uses it. A request that comes after that begins another one. One that comes while it runs
// shares the result, parts of which may have been read before it came.
type flight[T any] struct {
	users  int                // requests between join and leave; one more while a lasting one runs
	ended  bool               // whether the work has ended
	cancel context.CancelFunc // ends the context of run
	done   chan struct{}      // closed when the work has ended; nothing is sent on it

	value    T
	err      error
	panicked any // the value of a panic, or nil
}

// do waits for the running flight of that key, or begins one by calling run. It returns the result, and whether this call began the
// flight. When ctx ends, do returns the reason, and the flight continues for the other callers. The context of run ends when no caller
// waits any more.
func (f *flights[K, T]) do(ctx context.Context, key K, run func(context.Context) (T, error)) (value T, first bool, err error) {
	l, first := f.join(ctx, key, run)
	defer f.leave(key, l)
	value, err = l.wait(ctx)
	return value, first, err
}

// wait returns the result of a flight, or the reason when ctx ends before.
func (l *flight[T]) wait(ctx context.Context) (value T, err error) {
	select {
	case <-l.done:
	case <-ctx.Done():
		return value, ctx.Err()
	}
	if l.panicked != nil {
		panic(l.panicked) // in the goroutine of the request, whose handler answers with a problem
	}
	return l.value, l.err
}

// join returns the flight of that key that is running, or begins one. The caller must call leave when it does not use the result any
// more.
func (f *flights[K, T]) join(ctx context.Context, key K, run func(context.Context) (T, error)) (l *flight[T], first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l = f.running[key]
	if l == nil {
		first = true
		// The context has the values of that of the first request, but does not end with it, because other requests may wait too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.timeout)
		l = &flight[T]{cancel: cancel, done: make(chan struct{})}
		if f.running == nil {
			f.running = make(map[K]*flight[T])
		}
		f.running[key] = l
		if f.lasting {
			l.users++ // the goroutine, which leaves at the end
		}
		go func() {
			// These run in the opposite order: a panic is kept, later requests begin another flight, the users get the result, and the
			// timer is stopped.
			defer cancel()
			if f.lasting {
				defer f.leave(key, l)
			}
			defer close(l.done)
			defer f.end(key, l)
			defer func() { l.panicked = recover() }()
			l.value, l.err = run(ctx)
		}()
	}
	l.users++
	return l, first
}

// leave ends the use of a flight by a request. If it was the last one, the work is canceled. It must be called once for each join,
// also if the wait for the result has failed.
func (f *flights[K, T]) leave(key K, l *flight[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.users--; l.users == 0 {
		l.cancel()
		f.forget(key, l)
		f.release(l)
	}
}

// end notes that the work has ended. The next request begins another flight.
func (f *flights[K, T]) end(key K, l *flight[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.ended = true
	f.forget(key, l)
	f.release(l)
}

// forget removes a flight from those that are running, if it is still one of them. The caller holds mu.
func (f *flights[K, T]) forget(key K, l *flight[T]) {
	if f.running[key] == l {
		delete(f.running, key)
	}
}

// release calls free if the flight has a value that no request uses any more. The end of the work and the last leave come in any
// order; the later one of them calls free. The caller holds mu.
func (f *flights[K, T]) release(l *flight[T]) {
	if f.free != nil && l.ended && l.users == 0 && l.err == nil && l.panicked == nil {
		f.free(l.value)
	}
}
