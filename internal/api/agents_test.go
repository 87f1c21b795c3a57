package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// summed returns the record of an agent, with the statistics that describe emits by default and a summary of the values.
func summed(r record.Record, agent, replica string, values ...float64) record.Record {
	r = summarized(r, values...)
	r.Agent, r.Replica, r.Stats = agent, replica, nil
	var sum stats.Summary
	if err := sum.UnmarshalBinary(r.Summary); err != nil {
		panic(err)
	}
	all := byDefault.Append(nil, &sum)
	r.Stats = make([]record.Stat, 0, len(all))
	for i, v := range all {
		switch s := byDefault.Statistics()[i]; {
		case v != v:
		case s.Kind() == stats.Count:
			r.Stats = append(r.Stats, record.Stat{Name: record.StatName(s), Value: int64(v)})
		default:
			r.Stats = append(r.Stats, record.Stat{Name: record.StatName(s), Value: v})
		}
	}
	return r
}

// byDefault are the statistics that describe emits by default.
var byDefault = func() *stats.Selection {
	sel, err := stats.NewSelection(nil, stats.Linear)
	if err != nil {
		panic(err)
	}
	return sel
}()

const cpuPath = "/analytics/cpu?database=db"

func TestAgentsThatDescribeOneSeriesGiveOneRecord(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	alone := summed(rec(1, "f", "b", 0), "a2", "", 7)
	both := []record.Record{summed(rec(1, "f", "a", 0), "a1", "", 1, 2, 3), summed(rec(1, "f", "a", 0), "a2", "", 4, 5, 6, 6)}
	older := summed(rec(2, "f", "a", 0), "a1", "", 8)
	both[0].State, both[1].State = record.Final, record.Open
	s.put(t, append(both, alone, older)...)
	got := array(t, s.get(t, cpuPath))
	require.Equal(t, []string{
		string(older.AppendJSON(nil)),
		`{"table_name":"analytics_cpu","field_name":"f","time_bucket":"2026-01-02T03:03:00Z","time":1767322980000,"agent":"","final":false,"cpu":"cpu0","host":"a",` +
			`"count":7,"min":1,"max":6,"mean":3.857142857142857,"median":4,"mode":6,"p95":6,"max_error":0}`,
		string(alone.AppendJSON(nil)),
	}, got, "records of one agent are the stored bytes")
	require.Equal(t, texts([]record.Record{older, both[0], both[1], alone}, func(record.Record) bool { return true }), array(t, s.get(t, cpuPath+"&agents=each")))
	require.Equal(t, got[:2], array(t, s.get(t, cpuPath+"&tag=host=a")))
	require.Equal(t, texts(both, func(r record.Record) bool { return r.Agent == "a2" }), array(t, s.get(t, cpuPath+"&tag=host=a&tag=agent=a2")), "the values of one agent")
	require.Equal(t, []string{got[2], got[1], got[0]}, array(t, s.get(t, cpuPath+"&order=desc")))
	for _, format := range []string{"csv", "jsonl", "lp"} {
		w := s.get(t, cpuPath+"&format="+format)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, 1, strings.Count(w.Body.String(), "3.857142857142857"), w.Body.String())
	}
	p := problemOf(t, s.get(t, cpuPath+"&agents=some"), http.StatusBadRequest)
	require.Equal(t, "query.agents", p.Errors[0].Location)
}

func TestAMergedRecordHasTheStatisticsOfTheStoredOnes(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	one, other := summarized(rec(1, "f", "a", 2), 1, 3), summarized(rec(1, "f", "a", 9), 9)
	one.Stats = []record.Stat{{Name: "count", Value: int64(2)}, {Name: "p99_9", Value: 3.0}, {Name: "ours", Value: 1.0}}
	other.Agent, other.Stats = "a2", []record.Stat{{Name: "count", Value: int64(1)}, {Name: "range", Value: 0.0}}
	s.put(t, one, other, summarized(rec(2, "f", "a", 0), 1), summarized(rec(1, "g", "a", 0), 1))
	got := rows(t, s, cpuPath+"&field=f&last=1")
	require.Len(t, got, 1)
	require.Equal(t, []any{3.0, 8.0, 0.0, nil, nil}, []any{got[0]["count"], got[0]["range"], got[0]["max_error"], got[0]["mean"], got[0]["ours"]})
	require.InDelta(t, 8.988, got[0]["p99_9"], 1e-9)
}

func TestRecordsOfSeveralAgentsWithoutSummariesAreAClearProblem(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	r := rec(1, "f", "a", 1)
	r.Agent = "a2"
	s.put(t, rec(1, "f", "a", 1), r, rec(1, "f", "b", 1), rec(2, "f", "a", 1))
	p := problemOf(t, s.get(t, cpuPath), http.StatusUnprocessableEntity)
	require.Equal(t, `field "f" of the series "cpu=cpu0,host=a" in the bucket 2026-01-02T03:03:00Z: no cached summary, and several agents or replicas have described it, `+
		`whose records cannot be merged without: set emit_summary = "compact" in [[aggregators.describe]] of each, or add agents=each to the request for the record of each`, p.Detail)
	require.Equal(t, "No summaries", p.Title)
	require.Len(t, array(t, s.get(t, cpuPath+"&agents=each")), 4)
	require.Len(t, array(t, s.get(t, cpuPath+"&tag=host=b")), 1)
	require.Len(t, array(t, s.get(t, cpuPath+"&tag=agent=a2")), 1)
}

func TestOfReplicasTheFullestRecordCounts(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	replica := func(minute int, name string, count int64, state record.State) record.Record {
		r := rec(minute, "f", "a", float64(count))
		r.Replica, r.State, r.Stats[0].Value = name, state, count
		return r
	}
	want := []record.Record{replica(4, "y", 7, record.Open), replica(3, "y", 5, record.Final), replica(2, "x", 5, record.Open), replica(1, "z", 9, record.Final)}
	s.put(t, want...)
	s.put(t, replica(4, "x", 6, record.Final), replica(3, "x", 5, record.Open), replica(2, "y", 5, record.Open), replica(1, "x", 8, record.Final), replica(1, "y", 1, record.Open))
	all := func(record.Record) bool { return true }
	require.Equal(t, texts(want, all), array(t, s.get(t, cpuPath)), "without summaries too")
	require.Len(t, array(t, s.get(t, cpuPath+"&agents=each")), 9)
	require.Equal(t, texts([]record.Record{want[1], want[3]}, all), array(t, s.get(t, cpuPath+"&final=true")), "the fullest replica of the first bucket is open")
	require.Len(t, array(t, s.get(t, cpuPath+"&final=true&agents=each")), 4)
	require.Equal(t, texts(want[:1], all)[0], array(t, s.get(t, cpuPath+"&tag=replica=y"))[0])
}

// Without the statistic count, only the summaries show which replica is the fullest.
func TestReplicasWithoutACountAreCountedByTheirSummaries(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	replica := func(field, name string, values ...float64) record.Record {
		r := rec(1, field, "a", 0)
		if len(values) > 0 {
			r = summarized(r, values...)
		}
		r.Replica, r.Stats = name, []record.Stat{{Name: "max", Value: 1.0}}
		return r
	}
	s.put(t, replica("f", "x", 1), replica("f", "y", 2, 3), replica("g", "x"), replica("g", "y"))
	got := rows(t, s, cpuPath+"&field=f")
	require.Len(t, got, 1)
	require.Equal(t, []any{3.0, "a1"}, []any{got[0]["max"], got[0]["agent"]})
	require.Contains(t, problemOf(t, s.get(t, cpuPath), http.StatusUnprocessableEntity).Detail, `field "g"`)
}

// A record of one agent's values would be a wrong number while the other agent's are open.
func TestAMergedRecordIsFinalWhenAllItsRecordsAre(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	put := func(minute int, states ...record.State) {
		for i, state := range states {
			r := summed(rec(minute, "f", "a", 0), fmt.Sprint("a", i), "", float64(i))
			r.State = state
			s.put(t, r)
		}
	}
	put(5, record.Final, record.Final)
	put(4, record.Final, record.Unmarked)
	put(3, record.Final, record.Open)
	put(2, record.Open)
	put(0, record.Unmarked, record.Final)
	s.clock.Store(0)
	var got []string
	for _, r := range rows(t, s, cpuPath+"&final=true") {
		got = append(got, fmt.Sprint(r["time_bucket"].(string)[14:16], r["count"], r["final"]))
	}
	require.Equal(t, []string{"592 true", "002 <nil>"}, got, "the newest bucket has not ended")
	require.Len(t, array(t, s.get(t, cpuPath+"&final=true&agents=each")), 6)
}

func TestTagsThatJSONRenamesAreMerged(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for _, agent := range []string{"a1", `a"2`} {
		r := summed(rec(1, `f","x`, "a", 0), agent, "", 1)
		r.Tags = []series.Tag{{Key: "agent", Value: "x"}, {Key: "mean", Value: "m|,="}, {Key: "ü ", Value: "<\t>"}}
		all = append(all, r)
	}
	s.put(t, all...)
	got := rows(t, s, cpuPath)
	require.Len(t, got, 1)
	require.Equal(t, []any{2.0, "x", "m|,=", "<\t>"}, []any{got[0]["count"], got[0]["agent_tag"], got[0]["mean_tag"], got[0]["ü "]})
}

func TestAgentsOfALargeBucketAreMerged(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for i := range 1500 {
		for _, agent := range []string{"a1", "a2"} {
			all = append(all, summed(rec(1, fmt.Sprintf("f%04d", i), "a", 0), agent, "", float64(i)))
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.put(t, all...)
	got := rows(t, s, cpuPath+"&limit=700")
	require.Len(t, got, 700)
	for i, r := range got {
		require.Equal(t, []any{fmt.Sprintf("f%04d", i), 2.0}, []any{r["field_name"], r["count"]})
	}
	p := problemOf(t, s.get(t, cpuPath), http.StatusUnprocessableEntity)
	require.Regexp(t, "^the answer has (1500|1001) records or more, at most 1000 are allowed: narrow it down with start, end, last, field or tag, or read it in pages with limit$", p.Detail, "a redis-server returns the bucket in parts")
	got = rows(t, s, cpuPath+"&limit=700&agents=each&order=desc")
	require.Equal(t, []any{"f1499", "a2", 1.0}, []any{got[0]["field_name"], got[0]["agent"], got[0]["count"]})
}

// Rolled-up records of each agent.
func TestARollUpKeepsAgentsApart(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for m := range 4 {
		s.put(t, summed(rec(m, "f", "a", 0), "a1", "x", 1, 2), summed(rec(m, "f", "a", 0), "a1", "y", 1), summed(rec(m, "f", "b", 0), "a2", "", 5))
	}
	var got []string
	for _, r := range rows(t, s, cpuPath+"&bucket=1h&group_by=cpu&stats=count&agents=each") {
		got = append(got, fmt.Sprint(r["agent"], r["replica"], r["cpu"], r["count"]))
	}
	require.Equal(t, []string{"a1xcpu08", "a1ycpu04", "a2<nil>cpu04"}, got)
	require.Equal(t, 12.0, rows(t, s, cpuPath+"&bucket=1h&group_by=cpu&stats=count")[0]["count"])
}
