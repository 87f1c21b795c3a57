package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// catalogueAge is how old the catalogue in memory may be.
	catalogueAge = time.Second
	// tablePrefix may be left out where a table is named.
	tablePrefix = "analytics_"
	// maxReads is how many tables are read at a time for a list.
	maxReads = 8
)

// catalogue is the list of all tables, kept in memory for a moment. It is read once at a time: who asks
// meanwhile waits for that reading, and has its failure too. It is safe for concurrent use.
type catalogue struct {
	read    func(context.Context) ([]cache.Entry, error)
	now     func() time.Time
	timeout time.Duration // of one reading

	mu     sync.Mutex
	newest *reading // nil before the first, guarded by mu
}

// reading is one reading of the catalogue. What it has read stands when done is closed.
type reading struct {
	at   time.Time // when it began
	done chan struct{}

	entries  []cache.Entry                // sorted by database and name
	index    map[record.Table]cache.Entry // of entries
	err      error
	panicked any
}

// tables returns all tables, by database and name. It waits no longer than ctx.
func (c *catalogue) tables(ctx context.Context) ([]cache.Entry, map[record.Table]cache.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, away(err)
	}
	r := c.current(ctx)
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, nil, away(ctx.Err())
	}
	if r.panicked != nil {
		panic(r.panicked) // in the goroutine of each request, which survives it
	}
	return r.entries, r.index, r.err
}

// current returns the newest reading where that is under way or young enough, else a new one. One under way
// does not end with ctx, as others may wait for it.
func (c *catalogue) current(ctx context.Context) *reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.newest == nil || !c.newest.usable(now) {
		c.newest = &reading{at: now, done: make(chan struct{})}
		go c.newest.run(context.WithoutCancel(ctx), c.read, c.timeout)
	}
	return c.newest
}

func (r *reading) usable(now time.Time) bool {
	select {
	case <-r.done:
		return r.err == nil && r.panicked == nil && now.Sub(r.at) < catalogueAge && !now.Before(r.at)
	default:
		return true
	}
}

// run reads, within the timeout.
func (r *reading) run(ctx context.Context, read func(context.Context) ([]cache.Entry, error), timeout time.Duration) {
	defer close(r.done)
	defer func() { r.panicked = recover() }()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	entries, err := read(ctx)
	if err != nil {
		r.err = away(err)
		return
	}
	slices.SortFunc(entries, func(a, b cache.Entry) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.Name, b.Name))
	})
	r.entries, r.index = entries, make(map[record.Table]cache.Entry, len(entries))
	for _, e := range entries {
		r.index[e.Table] = e
	}
}

// resolve returns the table that a request names, with or without the prefix: the name as it is given
// goes first where it has the prefix.
func (c *catalogue) resolve(ctx context.Context, named record.Table) (cache.Entry, error) {
	_, index, err := c.tables(ctx)
	if err != nil {
		return cache.Entry{}, err
	}
	prefixed := record.Table{Database: named.Database, Name: tablePrefix + named.Name}
	candidates := []record.Table{prefixed, named}
	if strings.HasPrefix(named.Name, tablePrefix) {
		candidates = []record.Table{named, prefixed}
	}
	for _, t := range candidates {
		if e, ok := index[t]; ok {
			return e, nil
		}
	}
	return cache.Entry{}, noTable(candidates[0])
}

// databases answers with every database.
func (s *server) databases(w http.ResponseWriter, r *http.Request, p *params) error {
	if err := p.err(); err != nil {
		return err
	}
	entries, _, err := s.catalogue.tables(r.Context())
	if err != nil {
		return err
	}
	type database struct {
		Name      string    `json:"database"`
		Tables    int       `json:"tables"`
		LastWrite time.Time `json:"last_write"`
	}
	all := []database{}
	for _, e := range entries {
		if len(all) == 0 || all[len(all)-1].Name != e.Database {
			all = append(all, database{Name: e.Database})
		}
		d := &all[len(all)-1]
		d.Tables++
		if e.LastWrite.After(d.LastWrite) {
			d.LastWrite = e.LastWrite
		}
	}
	return writeJSON(w, all)
}

// tableInfo is a table in a list.
type tableInfo struct {
	Table       string     `json:"table"`
	Database    string     `json:"database"`
	Fields      []string   `json:"fields"`
	TagKeys     []string   `json:"tag_keys"`
	FirstBucket *time.Time `json:"first_bucket"`
	LastBucket  *time.Time `json:"last_bucket"`
	LastWrite   time.Time  `json:"last_write"`
	Version     int64      `json:"version"`
}

// tables answers with the tables of a database.
func (s *server) tables(w http.ResponseWriter, r *http.Request, p *params) error {
	database := p.database(s.DefaultDatabase)
	if err := p.err(); err != nil {
		return err
	}
	entries, _, err := s.catalogue.tables(r.Context())
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(slices.Clone(entries), func(e cache.Entry) bool { return e.Database != database })
	if len(entries) == 0 {
		return notFound{fmt.Sprintf("no database %q", database)}
	}
	all, err := s.infos(r.Context(), entries)
	if err != nil {
		return err
	}
	return writeJSON(w, all)
}

// infos reads what each table has, several at a time.
func (s *server) infos(ctx context.Context, entries []cache.Entry) ([]tableInfo, error) {
	all, errs := make([]tableInfo, len(entries)), make([]error, len(entries))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxReads)
	for i, e := range entries {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			info, err := s.reader.Info(ctx, e.Table)
			errs[i] = err
			all[i] = tableInfo{
				Table: e.Name, Database: e.Database, Fields: notNil(info.Fields), TagKeys: notNil(info.TagKeys),
				FirstBucket: notZero(info.First), LastBucket: notZero(info.Last), LastWrite: e.LastWrite, Version: info.Version,
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, away(err)
		}
	}
	return all, nil
}

func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func notZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
