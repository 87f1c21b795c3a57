package describe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Telegraf's own state file (agent.statefile) contains the open buckets after a clean stop. With the option state, it
// contains none. It is a second way to keep buckets over a restart, which needs no option of the plugin; but a crash loses them, and
// late values correct no bucket of the last run.

// In the file, Telegraf has the base64 of such a JSON for the ID of each block:
//
//	{"version":1, "identity":"{\"alias\":\"\",\"booleans\":\"number\",…}",
//	 "open":[{"series":"cpu,host=a","start":1767225600000000000,"end":1767229200000000000,"touched":…,"summaries":{"usage":"<base64>"}}],
//	 "final":{"cpu,host=a":[[1767222000000000000,1767225600000000000]]}}

// fileVersion is the version of [FileState]. A state of another version is ignored.
const fileVersion = 1

// FileState is the plugin's part of Telegraf's state file. Telegraf encodes it as JSON.
type FileState struct {
	Version  int                   `json:"version"`
	Identity string                `json:"identity"` // the options that make buckets comparable, as text
	Open     []FileBucket          `json:"open"`
	Final    map[string][][2]int64 `json:"final"` // spans of final buckets by series key
}

// FileBucket is an open bucket in a [FileState].
type FileBucket struct {
	Series    string            `json:"series"` // the key of the series
	Start     int64             `json:"start"`  // nanoseconds since 1970, as the next two
	End       int64             `json:"end"`
	Touched   int64             `json:"touched"`   // the wall time of the last value
	Summaries map[string][]byte `json:"summaries"` // encoded, by field; without empty ones
}

// ID identifies the plugin in Telegraf's state file. Each block must have another ID. The ID depends on the options that distinguish two
// describe blocks, and not on options that may change without an effect on the buckets. The host numbers blocks that agree in all of
// these, as they may differ in their buckets or statistics only. It is such as "describe-0123456789abcdef", and
// "describe-0123456789abcdef-1" for the second of two blocks that agree. On a stock Telegraf with a state file, such blocks are an error:
// it registers an ID only once.
func (d *Describe) ID() string {
	text, err := json.Marshal([]any{
		d.Prefix, d.Alias, d.NamePass, d.NameDrop, d.TagPass, d.TagDrop, d.FieldInclude, d.FieldExclude, d.MetricPass,
	})
	if err != nil {
		panic(err) // texts, lists and maps of texts always marshal
	}
	sum := sha256.Sum256(text)
	id := "describe-" + hex.EncodeToString(sum[:8])
	if n := d.pusher.host.Number; n > 0 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return id
}

// identityText returns the identity as a text. JSON has the names in ascending order, so equal identities are equal texts.
func (d *Describe) identityText() string {
	text, err := json.Marshal(d.identity())
	if err != nil {
		panic(err) // a map of texts always marshals
	}
	return string(text)
}

// continues reports whether buckets of that identity, as text, continue under the options of this block: they do if the bounds and
// the prefix are the same. A text of no identity continues nothing.
func (d *Describe) continues(identity string) bool {
	var before map[string]string
	return json.Unmarshal([]byte(identity), &before) == nil && sameBuckets(before, d.identity())
}

// GetState returns the open buckets as a [FileState]. It is never nil. Telegraf calls it once, after the agent has stopped,
// so with the option state it ends the run of that.
func (d *Describe) GetState() any {
	f := FileState{Version: fileVersion, Identity: d.identityText(), Final: make(map[string][][2]int64)}
	if d.engine == nil || d.State != "" {
		if err := d.Close(); err != nil {
			d.Log.Errorf("Closing the state: %v", err)
		}
		return f
	}
	d.engine.Save(func(b engine.Bucket) {
		saved := FileBucket{Series: b.Series, Start: b.Start, End: b.End, Touched: b.Touched, Summaries: make(map[string][]byte)}
		for i, field := range b.Fields {
			if b.Summaries[i].Count() > 0 {
				saved.Summaries[field], _ = b.Summaries[i].AppendBinary(nil) // never an error
			}
		}
		f.Open = append(f.Open, saved)
	}, func(series string, start, end int64) {
		f.Final[series] = append(f.Final[series], [2]int64{start, end})
	})
	return f
}

// SetState opens the buckets of a [FileState]. If the buckets belong to other options, they become final. It logs and
// ignores a state that it cannot use, because an error would end the agent. With the option state, it does nothing: the store has the
// newer buckets. Telegraf calls it after Init and before the first metric.
func (d *Describe) SetState(state any) error {
	f, ok := state.(FileState)
	if !ok || f.Version != fileVersion {
		d.Log.Errorf("The state file has a state of type %T and version %d, want version %d: buckets begin empty", state, f.Version, fileVersion)
		return nil
	}
	if d.State != "" {
		return nil
	}
	buckets := make([]engine.Bucket, 0, len(f.Open))
	for _, saved := range f.Open {
		b, err := saved.bucket()
		if err != nil {
			d.Log.Errorf("The state file has a bucket that cannot be read, it is lost: %v", err)
			continue
		}
		buckets = append(buckets, b)
	}
	if !d.continues(f.Identity) {
		d.Log.Warnf("Options that divide values into buckets have changed from %s: the %d open buckets are final now, and new ones begin",
			f.Identity, len(buckets))
		d.engine.Again(d.Prefix, buckets)
		return nil
	}
	replay := d.engine.BeginReplay()
	for i, b := range buckets {
		if err := replay.Open(uint64(i), b); err != nil {
			d.Log.Errorf("The state file has a bucket that cannot be read, it is lost: %v", err)
		}
	}
	replay.End(d.now().Add(time.Hour)) // their rows were emitted before the clean stop
	for series, spans := range f.Final {
		for _, span := range spans {
			d.engine.AddFinal(series, span[0], span[1])
		}
	}
	return nil
}

// bucket decodes the summaries. The fields are in ascending order, so that the result does not depend on the map.
func (saved *FileBucket) bucket() (engine.Bucket, error) {
	b := engine.Bucket{Series: saved.Series, Start: saved.Start, End: saved.End, Touched: saved.Touched}
	for _, field := range slices.Sorted(maps.Keys(saved.Summaries)) {
		var s stats.Summary
		if err := s.UnmarshalBinary(saved.Summaries[field]); err != nil {
			return b, fmt.Errorf("series %q, field %q: %w", saved.Series, field, err)
		}
		b.Fields, b.Summaries = append(b.Fields, field), append(b.Summaries, s)
	}
	return b, nil
}
