package state_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// damages returns what damage can make of a file: each bit flipped, each cut, and other contents.
func damages(whole []byte) map[string][]byte {
	all := map[string][]byte{
		"foreign text": []byte("# this is a text file\n"), "foreign bytes": bytes.Repeat([]byte{0xff, 0}, 1000), "zeros": make([]byte, len(whole)),
		"twice": append(bytes.Clone(whole), whole...),
	}
	for at := range whole {
		all[fmt.Sprint("cut to ", at)] = whole[:at]
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[at] ^= 1 << bit
			all[fmt.Sprintf("bit %d of byte %d", bit, at)] = flipped
		}
	}
	return all
}

// some returns a part of the damages, as opening a store for each of them takes long: one bit of each byte, and all others. With -short it
// leaves out the bits and cuts of four in five bytes.
func some(all map[string][]byte) map[string][]byte {
	part := map[string][]byte{}
	for what, text := range all {
		var bit, at, end int
		isBit, _ := fmt.Sscanf(what, "bit %d of byte %d", &bit, &at)
		isCut, _ := fmt.Sscanf(what, "cut to %d", &end)
		rare := testing.Short() && (isBit == 2 && at%5 > 0 || isCut == 1 && end%5 > 0)
		if (isBit < 2 || bit == at%8) && !rare {
			part[what] = text
		}
	}
	return part
}

func TestATextWithAChecksumIsReadOnlyIfItIsWhole(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		state.IDFile: "0123456789abcdef\n", state.HeirFile: "describe-0123456789abcdef\ndescribe-fedcba9876543210@1767225600000000000\n",
		state.IdentityFile: "telegraf-describe state 1\n\"bucket\"=\"1h\"\n", state.OwnerFile: "0123456789abcdef0123456789abcdef\n", state.BornFile: "1767225600000000000\n",
	} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, state.WriteChecked(path, text))
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := state.ReadChecked(path)
		require.NoError(t, err)
		require.Equal(t, text, got)
		for what, damaged := range damages(whole) {
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			_, err := state.ReadChecked(path)
			require.ErrorIs(t, err, state.ErrFormat, what)
			require.ErrorContains(t, err, path)
		}
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) // as an older version wrote it
		got, err = state.ReadChecked(path)
		require.NoError(t, err)
		require.Equal(t, text, got)
		for cut := range text {
			require.NoError(t, os.WriteFile(path, []byte(text[:cut]), 0o600))
			_, err = state.ReadChecked(path)
			require.ErrorIs(t, err, state.ErrFormat, "%q", text[:cut])
		}
		other := filepath.Join(filepath.Dir(path), state.HeirFile)
		if other == path {
			other = filepath.Join(filepath.Dir(path), state.IDFile)
		}
		require.NoError(t, os.WriteFile(other, whole, 0o600))
		_, err = state.ReadChecked(other)
		require.ErrorIs(t, err, state.ErrFormat, "the file of another name")
	}
}

func TestADamagedIDIsSetAsideAndReadFromTheDatabase(t *testing.T) {
	t.Parallel()
	o := state.Frozen(options(t, t.TempDir()))
	s := mustOpen(t, o)
	id, path := s.ID(), filepath.Join(s.Folder(), state.IDFile)
	s.Abandon()
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for what, damaged := range some(damages(whole)) {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		require.True(t, state.HasStore(o.Dir, id), what)
		require.False(t, state.HasStore(o.Dir, "0000000000000001"), what)
		w := &warnings{}
		o.Log = w.log
		s := mustOpen(t, o)
		require.Equal(t, id, s.ID(), what)
		require.Contains(t, w.text(), `the file "id" is damaged`, what)
		s.Abandon()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(whole), string(text), what)
		require.Equal(t, damaged, onlyAside(t, path), what)
	}
}

// onlyAside returns the contents of the only file that was set aside under a name, and deletes it.
func onlyAside(t *testing.T, path string) []byte {
	t.Helper()
	aside, err := filepath.Glob(path + ".damaged-*")
	require.NoError(t, err)
	require.Len(t, aside, 1)
	text, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	require.NoError(t, os.Remove(aside[0]))
	return text
}

func TestAnIDWithoutAChecksumIsKept(t *testing.T) {
	t.Parallel()
	for _, database := range []bool{false, true} {
		w := &warnings{}
		o := options(t, t.TempDir())
		o.Log = w.log
		s := mustOpen(t, o)
		path, id := filepath.Join(s.Folder(), state.IDFile), s.ID()
		s.Abandon()
		if !database { // an older version did not write the id to it
			require.NoError(t, os.Remove(filepath.Join(s.Folder(), state.FinalsFile)))
		}
		require.NoError(t, os.WriteFile(path, []byte(id+"\n"), 0o600))
		s = mustOpen(t, o)
		require.Equal(t, id, s.ID())
		s.Abandon()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(text), "crc32c "))
		require.Empty(t, w.text())
	}
}

func TestAStoreWithADamagedIDThatTheDatabaseLacksHasANewOneAndAWarning(t *testing.T) {
	t.Parallel()
	w := &warnings{}
	o := options(t, t.TempDir())
	o.Log = w.log
	s, m, handle := withBucket(t, o, "m")
	s.Rows(handle, 1, []string{"a"}, []float64{1}, nil)
	m.add(handle, []string{"a"}, []float64{1}, nil)
	require.NoError(t, s.Close())
	path := filepath.Join(s.Folder(), state.IDFile)
	require.NoError(t, os.Remove(filepath.Join(s.Folder(), state.FinalsFile)))
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	require.True(t, state.HasStore(o.Dir, s.ID()), "it is not known")
	next, after := replayed(t, o)
	require.NotEqual(t, s.ID(), next.ID())
	require.Contains(t, w.text(), "may count twice")
	require.Equal(t, m.snapshot(), after.snapshot())
	require.Equal(t, "damaged", string(onlyAside(t, path)))
}

// A damaged database is replaced, and the new one has the id too.
func TestTheIDStaysThoughTheDatabaseAndThenTheFileAreDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, _ := writeFinals(t, dir, 60)
	s := mustOpen(t, options(t, dir))
	id := s.ID()
	s.Abandon()
	path := filepath.Join(folder, state.FinalsFile)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[4096+16+20] ^= 1 // in the second header
	require.NoError(t, os.WriteFile(path, b, 0o600))
	mustOpen(t, options(t, dir)).Abandon()
	require.NotEmpty(t, onlyAside(t, path))
	require.NoError(t, os.WriteFile(filepath.Join(folder, state.IDFile), nil, 0o600))
	require.Equal(t, id, mustOpen(t, options(t, dir)).ID())
}

// The process is killed in the middle of a join, and the file with the heir is damaged. Each bucket is in one store, once.
func TestADamagedHeirIsSetAsideAndReadFromTheLogOfTheStoreThatJoins(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	const n = 3
	orphan := orphaned(t, o, c, n)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	h.Abandon()
	h.from.Abandon()
	path := filepath.Join(orphan.Path, state.HeirFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for what, damaged := range some(damages(whole)) {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		_, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
		require.ErrorContains(t, err, path, "it became damaged after the last start")
		w := &warnings{}
		o.Log = w.log
		h, err := join(t, o, orphan)
		require.NoError(t, err, what)
		require.Len(t, h.got, n)
		for series, times := range h.got {
			require.Equal(t, 1, times, "%s: %s", series, what)
		}
		require.Contains(t, w.text(), `the file "heir" is damaged`, what)
		h.Abandon()
		h.from.Abandon()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(whole), string(text), what)
		require.Equal(t, damaged, onlyAside(t, path), what)
	}
	h, err = join(t, o, orphan)
	require.NoError(t, err)
	require.NoError(t, h.from.Retire())
}

// The options of the orphan are used again, so its folder has another name. Then the store that joins it is an orphan too.
func TestADamagedHeirOfAnOrphanWithAnotherNameIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 3)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	heir := h.Folder()
	h.Abandon()
	h.from.Abandon()
	reused := o
	reused.Identity = orphan.Identity
	mustOpen(t, reused).Abandon()
	heirs, err := filepath.Glob(filepath.Join(o.Dir, "*", state.HeirFile))
	require.NoError(t, err)
	require.Len(t, heirs, 1)
	require.NoError(t, os.WriteFile(heirs[0], []byte("damaged"), 0o600))
	mustOpen(t, reused).Abandon()
	orphans, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range orphans {
		got[f.Path] = f.Heir
	}
	require.Equal(t, heir, got[filepath.Dir(heirs[0])])
}

// Nothing of the orphan is in another store, so it keeps its buckets.
func TestADamagedHeirIsSetAsideIfNoStoreHasJoined(t *testing.T) {
	t.Parallel()
	for _, earlier := range []bool{false, true} { // whether the store has joined an earlier orphan in the same folder
		o, c := clocked(t, time.Hour)
		if earlier {
			h, err := join(t, o, orphaned(t, o, c, 2))
			require.NoError(t, err)
			require.NoError(t, h.from.Retire())
			h.Abandon()
			c.advance(time.Second)
		}
		orphan := orphaned(t, o, c, 3)
		path := filepath.Join(orphan.Path, state.HeirFile)
		require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
		w := &warnings{}
		o.Log = w.log
		h, err := join(t, o, orphan)
		require.NoError(t, err)
		require.Equal(t, 3, h.Joined(h.from))
		require.Len(t, h.got, 3)
		require.Contains(t, w.text(), "they stay here")
		require.Equal(t, "damaged", string(onlyAside(t, path)))
	}
}

func TestAnHeirWithoutAChecksumIsRead(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 3)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	h.Abandon()
	h.from.Abandon()
	path := filepath.Join(orphan.Path, state.HeirFile)
	text, err := state.ReadChecked(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	w := &warnings{}
	o.Log = w.log
	h, err = join(t, o, orphan)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"open00000": 1, "open00001": 1, "open00002": 1}, h.got)
	require.NotContains(t, w.text(), "damaged")
	h.Abandon()
}

func TestDamagedSmallFilesAreSetAsideAndTheStoreGoesOn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{state.IdentityFile, state.OwnerFile, state.BornFile} {
		w := &warnings{}
		o := options(t, t.TempDir())
		o.Log, o.Owner = w.log, "me"
		s, m, handle := withBucket(t, o, "m")
		s.Rows(handle, 1, []string{"a"}, []float64{1}, nil)
		m.add(handle, []string{"a"}, []float64{1}, nil)
		require.NoError(t, s.Close())
		path := filepath.Join(s.Folder(), name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		damaged := bytes.Clone(whole)
		damaged[len(damaged)-2] ^= 1
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		next, after := replayed(t, o)
		require.Equal(t, m.snapshot(), after.snapshot())
		require.Contains(t, w.text(), fmt.Sprintf("the file %q is damaged", name))
		require.Equal(t, damaged, onlyAside(t, path))
		next.Abandon()
		w.all = nil
		mustOpen(t, o).Abandon()
		require.Empty(t, w.text())
		if name != state.BornFile {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(whole), string(text))
		}
	}
}

func TestSmallFilesWithoutAChecksumAreRead(t *testing.T) {
	t.Parallel()
	w := &warnings{}
	o := options(t, t.TempDir())
	o.Log, o.Owner = w.log, "0123456789abcdef0123456789abcdef"
	s := mustOpen(t, o)
	s.Abandon()
	whole := map[string]string{}
	for _, name := range []string{state.IdentityFile, state.OwnerFile, state.BornFile, state.IDFile} {
		path := filepath.Join(s.Folder(), name)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		whole[path] = string(b)
		text, err := state.ReadChecked(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	next := mustOpen(t, o)
	require.Equal(t, []any{s.ID(), s.Born()}, []any{next.ID(), next.Born()})
	require.Empty(t, w.text())
	for path, text := range whole {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(b), path)
	}
}

// The names of rows and the bounds of buckets depend on the options, so buckets with other options than theirs would be wrong.
func TestAnOrphanWithDamagedOptionsIsReportedAndWaits(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	other := relative(t, o, "buckets", "other")
	finalOf(t, other, c, 0, 0, map[string]int{"a": 5})
	require.NoError(t, other.Close())
	path := filepath.Join(other.Folder(), state.IdentityFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for what, damaged := range some(damages(whole)) {
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		orphans, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
		require.ErrorContains(t, err, path, what)
		require.Empty(t, orphans)
	}
	c.advance(time.Second)
	s := mustOpen(t, o)
	require.ErrorContains(t, s.Relate(nil, nil), path)
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "r0 a5", latest(t, s, 0))
}
