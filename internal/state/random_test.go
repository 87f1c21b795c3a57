package state_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// world drives a store and a model of it with random operations.
type world struct {
	t     *testing.T
	r     *rand.Rand
	m     *model
	clock atomic.Int64 // wall time, nanoseconds
	o     state.Options
	// frozen is whether the store has no background writer, so that final buckets stay in the log.
	frozen bool
	// committed are the states after the last commits that succeeded, the newest last.
	committed []condition
	// lent are the summaries of final buckets, which the store keeps until the next commit.
	lent []stats.Summary
}

// condition is all that a store must have.
type condition struct {
	open  map[uint64]string
	final map[id]string
}

func (c condition) equal(o condition) bool {
	return maps.Equal(c.open, o.open) && maps.Equal(c.final, o.final)
}

func (w *world) now() time.Time { return time.Unix(0, w.clock.Load()) }

func (w *world) condition() condition {
	return condition{w.m.snapshot(), maps.Clone(w.m.final)}
}

var schemas = [][]string{nil, {"a"}, {"a", "b", "c"}, {"b"}, {"x", "a", "y", "z"}}

// step makes one random operation.
func (w *world) step() {
	w.clock.Add(w.r.Int64N(20) * int64(time.Second))
	switch n := w.r.IntN(20); {
	case n < 4:
		w.openSome()
	case n < 14:
		w.rows()
	case n < 15:
		w.demote()
	case n < 17:
		w.finish()
	default:
		w.roll()
	}
}

// pick returns a random open bucket.
func (w *world) pick() (handle uint64, b *state.Bucket) {
	k := w.r.IntN(max(1, len(w.m.open)))
	for handle, b := range w.m.open {
		if k--; k < 0 {
			return handle, b
		}
	}
	return 0, nil
}

func (w *world) openSome() {
	b := bucketOf(fmt.Sprintf("m,host=%d", w.r.IntN(6)), int64(w.r.IntN(4)-2)*hour)
	for _, o := range w.m.open {
		if o.Series == b.Series && o.Start == b.Start {
			return
		}
	}
	found, ok, err := w.m.store.Find(b.Series, b.Start)
	require.NoError(w.t, err)
	want, final := w.m.final[id{b.Series, b.Start}]
	require.Equal(w.t, final, ok)
	if ok {
		require.Equal(w.t, want, text(found))
		b = found
		b.Revision++
	}
	b.Touched = w.clock.Load()
	handle := w.m.store.OpenBucket(b)
	require.NoError(w.t, w.m.Open(handle, b))
}

func (w *world) rows() {
	handle, b := w.pick()
	if b == nil {
		return
	}
	schema := w.r.IntN(len(schemas))
	fields := schemas[schema]
	if schema == 0 {
		fields = []string{fmt.Sprint("inline", w.r.IntN(3))}
	}
	rows := make([]float64, len(fields)*(1+w.r.IntN(70)))
	for i := range rows {
		rows[i] = [...]func() float64{
			w.r.NormFloat64, func() float64 { return 7 }, func() float64 { return float64(w.r.IntN(50) - 10) },
		}[(i%len(fields)+schema)%3]()
	}
	var times []int64
	if w.r.IntN(3) == 0 {
		for range len(rows) / len(fields) {
			times = append(times, w.clock.Load()-w.r.Int64N(1e12))
		}
	}
	w.m.store.Rows(handle, uint64(schema), fields, rows, times)
	w.m.add(handle, fields, rows, times)
	b.Touched = w.clock.Load()
}

func (w *world) demote() {
	if handle, b := w.pick(); b != nil && len(b.Fields) > 0 {
		w.m.store.Demoted(handle, b.Fields[0])
		w.m.Demoted(handle, b.Fields[0])
	}
}

func (w *world) finish() {
	handle, b := w.pick()
	if b == nil {
		return
	}
	final, _ := w.m.Final(handle)
	w.m.store.Final(handle, final)
	w.lent = append(w.lent, b.Summaries...)
}

func (w *world) roll() {
	handle, b := w.pick()
	if b == nil {
		return
	}
	if w.m.store.Old(handle) || w.r.IntN(8) == 0 {
		w.m.store.Snapshot(handle, *b)
	}
}

func (w *world) commit() {
	require.NoError(w.t, w.m.store.Commit())
	w.committed = append(w.committed, w.condition())
	for i := range w.lent { // as the engine does with their memory
		w.lent[i].Reset()
		w.lent[i].Add(99)
	}
	w.lent = nil
}

// restart opens the store in dir and checks it: it must be what it was after the last commit, or what it is now.
func (w *world) restart(dir string, allowed []condition) {
	w.o.Dir = dir
	store, err := state.Open(w.o)
	require.NoError(w.t, err)
	w.t.Cleanup(store.Abandon)
	old := w.m
	w.m = newModel(store)
	require.NoError(w.t, store.Replay(w.m))
	w.m.final = w.finals(store, old)
	got := w.condition()
	for _, c := range allowed {
		if c.equal(got) {
			w.committed = []condition{got}
			return
		}
	}
	for i, c := range allowed {
		w.t.Errorf("not the allowed condition %d of %d: %s", i+1, len(allowed), difference(c, got))
	}
	w.t.FailNow()
}

// difference describes how a condition differs from the one that is wanted.
func difference(want, got condition) string {
	var s strings.Builder
	compare(&s, "open", want.open, got.open)
	compare(&s, "final", want.final, got.final)
	return s.String()
}

func compare[K comparable](s *strings.Builder, what string, want, got map[K]string) {
	for k, v := range want {
		if got[k] != v {
			fmt.Fprintf(s, "\n%s %v:\n  got  %.200q\n  want %.200q", what, k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			fmt.Fprintf(s, "\n%s %v: got %.200q, want none", what, k, v)
		}
	}
}

// finals returns the final buckets of the store.
func (w *world) finals(store *state.Store, old *model) map[id]string {
	all := map[id]string{}
	ask := func(k id) {
		b, ok, err := store.Find(k.series, k.start)
		require.NoError(w.t, err)
		if ok {
			all[k] = text(b)
		}
	}
	for k := range old.final {
		ask(k)
	}
	for _, b := range old.open {
		ask(id{b.Series, b.Start})
	}
	return all
}

func TestRandomRunsWithCrashesAreReplayedAsOfACommit(t *testing.T) {
	t.Parallel()
	runs := 20 // run every statement that 40 do
	if testing.Short() {
		runs = 3
	}
	for seed := range runs {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			root := t.TempDir()
			w := &world{t: t, r: r, o: options(t, "")}
			w.clock.Store(epoch.UnixNano())
			w.o.Now = w.now
			if w.frozen = seed%2 == 0; w.frozen {
				w.o = state.Frozen(w.o)
			}
			w.o = state.WithWindow(w.o, []int{0, 1, 300, 3000}[r.IntN(4)])
			w.m = newModel(nil)
			w.restart(filepath.Join(root, "0"), []condition{{map[uint64]string{}, map[id]string{}}})
			for life := range 8 {
				for range 10 + r.IntN(120) {
					if w.step(); r.IntN(10) == 0 {
						w.commit()
					}
				}
				w.endLife(filepath.Join(root, strconv.Itoa(life+1)))
			}
		})
	}
}

// endLife ends the run cleanly, or by a crash at a commit or in the middle of one, and continues in another folder.
func (w *world) endLife(dir string) {
	from := w.m.store.Folder()
	to := filepath.Join(dir, filepath.Base(from))
	now := w.condition()
	if w.r.IntN(3) == 0 {
		require.NoError(w.t, w.m.store.Close())
		copyFolder(w.t, from, to)
		w.restart(dir, []condition{now})
		require.True(w.t, w.m.store.Clean())
		return
	}
	before := w.committed[len(w.committed)-1:]
	size := logSize(w.t, from)
	// A log that is cut after the writer ran cannot result from a crash, because the writer stores only durable
	// buckets.
	crashedInCommit := w.frozen && w.r.IntN(2) == 0
	if crashedInCommit {
		require.NoError(w.t, w.m.store.Commit())
	}
	w.m.store.Abandon()
	copyFolder(w.t, from, to)
	if crashedInCommit {
		cut(w.t, to, w.r, logSize(w.t, from)-size)
		w.restart(dir, append(before, now))
	} else {
		w.restart(dir, before)
	}
}

func logSize(t *testing.T, folder string) (n int64) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(folder, "log-*"))
	require.NoError(t, err)
	for _, path := range logs {
		info, err := os.Stat(path)
		require.NoError(t, err)
		n += info.Size()
	}
	return n
}
