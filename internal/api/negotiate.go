package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/format"
)

// notAcceptable is the error for a header Accept that allows none of the formats.
type notAcceptable struct{ accept string }

// Error lists the formats that there are.
func (e notAcceptable) Error() string {
	return "the header Accept " + shorten(e.accept) + " allows none of application/json, application/jsonl, text/csv and text/plain (line protocol)"
}

// format reads the parameters format and pretty and the header Accept. The parameter overrides the header. Without a header Accept,
// or with one that allows everything, it is JSON. The error is a notAcceptable.
func (p *params) format(r *http.Request) (f format.Format, pretty bool, err error) {
	pretty = p.onlyTrue("pretty", "JSON on one line")
	if p.values.Has("format") {
		if f, err = format.Parse(p.values.Get("format")); err != nil {
			p.faults.add("query.format", p.values.Get("format"), "%v", err)
		}
		// A format that the header has selected ignores pretty, because clients such as browsers send a header that their user does not
		// know.
		if pretty && f != format.JSON {
			p.faults.add("query.pretty", "true", "want it with the format json only")
		}
		return f, pretty, nil
	}
	f, ok := format.Negotiate(strings.Join(r.Header.Values("Accept"), ","))
	if !ok {
		return f, pretty, notAcceptable{r.Header.Get("Accept")}
	}
	return f, pretty, nil
}

// texts returns the records of the answer, in its order. The slice is new.
func (a *answer) texts() []string { return slices.Concat(a.kept...) }

// quickCells is how many cells a CSV has at most that is made without a place among the long requests. Most of the cells can be empty, so
// that quickBytes does not bound them.
const quickCells = 500_000

// renderFormatted returns the records in the format of the query. Unlike the JSON of the stored bytes, the whole body is made
// before any of it is sent, so that an error is answered with a problem. A large body needs a place among the long requests, as its
// records are parsed. The errors that a client can do something about are a busy, a tooMuch for a table with too many cells of CSV, and a
// fault for records that line protocol cannot express.
func (a *answer) renderFormatted(ctx context.Context) ([]byte, error) {
	parsed := a.format != format.JSONLines
	if err := a.work.makeLong(ctx, parsed && (a.records > quickRecords || a.bytes > quickBytes)); err != nil {
		return nil, err
	}
	body, err := a.format.Append(make([]byte, 0, a.bytes+a.bytes/4), a.texts(), a.pretty, func(cells int) error {
		if cells > a.maxBytes {
			return tooMuch{what: fmt.Sprintf("the table has %d cells", cells), limit: a.maxBytes, advice: a.advice() + ", or use format=jsonl"}
		}
		return a.work.makeLong(ctx, cells > quickCells)
	})
	a.work.rest()
	switch {
	case errors.Is(err, format.ErrInexpressible):
		return nil, faults{{Location: "query.format", Value: "\"lp\"", Message: err.Error() + "; want another format"}}
	case err != nil:
		return nil, err
	}
	// The bytes of the body are taken before those of the records are returned, because both are in memory now.
	if err := a.work.grow(len(body)); err != nil {
		return nil, err
	}
	a.release(len(body))
	return body, nil
}
