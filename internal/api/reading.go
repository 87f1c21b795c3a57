package api

import (
	"context"
	"time"
)

// reading is one reading of Redis whose result several requests share. Its results are set before done is closed.
//
// Unlike a flight, its result is kept while it can be used, and no caller can cancel it: it costs little, and the next request
// needs it too.
type reading[T any] struct {
	at   time.Time     // when the reading began
	done chan struct{} // closed at its end; nothing is sent on it

	value    T
	err      error
	panicked any // the value of a panic, or nil
}

// read begins a reading, which ends within the timeout. The end of ctx does not end it, because other requests may wait for it. A
// panic of from is kept for those who wait. at is the time just before, by the clock of the service.
func read[T any](ctx context.Context, at time.Time, timeout time.Duration, from func(context.Context) (T, error)) *reading[T] {
	r := &reading[T]{at: at, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer func() { r.panicked = recover() }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		r.value, r.err = from(ctx)
	}()
	return r
}

// ended reports whether the reading does not run any more.
func (r *reading[T]) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// usable reports whether the reading is still running, or has succeeded and began less than age before now. A reading that began
// after now is not usable: the clock was put back.
func (r *reading[T]) usable(now time.Time, age time.Duration) bool {
	return !r.ended() || r.err == nil && r.panicked == nil && now.Sub(r.at) < age && !now.Before(r.at)
}

// wait returns the result, or an error when ctx ends, while the reading continues for other requests. All who wait get the same
// value, so they do not change it. Errors are wrapped by [away].
func (r *reading[T]) wait(ctx context.Context) (value T, err error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		return value, away(ctx.Err())
	}
	if r.panicked != nil {
		panic(r.panicked) // in the goroutine of the request, whose handler answers with a problem
	}
	return r.value, away(r.err)
}
