package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

const (
	// catalogueAge is how long the catalogue is kept in memory.
	catalogueAge = time.Second
	// tablePrefix is the part of a table's name that a request may leave out.
	tablePrefix = "analytics_"
	// maxReads is how many tables are read at the same time for a list of tables.
	maxReads = 8
	// resolveWait is how long a request that names a table waits for the catalogue.
	resolveWait = 200 * time.Millisecond
)

// catalogue is the list of all tables, kept in memory for catalogueAge. There is at most one reading at a time:
// requests that arrive during a reading wait for it and share its result, even if it fails. A catalogue is safe for
// concurrent use.
//
// In a cluster, the list is on another server than most tables, and can be lost alone. So a table that a request names is
// found by its own keys if the list does not have it, or cannot be read.
//
// A request that names a table finds it in this way:
//
//	soon ─ the newest reading, or a wait of patience for it ─ in the list ─▶ the table
//	 └─ not in the list, or no list soon ─▶ exists, for each of the two names ─▶ the table, or a notFound
type catalogue struct {
	read     func(context.Context) ([]record.TableEntry, error) // all tables
	exists   func(context.Context, record.Table) (bool, error)  // whether a table has keys
	now      func() time.Time
	timeout  time.Duration // bounds one reading
	patience time.Duration // how long soon waits: Options.resolveWait

	mu         sync.Mutex        // guards the fields below
	newest     *reading[listing] // nil before the first
	wasFailing bool              // whether the reading before the newest has failed
}

// listing are all tables. It is immutable, and several requests have it at once. The zero listing has no tables.
type listing struct {
	entries []record.TableEntry                // sorted by database and name
	index   map[record.Table]record.TableEntry // entries by table
}

// tables returns all tables, as they were at most catalogueAge before the call, or later. It returns an error when ctx ends, while
// the reading continues for other requests. A reading that fails is not kept: the next call begins another one.
func (c *catalogue) tables(ctx context.Context) (listing, error) {
	if err := ctx.Err(); err != nil {
		return listing{}, away(err)
	}
	return c.current(ctx).wait(ctx)
}

// current returns the newest reading if it is usable, or else starts a new one.
func (c *catalogue) current(ctx context.Context) *reading[listing] {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.newest == nil || !c.newest.usable(now, catalogueAge) {
		c.wasFailing = c.newest != nil && c.newest.err != nil
		c.newest = read(ctx, now, c.timeout, c.list)
	}
	return c.newest
}

// list reads the catalogue. The order is that of the answers to /databases and /analytics.
func (c *catalogue) list(ctx context.Context) (listing, error) {
	entries, err := c.read(ctx)
	if err != nil {
		return listing{}, err
	}
	slices.SortFunc(entries, func(a, b record.TableEntry) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.Name, b.Name))
	})
	index := make(map[record.Table]record.TableEntry, len(entries))
	for _, e := range entries {
		index[e.Table] = e
	}
	return listing{entries, index}, nil
}

// allowed returns the tables of [catalogue.tables] whose databases may be read.
func (c *catalogue) allowed(ctx context.Context, grant token.Grant) ([]record.TableEntry, error) {
	all, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	// Other requests use the same listing.
	return slices.DeleteFunc(slices.Clone(all.entries), func(e record.TableEntry) bool { return !grant.Allows(token.Read, e.Database) }), nil
}

// listed returns the tables whose databases may be read. The error is an unlisted if only the catalogue cannot be read: a short
// ping shows whether the store answers at all.
func (s *server) listed(ctx context.Context, grant token.Grant) ([]record.TableEntry, error) {
	entries, err := s.catalogue.allowed(ctx, grant)
	var away unavailable
	if !errors.As(err, &away) {
		return entries, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.resolveWait) // ctx may have ended
	defer cancel()
	if s.reader.Ping(ctx) == nil {
		err = unlisted{err}
	}
	return entries, err
}

// exists reports whether a table has keys. Its version or one bucket is enough: buckets expire, and Redis can evict a single key.
func (s *server) exists(ctx context.Context, t record.Table) (bool, error) {
	version, starts, err := s.reader.Index(ctx, t, record.Range{Last: 1})
	return version > 0 || len(starts) > 0, err
}

// resolve returns the table that a request names with or without the prefix. If the table with exactly this name and
// the table with the prefix added both exist, it returns the one whose name has a single prefix. If neither exists,
// or the action is not allowed in their database, the error is a notFound. The time of the last write is zero if the
// catalogue does not have the table.
func (c *catalogue) resolve(ctx context.Context, grant token.Grant, action token.Action, named record.Table) (record.TableEntry, error) {
	allowed := grant.Allows(action, named.Database)
	if allowed { // the usual case, which allocates nothing
		if e, ok := c.soon(ctx).entryOf(named); ok {
			return e, checkEntry(e)
		}
	}
	// A table of a database that may not be read is answered like one that does not exist, and nothing is read for it.
	first, second := namings(named)
	if !allowed {
		return record.TableEntry{}, noTable(first)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for _, t := range [...]record.Table{first, second} {
		if t.Check() != nil { // the prefix makes the name too long
			continue
		}
		if found, err := c.exists(ctx, t); found || err != nil {
			return record.TableEntry{Table: t}, away(err)
		}
	}
	return record.TableEntry{}, noTable(first)
}

// namings returns the two tables that a name can mean: the one whose name has a single prefix comes first. So "cpu" is
// analytics_cpu and then cpu, and "analytics_cpu" is analytics_cpu and then analytics_analytics_cpu.
func namings(named record.Table) (first, second record.Table) {
	prefixed := record.Table{Database: named.Database, Name: tablePrefix + named.Name}
	if strings.HasPrefix(named.Name, tablePrefix) {
		return named, prefixed
	}
	return prefixed, named
}

// entryOf returns the table that a name means.
func (l listing) entryOf(named record.Table) (record.TableEntry, bool) {
	first, second := namings(named)
	if e, ok := l.index[first]; ok {
		return e, true
	}
	e, ok := l.index[second]
	return e, ok
}

// soon returns the tables of the catalogue, or none if the catalogue cannot be read soon. A request does not need the list, because
// it can look for the keys of its table, so it does not wait long for the list.
func (c *catalogue) soon(ctx context.Context) listing {
	if all, ok := c.known(); ok {
		return all
	}
	if c.failing() {
		return listing{}
	}
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	all, _ := c.tables(ctx)
	return all
}

// known returns the tables of the newest reading, and false if it has not ended or is not usable.
func (c *catalogue) known() (listing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.newest; r != nil && r.ended() && r.usable(c.now(), catalogueAge) {
		return r.value, true
	}
	return listing{}, false
}

// failing reports whether the newest reading has failed less than catalogueAge ago, or will probably not end soon.
func (c *catalogue) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.newest
	switch {
	case r == nil:
		return false
	case r.ended():
		return r.err != nil && c.now().Sub(r.at) < catalogueAge
	}
	// The reading still runs.
	return c.wasFailing || c.now().Sub(r.at) >= c.patience
}

// checkEntry returns an error for a table without a time of its last write: the reader then found a time that no writer
// stores.
func checkEntry(e record.TableEntry) error {
	if e.LastWrite.IsZero() {
		return &record.Corrupt{Table: e.Table, What: "the time of its last write is not in the years 1 to 9999"}
	}
	return nil
}

// databases answers with every database.
//
// For example:
//
//	[{"database":"mydb","tables":1,"last_write":"2026-01-02T03:04:05Z"}]
//
// last_write is null if no table of the database has a valid one.
func (s *server) databases(w http.ResponseWriter, r *http.Request, p *params) error {
	if err := p.err(); err != nil {
		return err
	}
	work, err := s.limits.begin(r.Context(), clientOf(w))
	if err != nil {
		return err
	}
	defer work.end()
	entries, err := s.listed(r.Context(), p.grant)
	if err != nil {
		return err
	}
	type database struct {
		Name      string     `json:"database"`
		Tables    int        `json:"tables"`
		LastWrite *time.Time `json:"last_write"`
	}
	all := []database{}
	// The tables of a database follow each other.
	for _, e := range entries {
		if len(all) == 0 || all[len(all)-1].Name != e.Database {
			all = append(all, database{Name: e.Database})
		}
		d := &all[len(all)-1]
		d.Tables++
		if at := notZero(e.LastWrite); at != nil && (d.LastWrite == nil || at.After(*d.LastWrite)) {
			d.LastWrite = at
		}
	}
	return writeJSON(w, work, all)
}

// tableInfo describes a table in a list.
type tableInfo struct {
	Table       string     `json:"table"`
	Database    string     `json:"database"`
	Fields      []string   `json:"fields"`
	TagKeys     []string   `json:"tag_keys"`
	FirstBucket *time.Time `json:"first_bucket"`
	LastBucket  *time.Time `json:"last_bucket"`
	LastWrite   *time.Time `json:"last_write"`
	Version     int64      `json:"version"`
	// Error is the reason if the table cannot be read: its data in Redis is corrupt, or its server does not answer.
	Error string `json:"error,omitempty"`
}

// tables answers with the tables of a database. The error is a notFound for a database without tables, and for one that the
// token does not allow.
func (s *server) tables(w http.ResponseWriter, r *http.Request, p *params) error {
	database := p.database(s.DefaultDatabase)
	if err := p.err(); err != nil {
		return err
	}
	work, err := s.limits.begin(r.Context(), clientOf(w))
	if err != nil {
		return err
	}
	defer work.end()
	entries, err := s.listed(r.Context(), p.grant)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e record.TableEntry) bool { return e.Database != database })
	if len(entries) == 0 {
		return notFound{fmt.Sprintf("no database %q; GET /databases lists the databases", database)}
	}
	all, err := s.infos(r.Context(), entries)
	if err != nil {
		return err
	}
	return writeJSON(w, work, all)
}

// infos reads the description of each table, maxReads at the same time. A table whose data is corrupt, or whose server does not answer
// while others do, has the reason in its description. The error is an unavailable if no server answers or ctx has ended.
func (s *server) infos(ctx context.Context, entries []record.TableEntry) ([]tableInfo, error) {
	all, errs := make([]tableInfo, len(entries)), make([]error, len(entries))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxReads)
	for i, e := range entries {
		// Each goroutine writes only its own elements of all and errs.
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			info, err := s.reader.Info(ctx, e.Table)
			if err == nil {
				err = checkEntry(e)
			}
			var corrupt *record.Corrupt
			problem := ""
			switch {
			case errors.As(err, &corrupt):
				problem, info = corrupt.What, record.TableInfo{}
			case err != nil:
				errs[i], problem = err, "the server of this table does not answer, try again"
			}
			all[i] = tableInfo{
				Table: e.Name, Database: e.Database, Fields: notNil(info.Fields), TagKeys: notNil(info.TagKeys),
				FirstBucket: notZero(info.First), LastBucket: notZero(info.Last), LastWrite: notZero(e.LastWrite), Version: info.Version, Error: problem,
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil || !slices.Contains(errs, nil) {
		return nil, away(errors.Join(errors.Join(errs...), ctx.Err()))
	}
	return all, nil
}

// notNil returns s, or an empty slice for nil, which JSON writes as null.
func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// notZero returns nil for the zero time, which JSON then writes as null.
func notZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
