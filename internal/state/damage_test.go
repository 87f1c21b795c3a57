package state_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// warnings collects what a store logs.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

func (w *warnings) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, "\n")
}

// logged is a small store with its log, and what it had after each commit.
type logged struct {
	folder string
	path   string // of the file of the log
	sizes  []int64
	after  []map[uint64]string
}

// writeLog makes a store with four commits, in which bucket k has the values 100·k+c of commit c.
func writeLog(t *testing.T, dir string) logged {
	s := mustOpen(t, state.Frozen(options(t, dir)))
	m := newModel(s)
	l := logged{folder: s.Folder()}
	for k := range 3 {
		b := bucketOf(fmt.Sprint("m,host=", k), 0)
		require.NoError(t, m.Open(s.OpenBucket(b), b))
	}
	for c := range 4 {
		for handle := range m.open {
			rows := []float64{float64(handle*100) + float64(c)}
			s.Rows(handle, 1, []string{"a"}, rows, nil)
			m.add(handle, []string{"a"}, rows, nil)
		}
		require.NoError(t, s.Commit())
		logs, err := filepath.Glob(filepath.Join(l.folder, "log-*"))
		require.NoError(t, err)
		l.path = logs[0]
		l.sizes = append(l.sizes, logSize(t, l.folder))
		l.after = append(l.after, m.snapshot())
	}
	s.Abandon()
	return l
}

// copy copies the store to a new folder of stores, and returns that and the file of the log.
func (l logged) copy(t *testing.T) (dir, path string) {
	dir = t.TempDir()
	copyFolder(t, l.folder, filepath.Join(dir, filepath.Base(l.folder)))
	return dir, filepath.Join(dir, filepath.Base(l.folder), filepath.Base(l.path))
}

// reopen opens the store in dir and replays it.
func reopen(t *testing.T, dir string) (*state.Store, *model, *warnings) {
	w := &warnings{}
	o := state.Frozen(options(t, dir))
	o.Log = w.log
	s, m := replayed(t, o)
	return s, m, w
}

// everyNth is how many offsets a test of damage passes over.
func everyNth() int {
	if testing.Short() {
		return 41
	}
	return 3
}

func TestALogThatIsCutAnywhereHasTheCommitsBeforeTheCut(t *testing.T) {
	t.Parallel()
	l := writeLog(t, t.TempDir())
	whole, err := os.ReadFile(l.path)
	require.NoError(t, err)
	dir, path := l.copy(t)
	for size := 0; size < len(whole); size += everyNth() {
		require.NoError(t, os.WriteFile(path, whole[:size], 0o600))
		want := map[uint64]string{}
		for c := range l.sizes {
			if l.sizes[c] <= int64(size) {
				want = l.after[c]
			}
		}
		s, m, _ := reopen(t, dir)
		require.Equal(t, want, m.snapshot(), "%d of %d bytes", size, len(whole))
		require.Zero(t, s.Stats().LostCommits)
		s.Abandon()
	}
}

func TestAFlippedBitInTheLogCostsOneCommitAndIsReported(t *testing.T) {
	t.Parallel()
	l := writeLog(t, t.TempDir())
	whole, err := os.ReadFile(l.path)
	require.NoError(t, err)
	dir, path := l.copy(t)
	for at := 0; at < len(whole); at += everyNth() {
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(path, flipped, 0o600))
		s, m, w := reopen(t, dir)
		commit := 0
		for commit < len(l.sizes)-1 && l.sizes[commit] <= int64(at) {
			commit++
		}
		st := s.Stats()
		switch {
		case at < 8: // the header of the file
			require.Equal(t, l.after[3], m.snapshot())
		case commit == 3:
			require.Equal(t, l.after[2], m.snapshot(), "bit of byte %d", at)
			require.Positive(t, st.TornBytes)
		case commit == 0:
			// The log begins with the second commit, which has the names again.
			require.Empty(t, wrongValues(m, 0))
		default:
			require.Equal(t, int64(1), st.LostCommits)
			require.Empty(t, wrongValues(m, commit))
		}
		if commit < 3 {
			require.Contains(t, w.text(), "damaged")
		}
		s.Abandon()
	}
}

// wrongValues returns the buckets that have not exactly the values of the commits of writeLog without the lost one.
func wrongValues(m *model, lost int) (wrong []string) {
	for handle, b := range m.open {
		var want stats.Summary
		for c := range 4 {
			if c != lost {
				want.Add(float64(handle*100) + float64(c))
			}
		}
		full := *b
		full.Fields, full.Summaries = []string{"a"}, []stats.Summary{want}
		if got := text(*b); got != text(full) {
			wrong = append(wrong, got)
		}
	}
	if len(m.open) != 3 {
		wrong = append(wrong, fmt.Sprintf("%d buckets", len(m.open)))
	}
	return wrong
}

// writeFinals makes a store with many final buckets, all of them in its database, and returns them.
func writeFinals(t testing.TB, dir string, series int) (folder string, want map[id]string) {
	o, c := options(t, dir), newClock()
	o.Now = c.now
	s := mustOpen(t, o)
	want = map[id]string{}
	for k := range series {
		if k%(series/5+1) == 0 {
			c.advance(24 * time.Hour) // to another slot
		}
		b := bucketOf(fmt.Sprint("m,host=", k), int64(k%7)*hour)
		h := s.OpenBucket(b)
		b.Fields, b.Summaries = []string{"a", "b"}, make([]stats.Summary, 2)
		for i := range 20 {
			b.Summaries[i%2].Add(float64(k) + float64(i)/7)
		}
		s.Final(h, b)
		want[id{b.Series, b.Start}] = text(b)
	}
	require.NoError(t, s.Close())
	return s.Folder(), want
}

// checkFinals opens a store whose database is damaged. A final bucket must be right or reported as lost.
func checkFinals(t *testing.T, dir, what string, want map[id]string) (missing int) {
	t.Helper()
	w := &warnings{}
	o := options(t, dir)
	o.Log = w.log
	s, err := state.Open(o)
	require.NoError(t, err, what)
	defer s.Abandon()
	for k, full := range want {
		b, ok, err := s.Find(k.series, k.start)
		if err != nil || !ok {
			missing++
			continue
		}
		if got := text(b); got != full {
			require.Equal(t, full, got, what)
		}
	}
	if missing > 0 {
		require.NotEmpty(t, w.text(), what)
	}
	aside, err := filepath.Glob(filepath.Join(s.Folder(), state.FinalsFile+".damaged-*"))
	require.NoError(t, err)
	require.Equal(t, strings.Contains(w.text(), "renamed"), len(aside) == 1, what)
	return missing
}

func TestADamagedDatabaseIsSetAsideAndWhatCanBeReadIsKept(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder, want := writeFinals(t, filepath.Join(root, "whole"), 400)
	whole, err := os.ReadFile(filepath.Join(folder, state.FinalsFile))
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 9)) // of 60 seeds, the one whose first ten runs execute the most statements
	runs := 120
	if testing.Short() {
		runs = 10
	}
	for n := range runs {
		damaged := append([]byte(nil), whole...)
		var what string
		switch n % 10 {
		case 0:
			damaged = damaged[:r.IntN(len(damaged))]
			what = fmt.Sprintf("cut to %d bytes", len(damaged))
		case 1:
			page := r.IntN(len(damaged) / 4096)
			other := r.IntN(len(damaged) / 4096)
			copy(damaged[page*4096:(page+1)*4096], whole[other*4096:])
			what = fmt.Sprintf("page %d is a copy of page %d", page, other)
		case 2:
			page := r.IntN(len(damaged) / 4096)
			clear(damaged[page*4096 : (page+1)*4096])
			what = fmt.Sprintf("page %d is empty", page)
		default:
			at := r.IntN(len(damaged))
			if n%2 == 0 {
				at = r.IntN(len(damaged)/4096)*4096 + r.IntN(64) // where headers are
			}
			damaged[at] ^= 1 << r.IntN(8)
			what = fmt.Sprintf("a bit of byte %d", at)
		}
		dir := filepath.Join(root, strconv.Itoa(n))
		to := filepath.Join(dir, filepath.Base(folder))
		copyFolder(t, folder, to)
		require.NoError(t, os.WriteFile(filepath.Join(to, state.FinalsFile), damaged, 0o600))
		missing := checkFinals(t, dir, what, want)
		if strings.HasPrefix(what, "a bit") {
			require.Less(t, missing, len(want), what)
		}
		require.NoError(t, os.RemoveAll(dir))
	}
}

// Both headers are intact, and so are all pages that are in use, but the end of the file is missing. bbolt would use pages beyond it.
func TestADatabaseWhoseFileLacksItsEndIsSetAsideWithoutALoss(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, want := writeFinals(t, dir, 10)
	path := filepath.Join(folder, state.FinalsFile)
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	first := file[16:] // behind the header of the page
	size := binary.NativeEndian.Uint32(first[8:])
	for _, header := range [][]byte{first, file[size+16:]} {
		binary.NativeEndian.PutUint64(header[40:], uint64(len(file))/uint64(size)+1) // above the number of each page
		sum := fnv.New64a()
		_, _ = sum.Write(header[:56])
		binary.NativeEndian.PutUint64(header[56:], sum.Sum64())
	}
	require.NoError(t, os.WriteFile(path, file, 0o600))
	require.Zero(t, checkFinals(t, dir, "one page less", want))
	aside, err := filepath.Glob(path + ".damaged-*")
	require.NoError(t, err)
	require.Len(t, aside, 1)
}

func TestForeignFilesAreSetAsideAndTheStoreStartsEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, _ := writeFinals(t, dir, 10)
	foreign := []byte(strings.Repeat("# this is a text file\n", 1000))
	names := []string{state.FinalsFile, "log-0000000000000001", "log-0000000000000099", "options"}
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), foreign, 0o600))
	}
	s, m, w := reopen(t, dir)
	require.Empty(t, m.open)
	for _, name := range names {
		aside, err := filepath.Glob(filepath.Join(folder, name+".damaged-*"))
		require.NoError(t, err)
		require.Len(t, aside, 1, name)
		kept, err := os.ReadFile(aside[0])
		require.NoError(t, err)
		require.Equal(t, foreign, kept)
		require.Contains(t, w.text(), name)
	}
	b := bucketOf("m", 0)
	h := s.OpenBucket(b)
	s.Rows(h, 1, []string{"a"}, []float64{1}, nil)
	require.NoError(t, s.Commit())
	s.Abandon()
	_, m, _ = reopen(t, dir)
	require.Len(t, m.open, 1)
}

func FuzzLogIsDecodedWithoutAPanic(f *testing.F) {
	dir := f.TempDir()
	s := mustOpen(f, state.Frozen(options(f, dir)))
	b := bucketOf("m", 0)
	b.Fields, b.Summaries = []string{"a"}, make([]stats.Summary, 1)
	b.Summaries[0].Add(1)
	h := s.OpenBucket(b)
	s.Rows(h, 1, []string{"a", "b"}, []float64{1, 2.5, 1, 2}, []int64{3, 4})
	s.Rows(h, 0, []string{"c"}, []float64{7}, nil)
	s.Demoted(h, "a")
	s.Final(h, b)
	require.NoError(f, s.Close())
	logs, err := filepath.Glob(filepath.Join(s.Folder(), "log-*"))
	require.NoError(f, err)
	whole, err := os.ReadFile(logs[0])
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[8+28:])
	f.Fuzz(func(t *testing.T, b []byte) {
		commits, records := state.DecodeLog(b)
		if commits > len(b)/56 || records > len(b) {
			t.Errorf("%d commits with %d records in %d bytes", commits, records, len(b))
		}
		state.DecodePayload(b)
		if spans, err := state.DecodeExpired([]byte("0123456789abcdef"), b); err == nil {
			require.LessOrEqual(t, spans, len(b))
		}
		if got, err := state.DecodeFinal([]byte("12345678m"), b); err == nil {
			t.Errorf("a bucket without the checksum of its key: %+v", got)
		}
	})
}

// The bytes have a right checksum, as those of another version of this program could have.
func FuzzARecordOfExpiredBucketsKeepsItsBuckets(f *testing.F) {
	for _, record := range []string{"0e020080c0e285e36880c0e285e3688080c58bc6d101", "0e020080c0e285e36880c0e285e3688080c58bc6d10103023043d0c1c4b080d2"} {
		b, err := hex.DecodeString(record)
		require.NoError(f, err)
		f.Add(b, hour, 2*hour)
	}
	f.Add([]byte{2, 1, 10, 20, 0, 2, 1, 0, 0, 0, 2, 0, 0, 0, 0, 2, 1, 12, 2, 2}, int64(5), int64(7))
	f.Add([]byte{2, 1, 10, 20, 0, 2, 2, 0, 0, 0, 1, 0, 0, 0}, int64(100), int64(101)) // fields that descend
	f.Fuzz(func(t *testing.T, body []byte, start, end int64) {
		if end <= start {
			return
		}
		ok, has, lost := state.ContinueExpired(body, start, end)
		if ok && (!has || lost) {
			t.Errorf("has the new bucket: %v, lost an older one: %v", has, lost)
		}
	})
}

func FuzzDamagedDatabase(f *testing.F) {
	folder, want := writeFinals(f, f.TempDir(), 60)
	whole, err := os.ReadFile(filepath.Join(folder, state.FinalsFile))
	require.NoError(f, err)
	f.Add(uint32(0), uint64(1), uint32(4096*3+8), uint64(0xff))
	f.Add(uint32(4096+16+20), uint64(1<<40), uint32(4096*5), uint64(7))
	f.Fuzz(func(t *testing.T, at uint32, x uint64, at2 uint32, x2 uint64) {
		damaged := append([]byte(nil), whole...)
		for i := range 8 {
			damaged[(int(at)+i)%len(damaged)] ^= byte(x >> (8 * i))
			damaged[(int(at2)+i)%len(damaged)] ^= byte(x2 >> (8 * i))
		}
		dir := t.TempDir()
		to := filepath.Join(dir, filepath.Base(folder))
		copyFolder(t, folder, to)
		require.NoError(t, os.WriteFile(filepath.Join(to, state.FinalsFile), damaged, 0o600))
		checkFinals(t, dir, fmt.Sprint(at, x, at2, x2), want)
	})
}
