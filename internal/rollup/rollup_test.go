package rollup_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rollup"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// store is what a cache holds: the parts by the start of their bucket.
type store map[int64][]record.SummaryPart

// put adds the record of values to the store.
func (s store) put(start int64, p record.SummaryPart, limit int, values ...float64) {
	sum := stats.New(limit)
	sum.AddAll(values, nil)
	p.Summary, _ = sum.MarshalBinary()
	s[start] = append(s[start], p)
}

// roll returns the records of a roll-up.
func (s store) roll(t *testing.T, p rollup.Plan) []record.Record {
	t.Helper()
	records, err := s.try(p)
	require.NoError(t, err)
	return records
}

func (s store) try(p rollup.Plan) (records []record.Record, err error) {
	if p.ExactLimit == 0 {
		p.ExactLimit = stats.DefaultExactLimit
	}
	if p.MaxGroups == 0 {
		p.MaxGroups = 1000
	}
	if p.Selection == nil {
		p.Selection, _ = stats.NewSelection([]string{"count", "min", "max", "sum", "mean", "median", "p75", "max_error"}, stats.Linear)
	}
	r := rollup.New(&p, func(rec *record.Record) error {
		c := *rec
		c.Tags, c.Stats = slices.Clone(rec.Tags), slices.Clone(rec.Stats)
		records = append(records, c)
		return nil
	})
	starts := make([]int64, 0, len(s))
	for start := range s {
		starts = append(starts, start)
	}
	slices.Sort(starts)
	for _, start := range starts {
		if err := r.Add(time.Unix(start, 0), s[start]); err != nil {
			return nil, err
		}
	}
	return records, r.Close()
}

func stat(t *testing.T, r record.Record, name string) any {
	t.Helper()
	for _, s := range r.Stats {
		if s.Name == name {
			return s.Value
		}
	}
	require.Fail(t, "no statistic "+name)
	return nil
}

func grid(t *testing.T, width, zone string) *bucket.Grid {
	t.Helper()
	w, err := bucket.ParseWidth(width)
	require.NoError(t, err)
	location, err := bucket.LoadZone(zone)
	require.NoError(t, err)
	g, err := bucket.NewGrid(w, time.Time{}, location)
	require.NoError(t, err)
	return &g
}

var late = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) // after every bucket

func TestAgentsAreAddedAndReplicasAreNot(t *testing.T) {
	t.Parallel()
	s := store{}
	for _, agent := range []string{"a1", "a2"} {
		for _, replica := range []string{"x", "y", "z"} {
			values := []float64{1, 2, 3}
			if replica == "y" {
				values = append(values, 4) // the fullest
			}
			s.put(0, record.SummaryPart{Tags: "host=h", Field: "f", Agent: agent, Replica: replica, State: record.Final}, 64, values...)
		}
	}
	s.put(0, record.SummaryPart{Tags: "host=h", Field: "f", Agent: "a3", State: record.Final}, 64, 100)
	got := s.roll(t, rollup.Plan{Table: "analytics_cpu", Complete: late})
	require.Len(t, got, 1)
	require.Equal(t, record.Record{
		Table: "analytics_cpu", Field: "f", Tags: []series.Tag{{Key: "host", Value: "h"}}, Start: time.Unix(0, 0).UTC(), State: record.Final,
		Stats: []record.Stat{
			{Name: "count", Value: int64(9)}, {Name: "min", Value: 1.0}, {Name: "max", Value: 100.0}, {Name: "sum", Value: 120.0},
			{Name: "mean", Value: 120.0 / 9}, {Name: "median", Value: 3.0}, {Name: "p75", Value: 4.0}, {Name: "max_error", Value: 0.0},
		},
	}, got[0])
}

func TestAmongEquallyFullReplicasTheFinalOneCounts(t *testing.T) {
	t.Parallel()
	s := store{}
	s.put(0, record.SummaryPart{Field: "f", Replica: "a", State: record.Open}, 64, 1, 2)
	s.put(0, record.SummaryPart{Field: "f", Replica: "b", State: record.Final}, 64, 3, 4)
	s.put(0, record.SummaryPart{Field: "f", Replica: "c", State: record.Final}, 64, 5, 6)
	s[0] = append(s[0], record.SummaryPart{Field: "f", Replica: "0"}) // without a summary
	got := s.roll(t, rollup.Plan{Complete: late})
	require.Equal(t, []any{3.0, record.Final}, []any{stat(t, got[0], "min"), got[0].State})
}

func TestTheAgentOfARecordIsThatOfAllParts(t *testing.T) {
	t.Parallel()
	s := store{}
	s.put(0, record.SummaryPart{Tags: "host=a", Field: "f", Agent: "a1"}, 64, 1)
	s.put(60, record.SummaryPart{Tags: "host=a", Field: "f", Agent: "a1"}, 64, 1)
	s.put(60, record.SummaryPart{Tags: "host=b", Field: "f", Agent: "a1"}, 64, 1)
	s.put(0, record.SummaryPart{Tags: "host=b", Field: "f", Agent: "a2"}, 64, 1)
	got := s.roll(t, rollup.Plan{Grid: grid(t, "1h", "UTC"), Complete: late})
	require.Equal(t, []string{"a1", ""}, []string{got[0].Agent, got[1].Agent})
}

func TestGroupingKeepsTheNamedTags(t *testing.T) {
	t.Parallel()
	s := store{}
	for i, tags := range []string{"cpu=0,host=a", "cpu=1,host=a", "cpu=0,host=b", "cpu=0"} {
		s.put(0, record.SummaryPart{Tags: tags, Field: "f"}, 64, float64(i+1))
		s.put(0, record.SummaryPart{Tags: tags, Field: "g"}, 64, float64(i+1))
	}
	sums := func(p rollup.Plan) (texts []string) {
		for _, r := range s.roll(t, p) {
			texts = append(texts, fmt.Sprint(r.Field, " ", string(series.AppendTags(nil, r.Tags)), " ", stat(t, r, "sum")))
		}
		return texts
	}
	require.Equal(t, []string{"f  4", "f host=a 3", "f host=b 3", "g  4", "g host=a 3", "g host=b 3"}, sums(rollup.Plan{Grouped: true, GroupBy: []string{"host", "none"}}))
	require.Equal(t, []string{"f  10", "g  10"}, sums(rollup.Plan{Grouped: true}))
	require.Len(t, sums(rollup.Plan{}), 8)
}

func TestOnlyWantedRecordsAreMerged(t *testing.T) {
	t.Parallel()
	s := store{}
	s.put(0, record.SummaryPart{Tags: "host=a", Field: "f", Agent: "x", Replica: "1", State: record.Final}, 64, 1)
	s.put(0, record.SummaryPart{Tags: "host=a", Field: "f", Agent: "y", State: record.Open}, 64, 2)
	s.put(0, record.SummaryPart{Tags: "host=b,mean=m", Field: "f", Agent: "x"}, 64, 4)
	s.put(0, record.SummaryPart{Tags: "host=a", Field: "g", Agent: "x", State: record.Final}, 64, 8)
	s[0] = append(s[0], record.SummaryPart{Tags: "host=c", Field: "h", State: record.Final}) // without a summary
	tag := func(key, value string) []series.Tag { return []series.Tag{{Key: key, Value: value}} }
	for want, p := range map[float64]rollup.Plan{
		7: {Wanted: record.Wanted{Fields: []string{"f"}}}, 15: {Wanted: record.Wanted{Fields: []string{"g", "f"}}},
		3: {Wanted: record.Wanted{Fields: []string{"f"}, Tags: tag("host", "a")}}, 4: {Wanted: record.Wanted{Tags: tag("mean_tag", "m")}},
		2: {Wanted: record.Wanted{Tags: tag("agent", "y")}}, 13: {Wanted: record.Wanted{Tags: tag("agent", "x")}}, 1: {Wanted: record.Wanted{Tags: tag("replica", "1")}},
		8: {Wanted: record.Wanted{Final: true, Fields: []string{"f", "g"}}, Ended: time.Unix(-1, 0)},
	} {
		p.Grouped = true
		sum := 0.0
		for _, r := range s.roll(t, p) {
			sum += stat(t, r, "sum").(float64)
		}
		require.Equal(t, math.Floor(want), sum, "%+v", p.Wanted)
	}
	require.Empty(t, s.roll(t, rollup.Plan{Wanted: record.Wanted{Tags: tag("mean", "m")}}), "JSON has another name for the tag")
	_, err := s.try(rollup.Plan{Wanted: record.Wanted{Tags: tag("host", "c")}})
	require.ErrorIs(t, err, rollup.ErrNoSummary)
}

// A final record of a part of the values would be a wrong number.
func TestFinalRecordsHaveAllTheirValues(t *testing.T) {
	t.Parallel()
	s := store{}
	for start, state := range map[int64]record.State{0: record.Final, 60: record.Final, 120: record.Open, 300: record.Final, 360: record.Unmarked} {
		s.put(start, record.SummaryPart{Field: "f", State: state}, 64, 1)
	}
	s.put(300, record.SummaryPart{Field: "g", Replica: "a", State: record.Final}, 64, 1, 2)
	s.put(300, record.SummaryPart{Field: "g", Replica: "b", State: record.Open}, 64, 1, 2, 3, 4)
	plan := rollup.Plan{Grid: grid(t, "5m", "UTC"), Wanted: record.Wanted{Final: true}, Ended: time.Unix(360, 0), Complete: time.Unix(600, 0)}
	got := s.roll(t, plan)
	require.Len(t, got, 1, "the bucket 0 has an open part, and the fuller replica of g is open")
	require.Equal(t, []any{"f", int64(2), record.Final}, []any{got[0].Field, stat(t, got[0], "count"), got[0].State})
	plan.Complete = time.Unix(599, 0)
	require.Empty(t, s.roll(t, plan))
}

func TestABucketIsOpenIfAPartIsOpenOrMoreWillCome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		states []record.State
		now    int64
		want   record.State
	}{
		{[]record.State{record.Final, record.Final}, 3600, record.Final},
		{[]record.State{record.Final, record.Final}, 3599, record.Open},
		{[]record.State{record.Final, record.Open}, 3600, record.Open},
		{[]record.State{record.Unmarked, record.Final}, 3600, record.Unmarked},
		{[]record.State{record.Unmarked, record.Open}, 3600, record.Open},
	} {
		s := store{}
		for i, state := range c.states {
			s.put(int64(i)*60, record.SummaryPart{Field: "f", State: state}, 64, 1)
		}
		got := s.roll(t, rollup.Plan{Grid: grid(t, "1h", "UTC"), Complete: time.Unix(c.now, 0)})
		require.Equal(t, c.want, got[0].State, "%v at %d", c.states, c.now)
	}
}

// Days of 23 and 25 hours in Berlin, from stored buckets of an hour.
func TestDaysFollowTheCalendar(t *testing.T) {
	t.Parallel()
	for day, hours := range map[string]int64{"2026-03-29": 23, "2026-03-30": 24, "2026-10-25": 25} {
		zone, err := bucket.LoadZone("Europe/Berlin")
		require.NoError(t, err)
		start, err := time.ParseInLocation(time.DateOnly, day, zone)
		require.NoError(t, err)
		s := store{}
		for h := int64(-30); h < 60; h++ {
			s.put(start.Unix()+h*3600, record.SummaryPart{Field: "f", State: record.Final}, 64, float64(h))
		}
		for _, r := range s.roll(t, rollup.Plan{Grid: grid(t, "1d", "Europe/Berlin"), Complete: late}) {
			if r.Start.Equal(start) {
				require.Equal(t, []any{hours, 0.0, float64(hours - 1)}, []any{stat(t, r, "count"), stat(t, r, "min"), stat(t, r, "max")}, day)
				hours = 0
			}
		}
		require.Zero(t, hours, "no record of %s", day)
	}
}

// However values are divided among agents, series and buckets, the result describes all of them.
func TestRollUpsDescribeAllValues(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, agents := range []int{1, 2, 10} {
		for _, limit := range []int{64, stats.DefaultExactLimit, stats.Unlimited} {
			values := make([]float64, 3000)
			s, at := store{}, 0
			for i := range values {
				values[i] = math.Round(rnd.NormFloat64()*1e6) / 1e3
			}
			for len(values) > at {
				n := min(1+rnd.IntN(60), len(values)-at)
				part := values[at : at+n]
				p := record.SummaryPart{Tags: fmt.Sprint("host=", rnd.IntN(3)), Field: "f", Agent: strconv.Itoa(rnd.IntN(agents)), Replica: strconv.Itoa(at)}
				start := int64(at) // parts of one agent in one bucket have different series, so that none is a replica of another
				s.put(start, p, limit, part...)
				p.Replica = "lost some"
				s.put(start, p, limit, part[:n/2]...)
				at += n
			}
			got := s.roll(t, rollup.Plan{Grid: grid(t, "1d", "UTC"), Grouped: true, Shares: []float64{0, -500, 1e9}, ExactLimit: limit, Complete: late})
			require.Len(t, got, 1)
			want := oracle.Of(values)
			require.Equal(t, []any{int64(len(values)), want.Min(), want.Max()}, []any{stat(t, got[0], "count"), stat(t, got[0], "min"), stat(t, got[0], "max")})
			mean, _ := want.Mean().Float64()
			require.InEpsilon(t, mean, stat(t, got[0], "mean"), 1e-9)
			maxError := stat(t, got[0], "max_error").(float64)
			require.Equal(t, limit == stats.Unlimited, maxError == 0)
			for name, q := range map[string]float64{"median": want.Linear(1, 2), "p75": want.Linear(75, 100)} {
				require.InDelta(t, q, stat(t, got[0], name), math.Abs(q)*maxError+want.MaxAbs()*1.6e-5, name)
			}
			for name, v := range map[string]float64{"share_le_0": 0, "share_le_-500": -500, "share_le_1000000000": 1e9} {
				share := 0.0
				for _, x := range values {
					if x <= v {
						share++
					}
				}
				require.InDelta(t, share/float64(len(values)), stat(t, got[0], name), stat(t, got[0], name+"_error").(float64)+1e-12, name)
			}
		}
	}
}

func TestWhatCannotBeMergedIsAnError(t *testing.T) {
	t.Parallel()
	s := store{60: {{Tags: "host=h", Field: "f", Agent: "a"}}}
	_, err := s.try(rollup.Plan{})
	require.ErrorIs(t, err, rollup.ErrNoSummary)
	require.EqualError(t, err, `field "f" of the series "host=h" in the bucket 1970-01-01T00:01:00Z: no cached summary`)
	for _, replica := range []string{"", "r"} {
		_, err = store{60: {{Field: "f", Replica: replica, Summary: []byte("no")}}}.try(rollup.Plan{})
		require.ErrorIs(t, err, stats.ErrFormat)
	}
	s = store{}
	s.put(60, record.SummaryPart{Tags: "host=a", Field: "f", Replica: "r"}, 64, 1)
	s[60] = append(s[60], record.SummaryPart{Tags: "host=a", Field: "bad", Replica: "r", Summary: []byte("no")}, record.SummaryPart{Tags: "host=b", Field: "f", Replica: "r", Summary: []byte("no")})
	wanted := record.Wanted{Fields: []string{"f"}, Tags: []series.Tag{{Key: "host", Value: "a"}}}
	require.Len(t, s.roll(t, rollup.Plan{Wanted: wanted}), 1, "summaries of other fields and series are not read")
	for _, field := range []string{"f", "bad"} {
		_, err = s.try(rollup.Plan{Wanted: record.Wanted{Fields: []string{field}}})
		require.ErrorIs(t, err, stats.ErrFormat)
		require.ErrorContains(t, err, map[string]string{"f": `field "f" of the series "host=b" in the bucket 1970-01-01T00:01:00Z: `, "bad": `field "bad" of the series "host=a" in`}[field])
	}
	s = store{}
	for i := range 3 {
		s.put(0, record.SummaryPart{Tags: fmt.Sprint("host=", i), Field: "f"}, 64, 1)
	}
	_, err = s.try(rollup.Plan{MaxGroups: 2})
	require.ErrorIs(t, err, rollup.ErrTooMany)
	_, err = s.try(rollup.Plan{MaxGroups: 3})
	require.NoError(t, err)
	s = store{}
	s.put(-1e10, record.SummaryPart{Field: "f"}, 64, 1)
	_, err = s.try(rollup.Plan{Grid: grid(t, "1d", "UTC")})
	require.ErrorContains(t, err, "outside of the years 1678 to 2261")

	stop, sel := errors.New("stop"), must(stats.NewSelection(nil, stats.Linear))
	r := rollup.New(&rollup.Plan{Selection: sel, ExactLimit: 1, MaxGroups: 1}, func(*record.Record) error { return stop })
	require.NoError(t, r.Add(time.Unix(0, 0), []record.SummaryPart{{Field: "f", Summary: []byte{1, 4, 0}}}))
	require.ErrorIs(t, r.Close(), stop)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// BenchmarkRollUp merges 24,000 compact summaries: a day of 10 series and 5 fields in buckets of 3 minutes, into one record of
// each field and hour.
func BenchmarkRollUp(b *testing.B) {
	rnd := rand.New(rand.NewPCG(5, 6))
	s := store{}
	for start := int64(0); start < 86400; start += 180 {
		for host := range 10 {
			for field := range 5 {
				values := make([]float64, 18)
				for i := range values {
					values[i] = 50 + 10*rnd.NormFloat64()
				}
				s.put(start, record.SummaryPart{Tags: fmt.Sprint("host=", host), Field: fmt.Sprint("f", field), Agent: "a", State: record.Final}, 64, values...)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		records, err := s.try(rollup.Plan{Grid: hours(), Grouped: true, Complete: late})
		if err != nil || len(records) != 24*5 {
			b.Fatalf("%d records, error %v", len(records), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/24000, "ns/summary")
}

// hours returns the grid of hours.
func hours() *bucket.Grid {
	g := must(bucket.NewGrid(must(bucket.ParseWidth("1h")), time.Time{}, nil))
	return &g
}
