// Package state stores the summaries of buckets, so that restarts and crashes do not lose them and late values can be
// added.
//
// # Parts
//
//	          Open, Rows, Demoted, Snapshot, Final                       Latest, Recent
//	engine ──────────────────────────────────────▶ Store ──────────────────────────────▶ engine
//	                                              │     │
//	                            Commit, fdatasync │     │ writer, in the background
//	                                              ▼     ▼
//	                              log-*: open buckets   finals.db: final buckets (bbolt)
//
// The log contains the rows of open buckets, as they were added. [Store.Replay] adds them again, block by block, so
// that the summaries are equal to the last bit. A final bucket is stored whole in a bbolt database, where
// [Store.Find] finds it for a late value, and [Store.Latest] also in other stores: see relative.go. A part of the log is
// deleted when no open bucket needs it, all final buckets in it are in the database, and it is older than
// [Options.Replay].
//
// # Use
//
// [Open] reads the log. Then [Store.Replay] passes the open buckets of the last run to the engine, which continues
// with their handles. After that, [Store.Recent] yields the final buckets whose rows must be emitted again. A run may
// skip both; then the open buckets stay in the log, and a later run replays them.
//
// A store belongs to one identity: the options that make buckets comparable. Each identity has a folder of its own in
// [Options.Dir]. [Orphans] lists the folders that have no store any more. If the buckets of such a folder are those of an
// empty store, [Store.Continue] makes it the folder of that store. Otherwise [OpenFolder] opens it. Then [Store.Drain]
// yields its open buckets, or [Store.Join] adds them to another store, and [Store.Retire] renames the folder. [Store.Relate]
// looks for the stores whose final buckets [Store.Latest] must find too. Fields of an open bucket can move to another store:
// [Store.Borrowed] and [Store.Lent] log that.
//
// # Why two files
//
// Open buckets get values at each Push. Encoding their summaries each time would take longer than the Push itself, while a value in
// the log takes about 6 bytes. Final buckets are looked up one at a time and removed after their retention, for which a log is no
// help. BenchmarkSave and BenchmarkFinal measure both.
//
// # Life of a bucket
//
//	OpenBucket ─▶ open ─ Rows, Demoted, Snapshot ─▶ Final ─▶ waiting ─ Commit ─▶ pending ─ writer ─▶ database ─ retention ─▶ expired
//	               │ log needed from handle.first on                    log still needed          │
//	               └─ Lent ─▶ Drop: another store has it, see loans.go                            └─ Find, and OpenBucket again
//
// # Locks
//
// A goroutine locks in this order: committing, relating, encoding, mu. Files are written without mu, so Rows does not wait for them.
//
// # Damage
//
// All data have checksums (CRC32C). A damaged frame costs the commit that it belongs to. Damaged pages of the database
// cost the buckets in them. What the files "id" and "heir" have is in the database or in a log too: see checked.go. Damaged and foreign files
// are renamed or copied to a name with the suffix ".damaged-<time>" and never deleted.
// Each loss is logged once with [Options.Log] and counted in [Stats].
package state

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/handles"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Errors that callers can test for.
var (
	// ErrLocked is wrapped by the error of Open if another store has the folder open, in this process or another.
	ErrLocked = errors.New("state folder is in use")
	// ErrUnreadable is wrapped by the errors of Find about a final bucket that exists but cannot be read.
	ErrUnreadable = errors.New("final bucket cannot be read")
	// ErrExpired is returned by Find for a final bucket that was removed after its retention. It can no longer be
	// corrected, and no new bucket must replace it.
	ErrExpired = errors.New("final bucket has expired")
	// ErrOthersExpired is returned by Latest for a bucket that this store has removed after its retention if that had other fields.
	ErrOthersExpired = errors.New("other fields of the final bucket have expired")
	// ErrClosed is returned by Commit after Close, Abandon or Retire.
	ErrClosed = errors.New("state is closed")
)

// Bucket is a bucket of one series.
type Bucket struct {
	// Series is the key of the series (see package series).
	Series string
	// Start and End bound the bucket, in nanoseconds since 1970: [Start, End).
	Start, End int64
	// Revision is the revision of the next final row if the bucket is open, and of the last final row if it is final.
	// It begins at 0.
	Revision int64
	// Touched is the wall time of the last value, in nanoseconds since 1970.
	Touched int64
	// Fields are the names of the fields, by position.
	Fields []string
	// Summaries are the summaries of the fields, by position. A field with an empty summary is not stored.
	Summaries []stats.Summary
}

// Options are the options of a store.
type Options struct {
	// Dir is the folder that contains the folders of all stores. It is created if it does not exist.
	Dir string
	// Identity are the names and values of the options that make buckets comparable. Two stores in one Dir must not
	// have the same identity at the same time.
	Identity map[string]string
	// Owner is a text that the program has after a restart too, and that other programs with stores in Dir do not have.
	// It is written to the file "owner" in the folder of the store. See Orphans.
	Owner string
	// Retention is the shortest time for which a final bucket is kept after it became final. It may be kept up to a
	// quarter longer, at most a day. After that, Find returns ErrExpired for it, for at least a year unless there are
	// too many series.
	//
	// Only the time while the store is open counts, and a part of the time between two runs. So neither a clock that
	// jumps nor a machine that was off for long removes buckets. 0 means 7 days.
	Retention time.Duration
	// Replay is the length of the time before the last Push whose final rows are emitted again: see Recent.
	Replay time.Duration
	// ExactLimit is the exact limit of the summaries that the store decodes. 0 means stats.DefaultExactLimit.
	ExactLimit int
	// MaxPending is the largest number of bytes of the log that the store holds in memory while it cannot write.
	// Beyond it, rows are dropped, and open buckets are logged whole when there is room again (see Old). It also
	// bounds the final buckets that wait for the database; the next run stores further ones from the log. 0 means 256
	// MiB.
	MaxPending int
	// Related returns the relation of the store to one in the same folder with that identity. Nil means that no store
	// has a relative.
	Related func(identity map[string]string) Relation
	// Log receives warnings, in the form of the arguments of fmt.Printf. Several goroutines call it, and it must not
	// call the store. Nil drops the warnings.
	Log func(format string, args ...any)
	// Now returns the wall time. Several goroutines call it. Nil means time.Now.
	Now func() time.Time

	// compactFree replaces the constant of that name. Tests set it.
	compactFree int64
	// ticks is the clock that the age of the store is counted with. Nil is Now. Tests set it to let Now jump.
	ticks func() time.Time
	// maxExpired replaces the constant of that name. Tests set it.
	maxExpired int
	// openFile opens the files of the log. Tests replace it.
	openFile func(path string) (logFile, error)
	// frozen keeps the background writer from starting. Tests set it.
	frozen bool
	// window replaces the result of Store.window. Tests set it.
	window int
}

// The defaults of Options.Retention and Options.MaxPending.
const (
	defaultRetention  = 7 * 24 * time.Hour
	defaultMaxPending = 256 << 20
)

// withDefaults returns the options with the defaults instead of zero values.
func (o Options) withDefaults() Options {
	if o.Retention <= 0 {
		o.Retention = defaultRetention
	}
	if o.MaxPending <= 0 {
		o.MaxPending = defaultMaxPending
	}
	if o.ExactLimit <= 0 {
		o.ExactLimit = stats.DefaultExactLimit
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Related == nil {
		o.Related = func(map[string]string) Relation { return Unrelated }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ticks == nil {
		o.ticks = o.Now
	}
	if o.compactFree == 0 {
		o.compactFree = compactFree
	}
	if o.maxExpired == 0 {
		o.maxExpired = maxExpired
	}
	if o.openFile == nil {
		o.openFile = openLogFile
	}
	return o
}

// Stats are numbers of events since Open, and current sizes.
type Stats struct {
	Bytes        int64         // size of all files of the store
	LogBytes     int64         // of these, the log
	Open         int           // buckets that are open in the log
	Pending      int           // final buckets that are not in the database yet
	PendingBytes int64         // of these, and of the log that is not written yet
	Saved        int64         // commits that became durable
	SaveTime     time.Duration // that Commit took
	Errors       int64         // failed commits and transactions
	// LostCommits is how many commits of the last run were damaged. Open fills it.
	LostCommits int64
	// LostValues is how many values belong to unknown buckets, because the commits in which these opened are damaged.
	LostValues int64
	// LostBuckets is how many buckets were lost, because their bytes are damaged or there was no room for them.
	LostBuckets int64
	// Unlogged is how many values were not logged for lack of room. The next Snapshot of an open bucket contains its
	// values.
	Unlogged int64
	// TornBytes is the length of the unfinished commit at the end of the log. Open fills it.
	TornBytes int64
	// Expired is how many final buckets were removed after their retention.
	Expired int64
	// Compacted is by how many bytes the database became smaller. Open fills it.
	Compacted int64
	// Forgotten is the number of series whose expired buckets are no longer known, because there were too many
	// series.
	Forgotten int64
}

// Store keeps the buckets of one engine.
//
// Commit, Save, Find and Stats may be called at any time. The other methods must be called one at a time, and Replay and
// Recent before all of them but Find.
type Store struct {
	o        Options           // with defaults; not changed
	folder   string            // its path; Retire and Continue rename it
	identity map[string]string // the options that it belongs to
	id       string            // see ID
	lock     *folderLock       // of the folder, until it is closed
	clock    clock             // its age
	past     *past             // what Open found in the log
	finals   *finals           // the database
	writer   writer            // moves final buckets into it
	born     int64             // wall time at which the store was created
	began    int64             // wall time at which this run began

	// givenUp are the fields of open buckets of the last run that other stores have, by handle: see GiveUp.
	givenUp map[uint64][]string

	// relating guards relatives and is held by Latest.
	relating  sync.Mutex
	relatives []*relative // those that nobody changes come first

	// there has the ids of all stores with a folder in Options.Dir at the last Relate; nil before the first.
	there atomic.Pointer[map[string]bool]

	// Commit holds committing, which guards log and queue.
	committing sync.Mutex
	log        *segments // the files
	queue      []batch   // not durable yet, ascending by commit

	// encoding guards scratch, and the fields bucket and encoded of final buckets. It may be locked while committing is held.
	encoding sync.Mutex
	scratch  []byte // memory for encoding a final bucket

	// mu guards the fields below. It may be locked while the mutexes above are held, but not the other way round.
	mu      sync.Mutex
	closed  bool                  // by Close, Abandon or Retire; nothing is logged any more
	suffix  string                // of the folder when the store is closed; empty leaves its name
	handles handles.Table[handle] // of the open buckets, by number
	next    uint64                // the last handle that was given; they ascend over all runs
	records recorder              // the commit under construction
	commit  uint64                // number of the commit that the records will be
	durable uint64                // number of the last commit that is durable
	pushes  pushes                // the last ones
	queued  int                   // bytes in queue
	full    bool                  // records are dropped until a commit succeeds
	discard bool                  // Commit drops the queue
	spare   []byte                // memory for the next records
	opened  []*handle             // in the commit under construction; the next one repeats their names
	needed  counts                // how many handles need the log from each commit on
	roll    rollBudget            // how many open buckets are logged anew, so that old files of the log can be deleted
	pending pendingFinals         // final buckets that are not in the database
	stats   Stats                 // the counts; Stats adds the sizes

	joined map[string]joined  // by id of the orphan
	loans  map[uint64]*loaned // that are not settled, by number
	heir   *Store             // of an orphan: the store that its buckets were added to; nil before Join
}

// handle is a bucket that is open in the log, or final and not in the database yet. Store.mu guards it.
type handle struct {
	number   uint64 // what the engine and the records name it by
	series   string // its key
	start    int64  // nanoseconds since 1970, as end
	end      int64  // above start
	revision int64
	first    uint64 // the commit from which on the log is needed
	since    int64  // age of the store at that commit
	bytes    int64  // logged since then
	touched  int64  // an upper bound of the wall time of the last value, if it came in an earlier run; else 0
	lost     bool   // whether the log lacks a part of the bucket
	final    bool   // whether it became final
}

// Open opens the store of that identity, and creates it if there is none. It returns an error that wraps ErrLocked if the
// folder is in use, or if the store is new and another process of the same owner and host uses a relative of it. It returns an
// error if the folder cannot be read and written. Damage is not an error: it is logged, and the store contains everything
// that can be read.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("state: no folder")
	}
	folder := folderOf(o.Dir, o.Identity)
	if err := cmp.Or(mendHeirs(folder, o), leaveJoined(folder)); err != nil {
		return nil, err
	}
	s, err := open(folder, o)
	if err != nil {
		return nil, err
	}
	if s.born == s.began && s.Empty() {
		if err := s.overlap(); err != nil {
			return nil, errors.Join(err, s.deleteFolder())
		}
	}
	if err := s.setOwner(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenFolder opens the store in a folder that Orphans returned, with its own identity. The options Dir, Identity and
// Owner have no effect.
func OpenFolder(folder string, o Options) (*Store, error) {
	o = o.withDefaults()
	identity, err := readIdentity(folder)
	if err != nil {
		return nil, err
	}
	o.Identity = identity
	return open(folder, o)
}

// open opens the store in a folder, and creates the folder and the store if there is none.
func open(folder string, o Options) (*Store, error) {
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	return openLocked(folder, lock, o)
}

// openLocked opens the store in a folder whose lock the caller has. On an error, it releases the lock. The database comes before the log,
// which is read with the knowledge of what the database has. The writer comes last, because until then no other goroutine uses the store.
func openLocked(folder string, lock *folderLock, o Options) (s *Store, err error) {
	defer func() {
		if err != nil {
			lock.release()
		}
	}()
	s = &Store{o: o, began: o.Now().UnixNano(), folder: folder, identity: o.Identity, lock: lock}
	isNew, err := s.checkIdentity()
	if err == nil {
		err = s.setBorn(isNew)
	}
	if err != nil {
		return nil, err
	}
	s.clock.now = o.ticks
	if s.finals, err = openFinals(s); err != nil {
		return nil, err
	}
	if err := cmp.Or(s.setID(), s.readPast()); err != nil {
		return nil, errors.Join(err, s.finals.close())
	}
	s.writer.start(s)
	return s, nil
}

// Folder returns the folder of the store.
func (s *Store) Folder() string { return s.folder }

// Identity returns the identity of the store. The caller must not change it.
func (s *Store) Identity() map[string]string { return s.identity }

// Born returns the wall time at which the store was created, in nanoseconds since 1970. It is far in the past for a store of a version that
// did not write it.
func (s *Store) Born() int64 { return s.born }

// Clean reports whether the last run ended with Close. It is true for a new store.
func (s *Store) Clean() bool { return s.past.clean }

// Series returns how many series have open buckets of the last run at least. It must be called before Replay.
func (s *Store) Series() int { return s.past.series }

// Stats returns counts and sizes.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Bytes = st.LogBytes + s.finals.size()
	st.Open = s.handles.Len()
	st.Pending = len(s.pending.order) + len(s.pending.waiting)
	st.PendingBytes = s.pending.bytes + int64(s.queued+len(s.records.buf))
	return st
}

// Close makes everything durable, marks the end of the run and closes the files. The store cannot be used after
// Close, even if Close returns an error.
func (s *Store) Close() error {
	err := s.Save()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	s.writer.stop(true)
	if err == nil {
		s.mu.Lock()
		s.records.end()
		s.mu.Unlock()
		err = s.Save()
	}
	return errors.Join(err, s.shut())
}

// Abandon closes the files without a mark of the end of the run, so that the next run treats this one as a crash.
func (s *Store) Abandon() {
	s.writer.stop(false)
	_ = s.shut()
}

// Retire closes the store and renames its folder with the suffix ".retired-<time>". It deletes nothing: relatives find the final
// buckets in it. After an error, the folder keeps its name, and the next run finds it as an orphan. It is an error if the store has begun to
// join another one that is not retired: only its log shows which buckets it has got.
func (s *Store) Retire() error {
	if err := s.neededBy(); err != nil {
		return errors.Join(err, s.Close())
	}
	s.mu.Lock()
	s.suffix = "retired"
	s.mu.Unlock()
	id := s.joinID()
	err := s.Close()
	if err == nil && s.heir != nil {
		s.heir.unpin(id)
	}
	return err
}

// shut closes all files and renames the folder if it must. A second call has no effect. The writer must have ended. A folder with final
// buckets that only the log has is not renamed: a relative reads the database only.
func (s *Store) shut() error {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	closed, pending := s.closed, len(s.pending.order)+len(s.pending.waiting)+int(s.pending.dropped)
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	err := errors.Join(s.log.close(), s.finals.close(), s.unrelate())
	if s.suffix != "" && pending > 0 { // nobody reads the log by another name
		err = errors.Join(err, fmt.Errorf("state %q: %d final buckets are not in the database", s.folder, pending))
	}
	if s.suffix == "" || err != nil {
		s.lock.release()
		return err
	}
	if runtime.GOOS == "windows" { // which renames no folder with open files
		s.lock.release()
	} else {
		defer s.lock.release() // until it has another name, nobody else may open it
	}
	name, err := setAside(s.folder, s.suffix, s.o.Now())
	if err == nil {
		s.folder = name
	}
	return err
}

// warn logs a warning with the name of the folder.
func (s *Store) warn(format string, args ...any) {
	s.o.Log("state %q: %s", s.folder, fmt.Sprintf(format, args...))
}
