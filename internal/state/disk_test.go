package state_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// disk is a disk that can be full or fail.
type disk struct {
	room    atomic.Int64 // bytes, or less than 0 for no limit
	noSync  atomic.Bool
	noCut   atomic.Bool
	written atomic.Int64
}

// diskFile is a file on a disk.
type diskFile struct {
	state.LogFile
	d *disk
}

func (d *disk) open(path string) (state.LogFile, error) {
	if d.room.Load() == 0 {
		return nil, syscall.ENOSPC
	}
	f, err := state.OpenLogFile(path)
	return diskFile{f, d}, err
}

func (f diskFile) Write(b []byte) (int, error) {
	room := f.d.room.Load()
	if room < 0 || int64(len(b)) <= room {
		f.d.written.Add(int64(len(b)))
		if room > 0 {
			f.d.room.Add(-int64(len(b)))
		}
		return f.LogFile.Write(b)
	}
	n, err := f.LogFile.Write(b[:room])
	f.d.room.Store(0)
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f diskFile) Sync() error {
	if f.d.noSync.Load() {
		return syscall.EIO
	}
	return f.LogFile.Sync()
}

func (f diskFile) Truncate(size int64) error {
	if f.d.noCut.Load() {
		return syscall.EIO
	}
	return f.LogFile.Truncate(size)
}

// onDisk opens a store whose log is on that disk, with one open bucket for each series.
func onDisk(t *testing.T, d *disk, o state.Options, series int) (*state.Store, *model) {
	d.room.Store(-1)
	s := mustOpen(t, state.WithFiles(o, d.open))
	m := newModel(s)
	for k := range series {
		b := bucketOf(fmt.Sprint("m,host=", k), 0)
		require.NoError(t, m.Open(s.OpenBucket(b), b))
	}
	return s, m
}

// addRows adds a row to each open bucket.
func addRows(m *model, v float64) {
	for handle := range m.open {
		rows := []float64{v, v / 3}
		m.store.Rows(handle, 1, []string{"a", "b"}, rows, nil)
		m.add(handle, []string{"a", "b"}, rows, nil)
	}
}

func TestAFullDiskThatGetsRoomAgainLosesNothing(t *testing.T) {
	t.Parallel()
	for room := int64(0); room < 300; room += 7 {
		o := state.Frozen(options(t, t.TempDir()))
		d := &disk{}
		d.noCut.Store(room%3 == 0)
		s, m := onDisk(t, d, o, 3)
		addRows(m, 1)
		require.NoError(t, s.Commit())
		saved := m.snapshot()
		d.room.Store(room)
		for i := range 3 {
			addRows(m, float64(i))
			if err := s.Commit(); err != nil {
				require.ErrorIs(t, err, syscall.ENOSPC)
			} else {
				saved = m.snapshot()
			}
		}
		require.ErrorIs(t, s.Commit(), syscall.ENOSPC, "the queue is tried again")
		require.Positive(t, s.Stats().Errors)
		if room%2 == 0 { // a crash while the disk is full
			s.Abandon()
			s = mustOpen(t, o)
			again := newModel(s)
			require.NoError(t, s.Replay(again))
			require.Equal(t, saved, again.snapshot())
			continue
		}
		d.room.Store(-1)
		require.NoError(t, s.Commit())
		addRows(m, 9)
		require.NoError(t, s.Commit())
		s.Abandon()
		s = mustOpen(t, o)
		again := newModel(s)
		require.NoError(t, s.Replay(again))
		require.Equal(t, m.snapshot(), again.snapshot())
		require.Zero(t, s.Stats().LostCommits)
		s.Abandon()
	}
}

func TestACommitWhoseSyncFailedIsWrittenAgainToAnotherFile(t *testing.T) {
	t.Parallel()
	o := state.Frozen(options(t, t.TempDir()))
	d := &disk{}
	s, m := onDisk(t, d, o, 2)
	addRows(m, 1)
	require.NoError(t, s.Commit())
	d.noSync.Store(true)
	addRows(m, 2)
	require.ErrorIs(t, s.Commit(), syscall.EIO)
	before := d.written.Load()
	d.noSync.Store(false)
	require.NoError(t, s.Commit())
	require.Greater(t, d.written.Load(), before)
	s.Abandon()
	logs, err := filepath.Glob(filepath.Join(s.Folder(), "log-*"))
	require.NoError(t, err)
	require.Len(t, logs, 2)
	_, again, _ := reopen(t, o.Dir)
	require.Equal(t, m.snapshot(), again.snapshot())
}

func TestBucketsAreSavedWholeAfterMoreThanMaxPendingCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	o.MaxPending = 20_000
	d := &disk{}
	s, m := onDisk(t, d, o, 4)
	addRows(m, 1)
	require.NoError(t, s.Commit())
	d.room.Store(0)
	for i := range 400 {
		addRows(m, float64(i))
		require.Error(t, s.Commit())
		require.LessOrEqual(t, s.Stats().PendingBytes, int64(2*o.MaxPending))
	}
	require.Positive(t, s.Stats().Unlogged)
	for handle := range m.open {
		require.False(t, s.Old(handle), "there is no room")
	}
	// A bucket becomes final, and another opens and becomes final, while there is no room.
	var last uint64
	for handle := range m.open {
		last = max(last, handle)
	}
	want := map[id]string{}
	final, _ := m.Final(last)
	s.Final(last, final)
	want[id{final.Series, final.Start}] = text(final)
	b := bucketOf("new", 0)
	h := s.OpenBucket(b)
	require.NoError(t, m.Open(h, b))
	m.add(h, []string{"a"}, []float64{5}, nil)
	s.Rows(h, 2, []string{"a"}, []float64{5}, nil)
	final, _ = m.Final(h)
	s.Final(h, final)
	want[id{final.Series, final.Start}] = text(final)

	d.room.Store(-1)
	require.NoError(t, s.Commit())
	for handle, b := range m.open {
		require.True(t, s.Old(handle))
		s.Snapshot(handle, *b)
		require.False(t, s.Old(handle))
	}
	addRows(m, 7)
	require.NoError(t, s.Commit())
	require.Eventually(t, func() bool { return s.Stats().Pending == 0 }, waitFor, tick)
	s.Abandon()

	s = mustOpen(t, o)
	again := newModel(s)
	require.NoError(t, s.Replay(again))
	require.Equal(t, m.snapshot(), again.snapshot())
	for k, full := range want {
		b, ok, err := s.Find(k.series, k.start)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, full, text(b))
	}
}
