package cache_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// sortedNames returns the hash fields of a bucket in the order of answers, from the JSON of all its records.
func sortedNames(t testing.TB, client redis.UniversalClient, table record.Table, start time.Time) []string {
	t.Helper()
	return namesInOrder(t, table, start, client.HGetAll(t.Context(), cache.BucketKey(table, cache.StartText(start))).Val())
}

// namesInOrder is sortedNames for a bucket that has been read.
func namesInOrder(t testing.TB, table record.Table, start time.Time, bucket map[string]string) []string {
	t.Helper()
	places := make(map[string][2]string, len(bucket))
	form := record.NewForm(table.Name, start)
	for field, text := range bucket {
		o, ok := form.Outline(text)
		require.True(t, ok, text)
		places[field] = [2]string{record.Bounded(o.Field + o.Tags), record.Bounded(o.Agent + o.Replica)}
	}
	return slices.SortedFunc(maps.Keys(places), func(a, b string) int {
		return cmp.Or(strings.Compare(places[a][0], places[b][0]), strings.Compare(places[a][1], places[b][1]), strings.Compare(a, b))
	})
}

// headOf returns the first names of a bucket, or the last ones, and the size.
func headOf(t testing.TB, r *cache.Reader, table record.Table, start time.Time, last bool) (names []string, size int) {
	t.Helper()
	read, size, _, err := r.Head(t.Context(), table, start, last)
	require.NoError(t, err)
	for _, n := range read {
		names = append(names, n.Text)
	}
	return names, size
}

// requireHead fails the test if the first and the last names are not known, and fewer than least, or not those of the bucket.
func requireHead(t testing.TB, client redis.UniversalClient, table record.Table, start time.Time, least int) {
	t.Helper()
	all := sortedNames(t, client, table, start)
	for _, last := range []bool{false, true} {
		names, size := headOf(t, cache.NewReader(client), table, start, last)
		require.Equal(t, len(all), size)
		require.GreaterOrEqual(t, len(names), least)
		require.Equal(t, all[:len(names)], names)
		slices.Reverse(all)
	}
}

// several returns the records of n hosts with two fields and two agents each, in a random order.
func several(rnd *rand.Rand, start int64, from, n int) (records []record.Record) {
	for i := range n {
		for _, field := range []string{"f", "g"} {
			for _, agent := range []string{"a1", "a2"} {
				r := rec(start, field, fmt.Sprint("host", from+i), 1)
				r.Agent = agent
				records = append(records, r)
			}
		}
	}
	rnd.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	return records
}

func TestALargeBucketHasItsFirstAndLastNames(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table, rnd, start := newTable(), rand.New(rand.NewPCG(1, 2)), time.Unix(60, 0).UTC()
		w := writerOf(t, client, withoutCompat)
		reader := cache.NewReader(client)
		put(t, w, table, several(rnd, 60, 0, 10)...) // a small beginning
		_, size := headOf(t, reader, table, start, false)
		require.Equal(t, -1, size, "a small bucket has no head")
		for i := range 5 {
			put(t, w, table, several(rnd, 60, 100*i, 200)...) // half of them again
			put(t, writerOf(t, client, withoutCompat), table, several(rnd, 60, 2000+i, 1)...)
			requireHead(t, client, table, start, 20)
		}
		_, _, lives, err := reader.Head(t.Context(), table, start, false)
		require.NoError(t, err)
		require.InDelta(t, time.Hour, lives, float64(time.Minute))
		require.InDelta(t, time.Hour, client.PTTL(t.Context(), cache.HeadKey(table, "60")).Val(), float64(time.Minute))
		require.LessOrEqual(t, client.ZCard(t.Context(), cache.HeadKey(table, "60")).Val(), int64(65))
	})
}

// A bucket that is large for a writer only because of several writes, and one whose names are all in the head.
func TestABucketThatBecomesLargeHasAHead(t *testing.T) {
	t.Parallel()
	client, rnd := server(t), rand.New(rand.NewPCG(3, 4))
	w := writerOf(t, client, func(o *cache.Options) { o.RecentBytes = 1 << 20 })
	w.SetHeads(32, 10, 100)
	for i := range 20 {
		put(t, w, table, several(rnd, 60, i, 1)...)
	}
	requireHead(t, client, table, time.Unix(60, 0), 28)
	put(t, w, table, several(rnd, 120, 0, 5)...)
	requireHead(t, client, table, time.Unix(120, 0), 20)
}

func TestAHeadThatMayLackANameIsNotUsed(t *testing.T) {
	t.Parallel()
	start := time.Unix(60, 0).UTC()
	first := rec(60, "a", "a", 1)
	for what, spoil := range map[string]func(t *testing.T, client *redis.Client, w *cache.Writer){
		"written by a writer without heads": func(t *testing.T, client *redis.Client, _ *cache.Writer) {
			other := writerOf(t, client, withoutCompat)
			other.RefuseHeads()
			put(t, other, table, first)
		},
		"the head is evicted": func(t *testing.T, client *redis.Client, w *cache.Writer) {
			require.NoError(t, client.Del(t.Context(), cache.HeadKey(table, "60")).Err())
			put(t, w, table, first)
		},
		"the bucket is evicted": func(t *testing.T, client *redis.Client, w *cache.Writer) {
			require.NoError(t, client.Del(t.Context(), cache.BucketKey(table, "60")).Err())
			put(t, w, table, several(rand.New(rand.NewPCG(5, 6)), 60, 0, 200)...)
		},
		"the writer ended before it offered the name": func(t *testing.T, client *redis.Client, _ *cache.Writer) {
			c := redistest.Open(t, fmt.Sprintf("%s/%d", client.Options().Addr, client.Options().DB))
			c.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
				if named(commands, "zremrangebyrank") > 0 && named(commands, "multi") > 0 {
					return errors.New("ended")
				}
				return next()
			}))
			put(t, cache.NewWriter(c, cache.Options{Retention: time.Hour}), table, first)
		},
		"a tag got another name in JSON": func(t *testing.T, _ *redis.Client, w *cache.Writer) {
			clash := rec(60, "z", "z", 1)
			clash.Stats = append(clash.Stats, record.Stat{Name: "host", Value: 1.5})
			put(t, w, table, clash)
		},
		"it has another member": func(t *testing.T, client *redis.Client, _ *cache.Writer) {
			require.NoError(t, client.ZAdd(t.Context(), cache.HeadKey(table, "60"), redis.Z{Score: -1, Member: "x"}).Err())
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			client := server(t)
			w := writerOf(t, client, withoutCompat)
			put(t, w, table, several(rand.New(rand.NewPCG(5, 6)), 60, 0, 200)...)
			requireHead(t, client, table, start, 20)
			spoil(t, client, w)
			_, size, _, err := cache.NewReader(client).Head(t.Context(), table, start, false)
			if err == nil || !errors.Is(err, record.ErrUnclear) {
				require.NoError(t, err)
				require.Equal(t, -1, size)
			}
			put(t, w, table, several(rand.New(rand.NewPCG(5, 6)), 120, 0, 200)...)
			if what != "a tag got another name in JSON" {
				requireHead(t, client, table, time.Unix(120, 0), 20)
			}
		})
	}
}

func TestTheHeadOfARemovedBucketIsRemoved(t *testing.T) {
	t.Parallel()
	client, c := server(t), newClock(time.Now().Unix())
	w := writerOf(t, client, func(o *cache.Options) { o.MaxBuckets, o.Now = 1, c.now })
	w.SetHeads(32, 2, 100)
	for _, start := range []int64{60, 120} {
		c.at.Add(61)
		put(t, w, table, rec(start, "f", "a", 1), rec(start, "f", "b", 1))
	}
	require.EqualValues(t, 1, client.Exists(t.Context(), cache.HeadKey(table, "60"), cache.HeadKey(table, "120")).Val())
	requireHead(t, client, table, time.Unix(120, 0), 2)
}

// A bucket with too many names for a head gets none, and its writers do not try again.
func TestAHeadThatBeginsTooLateIsGivenUp(t *testing.T) {
	t.Parallel()
	client, rnd := server(t), rand.New(rand.NewPCG(7, 8))
	old := writerOf(t, client, nil)
	old.RefuseHeads()
	w := writerOf(t, client, nil)
	w.SetHeads(32, 500, 700)
	put(t, old, table, several(rnd, 60, 0, 200)...)
	for i := range 3 {
		put(t, w, table, several(rnd, 60, 300*i, 200)...)
		require.LessOrEqual(t, client.ZCard(t.Context(), cache.HeadKey(table, "60")).Val(), int64(65))
		require.Positive(t, client.ZCard(t.Context(), cache.HeadKey(table, "60")).Val())
		_, size := headOf(t, cache.NewReader(client), table, time.Unix(60, 0), false)
		require.Equal(t, -1, size)
	}
}

// The model: writers of all kinds write batches, are interrupted in the middle by others and by evictions, and end before they have offered
// the names. A head that is believed always has the first names, or names that are evicted.
func TestAHeadThatIsUsedIsRight(t *testing.T) {
	t.Parallel()
	seeds := 12
	if testing.Short() {
		seeds = 4
	}
	for seed := range uint64(seeds) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			client, server := inProcess(t)
			m := &headModel{
				T: t, rnd: rand.New(rand.NewPCG(seed, 1)), client: client, server: server, reader: cache.NewReader(client),
				outdated: seed%3 == 0, busy: make(map[*cache.Writer]bool), checked: make(map[int64]bucketState),
			}
			m.reader.SetHeads(3)
			for i := range 4 {
				m.writers = append(m.writers, m.writer(i))
			}
			for range 120 {
				m.step()
				m.check()
			}
			require.Positive(t, m.believed)
		})
	}
}

// headModel is one run of the model.
type headModel struct {
	*testing.T
	rnd      *rand.Rand
	client   *redis.Client
	server   *miniredis.Miniredis
	reader   *cache.Reader
	writers  []*cache.Writer
	outdated bool // whether some writers keep no heads; then no bucket is evicted alone
	busy     map[*cache.Writer]bool
	checked  map[int64]bucketState // by start, as of the last check
	believed int
}

// writer returns a writer whose offers of names can be interrupted.
func (m *headModel) writer(i int) *cache.Writer {
	c := redistest.Open(m.T, m.client.Options().Addr)
	c.AddHook(headHook(func(ctx context.Context, commands []redis.Cmder, next func() error) error {
		if ctx.Value(modelKey{}) == nil || named(commands, "multi") == 0 {
			return next()
		}
		offers := named(commands, "hset") == 0
		switch n := m.rnd.IntN(100); {
		case n < 10 && offers:
			m.step() // before the offer
		case n < 12 && offers:
			return errors.New("the writer ends")
		case n < 13:
			if err := next(); err != nil {
				return err
			}
			return next() // the client sends it twice
		}
		return next()
	}))
	w := cache.NewWriter(c, cache.Options{Retention: time.Hour, RecentBytes: int64(m.rnd.IntN(2) << 20), MaxBuckets: 3})
	m.Cleanup(func() { _ = w.Close(patience) })
	w.SetHeads(3, 4, 20)
	if m.outdated && i == 0 {
		w.RefuseHeads()
	}
	return w
}

// step writes a batch, or evicts a key.
func (m *headModel) step() {
	start := int64(60 * (1 + m.rnd.IntN(4)))
	bucket := cache.StartText(time.Unix(start, 0))
	switch n := m.rnd.IntN(100); {
	case n < 2:
		m.client.Del(m.Context(), cache.HeadKey(table, bucket))
	case n < 4 && m.outdated:
		m.client.Del(m.Context(), cache.HeadKey(table, bucket), cache.BucketKey(table, bucket))
	case n < 4:
		m.client.Del(m.Context(), cache.BucketKey(table, bucket))
	case n < 5:
		m.client.FlushAll(m.Context())
	default:
		m.write(start)
	}
}

// write writes a batch by a writer that does not write.
func (m *headModel) write(start int64) {
	w := m.writers[m.rnd.IntN(len(m.writers))]
	if m.busy[w] {
		return
	}
	m.busy[w] = true
	defer delete(m.busy, w)
	if m.rnd.IntN(100) == 0 {
		_ = w.Audit(context.WithValue(m.Context(), modelKey{}, true))
		return
	}

	var records []record.Record
	for range 1 + m.rnd.IntN(8) {
		r := rec(start, fmt.Sprint("f", m.rnd.IntN(3)), fmt.Sprint("h", m.rnd.IntN(6)), m.rnd.Float64())
		r.Agent = fmt.Sprint("a", m.rnd.IntN(2))
		if m.rnd.IntN(10) == 0 {
			r.Tags = []series.Tag{{Key: "host", Value: strings.Repeat("long", 80) + strconv.Itoa(m.rnd.IntN(3))}}
		}
		records = append(records, r)
	}
	_ = w.Put(context.WithValue(m.Context(), modelKey{}, true), table, records)
}

// modelKey is the key of a value that the contexts of the model have. The repairs of a writer, in its goroutine, have others.
type modelKey struct{}

// headHook is pipelines with the context.
type headHook func(ctx context.Context, commands []redis.Cmder, next func() error) error

func (headHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (headHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h headHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		return h(ctx, commands, func() error { return next(ctx, commands) })
	}
}

// bucketState is everything that an answer about the first names of a bucket depends on.
type bucketState struct {
	records map[string]string
	head    []redis.Z
	names   []string // of fields and tags in the table
}

func (s bucketState) equal(o bucketState) bool {
	return slices.Equal(s.head, o.head) && slices.Equal(s.names, o.names) && maps.Equal(s.records, o.records)
}

// state returns the state of a bucket. It reads the server in this process without a connection, which takes a fraction of the time.
func (m *headModel) state(at time.Time) bucketState {
	s := bucketState{records: make(map[string]string)}
	bucket, head := cache.BucketKey(table, cache.StartText(at)), cache.HeadKey(table, cache.StartText(at))
	for _, name := range m.exists(m.server.HKeys(bucket)) {
		if text := m.server.HGet(bucket, name); text != "" { // it has not been removed meanwhile
			s.records[name] = text
		}
	}
	for _, member := range m.exists(m.server.ZMembers(head)) {
		score, _ := m.server.ZScore(head, member)
		s.head = append(s.head, redis.Z{Score: score, Member: member})
	}
	s.names = m.exists(m.server.ZMembers(cache.NamesKey(table)))
	return s
}

// exists returns the members of a key, or none if there is no key.
func (m *headModel) exists(members []string, err error) []string {
	if !errors.Is(err, miniredis.ErrKeyNotFound) {
		require.NoError(m, err)
	}
	return members
}

// check compares the heads with the buckets. The answers about a bucket that is as it was after the step before would be the same again.
func (m *headModel) check() {
	for start := int64(60); start <= 240; start += 60 {
		at := time.Unix(start, 0).UTC()
		state := m.state(at)
		if checked, ok := m.checked[start]; ok && checked.equal(state) {
			continue
		}
		m.checked[start] = state
		m.checkBucket(at, namesInOrder(m.T, table, at, state.records))
	}
}

// checkBucket compares the head of a bucket with its names, which have been read before.
func (m *headModel) checkBucket(at time.Time, all []string) {
	for _, last := range []bool{false, true} {
		names, size := headOf(m.T, m.reader, table, at, last)
		gone := slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(all, name) })
		if size < 0 || gone || len(all) < size { // in the last case, a repair in the background has added names meanwhile
			continue
		}
		want := slices.Clone(all)
		if last {
			slices.Reverse(want)
		}
		require.Len(m, want, size)
		require.Equal(m, want[:len(names)], names)
		m.believed++
	}
}

// checkFirst reports an error if the first names are not those of the bucket, unless the head is not complete or the bucket has changed
// meanwhile.
func checkFirst(t testing.TB, client redis.UniversalClient, table record.Table, start time.Time) {
	t.Helper()
	names, size := headOf(t, cache.NewReader(client), table, start, false)
	if size < 0 {
		return
	}
	if all := sortedNames(t, client, table, start); len(all) == size {
		assert.Equal(t, all[:len(names)], names)
	}
}

// Writers that write one bucket at the same time keep its head complete. Each waits for a look at the head twice: when it has written its
// records and not yet offered their names, and after that. The other writers go on meanwhile.
func TestWritersKeepTheHeadOfABucketTogether(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, client redis.UniversalClient) {
		table, looks := newTable(), make(chan chan struct{})
		look := func() {
			done := make(chan struct{})
			looks <- done
			<-done
		}
		client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
			err := next()
			if named(commands, "hset") > 0 {
				look()
			}
			return err
		}))
		var wg sync.WaitGroup
		for i := range 4 {
			w := writerOf(t, client, withoutCompat)
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 9))
				for n := range 4 {
					from, hosts := 1000*i, 150 // a large batch, which begins the head
					if n > 0 {
						from, hosts = 1000*i+140+10*n, 20 // half of them again
					}
					if err := w.Put(t.Context(), table, several(rnd, 60, from, hosts)); err != nil {
						t.Error(err)
					}
					look()
				}
			})
		}
		go func() {
			wg.Wait()
			close(looks)
		}()
		for done := range looks {
			checkFirst(t, client, table, time.Unix(60, 0))
			close(done)
		}
		requireHead(t, client, table, time.Unix(60, 0), 20)
	})
}

func FuzzHeadMembers(f *testing.F) {
	f.Add("f", "host", "a", "name|f|a", "g", "b")
	f.Add("f", strings.Repeat("k", 300), "a\x00", "\x00", "\xff", "")
	f.Fuzz(func(t *testing.T, field, key, agent, name, other, value string) {
		if got, ok := cache.NameOfMember(name); ok {
			require.True(t, strings.HasSuffix(name, "\x00"+got))
		}
		form := record.NewForm("analytics_cpu", time.Unix(60, 0))
		member := func(field, agent string) (string, record.Outline) {
			r := rec(60, field, value, 1)
			r.Agent, r.Tags = agent, []series.Tag{{Key: "x" + key, Value: value}}
			o, ok := form.Outline(string(r.AppendJSON(nil)))
			require.True(t, ok)
			m := string(cache.AppendHeadMember(nil, &o, []byte(name)))
			got, ok := cache.NameOfMember(m)
			require.True(t, ok)
			require.Equal(t, name, got)
			return m, o
		}
		a, x := member(field, agent)
		b, y := member(other, key)
		want := cmp.Or(strings.Compare(record.Bounded(x.Field+x.Tags), record.Bounded(y.Field+y.Tags)),
			strings.Compare(record.Bounded(x.Agent+x.Replica), record.Bounded(y.Agent+y.Replica)))
		require.Equal(t, want, strings.Compare(a, b))
	})
}
