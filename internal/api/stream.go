package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stream"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// DefaultMaxStreams is the largest number of streams at the same time. One client can have half of them.
const DefaultMaxStreams = 2000

// A client of /analytics/cpu/stream gets a text such as this one, while the connection stays open. The first event is present; for a
// client with Last-Event-ID, the first ones are of the buckets that it has missed:
//
//	retry: 2000
//
//	event: present
//	id: …
//	data: {}
//
//	event: bucket
//	id: …
//	data: {"time_bucket":"2026-01-02T03:04:00Z","records":[…]}
//
//	: heartbeat
const (
	// heartbeat is how often a stream without events gets a comment, so that proxies keep it open and a client that is gone
	// is noticed. The token is checked again as often.
	heartbeat = 15 * time.Second
	// streamWrite bounds one write of a stream.
	streamWrite = 10 * time.Second
	// streamQueue is how many events wait for one client before it is dropped.
	streamQueue = 64
	// maxEvent is how many bytes the records of an event have at most, because many clients can wait for one.
	maxEvent = 256 << 10
	// retryHint is after how many milliseconds a client reconnects.
	retryHint = "retry: 2000\n\n"
)

// Watched is a reader that also reports changed buckets.
type Watched interface {
	Reader
	// Watch is that of [stream.Source].
	Watch(ctx context.Context, t record.Table, ready func(), changed func(starts []time.Time)) error
}

// NewStreams returns the streams of the tables that a reader reads, for [Options.Streams]. The caller closes them. failed and recovered are
// those of [stream.Options].
func NewStreams(reader Watched, most int, failed func(record.Table, error), recovered func(record.Table)) *stream.Hub {
	return stream.New(streamSource{reader}, stream.Options{
		Subscribers: most, Tables: 1000, Queue: streamQueue, Memory: 1000, Collect: 20 * time.Millisecond,
		Linger: time.Minute, Retry: time.Second, Failed: failed, Recovered: recovered,
	})
}

// streamSource is the source of the streams.
type streamSource struct{ Watched }

// Bucket returns the valid records of a bucket, sorted, or [stream.ErrLarge] if they have more than maxEvent bytes. A later version of a
// record replaces the one before, but the bytes of both count.
func (s streamSource) Bucket(ctx context.Context, t record.Table, start time.Time) ([]string, error) {
	form := record.NewForm(t.Name, start)
	named := make(map[string]int)
	var texts []string
	size := 0
	err := s.Records(ctx, t, []time.Time{start}, 0, func(part record.Part) error {
		for i, text := range part.Texts {
			if !form.Matches(text) {
				continue
			}
			if size += len(text); size > maxEvent {
				return stream.ErrLarge
			}
			if part.Names != nil {
				if place, again := named[part.Names[i]]; again {
					texts[place] = text
					continue
				}
				named[part.Names[i]] = len(texts)
			}
			texts = append(texts, text)
		}
		return nil
	})
	slices.Sort(texts)
	return texts, err
}

// streamsClient is the client that the memory of waiting events is counted for, because several clients share an event. It is
// not an address, so no client has this name.
const streamsClient = "streams"

// streamBudget returns the part of the memory of all answers that events can use: that of one client. An event without room is sent
// without records, and counted as refused.
func (s *server) streamBudget() stream.Budget {
	return stream.Budget{
		Take: func(bytes int) bool {
			if s.limits.budget.take(streamsClient, 0, bytes) != nil {
				s.metrics.refused("stream_bytes")
				return false
			}
			return true
		},
		Give: func(bytes int) { s.limits.budget.give(streamsClient, bytes) },
	}
}

// streamed is a request for a stream.
type streamed struct {
	table  record.Table
	fields []string     // any of them; empty for all
	tags   []series.Tag // all of them
	final  bool         // whether only final records are wanted
}

// clients counts the streams of each client. It is safe for concurrent use.
type clients struct {
	mu     sync.Mutex     // guards the field below
	counts map[string]int // by client; all above 0
}

// join counts a stream of a client, unless it has so many already. It returns false if it has. The caller must call leave after
// true.
func (c *clients) join(client string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[client] >= most {
		return false
	}
	if c.counts == nil {
		c.counts = make(map[string]int)
	}
	c.counts[client]++
	return true
}

// leave ends the count of a stream.
func (c *clients) leave(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[client]--; c.counts[client] == 0 {
		delete(c.counts, client)
	}
}

// stream answers with server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), one for each changed
// bucket with all its records that the request wants. A client is known by its token, or by its address without one. HEAD
// subscribes too, and gets the header only.
func (s *server) stream(w http.ResponseWriter, r *http.Request, p *params) error {
	q := streamed{
		table:  record.Table{Database: p.database(s.DefaultDatabase), Name: r.PathValue("table")},
		fields: p.values["field"], tags: p.tags(), final: p.onlyTrue("final", "all records"),
	}
	p.checkName("path.table", q.table.Name)
	if err := p.err(); err != nil {
		return err
	}
	// Clients behind one address have streams of their own if they have tokens.
	client := clientOf(w)
	if id := p.grant.ID(); id != "" {
		client = id
	}
	if !s.streaming.join(client, (s.Streams.Limit()+1)/2) {
		return busy{what: "this client has too many streams", reason: "streams", client: true}
	}
	defer s.streaming.leave(client)
	sub, err := s.subscribe(r, p.grant, &q)
	if err != nil {
		return err
	}
	defer sub.Close()
	return s.sendEvents(w, r, q, sub)
}

// subscribe begins the subscription of a request. It puts the stored table into q. The context is that of the beginning only: the
// subscription lasts longer than the timeout of a request. The caller closes it.
func (s *server) subscribe(r *http.Request, grant token.Grant, q *streamed) (*stream.Subscription, error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
	defer cancel()
	entry, err := s.catalogue.resolve(ctx, grant, token.Stream, q.table)
	if err != nil {
		return nil, err
	}
	q.table = entry.Table
	if err := s.checkNames(ctx, q.table, askedNames(q.fields, q.tags, nil)); err != nil {
		return nil, err
	}
	sub, err := s.Streams.Subscribe(ctx, q.table, r.Header.Get("Last-Event-ID"))
	switch {
	case errors.Is(err, stream.ErrFull), errors.Is(err, stream.ErrClosed):
		return nil, busy{what: err.Error(), reason: "streams"}
	case err != nil:
		return nil, away(err)
	}
	return sub, nil
}

// eventWriter writes server-sent events, of which the HTML standard defines the format: lines "event", "id" and "data", and an empty line at
// the end. Each is flushed at once, and must be written within streamWrite. One goroutine uses it.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController // of w, for flushing and the deadline
	buf     []byte                   // memory for the head of an event
}

// write writes texts and flushes them. The texts are not copied. The error is a gone.
func (e *eventWriter) write(texts ...[]byte) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(streamWrite)) // writers in tests have no deadline
	for _, b := range texts {
		if _, err := e.w.Write(b); err != nil {
			return gone{err}
		}
	}
	if err := e.control.Flush(); err != nil {
		return gone{err}
	}
	return nil
}

// event writes an event. Name, id and data must not have a line feed; JSON on one line has none. Without an id, the client keeps that of
// the event before. For example:
//
//	event: bucket
//	id: 7-1
//	data: {"time_bucket":"2026-01-02T03:04:00Z","records":[]}
func (e *eventWriter) event(name, id string, data []byte) error {
	e.buf = append(append(e.buf[:0], "event: "...), name...)
	if id != "" {
		e.buf = append(append(e.buf, "\nid: "...), id...)
	}
	e.buf = append(e.buf, "\ndata: "...)
	return e.write(e.buf, data, []byte("\n\n"))
}

// sendEvents writes the events of a subscription until it or the client ends, or its token is not valid any more. It returns nil
// when the client has closed the connection. A stream that the service ends has an event with the reason, so that a client can
// distinguish that from a broken connection.
func (s *server) sendEvents(w http.ResponseWriter, r *http.Request, q streamed, sub *stream.Subscription) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes events on at once
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // that of the request would end the stream
	if r.Method == http.MethodHead {
		return nil
	}
	if err := out.write([]byte(retryHint)); err != nil {
		return err
	}
	filter := record.NewFilter(q.table.Name, record.Wanted{Fields: q.fields, Tags: q.tags, Final: q.final})
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-beat.C:
			if !s.mayStream(r, q.table.Database) {
				return out.dropped("the token is not valid any more")
			}
			if err := out.write([]byte(": heartbeat\n\n")); err != nil {
				return err
			}
		case event, ok := <-sub.Events():
			switch {
			case r.Context().Err() != nil:
				return nil
			case ok && !s.mayStream(r, q.table.Database):
				return out.dropped("the token is not valid any more")
			case !ok:
				s.metrics.refused("stream_ended")
				return out.dropped(sub.Err().Error())
			}
			s.versions.forget(q.table, event.At) // before the client reads what the event is about
			// Also after an error: the memory of the event is counted until its last subscriber is done.
			err := out.send(event, filter)
			event.Done()
			if err != nil {
				return err
			}
		}
	}
}

// mayStream reports whether the token of a request still allows streams of a database. It is asked before each event and at each
// heartbeat, so a deleted token ends its streams within heartbeat.
func (s *server) mayStream(r *http.Request, database string) bool {
	if s.Tokens == nil {
		return true
	}
	text, _ := tokenOf(r.Header)
	grant, ok := s.Tokens.Check(text)
	return ok && grant.Allows(token.Stream, database)
}

// dropped writes the last event of a stream that the service ends.
func (e *eventWriter) dropped(reason string) error {
	data, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return err
	}
	return e.event("dropped", "", data)
}

// send writes an event, unless none of its records is wanted. Clients without a filter share the data of the event, which is made
// once.
func (e *eventWriter) send(event *stream.Event, filter record.Filter) error {
	switch {
	case event.Reset:
		return e.event("reset", event.ID, []byte("{}"))
	case event.Start.IsZero():
		return e.event("present", event.ID, []byte("{}"))
	}
	if filter.All() {
		return e.event("bucket", event.ID, event.Data(func() []byte { return eventData(event, filter) }))
	}
	if data := eventData(event, filter); data != nil {
		return e.event("bucket", event.ID, data)
	}
	return nil
}

// eventData returns the data of an event with the wanted records, or nil if none is wanted. An event of a bucket whose records have all
// expired has an empty list. Every client gets it, and also the event of a bucket that is too large, which has no list.
func eventData(event *stream.Event, filter record.Filter) []byte {
	data := event.Start.UTC().AppendFormat([]byte(`{"time_bucket":"`), time.RFC3339Nano)
	if event.Large {
		return append(data, `","large":true}`...)
	}
	data = append(data, `","records":[`...)
	wanted := 0
	for _, text := range event.Records {
		if !filter.Match(text) {
			continue
		}
		if wanted > 0 {
			data = append(data, ',')
		}
		data = append(data, text...)
		wanted++
	}
	if wanted == 0 && len(event.Records) > 0 {
		return nil
	}
	return append(data, "]}"...)
}
