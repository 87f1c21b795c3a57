package rendered_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/rendered"
)

func key(query string) rendered.Key { return rendered.Key{Path: "/analytics/cpu", Query: query} }

func TestTheEntryThatWasUsedLongestAgoGoesFirst(t *testing.T) {
	t.Parallel()
	c := rendered.New[int](8 * 2700)
	for i := range 8 {
		c.Put(key(strconv.Itoa(i)), i, make([]byte, 1500))
	}
	require.Equal(t, 8, c.Stats().Entries)
	require.NotNil(t, c.Get(key("0")))
	for i := range 3 {
		c.Put(key(fmt.Sprint("new", i)), i, make([]byte, 3000))
	}
	stats := c.Stats()
	require.LessOrEqual(t, stats.Bytes, 8*2700)
	require.Equal(t, 11-stats.Entries, stats.Evicted)
	require.NotNil(t, c.Get(key("0")), "it was used after the others")
	require.Nil(t, c.Get(key("1")))
}

func TestAnEntryReplacesThatOfItsKey(t *testing.T) {
	t.Parallel()
	c := rendered.New[int](1 << 20)
	c.Put(key("a"), 1, make([]byte, 5000))
	before := c.Stats().Bytes
	c.Put(key("a"), 2, make([]byte, 5000))
	require.Equal(t, 2, c.Get(key("a")).Value)
	require.Equal(t, rendered.Stats{Entries: 1, Bytes: before}, c.Stats())
}

func TestABodyIsCompressedOnceAndCounted(t *testing.T) {
	t.Parallel()
	c := rendered.New[int](1 << 20)
	body := []byte(strings.Repeat("statistics ", 1000))
	e := c.Put(key("a"), 1, body)
	before := c.Stats().Bytes
	first := e.Gzip()
	r, err := gzip.NewReader(bytes.NewReader(first))
	require.NoError(t, err)
	plain, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, body, plain)
	require.Equal(t, before+cap(first), c.Stats().Bytes)
	require.Same(t, &first[0], &e.Gzip()[0])
}

// The compressed form of an entry that the cache has removed is not counted.
func TestARemovedEntryStaysUsable(t *testing.T) {
	t.Parallel()
	c := rendered.New[int](1 << 20)
	old := c.Put(key("a"), 1, []byte(strings.Repeat("statistics ", 1000)))
	c.Put(key("a"), 2, nil)
	before := c.Stats()
	require.NotNil(t, old.Gzip())
	require.Equal(t, before, c.Stats())
}

func TestSmallAndRandomBodiesAreNotCompressed(t *testing.T) {
	t.Parallel()
	c := rendered.New[int](1 << 20)
	require.Nil(t, c.Put(key("small"), 1, []byte(strings.Repeat("x", 500))).Gzip())
	random := make([]byte, 5000)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(random)
	require.Nil(t, c.Put(key("random"), 1, random).Gzip())
}

func TestACacheWithoutMemoryKeepsNothing(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, -1, 500} {
		c := rendered.New[int](limit)
		require.False(t, c.Fits(100), limit)
		e := c.Put(key("a"), 1, make([]byte, 100))
		require.Equal(t, 1, e.Value)
		require.Nil(t, c.Get(key("a")))
		require.Zero(t, c.Stats().Bytes)
	}
}

func TestConcurrentUseKeepsTheLimit(t *testing.T) {
	t.Parallel()
	c := rendered.New[int](100_000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				text := strconv.Itoa((i*7 + j) % 40)
				if e := c.Get(key(text)); e != nil {
					e.Gzip()
					continue
				}
				c.Put(key(text), j, []byte(strings.Repeat(text, 2000))).Gzip()
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, c.Stats().Bytes, 100_000)
	require.NotZero(t, c.Stats().Evicted)
}
