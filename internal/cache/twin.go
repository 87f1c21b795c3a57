package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Two running writers of one agent and replica overwrite each other's records: they are twins. Each write of a table sets the mark
// of the writer and, in the same command, the name that its twins have too, both to the same score. If the mark has the score of the
// last write but the name does not, another writer with this name has written since. So to notice twins costs no command.
//
//	answers to a write ─▶ notice (loss.go) ─▶ tableState.twins.due ─▶ findTwins reads all marks ─▶ Options.Twin
//
// A writer that has ended never sets the name again, so its successor does not take it for a twin. A rolling update lets both
// run for some seconds. So a twin is reported only when two searches, at least twinEvery apart, show that it has written in between.
//
// The set of writers after A, then B, then A have written the table, A and B being twins:
//
//	{"id":"…A…","agent":"x",…} → 30    {"id":"…B…","agent":"x",…} → 20    {"agent":"x"} → 30
//
// The next write of A finds its mark and the name, both at 30. The next write of B finds its mark at 20, but not the name: it searches.

const (
	// twinEvery is the shortest time between two searches for the twins of a table.
	twinEvery = 5 * time.Second
	// siblingEvery is that time if the last search has found none, as with two blocks of one process.
	siblingEvery = time.Minute
)

// Identity identifies the process of a writer for others. Processes with the same Agent and Replica overwrite each other's records.
type Identity struct {
	Agent   string    `json:"agent"`
	Replica string    `json:"replica,omitempty"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // of the process: on one host, containers may have the same PID
}

// String returns the process, without its name.
func (i Identity) String() string {
	return fmt.Sprintf("pid %d on host %q, started at %s", i.PID, i.Host, i.Started.UTC().Format(time.RFC3339))
}

// isTwin reports whether the other identity is that of another process with the same name.
func (i Identity) isTwin(other Identity) bool {
	process := i.Host == other.Host && i.PID == other.PID && i.Started.Equal(other.Started)
	return i.Agent == other.Agent && i.Replica == other.Replica && !process
}

// markMember is the member of a writer's mark as JSON. Earlier writers had only the ID, without JSON.
type markMember struct {
	ID string `json:"id"`
	Identity
}

// memberOf returns the member of a new writer. Without an agent it is only a random text.
func memberOf(id Identity) string {
	random := newMember()
	if id.Agent == "" {
		return random
	}
	return marshal(markMember{random, id})
}

// parseMark returns the identity in the member of a mark, and whether it has one.
func parseMark(member string) (Identity, bool) {
	var m markMember
	if !strings.HasPrefix(member, "{") || json.Unmarshal([]byte(member), &m) != nil {
		return Identity{}, false
	}
	return m.Identity, m.ID != ""
}

// nameMember returns the member that all writers with the same name set, or "" without an agent. It is JSON without an ID, so that
// parseMark does not take it for a mark.
func nameMember(id Identity) string {
	if id.Agent == "" {
		return ""
	}
	return marshal(struct {
		Agent   string `json:"agent"`
		Replica string `json:"replica,omitempty"`
	}{id.Agent, id.Replica})
}

// marshal returns the JSON of texts, numbers and times of four-digit years, for which there is no error.
func marshal(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// setMark adds the command that sets the mark of the writer, and its name, to the score.
func (w *Writer) setMark(ctx context.Context, pipe redis.Pipeliner, t record.Table, score float64) {
	set := []redis.Z{{Score: score, Member: w.member}}
	if w.name != "" {
		set = append(set, redis.Z{Score: score, Member: w.name})
	}
	pipe.ZAdd(ctx, writersKey(t), set...)
}

// twins is what a writer knows of the twins of a table.
type twins struct {
	due  bool               // whether another writer has set the name since the last search
	next time.Time          // the earliest time of the next search, by the local clock
	seen map[string]float64 // the marks of twins that the last search has found, also of those that have ended, by their scores
}

// findTwins looks for twins if another writer has set the name, and reports the first one that has written since the last search.
// The caller holds the lock of the table.
func (w *Writer) findTwins(ctx context.Context, t record.Table, s *tableState) {
	now := w.o.Now()
	if !s.twins.due || now.Before(s.twins.next) {
		return
	}
	s.twins.due, s.twins.next = false, now.Add(siblingEvery)
	marks, err := w.client.ZRangeByScoreWithScores(ctx, writersKey(t), &redis.ZRangeBy{Min: "-inf", Max: "+inf"}).Result()
	if err != nil {
		w.o.Report(fmt.Errorf("looking for other writers of %s: %w", t, err))
		return
	}
	before := s.twins.seen
	s.twins.seen = make(map[string]float64)
	var running *Identity
	for _, z := range marks {
		member, _ := z.Member.(string)
		other, ok := parseMark(member)
		if !ok || !w.o.Identity.isTwin(other) {
			continue
		}
		s.twins.seen[member], s.twins.next = z.Score, now.Add(twinEvery)
		if last, ok := before[member]; ok && z.Score > last && running == nil {
			running = &other
		}
	}
	if running != nil {
		w.o.Twin(t, *running)
	}
}
