package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// logPrefix begins the name of a file of the log. Its number follows, with zeros before it, so that names are in order.
	logPrefix = "log-"
	// segmentBytes is the size of a file at which the log continues in a new file.
	segmentBytes = 32 << 20
	// segmentAge is the age of a file at which the log continues in a new file. It bounds how much log is kept that
	// is no longer needed.
	segmentAge = 10 * time.Minute
	// maxSegment is the largest size of a file of the log.
	maxSegment = 1 << 32
)

// logFile is a file of the log that is open for writing.
type logFile interface {
	// Write appends b, of which n bytes are in the file after an error.
	Write(b []byte) (n int, err error)
	// Sync makes what was written durable.
	Sync() error
	// Truncate cuts the file.
	Truncate(size int64) error
	Close() error
}

// segment is a file of the log.
type segment struct {
	number  uint64 // in its name
	last    uint64 // number of its last commit, 0 if it has none
	time    int64  // age of the store at it
	size    int64  // bytes
	damaged bool   // the file is renamed instead of deleted
}

// segments are the files of the log. If file is not nil, it is the last one, and commits are written to it. The files of the last run
// are never written again. The log is several files because a part that is no longer needed is deleted as a whole file.
//
//	log-0000000000000007   of the last run   ─ remove, once no bucket needs it and its rows cannot leave again
//	log-0000000000000008   of this run, full
//	log-0000000000000009   file: rotate opens it, write appends and syncs, leave closes it
//
// Store.committing guards it.
type segments struct {
	folder   string                             // of the store
	openFile func(path string) (logFile, error) // Options.openFile
	all      []segment                          // ascending by number
	next     uint64                             // number of the next file
	file     logFile                            // nil before the first commit and after an error
	began    int64                              // age of the store at the first commit in file
	frames   []byte                             // memory for the frames of a commit
}

// batch is a commit that is not durable yet.
type batch struct {
	commit  uint64 // its number
	payload []byte // its records
	time    int64  // age of the store
}

// path returns the path of a file of the log.
func (s *segments) path(number uint64) string {
	return filepath.Join(s.folder, fmt.Sprintf("%s%016d", logPrefix, number))
}

// listSegments returns the numbers of the files of the log in the folder, ascending, and the size of all of them. Files with other names,
// such as those that were set aside, are left out.
func listSegments(folder string) (numbers []uint64, size int64, err error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), logPrefix)
		number, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil || len(digits) != 16 || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		numbers, size = append(numbers, number), size+info.Size()
	}
	return numbers, size, nil
}

// write makes the commits durable, all or none. After an error, the next write begins at the same position, or in a
// new file.
func (s *segments) write(commits []batch) error {
	if len(commits) == 0 {
		return nil
	}
	if err := s.rotate(commits[0].time); err != nil {
		return err
	}
	seg := &s.all[len(s.all)-1]
	size := seg.size
	for _, c := range commits {
		s.frames = appendCommit(s.frames[:0], c.commit, c.payload)
		n, err := s.file.Write(s.frames)
		size += int64(n)
		if err != nil {
			return errors.Join(err, s.undo(seg))
		}
	}
	if cap(s.frames) > 4<<20 {
		s.frames = nil
	}
	if err := s.file.Sync(); err != nil {
		// After a failed sync, the kernel may have dropped pages that it did not write, so only a new file is safe.
		return errors.Join(err, s.leave())
	}
	last := commits[len(commits)-1]
	seg.size, seg.last, seg.time = size, last.commit, last.time
	return nil
}

// undo removes the written part of failed commits from the file. If that fails, the next write opens a new file.
func (s *segments) undo(seg *segment) error {
	if err := s.file.Truncate(seg.size); err != nil {
		return s.leave()
	}
	return nil
}

// rotate makes sure that a file is open for writing, and opens a new one if the file is too large or too old. The folder is synced before a
// commit is written, or the new file could be missing after a crash of the system. now is the age of the store.
func (s *segments) rotate(now int64) error {
	if s.file != nil {
		seg := s.all[len(s.all)-1]
		if seg.size < segmentBytes && now-s.began < int64(segmentAge) {
			return nil
		}
		if err := s.leave(); err != nil {
			return err
		}
	}
	path := s.path(s.next)
	file, err := s.openFile(path)
	if err != nil {
		return err
	}
	_, err = file.Write([]byte(logMagic))
	if err == nil {
		err = syncFolder(s.folder)
	}
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(path))
	}
	s.file, s.began = file, now
	s.all = append(s.all, segment{number: s.next, size: int64(len(logMagic))})
	s.next++
	return nil
}

// leave closes the open file. The next write opens a new one.
func (s *segments) leave() error {
	file := s.file
	s.file = nil
	return file.Close()
}

// close closes the open file, if there is one. The receiver may be nil.
func (s *segments) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.leave()
}

// remove deletes the oldest files whose commits are all below needed and before the given age of the store, except
// the file that is open.
func (s *segments) remove(needed uint64, before int64, now time.Time) error {
	for len(s.all) > 0 {
		seg := s.all[0]
		if len(s.all) == 1 && s.file != nil || seg.last >= needed || seg.time >= before {
			return nil
		}
		path := s.path(seg.number)
		err := error(nil)
		if seg.damaged {
			_, err = setAside(path, "damaged", now)
		} else {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.all = s.all[1:]
	}
	return nil
}

// size returns the size of all files.
func (s *segments) size() int64 {
	n := int64(0)
	for _, seg := range s.all {
		n += seg.size
	}
	return n
}

// osFile is a logFile of the operating system.
type osFile struct{ *os.File }

// openLogFile creates a file of the log. An existing file is an error, because its contents would be lost.
func openLogFile(path string) (logFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Sync makes the bytes durable, and of what the system knows about the file only what is needed to read them.
func (f osFile) Sync() error { return syncData(f.File) }
