package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/stream"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// streaming serves an API with streams over TCP.
func streaming(t testing.TB, most int) (s *service, address string, hub *stream.Hub) {
	t.Helper()
	client := redistest.Client(t, redistest.Server(t)) // of its own, because all databases of a server have the same channels
	s = serve(t, client, nil)
	hub = api.NewStreams(s.reader, most, nil, nil)
	o := options(s)
	o.Streams = hub
	s.Handler = newAPI(t, s.reader, o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(hub.Close)
	return s, server.URL, hub
}

// event is a server-sent event.
type event struct{ name, id, data string }

// events is the stream of one client.
type events struct {
	t     testing.TB
	lines *bufio.Scanner
	stop  func()
}

func listen(t testing.TB, address, last string, headers ...string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience) // the benchmark has a thousand of them
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := apitest.Client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	return &events{t: t, lines: bufio.NewScanner(resp.Body), stop: cancel}
}

// next returns the next event, and false at the end of the stream.
func (e *events) next() (ev event, ok bool) {
	for e.lines.Scan() {
		name, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch name {
		case "event":
			ev.name = value
		case "id":
			ev.id = value
		case "data":
			ev.data = value
		case "":
			if ev.name != "" {
				return ev, true
			}
		}
	}
	return ev, false
}

func (e *events) want(name string) event {
	e.t.Helper()
	ev, ok := e.next()
	require.True(e.t, ok, "the stream has ended")
	require.Equal(e.t, name, ev.name, "%+v", ev)
	return ev
}

func TestStreamsHaveChangedBuckets(t *testing.T) {
	t.Parallel()
	s, address, hub := streaming(t, 10)
	s.put(t, rec(5, "f", "a", 1))
	address += "/analytics/cpu/stream?database=db"
	all, some := listen(t, address, ""), listen(t, address+"&field=f&tag=host=b&final=true", "")
	present := all.want("present")
	some.want("present")
	a, b, c := rec(1, "f", "a", 1), marked(rec(1, "f", "b", 2), true), marked(rec(1, "f", "b", 3), false)
	c.Agent = "a2"
	s.put(t, a, b, c)
	got := all.want("bucket")
	var data struct {
		Bucket  string            `json:"time_bucket"`
		Records []json.RawMessage `json:"records"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.data), &data))
	require.Equal(t, "2026-01-02T03:03:00Z", data.Bucket)
	require.Len(t, data.Records, 3)
	want := fmt.Sprintf(`{"time_bucket":"2026-01-02T03:03:00Z","records":[%s]}`, b.AppendJSON(nil))
	require.Equal(t, []string{want}, []string{some.want("bucket").data}, "to the byte")
	some.stop()
	require.Eventually(t, func() bool { return hub.Subscribers() == 1 }, patience, time.Millisecond)

	again := listen(t, address, present.id)
	require.Equal(t, got.data, again.want("bucket").data)
	again.want("present")
	listen(t, address, "unknown").want("reset")
	hub.Close()
	require.Contains(t, all.want("dropped").data, "the service ends")
	_, ok := all.next()
	require.False(t, ok)
}

func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	s, address, _ := streaming(t, 3)
	s.put(t, rec(5, "f", "a", 1))
	path := "/analytics/cpu/stream?database=db"
	first := listen(t, address+path, "")
	first.want("present")
	listen(t, address+path, "").want("present")
	resp, err := apitest.Client.Get(address + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode, "one client has half of the streams")
	require.Equal(t, "5", resp.Header.Get("Retry-After"))
	first.stop()
	require.Eventually(t, func() bool {
		resp, err := apitest.Client.Get(address + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, 10*time.Millisecond)
}

func TestAStreamEndsWhenItsTokenIsDeleted(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	clock := func() time.Time { return now.Add(time.Duration(g.clock.Load()) * time.Second) }
	store, err := token.Open(g.file, clock, func(_ int, err error) { require.NoError(t, err) })
	require.NoError(t, err)
	hub := api.NewStreams(g.reader, 10, nil, nil)
	t.Cleanup(hub.Close)
	g.Handler = newAPI(t, g.reader, api.Options{MaxRecords: 10, MaxBuckets: 10, MaxBytes: 1 << 20, Timeout: time.Minute, Tokens: store, Streams: hub, Now: clock})
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	reading, streaming := g.token(t, "db:db:read"), g.token(t, "db:db:stream")
	const path = "/analytics/cpu/stream?database="
	require.Equal(t, http.StatusUnauthorized, with(g, http.MethodGet, path+"db").Code)
	require.Equal(t, http.StatusForbidden, with(g, http.MethodGet, path+"db", "Authorization", "Bearer "+reading).Code)
	require.Equal(t, http.StatusNotFound, with(g, http.MethodGet, path+"secret", "Authorization", "Bearer "+streaming).Code)
	s := listen(t, server.URL+path+"db", "", "Authorization", "Bearer "+streaming)
	s.want("present")
	g.put(t, rec(1, "f", "a", 1))
	s.want("bucket")
	require.NoError(t, token.Delete(g.file, streaming[len("aapi_"):len("aapi_")+8]))
	g.clock.Add(2) // the service reads the file again
	g.put(t, rec(1, "f", "a", 2))
	require.Contains(t, s.want("dropped").data, "the token is not valid any more")
	_, ok := s.next()
	require.False(t, ok)
}

// The records of events are a part of the memory of all answers. Without room there, an event has none.
func TestEventsAreCountedInTheMemoryOfAllAnswers(t *testing.T) {
	t.Parallel()
	s, _, hub := streaming(t, 10)
	limited := api.New(s.reader, api.Options{MaxRecords: 10, MaxBuckets: 10, MaxBytes: 1000, MaxTotalBytes: 1000, Timeout: time.Minute, Streams: hub})
	server := httptest.NewServer(limited)
	t.Cleanup(server.Close)
	s.put(t, rec(5, "f", "a", 1))
	events := listen(t, server.URL+"/analytics/cpu/stream?database=db", "")
	events.want("present")
	s.put(t, rec(4, "f", "a", 1))
	require.Contains(t, events.want("bucket").data, `"records":[{`)
	s.put(t, rec(3, "f", "a", 1), rec(3, "g", "a", 1))
	require.JSONEq(t, `{"time_bucket":"2026-01-02T03:01:00Z","large":true}`, events.want("bucket").data)
	metrics := (&service{Handler: limited}).get(t, "/metrics").Body.String()
	require.Contains(t, metrics, `analytics_api_refused_total{reason="stream_bytes"} 1`)
	require.Contains(t, metrics, "analytics_api_answer_bytes 0\n")
}

func TestStreamsOfOtherTablesDoNotExist(t *testing.T) {
	t.Parallel()
	s, _, _ := streaming(t, 3)
	require.Equal(t, http.StatusNotFound, s.get(t, "/analytics/none/stream?database=db").Code)
	require.Equal(t, http.StatusBadRequest, s.get(t, "/analytics/none/stream?database=db&last=1").Code)
	without := withRedis(t, nil)
	without.fill(t)
	require.Equal(t, http.StatusNotFound, without.get(t, "/analytics/cpu/stream?database=db").Code)
}

// BenchmarkStreams changes a bucket of 35 records, which 1,000 clients have a stream of, and waits until each has it. The
// metrics are the median and the 99th percentile of the times from the write to the client.
func BenchmarkStreams(b *testing.B) {
	const count = 1000
	s, address, _ := streaming(b, 2*count)
	s.put(b, rec(5, "f", "a", 1))
	b.Cleanup(apitest.Client.CloseIdleConnections)
	arrived := make(chan time.Time, count)
	for range count {
		e := listen(b, address+"/analytics/cpu/stream?database=db", "")
		e.want("present")
		go func() {
			for {
				if ev, ok := e.next(); !ok || ev.name != "bucket" {
					return
				}
				arrived <- time.Now()
			}
		}()
	}
	var records []record.Record
	for i := range 35 {
		records = append(records, rec(1, fmt.Sprint("f", i), "a", 1))
	}
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		s.put(b, records...)
		for range count {
			times = append(times, (<-arrived).Sub(start))
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1e3, "ms-p99")
}
