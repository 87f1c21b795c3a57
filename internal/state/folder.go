package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Files
//
// The folder Options.Dir has a folder for each store, named after a hash of its identity:
//
//	describe-<16 digits>/
//	    options           the identity, as text
//	    owner             Options.Owner
//	    born              the wall time at which the store was created, nanoseconds since 1970
//	    id                a random text, which stays when the folder is renamed, see loans.go and checked.go
//	    lock              locked while the store is open; its lines are those of a locker
//	    heir              while another store joins this one, see join.go and checked.go
//	    log-<16 digits>   the log, see frame.go
//	    finals.db         the final buckets, see finals.go
//	    *.damaged-<time>  files that were set aside
//	describe-<16 digits>.retired-<time>/
//	                      a store that was set aside: its open buckets are final or in another store
//
// The lock is one of the operating system, so it ends with the process. It is in the folder, and a folder can be renamed while another
// process opens the file: lockFolderOnce finds that out.
const (
	folderPrefix   = "describe-"
	identityFile   = "options"
	identityHeader = "telegraf-describe state 1"
	lockFile       = "lock"
	ownerFile      = "owner"
	// orphanAge is how long a store of another owner must not have been used to be an orphan.
	orphanAge = 24 * time.Hour
	// stamp is the format of the times in names. It has no colons, which Windows does not allow in names.
	stamp = "20060102T150405.000000000Z"
)

// errBusy is returned by tryLock if another store has the lock.
var errBusy = errors.New("another store has the lock")

// folderOf returns the folder of the store with that identity.
func folderOf(dir string, identity map[string]string) string {
	sum := sha256.Sum256(formatIdentity(identity))
	return filepath.Join(dir, folderPrefix+hex.EncodeToString(sum[:8]))
}

// formatIdentity returns the contents of the file "options": a header with the version and, by name, a line for each
// option: its name, "=" and its quoted value.
func formatIdentity(identity map[string]string) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, identityHeader)
	for _, name := range slices.Sorted(maps.Keys(identity)) {
		fmt.Fprintf(&b, "%q=%q\n", name, identity[name])
	}
	return b.Bytes()
}

// parseIdentity reads the text that formatIdentity writes.
func parseIdentity(text string) (map[string]string, error) {
	text, ok := strings.CutPrefix(text, identityHeader+"\n")
	if !ok {
		return nil, fmt.Errorf("%w: no line %q at its beginning", errFormat, identityHeader)
	}
	identity := make(map[string]string)
	for text != "" {
		name, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%w: no quoted name", errFormat)
		}
		text, ok = strings.CutPrefix(text[len(name):], "=")
		value, err := strconv.QuotedPrefix(text)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: no quoted value of %s", errFormat, name)
		}
		text, ok = strings.CutPrefix(text[len(value):], "\n")
		name, nameErr := strconv.Unquote(name)
		value, valueErr := strconv.Unquote(value)
		if err := errors.Join(nameErr, valueErr); err != nil || !ok {
			return nil, fmt.Errorf("%w: line of %q does not end", errFormat, name)
		}
		identity[name] = value
	}
	return identity, nil
}

// readIdentity reads the identity of the store in a folder.
func readIdentity(folder string) (map[string]string, error) {
	text, _, err := readChecked(filepath.Join(folder, identityFile), isIdentity)
	if err != nil {
		return nil, err
	}
	return parseIdentity(text)
}

// isIdentity reports whether a text is that of a file with an identity.
func isIdentity(text string) bool {
	identity, err := parseIdentity(text)
	return err == nil && len(identity) > 0
}

// checkIdentity writes the file with the identity, if it is not as it must be. The name of the folder is derived from
// the identity too, so a damaged file can be written again. isNew reports whether there was no file.
func (s *Store) checkIdentity() (isNew bool, err error) {
	path := filepath.Join(s.folder, identityFile)
	want := string(formatIdentity(s.identity))
	text, unchecked, err := readChecked(path, isIdentity)
	switch {
	case err == nil && text == want && !unchecked:
		return false, nil
	case err == nil && text == want: // of an older version
		return false, writeChecked(path, want)
	case err == nil || errors.Is(err, errFormat):
		return false, s.replaceDamaged(path, want, "")
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	return errors.Is(err, fs.ErrNotExist), writeChecked(path, want)
}

// setOwner writes the file with the owner, if it is not as it must be.
func (s *Store) setOwner() error {
	path := filepath.Join(s.folder, ownerFile)
	text, unchecked, err := readChecked(path, isOwner)
	if err == nil && text == s.o.Owner+"\n" && !unchecked || errors.Is(err, fs.ErrNotExist) && s.o.Owner == "" {
		return nil
	}
	if errors.Is(err, errFormat) {
		return s.replaceDamaged(path, s.o.Owner+"\n", "")
	}
	return writeChecked(path, s.o.Owner+"\n")
}

// isOwner reports whether a text is that of a file with an owner, which is a hash in this program.
func isOwner(text string) bool {
	owner, ok := strings.CutSuffix(text, "\n")
	return ok && isHex(owner, 32)
}

// readOwner returns the owner of the store in the folder, or "" if it is not known.
func readOwner(folder string) string {
	text, _, err := readChecked(filepath.Join(folder, ownerFile), isOwner)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(text, "\n")
}

// lastUsed returns the newest time at which a file in the folder was written.
func lastUsed(folder string) (last time.Time) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return time.Now()
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// writeFile writes a file whole or not at all: it writes and syncs another file, and renames it.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// setAside renames a file or folder and returns the new name: the old name, ".", what, and the time. It never
// replaces a file.
func setAside(path, what string, now time.Time) (string, error) {
	name, err := asideName(path, what, now)
	if err != nil {
		return "", err
	}
	if err := os.Rename(path, name); err != nil {
		return "", err
	}
	return name, syncFolder(filepath.Dir(path))
}

// asideName returns a name for setAside that no file has.
func asideName(path, what string, now time.Time) (string, error) {
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s.%s-%s", path, what, now.UTC().Add(time.Duration(n)).Format(stamp))
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

// copyAside copies a file to the name that setAside would give it, which it returns. It is for a file that is replaced after that: a kill must
// not leave the folder without it.
func copyAside(path, what string, now time.Time) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	name, err := asideName(path, what, now)
	if err != nil {
		return "", err
	}
	return name, writeFile(name, text)
}

// replaceDamaged copies a damaged file aside, writes it again with a text, and logs both. note is what the loss means, or "".
func (s *Store) replaceDamaged(path, text, note string) error {
	name, err := copyAside(path, "damaged", s.o.Now())
	if err == nil {
		err = writeChecked(path, text)
	}
	if err == nil {
		s.warn("the file %q is damaged; it was copied to %q and written again%s", filepath.Base(path), filepath.Base(name), note)
	}
	return err
}

// syncFolder makes new, renamed and deleted names in the folder durable.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync a folder, and need not
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // some file systems cannot
	}
	return errors.Join(err, f.Close())
}

// folderLock is the lock of a folder. The system releases it when the process ends in any way, so that no lock is left by a crash. The
// lock file stays: to remove it would let two processes lock two files of one name.
type folderLock struct{ f *os.File }

// lockFolder creates the folder if it does not exist and locks it.
func lockFolder(folder string) (*folderLock, error) {
	for attempt := 1; ; attempt++ {
		l, err := lockFolderOnce(folder)
		if !errors.Is(err, errMoved) || attempt == maxMoves {
			return l, err
		}
	}
}

// maxMoves bounds the attempts to lock a folder that is renamed meanwhile. Each further attempt takes another rename by
// another process; a lock file that is a broken link has the same error for ever.
const maxMoves = 100

// errMoved is the error of a folder that was renamed while it was being locked.
var errMoved = errors.New("the folder was renamed while it was being locked")

// lockFolderOnce is lockFolder, with an error that is errMoved when another process renamed the folder meanwhile.
func lockFolderOnce(folder string) (*folderLock, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(folder, lockFile)
	f, err := tryLock(path)
	switch {
	case errors.Is(err, errBusy):
		return nil, fmt.Errorf("%w: process %s has %q open", ErrLocked, holder(path).pid, folder)
	case errors.Is(err, fs.ErrNotExist): // renamed before the file was opened
		return nil, fmt.Errorf("%w: %w", errMoved, err)
	case err != nil:
		return nil, err
	case !isAt(f, path): // renamed between opening the file and locking it
		unlock(f)
		return nil, fmt.Errorf("%q: %w", path, errMoved)
	}
	last, before := holders(path)
	if last != process { // else it is opened once more, as after a reload
		before = last
	}
	if err := f.Truncate(0); err == nil { // without the text, only errors and orphans know less
		_, _ = f.WriteAt([]byte(process.String()+before.String()), 0)
	}
	return &folderLock{f}, nil
}

// isAt reports whether the open file is the one at that path.
func isAt(f *os.File, path string) bool {
	open, openErr := f.Stat()
	there, err := os.Stat(path)
	return openErr == nil && err == nil && os.SameFile(open, there)
}

// locker is a process that has a lock. The file of the lock has a line for each of its fields, and then those of the process
// that had the lock before. pid is a number, host the name of the system, and start nanoseconds since 1970. They are only compared, and
// shown.
type locker struct{ pid, host, start string }

// process is this process. In containers, the numbers of two processes can be equal, but hardly the times too.
var process = func() locker {
	host, _ := os.Hostname()
	return locker{strconv.Itoa(os.Getpid()), host, strconv.FormatInt(time.Now().UnixNano(), 10)}
}()

// String returns the lines in the file of the lock, which holders reads.
func (l locker) String() string { return l.pid + "\n" + l.host + "\n" + l.start + "\n" }

// unknown is a process that cannot be read from the file of a lock.
var unknown = locker{pid: "(unknown)"}

// holder returns the process that has the lock, or had it last.
func holder(path string) locker {
	last, _ := holders(path)
	return last
}

// holders returns the process that has the lock, or had it last, and the one before it.
func holders(path string) (last, before locker) {
	text, _ := os.ReadFile(path) // nothing is known without it
	lines := append(strings.Split(string(text), "\n"), make([]string, 6)...)
	parse := func(lines []string) locker {
		if _, err := strconv.Atoi(lines[0]); err != nil {
			return unknown
		}
		return locker{lines[0], lines[1], lines[2]}
	}
	return parse(lines), parse(lines[3:])
}

// overlap returns an error that wraps ErrLocked if another process of this host and owner has a relative open. Then the former
// options of this store are still in use: it is a program whose options have changed, and that was started again too early.
func (s *Store) overlap() error {
	folders, err := storeFolders(s.o.Dir)
	for _, folder := range folders {
		identity, bad := readIdentity(folder)
		if bad != nil || folder == s.folder || s.o.Related(identity) == Unrelated || readOwner(folder) != s.o.Owner {
			continue
		}
		path := filepath.Join(folder, lockFile)
		lock, bad := tryLock(path)
		if bad == nil {
			unlock(lock)
			continue
		}
		if by := holder(path); errors.Is(bad, errBusy) && by != process && by.host == process.host {
			return fmt.Errorf("%w: process %s of the same command has %q open, with other options: it must end first", ErrLocked, by.pid, folder)
		}
	}
	return err
}

// release unlocks the folder. It must be called once.
func (l *folderLock) release() { unlock(l.f) }

// Folder is the folder of a store.
type Folder struct {
	Path     string            // of the folder, below the one that Orphans was called with
	Identity map[string]string // the options of the store: see Options.Identity
	// Heir is the folder of the store that has begun to join this one, or "". See Store.Join.
	Heir string
}

// Orphans returns the folders in dir with stores whose options are no longer used, and those that this owner has open,
// both ascending by path.
//
// Orphans are the stores that no process has open, if they are of this owner or of an earlier run of this program. Those of other
// owners are orphans when they were not used for a day before now: another owner may be about to start again with the same options.
// Call it after all stores of this process were opened, so that their folders are no orphans. A folder is left out, with an error, if its
// options are damaged. There are no orphans, and an error, if a file with an heir is damaged, or that of a folder that is left out has one:
// then any orphan may have its open buckets, and must not be retired before these can be told apart. related returns how the stores of this
// program and one with that identity are related.
func Orphans(dir, owner string, related func(identity map[string]string) Relation, now time.Time) (orphans, used []Folder, err error) {
	folders, err := storeFolders(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	s := survey{owner: owner, now: now, runs: earlierRuns{of: map[locker]bool{process: true}}, known: true}
	for _, folder := range folders {
		if !strings.Contains(filepath.Base(folder), retired) {
			s.visit(folder)
		}
	}
	if !s.known {
		return nil, s.used, s.damaged
	}
	for _, f := range s.foreign {
		if s.runs.had(f.Path, related(f.Identity)) {
			s.orphans = append(s.orphans, f)
		}
	}
	slices.SortFunc(s.orphans, func(a, b Folder) int { return strings.Compare(a.Path, b.Path) })
	return s.orphans, s.used, s.damaged
}

// survey sorts the folders of stores for Orphans.
type survey struct {
	owner string
	now   time.Time

	orphans []Folder // of the owner, or not used for a long time
	foreign []Folder // of other owners, used not long ago; the owner may be an earlier run
	used    []Folder // that the owner has open
	runs    earlierRuns
	damaged error // joins those of damaged files
	known   bool  // whether it is known which orphan has open buckets of which other one
}

// visit puts the folder into one of the lists, or leaves it out.
func (s *survey) visit(folder string) {
	identity, err := readIdentity(folder)
	heir, _, ok, bad := readHeir(folder)
	if errors.Is(err, errFormat) {
		s.damaged, s.known = errors.Join(s.damaged, err), s.known && !ok && bad == nil
	}
	if err != nil {
		return
	}
	f := Folder{Path: folder, Identity: identity}
	if ok {
		f.Heir = heir
	}
	mine := readOwner(folder) == s.owner
	lock, err := tryLock(filepath.Join(folder, lockFile))
	switch {
	case err == nil:
		unlock(lock)
		s.damaged, s.known = errors.Join(s.damaged, bad), s.known && bad == nil
		if mine || s.now.Sub(lastUsed(folder)) >= orphanAge {
			s.orphans = append(s.orphans, f)
			return
		}
		s.foreign = append(s.foreign, f)
		s.runs.noteForeign(folder)
	case errors.Is(err, errBusy):
		if mine {
			s.used = append(s.used, f)
		}
		s.runs.noteUsed(folder)
	}
}

// earlierRuns finds the processes that were this program, which had other arguments. An earlier run had a store that this process
// has now. If all stores of this process are new, the stores of other owners are of an earlier run if one process had all of them
// last, and no other process has a store in the folder: two programs that share it would have left two. This holds only for stores
// whose rows are in the same tables, as another program may be down for the first time.
type earlierRuns struct {
	of      map[locker]bool // this process, and those that had its stores before
	foreign map[locker]bool // those that had the other stores last
	shared  bool            // whether another process has a store
}

// noteUsed notes the processes of a store that is locked.
func (e *earlierRuns) noteUsed(folder string) {
	last, before := holders(filepath.Join(folder, lockFile))
	if last != process {
		e.shared = true
	} else if before != unknown {
		e.of[before] = true
	}
}

// noteForeign notes the process that had the store of another owner last.
func (e *earlierRuns) noteForeign(folder string) {
	if e.foreign == nil {
		e.foreign = make(map[locker]bool)
	}
	e.foreign[holder(filepath.Join(folder, lockFile))] = true
}

// had reports whether an earlier run of this program had the store of another owner.
func (e *earlierRuns) had(folder string, to Relation) bool {
	by := holder(filepath.Join(folder, lockFile))
	return by != unknown && (e.of[by] || to != Unrelated && len(e.of) == 1 && len(e.foreign) == 1 && !e.shared)
}
