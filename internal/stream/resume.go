package stream

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// forget removes the oldest half of the remembered changes if there are too many. It sorts them, so removing only the oldest one
// would make each event slow. The caller holds mu.
func (tp *topic) forget() {
	if len(tp.changed) <= tp.hub.o.Memory {
		return
	}
	sequences := slices.Sorted(maps.Values(tp.changed))
	tp.lost = sequences[len(sequences)/2]
	maps.DeleteFunc(tp.changed, func(_ time.Time, sequence uint64) bool { return sequence <= tp.lost })
}

// id returns the identity of an event: "<epoch>-<sequence>".
func (tp *topic) id(sequence uint64) string { return tp.epoch + "-" + strconv.FormatUint(sequence, 10) }

// sequenceOf returns the sequence of an identity. It returns false if the identity is not of this topic, or if the topic does
// not remember all changes after it. The caller holds mu.
func (tp *topic) sequenceOf(id string) (uint64, bool) {
	epoch, text, _ := strings.Cut(id, "-")
	sequence, err := strconv.ParseUint(text, 10, 64)
	return sequence, err == nil && epoch == tp.epoch && sequence >= tp.lost && sequence <= tp.sequence
}

// maxResume is how often resume reads buckets that changed while it read the ones before.
const maxResume = 5

// resume gives a subscriber the buckets that have changed since its last event, and then lets it get events. Until then its
// events have the identity of the last one, so that it can resume there again.
//
// The buckets are read without a lock, so others can change meanwhile. It reads these in the next turn. After maxResume turns the
// table changes faster than it can be read, and the subscriber gets a Reset.
func (tp *topic) resume(ctx context.Context, s *Subscription, last string) error {
	since := last
	for range maxResume {
		missed, present, err := tp.admit(s, since)
		if err != nil || len(missed) == 0 {
			return err
		}
		for _, start := range missed {
			event, err := tp.hub.read(ctx, tp.table, start)
			if err != nil {
				return err
			}
			event.ID = last
			s.events <- event // admit has found room for it, and nobody else sends before the subscription is live
		}
		since = present
	}
	_, _, err := tp.admit(s, "lost") // no topic knows this identity
	return err
}

// admit lets a subscriber get events, unless it must first get the buckets that have changed since its last event. It returns
// these, ascending, and the identity of the present. If they are not known, or too many for the queue, the subscriber gets
// a Reset.
func (tp *topic) admit(s *Subscription, last string) (missed []time.Time, present string, err error) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.closed {
		return nil, "", ErrClosed
	}
	present = tp.id(tp.sequence)
	sequence, remembered := tp.sequenceOf(last)
	if remembered {
		for start, changed := range tp.changed {
			if changed > sequence {
				missed = append(missed, start)
			}
		}
		slices.SortFunc(missed, time.Time.Compare)
	}
	room := cap(s.events) - len(s.events) - 1 // one place is for the event of the present
	if len(missed) > 0 && len(missed) <= room {
		return missed, present, nil
	}
	tp.live[s] = true
	s.events <- &Event{ID: present, At: time.Now(), Reset: last != "" && (!remembered || len(missed) > 0)}
	return nil, present, nil
}
