package stream

import (
	"sync"
	"sync/atomic"
	"time"
)

// Budget bounds the memory of events. Its functions are called concurrently.
type Budget struct {
	// Take returns false, and takes nothing, if there is no room for so many bytes.
	Take func(bytes int) bool
	// Give returns bytes that were taken.
	Give func(bytes int)
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
