package state

import (
	"cmp"
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
//   - Another block of this process may use a store, for other fields of the same series. Its final buckets count for the fields that
//     this block gets values of. A field is of the store with its newest revision: that block has got its values last.
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
	live     bool     // only those fields of its final buckets count that get a value
	before   int64    // of a shared one, the final buckets whose last value came before this wall time count
	expired  int64    // removed buckets whose fields are not known count if they end until this time; later ones can be of other fields
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
	there, unknown := make(map[string]bool), err != nil
	for _, folder := range folders {
		id, bad := readID(folder)
		err = errors.Join(err, bad)
		there[id], unknown = true, unknown || id == "" && bad != nil
		if folder == s.folder {
			continue
		}
		r, bad := s.relate(folder, live, drained, known)
		if bad != nil {
			err, unknown = errors.Join(err, bad), true
		}
		if r != nil {
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
	if !unknown { // else there may be others
		s.there.Store(&there)
	}
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

// isGone reports whether no folder had the store with that id when Relate was called last.
func (s *Store) isGone(id string) bool {
	there := s.there.Load()
	return there != nil && !(*there)[id]
}

// unrelate forgets all relatives, and closes the databases of those that no store has open. The stores of others stay open.
func (s *Store) unrelate() (err error) {
	s.relating.Lock()
	defer s.relating.Unlock()
	for _, r := range s.relatives {
		err = errors.Join(err, r.close())
	}
	s.relatives = nil
	return err
}

// relate returns the relative in a folder, or nil if there is none. It may be called by one goroutine at a time.
func (s *Store) relate(folder string, live, drained []*Store, known []*relative) (*relative, error) {
	r := &relative{folder: folder, live: true, before: s.born, expired: s.born}
	switch identity, bad := readIdentity(folder); {
	case bad == nil: // else it is not the folder of a store
		r.relation = s.o.Related(identity)
	case errors.Is(bad, errFormat):
		return nil, fmt.Errorf("its final buckets cannot be found: %w", bad)
	}
	in := func(o *Store) bool { return o.folder == folder }
	i, j := slices.IndexFunc(live, in), slices.IndexFunc(drained, in)
	switch {
	case r.relation == Unrelated:
		return nil, nil
	case i >= 0:
		r.store = live[i]
		return r, nil
	case j >= 0:
		r.store, r.live, r.expired = drained[j], false, math.MaxInt64
		return r, nil
	case strings.Contains(filepath.Base(folder), retired):
		r.live, r.expired = false, math.MaxInt64
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
		return nil, fmt.Errorf("state %q: its final buckets cannot be read: %w", folder, err)
	}
	return r, nil
}

// storeFolders returns the folders of stores in dir, those that are in use and the retired ones, ascending by name. With an error it
// returns those that could be read.
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

// find returns the final bucket with that start, and with any end, if it counts, and what counts of its versions that were removed. A
// bucket that has expired, but was not removed, is returned with ok false.
func (r *relative) find(s *Store, series string, start, end int64) (b storedFinal, ok bool, err error) {
	if r.store != nil {
		if b, ok, err = r.store.find(series, start); errors.Is(err, ErrClosed) { // until the next Relate
			return b, false, fmt.Errorf("state %q: %w: its folder is being set aside", r.folder, ErrUnreadable)
		}
	} else {
		b, ok, err = r.read(s, series, start)
	}
	if err != nil && !errors.Is(err, ErrExpired) {
		return b, ok, err
	}
	for i := range b.removals {
		b.removals[i].otherEnd = r.relation != SameBuckets
	}
	b.removals = slices.DeleteFunc(b.removals, func(m removal) bool {
		return end > r.expired && (m.fields == nil || r.shared) || m.fields == nil && m.otherEnd
	})
	if r.shared && b.Touched >= r.before {
		b.Bucket, b.kept, ok = Bucket{}, nil, false
	}
	return b, ok, nil
}

// has reports whether the relative may have a final bucket of the series with that start, or had one. For the former, it does not read the
// database, so that the answer may be true for a bucket of another series with the same start.
func (r *relative) has(series string, start int64) bool {
	if r.store == nil {
		return len(r.finals.starts[start]) > 0 || start < r.finals.expiredEnd.Load()
	}
	s := r.store
	s.mu.Lock()
	there := len(s.finals.starts[start]) > 0 || s.pending.newest[finalID{series, start}] != nil
	s.mu.Unlock()
	if there {
		return true
	}
	removals, err := s.removals(series, start)
	return err != nil || len(removals) > 0
}

// read is find in the database of a relative that no store of this process has open. What it knows of a database is from the last Relate:
// the starts, and the age of the store, which goes on with the wall clock.
func (r *relative) read(s *Store, series string, start int64) (b storedFinal, ok bool, err error) {
	slots := r.finals.starts[start]
	if len(slots) == 0 && start >= r.finals.expiredEnd.Load() {
		return b, false, nil
	}
	// The age goes on when the store is not open: nobody removes its old buckets.
	age := r.finals.age + max(s.o.Now().UnixNano()-r.finals.wall, 0)
	var value []byte
	var removals []removal
	key := finalKey(series, start)
	err = r.use(func() (err error) {
		if value, err = r.finals.get(key, slots); err == nil && start < r.finals.expiredEnd.Load() {
			removals, err = r.finals.removals(series, start, s.isGone)
		}
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout): // another process has opened it meanwhile
		r.finals.starts = nil
		r.finals.expiredEnd.Store(math.MinInt64) // so the next lookup does not wait
		return b, false, fmt.Errorf("state %q: %w: another process has its database open", r.folder, ErrUnreadable)
	case err != nil:
		return b, false, fmt.Errorf("state %q: %w", r.finals.path, err)
	case value == nil:
		if b.removals = removals; len(removals) > 0 {
			err = ErrExpired
		}
		return b, false, err
	}
	b, err = decodeFound(series, start, value, s.o.ExactLimit)
	if b.removals = removals; err != nil {
		return b, true, fmt.Errorf("state %q: %s: %w: %w", r.finals.path, finalID{series, start}, ErrUnreadable, err)
	}
	if b.at < age-int64(s.o.Retention) {
		return b, false, ErrExpired
	}
	return b, true, nil
}

// An example of what Latest returns for the field a, from revision 0, if a relative of another block has got the values of a since:
//
//	this store     revision 0   a, b      the result has a of revision 2 and b of revision 0, and the revision 2,
//	the relative   revision 2   a         so the row of the corrected bucket is revision 3
//
// If the relative had the field c too, c would not be in the result: another block gets its values.

// Latest returns the newest version of fields of the final bucket of a series with that start and end, in this store and its relatives.
// Of these fields, versions before the revision from do not count. It also has the other fields that are in this store, or in a
// relative that nobody changes, if no relative has a newer version of them.
//
// The revision is the newest one of these fields, also if it is of a bucket with another end, whose rows have the same time. A result
// without fields has only that. The results are those of Find. The error is ErrExpired also if the newest version of one of the fields may
// have expired, whatever there is of the others. It is ErrOthersExpired if none of them has, one of them has no version, and other fields of
// the bucket have expired in this store: then the other results are those without an error. The error also wraps ErrUnreadable while a
// relative is opened or retired.
func (s *Store) Latest(series string, start, end int64, fields []string, from int64) (Bucket, bool, error) {
	own, ok, err := s.find(series, start)
	s.relating.Lock()
	defer s.relating.Unlock()
	isNew := err == nil && !ok && len(own.removals) == 0
	if len(s.relatives) == 0 && (isNew || ok && err == nil && from == 0 && len(own.kept)+len(own.removals) == 0) ||
		err != nil && !errors.Is(err, ErrExpired) {
		return own.Bucket, ok, err
	}
	v := versions{series: series, start: start, end: end}
	own.setEnd(end) // a store has one grid
	v.add(own, ok, true)
	for _, r := range s.relatives { // those that nobody changes come first
		b, ok, err := r.find(s, series, start, end)
		if err != nil {
			return Bucket{}, ok, err
		}
		v.add(b, ok, !r.live)
	}
	b, found := v.newest(fields, from)
	lacking := b.lacking(fields)
	switch {
	case len(lacking) == 0:
		return b, found, nil
	case v.hasExpired(lacking, from):
		return Bucket{Revision: b.Revision}, false, ErrExpired
	case !ok && from == 0 && slices.ContainsFunc(own.removals, func(m removal) bool { return m.own }):
		return b, found, ErrOthersExpired
	}
	return b, found, nil
}

// hasAny reports whether the bucket has one of the fields.
func (b *Bucket) hasAny(fields []string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return slices.Contains(b.Fields, field) })
}

// lacking returns those of the fields that the bucket does not have.
func (b *Bucket) lacking(fields []string) []string {
	return slices.DeleteFunc(slices.Clone(fields), func(field string) bool { return slices.Contains(b.Fields, field) })
}

// setEnd sets the end of the bucket and of its earlier fields. Earlier fields are stored without an end.
func (b *storedFinal) setEnd(end int64) {
	b.End = end
	for i := range b.kept {
		b.kept[i].End = end
	}
}

// Elsewhere reports whether a relative may have a final bucket of the series with that start.
func (s *Store) Elsewhere(series string, start int64) bool {
	s.relating.Lock()
	defer s.relating.Unlock()
	return slices.ContainsFunc(s.relatives, func(r *relative) bool { return r.has(series, start) })
}

// version is a final bucket of one of several stores.
type version struct {
	Bucket
	whole   bool // whether all its fields count, not only those that get a value
	expired bool // whether its fields have expired, and with them those of earlier versions
	kept    bool // whether it has the fields that a later version in the same store lacks
}

// versions are what several stores have of a bucket.
type versions struct {
	series     string
	start, end int64
	all        []version
	removals   []removal
}

// add adds what a store has. The bucket is expired if ok is false and it has fields.
func (v *versions) add(b storedFinal, ok, whole bool) {
	if len(b.Fields) > 0 {
		v.all = append(v.all, version{Bucket: b.Bucket, whole: whole, expired: !ok})
	}
	for _, k := range b.kept {
		v.all = append(v.all, version{Bucket: k, whole: whole, expired: !ok, kept: true})
	}
	v.removals = append(v.removals, b.removals...)
}

// hidden reports whether a field of a version does not count, because a later one may have been removed. If it is not known which fields
// were removed, that holds for all that are kept.
func (v *versions) hidden(of *version, field string) bool {
	return slices.ContainsFunc(v.removals, func(r removal) bool {
		return !r.otherEnd && (r.fields.has(field) && r.revision > of.Revision || of.kept && r.fields == nil)
	})
}

// newest returns one bucket of the versions, each field of the newest revision. Of those with the same revision, the first
// counts. ok is false if no version has one of its fields.
func (v *versions) newest(fields []string, from int64) (b Bucket, ok bool) {
	slices.SortStableFunc(v.all, func(a, b version) int { return cmp.Compare(b.Revision, a.Revision) })
	b = Bucket{Series: v.series, Start: v.start, End: v.end}
	seen := make(map[string]bool)
	for i := range v.all {
		o := &v.all[i]
		if o.End != v.end {
			continue
		}
		for i, field := range o.Fields {
			wanted := slices.Contains(fields, field)
			counts := wanted && o.Revision >= from || !wanted && o.whole
			if !seen[field] && counts && !o.expired && !v.hidden(o, field) {
				b.Fields, b.Summaries = append(b.Fields, field), append(b.Summaries, o.Summaries[i])
				b.Touched = max(b.Touched, o.Touched)
			}
			seen[field] = true
		}
	}
	for _, o := range v.all {
		if o.hasAny(fields) || o.hasAny(b.Fields) {
			b.Revision, ok = max(b.Revision, o.Revision), true
		}
	}
	for _, r := range v.removals {
		if slices.ContainsFunc(fields, r.fields.has) || slices.ContainsFunc(b.Fields, r.fields.has) {
			b.Revision, ok = max(b.Revision, r.revision), true
		}
	}
	return b, ok
}

// hasExpired reports whether one of the fields, none of which newest has returned, may have expired.
func (v *versions) hasExpired(fields []string, from int64) bool {
	for _, field := range fields {
		if slices.ContainsFunc(v.all, func(o version) bool {
			return o.End == v.end && o.Revision >= from && slices.Contains(o.Fields, field)
		}) || slices.ContainsFunc(v.removals, func(r removal) bool {
			return !r.otherEnd && (r.fields.has(field) && r.revision >= from || r.fields == nil && from == 0)
		}) {
			return true
		}
	}
	return false
}

// setBorn reads the wall time at which the store was created. If isNew, it is now. A damaged file is renamed.
func (s *Store) setBorn(isNew bool) error {
	path := filepath.Join(s.folder, bornFile)
	text, unchecked, err := readChecked(path, isBorn)
	switch {
	case isNew && errors.Is(err, fs.ErrNotExist):
		s.born = s.began
		return writeChecked(path, strconv.FormatInt(s.born, 10)+"\n")
	case errors.Is(err, errFormat):
		name, err := setAside(path, "damaged", s.o.Now())
		if err != nil {
			return err
		}
		s.warn("the file %q is damaged; it was renamed to %q, and the state counts as older than all others", bornFile, filepath.Base(name))
	}
	if s.born = readBorn(s.folder); unchecked {
		return writeChecked(path, text)
	}
	return nil
}

// readBorn returns the wall time at which the store in a folder was created. For a store of a version that did not write it, it is before
// all values.
func readBorn(folder string) int64 {
	text, _, err := readChecked(filepath.Join(folder, bornFile), isBorn)
	n, bad := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || bad != nil {
		return math.MinInt64
	}
	return n
}

// isBorn reports whether a text is that of a file with a wall time.
func isBorn(text string) bool {
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "\n"), 10, 64)
	return err == nil && strconv.FormatInt(n, 10)+"\n" == text
}
