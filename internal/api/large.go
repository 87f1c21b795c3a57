package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// A page needs few records of a large bucket, but only all names of the bucket show which ones come first. So these names are read
// without the records, or known already (see windows), and then the records of the page by their names. The cache may have the first
// names of the bucket, which are enough for a small page.
//
//	readWhole ─ the bucket is large ─▶ readNamed: windowAt ─▶ keepNamed ─▶ enough for the page ─▶ endBucket
//	    ▲                                             ▲            ├ not enough ─▶ the next names
//	    │                                             └────────────┴ other names than the window has: anew, up to maxStale times
//	    └─ ErrUnclear: the names do not show the order, change all the time, or few of the records are final

// errLarge ends the reading of a large bucket of a page.
var errLarge = errors.New("the bucket is large")

// maxStale is how often a page begins a bucket anew because its names have changed.
const maxStale = 3

// readPage reads buckets in this order, until the page is complete.
func (s *server) readPage(ctx context.Context, a *answer, starts []time.Time) error {
	for len(starts) > 0 {
		if !a.byNames() || !s.windows.known(a.windowOf(starts[0])) {
			err := s.readWhole(ctx, a, starts)
			if !errors.Is(err, errLarge) {
				return err
			}
			starts = starts[slices.IndexFunc(starts, a.current.start.Equal):]
		}
		err := s.readNamed(ctx, a, starts[0])
		if errors.Is(err, record.ErrUnclear) {
			a.discard()
			a.whole = true
			err = s.readWhole(ctx, a, starts[:1])
			a.whole = false
		}
		if err != nil {
			return err
		}
		starts = starts[1:]
	}
	return nil
}

// readWhole reads all records of buckets.
func (s *server) readWhole(ctx context.Context, a *answer, starts []time.Time) error {
	return s.reader.Records(ctx, a.table, starts, a.enough(), func(part record.Part) error { return a.take(ctx, part) })
}

// byNames reports whether large buckets are read by names. Only for a page: other answers need all records that the query wants, or
// know from other records too whether a bucket has a final one.
func (a *answer) byNames() bool { return a.limit > 0 && !a.probe && !a.whole }

// isLarge reports whether the current bucket is to be read by names. It is not if the page may need half of the bucket.
func (a *answer) isLarge(part record.Part) bool {
	return a.byNames() && !part.Last && max(a.current.read, part.Size) > max(a.largeBucket, 2*a.most())
}

// discard forgets the records of the current bucket, if one has begun, so that it can be read anew.
func (a *answer) discard() {
	if !a.current.started {
		return
	}
	a.spare += a.current.size
	a.invalid = a.current.invalid
	clear(a.current.entries)
	a.current.size, a.current.started = 0, false
}

// readNamed reads a bucket of a page by names. The error is [record.ErrUnclear] if that does not work or is not worth it.
func (s *server) readNamed(ctx context.Context, a *answer, start time.Time) error {
	var after *bound                 // the names up to it are read
	stale, found, head := 0, 0, true // head is whether the first names of the bucket may be enough
	anew := func() {
		a.discard()
		a.begin(start)
		after, found = a.boundAt(start), 0
	}
	for anew(); ; {
		w, own, err := s.windowAt(ctx, a, start, after, head)
		if err != nil {
			return err
		}
		n := a.most() + 1 - found
		if a.final {
			n = max(n, a.current.read) // few may be final
		}
		names := w.next(after, n, a.apart)
		size, err := s.keepNamed(ctx, a, w, names)
		if err != nil {
			return err
		}
		if !own && size != w.size || w.isHead && size < 0 { // the window was read before this request, or is of another bucket
			head = false
			s.windows.drop(w, size)
			if stale++; stale == maxStale {
				return record.ErrUnclear
			}
			anew()
			continue
		}
		if len(names) > 0 {
			last := names[len(names)-1]
			after = &bound{last.ofSeries(), last.ofAgent()}
		}
		switch found, _ = a.count(); {
		case found > a.most() || w.complete && len(w.next(after, 1, true)) == 0:
			return a.endBucket()
		case a.final && a.current.read > a.largeBucket+2*a.most():
			return record.ErrUnclear // few records are final, and reading each by its name takes longer
		}
	}
}

// keepNamed reads records by their names and keeps them. It returns how many records the bucket has, or -1 if a name is gone.
func (s *server) keepNamed(ctx context.Context, a *answer, w *window, placed []placed) (size int, err error) {
	names := make([]string, 0, len(placed))
	for _, p := range placed {
		names = append(names, p.name())
	}
	for gone := false; ; {
		texts, size, err := s.reader.Named(ctx, a.table, w.of.start, names)
		if err != nil {
			return 0, away(err)
		}
		n := len(texts)
		texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" })
		gone = gone || len(texts) < n
		if err := a.keepPart(record.Part{Start: w.of.start, Texts: texts}); err != nil {
			return 0, err
		}
		if err := a.proceed(ctx); err != nil {
			return 0, err
		}
		if names = names[n:]; len(names) > 0 {
			continue
		}
		if gone {
			return -1, nil
		}
		return size, nil
	}
}

// windowAt returns a window that covers the place after a bound, and whether its names were read for this request. If head is true, it
// may be one of the first names only.
func (s *server) windowAt(ctx context.Context, a *answer, start time.Time, after *bound, head bool) (w *window, own bool, err error) {
	of := a.windowOf(start)
	enough := func(w *window) bool { return after != nil || w.exceeds(a.most(), a.apart) }
	if w := s.windows.find(of, after, a.version, enough); w != nil {
		return w, false, nil
	}
	if after == nil && head {
		w, err := s.windows.head(ctx, of, a.filter, a.version, enough)
		if w != nil {
			a.named += w.read
			return w, true, a.checkRead()
		}
		if err != nil {
			return nil, false, err
		}
	}
	names := math.MaxInt / 2 // no limit: isFull compares with twice the number
	if after == nil {
		names = max(minWindow, pagesAhead*(a.most()+1))
	}
	err = a.work.share(ctx, func() (err error) {
		w, own, err = s.windows.make(ctx, of, a.filter, after, names, a.version)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	a.named += w.read
	return w, own, a.checkRead()
}

// checkRead returns an error if the request has read too many records and names.
func (a *answer) checkRead() error {
	if read := a.work.read + a.named; read > a.maxScanned {
		return tooManyReads(read, a.maxScanned)
	}
	return nil
}

// tooManyReads returns the error for a request that has to read so many records and names.
func tooManyReads(read, limit int) error {
	return tooMuch{what: fmt.Sprintf("the request has to read %d records or more", read), limit: limit, advice: adviceReads}
}

// windowOf returns what the windows of a bucket have to be of.
func (a *answer) windowOf(start time.Time) windowOf {
	return windowOf{table: a.table, start: start.UTC(), wanted: fmt.Sprintf("%q%q", a.fields, a.tags), descending: a.descending}
}

// boundAt returns the bound in a bucket after which the page begins.
func (a *answer) boundAt(start time.Time) *bound {
	switch {
	case a.after == nil || !start.Equal(a.after.start):
		return nil
	case a.apart:
		return &bound{a.after.series, a.after.agent}
	}
	return afterSeries(a.after.series, a.descending)
}
