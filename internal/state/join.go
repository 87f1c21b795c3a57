package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
)

// joinBuckets is the number of buckets that Join adds in one commit.
const joinBuckets = 1000

// heirFile is a file in the folder of an orphan while another store joins it, see checked.go. The lines of its text are the name of the
// folder of that store, and the id of the orphan, which has to stay the same when the folder of the orphan is renamed.
const heirFile = "heir"

// The steps of joining an orphan, and what the next run finds after a crash that follows each of them:
//
//	setHeir in the folder of the orphan       the orphan has an heir: no other store joins it
//	a commit for each part of its buckets     the heir has the first ones: Join goes on behind them
//	the rows of a Push leave                  the heir has all: Join adds none
//	Retire renames the folder of the orphan   nothing is left to do
//
// Each commit of a part has a record with the number of buckets so far. It is needed until Retire, so the heir keeps its log.

// readHeir returns the folder of the store that joins the orphan in a folder, and the id of the orphan. ok is false if there is
// no such store, or no longer. err is not nil if the file is damaged, or cannot be read.
func readHeir(folder string) (heir, id string, ok bool, err error) {
	text, _, err := readChecked(filepath.Join(folder, heirFile), isHeir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, err
	}
	name, id, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n")
	heir = filepath.Join(filepath.Dir(folder), filepath.Base(name))
	_, err = os.Stat(heir) //nolint:gosec // its name has no folder
	return heir, id, err == nil && name != "", nil
}

// heirOf is readHeir without the error: a file that cannot be read is no file.
func heirOf(folder string) (heir, id string, ok bool) {
	heir, id, ok, _ = readHeir(folder)
	return heir, id, ok
}

// isHeir reports whether a text is that of a file with an heir.
func isHeir(text string) bool {
	lines := strings.Split(text, "\n")
	if len(lines) != 3 || lines[2] != "" {
		return false
	}
	heir, ok := strings.CutPrefix(lines[0], folderPrefix)
	_, _, isID := parseJoinID(lines[1])
	return ok && isHex(heir, 16) && isID
}

// setHeir writes the file with the heir.
func setHeir(folder, heir, id string) error {
	return writeChecked(filepath.Join(folder, heirFile), filepath.Base(heir)+"\n"+id+"\n")
}

// renameHeir replaces the name of a store in the files of the orphans that it joins. from and to are folders in one folder.
func renameHeir(from, to string) error {
	folders, err := storeFolders(filepath.Dir(from))
	for _, folder := range folders {
		if heir, id, _ := heirOf(folder); heir == from {
			err = errors.Join(err, setHeir(folder, to, id))
		}
	}
	return err
}

// forgetHeir removes the file with an heir that is gone.
func forgetHeir(folder string) error {
	if err := os.Remove(filepath.Join(folder, heirFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// leaveJoined renames the folder of a store that another one joins: its open buckets are not its own any more. The folder
// becomes that of an orphan, and the store with its options begins empty.
func leaveJoined(folder string) error {
	_, id, ok, err := readHeir(folder)
	if err != nil {
		return err
	}
	if !ok {
		return forgetHeir(folder)
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return err
	}
	to := filepath.Join(filepath.Dir(folder), leftName(id))
	// Before the folder is renamed: after a crash, it still has its own heir, so the next run does both again.
	if err := renameHeir(folder, to); err != nil {
		lock.release()
		return err
	}
	return moveFolder(folder, to, lock)
}

// leftName returns the name of the folder of an orphan whose options another store has now.
func leftName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return folderPrefix + hex.EncodeToString(sum[:8])
}

// joined describes an orphan whose open buckets this store has got. The log of this store that has the records of it is needed until the
// orphan is retired: after a crash, the next run learns from them which buckets not to add again.
type joined struct {
	commit uint64 // the first one with a record of it
	done   int    // how many of the buckets
}

// Join adds open buckets of an orphan, which its Drain has yielded, to this store: it passes them to add, some at a time,
// which must call OpenBucket, Snapshot or Final, but not Commit. It clears the buckets that it has passed. Each bucket is
// added once, even if the process is killed at any time until from.Retire has returned, and the next run calls Join again
// with the same buckets in the same order: a commit has all or nothing of a call of add. Until then, the options of from may
// be used again: Open gives them an empty store. If the next run has another store instead of this one, that must join this
// store before it joins from, without the first buckets: see Joined.
//
// If the error is not nil, a later Commit tries again to make all of it durable. Until one succeeds, from must not be
// retired.
func (s *Store) Join(from *Store, all []Bucket, add func([]Bucket)) error {
	if len(all) == 0 {
		return nil
	}
	id := from.joinID()
	if _, _, begun := heirOf(from.folder); !begun { // else the first store that has begun is the heir
		if err := setHeir(from.folder, s.folder, id); err != nil {
			return err
		}
	}
	done := min(s.Joined(from), len(all))
	from.heir = s
	var err error
	for done < len(all) {
		part := all[done:min(done+joinBuckets, len(all))]
		done += len(part)
		s.joinPart(part, add, id, done)
		clear(part)
		err = s.Save()
	}
	return err
}

// joinID identifies an orphan, also if another store has the same folder later. It is the name of the folder and the age of the store at
// the end of its last run, such as "describe-0123456789abcdef@1767225600000000000", or what the file with the heir has once there is one.
func (s *Store) joinID() string {
	if _, id, _ := heirOf(s.folder); id != "" {
		return id
	}
	return fmt.Sprintf("%s@%d", filepath.Base(s.folder), s.past.end)
}

// parseJoinID returns the parts of the id of an orphan: the name of its folder and the age of the store. ok is false if it is no such id.
func parseJoinID(id string) (name string, age int64, ok bool) {
	name, digits, ok := strings.Cut(id, "@")
	hash, isFolder := strings.CutPrefix(name, folderPrefix)
	age, err := strconv.ParseInt(digits, 10, 64)
	return name, age, ok && isFolder && isHex(hash, 16) && err == nil && strconv.FormatInt(age, 10) == digits
}

// isOrphan reports whether a store may have joined the orphan in a folder with that id. An orphan that had the folder earlier does not
// count: its age was below the time at which the store was created.
func isOrphan(id, folder string) bool {
	name, age, ok := parseJoinID(id)
	return ok && (name == filepath.Base(folder) && age >= readBorn(folder) || leftName(id) == filepath.Base(folder))
}

// Joined returns how many buckets of an orphan were added to this store: the first ones that Join was called with.
func (s *Store) Joined(from *Store) int {
	id := from.joinID()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joined[id].done
}

// joinPart adds a part of the buckets of an orphan, and logs how many there are now, in the same commit.
func (s *Store) joinPart(part []Bucket, add func([]Bucket), id string, done int) {
	s.committing.Lock() // the background writer could commit a half of it
	defer s.committing.Unlock()
	s.mu.Lock()
	if _, ok := s.joined[id]; !ok {
		s.pin(id, joined{commit: s.commit})
	}
	s.mu.Unlock()
	add(part)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined[id] = joined{s.joined[id].commit, done}
	if !s.full {
		s.records.joined(id, done)
		s.bound()
	}
}

// pin keeps the log from the first record about an orphan on. It may be repeated. The caller holds mu, or is Open.
func (s *Store) pin(id string, j joined) {
	if _, ok := s.joined[id]; ok {
		return
	}
	if s.joined == nil {
		s.joined = make(map[string]joined)
	}
	s.joined[id] = j
	s.needed.add(j.commit)
}

// unpin releases the log with the records about an orphan that is retired.
func (s *Store) unpin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, ok := s.joined[id]; ok {
		s.needed.remove(j.commit)
		delete(s.joined, id)
	}
}

// adoptJoined continues the knowledge of the last run about orphans that are not retired. It returns an error if the folders of other stores
// cannot be listed. Then buckets could be added twice when they can be listed again, and a value could begin a bucket anew that is in one
// of them.
func (s *Store) adoptJoined() error {
	folders, err := storeFolders(filepath.Dir(s.folder))
	if err != nil {
		return unlisted(err)
	}
	for _, folder := range folders {
		if strings.Contains(filepath.Base(folder), retired) {
			continue
		}
		_, id, _, err := readHeir(folder)
		for joined, j := range s.past.joined {
			if joined == id || errors.Is(err, errFormat) && isOrphan(joined, folder) {
				s.pin(joined, j)
			}
		}
	}
	return nil
}

// unlisted is the error of a folder of stores that cannot be listed.
func unlisted(err error) error {
	return fmt.Errorf("the folders of other states cannot be listed: %w", err)
}

// Expire makes the final and the expired buckets of from expired in this store, for the time when there is no folder of from any more:
// the user may delete it after it was retired. Then a value for one of them is late, and does not begin the bucket anew, unless this
// store has a final bucket of the same series and start. It may be repeated.
func (s *Store) Expire(from *Store) error {
	age := s.clock.time()
	found := from.pendingExpired()
	if err := s.finals.expire(found, from.id, age); err != nil {
		return err
	}
	from.mu.Lock()
	slots := slices.Clone(from.finals.slots)
	from.mu.Unlock()
	for _, slot := range slots {
		for next := []byte(nil); ; {
			var err error
			if found, _, next, err = from.finals.collectExpired(orderedBytes(slot), next); err != nil {
				return err
			}
			if err := s.finals.expire(found, from.id, age); err != nil {
				return err
			}
			if next == nil {
				break
			}
		}
	}
	return s.finals.expireRecords(from.finals, from.id, age)
}

// pendingExpired returns the final buckets that are not in the database yet, as they will be expired.
func (s *Store) pendingExpired() expired {
	s.mu.Lock()
	pending := slices.Collect(maps.Values(s.pending.newest))
	s.mu.Unlock()
	found := make(expired)
	for _, f := range pending {
		if value := s.valueOf(f); value != nil {
			found.add(expiredOf(finalKey(f.series, f.start), value))
		} else { // it was dropped
			found.add(expiredKeyOf(f.series), removedBuckets(span{f.start, f.end}, 0, nil))
		}
	}
	return found
}

// expire adds buckets to the records of expired buckets. Those that are not of a third store are of the store with that id. The buckets of one
// call are one transaction.
func (f *finals) expire(found expired, id string, age int64) error {
	if len(found) == 0 {
		return nil
	}
	named := make(expired, len(found))
	for key, all := range found {
		if key.store() == "" {
			key += expiredKey(id)
		}
		named[key] = all
	}
	f.noteExpired(named)
	return guard(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error { return named.put(tx, age) })
	})
}

// expireRecords adds the records of expired buckets of the database of the store with that id.
func (f *finals) expireRecords(from *finals, id string, age int64) error {
	found := make(expired)
	err := guard(func() error {
		return from.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(expiredBucket)
			if b == nil {
				return nil
			}
			return b.ForEach(func(key, value []byte) error {
				if _, r, _ := decodeExpired(key, value); len(r.spans) > 0 { // a damaged record has no spans
					found.add(expiredKey(key), r)
				}
				if len(found) < expiredBatch {
					return nil
				}
				err := f.expire(found, id, age)
				clear(found)
				return err
			})
		})
	})
	return errors.Join(err, f.expire(found, id, age))
}
