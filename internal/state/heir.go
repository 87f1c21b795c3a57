package state

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// If the file with the heir of an orphan is damaged, nothing else in its folder shows which of its open buckets another store has got already.
// But that store has it in its log: see Store.Join. The log is also read if the file names a folder that does not exist, as a kill in the
// middle of Store.Continue leaves it.

// heirMender writes broken files with heirs again.
type heirMender struct {
	Options
	all    []string        // the folders of stores that are not retired
	broken map[string]bool // those of them with a broken file that was not looked at yet
}

// mendHeirs writes the broken files with heirs in the folder of all stores again. It must come before the store in the folder own is opened,
// because that keeps the part of its log which it needs for the orphans that it joins.
//
// It returns an error if the file in own is damaged and cannot be written again: the open buckets of own could be in another store. The
// orphans wait if such a file is in another folder: see Orphans and adoptJoined.
func mendHeirs(own string, o Options) error {
	all, err := storeFolders(o.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unlisted(err)
	}
	m := heirMender{Options: o, broken: make(map[string]bool)}
	m.all = slices.DeleteFunc(all, func(folder string) bool { return strings.Contains(filepath.Base(folder), retired) })
	for _, folder := range m.all {
		if damaged, gone := brokenHeir(folder); damaged || gone {
			m.broken[folder] = true
		}
	}
	for _, folder := range m.all {
		if !m.broken[folder] {
			continue
		}
		err := m.mend(folder)
		if damaged, _ := brokenHeir(folder); damaged && err != nil {
			if folder == own {
				return err
			}
			o.Log("state %q: %v; no state is taken over until a start at which that is possible", folder, err)
		}
	}
	return nil
}

// brokenHeir reports whether the file with the heir of the orphan in a folder is damaged, or names a folder that does not exist.
func brokenHeir(folder string) (damaged, gone bool) {
	heir, _, ok, err := readHeir(folder)
	return errors.Is(err, errFormat), err == nil && heir != "" && !ok
}

// mend writes the broken file with the heir of a folder again. If no log has a record of the orphan, no store has got its buckets, and a damaged
// file is renamed.
func (m *heirMender) mend(folder string) error {
	delete(m.broken, folder)
	path := filepath.Join(folder, heirFile)
	ids := make(map[string]string) // by folder of those that have joined it
	for _, other := range m.all {
		id, err := joinedIn(other, folder)
		if err != nil {
			return fmt.Errorf("the file %q is damaged, and the log of %q cannot be read: %w", path, other, err)
		}
		if id != "" {
			ids[other] = id
		}
	}
	for _, other := range slices.Sorted(maps.Keys(ids)) { // which of them was first depends on their files
		if m.broken[other] {
			if err := m.mend(other); err != nil {
				return err
			}
		}
	}
	lock, err := tryLock(filepath.Join(folder, lockFile))
	if errors.Is(err, errBusy) {
		return fmt.Errorf("%w: process %s has %q open, whose file %q is damaged", ErrLocked, holder(filepath.Join(folder, lockFile)).pid, folder, heirFile)
	}
	if err != nil {
		return err
	}
	defer unlock(lock)
	return m.write(folder, ids)
}

// write writes the file with the heir of a folder, whose lock the caller has. ids are those of mend.
func (m *heirMender) write(folder string, ids map[string]string) error {
	path := filepath.Join(folder, heirFile)
	damaged, gone := brokenHeir(folder)
	switch {
	case !damaged && !gone: // another process has written it
		return nil
	case len(ids) == 0 && gone:
		return nil
	case len(ids) == 0:
		name, err := setAside(path, "damaged", m.Now())
		if err == nil {
			m.Log("state %q: the file %q is damaged; it was renamed to %q. No other state has a record that it got open buckets of this one, so "+
				"they stay here", folder, heirFile, filepath.Base(name))
		}
		return err
	}
	heir := firstHeir(ids)
	if gone {
		return setHeir(folder, heir, ids[heir])
	}
	name, err := copyAside(path, "damaged", m.Now())
	if err == nil {
		err = setHeir(folder, heir, ids[heir])
	}
	if err == nil {
		m.Log("state %q: the file %q is damaged; it was copied to %q and written again from the log in %q", folder, heirFile, filepath.Base(name), heir)
	}
	return err
}

// neededBy returns an error if the store is the heir of an orphan that is not retired, or could be one. Stores that are heirs of each other do not
// need each other.
func (s *Store) neededBy() error {
	folders, err := storeFolders(filepath.Dir(s.folder))
	if err != nil {
		return unlisted(err)
	}
	for _, folder := range folders {
		if folder == s.folder || strings.Contains(filepath.Base(folder), retired) {
			continue
		}
		heir, _, ok, err := readHeir(folder)
		if ok && heir == s.folder && !hasHeir(s.folder, folder, len(folders)) || errors.Is(err, errFormat) {
			return fmt.Errorf("state %q: it is needed until %q is set aside", s.folder, folder)
		}
	}
	return nil
}

// hasHeir reports whether the store in a folder is joined by the one in another folder, or by one that this joins, and so on. most bounds the
// steps: damaged files can name each other.
func hasHeir(folder, other string, most int) bool {
	for range most {
		heir, _, ok := heirOf(folder)
		if !ok || heir == other {
			return ok
		}
		folder = heir
	}
	return true
}

// firstHeir returns the folder of the store that has begun to join an orphan first. Another one can go on with that only after it has begun to
// join the first one.
func firstHeir(ids map[string]string) string {
	all := slices.Sorted(maps.Keys(ids))
	i := slices.IndexFunc(all, func(folder string) bool {
		return !slices.ContainsFunc(all, func(other string) bool { heir, _, ok := heirOf(other); return ok && heir == folder })
	})
	return all[max(i, 0)]
}

// joinedIn returns the id with which the log in a folder has a record of joining the orphan in another folder, or "" if it has none. Of
// several, it is the one that came last.
func joinedIn(folder, orphan string) (id string, err error) {
	numbers, _, err := listSegments(folder)
	if err != nil {
		return "", err
	}
	p := past{joined: make(map[string]joined)}
	files := segments{folder: folder}
	for _, number := range numbers {
		_, err := p.readFile(files.path(number), p.last, func(_ *commitReader, commit uint64, payload []byte) {
			p.last = commit
			_ = records(payload, func(_ int, kind byte, d *decoder, _ int) error { // what is damaged is reported when the store is opened
				if kind == recordJoined {
					p.join(commit, d)
				}
				return d.err
			})
		})
		if err != nil && !errors.Is(err, errFormat) && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	last := uint64(0)
	for other, j := range p.joined {
		if isOrphan(other, orphan) && j.commit >= last {
			id, last = other, j.commit
		}
	}
	return id, nil
}
