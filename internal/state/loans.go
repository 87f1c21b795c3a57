package state

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Loans
//
// Fields of an open bucket can move to another store. A crash in the middle must not leave them in both stores. So the store
// that gets them logs the loan in the commit that has the bucket with them, and this commit decides:
//
//	borrower  loan and bucket ── Commit ──────────────────────────────▶ settled ── the next Commit
//	lender                          └──▶ Lent ── Commit ──▶ rows leave ──┘
//	crash     ◀─ the lender has them ─▶◀─ the borrower has them; the next run notes it in the lender ─▶
//
// The next run reads the loans that are not settled with Store.Loans, before the first value. The log with a loan is kept until then.

// Loan describes fields that this store has got from an open bucket of another store.
type Loan struct {
	Number uint64   // identifies the loan in this store; set by Borrowed
	Lender string   // the other store, see Store.ID
	Handle uint64   // of the bucket there
	Series string   // its key
	Start  int64    // nanoseconds since 1970
	Fields []string // names, at least one
}

// loaned is a loan that is not settled.
type loaned struct {
	Loan
	commit uint64 // the first commit with a record of it, or 0 if there is none
	by     uint64 // the handle of the bucket here, or 0 if it is not open yet
	past   bool   // whether it is of an earlier run
}

// idFile is the file with the id of the store, see checked.go. The database has the id too: without it, the next run would not find the
// lender of a loan, and both stores would keep the fields.
const idFile = "id"

// setID reads the id of the store, or makes one. A damaged file is written again.
func (s *Store) setID() error {
	path := filepath.Join(s.folder, idFile)
	text, unchecked, err := readChecked(path, isID)
	damaged := errors.Is(err, errFormat)
	note := ", as the database has the id too"
	switch {
	case err == nil:
		s.id = strings.TrimSuffix(text, "\n")
	case !damaged && !errors.Is(err, fs.ErrNotExist):
		return err
	case s.finals.id > 0:
		s.id = formatID(s.finals.id)
	default:
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		s.id = hex.EncodeToString(random[:])
		note = " with a new id, as the database has none: if a field was moving to another block when Telegraf was killed last, its values may count " +
			"twice, and values for final buckets of a removed block may be late"
	}
	if text = s.id + "\n"; damaged {
		err = s.replaceDamaged(path, text, note)
	} else if err != nil || unchecked {
		err = writeChecked(path, text)
	}
	if err == nil {
		s.finals.keepID(s.id)
	}
	return err
}

// formatID returns the id that the database has as a number.
func formatID(n uint64) string { return fmt.Sprintf("%016x", n) }

// isID reports whether a text is that of a file with an id.
func isID(text string) bool {
	id, ok := strings.CutSuffix(text, "\n")
	return ok && isHex(id, 16)
}

// readID returns the id of the store in a folder, or "" if it has none. If the file is damaged, it returns an error, and the id if the
// database has it.
func readID(folder string) (string, error) {
	text, _, err := readChecked(filepath.Join(folder, idFile), isID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, errFormat):
		r := relative{finals: &finals{path: filepath.Join(folder, finalsFile)}, shared: true}
		if bad := r.use(r.finals.load); bad != nil || r.finals.id == 0 {
			return "", errors.Join(err, bad)
		}
		return formatID(r.finals.id), err
	}
	return strings.TrimSuffix(text, "\n"), err
}

// HasStore reports whether a folder in dir has the store with that id, and is not retired. It is true if that is not known.
func HasStore(dir, id string) bool {
	folders, err := storeFolders(dir)
	return err != nil || slices.ContainsFunc(folders, func(folder string) bool {
		if strings.Contains(filepath.Base(folder), retired) {
			return false
		}
		there, err := readID(folder)
		return there == id || there == "" && err != nil
	})
}

// ID returns a text that identifies the store also when its folder is renamed.
func (s *Store) ID() string { return s.id }

// Borrowed notes a loan, and returns its number. The next OpenBucket or Snapshot logs it, in the commit of that bucket.
func (s *Store) Borrowed(l Loan) (number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	l.Number = s.next
	s.addLoan(&loaned{Loan: l})
	return l.Number
}

// addLoan adds a loan. The caller holds mu, also for logLoans.
func (s *Store) addLoan(l *loaned) {
	if s.loans == nil {
		s.loans = make(map[uint64]*loaned)
	}
	s.loans[l.Number] = l
	if l.commit > 0 {
		s.needed.add(l.commit)
	}
}

// logLoans logs the loans of a bucket that is being logged whole, and those that are noted for it.
func (s *Store) logLoans(h *handle) {
	for number, l := range s.loans {
		if l.by == 0 && l.commit == 0 {
			l.by = h.number
		}
		if l.by != h.number {
			continue
		}
		if l.commit > 0 {
			s.needed.remove(l.commit)
		}
		l.commit = s.commit
		s.needed.add(l.commit)
		s.records.loan(number, l.Loan)
	}
}

// dropLoans notes that the log lacks the commits that are not durable.
func (s *Store) dropLoans() {
	for _, l := range s.loans {
		if l.commit > s.durable {
			s.needed.remove(l.commit)
			l.commit = 0
		}
	}
}

// HasLoan reports whether a loan is durable: then the lender must not keep the fields.
func (s *Store) HasLoan(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loans[number]
	return l != nil && l.commit > 0 && l.commit <= s.durable
}

// Settled notes that the lender does not keep the fields of a loan any more, or that the loan does not hold.
func (s *Store) Settled(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loans[number]
	if l == nil {
		return
	}
	delete(s.loans, number)
	if l.commit == 0 {
		return
	}
	s.needed.remove(l.commit)
	if !s.full {
		s.records.mark(recordSettled, number)
		s.bound()
	}
}

// Loans returns the loans of the last run that are not settled, in the order in which they were made.
func (s *Store) Loans() (all []Loan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loans {
		if l.past {
			all = append(all, l.Loan)
		}
	}
	slices.SortFunc(all, func(a, b Loan) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// GiveUp logs that another store has fields of an open bucket of the last run. A later Drain does not yield them.
func (s *Store) GiveUp(handle uint64, fields []string) {
	s.Lent(handle, fields)
	if s.givenUp == nil {
		s.givenUp = make(map[uint64][]string)
	}
	s.givenUp[handle] = append(s.givenUp[handle], fields...)
}

// adoptLoans continues the loans of the last run that are not settled.
func (s *Store) adoptLoans() {
	for _, number := range slices.Sorted(maps.Keys(s.past.loans)) {
		l := s.past.loans[number]
		l.by, l.past = number, true // no bucket has that handle: the loan is durable already
		s.addLoan(&l)
	}
}
