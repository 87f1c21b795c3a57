package api

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// window has names of a large bucket: those of the records that a query wants and that follow each other in the order of its
// answer. So a page reads only its own records. It has all names of a series or none. It is immutable.
//
//	names of the bucket, in the order of the answer   a1 a2 b1 c1 c2 c3 d1 e1 e2
//	a window                                          from ─▶ b1 c1 c2 c3 d1
//
// The bucket still has the same names if it has the same size and has not expired: see Reader.Names.
type window struct {
	of       windowOf
	size     int           // how many records the bucket had, or -1 if that changed while they were read
	lives    time.Duration // how long the bucket lives at least, from the beginning of the reading on; 0 if that is not known
	read     int           // how many names were read
	from     *bound        // the names begin after it
	names    []placed      // in the order of the answer, each once
	complete bool          // whether no names follow
	isHead   bool          // whether the cache had these names as the first ones, some of which may be those of an evicted bucket
	bytes    int           // of memory, about
}

// windowOf identifies the windows of one query: the bucket, the wanted records, and their order.
type windowOf struct {
	table      record.Table // the stored one
	start      time.Time    // in UTC
	wanted     string       // the fields and tags of the query
	descending bool
}

// bound is a place in the order of an answer, between two names. The bound nil is before all names.
type bound struct{ series, agent string }

// afterSeries returns the bound behind all records of a series. An agent is a JSON string, so it begins with a quotation mark.
func afterSeries(series string, descending bool) *bound {
	if descending {
		return &bound{series: series}
	}
	return &bound{series: series, agent: "\xff"}
}

// isBefore reports whether the bound is before a name with that place. The place is the concatenation of series and that of
// agent.
func (b *bound) isBefore(series, agent [2]string, descending bool) bool {
	if b == nil {
		return true
	}
	c := cmp.Or(compareJoined(series, b.series), compareJoined(agent, b.agent))
	if descending {
		return c < 0
	}
	return c > 0
}

// compareJoined compares the concatenation of two texts with a third one. It does not make the concatenation, because it is called
// for each record of a bucket.
func compareJoined(parts [2]string, text string) int {
	n := min(len(parts[0]), len(text))
	if c := strings.Compare(parts[0][:n], text[:n]); c != 0 || len(parts[0]) > n {
		return cmp.Or(c, 1)
	}
	return strings.Compare(parts[1], text[n:])
}

// placed is a name and its place: the name, the series and the agent one after another in one text, to save memory. Series and
// agent are bounded.
type placed struct {
	text          string
	series, agent int32 // where they begin
}

// placedCost is about how many bytes of memory a placed needs beside its text.
const placedCost = 40

func (p placed) name() string     { return p.text[:p.series] }
func (p placed) ofSeries() string { return p.text[p.series:p.agent] }
func (p placed) ofAgent() string  { return p.text[p.agent:] }

// compare compares the places of two names, as [compareEntries] does for their records. Equal ones are compared by name.
func (p placed) compare(q placed) int {
	if c := strings.Compare(p.ofSeries(), q.ofSeries()); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(p.ofAgent(), q.ofAgent()), strings.Compare(p.name(), q.name()))
}

// next returns the names after a bound: at most n, or if apart is false those of at most n series. The window begins at that bound
// or before it.
func (w *window) next(after *bound, n int, apart bool) []placed {
	i := sort.Search(len(w.names), func(i int) bool {
		p := w.names[i]
		return after.isBefore([2]string{p.ofSeries()}, [2]string{p.ofAgent()}, w.of.descending)
	})
	names := w.names[i:]
	if apart {
		return names[:min(n, len(names))]
	}
	for i := range names {
		if i > 0 && names[i].ofSeries() == names[i-1].ofSeries() {
			continue
		}
		if n--; n < 0 {
			return names[:i]
		}
	}
	return names
}

// covers reports whether the window has all names after a bound, or at least one.
func (w *window) covers(after *bound) bool {
	if after == nil {
		return w.from == nil
	}
	if w.from != nil && after.isBefore([2]string{w.from.series}, [2]string{w.from.agent}, w.of.descending) {
		return false
	}
	return w.complete || len(w.next(after, 1, true)) > 0
}

// exceeds reports whether the window has all names, or those of more than n records of an answer.
func (w *window) exceeds(n int, apart bool) bool {
	return w.complete || len(w.next(nil, n, apart)) < len(w.names)
}

// collector makes a window from the names of a bucket, which come in any order. It keeps the first ones.
type collector struct {
	window
	filter          record.Filter
	most, mostBytes int    // of the names of the window
	until           *bound // names after it do not belong to the window, unless it is nil
	counted         int    // the bytes that the budget has
}

// add adds a name if it belongs to the window.
func (c *collector) add(n *record.Name) {
	series, agent := [2]string{n.Field, n.Tags}, [2]string{n.Agent, n.Replica}
	if len(n.Field)+len(n.Tags) > record.MaxPlace || len(n.Agent)+len(n.Replica) > record.MaxPlace {
		series, agent = [2]string{record.Bounded(n.Field + n.Tags)}, [2]string{record.Bounded(n.Agent + n.Replica)}
	}
	descending := c.of.descending
	if c.until != nil && c.until.isBefore(series, agent, descending) || !c.from.isBefore(series, agent, descending) || !c.filter.MatchOutline(&n.Outline) {
		return
	}
	p := placed{text: n.Text + series[0] + series[1] + agent[0] + agent[1], series: int32(len(n.Text))}
	p.agent = p.series + int32(len(series[0])+len(series[1]))
	c.names = append(c.names, p)
	c.bytes += len(p.text) + placedCost
}

// cut sorts the names and removes those that do not fit into the window. It returns false if the first series alone does not
// fit.
func (c *collector) cut() bool {
	slices.SortFunc(c.names, func(p, q placed) int {
		if c.of.descending {
			return q.compare(p)
		}
		return p.compare(q)
	})
	c.names = slices.CompactFunc(c.names, func(p, q placed) bool { return p.text == q.text })
	n, bytes := 0, 0
	for n < len(c.names) && n < c.most && bytes <= c.mostBytes {
		bytes += len(c.names[n].text) + placedCost
		n++
	}
	if n < len(c.names) {
		rest := c.names[n].ofSeries()
		for n > 0 && c.names[n-1].ofSeries() == rest {
			n--
			bytes -= len(c.names[n].text) + placedCost
		}
		if n == 0 {
			return false
		}
		c.until = afterSeries(c.names[n-1].ofSeries(), c.of.descending)
	}
	clear(c.names[n:])
	c.names, c.bytes = c.names[:n], bytes
	return true
}

// isFull reports whether it is time to cut. A cut sorts all names, so that it is worth it only when half of them go. So a window needs twice
// its memory while it is made.
func (c *collector) isFull() bool { return len(c.names) > 2*c.most || c.bytes > 2*c.mostBytes }
