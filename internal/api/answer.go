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
)

// errEnough ends the reading when the answer is complete. No caller of [server.read] gets it.
var errEnough = errors.New("the answer is complete")

// textCost is about how many bytes of memory a kept record needs in addition to its text.
const textCost = 32

// answer collects the records of a query, newest bucket first.
type answer struct {
	query
	work                             *work // the memory of the records is counted as its bytes
	filter                           record.Filter
	timeline                         timeline // for the query's final
	maxRecords, maxBytes, maxScanned int

	kept           [][]string // the wanted records of the buckets that are read, by bucket
	current        bucketRecords
	records, bytes int         // the number and the bytes of the wanted records
	finals         int         // buckets with a final record, counted if the query wants final records
	buckets        int         // buckets read
	invalid        int         // texts that were skipped because they are not records
	starts         []time.Time // of the merged records, if the query wants the last final buckets
	complete       bool        // whether older buckets cannot add a record
}

// bucketRecords is what is known of the bucket that is being read.
type bucketRecords struct {
	started  bool
	form     record.Form
	texts    []string       // the wanted records
	names    map[string]int // the places in texts by name, if the bucket has several parts
	hasFinal bool           // whether there is a final record, counted if the query wants final records
}

// newAnswer returns an answer without records.
func (s *server) newAnswer(q query, sel selection, work *work) *answer {
	return &answer{
		query: q, work: work, filter: record.NewFilter(q.table.Name, record.Wanted{Fields: q.fields, Tags: q.tags}), timeline: sel.timeline,
		maxRecords: s.MaxRecords, maxBytes: s.MaxBytes, maxScanned: s.MaxScanned,
	}
}

// endsEarly reports whether the answer can be complete before all buckets of the query are read.
func (a *answer) endsEarly() bool { return a.limit > 0 || a.final && a.span.Last > 0 }

// enough returns how many records that the reader returns are enough for the answer, or 0 if that is not known.
func (a *answer) enough() int {
	if a.limit == 0 || a.final || !a.filter.All() {
		return 0
	}
	return a.limit - a.records
}

// take keeps the wanted records of a part of a bucket. It returns errEnough if the answer is complete, and another error
// if the answer or the request exceeds a limit.
func (a *answer) take(ctx context.Context, part record.Part) error {
	if !a.current.started {
		a.current = bucketRecords{started: true, form: record.NewForm(a.table.Name, part.Start)}
		if part.Names != nil {
			a.current.names = make(map[string]int)
		}
	}
	if err := a.keep(part); err != nil {
		return err
	}
	full := a.limit > 0 && a.records >= a.limit
	if part.Last || full {
		a.endBucket()
	}
	if full || part.Last && a.finalsDone() {
		return errEnough
	}
	if read := a.work.read + len(part.Texts); read > a.maxScanned {
		return tooMuch{what: fmt.Sprintf("the request has to read %d records or more", read), limit: a.maxScanned, reads: true}
	}
	size := 0
	for _, text := range part.Texts {
		size += len(text)
	}
	return a.work.add(ctx, len(part.Texts), size)
}

// finalsDone reports whether enough buckets with a final record are read.
func (a *answer) finalsDone() bool { return a.final && a.span.Last > 0 && a.finals >= a.span.Last }

// keep adds the wanted records of a part to the current bucket. It returns an error if these are too many.
func (a *answer) keep(part record.Part) error {
	before := a.bytes + a.records*textCost
	for i, text := range part.Texts {
		if !a.wanted(part, text) {
			continue
		}
		if part.Names != nil {
			if place, again := a.current.names[part.Names[i]]; again {
				a.bytes += len(text) - len(a.current.texts[place])
				a.current.texts[place] = text
				continue
			}
			a.current.names[part.Names[i]] = len(a.current.texts)
		}
		a.current.texts = append(a.current.texts, text)
		a.records++
		a.bytes += len(text) + 1
	}
	excess := a.limit > 0 && a.records > a.limit
	switch {
	case a.limit == 0 && a.records > a.maxRecords:
		return tooMuch{what: fmt.Sprintf("the answer has %d records or more", a.records), limit: a.maxRecords}
	case excess:
		a.cut()
	}
	if a.bytes > a.maxBytes {
		return tooMuch{what: fmt.Sprintf("the answer has %d bytes or more", a.bytes), limit: a.maxBytes}
	}
	return a.work.grow(a.bytes + a.records*textCost - before)
}

// cut removes the first records of the current bucket that are more than the query's limit, in the order of the answer.
func (a *answer) cut() {
	slices.Sort(a.current.texts)
	excess := a.records - a.limit
	for _, text := range a.current.texts[:excess] {
		a.bytes -= len(text) + 1
	}
	a.current.texts = slices.Clone(a.current.texts[excess:])
	a.records = a.limit
}

// wanted reports whether the query wants the record of a part. If the query wants final records, it notes whether the
// bucket has a final record, even one that does not match the query, because the parameter last counts buckets of the
// table. It counts a text that is not a record, and returns false for it.
func (a *answer) wanted(part record.Part, text string) bool {
	if a.final {
		if !a.timeline.isFinal(part.Start, text) {
			return false
		}
		a.current.hasFinal = true
	}
	if !a.filter.Match(text) {
		return false
	}
	if !a.current.form.Matches(text) {
		a.invalid++
		return false
	}
	return true
}

// endBucket adds the records of the current bucket to the answer.
func (a *answer) endBucket() {
	slices.Sort(a.current.texts)
	a.kept = append(a.kept, a.current.texts)
	a.buckets++
	if a.current.hasFinal {
		a.finals++
	}
	a.current = bucketRecords{}
}

// size returns the size of the records as a JSON array.
func (a *answer) size() int { return len("[]\n") + max(a.bytes-1, 0) } // a.bytes has one comma too many

// isPlain reports whether the answer is the stored records in their order as a JSON array.
func (a *answer) isPlain() bool { return a.format == format.JSON && !a.pretty && !a.descending }

// render returns the body of a plain answer. Its bytes are counted already.
func (a *answer) render() []byte {
	body := append(make([]byte, 0, a.size()), '[')
	for _, records := range slices.Backward(a.kept) {
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

// stream writes the records as a JSON array, ascending by bucket. It gives back the memory of the records as they are
// written.
func (a *answer) stream(w http.ResponseWriter, r *http.Request) error {
	size := a.size()
	setJSON(w, size)
	if r.Method == http.MethodHead {
		return nil
	}
	body := newPacedWriter(w)
	b := append(make([]byte, 0, min(size, 2*writeSize)), '[')
	comma, cost := false, 0
	for _, records := range slices.Backward(a.kept) {
		for i, text := range records {
			if comma {
				b = append(b, ',')
			}
			comma, b, cost = true, append(b, text...), cost+len(text)+1+textCost
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
