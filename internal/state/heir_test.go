package state_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// joined makes an orphan with 3 open buckets that the store of o has joined before it was killed. It returns the orphan and the folder of
// that store.
func joined(t *testing.T, o state.Options, c *clock) (orphan state.Folder, heir string) {
	t.Helper()
	orphan = orphaned(t, o, c, 3)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	h.Abandon()
	h.from.Abandon()
	return orphan, h.Folder()
}

// damageHeir damages the file with the heir of an orphan, and returns its path.
func damageHeir(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, state.HeirFile)
	require.FileExists(t, path)
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	return path
}

// heirs returns the heirs of the orphans.
func heirs(t *testing.T, o state.Options, c *clock) map[string]string {
	t.Helper()
	orphans, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range orphans {
		got[f.Path] = f.Heir
	}
	return got
}

// Three generations: a second store was joining the first one, and a third one the second one. Each part of the files is damaged.
func TestDamagedHeirsOfSeveralGenerationsAreReadFromTheLogs(t *testing.T) {
	t.Parallel()
	for damaged := range 4 {
		for names := range 8 { // the order of the folders depends on their names
			o, c := clocked(t, time.Hour)
			o.Identity = map[string]string{"second": string(rune('a' + names))}
			first, second := joined(t, o, c)
			third := o
			third.Identity = map[string]string{"third": string(rune('a' + names))}
			for _, folder := range []string{second, first.Path} {
				h, err := join(t, third, state.Folder{Path: folder})
				require.NoError(t, err)
				h.Abandon()
				h.from.Abandon()
			}
			want := heirs(t, o, c)
			require.Equal(t, second, want[first.Path])
			require.NotEmpty(t, want[second])
			for i, folder := range []string{first.Path, second} {
				if damaged>>i&1 == 1 {
					damageHeir(t, folder)
				}
			}
			s := mustOpen(t, third)
			s.Abandon()
			require.Equal(t, want, heirs(t, o, c))
		}
	}
}

func TestStoresThatStartAtTheSameTimeMendTheSameHeir(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		for range 20 {
			o, c := clocked(t, time.Hour)
			var folder string
			if begun {
				orphan, _ := joined(t, o, c)
				folder = orphan.Path
			} else {
				folder = orphaned(t, o, c, 3).Path
				require.NoError(t, os.WriteFile(filepath.Join(folder, state.HeirFile), nil, 0o600))
			}
			damageHeir(t, folder)
			var all sync.WaitGroup
			errs := make([]error, 4)
			for i := range errs {
				all.Go(func() {
					o := o
					o.Identity = map[string]string{"name": string(rune('a' + i))}
					s, err := state.Open(o)
					if errs[i] = err; err == nil {
						s.Abandon()
					}
				})
			}
			all.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			_, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
			require.NoError(t, err)
			require.Equal(t, "damaged", string(onlyAside(t, filepath.Join(folder, state.HeirFile))))
		}
	}
}

func TestADamagedHeirOfAnOpenOrphanIsLeftToItsProcess(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 3)
	h, err := join(t, o, orphan)
	require.NoError(t, err)
	path := damageHeir(t, orphan.Path)
	other := o
	other.Identity = map[string]string{"bucket": "other"}
	mustOpen(t, other)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "damaged", string(text))
	other.Identity = orphan.Identity
	_, err = state.Open(other)
	require.ErrorIs(t, err, state.ErrLocked)
	require.NoError(t, h.from.Retire())
}

// As if the folder of the first one could not be renamed, or another Telegraf could still use it.
func TestAnHeirIsNotRetiredBeforeTheStoreThatItJoins(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	first, second := joined(t, o, c)
	third := o
	third.Identity = map[string]string{"third": "store"}
	h, err := join(t, third, state.Folder{Path: second})
	require.NoError(t, err)
	require.ErrorContains(t, h.from.Retire(), first.Path)
	h.Abandon()
	require.Equal(t, second, heirs(t, o, c)[first.Path])

	h, err = join(t, third, state.Folder{Path: second})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"open00000": 1, "open00001": 1, "open00002": 1}, h.got)
	from, err := state.OpenFolder(first.Path, o)
	require.NoError(t, err)
	require.NoError(t, from.Retire())
	require.NoError(t, h.from.Retire())
}

func TestAnHeirIsNoOrphanWhileTheOptionsOfTheOtherOneAreDamaged(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan, heir := joined(t, o, c)
	path := filepath.Join(orphan.Path, state.IdentityFile)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	orphans, _, err := state.Orphans(o.Dir, "me", unrelated, c.now())
	require.ErrorContains(t, err, path)
	require.Empty(t, orphans)
	state.WriteIdentity(t, orphan.Path, orphan.Identity)
	require.Equal(t, map[string]string{orphan.Path: heir, heir: ""}, heirs(t, o, c))
}

// The process was killed while the heir was getting another name, so the file of the orphan has the former one.
func TestAnOrphanWhoseHeirHasANewNameIsNotContinued(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan, heir := joined(t, o, c)
	next := o
	next.Identity = map[string]string{"bucket": "other"}
	s := mustOpen(t, next)
	s.Abandon()
	require.NoError(t, os.RemoveAll(s.Folder()))
	state.WriteIdentity(t, heir, next.Identity)
	require.NoError(t, os.Rename(heir, s.Folder()))
	o.Identity = orphan.Identity
	reused := mustOpen(t, o)
	require.True(t, reused.Empty(), "the open buckets are in the heir")
	for folder, of := range heirs(t, o, c) {
		if folder != s.Folder() {
			require.Equal(t, s.Folder(), of)
		}
	}
}

// The clock was set back between two orphans in one folder, so the age of the first one is above that of the second one.
func TestADamagedHeirIsThatOfTheOrphanThatWasJoinedLast(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	h, err := join(t, o, orphaned(t, o, c, 1))
	require.NoError(t, err)
	require.NoError(t, h.from.Retire())
	h.Abandon()
	c.advance(-24 * time.Hour)
	orphan, _ := joined(t, o, c)
	path := filepath.Join(orphan.Path, state.HeirFile)
	want, err := state.ReadChecked(path)
	require.NoError(t, err)
	damageHeir(t, orphan.Path)
	mustOpen(t, o)
	got, err := state.ReadChecked(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
