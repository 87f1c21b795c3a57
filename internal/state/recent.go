package state

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// pushes are the ages of the store at the commits of the last two Pushes, or 0.
//
// They tell which final rows leave again after a crash: those that became final at or after since. The rows of the last Push may
// not have left, and with them those of buckets that became final after the Push before it, such as at the start of the run.
type pushes struct{ last, before int64 }

// since returns the age of the store from which on final rows leave again.
func (p pushes) since(replay time.Duration) int64 { return min(p.last-int64(replay), p.before) }

// Since returns the wall time from which on rows of an earlier run leave again: see Recent. It is zero if that is not known.
func (s *Store) Since() time.Time {
	p := s.past
	since := p.pushes.since(p.replay)
	i, _ := slices.BinarySearchFunc(p.walls, since, func(w commitWall, age int64) int { return cmp.Compare(w.age, age) })
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(0, p.walls[i-1].wall)
}

// prune drops from recent the buckets whose rows do not leave again, as far as the last Push is known.
func (p *past) prune() {
	n := 0
	since := p.pushes.since(p.replay)
	for n < len(p.recent) && p.recent[n].at < since {
		n++
	}
	if n > len(p.recent)/2 {
		p.recent = slices.Clone(p.recent[n:])
	}
}

// Recent yields the final buckets whose rows left within Options.Replay before the last Push of an earlier run, and those whose rows
// had to leave with that Push, if the last run did not end cleanly: the process may have been killed before they left, or an output may not
// have sent them. The next commit logs that they are emitted again, so that they are emitted a third time if this run also ends soon
// without Close. A bucket that cannot be read is logged and skipped. Recent returns the first error of yield.
func (s *Store) Recent(yield func(Bucket) error) error {
	if s.past.clean {
		return nil
	}
	seen := make(map[finalID]struct{})
	since := s.past.pushes.since(s.past.replay)
	for _, f := range s.past.recent {
		id := finalID{f.series, f.start}
		if _, ok := seen[id]; ok || f.at < since {
			continue
		}
		seen[id] = struct{}{}
		b, ok, err := s.Find(f.series, f.start)
		if errors.Is(err, ErrExpired) {
			continue // it was removed after its rows had left; Pushes that logged nothing are not in the log
		}
		if err != nil {
			s.warn("the rows of a final bucket cannot be emitted again: %v", err)
			continue
		}
		if ok {
			if err := yield(b); err != nil {
				return err
			}
			s.again(f.series, f.start)
		}
	}
	s.past.recent = nil
	return nil
}
