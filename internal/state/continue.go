package state

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
)

// Empty reports whether the store has never had a bucket.
func (s *Store) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next == 0 && len(s.finals.slots) == 0 && s.finals.expiredEnd.Load() == math.MinInt64
}

// Continue makes the folder of an orphan the folder of this store, which must be empty, and returns the store that
// replaces it: it has the options of s and all buckets of the orphan, open, final and expired. The folder of s is
// deleted, and s is closed. Use Continue only if the options of the two stores give the same bounds and keys to buckets:
// then a late value finds its final bucket.
//
// A crash in the middle loses nothing, and the next run may call Continue again:
//
//	before the identity is written     the orphan is as before, and s is there
//	before the folder of s is deleted  the orphan has the options of s, and the folder of s is there
//	before the orphan is renamed       the folder of s is not there; a new run makes an empty one and continues the orphan again
//	before its own orphans have that   Open finds its new name in its log: see mendHeirs
//	  name as their heir
//
// With an error, Continue returns s, or a new empty store if s is closed already, or nil if that cannot be opened.
func (s *Store) Continue(orphan Folder) (*Store, error) {
	if !s.Empty() {
		return s, fmt.Errorf("state %q: it has buckets, so it cannot continue %q", s.folder, orphan.Path)
	}
	lock, err := lockFolder(orphan.Path)
	if err != nil {
		return s, err
	}
	// Until the folder is renamed, it is an orphan with the options of s.
	err = forgetHeir(orphan.Path)
	if err == nil {
		err = writeChecked(filepath.Join(orphan.Path, identityFile), string(formatIdentity(s.identity)))
	}
	if err != nil {
		lock.release()
		return s, err
	}
	folder := s.folder
	if err = s.deleteFolder(); err != nil {
		lock.release()
	} else {
		err = moveFolder(orphan.Path, folder, lock)
	}
	if err == nil {
		err = renameHeir(orphan.Path, folder)
	}
	next, openErr := Open(s.o)
	return next, errors.Join(err, openErr)
}

// deleteFolder closes the store and deletes its folder. It renames the folder before, so that a crash leaves no part of it.
func (s *Store) deleteFolder() error {
	s.mu.Lock()
	s.suffix = "empty"
	s.mu.Unlock()
	s.writer.stop(false)
	if err := s.shut(); err != nil {
		return err
	}
	return os.RemoveAll(s.folder)
}

// moveFolder renames a folder whose lock the caller has, and releases the lock. The lock is released last, except on Windows, so
// that no process opens the store by the old name meanwhile.
func moveFolder(from, to string, lock *folderLock) error {
	if runtime.GOOS == "windows" { // which renames no folder with open files
		lock.release()
	} else {
		defer lock.release()
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}
