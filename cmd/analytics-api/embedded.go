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

// embedded describes the Redis that the command has started. If it has started none, servers is nil.
type embedded struct {
	servers []string        // its URLs
	storage string          // describes where records are kept
	ended   <-chan struct{} // closed when that Redis has ended
	stop    func()          // ends that Redis and waits for its end
}

// startEmbedded starts a Redis if the setting embedded is set. It runs until stop is called, not until a context
// ends, because requests that are running when the command ends still need it.
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
		return none, fmt.Errorf("embedded Redis: %w; set another address with --embedded-listen, ANALYTICS_API_EMBEDDED_LISTEN or "+
			"embedded_listen in the configuration", err)
	case err != nil:
		return none, fmt.Errorf("embedded Redis: %w", err)
	}
	return e, nil
}

// dialEmbedded returns the options of the connection to the embedded Redis, or to the configured one if none was
// started. For the embedded Redis, only the setting redis_timeout is used: the password and the others belong to the
// configured Redis.
func (c config) dialEmbedded(e embedded) cache.DialOptions {
	if e.servers == nil {
		return c.dialOptions()
	}
	return cache.DialOptions{Servers: e.servers, Timeout: time.Duration(c.RedisTimeout)}
}

// startServer starts a redis-server as a child process.
func (c config) startServer() (embedded, error) {
	if c.EmbeddedDir != "" {
		if err := os.MkdirAll(c.EmbeddedDir, 0o700); err != nil {
			return embedded{}, fmt.Errorf("cannot make the folder of its data; set another one with embedded_dir or --embedded-dir: %w", err)
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

// errNothingKept is the error for an embedded_dir if there is no redis-server that stores data there.
var errNothingKept = errors.New("a Redis in memory stores nothing in a folder: install redis-server, or remove embedded_dir")

// startMemory starts a Redis in this process. Its keys expire by a clock that only FastForward advances, here once a second.
func (c config) startMemory() (embedded, error) {
	if c.EmbeddedDir != "" {
		return embedded{}, errNothingKept // embedded is "auto" and redis-server is not installed
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
