package state

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// bbolt never returns unused pages to the file system. So a database with mostly free pages is copied when it is
// opened, which costs reading and writing its contents. The copy is synced and then renamed over the database, so
// after a crash, either the old or the new file is there.
const (
	// compactSuffix is the suffix of the name of an unfinished copy.
	compactSuffix = ".compact"
	// compactFree is the smallest number of free bytes for which a database is compacted. They must also be more than
	// half of the file.
	compactFree = 16 << 20
	// compactBatch is the number of bytes that one transaction copies.
	compactBatch = 16 << 20
)

// used returns how many bytes are in the pages that the walk has seen and in the two headers.
func (w *pageWalk) used() int64 {
	n := 2
	for _, word := range w.seen {
		n += bits.OnesCount64(word)
	}
	return int64(n) * int64(w.meta.pageSize)
}

// shrink compacts the database if most of it is free. It must not be open. used is the number of its bytes that are in use. If compacting
// fails, shrink logs the reason, and the database is unchanged.
func (s *Store) shrink(f *finals, used int64) {
	path := f.path + compactSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warn("an unfinished copy of the database, of an earlier run, cannot be removed: %v", err)
	}
	size := f.size()
	if free := size - used; free < s.o.compactFree || free < size/2 {
		return
	}
	err := guard(func() error { return copyDatabase(f.path, path) })
	if err == nil {
		err = os.Rename(path, f.path)
	}
	if err != nil {
		s.warn("the database cannot be compacted, and stays at %d bytes, of which %d are in use: %v", size, used, err)
		_ = os.Remove(path)
		return
	}
	if err := syncFolder(filepath.Dir(f.path)); err != nil {
		s.warn("after a crash of the system, the database may be as it was before it was compacted: %v", err)
	}
	s.mu.Lock()
	s.stats.Compacted = size - f.size()
	s.mu.Unlock()
}

// copyDatabase copies the contents of a database, and makes the copy durable. It syncs once at the end, because an unfinished copy is
// deleted anyway.
func copyDatabase(from, to string) (err error) {
	src, err := bbolt.Open(from, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := bbolt.Open(to, 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true, NoStatistics: true, NoSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := bbolt.Compact(dst, src, compactBatch); err != nil {
		return fmt.Errorf("copying it: %w", err)
	}
	return dst.Sync()
}
