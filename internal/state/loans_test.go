package state_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// loanOf returns a loan of the field "a".
func loanOf(lender string) state.Loan {
	return state.Loan{Lender: lender, Handle: 7, Series: "m", Start: hour, Fields: []string{"a"}}
}

func TestTheIDOfAStoreStaysWhenItsFolderIsRenamed(t *testing.T) {
	t.Parallel()
	o, c := clocked(t, time.Hour)
	orphan := orphaned(t, o, c, 1)
	o.Identity = orphan.Identity
	s := mustOpen(t, o)
	id := s.ID()
	require.NotEmpty(t, id)
	require.NoError(t, s.Close())
	require.True(t, state.HasStore(o.Dir, id))
	o.Identity = map[string]string{"bucket": "1d"}
	s = mustOpen(t, o)
	require.NotEqual(t, id, s.ID())
	s, err := s.Continue(orphan)
	require.NoError(t, err)
	t.Cleanup(s.Abandon)
	require.Equal(t, id, s.ID())
	require.NoError(t, s.Retire())
	require.False(t, state.HasStore(o.Dir, id))
}

// A commit has all of a loan or nothing: its record, and the bucket with the fields.
func TestALoanIsThereIfAndOnlyIfTheBucketIs(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	s.OpenBucket(bucketOf("before", 0))
	require.NoError(t, s.Commit())
	number := s.Borrowed(loanOf("lender"))
	require.False(t, s.HasLoan(number))
	h := s.OpenBucket(bucketOf("m", hour))
	s.Rows(h, 0, []string{"a"}, []float64{1}, nil)
	require.NoError(t, s.Commit())
	require.True(t, s.HasLoan(number))
	require.Empty(t, s.Loans(), "it is of this run")
	s.Abandon()
	log, err := filepath.Glob(filepath.Join(s.Folder(), "log-*"))
	require.NoError(t, err)
	require.Len(t, log, 1)
	text, err := os.ReadFile(log[0])
	require.NoError(t, err)
	for length := range text {
		require.NoError(t, os.WriteFile(log[0], text[:length], 0o600))
		s := mustOpen(t, o)
		m := newModel(s)
		require.NoError(t, s.Replay(m))
		require.Equal(t, len(s.Loans()) == 1, len(m.open) == 2, "%d bytes", length)
		s.Abandon()
	}
	require.NoError(t, os.WriteFile(log[0], text, 0o600))
	want := loanOf("lender")
	want.Number = number
	require.Equal(t, []state.Loan{want}, mustOpen(t, o).Loans())
}

func TestALoanIsKeptUntilItIsSettled(t *testing.T) {
	t.Parallel()
	for _, settled := range []bool{false, true} {
		o, c := clocked(t, 4*time.Hour)
		s := mustOpen(t, o)
		number := s.Borrowed(loanOf("lender"))
		b := bucketOf("m", hour)
		b.Touched = c.now().UnixNano()
		h := s.OpenBucket(b)
		require.NoError(t, s.Commit())
		s.Final(h, b)
		if settled {
			s.Settled(number)
		}
		for range 8 { // the files of the log would be deleted
			stored(t, s)
			c.advance(11 * time.Minute)
			s.OpenBucket(bucketOf("other", c.now().UnixNano()))
			require.NoError(t, s.Commit())
		}
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
		require.Len(t, s.Loans(), map[bool]int{false: 1, true: 0}[settled])
		s.Settled(number)
		require.NoError(t, s.Close())
		require.Empty(t, mustOpen(t, o).Loans())
	}
}

func TestALoanThatIsGivenBackIsNotLogged(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	s.Settled(s.Borrowed(loanOf("lender")))
	s.OpenBucket(bucketOf("m", hour))
	require.NoError(t, s.Close())
	require.Empty(t, mustOpen(t, o).Loans())
}

// Without room, the log lacks the bucket until it is logged whole, and the loan too.
func TestALoanWithoutRoomIsLoggedWithTheNextSnapshot(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	o.MaxPending = 100
	s := mustOpen(t, o)
	number := s.Borrowed(loanOf("lender"))
	b := bucketOf("m", hour)
	h := s.OpenBucket(b)
	for range 100 {
		s.Rows(h, 0, []string{"a"}, []float64{1.5}, nil)
	}
	require.NoError(t, s.Commit())
	require.False(t, s.HasLoan(number))
	require.True(t, s.Old(h))
	s.Snapshot(h, b)
	require.NoError(t, s.Commit())
	require.True(t, s.HasLoan(number))
	require.NoError(t, s.Close())
	require.Len(t, mustOpen(t, o).Loans(), 1)
}

func TestAFieldThatIsGivenUpIsNotDrained(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	h := s.OpenBucket(bucketOf("m", 0))
	s.Rows(h, 0, []string{"a", "b"}, []float64{1, 1}, nil)
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	s.GiveUp(h, []string{"a"})
	s.GiveUp(h+1, []string{"a"})
	require.NoError(t, s.Drain(func(_ uint64, b state.Bucket) error {
		require.Equal(t, []string{"b"}, b.Fields)
		return nil
	}))
	require.NoError(t, s.Close())
	require.Equal(t, map[string]uint64{"b": 1}, drained(t, o))
}

// The background writer had not stored the bucket before the crash, so the log has its values and those of the lent field.
func TestAFieldThatWasLentIsNotInTheFinalBucketThatADrainStores(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, state.Frozen(o))
	b := bucketOf("m", 0)
	h := s.OpenBucket(b)
	s.Rows(h, 0, []string{"a", "b"}, []float64{1, 1}, nil)
	s.Lent(h, []string{"a"})
	b.Fields, b.Summaries = []string{"b"}, make([]stats.Summary, 1)
	b.Summaries[0].Add(1)
	s.Final(h, b)
	require.NoError(t, s.Commit())
	s.Abandon()
	require.Empty(t, drained(t, o))
	found, ok, err := mustOpen(t, o).Find("m", 0)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []string{"b"}, found.Fields)
}
