package api

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// scans reads the names of large buckets for collectors. One reading of a bucket runs at a time, and serves all collectors that came
// before it began. So requests with different filters that come at the same time need two readings, and not one each. It is
// safe for concurrent use.
//
//	collect ─▶ join: a round that waits ─▶ run: the round before has ended ─▶ a place of long requests ─▶ read ─▶ end
//	   └─ ctx ends ─▶ leave: the round ends if it has no other member
type scans struct {
	reader  Reader
	limits  *limits // a round needs a place of long requests, and the budget counts the bytes of collectors
	room    int     // bytes that the collectors of a round may have, unless it has only one
	scanned int     // the most names that one collector reads
	now     func() time.Time

	mu      sync.Mutex               // guards the field below, and members and left of rounds that wait or run
	waiting map[bucketOf][]*scanning // rounds that have not begun; there is an entry while run works for that bucket
}

// bucketOf identifies a bucket.
type bucketOf struct {
	table record.Table
	start time.Time // in UTC
}

// scanning is a round: one reading of the names of a bucket.
type scanning struct {
	ctx     context.Context // ends when no member is left
	cancel  context.CancelFunc
	members []*member
	bytes   int // that the collectors may have
}

// member is a collector in a round. done is closed at its end; only then the collector may be used by others, and the other fields
// but left be read.
type member struct {
	*collector
	left bool // whether nobody waits for the collector any more
	at   time.Time
	done chan struct{}

	err      error
	panicked any // the value of a panic, or nil
}

// errNobody ends a reading for which no collector is left.
var errNobody = errors.New("nobody waits for the names")

// nameBytes is about how many bytes of a collector one name needs.
const nameBytes = 256

// collect reads the names of the bucket of a collector, and returns the time before that. When ctx ends, it returns the reason.
func (s *scans) collect(ctx context.Context, c *collector) (at time.Time, err error) {
	m := &member{collector: c, done: make(chan struct{})}
	r := s.join(ctx, m)
	select {
	case <-m.done:
	case <-ctx.Done():
		s.leave(r, m)
		<-m.done // soon, and then the collector is not used any more
		return at, ctx.Err()
	}
	if m.panicked != nil {
		panic(m.panicked) // in the goroutine that wants the names
	}
	return m.at, m.err
}

// join adds a member to the last round of its bucket that waits, or to a new one.
func (s *scans) join(ctx context.Context, m *member) *scanning {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := bucketOf{m.of.table, m.of.start}
	rounds, runs := s.waiting[of]
	bytes := 2 * min(min(m.most, m.mostBytes)*nameBytes, m.mostBytes) // twice, see isFull
	if n := len(rounds); n == 0 || rounds[n-1].bytes+bytes > s.room {
		r := &scanning{}
		r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx)) // each member has its own timeout
		rounds = append(rounds, r)
	}
	r := rounds[len(rounds)-1]
	r.members, r.bytes = append(r.members, m), r.bytes+bytes
	if s.waiting == nil {
		s.waiting = make(map[bucketOf][]*scanning)
	}
	if s.waiting[of] = rounds; !runs {
		go s.run(of)
	}
	return r
}

// leave notes that nobody waits for a member any more.
func (s *scans) leave(r *scanning, m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.left = true
	of := bucketOf{m.of.table, m.of.start}
	if slices.Contains(s.waiting[of], r) {
		r.members = slices.DeleteFunc(r.members, func(other *member) bool { return other == m })
		m.end(context.Canceled)
		if len(r.members) == 0 { // another member needs another round
			s.waiting[of] = slices.DeleteFunc(s.waiting[of], func(other *scanning) bool { return other == r })
		}
	}
	if !slices.ContainsFunc(r.members, func(m *member) bool { return !m.left }) {
		r.cancel()
	}
}

// run runs the rounds of a bucket, one after another, until none waits.
func (s *scans) run(of bucketOf) {
	for {
		s.mu.Lock()
		rounds := s.waiting[of]
		if len(rounds) == 0 {
			delete(s.waiting, of)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.round(of, rounds[0])
	}
}

// round runs a round: when it has a place, no member can join it any more.
func (s *scans) round(of bucketOf, r *scanning) {
	defer r.cancel()
	err := s.limits.enterLong(r.ctx)
	if err == nil {
		defer s.limits.leaveLong()
	}
	s.mu.Lock()
	s.waiting[of] = slices.DeleteFunc(s.waiting[of], func(other *scanning) bool { return other == r })
	s.mu.Unlock()
	defer func() {
		p := recover()
		for _, m := range r.members {
			if !m.ended() {
				m.panicked = p
				m.end(err)
			}
		}
	}()
	if err == nil && len(r.members) > 0 {
		err = s.read(of, r)
	}
}

// read reads the names of a bucket for the members of a round. The error is for those that have not ended.
func (s *scans) read(of bucketOf, r *scanning) error {
	at := s.now()
	size, lives, err := s.reader.Names(r.ctx, of.table, of.start, func(names []record.Name) error {
		running := 0
		for _, m := range r.members {
			if m.ended() {
				continue
			}
			if err := s.add(m, names); err != nil {
				m.end(err)
				continue
			}
			running++
		}
		if running == 0 {
			return errNobody
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range r.members {
		if !m.ended() {
			m.at, m.size, m.lives = at, size, lives
			m.end(s.finish(m.collector))
		}
	}
	return nil
}

// add adds names to the collector of a member, and counts their memory.
func (s *scans) add(m *member, names []record.Name) error {
	s.mu.Lock()
	left := m.left
	s.mu.Unlock()
	if left {
		return context.Canceled
	}
	c := m.collector
	if c.read += len(names); c.read > s.scanned {
		return tooManyReads(c.read, s.scanned)
	}
	for i := range names {
		c.add(&names[i])
	}
	if c.isFull() && !c.cut() {
		return record.ErrUnclear
	}
	return s.limits.count(c)
}

// finish makes the window of a collector that has all names.
func (s *scans) finish(c *collector) error {
	if !c.cut() {
		return record.ErrUnclear
	}
	c.complete = c.until == nil
	c.bytes += windowCost
	return s.limits.count(c)
}

// end ends a member.
func (m *member) end(err error) {
	m.err = err
	close(m.done)
}

// ended reports whether the member has ended.
func (m *member) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// count makes the budget count the bytes of a collector.
func (l *limits) count(c *collector) error {
	n := c.bytes - c.counted
	if n < 0 {
		l.budget.give(windowsClient, -n)
	} else if err := l.budget.take(windowsClient, c.counted, n); err != nil {
		return err
	}
	c.counted = c.bytes
	return nil
}
