package state

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Relatives
//
// A reader of rows sees tables, series and buckets, and not the options of the store that a bucket is in. When options
// change, a later value for a final bucket can come to another store. That store must not begin the bucket anew: its row
// would be a second version of a row that was stored already. So before a store begins a bucket, it looks for it among its
// relatives, the other stores in the folder whose rows are in the same tables. It copies the bucket, and the next final row
// is the next revision.
//
// Which final buckets of a relative count depends on who may still change them:
//
//   - Nobody changes a store that is retired or drained. All its final buckets count, if their retention has not passed.
//   - Another block of this process may use a store. The filter of that block may have changed at the start of this run, so
//     its final buckets count if their last values came before that. They must have a field of the new value, because two
//     blocks can have different fields of the same series.
//   - Another program may have a store, and go on with it later. Its final buckets count if it does not run, and if their
//     last values came before this store was created: the program may have other options now.
const (
	bornFile = "born"
	retired  = ".retired-"
	// sharedTimeout is how long a lookup waits for the database of another process.
	sharedTimeout = 100 * time.Millisecond
)

// Relation is what the buckets of two stores have in common.
type Relation int

// The relations. SameBuckets includes SameTables.
const (
	Unrelated   Relation = iota
	SameTables           // their rows are in the same tables
	SameBuckets          // and all their buckets have the same bounds
)

// relative is another store in the folder. Store.relating guards it.
type relative struct {
	folder   string   // as it was at the last Relate
	relation Relation // not Unrelated
	store    *Store   // if this process has it open; else finals is set
	finals   *finals  // for reading
	shared   bool     // another process may open it, so its database is open during a lookup only
	live     bool     // its final buckets count only if they have one of the fields
	before   int64    // the final buckets whose last value came before this wall time count
	expired  int64    // the expired buckets that end until this time count
}

// Relate looks for the relatives of the store, for Latest. live are the other stores that this process has open and uses,
// and drained are those that nobody will change. Options.Related decides who is a relative. It may be called again when
// stores were opened, retired or renamed.
func (s *Store) Relate(live, drained []*Store) error {
	folders, err := storeFolders(s.o.Dir)
	s.relating.Lock()
	known := s.relatives
	s.relating.Unlock()
	var all []*relative
	for _, folder := range folders {
		if folder == s.folder {
			continue
		}
		r, bad := s.relate(folder, live, drained, known)
		if err = errors.Join(err, bad); r != nil {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b *relative) int {
		switch {
		case a.live == b.live:
			return 0
		case b.live:
			return -1
		}
		return 1
	})
	s.relating.Lock()
	defer s.relating.Unlock()
	s.relatives = all
	for _, r := range known {
		if !slices.Contains(all, r) {
			err = errors.Join(err, r.close())
		}
	}
	return err
}

// unrelate forgets all relatives, and closes the databases of those that no store has open.
func (s *Store) unrelate() (err error) {
	s.relating.Lock()
	defer s.relating.Unlock()
	for _, r := range s.relatives {
		err = errors.Join(err, r.close())
	}
	s.relatives = nil
	return err
}

// Idle returns the handle of an open bucket of the last run that has got no rows in this run, or false if there is none of
// the series with that start.
func (s *Store) Idle(series string, start int64) (handle uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle == nil {
		s.idle = make(map[finalID]uint64)
		for _, h := range s.handles {
			if h.touched != 0 {
				s.idle[finalID{h.series, h.start}] = h.number
			}
		}
	}
	if len(s.idle) == 0 { // as soon as the buckets of the last run have got rows or are final
		return 0, false
	}
	handle, ok = s.idle[finalID{series, start}]
	return handle, ok
}

// busy notes that a bucket is not idle.
func (s *Store) busy(h *handle) {
	if h.touched != 0 {
		h.touched = 0
		delete(s.idle, finalID{h.series, h.start})
	}
}

// relate returns the relative in a folder, or nil if there is none. It may be called by one goroutine at a time.
func (s *Store) relate(folder string, live, drained []*Store, known []*relative) (*relative, error) {
	r := &relative{folder: folder, live: true, before: s.born, expired: s.born}
	if identity, bad := readIdentity(folder); bad == nil { // else it is not the folder of a store
		r.relation = s.o.Related(identity)
	}
	in := func(o *Store) bool { return o.folder == folder }
	i, j := slices.IndexFunc(live, in), slices.IndexFunc(drained, in)
	switch {
	case r.relation == Unrelated:
		return nil, nil
	case i >= 0:
		r.store, r.before = live[i], max(s.began, live[i].began) // no block gets values before all are open
		return r, nil
	case j >= 0:
		r.store, r.live, r.before, r.expired = drained[j], false, math.MaxInt64, math.MaxInt64
		return r, nil
	case strings.Contains(filepath.Base(folder), retired):
		r.live, r.before, r.expired = false, math.MaxInt64, math.MaxInt64
	default:
		r.shared = true
	}
	if i := slices.IndexFunc(known, func(k *relative) bool { return k.folder == folder && k.store == nil }); i >= 0 && !r.shared {
		return known[i], nil
	}
	r.finals = &finals{path: filepath.Join(folder, finalsFile)}
	if err := r.use(r.finals.load); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, bolterrors.ErrTimeout) { // another process has it open
			return nil, nil
		}
		return nil, fmt.Errorf("state %q: its final buckets are not known: %w", folder, err)
	}
	return r, nil
}

// storeFolders returns the folders of stores in dir, those that are in use and the retired ones, ascending.
func storeFolders(dir string) (all []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), retired)
		digits, ok := strings.CutPrefix(name, folderPrefix)
		if _, bad := hex.DecodeString(digits); ok && bad == nil && e.IsDir() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all, err
}

// use opens the database, if it is not open, and calls f. A database that no other process may open stays open.
func (r *relative) use(f func() error) error {
	if r.finals.db == nil {
		err := guard(func() (err error) {
			r.finals.db, err = bbolt.Open(r.finals.path, 0o600, &bbolt.Options{Timeout: sharedTimeout, ReadOnly: true, NoStatistics: true})
			return err
		})
		if err != nil {
			return err
		}
	}
	err := guard(f)
	if r.shared || err != nil {
		err = errors.Join(err, r.close())
	}
	return err
}

// close closes the database of a relative that no store has open.
func (r *relative) close() error {
	if r.finals == nil {
		return nil
	}
	err := r.finals.close()
	r.finals.db = nil
	return err
}

// find returns the final bucket with that start and end, if it counts. The error is ErrExpired if it was removed after its
// retention or should be.
func (r *relative) find(series string, start, end int64, fields []string, o Options) (b storedFinal, ok bool, err error) {
	if r.store != nil {
		if b, ok, err = r.store.find(series, start); errors.Is(err, ErrClosed) { // until the next Relate
			return b, false, fmt.Errorf("state %q: %w: it is being set aside", r.folder, ErrUnreadable)
		}
	} else {
		b, ok, err = r.read(series, start, o)
	}
	switch {
	case errors.Is(err, ErrExpired):
		if same := b.End == end || b.Series == "" && r.relation == SameBuckets; !same || end > r.expired {
			err = nil
		}
	case ok && err == nil:
		ok = b.End == end && r.isBefore(b) && (!r.live || slices.ContainsFunc(b.Fields, func(f string) bool { return slices.Contains(fields, f) }))
	}
	return b, ok, err
}

// isBefore reports whether the last value of a final bucket came before r.before. If another block of this process has
// the store, a bucket that became final in an earlier run counts too, because the clock may have been set back.
func (r *relative) isBefore(b storedFinal) bool {
	return b.Touched < r.before || r.store != nil && b.at <= r.store.beganAge
}

// read is find in the database.
func (r *relative) read(series string, start int64, o Options) (b storedFinal, ok bool, err error) {
	slots := r.finals.starts[start]
	if len(slots) == 0 && start >= r.finals.expiredEnd.Load() {
		return b, false, nil
	}
	// The age goes on when the store is not open: nobody removes its old buckets.
	age := r.finals.age + max(o.Now().UnixNano()-r.finals.wall, 0)
	var value []byte
	expired := false
	key := finalKey(series, start)
	err = r.use(func() (err error) {
		if value, err = r.finals.get(key, slots); value == nil && err == nil {
			expired, err = r.finals.hasExpired(series, start)
		}
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout): // another process has opened it meanwhile
		r.finals.starts = nil
		r.finals.expiredEnd.Store(math.MinInt64) // so the next lookup does not wait
		return b, false, fmt.Errorf("state %q: %w: it is in use", r.folder, ErrUnreadable)
	case err != nil:
		return b, false, fmt.Errorf("state %q: %w", r.finals.path, err)
	case expired:
		return b, false, ErrExpired
	case value == nil:
		return b, false, nil
	}
	if b, err = decodeFinal(key, value, o.ExactLimit); err != nil || b.Series != series {
		return b, true, fmt.Errorf("state %q: series %q, start %d: %w: %w", r.finals.path, series, start, ErrUnreadable, err)
	}
	if b.at < age-int64(o.Retention) {
		return b, false, ErrExpired
	}
	return b, true, nil
}

// Latest returns the newest version of the final bucket of a series with that start and end, in this store and its relatives.
// If several have it, each field is of the newest revision that has the field. A bucket of another block must have one of the
// fields. The results are those of Find. The error also wraps ErrUnreadable while a relative is opened or retired.
func (s *Store) Latest(series string, start, end int64, fields []string) (Bucket, bool, error) {
	own, ok, err := s.find(series, start)
	s.relating.Lock()
	defer s.relating.Unlock()
	expired := errors.Is(err, ErrExpired)
	if len(s.relatives) == 0 || err != nil && !expired {
		return own.Bucket, ok, err
	}
	var versions []Bucket
	if ok {
		versions = append(versions, own.Bucket)
		fields = slices.Concat(fields, own.Fields)
	}
	for _, r := range s.relatives { // those that nobody changes come first
		b, ok, err := r.find(series, start, end, fields, s.o)
		switch {
		case errors.Is(err, ErrExpired):
			expired = true
		case err != nil:
			return Bucket{}, ok, err
		case ok:
			versions = append(versions, b.Bucket)
			fields = slices.Concat(fields, b.Fields) // of which another block may have more values
		}
	}
	switch {
	case len(versions) > 0:
		return newest(versions), true, nil
	case expired:
		return Bucket{}, false, ErrExpired
	}
	return Bucket{}, false, nil
}

// newest returns one bucket of several versions of it. Of those with the same revision, the first counts.
func newest(versions []Bucket) Bucket {
	slices.SortStableFunc(versions, func(a, b Bucket) int { return int(max(min(b.Revision-a.Revision, 1), -1)) })
	b := versions[0]
	for _, older := range versions[1:] {
		b.Touched = max(b.Touched, older.Touched)
		for i, field := range older.Fields {
			if !slices.Contains(b.Fields, field) {
				b.Fields, b.Summaries = append(b.Fields, field), append(b.Summaries, older.Summaries[i])
			}
		}
	}
	return b
}

// setBorn reads the wall time at which the store was created. If isNew, it is now. For a store of a version that did not
// write it, it is before all values.
func (s *Store) setBorn(isNew bool) error {
	path := filepath.Join(s.folder, bornFile)
	text, err := os.ReadFile(path)
	if isNew && errors.Is(err, fs.ErrNotExist) {
		s.born = s.began
		return writeFile(path, []byte(strconv.FormatInt(s.born, 10)+"\n"))
	}
	s.born = math.MinInt64
	if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil {
		s.born = n
	}
	return nil
}
