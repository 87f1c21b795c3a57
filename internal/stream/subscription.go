package stream

import (
	"context"
)

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
