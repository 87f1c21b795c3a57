package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rendered"
	"github.com/telegraf-describe/telegraf-describe/internal/static"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// keptAge is how long an answer, or a list of starts, is kept although its table is not written. Buckets expire without a write, so an
// answer can have records that expired less than twice that ago: an answer is renewed if a list that has its buckets is kept.
//
// The life of a kept answer:
//
//	made from a version of the table ─▶ rendered.Put ─▶ isCurrent for each request ─▶ sendKept
//	                                        ▲             └ another version, keptAge, or kept.until: it is made anew
//	                                        └ renew: the new answer has the same ETag, so its body is kept on
const keptAge = 10 * time.Second

// kept is what a kept answer depends on, beside the text of the request. The token is not part of it: whether a token may read
// the table of the answer is checked for each request.
type kept struct {
	named record.Table // as the request names it
	table record.Table // the table that the name means
	state int64        // the version of the table
	at    time.Time    // when the answer was made
	until time.Time    // from then on the answer is another one though the table is not written; zero if there is no such time
	etag  entityTag
	kind  string // the content type
	link  string // the header Link, or empty

	checked atomic.Pointer[check] // the last time that the answer was right, or nil
}

// check is a time when a kept answer was right. Within versionAge of it, and without a call of forget since, the answer is right
// without another look.
type check struct {
	at        time.Time // when the reading of the version began
	forgotten uint64    // of the versions, before that
}

// with completes k for an answer from a version of the table, and returns it, or returns nil if the answer is not right for later
// requests. k is not shared yet.
func (k *kept) with(version int64, etag entityTag, v validity) *kept {
	if !v.lasts() {
		return nil
	}
	k.state, k.etag, k.until = version, etag, v.until
	return k
}

// keyOf returns the key of the answer to a request. Requests with the same key have the same route. RawPath is a part of it, because
// encoded dots can be a name, while others are a part of a path. The method is not: HEAD has the headers of GET. Neither is the token, as
// a kept answer belongs to all that may read its table.
func keyOf(r *http.Request) rendered.Key {
	return rendered.Key{Path: r.URL.Path, RawPath: r.URL.RawPath, Query: r.URL.RawQuery, Accept: strings.Join(r.Header["Accept"], ",")}
}

// keptFirst passes a request that has a kept answer to the handler of the route that keeps answers. Looking for the route would
// take longer than the answer, and the same request had this route before. Other requests go to next. Whether the answer is still
// right, and whether the client may have it, is decided by the handler.
func (s *server) keptFirst(keeping, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := w.(*exchange); r.Method == http.MethodGet || r.Method == http.MethodHead {
			if x.kept = s.rendered.Get(keyOf(r)); x.kept != nil {
				keeping.ServeHTTP(x, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// sendKept answers a request with its kept answer, and returns true. It returns false if there is none, or if that is not right at
// now, which is a time of the request. The error is a busy if the budget has no room for the body, or a gone.
func (s *server) sendKept(x *exchange, r *http.Request, grant token.Grant, now time.Time) (sent bool, err error) {
	e := x.kept
	if e == nil || !s.isCurrent(r.Context(), e.Value, grant, now) {
		if e != nil {
			r.SetPathValue("table", e.Value.named.Name) // keptFirst has not looked for the route
		}
		return false, nil
	}
	vary(x.Header())
	if e.Value.link != "" {
		x.Header().Set("Link", e.Value.link)
	}
	if notModified(x, r, e.Value.etag) {
		return true, nil
	}
	if matchesAny(r) {
		x.WriteHeader(http.StatusNotModified)
		return true, nil
	}
	// A slow client holds the body in memory, although the cache may have removed it.
	client := clientOf(x)
	if err := s.limits.budget.take(client, 0, len(e.Body)); err != nil {
		return true, err
	}
	defer s.limits.budget.give(client, len(e.Body))
	return true, sendEntry(x, r, e)
}

// keptWith returns the kept answer to a request if it has an ETag, given the writer of the answer. Otherwise it returns nil.
func keptWith(w http.ResponseWriter, tag entityTag) *rendered.Entry[*kept] {
	if e := w.(*exchange).kept; e != nil && e.Value.etag.strong[0] == tag.strong[0] {
		return e
	}
	return nil
}

// renew keeps a kept answer longer, as k, because it is still right. Unless k is nil, it has the ETag of e. If it were not renewed, an
// answer whose clients all have it would be kept for keptAge only.
func (s *server) renew(e *rendered.Entry[*kept], r *http.Request, k *kept) {
	if k != nil {
		k.kind, k.link = e.Value.kind, e.Value.link
		s.rendered.Put(keyOf(r), k, e.Body)
	}
}

// varying are the headers of a request that its records depend on. Nobody changes it.
var varying = []string{"Accept, Accept-Encoding"}

// vary adds these to the header Vary.
func vary(h http.Header) {
	if others := h["Vary"]; len(others) > 0 {
		h["Vary"] = slices.Concat(others, varying)
		return
	}
	h["Vary"] = varying
}

// isCurrent reports whether a kept answer is that of a request now. Errors are left to the reading of the answer. What it finds in
// the catalogue and as the version of the table holds for versionAge. It checks, in this order:
//
//  1. that the answer is younger than keptAge, and the time before kept.until;
//  2. whether the answer was checked within versionAge: then it only remains to check that the token allows the database;
//  3. that the token may read the table that the name means now, and that this is the table of the answer;
//  4. that the table still has the version from which the answer was made.
func (s *server) isCurrent(ctx context.Context, k *kept, grant token.Grant, now time.Time) bool {
	if age := now.Sub(k.at); age < 0 || age >= keptAge || !k.until.IsZero() && !now.Before(k.until) {
		return false
	}
	// This is read before the version, so that a call of forget meanwhile makes the check invalid.
	forgotten := s.versions.forgotten.Load()
	if last := k.checked.Load(); last != nil && last.forgotten == forgotten && now.Sub(last.at).Abs() < versionAge {
		return grant.Allows(token.Read, k.named.Database)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout) // a second reading can begin when one of another request ends
	defer cancel()
	entry, err := s.catalogue.resolve(ctx, grant, token.Read, k.named)
	if err != nil || entry.Table != k.table {
		return false
	}
	version, at, err := s.versions.of(ctx, entry.Table, now)
	if err != nil || version != k.state {
		return false
	}
	k.checked.Store(&check{at, forgotten})
	return true
}

// sendEntry writes a kept answer, compressed if the client accepts that. The compressed form has a weak ETag, as its bytes are
// others. The caller has set the ETag of the other form. The first request that wants it compressed waits for the compression: see
// [rendered.Entry.Gzip].
func sendEntry(w http.ResponseWriter, r *http.Request, e *rendered.Entry[*kept]) error {
	body := e.Body
	if static.AcceptsGzip(r.Header) {
		if compressed := e.Gzip(); compressed != nil {
			body = compressed
			w.Header().Set("Content-Encoding", "gzip")
			w.Header()[etagHeader] = e.Value.etag.weak
		}
	}
	return sendBody(w, r, e.Value.kind, body)
}

// send writes an answer. Unless k is nil, it keeps the answer for the same requests, if it is not too large for that. A plain answer that
// is not kept is streamed, as its whole body need not be in memory; the other formats are made whole: see [answer.renderFormatted]. If
// the request has If-None-Match: *, send only checks that the answer is not an error, and answers with 304. The request gives up its place
// before a client has to read anything: the plain answer at once, the others when they are made.
func (s *server) send(w http.ResponseWriter, r *http.Request, a *answer, k *kept) error {
	if a.isPlain() {
		a.work.rest()
	}
	if matchesAny(r) {
		return a.confirm(r.Context(), w)
	}
	// If the budget has no room for a body beside the records, the answer is streamed too.
	if a.isPlain() && (k == nil || !s.rendered.Fits(a.size()) || a.work.grow(a.size()) != nil) {
		a.work.made() // other requests do not wait for this client
		return a.stream(w, r)
	}
	var body []byte
	if a.isPlain() {
		body = a.render()
	} else {
		var err error
		if body, err = a.renderFormatted(r.Context()); err != nil {
			return err
		}
	}
	kind := a.format.ContentType()
	if k == nil || !s.rendered.Fits(len(body)) {
		a.work.made()
		return sendBody(w, r, kind, body)
	}
	k.kind, k.link = kind, w.Header().Get("Link")
	// Those who wait for the answer in [server.share] find it from here on.
	e := s.rendered.Put(keyOf(r), k, body)
	a.work.made()
	return sendEntry(w, r, e)
}

// confirm answers with 304, unless the records cannot be written in the format of the query.
func (a *answer) confirm(ctx context.Context, w http.ResponseWriter) error {
	if !a.isPlain() {
		if _, err := a.renderFormatted(ctx); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNotModified)
	return nil
}
