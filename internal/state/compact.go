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

// bbolt never gives the pages back that it does not use any more. So a database that is mostly free is copied when it
// is opened, at the cost of reading and writing what is in it. The copy replaces the database with one rename, after it
// was synced: a crash leaves either the one or the other.
const (
	// compactSuffix ends the name of the copy while it is made.
	compactSuffix = ".compact"
	// compactFree is how many free bytes are worth it, if they are more than half of the file.
	compactFree = 16 << 20
	// compactBatch is how many bytes one transaction of the copy has.
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

// shrink compacts the database if it is mostly free. Only that many bytes of it are used. If it cannot be compacted, it
// stays as it is, and shrink logs why.
func (s *Store) shrink(f *finals, used int64) {
	path := f.path + compactSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warn("%v", err) // of a run that ended while it compacted
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
		s.warn("the database, %d bytes of which %d are used, cannot be compacted: %v", size, used, err)
		_ = os.Remove(path)
		return
	}
	if err := syncFolder(filepath.Dir(f.path)); err != nil {
		s.warn("%v", err)
	}
	s.mu.Lock()
	s.stats.Compacted = size - f.size()
	s.mu.Unlock()
}

// copyDatabase copies what is used of a database, and makes the copy durable.
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
