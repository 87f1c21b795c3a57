package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// maxScrapes is how many scrapes of the exported tables are answered at the same time.
const maxScrapes = 64

// scrapesClient is the client that the memory of expositions is counted for, because several scrapes share one.
const scrapesClient = "scrapes"

// gatheringKey is equal for scrapes that share one reading of the exported tables. Scrapes with different tokens share it too, if the
// tokens allow the same exported databases. The text formats are written from one exposition.
type gatheringKey struct {
	databases string // that they may read
	protobuf  bool   // whether they get native histograms
}

// scrapes has the scrapes that are being answered. It is safe for concurrent use.
//
// A scrape takes these steps:
//
//	a place ─▶ join, by gatheringKey ─▶ gather: readExported, and its bytes of the budget ─▶ sendExposition ─▶ leave
//	 └ none: busy        └ others with the same key wait for this one                              the last one gives the bytes back
type scrapes struct {
	places  chan struct{} // holds an element for each scrape
	reading flights[gatheringKey, *exporter.Exposition]
}

// newScrapes returns scrapes whose expositions are counted in a budget: by gather, until the last scrape has sent them.
func newScrapes(timeout time.Duration, b *budget) *scrapes {
	return &scrapes{places: make(chan struct{}, maxScrapes), reading: flights[gatheringKey, *exporter.Exposition]{
		timeout: timeout, free: func(x *exporter.Exposition) { b.give(scrapesClient, x.Size()) },
	}}
}

// export answers with the exported tables, in the format that the header Accept prefers: protobuf, OpenMetrics or the text format
// of Prometheus. A scrape beyond maxScrapes is refused at once.
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
	key := gatheringKey{s.exportedTo(p.grant), format.FormatType() == expfmt.TypeProtoDelim}
	// The flight is left only when the exposition is sent, so that its bytes are counted until then.
	g, _ := s.scrapes.reading.join(r.Context(), key, func(ctx context.Context) (*exporter.Exposition, error) {
		return s.gather(ctx, p.grant, key.protobuf)
	})
	defer s.scrapes.reading.leave(key, g)
	x, err := g.wait(r.Context())
	if err != nil {
		return away(err)
	}
	return sendExposition(w, r, x, format)
}

// exportedTo returns the databases of the exported tables that a request may read, for a gatheringKey: each once, in the order of
// the settings. They are separated by a byte 0, which no name has.
func (s *server) exportedTo(grant token.Grant) string {
	var databases []string
	for _, t := range s.Export {
		if grant.Allows(token.Metrics, t.Database) && !slices.Contains(databases, t.Database) {
			databases = append(databases, t.Database)
		}
	}
	return strings.Join(databases, "\x00")
}

// gather reads the exported tables that a request may read, and counts the memory of the exposition. If the budget has no room for
// that, the error is busy, and the flight gives nothing back.
func (s *server) gather(ctx context.Context, grant token.Grant, protobuf bool) (*exporter.Exposition, error) {
	x, err := s.readExported(ctx, grant, protobuf)
	if err != nil {
		return nil, err
	}
	return x, s.limits.budget.take(scrapesClient, 0, x.Size())
}

// sendExposition writes an exposition in a format. It is made sample by sample, so that a slow client needs little memory. The
// labels of the samples are encoded already, and differ between text and protobuf: see gatheringKey.
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

// readExported reads the exported tables that a request may read. A table that is missing or cannot be read does not end the
// scrape: the exposition has a gauge for it, and the log a line when that changes. The error is an unavailable if no table could be
// read.
func (s *server) readExported(ctx context.Context, grant token.Grant, protobuf bool) (*exporter.Exposition, error) {
	var sources []exporter.Source
	for i, e := range s.Export {
		// A table can be in the settings twice.
		again := slices.ContainsFunc(s.Export[:i], func(other exporter.Table) bool { return other.Table == e.Table })
		if again || !grant.Allows(token.Metrics, e.Database) {
			continue
		}
		entry, err := s.catalogue.resolve(ctx, grant, token.Metrics, e.Table)
		_, missing := err.(notFound) //nolint:errorlint // as resolve returns it
		if missing {
			err = nil
		}
		sources = append(sources, exporter.Source{Table: e, Stored: entry.Table, Missing: missing, Err: err})
	}
	x, err := exporter.Read(ctx, s.reader, sources, protobuf, exporter.Options{
		MaxSeries: s.ExportMaxSeries, MaxBuckets: s.ExportBuckets, MaxScanned: s.MaxScanned, MaxAge: s.ExportMaxAge, Now: s.Now,
	})
	if err != nil {
		return nil, away(err)
	}
	for i, source := range sources {
		s.foundExport(source.Table.Table, source.Missing, x.Failed(i))
	}
	return x, nil
}
