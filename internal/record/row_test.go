package record_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// metric is a metric of Telegraf, without Telegraf.
type metric struct {
	name   string
	at     time.Time
	tags   map[string]string
	fields map[string]any
}

func (m *metric) AddTag(key, value string)        { m.tags[key] = value }
func (m *metric) AddField(name string, value any) { m.fields[name] = value }

func rowOf(l record.Layout, r *record.Record) *metric {
	m := &metric{name: r.Table, at: l.Time(r, r.Start.Add(time.Minute), pushed), tags: make(map[string]string), fields: make(map[string]any)}
	m.AddTag(record.FieldName, r.Field)
	l.AddTags(m, r)
	l.AddFields(m, r)
	return m
}

var pushed = time.Unix(2_000_000_000, 5).UTC()

func read(m *metric) (record.Record, int, error) {
	return record.FromRow(m.name, m.at, maps.All(m.tags), maps.All(m.fields))
}

func TestRowsReadBackAsTheirRecords(t *testing.T) {
	t.Parallel()
	layouts := []record.Layout{
		{StateTag: record.BucketState},
		{StateTag: record.BucketState, BucketTag: record.TimeBucket},
		{StateTag: record.BucketState, BucketTag: record.TimeBucket, Timestamp: record.AtEnd},
		{StateTag: record.BucketState, BucketTag: record.TimeBucket, Timestamp: record.AtPush},
	}
	for _, l := range layouts {
		for _, state := range []record.State{record.Unmarked, record.Open, record.Final} {
			for revision := range int64(3) {
				want := sample()
				want.Agent, want.Start, want.State, want.Summary = "", want.Start.UTC(), state, []byte("summary\xff")
				want.Revision = revision
				want.HasRevision = revision > 0 || state != record.Open
				got, ignored, err := read(rowOf(l, &want))
				require.NoError(t, err)
				require.Zero(t, ignored)
				byName := func(a, b record.Stat) int { return len(a.Name) - len(b.Name) }
				slices.SortFunc(got.Stats, byName)
				require.ElementsMatch(t, want.Stats, got.Stats)
				got.Stats = want.Stats // a map has no order
				require.Equal(t, want, got)
			}
		}
	}
}

func TestRowsHaveTheirTagsFieldsAndTime(t *testing.T) {
	t.Parallel()
	r := record.Record{
		Table: "analytics_t", Field: "f", Tags: []series.Tag{{Key: "host", Value: "h"}}, Start: time.Unix(60, 0).UTC(),
		Stats: []record.Stat{{Name: "mean", Value: 1.5}},
	}
	m := rowOf(record.Layout{}, &r)
	require.Equal(t, map[string]string{"host": "h", "field_name": "f"}, m.tags)
	require.Equal(t, map[string]any{"mean": 1.5}, m.fields)
	require.Equal(t, time.Unix(60, 0).UTC(), m.at)

	r.State, r.HasRevision, r.Summary = record.Open, true, []byte{1, 1}
	m = rowOf(record.Layout{StateTag: "state", BucketTag: "bucket", Timestamp: record.AtEnd}, &r)
	require.Equal(t, map[string]string{"host": "h", "field_name": "f", "state": "open", "bucket": "1970-01-01T00:01:00Z"}, m.tags)
	require.Equal(t, map[string]any{"mean": 1.5, "summary": "AQE="}, m.fields, "an open bucket that was never final has no revision")
	require.Equal(t, time.Unix(120, 0).UTC(), m.at)

	r.State, r.Revision, r.Summary = record.Final, 2, nil
	m = rowOf(record.Layout{StateTag: "state", Timestamp: record.AtEnd}, &r)
	require.Equal(t, "final", m.tags["state"])
	require.Equal(t, map[string]any{"mean": 1.5, "revision": int64(2)}, m.fields)
	require.Equal(t, time.Unix(120, 2).UTC(), m.at)
	require.Equal(t, pushed, rowOf(record.Layout{Timestamp: record.AtPush}, &r).at)

	r.State = record.Open
	require.Equal(t, int64(2), rowOf(record.Layout{}, &r).fields["revision"], "the shifted time and the revision always come together")
}

func TestFromRowRejectsRowsThatNoLayoutWrites(t *testing.T) {
	t.Parallel()
	edit := func(tag, value, field string, v any) *metric {
		m := &metric{name: "m", tags: map[string]string{"field_name": "f"}, fields: map[string]any{"mean": 1.0}}
		if tag != "" {
			m.tags[tag] = value
		}
		if field != "" {
			m.fields[field] = v
		}
		return m
	}
	for want, m := range map[string]*metric{
		`metric "m" has no tag "field_name", want rows of the describe aggregator: set namepass = ["analytics_*"]`: {name: "m", fields: map[string]any{"mean": 1.0}},
		`metric "m" has no number, want statistics`:                                                                {name: "m", tags: map[string]string{"field_name": "f"}, fields: map[string]any{"text": "x", "revision": int64(1)}},
		`metric "m" has the tag time_bucket="noon", want a time in the format RFC 3339`:                            edit("time_bucket", "noon", "", nil),
		`metric "m" has the tag bucket_state="closed", want "open" or "final"`:                                     edit("bucket_state", "closed", "", nil),
		`metric "m" has a summary that is not base64: illegal base64 data at input byte 0`:                         edit("", "", "summary", "%"),
		`metric "m" has the field revision=-1, want an integer of 0 or more`:                                       edit("", "", "revision", int64(-1)),
		`metric "m" has the field revision=1.5, want an integer of 0 or more`:                                      edit("", "", "revision", 1.5),
		`metric "m" has the field revision=18446744073709551615, want an integer of 0 or more`:                     edit("", "", "revision", ^uint64(0)),
	} {
		_, _, err := read(m)
		require.EqualError(t, err, want)
	}
	_, ignored, err := read(edit("", "", "note", "text"))
	require.NoError(t, err)
	require.Equal(t, 1, ignored)
}
