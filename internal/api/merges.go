package api

import (
	"context"
	"errors"
	"time"
)

// mergeBytes is about how much memory a request needs that merges summaries, beside the records of its answer: the parts of the
// buckets that are read together, and the summaries that are merged.
const mergeBytes = 8 << 20

// mergePlaces returns how many requests may merge summaries at the same time, of all clients and of one, with a budget of so many bytes.
// Each needs mergeBytes. Together they take at most half of what large answers may use, and those of one client half of its share; there
// is at least one place. The rest is for their answers. Without these places, requests that arrive together would use all the memory at
// their beginning, and each of them would be refused when it needs more for its answer.
func mergePlaces(bytes int) (all, client int) {
	client = max(1, bytes/clientShare/2/mergeBytes)
	return max(client, bytes/4*largeShare/2/mergeBytes), client
}

// beginMerge waits for a place among the requests that merge summaries, and takes mergeBytes of the budget. While it waits, the request
// has no place among those that read. The caller must call endMerge, or end.
func (w *work) beginMerge(ctx context.Context) error {
	err := w.enterMerges(ctx, time.Now())
	if errors.As(err, new(busy)) {
		err = w.share(ctx, func() error { return w.enterMerges(ctx, time.Now().Add(longWait)) })
	}
	if err != nil {
		return err
	}
	return w.grow(mergeBytes)
}

// enterMerges waits until the time end for a place of the client and then for one of all. With an error, the request has neither.
func (w *work) enterMerges(ctx context.Context, end time.Time) error {
	l := w.limits
	t := l.join(w.client)
	if !enter(ctx, t.merges, end) {
		l.leave(w.client, t)
		return waitedToMerge(ctx, true)
	}
	if !enter(ctx, l.merges, end) {
		<-t.merges
		l.leave(w.client, t)
		return waitedToMerge(ctx, false)
	}
	w.merging = t
	return nil
}

// waitedToMerge returns the error of a request that got no place to merge, as waited does for the other places. client is whether all
// places of its client were in use.
func waitedToMerge(ctx context.Context, client bool) error {
	if err := ctx.Err(); err != nil {
		return away(err)
	}
	if client {
		return busy{what: "other requests of this client merge summaries", reason: "client_merges", client: true}
	}
	return busy{what: "other requests merge summaries", reason: "merges"}
}

// endMerge gives back the place and the memory of beginMerge, if the request has them.
func (w *work) endMerge() {
	if w.merging == nil {
		return
	}
	w.shrink(mergeBytes)
	<-w.limits.merges
	<-w.merging.merges
	w.limits.leave(w.client, w.merging)
	w.merging = nil
}
