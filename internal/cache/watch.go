package cache

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// watchQuiet is how long a watch waits for a message before it asks Redis for an answer. If that does not come within the
// timeout of the client, the connection counts as broken: the host may be unreachable, and another server may have taken over.
const watchQuiet = 2 * time.Second

// Watch calls changed with the starts of the table's buckets whenever a writer has changed them, until ctx ends or the
// connection breaks, and returns the reason, which is never nil. It calls ready once, before the first change that it
// reports and when it can miss none any more. It calls both in its own goroutine.
func (r *Reader) Watch(ctx context.Context, t record.Table, ready func(), changed func(starts []time.Time)) error {
	return r.watch(ctx, t, watchQuiet, ready, changed)
}

// watch is Watch with the time quiet in place of watchQuiet.
//
//	quiet without a message ─▶ PING ─▶ any message within the timeout ─▶ quiet again
//	                                   none ─▶ the connection is broken
func (r *Reader) watch(ctx context.Context, t record.Table, quiet time.Duration, ready func(), changed func(starts []time.Time)) error {
	sub := r.client.Subscribe(ctx, channel(t))
	defer func() { _ = sub.Close() }()
	// A Receive that waits does not end with ctx, but with its connection.
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	asked := false // whether a PING was sent after the last message
	for {
		wait := quiet
		if asked {
			wait = readTimeout(r.client)
		}
		message, err := sub.ReceiveTimeout(ctx, wait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch m := message.(type) {
		case *redis.Subscription:
			ready()
		case *redis.Message:
			changed(changedStarts(m.Payload))
		}
		var timeout net.Error
		switch {
		case err == nil:
			asked = false
		case asked || !errors.As(err, &timeout) || !timeout.Timeout():
			return err
		default:
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		}
	}
}

// readTimeout returns the time within which a client expects an answer.
func readTimeout(client redis.UniversalClient) time.Duration {
	const usual = 3 * time.Second // the client's own default
	timeout := time.Duration(0)
	switch c := client.(type) {
	case *redis.ClusterClient:
		timeout = c.Options().ReadTimeout
	case interface{ Options() *redis.Options }: // a single server, one address of a cluster, or the primary of Sentinels
		timeout = c.Options().ReadTimeout
	}
	if timeout <= 0 {
		return usual
	}
	return timeout
}

// changedStarts returns the starts in a message of a writer, which are the startTexts with a space between them. It skips other words.
func changedStarts(payload string) (starts []time.Time) {
	for text := range strings.SplitSeq(payload, " ") {
		if start, err := parseStart(text); err == nil {
			starts = append(starts, start)
		}
	}
	return starts
}
