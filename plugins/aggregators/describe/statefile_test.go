package describe_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/influxdata/telegraf/persister"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// restarted returns an aggregator that has loaded the state file of another one.
func restarted(t *testing.T, before open, edit func(*describe.Describe)) open {
	t.Helper()
	path := t.TempDir() + "/state"
	old := persister.Persister{Filename: path}
	require.NoError(t, old.Init())
	require.NoError(t, old.Register(before.ID(), before.Describe))
	require.NoError(t, old.Store())

	after := describer(t, edit)
	after.clock.set(before.clock.now())
	p := persister.Persister{Filename: path}
	require.NoError(t, p.Init())
	require.NoError(t, p.Register(after.ID(), after.Describe))
	require.NoError(t, p.Load())
	return after
}

func TestTheStateFileHasTheOpenBucketsAndTheSpansOfFinalOnes(t *testing.T) {
	options := func(d *describe.Describe) {
		d.Bucket, d.Emit, d.ExactLimit, d.Stats = "1h", "both", 20, []string{"count", "sum", "mode", "first", "last", "stddev", "p95"}
	}
	a, b := describer(t, options), describer(t, options)
	add := func(o open, i int) {
		at := bucketStart.Add(time.Duration(i) * time.Minute)
		for host := range 3 {
			o.Add(point(map[string]string{"host": fmt.Sprint("h,", host)}, map[string]any{"v": float64(i*i%97) + 0.1, fmt.Sprint("f", i%5): float64(i)}, at))
		}
	}
	for i := range 30 { // the first bucket, which becomes final
		add(a, i)
		add(b, i)
	}
	a.push()
	b.push()
	a.clock.set(a.clock.now().Add(time.Hour))
	b.clock.set(b.clock.now().Add(time.Hour))
	a.push()
	b.push()
	for i := 60; i < 100; i++ {
		add(a, i)
		add(b, i)
	}
	a.push()
	b.push()
	a = restarted(t, a, options)
	require.Empty(t, a.push(), "rows that were emitted are not emitted again")
	for i := 90; i < 130; i++ {
		add(a, i)
		add(b, i)
	}
	add(a, 3)
	add(b, 3)
	require.ElementsMatch(t, texts(b.push()), texts(a.push()), "as without the restart, to the last bit")
	require.Equal(t, int64(6), a.stat("values_late"))
}

func TestChangedOptionsMakeTheBucketsOfTheStateFileFinal(t *testing.T) {
	before := describer(t, func(d *describe.Describe) { d.Bucket, d.Emit = "1h", "both" })
	before.values(bucketStart, 1.0, 2.0)
	before.push()
	after := restarted(t, before, func(d *describe.Describe) { d.Bucket, d.Emit = "2h", "both" })
	require.Len(t, after.log.Warnings(), 1)
	require.Contains(t, after.log.Warnings()[0], `"bucket":"1h"`)
	rows := after.push()
	require.Equal(t, []string{"final"}, states(rows))
	require.Equal(t, int64(2), rows[0].Fields()["count"])
	require.Empty(t, after.push())
}

// The ID of a block depends on its alias, but not on group_by and booleans.
func TestBucketsOfTheStateFileContinueWithChangedOptionsThatKeepThem(t *testing.T) {
	before := describer(t, func(d *describe.Describe) { d.Bucket, d.Emit = "1h", "both" })
	before.values(bucketStart, 1.0, 2.0)
	before.push()
	before.clock.set(before.clock.now().Add(10 * time.Minute))
	require.Equal(t, []string{"final"}, states(before.push()))
	before.values(bucketStart.Add(time.Hour), 1.0, 2.0)
	before.push()
	after := restarted(t, before, func(d *describe.Describe) { d.Bucket, d.Emit, d.Booleans = "1h", "both", "ignore" })
	after.values(bucketStart, 3.0)
	after.values(bucketStart.Add(time.Hour), 3.0)
	require.Equal(t, []string{"open r0 n3"}, counts(after.push()))
	require.Equal(t, int64(1), after.stat("values_late"), "a row of that value alone would replace the right one")
}

func TestAStateThatCannotBeUsedIsLoggedAndIgnored(t *testing.T) {
	good := describer(t, nil)
	good.values(bucketStart, 1.0)
	state := good.GetState().(describe.FileState)
	for name, bad := range map[string]any{
		"another type":    "text",
		"another version": describe.FileState{Version: 99},
		"a bad series":    describe.FileState{Version: 1, Identity: state.Identity, Open: []describe.FileBucket{{Series: "a,,"}}},
		"a bad summary":   describe.FileState{Version: 1, Identity: state.Identity, Open: []describe.FileBucket{{Series: "a", Summaries: map[string][]byte{"f": {9}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := describer(t, nil)
			require.NoError(t, o.SetState(bad))
			require.Len(t, o.log.Errors(), 1)
			o.values(bucketStart, 1.0)
			require.Len(t, o.push(), 1, "it goes on, empty")
		})
	}
	text, err := json.Marshal(newDescribe().GetState())
	require.NoError(t, err)
	require.NotEqual(t, "null", string(text), "there is a state before Init too")
}

func TestTheIDDependsOnTheOptionsThatDistinguishBlocks(t *testing.T) {
	ids := make(map[string]string)
	for _, block := range []string{"", "prefix = \"x_\"", "alias = \"b\"", "namepass = [\"cpu\"]", "namedrop = [\"cpu\"]",
		"fieldinclude = [\"a\"]", "fieldexclude = [\"a\"]", "metricpass = \"fields.a > 0\"", "[aggregators.describe.tagpass]\n  host = [\"a\"]"} {
		id := loaded(t, "[[aggregators.describe]]\n"+block+"\n").ID()
		require.NotContains(t, ids, id)
		ids[id] = block
	}
	same := loaded(t, "[[aggregators.describe]]\nbucket = \"1h\"\nstats = [\"max\"]\n").ID()
	require.Contains(t, ids, same, "options of buckets may change")
}
