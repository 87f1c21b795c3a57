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

// If the file with the heir of an orphan is damaged, nothing else in its folder says which of its open buckets another store has got already.
// But that store has it in its log: see Store.Join.

// mendHeirs writes the damaged files with heirs in the folder of all stores again. It must come before a store is opened, because that
// keeps the part of its log which it needs for the orphans that it joins.
func mendHeirs(o Options) error {
	all, err := storeFolders(o.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unlisted(err)
	}
	all = slices.DeleteFunc(all, func(folder string) bool { return strings.Contains(filepath.Base(folder), retired) })
	for _, folder := range all {
		if _, _, _, bad := readHeir(folder); errors.Is(bad, errFormat) {
			err = errors.Join(err, mendHeir(folder, all, o))
		}
	}
	return err
}

// mendHeir writes the damaged file with the heir of a folder again. If no log has a record of the orphan, no store has got its buckets, and
// the file is renamed.
func mendHeir(folder string, all []string, o Options) error {
	path := filepath.Join(folder, heirFile)
	ids := make(map[string]string) // by folder of those that have joined it
	for _, other := range all {
		id, err := joinedIn(other, folder)
		if err != nil {
			return fmt.Errorf("the file %q is damaged, and the log of %q cannot be read: %w", path, other, err)
		}
		if id != "" {
			ids[other] = id
		}
	}
	if len(ids) == 0 {
		name, err := setAside(path, "damaged", o.Now())
		if err == nil {
			o.Log("state %q: the file %q is damaged; it was renamed to %q. No other state has a record that it got open buckets of this one, so "+
				"they stay here", folder, heirFile, filepath.Base(name))
		}
		return err
	}
	heir := firstHeir(ids)
	name, err := copyAside(path, "damaged", o.Now())
	if err == nil {
		err = setHeir(folder, heir, ids[heir])
	}
	if err == nil {
		o.Log("state %q: the file %q is damaged; it was copied to %q and written again from the log in %q", folder, heirFile, filepath.Base(name), heir)
	}
	return err
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

// joinedIn returns the id with which the log in a folder has a record of joining the orphan in another folder, or "" if it has none. An
// orphan that had the folder earlier does not count: its age was below the time at which the store was created.
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
	born, newest := readBorn(orphan), int64(0)
	for other := range p.joined {
		name, age, ok := parseJoinID(other)
		if mine := name == filepath.Base(orphan) && age >= born || leftName(other) == filepath.Base(orphan); ok && mine && (id == "" || age > newest) {
			id, newest = other, age
		}
	}
	return id, nil
}
