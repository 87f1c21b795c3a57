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
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// Budget bounds the memory of events. Its functions are called concurrently.
type Budget struct {
	// Take returns false, and takes nothing, if there is no room for so many bytes.
	Take func(bytes int) bool
	// Give returns bytes that were taken.
	Give func(bytes int)
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
	// Failed receives the failures of the source. It may be nil. Goroutines of several tables call it.
	Failed func(record.Table, error)
}

// Event is a change of a table. It is shared by all subscribers, who must not change it.
type Event struct {
	// ID is the identity of the event, for [Hub.Subscribe]. Several events can have the same one: those of the buckets that a
	// subscriber has missed have the identity with which it resumed.
	ID string
	// At is when the event was made: what is read after that is at least as new as the event.
	At time.Time
	// Reset means that changes may have been missed, so everything must be read again. The event has no records.
	Reset bool
	// Start is the start of the bucket that has changed. It is zero in an event without a bucket.
	Start time.Time
	// Records are the JSON of all records of the bucket.
	Records []string
	// Large means that the bucket is too large for an event, or that the budget had no room for it. The event then has no
	// records.
	Large bool

	once sync.Once // makes data
	data []byte    // see Data

	give  func(bytes int) // returns size, or nil
	size  int             // what the event takes of the budget
	users atomic.Int64    // subscriptions with the event in their queue, and the hub while it sends the event
}

// eventCost is about how many bytes of memory a record of an event needs in addition to its texts.
const eventCost = 32

// newEvent returns the event of a bucket, which the caller uses. It is Large if the records do not fit into the budget.
func (h *Hub) newEvent(start time.Time, records []string) *Event {
	e := &Event{At: time.Now(), Start: start, Records: records}
	e.users.Store(1)
	if h.budget.Take == nil {
		return e
	}
	for _, text := range records {
		e.size += 2*len(text) + eventCost // the text, and its copy in the data
	}
	if !h.budget.Take(e.size) {
		e.Records, e.Large, e.size = nil, true, 0
		return e
	}
	e.give = h.budget.Give
	return e
}

// Done ends the use of an event by a subscriber. Each subscriber calls it once for each event that it has received, and then
// uses neither the event nor its data. After the last call, the bytes of the records are given back to the budget.
func (e *Event) Done() {
	if e.users.Add(-1) == 0 && e.give != nil {
		e.give(e.size)
	}
}

// Data returns the result of render. It calls the render of one subscriber only, and returns that result to all of them, so
// the functions of all subscribers must return the same bytes. Nobody may change the result.
func (e *Event) Data(render func() []byte) []byte {
	e.once.Do(func() { e.data = render() })
	return e.data
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

// Subscription is the place of one subscriber. One goroutine reads it.
type Subscription struct {
	hub    *Hub
	topic  *topic
	events chan *Event // its capacity is Options.Queue; while the subscription is live, only holders of topic.mu send to it
	err    error       // set before events is closed
	ended  bool        // whether events is closed; guarded by topic.mu
}

// Events returns the channel of the events. It is closed when the subscription ends; Err then returns the reason. Events that
// waited before the end can still be read.
func (s *Subscription) Events() <-chan *Event { return s.events }

// Err returns why the subscription ended: [ErrSlow], [ErrClosed], or [context.Canceled] after Close. It must be called after
// the channel of Events was closed.
func (s *Subscription) Err() error { return s.err }

// Close ends the subscription. It may be called more than once, but only by the goroutine that reads the events. Events that were
// not read are lost, and their memory is given back.
func (s *Subscription) Close() {
	s.hub.leave(s, context.Canceled)
	for e := range s.events {
		e.Done()
	}
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

// topic is one watched table.
//
// It numbers the changes that it sends: the sequence. For a subscriber that resumes, it remembers the sequence of the last change
// of each bucket, not the events. So it needs little memory, and a bucket that has changed often is read and sent once.
type topic struct {
	hub   *Hub
	table record.Table
	epoch string        // the first part of the identity of its events; random, so that those of other topics and runs are not known
	ready chan struct{} // closed when changes are noticed for the first time

	// guarded by hub.mu
	members int       // subscriptions, also those that wait for ready
	left    time.Time // when the last one left

	wake chan struct{} // has an element when pending has grown

	mu       sync.Mutex             // guards the fields below
	pending  map[time.Time]bool     // starts of buckets that have changed and were not read since
	sequence uint64                 // of the last event
	changed  map[time.Time]uint64   // by start, the sequence of the last change; at most Options.Memory of them after forget
	lost     uint64                 // changes up to this one are not remembered; those after it are in changed
	live     map[*Subscription]bool // those that get each event
	closed   bool                   // whether the topic has ended
}

// newTopic returns a topic that nobody watches yet: the caller starts run.
func newTopic(h *Hub, t record.Table) *topic {
	return &topic{
		hub: h, table: t, epoch: strconv.FormatUint(rand.Uint64(), 36), ready: make(chan struct{}), wake: make(chan struct{}, 1),
		pending: make(map[time.Time]bool), changed: make(map[time.Time]uint64), live: make(map[*Subscription]bool),
	}
}

// run watches the table until the hub is closed or nobody has needed the topic for the time Linger.
func (tp *topic) run() {
	defer tp.hub.runs.Done()
	ctx, cancel := context.WithCancel(tp.hub.ctx)
	defer cancel()
	var watcher sync.WaitGroup
	watcher.Go(func() { tp.watch(ctx) })
	tp.deliver(ctx)
	cancel()
	watcher.Wait()
	tp.end()
}

// watch keeps the source watched. After a failure, changes may have been missed, so all subscribers are reset. They are reset when
// the table is watched again, not at the failure: what they read before that could miss a change too.
func (tp *topic) watch(ctx context.Context) {
	var once sync.Once
	for first := true; ctx.Err() == nil; first = false {
		err := tp.hub.source.Watch(ctx, tp.table, func() {
			once.Do(func() { close(tp.ready) })
			if !first {
				tp.reset()
			}
		}, tp.note)
		if ctx.Err() != nil {
			return
		}
		if tp.hub.o.Failed != nil {
			tp.hub.o.Failed(tp.table, err)
		}
		sleep(ctx, tp.hub.o.Retry)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// note adds changed buckets to those that wait to be read. It never blocks for long, because the source waits for it.
func (tp *topic) note(starts []time.Time) {
	tp.mu.Lock()
	for _, start := range starts {
		tp.pending[start.UTC()] = true // equal times of other zones are other keys of a map
	}
	tp.mu.Unlock()
	select {
	case tp.wake <- struct{}{}:
	default:
	}
}

// deliver reads changed buckets and sends them, until ctx ends or the topic is not needed any more. Before it reads them, it waits
// for the time Collect: agents write many series of one bucket one after another.
func (tp *topic) deliver(ctx context.Context) {
	check := time.NewTicker(max(tp.hub.o.Linger/4, time.Millisecond))
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			if tp.retire() {
				return
			}
		case <-tp.wake:
			sleep(ctx, tp.hub.o.Collect)
			tp.sendPending(ctx)
		}
	}
}

// retire removes the topic from the hub if nobody has needed it for the time Linger.
func (tp *topic) retire() bool {
	tp.hub.mu.Lock()
	defer tp.hub.mu.Unlock()
	if tp.members > 0 || tp.left.IsZero() || time.Since(tp.left) < tp.hub.o.Linger {
		return false
	}
	delete(tp.hub.topics, tp.table)
	return true
}

// sendPending reads the buckets that have changed and sends them. It tries those that cannot be read again later, and
// reports the first failure.
func (tp *topic) sendPending(ctx context.Context) {
	tp.mu.Lock()
	pending := tp.pending
	tp.pending = make(map[time.Time]bool)
	tp.mu.Unlock()
	starts := slices.SortedFunc(maps.Keys(pending), time.Time.Compare)
	var failed []time.Time
	for _, start := range starts {
		event, err := tp.hub.read(ctx, tp.table, start)
		if err == nil {
			tp.send(event)
			event.Done()
			continue
		}
		if ctx.Err() == nil && len(failed) == 0 && tp.hub.o.Failed != nil {
			tp.hub.o.Failed(tp.table, err)
		}
		failed = append(failed, start)
	}
	if len(failed) > 0 {
		sleep(ctx, tp.hub.o.Retry)
		tp.note(failed)
	}
}

// send sends a changed bucket to all subscribers. It notes the change and offers the event under one lock, so that a subscriber that
// is admitted meanwhile gets it once: as missed, or as an event.
func (tp *topic) send(event *Event) {
	tp.mu.Lock()
	tp.sequence++
	tp.changed[event.Start] = tp.sequence
	tp.forget()
	event.ID = tp.id(tp.sequence)
	slow := tp.offer(event)
	tp.mu.Unlock()
	for _, s := range slow {
		tp.hub.leave(s, ErrSlow)
	}
}

// reset sends a Reset to all subscribers, and forgets the changes before it.
func (tp *topic) reset() {
	tp.mu.Lock()
	tp.sequence++
	clear(tp.changed)
	tp.lost = tp.sequence
	slow := tp.offer(&Event{ID: tp.id(tp.sequence), At: time.Now(), Reset: true})
	tp.mu.Unlock()
	for _, s := range slow {
		tp.hub.leave(s, ErrSlow)
	}
}

// offer puts an event into the queue of each subscriber and returns those whose queue is full. It does not wait for these, which
// would delay all others. The caller holds mu, and then ends the slow ones without it.
func (tp *topic) offer(event *Event) (slow []*Subscription) {
	for s := range tp.live {
		event.users.Add(1)
		select {
		case s.events <- event:
		default:
			event.Done()
			slow = append(slow, s)
		}
	}
	return slow
}

// forget removes the oldest half of the remembered changes if there are too many. It sorts them, so removing only the oldest one
// would make each event slow. The caller holds mu.
func (tp *topic) forget() {
	if len(tp.changed) <= tp.hub.o.Memory {
		return
	}
	sequences := slices.Sorted(maps.Values(tp.changed))
	tp.lost = sequences[len(sequences)/2]
	maps.DeleteFunc(tp.changed, func(_ time.Time, sequence uint64) bool { return sequence <= tp.lost })
}

// id returns the identity of an event: "<epoch>-<sequence>".
func (tp *topic) id(sequence uint64) string { return tp.epoch + "-" + strconv.FormatUint(sequence, 10) }

// sequenceOf returns the sequence of an identity. It returns false if the identity is not of this topic, or if the topic does
// not remember all changes after it. The caller holds mu.
func (tp *topic) sequenceOf(id string) (uint64, bool) {
	epoch, text, _ := strings.Cut(id, "-")
	sequence, err := strconv.ParseUint(text, 10, 64)
	return sequence, err == nil && epoch == tp.epoch && sequence >= tp.lost && sequence <= tp.sequence
}

// maxResume is how often resume reads buckets that changed while it read the ones before.
const maxResume = 5

// resume gives a subscriber the buckets that have changed since its last event, and then lets it get events. Until then its
// events have the identity of the last one, so that it can resume there again.
//
// The buckets are read without a lock, so others can change meanwhile. It reads these in the next turn. After maxResume turns the
// table changes faster than it can be read, and the subscriber gets a Reset.
func (tp *topic) resume(ctx context.Context, s *Subscription, last string) error {
	since := last
	for range maxResume {
		missed, present, err := tp.admit(s, since)
		if err != nil || len(missed) == 0 {
			return err
		}
		for _, start := range missed {
			event, err := tp.hub.read(ctx, tp.table, start)
			if err != nil {
				return err
			}
			event.ID = last
			s.events <- event // admit has found room for it, and nobody else sends before the subscription is live
		}
		since = present
	}
	_, _, err := tp.admit(s, "lost") // no topic knows this identity
	return err
}

// admit lets a subscriber get events, unless it must first get the buckets that have changed since its last event. It returns
// these, ascending, and the identity of the present. If they are not known, or too many for the queue, the subscriber gets
// a Reset.
func (tp *topic) admit(s *Subscription, last string) (missed []time.Time, present string, err error) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.closed {
		return nil, "", ErrClosed
	}
	present = tp.id(tp.sequence)
	sequence, remembered := tp.sequenceOf(last)
	if remembered {
		for start, changed := range tp.changed {
			if changed > sequence {
				missed = append(missed, start)
			}
		}
		slices.SortFunc(missed, time.Time.Compare)
	}
	room := cap(s.events) - len(s.events) - 1 // one place is for the event of the present
	if len(missed) > 0 && len(missed) <= room {
		return missed, present, nil
	}
	tp.live[s] = true
	s.events <- &Event{ID: present, At: time.Now(), Reset: last != "" && (!remembered || len(missed) > 0)}
	return nil, present, nil
}

// remove ends a subscription and returns false if it has ended already.
func (tp *topic) remove(s *Subscription, reason error) bool {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	delete(tp.live, s)
	s.err = reason
	close(s.events)
	return true
}

// end ends all subscriptions of a topic that is not watched any more.
func (tp *topic) end() {
	tp.mu.Lock()
	tp.closed = true
	live := slices.Collect(maps.Keys(tp.live))
	tp.mu.Unlock()
	for _, s := range live {
		tp.hub.leave(s, ErrClosed)
	}
}
