package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// embedded is the Redis that the command started, if it did.
type embedded struct {
	servers []string        // URLs; nil where none was started
	storage string          // where records are kept, in words
	ended   <-chan struct{} // closed when it has ended
	stop    func()
}

// startEmbedded starts the Redis that the configuration asks for. It runs until stop: requests that are
// under way when the command ends still need it.
func (c config) startEmbedded() (embedded, error) {
	none := embedded{storage: "Redis", stop: func() {}}
	kind := c.Embedded
	if kind == "" {
		return none, nil
	}
	if _, err := redisserver.Find(); kind == "auto" && err != nil {
		kind = "memory"
	}
	start := c.startServer
	if kind == "memory" {
		start = c.startMemory
	}
	e, err := start()
	var inUse *net.OpError
	switch {
	case errors.As(err, &inUse):
		return none, fmt.Errorf("embedded Redis: %w; --embedded-listen, ANALYTICS_API_EMBEDDED_LISTEN or embedded_listen in the configuration "+
			"change its address", err)
	case err != nil:
		return none, fmt.Errorf("embedded Redis: %w", err)
	}
	return e, nil
}

// dialEmbedded returns how to reach the embedded Redis, or the configured one where none was started. The
// settings of a configured Redis, such as its password, are none of the embedded one.
func (c config) dialEmbedded(e embedded) cache.DialOptions {
	if e.servers == nil {
		return c.dialOptions()
	}
	return cache.DialOptions{Servers: e.servers, Timeout: time.Duration(c.RedisTimeout)}
}

func (c config) startServer() (embedded, error) {
	if c.EmbeddedDir != "" {
		if err := os.MkdirAll(c.EmbeddedDir, 0o700); err != nil {
			return embedded{}, fmt.Errorf("the folder of its data, which embedded_dir or --embedded-dir names: %w", err)
		}
	}
	s, err := redisserver.Start(context.Background(), redisserver.Options{Addr: c.EmbeddedListen, Dir: c.EmbeddedDir})
	if err != nil {
		return embedded{}, err
	}
	storage := "embedded redis-server, not persistent"
	if c.EmbeddedDir != "" {
		storage = "embedded redis-server, persistent in " + c.EmbeddedDir
	}
	return embedded{servers: []string{"redis://" + s.Addr()}, storage: storage, ended: s.Done(), stop: func() { _ = s.Stop() }}, nil
}

var errNothingKept = errors.New("a folder is set, and a Redis in memory keeps nothing in one: install redis-server, or leave embedded_dir out")

// startMemory starts a Redis in this process. Its clock for expiry stands still unless it is moved, and is
// moved here every second.
func (c config) startMemory() (embedded, error) {
	if c.EmbeddedDir != "" {
		return embedded{}, errNothingKept // reached with auto, where there is no redis-server
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(c.EmbeddedListen); err != nil {
		return embedded{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				m.FastForward(time.Second)
			}
		}
	}()
	return embedded{servers: []string{"redis://" + m.Addr()}, storage: "in memory, not persistent", ended: ended, stop: func() {
		cancel()
		<-ended
		m.Close()
	}}, nil
}
