package stream

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

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

	unwatched, unread atomic.Bool // whether the last Watch, or the last reading of a bucket, has failed

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
			tp.works(&tp.unwatched)
		}, tp.note)
		if ctx.Err() != nil {
			return
		}
		tp.fails(&tp.unwatched, err)
		sleep(ctx, tp.hub.o.Retry)
	}
}

// fails notes and reports a failure. part is one of unwatched and unread.
func (tp *topic) fails(part *atomic.Bool, err error) {
	part.Store(true)
	if tp.hub.o.Failed != nil {
		tp.hub.o.Failed(tp.table, err)
	}
}

// works notes that a part works. It reports that if the part had failed and the other one works too.
func (tp *topic) works(part *atomic.Bool) {
	if part.Swap(false) && !tp.unwatched.Load() && !tp.unread.Load() && tp.hub.o.Recovered != nil {
		tp.hub.o.Recovered(tp.table)
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
		if ctx.Err() == nil && len(failed) == 0 {
			tp.fails(&tp.unread, err)
		}
		failed = append(failed, start)
	}
	if len(failed) > 0 {
		sleep(ctx, tp.hub.o.Retry)
		tp.note(failed)
		return
	}
	tp.works(&tp.unread)
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
	tp.works(&tp.unread)
	tp.works(&tp.unwatched)
}
