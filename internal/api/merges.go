package api

import (
	"context"
	"errors"
	"time"
)

// mergeBytes is about how much memory a request needs that merges summaries, beside the records of its answer: the parts of the
// buckets that are read together, and the summaries that are merged.
const mergeBytes = 8 << 20

// Requests that merge summaries have places of their own, for whose memory half of the budget is enough, and half of the share of each
// client. Without these, requests that came at the same time used the whole share at their beginning, and each of them was
// refused when it needed more for its answer. Now they wait before they use memory, and those that have a place get the rest.
func mergePlaces(bytes int) (all, client int) {
	client = max(1, bytes/clientShare/2/mergeBytes)
	return max(client, bytes/4*largeShare/2/mergeBytes), client
}

// beginMerge waits for a place among the requests that merge summaries, and takes their memory. While it waits, the request
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

// enterMerges waits for a place until the end.
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

// waitedToMerge is waited for a request that merges. client is whether all places of its client were in use.
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
