// Package stream sends the changed buckets of tables to many subscribers.
//
//	Source.Watch ─▶ topic of a table ─ collect for a moment, read each changed bucket once ─▶ queue of each Subscription
//
// A topic exists while a table has subscribers, and for a while after the last one has left, so that a subscriber whose
// connection broke can resume. Each event has an identity. A subscriber that gives the identity of its last event gets the
// buckets that have changed since; if the topic does not remember these any more, it gets the event Reset instead.
//
// Everything is bounded. The subscription of a client that does not read its events fast enough ends with [ErrSlow]. The
// records of events that wait are counted in a [Budget]; an event for which it has no bytes left is sent without records.
//
// An event has the whole bucket as it was read, not its change. So events of one bucket may be lost, joined or sent twice, as long
// as one is sent after the last change.
//
// # Goroutines
//
// A topic has two: watch notes changes, and deliver reads buckets and sends them. They end when the topic is retired or the hub
// is closed. Subscribers have none here. [Hub.mu] and [topic.mu] are never held at the same time.
package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

var (
	// ErrSlow is the error of a subscription whose queue was full.
	ErrSlow = errors.New("the client reads more slowly than buckets change")
	// ErrFull is returned by [Hub.Subscribe] if there are too many subscribers or watched tables.
	ErrFull = errors.New("too many streams")
	// ErrLarge is the error of [Source.Bucket] for a bucket that is too large for an event.
	ErrLarge = errors.New("the bucket is too large for an event")
	// ErrClosed is the error of subscriptions after [Hub.Close].
	ErrClosed = errors.New("the service ends")
)

// Source has the tables. Its methods are called concurrently: Watch once for each watched table, and Bucket for a few
// buckets.
type Source interface {
	// Watch calls changed with the starts of buckets whenever an agent has written them, until ctx ends or the connection
	// breaks, and returns the reason. It calls ready once, when no later change can be missed. The functions do not block,
	// and changed does not keep starts.
	Watch(ctx context.Context, t record.Table, ready func(), changed func(starts []time.Time)) error
	// Bucket returns the JSON of the records of a bucket, none if it has expired. The error wraps [ErrLarge] for a bucket that
	// is too large for an event. The hub keeps the slice.
	Bucket(ctx context.Context, t record.Table, start time.Time) ([]string, error)
}

// Options bound a hub. Every number and every duration is above zero.
type Options struct {
	// Subscribers is the largest number of subscriptions, and Tables that of watched tables.
	Subscribers, Tables int
	// Queue is the largest number of events that wait for one subscriber, 2 or more.
	Queue int
	// Memory is how many changed buckets a topic remembers for subscribers that resume.
	Memory int
	// Collect is how long changes are collected after the first one, before the buckets are read.
	Collect time.Duration
	// Linger is how long a table is watched after its last subscriber has left.
	Linger time.Duration
	// Retry is how long to wait after a failure of the source.
	Retry time.Duration
	// Failed receives the failures of the source, and Recovered is called when a table of which there were some is watched and read
	// again, or is not watched any more. They may be nil. Goroutines of several tables call them, and two of each table.
	Failed    func(record.Table, error)
	Recovered func(record.Table)
}

// Hub is the set of topics. It is safe for concurrent use.
type Hub struct {
	source Source
	o      Options

	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	runs   sync.WaitGroup // of the topics
	budget Budget         // its Take is nil without a bound
	reads  chan struct{}  // holds an element for each bucket that is being read

	mu     sync.Mutex // guards the fields below, and members and left of the topics
	topics map[record.Table]*topic
	count  int // subscriptions, also those that wait in Subscribe
}

// New returns a hub. The caller closes it.
func New(source Source, o Options) *Hub {
	h := &Hub{source: source, o: o, reads: make(chan struct{}, maxReads), topics: make(map[record.Table]*topic)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// UseBudget sets the budget of the events. It must be called before the first subscription. Without it, they have no bound but
// their number.
func (h *Hub) UseBudget(b Budget) { h.budget = b }

// Close ends all subscriptions with [ErrClosed] and waits until no source is used any more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.stop() // join begins no run after that
	h.mu.Unlock()
	h.runs.Wait()
}

// maxReads is how many buckets of all tables are read at the same time. It bounds the memory of buckets before their events are
// counted in the budget.
const maxReads = 4

// read reads a bucket and returns its event, which has no identity yet. The caller uses the event, and so must call its Done or hand
// that duty on. A bucket that is too large is no error.
func (h *Hub) read(ctx context.Context, t record.Table, start time.Time) (*Event, error) {
	select {
	case h.reads <- struct{}{}:
		defer func() { <-h.reads }()
		records, err := h.source.Bucket(ctx, t, start)
		switch {
		case errors.Is(err, ErrLarge):
			e := h.newEvent(start, nil)
			e.Large = true
			return e, nil
		case err != nil:
			return nil, err
		}
		return h.newEvent(start, records), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Limit returns the largest number of subscriptions.
func (h *Hub) Limit() int { return h.o.Subscribers }

// Subscribers returns the number of subscriptions.
func (h *Hub) Subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// Subscribe begins a subscription to a table. last is the identity of the last event of an earlier subscription, or empty.
// The first events are the buckets that have changed since then. Then comes an event without records, whose identity is that
// of the present: what a client reads after it is at least as new. It is a Reset if the changes since last are not known.
//
// It waits until the table is watched, or ctx ends. So each change after the return becomes an event, or a Reset follows. The
// caller closes the subscription. The error wraps [ErrFull] or [ErrClosed], or is that of ctx or of [Source.Bucket].
func (h *Hub) Subscribe(ctx context.Context, t record.Table, last string) (*Subscription, error) {
	tp, s, err := h.join(t)
	if err != nil {
		return nil, err
	}
	select {
	case <-tp.ready:
	case <-ctx.Done():
		s.Close()
		return nil, ctx.Err()
	case <-h.ctx.Done():
		s.Close()
		return nil, ErrClosed
	}
	if err := tp.resume(ctx, s, last); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// join makes a subscription that gets no events yet, and begins to watch the table unless it is watched.
func (h *Hub) join(t record.Table) (*topic, *Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tp := h.topics[t]
	switch {
	case h.ctx.Err() != nil:
		return nil, nil, ErrClosed
	case h.count >= h.o.Subscribers:
		return nil, nil, fmt.Errorf("%w: %d are open", ErrFull, h.count)
	case tp == nil && len(h.topics) >= h.o.Tables:
		return nil, nil, fmt.Errorf("%w: %d tables are watched", ErrFull, len(h.topics))
	}
	if tp == nil {
		tp = newTopic(h, t)
		h.topics[t] = tp
		h.runs.Add(1)
		go tp.run()
	}
	h.count++
	tp.members++
	tp.left = time.Time{}
	return tp, &Subscription{hub: h, topic: tp, events: make(chan *Event, h.o.Queue)}, nil
}

// leave ends a subscription, unless it has ended. The caller holds no mutex.
func (h *Hub) leave(s *Subscription, reason error) {
	if !s.topic.remove(s, reason) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count--
	s.topic.members--
	if s.topic.members == 0 {
		s.topic.left = time.Now()
	}
}
