package api

import (
	"context"
	"strconv"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
)

// validity is how long an answer stays right while its table is not written: before the time until, or always if that is zero. It begins
// without an end, and endsAt can only shorten it. If it is too short, the answer is made anew too early; if it were too long, a client
// would get a wrong answer. So in doubt it ends at once.
type validity struct {
	asked time.Time // a time at the beginning of the request, or before it
	until time.Time
}

// endsAt notes that the answer can be another one from then on.
func (v *validity) endsAt(at time.Time) {
	if v.until.IsZero() || at.Before(v.until) {
		v.until = at
	}
}

// unknown notes that the answer may be right for this request only.
func (v *validity) unknown() { v.endsAt(v.asked) }

// lasts reports whether the answer is right for later requests.
func (v *validity) lasts() bool { return v.until.IsZero() || v.until.After(v.asked) }

// after returns by how much the request was after another time. For example, it is 6 h for the start of the range of start=-6h: a bucket
// leaves that range 6 h after its start.
func (v *validity) after(at time.Time) time.Duration { return v.asked.Sub(at) }

// moves reports whether the value of a parameter is a time that depends on the clock: see [parseTime].
func (p *params) moves(name string) bool {
	text := p.values.Get(name)
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return false // -5 is 5 seconds before 1970
	}
	return text == "now" || text != "" && text[0] == '-'
}

// validityOf returns the validity of an answer with the records of the selected buckets. Three things change with the clock alone:
//
//	start=-6h      until the oldest bucket leaves the range
//	end=-6h, now   for ever if all buckets begin before the end; otherwise the next bucket can enter at any time
//	final=true     until the next bucket begins or ends
func (s *server) validityOf(ctx context.Context, p *params, q query, sel selection, asked time.Time) validity {
	v := validity{asked: asked}
	if p.moves("start") && len(sel.starts) > 0 {
		v.endsAt(sel.starts[0].Add(v.after(q.span.Start))) // when it leaves the range
	}
	if p.moves("end") && !s.allBefore(ctx, q.table, q.span.End) {
		v.unknown()
	}
	if q.final && !sel.timeline.Until.IsZero() {
		v.endsAt(sel.timeline.Until)
	}
	return v
}

// allBefore reports whether no bucket of the table begins at a time or later. An error counts as false, because it is not known.
func (s *server) allBefore(ctx context.Context, t record.Table, at time.Time) bool {
	newest, err := s.reader.Buckets(ctx, t, record.Range{Last: 1})
	return err == nil && (len(newest) == 0 || newest[0].Before(at))
}

// rollupValidity returns the validity of an answer that is merged from the buckets that begin at starts. The range is that of the
// whole buckets of the grid. Beside the changes of validityOf, a bucket of the grid becomes complete with the clock.
func (s *server) rollupValidity(ctx context.Context, p *params, q query, starts []time.Time, asked time.Time) validity {
	v := validity{asked: asked}
	span := q.rolling.widen(q.span)
	if p.moves("start") {
		s.leaving(q, starts, &v)
	}
	if p.moves("end") && !s.allBefore(ctx, q.table, span.End) {
		v.unknown()
	}
	if q.final {
		line, err := timeline.Read(ctx, s.reader, q.table, s.Now())
		switch {
		case err != nil:
			v.unknown()
		case !line.Until.IsZero():
			v.endsAt(line.Until)
		}
	}
	if q.rolling.grid != nil {
		s.completion(ctx, q, starts, &v)
	}
	return v
}

// leaving notes when the first bucket leaves a range whose start moves. With a grid, a range has whole buckets of the grid, so that
// it changes when its start reaches the end of the one that it is in.
func (*server) leaving(q query, starts []time.Time, v *validity) {
	if q.rolling.grid == nil {
		if len(starts) > 0 {
			v.endsAt(starts[0].Add(v.after(q.span.Start)))
		}
		return
	}
	first, ok := q.rolling.startOf(q.span.Start)
	if !ok {
		v.unknown()
		return
	}
	v.endsAt(q.rolling.endOf(first).Add(v.after(q.span.Start)))
}

// completion notes when the next bucket of a grid becomes complete without a write: see [server.complete]. Buckets are looked at
// from the newest one on, until one is complete already.
func (s *server) completion(ctx context.Context, q query, starts []time.Time, v *validity) {
	newest, err := s.reader.Buckets(ctx, q.table, record.Range{Last: 1})
	if err != nil || len(newest) > 0 && newest[0].After(v.asked) {
		v.unknown()
		return
	}
	upTo := v.asked.Add(-settled)
	if len(newest) > 0 && newest[0].After(upTo) {
		upTo = newest[0]
	}
	for i := len(starts) - 1; i >= 0; i-- {
		start, ok := q.rolling.startOf(starts[i])
		if !ok {
			v.unknown()
			return
		}
		end := q.rolling.endOf(start)
		if !end.After(upTo) {
			return
		}
		v.endsAt(end.Add(settled))
	}
}
