package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stream"
)

var cpu = record.Table{Database: "db", Name: "analytics_cpu"}

// source is a Source whose buckets have one record, which counts the writes.
type source struct {
	mu      sync.Mutex
	writes  map[time.Time]int
	watches map[record.Table]func([]time.Time)
	broken  chan struct{} // closed to break the watches
	fail    atomic.Int64  // how many reads fail
	reads   atomic.Int64
	began   atomic.Int64
}

func newSource() *source {
	return &source{writes: make(map[time.Time]int), watches: make(map[record.Table]func([]time.Time)), broken: make(chan struct{})}
}

func (s *source) Watch(ctx context.Context, t record.Table, ready func(), changed func([]time.Time)) error {
	s.mu.Lock()
	s.watches[t] = changed
	broken := s.broken
	s.mu.Unlock()
	s.began.Add(1)
	ready()
	select {
	case <-ctx.Done():
	case <-broken:
	}
	s.mu.Lock()
	delete(s.watches, t)
	s.mu.Unlock()
	return errors.New("the watch has ended")
}

func (s *source) Bucket(_ context.Context, _ record.Table, start time.Time) ([]string, error) {
	s.reads.Add(1)
	if start.Unix() == large {
		return nil, fmt.Errorf("read: %w", stream.ErrLarge)
	}
	if s.fail.Add(-1) >= 0 {
		return nil, errors.New("no answer")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return []string{strconv.Itoa(s.writes[start])}, nil
}

// isIn reports whether the newest state of every bucket was seen.
func (s *source) isIn(seen map[time.Time]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for start, n := range s.writes {
		if seen[start] != strconv.Itoa(n) {
			return false
		}
	}
	return true
}

// large is the start of a bucket that is too large for an event.
const large = 1_000_000

// write changes buckets.
func (s *source) write(seconds ...int64) {
	var starts []time.Time
	s.mu.Lock()
	for _, at := range seconds {
		start := time.Unix(at, 0).UTC()
		s.writes[start]++
		starts = append(starts, start)
	}
	changed := s.watches[cpu]
	s.mu.Unlock()
	if changed != nil {
		changed(starts)
	}
}

// breakWatches ends all watches with an error.
func (s *source) breakWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.broken)
	s.broken = make(chan struct{})
}

func hub(t *testing.T, s stream.Source, edit func(*stream.Options)) *stream.Hub {
	t.Helper()
	o := stream.Options{Subscribers: 100, Tables: 2, Queue: 10, Memory: 5, Collect: time.Millisecond, Linger: time.Hour, Retry: time.Millisecond}
	if edit != nil {
		edit(&o)
	}
	h := stream.New(s, o)
	t.Cleanup(h.Close)
	return h
}

func subscribe(t *testing.T, h *stream.Hub, last string) *stream.Subscription {
	t.Helper()
	s, err := h.Subscribe(t.Context(), cpu, last)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// patience is how long the tests wait for an event. A machine that does other work can stand still for many seconds.
const patience = 2 * time.Minute

// next returns the next event of a subscription as text, and its identity.
func next(t *testing.T, s *stream.Subscription) (text, id string) {
	t.Helper()
	select {
	case e, ok := <-s.Events():
		require.True(t, ok, "the subscription has ended: %v", s)
		if e.Start.IsZero() {
			return map[bool]string{true: "reset", false: "present"}[e.Reset], e.ID
		}
		return fmt.Sprintf("%d%v", e.Start.Unix(), e.Records), e.ID
	case <-time.After(patience):
		require.Fail(t, "no event")
		return "", ""
	}
}

func want(t *testing.T, s *stream.Subscription, events ...string) (id string) {
	t.Helper()
	for _, event := range events {
		var text string
		text, id = next(t, s)
		require.Equal(t, event, text)
	}
	return id
}

func TestSubscribersGetChangedBuckets(t *testing.T) {
	t.Parallel()
	src := newSource()
	h := hub(t, src, nil)
	a, b := subscribe(t, h, ""), subscribe(t, h, "")
	want(t, a, "present")
	want(t, b, "present")
	src.write(60, 0)
	want(t, a, "0[1]", "60[1]")
	want(t, b, "0[1]", "60[1]")
	require.Equal(t, int64(2), src.reads.Load(), "a bucket is read once for all subscribers")
	src.write(60)
	want(t, a, "60[2]")
	a.Close()
	a.Close()
	_, open := <-a.Events()
	require.False(t, open)
	require.ErrorIs(t, a.Err(), context.Canceled)
	want(t, b, "60[2]")
	require.Equal(t, 1, h.Subscribers())
}

func TestASubscriberResumesAfterItsLastEvent(t *testing.T) {
	t.Parallel()
	src := newSource()
	h := hub(t, src, nil)
	live, lost := subscribe(t, h, ""), subscribe(t, h, "")
	want(t, live, "present")
	last := want(t, lost, "present")
	lost.Close()
	src.write(60)
	want(t, live, "60[1]")
	src.write(60, 120)
	want(t, live, "60[2]", "120[1]")
	again := subscribe(t, h, last)
	text, id := next(t, again)
	require.Equal(t, []string{"60[2]", last}, []string{text, id}, "until the present, a break loses nothing")
	last = want(t, again, "120[1]", "present")
	again.Close()
	want(t, subscribe(t, h, last), "present")
	for i := range int64(8) { // more than are remembered
		src.write(i)
		want(t, live, fmt.Sprint(i, "[1]"))
	}
	want(t, subscribe(t, h, last), "reset")
	for _, wrong := range []string{"x", "x-1", "-", last + "9"} {
		want(t, subscribe(t, h, wrong), "reset")
	}
}

func TestMoreMissedBucketsThanTheQueueHoldsAreAReset(t *testing.T) {
	t.Parallel()
	src := newSource()
	h := hub(t, src, func(o *stream.Options) { o.Queue, o.Memory = 4, 100 })
	live := subscribe(t, h, "")
	last := want(t, live, "present")
	for i := range int64(4) {
		src.write(i)
		want(t, live, fmt.Sprint(i, "[1]"))
		if i == 0 {
			continue
		}
		resumed := subscribe(t, h, last)
		if i < 3 {
			want(t, resumed, "0[1]", "1[1]")
		} else {
			want(t, resumed, "reset")
		}
	}
}

func TestASlowSubscriberIsDropped(t *testing.T) {
	t.Parallel()
	src := newSource()
	h := hub(t, src, nil)
	slow, quick := subscribe(t, h, ""), subscribe(t, h, "")
	want(t, quick, "present")
	for i := range int64(10) {
		src.write(i)
		want(t, quick, fmt.Sprint(i, "[1]"))
	}
	n := 0
	for range slow.Events() {
		n++
	}
	require.Equal(t, 10, n, "what was queued is still read")
	require.ErrorIs(t, slow.Err(), stream.ErrSlow)
	require.Eventually(t, func() bool { return h.Subscribers() == 1 }, patience, time.Millisecond, "the events end before the place is free")
	src.write(99)
	want(t, quick, "99[1]")
}

func TestABrokenWatchResetsSubscribers(t *testing.T) {
	t.Parallel()
	src := newSource()
	var failures atomic.Int64
	recovered := make(chan record.Table, 10)
	h := hub(t, src, func(o *stream.Options) {
		o.Failed = func(record.Table, error) { failures.Add(1) }
		o.Recovered = func(t record.Table) { recovered <- t }
	})
	s := subscribe(t, h, "")
	last := want(t, s, "present")
	src.breakWatches()
	want(t, s, "reset")
	require.Equal(t, int64(1), failures.Load())
	src.write(60)
	want(t, s, "60[1]")
	require.Equal(t, cpu, <-recovered) // it comes after the reset
	want(t, subscribe(t, h, last), "reset")
	require.Empty(t, recovered)
}

func TestABucketThatCannotBeReadIsReadAgain(t *testing.T) {
	t.Parallel()
	src := newSource()
	recovered := make(chan record.Table, 10)
	h := hub(t, src, func(o *stream.Options) { o.Recovered = func(t record.Table) { recovered <- t } })
	s := subscribe(t, h, "")
	last := want(t, s, "present")
	src.fail.Store(3) // both, and the first one again, which does not hold up the other
	src.write(0, 60)
	want(t, s, "60[1]", "0[1]")
	require.Equal(t, cpu, <-recovered)
	src.fail.Store(1)
	_, err := h.Subscribe(t.Context(), cpu, last)
	require.EqualError(t, err, "no answer")
	require.Equal(t, 1, h.Subscribers())
}

func TestABucketThatIsTooLargeIsAnEventWithoutRecords(t *testing.T) {
	t.Parallel()
	src := newSource()
	s := subscribe(t, hub(t, src, nil), "")
	want(t, s, "present")
	src.write(large)
	e := <-s.Events()
	require.Equal(t, []any{int64(large), true}, []any{e.Start.Unix(), e.Large})
	require.Empty(t, e.Records)
}

// budget is a Budget that counts.
type budget struct {
	mu          sync.Mutex
	most, taken int
}

func (b *budget) Take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken+n > b.most {
		return false
	}
	b.taken += n
	return true
}

func (b *budget) Give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
}

func (b *budget) now() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

// Events that wait take memory of the budget, each once for all subscribers. Beyond it, they have no records.
func TestMemoryOfWaitingEventsIsBounded(t *testing.T) {
	t.Parallel()
	s, b := newSource(), &budget{most: 110} // an event of one character takes 34
	h := hub(t, s, nil)
	h.UseBudget(stream.Budget{Take: b.Take, Give: b.Give})
	slow, other, gone := subscribe(t, h, ""), subscribe(t, h, ""), subscribe(t, h, "")
	want(t, other, "present")
	large := 0
	for i := range 4 {
		s.write(int64(60 * i))
		e := <-other.Events()
		if e.Large {
			require.Empty(t, e.Records)
			large++
		}
		e.Done()
	}
	require.Equal(t, 1, large)
	require.Equal(t, 102, b.now())
	gone.Close()
	require.Equal(t, 102, b.now())
	want(t, slow, "present")
	(<-slow.Events()).Done()
	require.Equal(t, 68, b.now())
	slow.Close()
	require.Zero(t, b.now())
}

func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	src := newSource()
	h := hub(t, src, func(o *stream.Options) { o.Subscribers, o.Tables = 2, 1 })
	a := subscribe(t, h, "")
	_, err := h.Subscribe(t.Context(), record.Table{Database: "db", Name: "other"}, "")
	require.ErrorIs(t, err, stream.ErrFull)
	subscribe(t, h, "")
	_, err = h.Subscribe(t.Context(), cpu, "")
	require.ErrorIs(t, err, stream.ErrFull)
	a.Close()
	subscribe(t, h, "")
}

func TestATableIsWatchedForAWhileAfterItsLastSubscriber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		h := hub(t, src, func(o *stream.Options) { o.Linger = time.Minute })
		watched := func() int {
			synctest.Wait()
			src.mu.Lock()
			defer src.mu.Unlock()
			return len(src.watches)
		}
		subscribe(t, h, "").Close()
		time.Sleep(time.Minute - time.Second)
		require.Equal(t, 1, watched())
		subscribe(t, h, "").Close()
		time.Sleep(time.Minute - time.Second)
		require.Equal(t, 1, watched())
		require.Equal(t, int64(1), src.began.Load())
		time.Sleep(time.Minute) // it is looked at four times in a minute
		require.Zero(t, watched())
		s := subscribe(t, h, "")
		want(t, s, "present")
		src.write(60)
		want(t, s, "60[1]")
		require.Equal(t, int64(2), src.began.Load())
	})
}

func TestAHubMayBeClosedWhileClientsCome(t *testing.T) {
	t.Parallel()
	h := hub(t, newSource(), nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if s, err := h.Subscribe(context.Background(), cpu, ""); err == nil {
				s.Close()
			}
		})
	}
	h.Close()
	all.Wait()
	require.Zero(t, h.Subscribers())
}

// noWatch is a source that never becomes ready.
type noWatch struct{ *source }

func (noWatch) Watch(ctx context.Context, _ record.Table, _ func(), _ func([]time.Time)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestSubscribeWaitsUntilTheTableIsWatched(t *testing.T) {
	t.Parallel()
	h := hub(t, noWatch{newSource()}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := h.Subscribe(ctx, cpu, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, h.Subscribers())
}

func TestCloseEndsAllSubscriptions(t *testing.T) {
	t.Parallel()
	h := hub(t, newSource(), nil)
	s := subscribe(t, h, "")
	want(t, s, "present")
	h.Close()
	_, open := <-s.Events()
	require.False(t, open)
	require.ErrorIs(t, s.Err(), stream.ErrClosed)
	_, err := h.Subscribe(t.Context(), cpu, "")
	require.ErrorIs(t, err, stream.ErrClosed)
}

// Subscribers that come, go and resume while buckets change have seen the newest state of every bucket in the end.
func TestNoChangeIsMissed(t *testing.T) {
	t.Parallel()
	src := newSource()
	h := hub(t, src, func(o *stream.Options) { o.Queue, o.Memory, o.Collect = 64, 64, 100*time.Microsecond })
	const buckets, rounds = 20, 400
	done := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 8 {
		readers.Go(func() {
			seen, last, resets := make(map[time.Time]string), "", 0
			finished := false
			for turn := 0; !finished; turn++ {
				select {
				case <-done:
					finished = true
				default:
				}
				s, err := h.Subscribe(context.Background(), cpu, last)
				if err != nil {
					t.Error(err)
					return
				}
				begin := time.Now()
				for i := 0; i < 1+reader*3 || finished; i++ {
					e, ok := read(s, finished)
					if !ok && finished && !src.isIn(seen) && time.Since(begin) < patience {
						continue // the machine stands still
					}
					if !ok {
						break
					}
					last = e.ID
					if e.Reset {
						resets++
						src.mu.Lock()
						for start, n := range src.writes {
							seen[start] = strconv.Itoa(n)
						}
						src.mu.Unlock()
					} else if !e.Start.IsZero() {
						seen[e.Start] = e.Records[0]
					}
				}
				s.Close()
			}
			src.mu.Lock()
			defer src.mu.Unlock()
			for start, n := range src.writes {
				if seen[start] != strconv.Itoa(n) {
					t.Errorf("reader %d: bucket %d is %q, want %d (%d resets)", reader, start.Unix(), seen[start], n, resets)
				}
			}
		})
	}
	for i := range rounds {
		src.write(int64(i%buckets)*60, int64(i*7%buckets)*60)
		time.Sleep(50 * time.Microsecond)
	}
	close(done)
	readers.Wait()
}

// read returns the next event, or false if none comes for a while.
func read(s *stream.Subscription, patient bool) (*stream.Event, bool) {
	wait := time.Millisecond
	if patient {
		wait = 500 * time.Millisecond
	}
	select {
	case e, ok := <-s.Events():
		return e, ok
	case <-time.After(wait):
		return nil, false
	}
}
