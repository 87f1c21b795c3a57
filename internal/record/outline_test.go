package record_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestAnOutlineHasThePartsOfARecord(t *testing.T) {
	t.Parallel()
	form := record.NewForm(`analytics_"t`, formStart)
	for _, c := range []struct {
		edit func(*record.Record)
		want record.Outline
	}{
		{nil, record.Outline{Field: `"f"`, Agent: `"a"`, Tags: `,"host":"h"`, Stats: `,"count":-6,"mean":1.5e-09,"ok":true,"none":null`}},
		{func(r *record.Record) { r.Replica, r.State, r.Revision, r.Stats = "r,", record.Open, 7, nil }, record.Outline{Field: `"f"`, Agent: `"a"`, Replica: `"r,"`, Tags: `,"host":"h"`}},
		{func(r *record.Record) { r.State, r.Tags, r.Stats = record.Final, nil, r.Stats[:1] }, record.Outline{Field: `"f"`, Agent: `"a"`, Stats: `,"count":-6`}},
		{func(r *record.Record) { r.Tags = tagsOf("final", "x", "host", `a"`, "mean", "m") }, record.Outline{
			Field: `"f"`, Agent: `"a"`, Tags: `,"final_tag":"x","host":"a\"","mean_tag":"m"`, Stats: `,"count":-6,"mean":1.5e-09,"ok":true,"none":null`,
		}},
	} {
		r := formed(c.edit)
		got, ok := form.Outline(string(r.AppendJSON(nil)))
		require.True(t, ok)
		require.Equal(t, c.want, got)
		require.Equal(t, got.Field+got.Tags, string(record.AppendSeries(nil, r.Field, r.JSONTags())))
	}
	_, ok := form.Outline("{}")
	require.False(t, ok)
	good := formed(nil)
	mixed := strings.Replace(string(good.AppendJSON(nil)), `,"ok"`, `,"zone":"z","ok"`, 1)
	got, ok := form.Outline(mixed)
	require.True(t, ok)
	require.Equal(t, `,"host":"h","count":-6,"mean":1.5e-09,"zone":"z"`, got.Tags, "the tags of another program may come later")
}

func TestTheFormOfAnotherBucket(t *testing.T) {
	t.Parallel()
	later := formStart.Add(time.Hour)
	require.Equal(t, record.NewForm(`analytics_"t`, later), record.NewForm(`analytics_"t`, formStart).At(later))
}

func TestOutlinesOfOneSeries(t *testing.T) {
	t.Parallel()
	form := record.NewForm(`analytics_"t`, formStart)
	outline := func(edit func(*record.Record)) *record.Outline {
		r := formed(edit)
		o, ok := form.Outline(string(r.AppendJSON(nil)))
		require.True(t, ok)
		return &o
	}
	one := outline(nil)
	require.True(t, one.SameSeries(outline(func(r *record.Record) { r.Agent, r.Replica, r.State, r.Stats = "b", "c", record.Final, nil })))
	require.False(t, one.SameSeries(outline(func(r *record.Record) { r.Field = "g" })))
	require.False(t, one.SameSeries(outline(func(r *record.Record) { r.Tags = nil })))
}

func TestTheCountAndTheStatisticsOfAnOutline(t *testing.T) {
	t.Parallel()
	count := func(stats string) any {
		n, ok := (&record.Outline{Stats: stats}).Count()
		return map[bool]any{true: n}[ok]
	}
	require.Equal(t, []any{uint64(6), uint64(math.MaxUint64), nil, nil, nil}, []any{
		count(`,"min":1,"count":6,"max":2`), count(`,"count":18446744073709551615`), count(`,"count":-6`), count(`,"mean":1`), count(`,"mode_count":3`),
	})
	o := record.Outline{Stats: `,"count":6,"p99_9":1e-7,"none":null,"ok":true`}
	require.Equal(t, []string{"mean", "count", "p99_9", "none", "ok"}, o.AppendStatNames([]string{"mean", "count"}))
}

func TestTheRecordOfAnOutlineHasEachMemberOnce(t *testing.T) {
	t.Parallel()
	for outline, want := range map[record.Outline]string{
		{Field: `"f"`, Agent: `"a"`, Tags: `,"x":"1","x":"2"`}:   `member "x" occurs twice`,
		{Field: `"f"`, Agent: `"a"`, Stats: `,"x":1,"\u0078":2`}: `member "x" occurs twice`,
		{Field: `"f"`, Agent: `"a"`, Stats: `,"x":1e999`}:        `member "x"`,
		{Field: `"f"`, Agent: `"a"`, Stats: `,x`}:                `found ",x"`,
	} {
		_, err := outline.Record()
		require.ErrorIs(t, err, record.ErrFormat)
		require.ErrorContains(t, err, want)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := formed(nil)
	text := string(r.AppendJSON(nil))
	form := record.NewForm(r.Table, r.Start)
	b.Run("outline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o, _ := form.Outline(text)
			if _, err := o.Record(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := record.Parse([]byte(text)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
