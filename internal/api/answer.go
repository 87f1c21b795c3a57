package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/format"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
)

// errEnough ends the reading when the answer is complete. No caller of [server.read] gets it.
var errEnough = errors.New("the answer is complete")

// textCost is about how many bytes of memory a kept record needs in addition to its text, and entryCost one of the bucket that
// is being read.
const (
	textCost  = 32
	entryCost = 160
)

// answer collects the records of a query. One goroutine uses it, that of the request.
//
//	begin ─▶ take: a part of a bucket … ─▶ endBucket ─▶ … the next bucket ─▶ arrange ─▶ render, stream or renderFormatted
//	             └ trim, if the bucket is large
//
// The records of the bucket that is being read are entries, which can still be sorted, merged and dropped. Those of a bucket that
// has ended are only texts, in their order. The budget counts both: entries with entryCost, texts with textCost. For the
// records of an answer, work counts the sum of these: the texts of kept, each with its comma and textCost; current.size; and spare.
type answer struct {
	query
	work                             *work // the memory of the records is counted as its bytes
	filter                           record.Filter
	form                             record.Form       // of the table
	spare                            int               // bytes of the budget that work has and no record uses
	timeline                         timeline.Timeline // for the query's final
	version                          int64             // of the table, before the records are read
	maxRecords, maxBytes, maxScanned int
	largeBucket                      int  // a bucket of a page with more records is read by names
	whole                            bool // whether no bucket is read by names now
	named                            int  // names read

	// kept has the records by bucket, in the order in which the buckets are read, and after arrange in that of the answer. Those
	// of a bucket are in the order of the answer.
	kept           [][]string
	merging        []merging // the records of kept that are merged later; their texts are empty until then
	current        bucketRecords
	records, bytes int   // the number and the bytes of the wanted records
	finals         int   // buckets with a final record, counted if the query wants final records
	buckets        int   // buckets read
	invalid        int   // texts that were skipped because they are not records
	complete       bool  // whether the buckets that are not read cannot add a record
	last           place // of the last record, if there is one
	more           bool  // whether there are more records than the limit
	probe          bool  // whether no records are kept, only final ones noticed
}

// bucketRecords is what is known of the bucket that is being read.
type bucketRecords struct {
	started  bool           // whether a part was taken, and the bucket has not ended
	start    time.Time      // of the bucket
	form     record.Form    // of its records
	entries  []entry        // the wanted records
	places   map[string]int // the places in entries by name, if the bucket has several parts
	size     int            // the bytes of the entries, with entryCost
	room     int            // how many entries there are before they are trimmed
	bound    *entry         // entries after this one are not kept, as they are beyond the page; nil if there is no such bound
	hasFinal bool           // whether there is a final record, counted if the query wants final records
	read     int            // how many of its records were read
	invalid  int            // answer.invalid before it
}

// newAnswer returns an answer without records.
func (s *server) newAnswer(q query, sel selection, work *work) *answer {
	return &answer{
		query: q, work: work, form: record.NewForm(q.table.Name, time.Time{}), timeline: sel.timeline, version: sel.version,
		filter:     record.NewFilter(q.table.Name, record.Wanted{Fields: q.fields, Tags: q.tags}),
		maxRecords: s.MaxRecords, maxBytes: s.MaxBytes, maxScanned: s.MaxScanned, largeBucket: s.LargeBucket,
	}
}

// endsEarly reports whether the answer can be complete before all buckets of the query are read.
func (a *answer) endsEarly() bool { return a.limit > 0 || a.lastFinals() }

// arrange puts the buckets into the order of the answer and returns the spare bytes to the budget. It is called when all records are
// there. The records of a bucket are in that order already.
func (a *answer) arrange() {
	a.work.shrink(a.spare)
	a.spare = 0
	if a.backward() != a.descending {
		slices.Reverse(a.kept)
	}
}

// enough returns how many records the reader needs to return for a page, or 0 if that is not known, because the query needs all records
// or leaves some of them out. It is one more than the page has: the last one shows that there is another page.
func (a *answer) enough() int {
	if a.limit == 0 || a.final || !a.filter.All() {
		return 0
	}
	return a.most() + 1
}

// take keeps the wanted records of a part of a bucket. It returns errEnough if the answer is complete, errLarge if the bucket is
// better read by names, and another error if the answer or the request exceeds a limit. The parts of a bucket come one after
// another; the first one begins it, and the last one ends it.
func (a *answer) take(ctx context.Context, part record.Part) error {
	if !a.current.started {
		a.begin(part.Start)
		if part.Names != nil {
			a.current.places = make(map[string]int)
		}
	}
	if err := a.keepPart(part); err != nil {
		return err
	}
	if a.isLarge(part) {
		return errLarge
	}
	if part.Last {
		if err := a.endBucket(); err != nil {
			return err
		}
	} else if len(a.current.entries) > a.current.room {
		if err := a.trim(); err != nil {
			return err
		}
	}
	return a.proceed(ctx)
}

// proceed returns an error if the request has read too much, and waits for a place if it has read much.
func (a *answer) proceed(ctx context.Context) error {
	if err := a.checkRead(); err != nil {
		return err
	}
	return a.work.moveOn(ctx)
}

// keepPart keeps the wanted records of a part, and counts those that were read.
func (a *answer) keepPart(part record.Part) error {
	if err := a.keep(part); err != nil {
		return err
	}
	size := 0
	for _, text := range part.Texts {
		size += len(text)
	}
	a.current.read += len(part.Texts)
	a.work.count(len(part.Texts), size)
	return nil
}

// begin begins a bucket. It uses the memory of the entries of the bucket before, which endBucket has cleared.
func (a *answer) begin(start time.Time) {
	a.current = bucketRecords{started: true, start: start, form: a.form.At(start), entries: a.current.entries[:0], room: a.most() + 1, invalid: a.invalid}
}

// most returns how many more records the answer may have: the rest of the page, or the rest of MaxRecords without a page. The current
// bucket does not count until it ends.
func (a *answer) most() int {
	if a.limit > 0 {
		return a.limit - a.records
	}
	return a.maxRecords - a.records
}

// keep adds the wanted records of a part to the current bucket. A record that comes again replaces the one before, whose text is
// older or the same. The error is busy if the budget has no room.
func (a *answer) keep(part record.Part) error {
	b, before := &a.current, a.current.size
	for i, text := range part.Texts {
		outline, ok := a.wanted(part, text)
		if !ok || a.probe {
			continue
		}
		e := entry{Outline: outline, text: text}
		// A record of the bound's own series is kept, because it can belong to the record at the end of the page.
		if b.bound != nil && !e.SameSeries(&b.bound.Outline) && a.compare(e, *b.bound) > 0 {
			continue
		}
		if part.Names != nil {
			e.name = part.Names[i]
			if place, again := b.places[e.name]; again {
				b.size += len(text) - len(b.entries[place].text)
				b.entries[place] = e
				continue
			}
			b.places[e.name] = len(b.entries)
		}
		b.entries = append(b.entries, e)
		b.size += len(text) + entryCost
	}
	return a.grow(b.size - before)
}

// grow takes n bytes of the budget for records, or gives -n of them back to spare if n is negative. It uses spare bytes first, because
// the budget has a lock.
func (a *answer) grow(n int) error {
	if n <= a.spare {
		a.spare -= n
		return nil
	}
	n, a.spare = n-a.spare, 0
	return a.work.grow(n)
}

// minTrimmed is how many entries of a bucket are worth a second sorting.
const minTrimmed = 100

// trim removes entries of a bucket with many records that cannot become a part of the answer, before all parts of the bucket are read. So
// a page of a large bucket needs the memory of about twice its own records, and not that of all records. trim returns an error if the
// answer has too many records.
func (a *answer) trim() error {
	b := &a.current
	found, end := a.count()
	most := a.most()
	if a.limit == 0 && found > most {
		return a.tooMany(found)
	}
	// Without a limit, every record belongs to the answer, so none is dropped.
	if a.limit > 0 && (a.apart || !a.final) { // a record that is not read yet can remove final ones
		a.drop(end)
	}
	// Sorting has moved the entries.
	for i := range b.entries {
		if b.places != nil {
			b.places[b.entries[i].name] = i
		}
	}
	// The entries are sorted again only when there are twice as many, so that a record takes part in about two sortings on average.
	b.room = 2 * max(len(b.entries), minTrimmed)
	return nil
}

// count sorts the entries of the current bucket. It returns how many records of the answer they become, and the index after the last
// entry that it counted: it stops at one record more than the answer may have. The entries of one series and field are counted together,
// because the records of several agents become one.
func (a *answer) count() (found, end int) {
	entries := a.current.entries
	slices.SortFunc(entries, a.compare)
	for end < len(entries) && found <= a.most() {
		n := 1
		if !a.apart {
			n = sameSeries(entries[end:])
		}
		if !slices.ContainsFunc(entries[end:end+n], func(e entry) bool { return !a.isFinal(&e) }) {
			found++
		}
		end += n
	}
	return found, end
}

// drop removes the entries of the current bucket from the index end on. The last entry that stays becomes the bound, so keep does not add
// later records that follow it. If there are no entries to remove, the bound does not change; if there are, end is above 0.
func (a *answer) drop(end int) {
	b, before := &a.current, a.current.size
	if end < len(b.entries) {
		bound := b.entries[end-1]
		b.bound = &bound
	}
	for i := range b.entries[end:] {
		e := &b.entries[end+i]
		b.size -= len(e.text) + entryCost
		delete(b.places, e.name)
	}
	clear(b.entries[end:])
	b.entries = b.entries[:end]
	a.spare += before - b.size
}

// tooMany returns the error for an answer that has so many more records than its limit.
func (a *answer) tooMany(more int) error {
	return tooMuch{what: fmt.Sprintf("the answer has %d records or more", a.records+more), limit: a.maxRecords}
}

// tooManyBytes returns the error for an answer with more bytes than its limit.
func (a *answer) tooManyBytes() error {
	what := "answer"
	if a.limit > 0 {
		what = "page"
	}
	return tooMuch{what: fmt.Sprintf("the %s has %d bytes or more", what, a.bytes), limit: a.maxBytes, advice: a.advice()}
}

// advice returns what a client can do about an answer that is too large.
func (a *answer) advice() string {
	if a.limit > 0 {
		return advicePage
	}
	return adviceAnswer
}

// wanted reports whether the query wants the record of a part, and returns the outline of the record. If the query wants final
// records, it notes whether the bucket has a final record, even one that does not match the query, because the parameter last
// counts buckets of the table. Other records are wanted too, unless the query wants the records of each agent: a merged record
// is final only if all its records are. It counts a text that is not a record, and returns false for it.
//
// The outline refers to the memory of the text.
func (a *answer) wanted(part record.Part, text string) (o record.Outline, ok bool) {
	if a.final {
		final := a.timeline.IsFinal(part.Start, text)
		a.current.hasFinal = a.current.hasFinal || final
		if !final && a.apart {
			return o, false
		}
	}
	if !a.filter.Match(text) {
		return o, false
	}
	if o, ok = a.current.form.Outline(text); !ok {
		a.invalid++
		return o, false
	}
	return o, !a.passed(part.Start, &o)
}

// endBucket adds the records of the current bucket to the answer. It returns errEnough if the answer is complete, and another error
// if it exceeds a limit. After the limit of a page, one more record shows that there is another page; it is not kept.
func (a *answer) endBucket() error {
	b := &a.current
	slices.SortFunc(b.entries, a.compare)
	entries := a.settle(b.entries)
	if most := a.most(); a.limit > 0 && len(entries) > most {
		entries, a.more = entries[:most], true
	}
	if a.limit > 0 && len(entries) > 0 {
		a.last = a.placeOf(b.start, &entries[len(entries)-1].Outline)
	}
	// note takes the index of the bucket from len(a.kept), so it comes before the append.
	a.note(b.start, entries)
	texts, bytes := make([]string, len(entries)), 0
	for i := range entries {
		if e := &entries[i]; !e.merged {
			texts[i] = e.text
			bytes += len(e.text) + 1
		}
	}
	// The difference between the costs of entries and of texts is free for the next bucket. The text of a merged record is counted by
	// put.
	a.kept = append(a.kept, texts)
	a.records, a.bytes = a.records+len(texts), a.bytes+bytes
	a.spare += b.size - bytes - len(texts)*textCost
	a.buckets++
	if b.hasFinal {
		a.finals++
	}
	// The texts must not stay reachable by the memory that the next bucket uses again.
	clear(b.entries)
	b.started = false
	switch {
	case a.limit == 0 && a.records > a.maxRecords:
		return a.tooMany(0)
	case a.bytes > a.maxBytes:
		return a.tooManyBytes()
	case a.more, a.lastFinals() && a.finals >= a.span.Last:
		return errEnough
	}
	return nil
}

// size returns the size of the records as a JSON array.
func (a *answer) size() int { return len("[]\n") + max(a.bytes-1, 0) } // a.bytes has one comma too many

// isPlain reports whether the answer is the records as they are, as a JSON array.
func (a *answer) isPlain() bool { return a.format == format.JSON && !a.pretty }

// render returns the body of a plain answer. The caller has taken its bytes from the budget. render releases the records, which nothing
// needs any more.
func (a *answer) render() []byte {
	body := append(make([]byte, 0, a.size()), '[')
	for _, records := range a.kept {
		for _, text := range records {
			if len(body) > 1 {
				body = append(body, ',')
			}
			body = append(body, text...)
		}
	}
	a.release(a.size())
	return append(body, ']', '\n')
}

// release forgets the records. The request keeps n bytes of memory.
func (a *answer) release(n int) {
	a.kept = nil
	a.work.shrink(a.work.bytes - n)
}

// stream writes the records as a JSON array. It gives back the memory of the records as they are written.
//
// Only about writeSize bytes of the body are in memory at a time, beside the records that are not written yet. The error is a gone: the
// status and a part of the body may have been sent, so the client cannot get a problem any more.
func (a *answer) stream(w http.ResponseWriter, r *http.Request) error {
	size := a.size()
	setJSON(w, size)
	if r.Method == http.MethodHead {
		return nil
	}
	body := newBodyWriter(w, r, size)
	b := append(make([]byte, 0, min(size, 2*writeSize)), '[')
	comma, cost := false, 0
	for _, records := range a.kept {
		for i, text := range records {
			if comma {
				b = append(b, ',')
			}
			comma, b, cost = true, append(b, text...), cost+len(text)+1+textCost
			// The garbage collector can free the text while a slow client reads on.
			records[i] = ""
			if len(b) < writeSize {
				continue
			}
			if _, err := body.Write(b); err != nil {
				return gone{err}
			}
			a.work.shrink(cost)
			b, cost = b[:0], 0
		}
	}
	if _, err := body.Write(append(b, ']', '\n')); err != nil {
		return gone{err}
	}
	return nil
}
