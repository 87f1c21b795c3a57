package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/memory"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// embedded describes the Redis that the command has started. If it has started none, only storage and stop are set.
//
// The password is found in this order, by startServer and startMemory:
//
//	embedded_password ─ set ─▶ used, and not published: the user knows it
//	embedded_password_file, or redis.password in embedded_dir ─▶ read, or made and written if the file is missing; published
//	neither ─▶ a new one at each start; published
type embedded struct {
	servers   []string        // its URL, without the password
	password  string          // its password, which also the reader of this command needs
	published *publication    // the password for programs of the same user
	storage   string          // describes where records are kept
	ended     <-chan struct{} // closed when that Redis has ended
	stop      func()          // ends that Redis and waits for its end
}

// validateEmbedded checks the settings of the Redis that the command starts: also what only this machine shows, such as whether
// redis-server is installed and what is in files. So --check finds these faults too. It makes and locks nothing.
func (c *config) validateEmbedded() error {
	_, missing := redisserver.Find()
	switch c.Embedded {
	case "":
		if c.EmbeddedDir != "" {
			return invalid("embedded_dir", " %q: only an embedded redis-server stores data there, want 'embedded' to be auto or redis-server", c.EmbeddedDir)
		}
		return nil
	case "redis-server":
		if missing != nil {
			return invalid("embedded", " %q: %w, want it to be installed, or another kind", c.Embedded, missing)
		}
	case "auto", "memory":
	default:
		return invalid("embedded", " %q, want auto, redis-server or memory", c.Embedded)
	}
	var errs []error
	switch {
	case c.EmbeddedDir == "":
	case c.Embedded == "memory", missing != nil:
		errs = append(errs, invalid("embedded_dir", " %q: %w", c.EmbeddedDir, errNothingKept))
	default:
		if err := redisserver.CheckFolder(c.EmbeddedDir); err != nil {
			errs = append(errs, invalid("embedded_dir", " %q: %w; want a folder for its data", c.EmbeddedDir, err))
		}
	}
	return errors.Join(append(errs, c.validatePasswordFile())...)
}

// validatePasswordFile checks the file of the password of the embedded Redis, which may be missing.
func (c *config) validatePasswordFile() error {
	file := c.EmbeddedPasswordFile
	if file == "" {
		// The default file is in a folder that may be missing too, or may be no folder.
		file = c.embeddedPasswordFile()
		if _, err := os.Stat(file); err != nil {
			return nil //nolint:nilerr // it is made at the start
		}
	}
	if err := redisserver.CheckPasswordFile(file); err != nil {
		return invalid("embedded_password_file", ": %w", err)
	}
	return nil
}

// startEmbedded starts a Redis if the setting embedded is set. The end of ctx ends only the start, which can take long if there are many
// data to load. A Redis that has started runs until stop is called, because requests that are running when the command ends still need
// it. "auto" is memory only if no redis-server is installed; a redis-server that does not start is an error, as memory would silently
// lose the records at the end. The caller calls stop, once, unless there is an error.
func (c config) startEmbedded(ctx context.Context) (embedded, error) {
	none := embedded{storage: "Redis", stop: func() {}}
	kind := c.Embedded
	if kind == "" {
		return none, nil
	}
	if _, err := redisserver.Find(); kind == "auto" && err != nil {
		kind = "memory"
	}
	start := func() (embedded, error) { return c.startServer(ctx) }
	if kind == "memory" {
		start = c.startMemory
	}
	e, err := start()
	// The usual reason for an error of listening is that another program has the address.
	var inUse *net.OpError
	switch {
	case errors.As(err, &inUse):
		return none, fmt.Errorf("embedded Redis: %w; if a Redis runs there already, start without --embedded to use it; otherwise set another address with "+
			"--embedded-listen, ANALYTICS_API_EMBEDDED_LISTEN or embedded_listen in the configuration", err)
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
	return cache.DialOptions{Servers: e.servers, Password: e.password, Timeout: time.Duration(c.RedisTimeout)}
}

// startServer starts a redis-server as a child process. Without a chosen password or a file for one, each start has a new password.
// The context of the child does not end with ctx after the start: stop ends the child.
func (c config) startServer(ctx context.Context) (embedded, error) {
	o := redisserver.Options{Addr: c.EmbeddedListen, Dir: c.EmbeddedDir, Password: c.EmbeddedPassword, PasswordFile: c.embeddedPasswordFile()}
	if o.Password == "" && o.PasswordFile == "" {
		o.Password = secret.New(passwordLength)
	}
	published := &publication{} // filled by Before
	o.Before = c.publish(published)
	starting, cancel := context.WithCancel(context.Background())
	keep := context.AfterFunc(ctx, cancel)
	s, err := redisserver.Start(starting, o) //nolint:contextcheck // it would end with ctx otherwise
	keep()
	// Such an error is about the folder or the file of the password, which is in the folder by default.
	var path *fs.PathError
	if err != nil {
		_ = published.Close() // the server may have failed after Before
	}
	switch {
	case errors.As(err, &path) && c.EmbeddedDir != "":
		return embedded{}, fmt.Errorf("cannot use the folder of its data; set another one with embedded_dir or --embedded-dir: %w", err)
	case err != nil:
		return embedded{}, err
	}
	storage := "embedded redis-server, not persistent"
	if c.EmbeddedDir != "" {
		storage = "embedded redis-server, persistent in " + c.EmbeddedDir
	}
	stop := func() {
		_ = s.Stop()
		_ = published.Close()
	}
	return embedded{
		servers: []string{"redis://" + s.Addr()}, password: s.Password(), published: published, storage: storage, ended: s.Done(), stop: stop,
	}, nil
}

// passwordLength is the length of a new password, with 5 bits for each character: 160 bits.
const passwordLength = 32

// embeddedPasswordFile returns the path of the file that keeps the password of the embedded Redis over restarts. It is
// "" if a setting has the password, or if each start makes a new one.
func (c config) embeddedPasswordFile() string {
	switch {
	case c.EmbeddedPassword != "":
		return ""
	case c.EmbeddedPasswordFile == "" && c.EmbeddedDir != "":
		return filepath.Join(c.EmbeddedDir, "redis.password")
	}
	return c.EmbeddedPasswordFile
}

// errNothingKept is the error for an embedded_dir if there is no redis-server that stores data there. Without an error, records
// would be lost that the user wants to keep.
var errNothingKept = errors.New("a Redis in memory stores nothing in a folder: install redis-server, or remove embedded_dir")

// startMemory starts a Redis in this process. It ends only by stop, so ended is closed there.
func (c config) startMemory() (embedded, error) {
	if c.EmbeddedDir != "" {
		return embedded{}, errNothingKept // embedded is "auto" and redis-server is not installed
	}
	// redisserver.Start does the same for startServer.
	password := c.EmbeddedPassword
	if file := c.embeddedPasswordFile(); file != "" {
		var err error
		if password, err = redisserver.ReadPassword(file); err != nil {
			return embedded{}, err
		}
	}
	if password == "" {
		password = secret.New(passwordLength)
	}
	published := &publication{}
	publish := c.publish(published)
	m, err := memory.Start(c.EmbeddedListen, password, func(addr string) { publish(addr, password) })
	if err != nil {
		return embedded{}, err
	}
	ended := make(chan struct{})
	stop := func() {
		m.Close()
		_ = published.Close()
		close(ended)
	}
	return embedded{
		servers: []string{"redis://" + m.Addr()}, password: password, published: published, storage: "in memory, not persistent", ended: ended, stop: stop,
	}, nil
}

// publication is the password of the embedded Redis for programs of the same user. The zero value publishes nothing.
type publication struct {
	*redisserver.Publication       // nil if it is not published
	err                      error // why publishing failed; the service runs nevertheless, and announce logs it
}

// publish returns a function that publishes the password of the embedded Redis in p, unless the user has chosen the password. It is
// called before clients can connect: a program that finds a Redis but no password would give up. An error of publishing is kept in
// p. The function is called at most once for each p.
func (c config) publish(p *publication) func(addr, password string) {
	return func(addr, password string) {
		if c.EmbeddedPassword == "" {
			p.Publication, p.err = redisserver.Publish(addr, password)
		}
	}
}

// announce logs the address of the embedded Redis and where its password is. It never logs the password itself.
func (c config) announce(e embedded, log *slog.Logger) {
	attrs := []any{"storage", e.storage, "address", e.servers[0]}
	if file := c.embeddedPasswordFile(); file != "" {
		attrs = append(attrs, "password_file", file)
	}
	switch {
	case c.EmbeddedPassword != "":
		log.Info("started a Redis", append(attrs, "password", "that of the setting embedded_password")...)
	case e.published.err != nil:
		log.Warn("started a Redis, but programs of this user cannot find its password by themselves: set embedded_password or embedded_password_file",
			append(attrs, "error", e.published.err)...)
	default:
		log.Info("started a Redis", append(attrs, "password_for_programs_of_this_user", e.published.Path)...)
	}
}
