package cache_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	resp "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// outlines reads the names of a bucket. It returns their outlines, and the results of Names.
func outlines(t testing.TB, client redis.UniversalClient, table record.Table, start time.Time) (names map[string]record.Outline, size int, err error) {
	t.Helper()
	names = make(map[string]record.Outline)
	size, _, err = cache.NewReader(client).Names(t.Context(), table, start, func(part []record.Name) error {
		for _, n := range part {
			names[strings.Clone(n.Text)] = n.Outline
		}
		return nil
	})
	return names, size, err
}

// modern returns a client of a Redis in this process that sends the names of hash fields alone, as Redis 7.4 and Valkey 8 do: HSCAN
// with NOVALUES answers with a cursor and fields. It counts the fields that it has sent alone.
func modern(t testing.TB) (client *redis.Client, sent *atomic.Int64) {
	t.Helper()
	client, m := inProcess(t)
	sent = new(atomic.Int64)
	m.Server().SetPreHook(func(peer *resp.Peer, command string, args ...string) bool {
		if command != "HSCAN" || !strings.EqualFold(args[len(args)-1], "novalues") || !m.Exists(args[0]) {
			return false
		}
		fields, err := m.HKeys(args[0])
		if err != nil {
			return false
		}
		const most = 1000 // of one answer
		from, _ := strconv.Atoi(args[1])
		fields, next := fields[from:], 0
		if len(fields) > most {
			fields, next = fields[:most], from+most
		}
		sent.Add(int64(len(fields)))
		peer.WriteLen(2)
		peer.WriteBulk(strconv.Itoa(next))
		peer.WriteStrings(fields)
		return true
	})
	return client, sent
}

func TestNamesAreReadAloneIfTheServerSendsThem(t *testing.T) {
	t.Parallel()
	client, sent := modern(t)
	start := fillBuckets(t, client, table, 2500)[0]
	want := make(map[string]bool)
	for _, field := range client.HKeys(t.Context(), cache.BucketKey(table, cache.StartText(start))).Val() {
		want[field] = true
	}
	names, size, err := outlines(t, client, table, start)
	require.NoError(t, err)
	require.Equal(t, 2500, size)
	require.EqualValues(t, 2500, sent.Load())
	require.Len(t, names, 2500)
	for name := range names {
		require.True(t, want[name], name)
	}
}

// How long a bucket lives shows until when its names are those that were read.
func TestTheLifeOfABucketIsReadWithItsNames(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	admin := redistest.Client(t, s)
	setUser(t, admin, "reader", readerACL)
	setUser(t, admin, "old", strings.Replace(readerACL, " +pttl", "", 1))
	began := time.Now()
	put(t, writerOf(t, admin, nil), table, rec(60, "f", "h", 1))
	put(t, writerOf(t, admin, nil), table, rec(120, "f", "h", 1))
	require.NoError(t, admin.Persist(t.Context(), cache.BucketKey(table, "120")).Err())
	for _, test := range []struct {
		user  string
		start int64
		want  time.Duration
	}{{"reader", 60, time.Hour}, {"reader", 120, math.MaxInt64}, {"reader", 180, 0}, {"old", 60, 0}} {
		_, lives, err := cache.NewReader(dialAs(t, test.user, 0, s.Addr())).Names(t.Context(), table, time.Unix(test.start, 0), func([]record.Name) error { return nil })
		require.NoError(t, err)
		require.LessOrEqual(t, lives, test.want, test)
		// Redis reads its clock a moment before or after this process.
		require.GreaterOrEqual(t, lives, max(0, test.want-time.Since(began)-time.Second), test)
	}
}

// A name shows what the JSON of its record has before the statistics, whatever characters it contains.
func TestNamesShowTheOutlinesOfTheirRecords(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		texts := []string{"", "a", "a b", "a,b=c", `q"\`, "%|{}:", "\xff", "é<>&", "\x00\n", "x\\", "agent", "time", "count", "p99", "host"}
		var records []record.Record
		for i, text := range texts {
			r := rec(0, "f"+text, "h", float64(i))
			r.Agent, r.Replica = "a"+text, text
			r.Tags = []series.Tag{{Key: text, Value: texts[(i+3)%len(texts)]}, {Key: text + "x", Value: text}}
			records = append(records, r)
		}
		records[0].Tags = nil
		put(t, writerOf(t, client, nil), table, records...)
		names, size, err := outlines(t, client, table, records[0].Start)
		require.NoError(t, err)
		require.Equal(t, len(records), size)
		require.Len(t, names, len(records))
		form := record.NewForm(table.Name, records[0].Start)
		for _, r := range records {
			want, ok := form.Outline(string(r.AppendJSON(nil)))
			require.True(t, ok)
			want.Stats = ""
			require.Equal(t, want, names[cache.HashField(r)], "%q", cache.HashField(r))
		}
	})
}

// A tag with the name of a statistic has another name in JSON. If that is not certain from the names, they are not used.
func TestNamesThatDoNotShowTheirRecordAreAnError(t *testing.T) {
	t.Parallel()
	client := server(t)
	for what, edit := range map[string]func(*record.Record){
		"a tag with the name of a statistic": func(r *record.Record) { r.Stats = append(r.Stats, record.Stat{Name: "host", Value: 1.5}) },
		"a tag that could be a renamed one":  func(r *record.Record) { r.Tags = append(r.Tags, series.Tag{Key: "host_tag", Value: "b"}) },
	} {
		table, r := newTable(), rec(0, "f", "a", 1)
		edit(&r)
		put(t, writerOf(t, client, nil), table, rec(0, "f", "b", 1), r)
		_, _, err := outlines(t, client, table, r.Start)
		require.ErrorIs(t, err, record.ErrUnclear, what)
	}
	table, both := newTable(), rec(0, "f", "a", 1)
	both.Tags = append([]series.Tag{{Key: "agent", Value: "x"}}, both.Tags...) // it is renamed, which the names show
	both.Stats = append(both.Stats, record.Stat{Name: "host", Value: 1.5})
	put(t, writerOf(t, client, nil), table, both)
	_, _, err := outlines(t, client, table, both.Start)
	require.ErrorIs(t, err, record.ErrUnclear, "a renamed tag before the one that is not certain")
	for _, garbage := range []string{"garbage", "host|f|a1", "host=%zz|f|a1", "host=a|%zz|a1", "h%zz=a|f|a1"} {
		table, r := newTable(), rec(0, "f", "a", 1)
		put(t, writerOf(t, client, nil), table, r)
		require.NoError(t, client.HSet(t.Context(), cache.BucketKey(table, "0"), garbage, "{}").Err())
		_, _, err := outlines(t, client, table, r.Start)
		require.ErrorIs(t, err, record.ErrUnclear, garbage)
	}
	table = newTable()
	require.NoError(t, client.Set(t.Context(), cache.BucketKey(table, "60"), "x", time.Minute).Err())
	_, _, err = outlines(t, client, table, time.Unix(60, 0))
	require.ErrorAs(t, err, new(*record.Corrupt))
}

// The names of a large bucket come in parts. Their number is not known if records are added meanwhile.
func TestNamesOfALargeBucket(t *testing.T) {
	t.Parallel()
	client, table := server(t), newTable()
	start := fillBuckets(t, client, table, 6000)[0]
	names, size, err := outlines(t, client, table, start)
	require.NoError(t, err)
	require.Len(t, names, 6000)
	require.Equal(t, 6000, size)
	w, parts, reader := writerOf(t, client, nil), 0, cache.NewReader(client)
	size, _, err = reader.Names(t.Context(), table, start, func([]record.Name) error {
		parts++
		put(t, w, table, rec(0, "f", fmt.Sprint("later", parts), 1))
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, parts, 2)
	require.Equal(t, -1, size)
	enough := errors.New("enough")
	_, _, err = reader.Names(t.Context(), table, start, func([]record.Name) error { return enough })
	require.ErrorIs(t, err, enough)
}

func TestNamedRecordsAreRead(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table := newTable()
		start := fillBuckets(t, client, table, 3000)[0]
		var names, want []string
		for i := range 3000 {
			r := rec(0, "f", fmt.Sprintf("host%06d", i), 0)
			names, want = append(names, cache.HashField(r)), append(want, string(r.AppendJSON(nil)))
		}
		names, want = slices.Insert(names, 1700, "no such name"), slices.Insert(want, 1700, "")
		reader := cache.NewReader(client)
		var got []string
		trips := 0
		for ; len(got) < len(names); trips++ {
			texts, size, err := reader.Named(t.Context(), table, start, names[len(got):])
			require.NoError(t, err)
			require.NotEmpty(t, texts)
			require.Equal(t, 3000, size)
			got = append(got, texts...)
		}
		require.Equal(t, want, got)
		require.Greater(t, trips, 1)
		got, size, err := reader.Named(t.Context(), table, start.Add(time.Minute), names[:2])
		require.NoError(t, err)
		require.Equal(t, []string{"", ""}, got)
		require.Zero(t, size)
		got, size, err = reader.Named(t.Context(), table, start, nil)
		require.NoError(t, err)
		require.Empty(t, got)
		require.Equal(t, 3000, size)
	})
}
