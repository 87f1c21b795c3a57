package cache_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// A transaction was sent before Redis stopped to answer, and the writer gave it up after its timeout. Redis runs it after the
// later ones, which came by other connections.
func TestATransactionThatRedisRunsTooLateIsUndone(t *testing.T) {
	t.Parallel()
	client := server(t)
	var late []redis.Cmder
	client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
		if late == nil && named(commands, "hset") > 0 {
			late = commands
		}
		return next()
	}))
	w := keeping(t, client, nil)
	put(t, w, table, of(record.Open, 60, "f", 1), of(record.Open, 120, "f", 1))
	put(t, w, table, finalAt(60, "f", 0, 2), of(record.Open, 120, "f", 2))
	put(t, w, table, of(record.Open, 120, "f", 3))
	other := redistest.Open(t, client.Options().Addr)
	tx := other.TxPipeline()
	require.NoError(t, tx.Do(t.Context(), "select", client.Options().DB).Err())
	for _, c := range late {
		if name := c.Name(); name != "multi" && name != "exec" {
			tx.Do(t.Context(), c.Args()...)
		}
	}
	if _, err := tx.Exec(t.Context()); !errors.Is(err, redis.Nil) { // the answer for buckets without a head
		require.NoError(t, err)
	}
	require.Equal(t, jsonOf(of(record.Open, 60, "f", 1), of(record.Open, 120, "f", 1)), all(t, client, table, record.Range{}))
	put(t, w, table, of(record.Open, 180, "f", 1))
	eventually(t, client, table, finalAt(60, "f", 0, 2), of(record.Open, 120, "f", 3), of(record.Open, 180, "f", 1))
}

// While a cluster moves a slot, a transaction can have keys on both servers.
func TestATableIsWrittenAfterItsSlotHasMoved(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	client := dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[0], "redis://" + addrs[1]}})
	w := keeping(t, client, func(o *cache.Options) {
		o.CompatRecords = 0
		o.Restored = func(int, int) { t.Error("nothing is lost") }
	})
	put(t, w, table, finalAt(60, "f", 1, 1), of(record.Open, 120, "f", 1))
	move := moveSlot(t, addrs, cache.VersionKey(table))

	next := []record.Record{finalAt(60, "f", 0, 9), of(record.Open, 120, "f", 2), of(record.Open, 180, "f", 1)}
	keys := keysOf(table, "60", "120")
	move.begin()
	for i := range keys { // a part of the keys has moved
		move.key(keys[i])
		if i%5 > 0 {
			continue
		}
		if err := putWithin(t, w, 300*time.Millisecond, next); err != nil {
			require.ErrorContains(t, err, "TRYAGAIN")
			require.ErrorContains(t, cache.DialOptions{}.Explain(err, cache.Names{}), ": the cluster moves the table to another server")
		}
		require.NoError(t, w.Audit(t.Context()))
	}
	move.end()
	put(t, w, table, next...)
	require.Equal(t, jsonOf(finalAt(60, "f", 1, 1), of(record.Open, 120, "f", 2), of(record.Open, 180, "f", 1)), all(t, client, table, record.Range{}))
	require.NoError(t, w.Audit(t.Context()))
	require.Positive(t, w.Outdated())
}

// putWithin writes records within a time. On a machine that is so busy that the time is over before an answer of the cluster, it tries
// again with a longer one.
func putWithin(t *testing.T, w *cache.Writer, most time.Duration, records []record.Record) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	err := w.Put(ctx, table, records)
	if err != nil && !strings.Contains(err.Error(), "TRYAGAIN") && most < patience {
		return putWithin(t, w, 2*most, records)
	}
	return err
}

// A write waits while the keys of its table are on two servers.
func TestATableIsWrittenWhileItsSlotMoves(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	client := dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[0], "redis://" + addrs[1]}})
	w := writerOf(t, client, withoutCompat) // a rebuild in the background would be refused too
	put(t, w, table, of(record.Open, 60, "f", 1))
	move := moveSlot(t, addrs, cache.VersionKey(table))
	move.begin()
	move.key(cache.VersionKey(table))
	refused := 0
	client.AddHook(pipelines(func(_ []redis.Cmder, next func() error) error {
		err := next()
		if redis.IsTryAgainError(err) || redis.IsExecAbortError(err) {
			if refused++; refused == 2 {
				move.end()
			}
		}
		return err
	}))
	put(t, w, table, of(record.Open, 60, "f", 2), of(record.Open, 120, "f", 1))
	require.Equal(t, 2, refused)
	require.Equal(t, jsonOf(of(record.Open, 60, "f", 2), of(record.Open, 120, "f", 1)), all(t, client, table, record.Range{}))
}

// A slot goes from server to server while its table is written and read. Nothing fails, whatever it meets: keys on the old server, on both, on the
// new one, or a server that another one still takes for the owner. On a machine so busy that a move takes longer than all pauses of the
// client, the call is made again.
func TestNothingFailsWhileASlotMovesAgainAndAgain(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	for name, servers := range map[string][]string{"one address": addrs[:1], "all addresses": addrs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newTable()
			var o cache.DialOptions
			for _, addr := range servers {
				o.Servers = append(o.Servers, "redis://"+addr)
			}
			client := dial(t, o)
			w := keeping(t, client, func(o *cache.Options) {
				o.Restored = func(tables, records int) {
					t.Errorf("nothing is lost, but %d records of %d tables are written again", records, tables)
				}
			})
			put(t, w, table, finalAt(0, "f", 1, 1))
			var writes atomic.Int64
			var moves moveTimes
			var stopped sync.WaitGroup
			stop := make(chan struct{})
			end := sync.OnceFunc(func() {
				close(stop)
				stopped.Wait()
			})
			defer end()
			stopped.Go(func() {
				for n := int64(1); ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					records := []record.Record{finalAt(60*(n%7), "f", n, float64(n)), of(record.Open, 600+60*(n%50), "f", float64(n))}
					assert.NoError(t, moves.call(func() error { return w.Put(t.Context(), table, records) }), "write %d", n)
					writes.Add(1)
				}
			})
			reader := cache.NewReader(client)
			stopped.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					var starts []time.Time
					found := 0
					assert.NoError(t, moves.call(func() (err error) {
						starts, err = reader.Buckets(t.Context(), table, record.Range{})
						return err
					}))
					assert.NoError(t, moves.call(func() error {
						found = 0
						return reader.Records(t.Context(), table, starts, 0, func(part record.Part) error {
							found += len(part.Texts)
							return nil
						})
					}))
					assert.GreaterOrEqual(t, found, len(starts))
				}
			})
			move := moveSlot(t, addrs, cache.VersionKey(table))
			for range slotMoves() {
				before := writes.Load()
				moves.began()
				move.begin()
				move.end()
				moves.ended()
				require.Eventually(t, func() bool { return writes.Load() > before+1 }, patience, time.Millisecond)
				move = move.next()
			}
			end()
			t.Logf("%d writes", writes.Load())
			require.NoError(t, w.Audit(t.Context()))
			require.Zero(t, w.Restored())
		})
	}
}

// slowMove is less than the sum of a client's pauses between the tries of a command that is refused because its slot moves, 750 ms.
const slowMove = 500 * time.Millisecond

// moveTimes are the times of moves, one after another.
type moveTimes struct {
	mu      sync.Mutex
	since   time.Time     // when the current move began; zero between moves
	longest time.Duration // of the moves that have ended
}

func (m *moveTimes) began() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since = time.Now()
}

func (m *moveTimes) ended() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.longest, m.since = max(m.longest, time.Since(m.since)), time.Time{}
}

// slow reports whether a move has taken slowMove or more.
func (m *moveTimes) slow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.longest >= slowMove || !m.since.IsZero() && time.Since(m.since) >= slowMove
}

// call returns the error of do. If a move was slow, it first repeats a do that is refused because the slot moves, for at most the time patience.
func (m *moveTimes) call(do func() error) error {
	for begin := time.Now(); ; {
		err := do()
		if err == nil || !m.slow() || time.Since(begin) > patience || !strings.Contains(cache.DialOptions{}.Explain(err, cache.Names{}).Error(), ": the cluster moves the table") {
			return err
		}
	}
}

// slotMoves returns how often a test moves a slot: the number in the environment variable SLOT_MOVES, or a few times.
func slotMoves() int {
	if n, err := strconv.Atoi(os.Getenv("SLOT_MOVES")); err == nil {
		return n
	}
	return 15
}

// slotMove moves a slot of a cluster to another server.
type slotMove struct {
	t        *testing.T
	slot     int64
	all      []*redis.Client // of the servers
	owner    int             // which of them has the slot before the move
	from, to *redis.Client
	ids      [2]string
}

// moveSlot returns a move of the slot of a key that exists.
func moveSlot(t *testing.T, addrs []string, key string) *slotMove {
	t.Helper()
	all, owner := make([]*redis.Client, 0, len(addrs)), 0
	for i, addr := range addrs {
		c := redistest.Open(t, addr)
		if c.Exists(t.Context(), key).Val() == 1 { // MOVED is an error
			owner = i
		}
		all = append(all, c)
	}
	return newMove(t, all, all[0].ClusterKeySlot(t.Context(), key).Val(), owner)
}

// newMove returns the move of a slot from a server to the one after that.
func newMove(t *testing.T, all []*redis.Client, slot int64, owner int) *slotMove {
	t.Helper()
	m := &slotMove{t: t, slot: slot, all: all, owner: owner, from: all[owner], to: all[(owner+1)%len(all)]}
	for i, c := range []*redis.Client{m.from, m.to} {
		id, err := c.Do(t.Context(), "CLUSTER", "MYID").Text()
		require.NoError(t, err)
		m.ids[i] = id
	}
	return m
}

// next returns the move after this one, to the next server.
func (m *slotMove) next() *slotMove {
	m.t.Helper()
	return newMove(m.t, m.all, m.slot, (m.owner+1)%len(m.all))
}

func (m *slotMove) begin() {
	m.t.Helper()
	require.NoError(m.t, m.to.Do(m.t.Context(), "CLUSTER", "SETSLOT", m.slot, "IMPORTING", m.ids[0]).Err())
	require.NoError(m.t, m.from.Do(m.t.Context(), "CLUSTER", "SETSLOT", m.slot, "MIGRATING", m.ids[1]).Err())
}

func (m *slotMove) key(key string) {
	m.t.Helper()
	host, port, err := net.SplitHostPort(m.to.Options().Addr)
	require.NoError(m.t, err)
	require.NoError(m.t, m.from.Migrate(m.t.Context(), host, port, key, 0, patience).Err(), key)
}

func (m *slotMove) end() {
	m.t.Helper()
	for {
		keys, err := m.from.ClusterGetKeysInSlot(m.t.Context(), int(m.slot), 100).Result()
		require.NoError(m.t, err)
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			m.key(key)
		}
	}
	for _, c := range append([]*redis.Client{m.to, m.from}, m.all...) {
		require.NoError(m.t, c.Do(m.t.Context(), "CLUSTER", "SETSLOT", m.slot, "NODE", m.ids[1]).Err())
	}
}
