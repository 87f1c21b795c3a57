package state_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// power is a machine whose power can fail while a file of the log is synced. Of what was written since the sync before, any
// part may be on the disk then, and the rest of the file may be missing or zero.
type power struct {
	t      *testing.T
	r      *rand.Rand
	synced map[string]int64 // sizes by path
	fails  func()           // called before the next sync; nil mostly
}

func (p *power) open(path string) (state.LogFile, error) {
	f, err := state.OpenLogFile(path)
	return powerFile{f, p, path}, err
}

// powerFile is a file on that machine.
type powerFile struct {
	state.LogFile
	p    *power
	path string
}

func (f powerFile) Sync() error {
	if fails := f.p.fails; fails != nil {
		f.p.fails = nil
		fails()
	}
	err := f.LogFile.Sync()
	info, statErr := os.Stat(f.path)
	require.NoError(f.p.t, statErr)
	f.p.synced[f.path] = info.Size()
	return err
}

// lose makes of a copied folder what is left after the failure.
func (p *power) lose(folder, copied string) {
	logs, err := filepath.Glob(filepath.Join(folder, "log-*"))
	require.NoError(p.t, err)
	for _, path := range logs {
		lost := filepath.Join(copied, filepath.Base(path))
		b, err := os.ReadFile(lost)
		require.NoError(p.t, err)
		kept := int(p.synced[path])
		for at := kept; at < len(b); at += 512 { // some sectors were written
			if p.r.IntN(2) == 0 {
				clear(b[at:min(at+512, len(b))])
			}
		}
		if p.r.IntN(2) == 0 {
			b = b[:kept+p.r.IntN(len(b)-kept+1)]
		}
		require.NoError(p.t, os.WriteFile(lost, b, 0o600))
	}
}

// settle makes everything in a folder durable.
func (p *power) settle(folder string) {
	logs, err := filepath.Glob(filepath.Join(folder, "log-*"))
	require.NoError(p.t, err)
	for _, path := range logs {
		info, err := os.Stat(path)
		require.NoError(p.t, err)
		p.synced[path] = info.Size()
	}
}

func TestAPowerFailureDuringACommitCostsAtMostThatCommit(t *testing.T) {
	t.Parallel()
	seeds := uint64(10)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 4))
			p := &power{t: t, r: r, synced: make(map[string]int64)}
			w := &world{t: t, r: r, o: state.WithFiles(state.Frozen(options(t, "")), p.open), frozen: true}
			w.clock.Store(epoch.UnixNano())
			w.o.Now = w.now
			w.m = newModel(nil)
			root := t.TempDir()
			w.restart(filepath.Join(root, "0"), []condition{{map[uint64]string{}, map[id]string{}}})
			failures := 0
			for life := range 6 {
				for range 10 + r.IntN(60) {
					if w.step(); r.IntN(10) == 0 {
						w.commit()
					}
				}
				dir := filepath.Join(root, strconv.Itoa(life+1))
				from := w.m.store.Folder()
				to := filepath.Join(dir, filepath.Base(from))
				before, failed := w.committed[len(w.committed)-1], false
				p.fails = func() {
					failed = true
					failures++
					copyFolder(t, from, to)
					p.lose(from, to)
				}
				w.rows() // so that there is something to commit
				now := w.condition()
				require.NoError(t, w.m.store.Commit())
				if p.fails = nil; !failed {
					copyFolder(t, from, to)
				}
				w.m.store.Abandon()
				p.settle(to)
				w.restart(dir, []condition{before, now})
			}
			require.Positive(t, failures, "commits sync the log")
		})
	}
}
