// Command analytics-api serves statistics over HTTP. It reads them from Redis, where the output rediscache stores
// them.
//
//	flags, environment, file ─▶ config (config.go, access.go, secrets.go) ─▶ serve
//
//	clients ─▶ listener ─▶ limits ─▶ TLS ─▶ api ─▶ cache.Reader ─▶ Redis: the configured one,
//	           (main)      (conns)   (tls)                         or one that the command starts (embedded)
//	probes ──▶ a listener of their own, if health_listen is set (conns)
//
// The subcommand token changes the file of tokens and needs neither Redis nor a running service (token.go).
//
// Every part gets its arguments, environment and outputs from run, so tests can run the whole command in their own process.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	golog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/buildinfo"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/conns"
	"github.com/telegraf-describe/telegraf-describe/internal/page"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// version is the semantic version of the command. The linker sets it; it is empty in other builds, for which
// [buildinfo.Version] finds one.
//
// For a release: go build -ldflags "-X main.version=1.2.0".
var version string

func main() {
	redis.SetLogger(&logging.VoidLogger{}) // the client also returns these messages as errors, which we log
	// A second signal changes nothing, up to the last moment of the process: running requests have up to stopTimeout to end.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	keepFilesPrivate()
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		if !errors.As(err, &logged{}) {
			fmt.Fprintln(os.Stderr, "analytics-api:", err)
		}
		os.Exit(1)
	}
}

// run runs the command until ctx ends. It prints the results of --help, --version and --check to stdout, and the log to stderr.
// environ has the form of os.Environ. An end by ctx is no error. The words help and version mean the same as the flags.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "token": // it has flags of its own
			return runToken(args[1:], environ, stdout, stderr)
		case "help", "version": // as telegraf-describe has them
			args = []string{"--" + args[0]}
		}
	}
	c, err := loadConfig(args, environ)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, help)
		return err
	case err != nil:
		return err
	case c.showVersion:
		_, err := fmt.Fprintln(stdout, "analytics-api", buildinfo.Version(version))
		return err
	case c.check:
		_, err := fmt.Fprintln(stdout, "the configuration is valid")
		return err
	}
	c.limitMemory(environ)
	log := c.newLog(stderr)
	err = serve(ctx, c, environ, log)
	if err != nil && c.LogFormat == "json" { // its readers could not parse another line
		log.Error("the service has ended", "error", err)
		return logged{err}
	}
	return err
}

// logged is an error that is in the log already.
type logged struct{ error }

func (e logged) Unwrap() error { return e.error }

// errEnded is the error when the embedded Redis ends before the service does. The service then ends too, so that a service
// manager can start both again.
var errEnded = errors.New("the embedded Redis has ended")

// serve starts the embedded Redis, if the configuration wants one, and serves until ctx or that Redis ends.
//
// The address is taken first: if it is in use, no Redis is started in vain. The Redis ends last, because requests that
// still run need it:
//
//	start   listener ─▶ embedded Redis ─▶ client, a first ping ─▶ tokens ─▶ streams ─▶ listener for probes ─▶ READY=1, requests
//	stop    STOPPING=1, streams, running requests up to stopTimeout ─▶ probes ─▶ client ─▶ embedded Redis ─▶ listener
//
// Nothing else has to be saved at the end: all that the service keeps in memory may be lost.
func serve(ctx context.Context, c config, environ []string, log *slog.Logger) error {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; set another address with --listen, ANALYTICS_API_LISTEN or listen in the configuration", c.Listen, err)
	}
	// Server.Shutdown closes it too. This one is for the errors before.
	defer listener.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	embedded, err := c.startEmbedded(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // the start was given up
		}
		return err
	}
	defer embedded.stop()
	if embedded.servers != nil {
		c.announce(embedded, log)
		// The goroutine ends with the Redis, which the deferred stop ends.
		go func() {
			<-embedded.ended
			cancel(errEnded)
		}()
	}
	return c.serveFrom(ctx, embedded, listener, environ, log)
}

// serveFrom serves the records of a Redis on a listener until ctx ends. It ends everything that it has started before it returns.
// The caller closes the listener and stops the Redis. Each of its parts ends by a deferred call, so the last one that was
// started ends first.
func (c config) serveFrom(ctx context.Context, embedded embedded, listener net.Listener, environ []string, log *slog.Logger) error {
	dial := c.dialEmbedded(embedded)
	client, err := cache.Dial(dial)
	if err != nil {
		return err
	}
	reader := cache.NewReader(client)
	defer client.Close()
	defer tryRedis(ctx, reader, dial, log)()
	options := c.apiOptions(embedded.storage, strings.Join(dial.Addrs(), ", "), log)
	options.Explain, options.Page = func(err error) error { return explain(err, dial) }, page.New()
	// The limits are below TLS, so that a connection counts before its handshake.
	limited := c.limitConns(listener)
	options.Collectors = append(connMetrics(limited), newPoolMetrics(client))
	if err := c.useTokens(&options, log); err != nil {
		return err
	}
	watches := watchLog{log: log, explain: options.Explain, now: time.Now}
	options.Streams = api.NewStreams(reader, c.MaxStreams, watches.fail, watches.end)
	// The first of the next two is for an error on the way, the second for the end of ctx. Close may be called twice.
	defer options.Streams.Close()
	defer context.AfterFunc(ctx, options.Streams.Close)() // before the service waits for running requests
	handler := api.New(reader, options)
	stopHealth, err := c.serveHealth(handler, log)
	if err != nil {
		return err
	}
	defer stopHealth()
	return c.serveHTTP(ctx, limited, handler, environ, log)
}

// settingNames are the names of the settings, for the errors of package cache. Limits stay empty: the service writes
// nothing to Redis, so none of its settings frees memory there.
var settingNames = cache.Names{
	Servers: "redis", MasterName: "redis_master_name", Username: "redis_username", Password: "redis_password", PasswordFile: "redis_password_file",
	SentinelUsername: "redis_sentinel_username", SentinelPassword: "redis_sentinel_password", DB: "redis_db",
	TLS: []string{"redis_tls_ca", "redis_tls_cert", "redis_tls_key", "redis_tls_server_name"},
}

// explain adds to an error of reading from Redis what it means and the settings to check. Corrupt data have nothing to do with these.
func explain(err error, dial cache.DialOptions) error {
	if corrupt := (*record.Corrupt)(nil); errors.As(err, &corrupt) {
		return err
	}
	return dial.Explain(err, settingNames)
}

// tryRedis pings Redis once in the background. If the ping fails, it logs a warning with the settings to check. The
// service runs nevertheless, because Redis may start later. After giveUp, nothing is logged. giveUp does not wait for the ping, because a
// Redis that hangs would delay the end of the service: neither the end of its context nor Close ends the first command of a connection.
//
// Only the client bounds the ping: redis_timeout for each step, such as connecting. In a slow network all steps together take longer.
func tryRedis(ctx context.Context, reader *cache.Reader, dial cache.DialOptions, log *slog.Logger) (giveUp func()) {
	ctx, cancel := context.WithCancel(ctx)
	var logging sync.Mutex // held while the warning is logged, and by giveUp
	go func() {
		err := reader.Ping(ctx)
		logging.Lock()
		defer logging.Unlock()
		if err != nil && ctx.Err() == nil {
			log.Warn("cannot read from Redis, requests fail until that works", "error", dial.Explain(err, settingNames))
		}
	}()
	return func() {
		logging.Lock()
		defer logging.Unlock()
		cancel()
	}
}

// Limits of the HTTP server. By default, the standard library has no limits of time, and accepts headers of 1 MiB.
// In net/http, the times to read count from the beginning of a request, and the time to write from the end of its header.
const (
	headerTimeout = 5 * time.Second  // until the header of a request is read
	writeTimeout  = 30 * time.Second // to read a request, and to write its answer; package api expects 30 s, and extends it for large answers
	idleTimeout   = 60 * time.Second // of a connection without a request
	stopTimeout   = 10 * time.Second // for running requests, when the service ends
	maxHeader     = 16 << 10         // bytes of the header of a request
)

// serveHTTP serves until ctx ends, and then waits at most stopTimeout for running requests. After that it closes their connections, which
// is no error. It returns errEnded if that is the cause of the end of ctx. It notifies the service manager when requests are accepted, and
// when the service begins to stop.
func (c config) serveHTTP(ctx context.Context, limited *conns.Listener, handler http.Handler, environ []string, log *slog.Logger) error {
	listener, scheme, err := c.encrypt(limited, log)
	if err != nil {
		return err
	}
	server := newServer(handler, log)
	server.ConnState, server.ConnContext = limited.ConnState, limited.ConnContext
	stopped := make(chan error, 1) // gets the result of Shutdown; buffered, because nothing reads it if Serve fails
	context.AfterFunc(ctx, func() {
		c.tell(environ, "STOPPING=1", log)
		stopped <- shutDown(server, stopTimeout, log)
	})
	// The listener has accepted connections since it was made: those that came before Serve wait in its queue.
	log.Info("serving", "address", scheme+"://"+listener.Addr().String(), "version", buildinfo.Version(version))
	if ctx.Err() == nil { // otherwise, it would follow STOPPING=1
		c.tell(environ, "READY=1", log)
	}
	alive, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { watchdog(alive, environ, log) })
	defer wg.Wait()
	defer end()
	// Serve returns as soon as Shutdown begins, so the end of Shutdown is waited for.
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	err = <-stopped
	if errors.Is(context.Cause(ctx), errEnded) {
		return errEnded
	}
	log.Info("stopped")
	return err
}

// shutDown waits for running requests, at most so long. Then it closes the connections of those that still run, such as of clients
// that read slowly, which is no error.
func shutDown(server *http.Server, wait time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests did not end in time, their connections are closed", "after", wait)
		err = server.Close()
	}
	return err
}

// newServer returns an HTTP server with the limits of one request. Faults of connections, such as failed handshakes, are warnings
// in the log. The streams of package api move the deadlines themselves. The listener for probes has the same limits.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: writeTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: golog.New(&connectionLog{log: log, now: time.Now}, "", 0),
	}
}

// encrypt returns a listener for TLS if the service has a certificate, or else the listener itself, with the scheme of its address.
// The certificate may change while the service runs. The warning is for the setting and not for the real address: a service behind
// a proxy on this machine listens on loopback.
func (c config) encrypt(listener net.Listener, log *slog.Logger) (encrypted net.Listener, scheme string, err error) {
	if c.TLSCert == "" {
		if host, _, err := net.SplitHostPort(c.Listen); c.Tokens != "" && err == nil && !isLoopback(host) {
			log.Warn("tokens are sent without encryption, unless a proxy adds TLS: set tls_cert and tls_key")
		}
		return listener, "http", nil
	}
	config, err := c.certificates(log).server()
	if err != nil {
		return nil, "", err
	}
	return tls.NewListener(listener, config), "https", nil
}

// useTokens sets the tokens of the API, if requests need some. Without tokens o.Tokens stays nil, which means that every request
// may read everything. A file without a token is valid: the service starts, and tokens can be added while it runs. The log gets a
// line for each change of the file.
func (c config) useTokens(o *api.Options, log *slog.Logger) error {
	if c.Tokens == "" {
		return nil
	}
	store, err := token.Open(c.Tokens, time.Now, func(n int, err error) {
		if err != nil {
			log.Error("the changed file of tokens is not valid, the last tokens stay valid", "error", err)
			return
		}
		log.Info("read the changed file of tokens", "tokens", n)
	})
	if err != nil {
		return err
	}
	if store.Len() == 0 {
		log.Warn("there are no tokens, so every request is refused: make one with analytics-api token create", "file", c.Tokens)
	}
	o.Tokens = store
	return nil
}

// tell sends a state to the service manager. The service works without that, so a failure is only logged.
func (config) tell(environ []string, state string, log *slog.Logger) {
	if err := notify(environ, state); err != nil {
		log.Warn("the service manager was not notified", "state", state, "error", err)
	}
}
