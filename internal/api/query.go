package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/format"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// query is a request for records, whose parameters were checked. Later steps complete it: records replaces the name of the table by the
// stored one, resume sets hash, and for a later page its range and after, and pin sets the range of the first page. From then on it does
// not change.
type query struct {
	table  record.Table // the one that the name in the request means
	span   record.Range // of the starts of buckets
	fields []string     // any of them; empty for all
	tags   []series.Tag // all of them; empty for no condition
	limit  int          // the most records of a page, or 0 for an answer with all records
	final  bool         // only final records
	apart  bool         // the records of each agent, instead of one record of all
	cursor string       // the parameter, not yet decoded
	hash   uint64       // of the parameters that select records
	after  *place       // the place where the page begins, or nil for a first page
	// rolling is nil unless the records are rolled up.
	rolling    *rolling
	format     format.Format
	pretty     bool
	descending bool // the newest bucket first
}

// names returns the fields and the keys of tags that the query names. They are to be checked by [server.checkNames].
func (q *query) names() []askedName {
	if q.rolling == nil {
		return askedNames(q.fields, q.tags, nil)
	}
	return askedNames(q.fields, q.tags, q.rolling.groupBy)
}

// lastFinals reports whether the query wants the last buckets that have a final record.
func (q *query) lastFinals() bool { return q.final && q.span.Last > 0 }

// backward reports whether the newest bucket is read first. Only a page in ascending order needs the oldest bucket first; another answer
// that is complete before all buckets are read has the newest ones. The order of the answer does not depend on it: see [answer.arrange].
func (q *query) backward() bool { return q.descending || q.limit == 0 }

// rest returns the range of the buckets that are not on earlier pages. The last bucket of the page before is in the range, because it can
// have more records.
func (q *query) rest() record.Range {
	span := q.span
	switch {
	case q.after == nil:
	case q.descending:
		span.End = timeline.After(q.after.start)
	default:
		span.Start = q.after.start
	}
	return span
}

// params reads the parameters of a request and collects their faults. Its methods return the zero value for a parameter that is
// absent or wrong. A client then gets all its faults at once. One goroutine uses it, that of the request.
type params struct {
	values url.Values  // as they were sent, with those that are not known; nil for a route that ignores them
	known  []parameter // those of the route
	faults faults      // so far; err returns them once all parameters were read
	grant  token.Grant // what the request may read
}

// maxRepeated is how often a request may repeat a parameter.
const maxRepeated = 100

// newParams reads the query of a request. It adds a fault for each parameter that the route does not have, and for each that is
// given more than once although it is not repeatable. A query that cannot be parsed has a fault for that, and those of the
// parameters that could be parsed. The faults are sorted, because the order of a map is random.
func newParams(r *http.Request, rt *route, grant token.Grant) *params {
	if rt.anyQuery {
		return &params{grant: grant}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	p := &params{values: values, known: rt.parameters, grant: grant}
	if err != nil {
		p.faults.add("query", r.URL.RawQuery, "want key=value pairs, percent-encoded")
	}
	for name, all := range values {
		own := find(rt.parameters, name)
		switch {
		case own == nil:
			p.faults.add("query."+shortName(name), strings.Join(all, ","), "unknown parameter%s", known(name, rt.parameters, len(p.faults)))
		case len(all) > 1 && !own.repeated:
			p.faults.add("query."+name, strings.Join(all, ","), "want this parameter once")
		case len(all) > maxRepeated:
			p.faults.add("query."+name, strings.Join(all, ","), "want this parameter at most %d times", maxRepeated)
		}
	}
	slices.SortFunc(p.faults, func(a, b Fault) int { return strings.Compare(a.Location, b.Location) })
	return p
}

// find returns the parameter of that name, or nil. The pointer is into the slice.
func find(parameters []parameter, name string) *parameter {
	for i := range parameters {
		if parameters[i].name == name {
			return &parameters[i]
		}
	}
	return nil
}

// otherNames are names that other APIs have for our parameters.
var otherNames = map[string]string{"db": "database", "from": "start", "since": "start", "to": "end", "until": "end"}

// known returns the part of a fault about the parameters of a route. It suggests one if the unknown name is near to it; before is the
// number of faults before this one, of which only the first have a suggestion.
//
// For example, for the parameter from of a route with start and end:
//
//	, did you mean "start"? Known are start, end
func known(unknown string, parameters []parameter, before int) string {
	if len(parameters) == 0 {
		return ", there are none"
	}
	names := make([]string, 0, len(parameters))
	for _, p := range parameters {
		names = append(names, p.name)
	}
	list := "known are " + strings.Join(names, ", ")
	if before >= maxSuggested || len(unknown) > maxSuggestedWord {
		return ", " + list
	}
	if meant := cmp.Or(otherNames[unknown], option.Nearest(unknown, names)); slices.Contains(names, meant) {
		return fmt.Sprintf(", did you mean %q? %s", meant, upper(list))
	}
	return ", " + list
}

// shortName returns the name of a parameter as it is, or quoted and shortened if it is long or has special characters.
func shortName(name string) string {
	quoted := shorten(name)
	if quoted == `"`+name+`"` {
		return name
	}
	return quoted
}

// err returns the faults as an error, or nil if there are none.
func (p *params) err() error {
	if len(p.faults) == 0 {
		return nil
	}
	return p.faults
}

// checkName adds a fault if the name breaks a rule of [record.CheckName].
func (p *params) checkName(location, name string) {
	if err := record.CheckName(name); err != nil {
		p.faults.add(location, name, "%v", err)
	}
}

// database returns the parameter database, or the fallback if it is absent and the fallback is not empty.
func (p *params) database(fallback string) string {
	if !p.values.Has("database") && fallback != "" {
		return fallback
	}
	name := p.values.Get("database")
	if name == "" {
		p.faults.add("query.database", name, "want the name of a database, as GET /databases lists them")
		return name
	}
	p.checkName("query.database", name)
	return name
}

// time reads a time: see [parseTime]. It returns false if the parameter is absent or wrong. A relative time counts from now.
func (p *params) time(name string, now time.Time) (at time.Time, ok bool) {
	if !p.values.Has(name) {
		return time.Time{}, false
	}
	text := p.values.Get(name)
	if at, ok = parseTime(text, now); !ok {
		p.faults.add("query."+name, text, "want a time such as 2026-12-31T23:00:00Z, a date such as 2026-12-31, seconds, milliseconds, "+
			"microseconds or nanoseconds since 1970, \"now\", or a time ago such as \"-6h\" (units s, m, h, d, w)%s", timeHint(text, now))
	}
	return at, ok
}

// span reads the parameters start, end and last. In a [record.Range] the zero time is no bound, so an end at that time,
// 0001-01-01T00:00:00Z, becomes the time before it. The end is exclusive.
func (p *params) span(now time.Time) record.Range {
	start, hasStart := p.time("start", now)
	end, hasEnd := p.time("end", now)
	if hasStart && hasEnd && !start.Before(end) {
		p.faults.add("query.end", p.values.Get("end"), "want a time after start, which is %s", start.Format(time.RFC3339Nano))
	}
	if hasEnd && end.IsZero() {
		end = end.Add(-1)
	}
	return record.Range{Start: start, End: end, Last: p.number("last")}
}

// timeHint returns how to write a text that is nearly a time, or "". In a query, a plus means a space, so the offset +01:00 arrives
// with a space. A time without an offset is not read as UTC, because programs such as Python write local times so. For example,
// 2026-01-02 03:04 gets "; in UTC, write 2026-01-02T03:04:00Z", and 6h gets "; write -6h".
func timeHint(text string, now time.Time) string {
	if _, ok := parseTime(strings.ReplaceAll(text, " ", "+"), now); ok {
		return "; write + as %2B"
	}
	if _, ok := parseTime("-"+text, now); ok {
		return "; write -" + text
	}
	text = strings.Replace(text, " ", "T", 1)
	for _, missing := range []string{"Z", ":00Z"} {
		if _, ok := parseTime(text+missing, now); ok {
			return "; in UTC, write " + text + missing
		}
	}
	return ""
}

// number reads a number from 1 to the largest one that the table of routes has for the parameter. An absent parameter is 0, which
// no valid value is.
func (p *params) number(name string) int {
	if !p.values.Has(name) {
		return 0
	}
	text, most := p.values.Get(name), find(p.known, name).most
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		p.faults.add("query."+name, text, "want a number from 1 to %d", most)
		return 0
	}
	return n
}

// onlyTrue reads a parameter that must be absent or "true". otherwise is what an absent one is for.
func (p *params) onlyTrue(name, otherwise string) bool {
	if !p.values.Has(name) {
		return false
	}
	if text := p.values.Get(name); text != "true" {
		p.faults.add("query."+name, text, "want true, or leave the parameter out for %s", otherwise)
	}
	return true
}

// tags reads the repeated parameter tag. The key ends at the first "=", so a value can contain more of them. An empty value is
// possible: replica= selects the records without one.
func (p *params) tags() []series.Tag {
	var tags []series.Tag
	for _, text := range p.values["tag"] {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			p.faults.add("query.tag", text, "want key=value, such as tag=host=a")
			continue
		}
		tags = append(tags, series.Tag{Key: key, Value: value})
	}
	return tags
}

// readQuery reads a request for records. The error contains every fault of its parameters.
//
// The header Accept is judged last: a notAcceptable is returned only if no parameter is wrong.
func (s *server) readQuery(r *http.Request, p *params) (query, error) {
	q := query{
		table:  record.Table{Database: p.database(s.DefaultDatabase), Name: r.PathValue("table")},
		span:   p.span(s.Now()),
		fields: p.values["field"],
		tags:   p.tags(),
		limit:  p.number("limit"),
		final:  p.onlyTrue("final", "all records"),
		cursor: p.values.Get("cursor"),

		rolling: p.rolling(),
	}
	// The empty cursor of a first page makes it a page too.
	if p.values.Has("cursor") && q.limit == 0 {
		q.limit = s.MaxRecords
	}
	switch agents := p.orDefault("agents", "merged"); agents {
	case "merged":
	case "each":
		q.apart = true
	default:
		p.faults.add("query.agents", agents, "want merged (the default), one record of all agents, or each, a record of each agent")
	}
	switch order := p.orDefault("order", "asc"); order {
	case "asc":
	case "desc":
		q.descending = true
	default:
		p.faults.add("query.order", order, "want asc (the default) or desc, which begins with the newest bucket")
	}
	p.checkName("path.table", q.table.Name)
	var err error
	q.format, q.pretty, err = p.format(r)
	if faults := p.err(); faults != nil {
		return q, faults
	}
	return q, err
}

// parseTime reads a time: RFC 3339, a date, which is midnight in UTC, a whole number since 1970, "now", or a time ago such as
// "-6h". As in InfluxDB 3, the unit of a number depends on its magnitude: seconds below 5e9, milliseconds below 5e12,
// microseconds below 5e15, else nanoseconds.
func parseTime(s string, now time.Time) (time.Time, bool) {
	if s == "now" {
		return now, true
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, true
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return sinceEpoch(n), true
	}
	return ago(s, now)
}

// sinceEpoch returns the time of a number since 1970, in the unit that its size implies. Seconds reach to the year 2128. A number of
// milliseconds, microseconds or nanoseconds within 58 days of 1970 is taken for one of a larger unit.
func sinceEpoch(n int64) time.Time {
	size := max(n, -n)
	switch {
	case size < 0: // the smallest int64, whose opposite overflows
		return time.Unix(0, n)
	case size < 5e9:
		return time.Unix(n, 0)
	case size < 5e12:
		return time.UnixMilli(n)
	case size < 5e15:
		return time.UnixMicro(n)
	}
	return time.Unix(0, n)
}

// ago reads a time before now, such as "-6h". The units are s, m, h, d of 24 hours and w of 7 days. The number has at most 31 bits,
// and the time ago is at most 146 years, so that no Duration overflows.
func ago(s string, now time.Time) (time.Time, bool) {
	if len(s) < 3 || s[0] != '-' {
		return time.Time{}, false
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[1:len(s)-1], 10, 31)
	if !ok || err != nil || n > uint64(1<<62/unit) {
		return time.Time{}, false
	}
	return now.Add(-time.Duration(n) * unit), true
}
