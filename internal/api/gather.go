package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// maxScrapes is how many scrapes of the exported tables are answered at the same time.
const maxScrapes = 64

// scrapesClient is the client that the memory of expositions is counted for, because several scrapes share one.
const scrapesClient = "scrapes"

// scrapes shares one reading of the exported tables among the scrapes that come while it runs and that are equal in their
// [gatheringKey]. It is safe for concurrent use.
type scrapes struct {
	read    func(ctx context.Context, grant token.Grant, protobuf bool) (*exporter.Exposition, error)
	timeout time.Duration // bounds one reading
	budget  *budget
	places  chan struct{} // holds an element for each scrape

	mu      sync.Mutex // guards the field below, and gathering.users
	current map[gatheringKey]*gathering
}

// gatheringKey is what scrapes that share a reading are equal in.
type gatheringKey struct {
	databases string // that they may read
	protobuf  bool   // whether they get native histograms
}

func newScrapes(read func(context.Context, token.Grant, bool) (*exporter.Exposition, error), timeout time.Duration, b *budget) *scrapes {
	return &scrapes{read: read, timeout: timeout, budget: b, places: make(chan struct{}, maxScrapes), current: make(map[gatheringKey]*gathering)}
}

// gathering is one reading of the exported tables. Its results are set before done is closed.
type gathering struct {
	key    gatheringKey
	users  int // scrapes that wait for the exposition or write it
	cancel context.CancelFunc
	done   chan struct{}

	exposition *exporter.Exposition
	counted    bool // whether the budget has the size of the exposition
	err        error
	panicked   any // the value of a panic, or nil
}

// export answers with the exported tables, in the format that the header Accept prefers: protobuf, OpenMetrics or the text format
// of Prometheus.
func (s *server) export(w http.ResponseWriter, r *http.Request, p *params) error {
	select {
	case s.scrapes.places <- struct{}{}:
		defer func() { <-s.scrapes.places }()
	default:
		return busy{what: "other scrapes are being answered", reason: "scrapes"}
	}
	format := expfmt.NegotiateIncludingOpenMetrics(r.Header)
	switch format.FormatType() {
	case expfmt.TypeProtoDelim, expfmt.TypeOpenMetrics, expfmt.TypeTextPlain:
	default: // protobuf as text, which is for debugging
		format = expfmt.NewFormat(expfmt.TypeTextPlain)
	}
	g := s.scrapes.join(r.Context(), p.grant, gatheringKey{s.exportedTo(p.grant), format.FormatType() == expfmt.TypeProtoDelim})
	defer s.scrapes.leave(g)
	select {
	case <-g.done:
	case <-r.Context().Done():
		return away(r.Context().Err())
	}
	if g.panicked != nil {
		panic(g.panicked) // in the goroutine of the request, whose handler answers with a problem
	}
	if g.err != nil {
		return g.err
	}
	return sendExposition(w, r, g.exposition, format)
}

// exportedTo returns the databases of the exported tables that a request may read, for a gatheringKey.
func (s *server) exportedTo(grant token.Grant) string {
	var databases []string
	for _, t := range s.Export {
		if grant.Allows(token.Metrics, t.Database) && !slices.Contains(databases, t.Database) {
			databases = append(databases, t.Database)
		}
	}
	return strings.Join(databases, "\x00")
}

// join returns the gathering of that key that is running, or starts one for requests with the grant. The caller must call leave.
// The end of ctx does not end the gathering, because other scrapes may wait for it.
func (s *scrapes) join(ctx context.Context, grant token.Grant, key gatheringKey) *gathering {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.current[key]
	if g == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		g = &gathering{key: key, cancel: cancel, done: make(chan struct{})}
		s.current[key] = g
		go s.run(ctx, grant, g)
	}
	g.users++
	return g
}

// leave ends the use of a gathering. If no scrape uses it any more, it stops reading, or its memory is given back.
func (s *scrapes) leave(g *gathering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.users--; g.users > 0 {
		return
	}
	g.cancel()
	if s.current[g.key] == g {
		delete(s.current, g.key)
	}
	s.release(g)
}

// run reads the exported tables and closes done.
func (s *scrapes) run(ctx context.Context, grant token.Grant, g *gathering) {
	defer g.cancel()
	defer s.finish(g)
	defer func() { g.panicked = recover() }()
	g.exposition, g.err = s.read(ctx, grant, g.key.protobuf)
}

// finish counts the memory of the exposition and closes done. The next scrape starts another gathering.
func (s *scrapes) finish(g *gathering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current[g.key] == g {
		delete(s.current, g.key)
	}
	if g.exposition != nil {
		g.err = s.budget.take(scrapesClient, 0, g.exposition.Size())
		g.counted = g.err == nil
	}
	close(g.done)
	if g.users == 0 {
		s.release(g)
	}
}

// release gives the memory of an exposition back. The caller holds mu.
func (s *scrapes) release(g *gathering) {
	if g.counted {
		s.budget.give(scrapesClient, g.exposition.Size())
		g.counted = false
	}
}

// sendExposition writes an exposition in a format. It is made sample by sample, so that a slow client needs little memory.
func sendExposition(w http.ResponseWriter, r *http.Request, x *exporter.Exposition, format expfmt.Format) (err error) {
	w.Header().Set("Content-Type", string(format))
	w.Header().Add("Vary", "Accept")
	if r.Method == http.MethodHead {
		return nil
	}
	body := newPacedWriter(w)
	if format.FormatType() == expfmt.TypeProtoDelim {
		err = x.WriteProto(body)
	} else {
		err = x.WriteText(body, format.FormatType() == expfmt.TypeOpenMetrics)
	}
	if err != nil {
		return gone{err}
	}
	return nil
}

// readExported reads the exported tables that a request may read.
func (s *server) readExported(ctx context.Context, grant token.Grant, protobuf bool) (*exporter.Exposition, error) {
	var sources []exporter.Source
	for i, e := range s.Export {
		again := slices.ContainsFunc(s.Export[:i], func(other exporter.Table) bool { return other.Table == e.Table })
		if again || !grant.Allows(token.Metrics, e.Database) {
			continue
		}
		entry, err := s.catalogue.resolve(ctx, grant, token.Metrics, e.Table)
		_, missing := err.(notFound) //nolint:errorlint // as resolve returns it
		if err != nil && !missing {
			return nil, err
		}
		s.foundExport(e.Table, !missing)
		sources = append(sources, exporter.Source{Table: e, Stored: entry.Table, Missing: missing})
	}
	x, err := exporter.Read(ctx, s.reader, sources, protobuf, exporter.Options{
		MaxSeries: s.ExportMaxSeries, MaxBuckets: s.ExportBuckets, MaxScanned: s.MaxScanned, MaxAge: s.ExportMaxAge, Now: s.Now,
	})
	return x, away(err)
}
