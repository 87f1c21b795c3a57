// Package redisserver runs a redis-server as a child process, for analytics-api and for tests.
//
// A server without a folder stores nothing. A server with a folder has an append-only file there. Permissions protect the folder
// from other users, and a lock that the child inherits protects it from other servers. The password is never an argument or in
// the environment, where other users of the machine can see it. Programs of the same user can find it by [Publish].
//
//	Start:  find the port ─▶ lock the folder ─▶ read or make the password ─▶ Before ─▶ run ─▶ ask until it answers
//	Stop:   SIGTERM (it saves its data) ─▶ SIGKILL after 10 s ─▶ unlock the folder
//
// The child ends with this process, also if that is killed, on Linux only.
package redisserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

const (
	startTimeout = 20 * time.Second // without an answer
	stopTimeout  = 10 * time.Second // it saves its data
	shortly      = 100 * time.Millisecond
	maxOutput    = 16 << 10 // bytes of its output that are kept for an error

	// passwordLength is the length of a new password, with 5 bits for each character.
	passwordLength = 32
)

// errEnded means that the process ended while Start waited for its answer.
var errEnded = errors.New("the process ended before it answered")

// ErrNotFound means that no redis-server is installed.
var ErrNotFound = errors.New("no redis-server on PATH")

// Options configure a server. The zero value is a server without data on a free port of 127.0.0.1.
type Options struct {
	Binary   string // path of redis-server, or of a script that ends with exec of it; empty is redis-server on PATH
	Addr     string // host:port to listen on; port 0 means any free port, and "" a free port on 127.0.0.1
	Dir      string // folder for its data, an append-only file; "" means that nothing stays on disk
	Password string // password of the default user; "" means that clients need none
	// PasswordFile is a file with the password, instead of Password. If it is missing, Start creates it with a new
	// password.
	PasswordFile string
	// Before, if it is not nil, is called before clients can connect, with the address and the password that they will need. Start
	// may still fail after that.
	Before func(addr, password string)
	Args   []string // more arguments of redis-server

	patience time.Duration // startTimeout, shorter in tests
}

// Server is a running redis-server. Its methods may be called concurrently.
//
// One goroutine, of run, waits for the process. It sets err, closes the folder and then closes done, in this order: after Done, another
// server can use the folder at once.
type Server struct {
	addr     string        // host:port
	password string        // of the default user, or ""
	cmd      *exec.Cmd     // the process
	folder   *folder       // closed by the goroutine that waits for the process
	done     chan struct{} // closed when the process has ended
	stop     sync.Once     // of terminating it
	err      error         // of the process; set before done is closed
}

// Find returns the path of the redis-server on PATH, or the error [ErrNotFound].
func Find() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", ErrNotFound
	}
	return path, nil
}

// Start starts a server and waits until it answers: up to 20 s, and as long as it needs to load its data. The server ends when
// ctx is canceled, when Stop is called and, on Linux, when this process ends.
//
// If the address is in use, the error wraps that of [net.Listen]. If another server still uses the folder after 5 s, the
// error wraps [lock.ErrHeld]. If the process ends or does not answer, the error contains its first output.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Binary == "" {
		path, err := Find()
		if err != nil {
			return nil, err
		}
		o.Binary = path
	}
	addr, err := free(o.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{addr: addr, done: make(chan struct{})}
	if s.folder, err = openFolder(o.Dir); err != nil {
		return nil, err
	}
	if s.password, err = o.password(); err != nil {
		s.folder.close()
		return nil, err
	}
	if o.Before != nil {
		o.Before(addr, s.password)
	}
	output, err := s.run(o)
	if err != nil {
		s.folder.close()
		return nil, fmt.Errorf("starting %s: %w", o.Binary, err)
	}
	if err := s.ready(ctx, cmp.Or(o.patience, startTimeout)); err != nil {
		_ = s.Stop()
		return nil, fmt.Errorf("%s on %s: %w\n%s", o.Binary, addr, err, strings.TrimSpace(output.String()))
	}
	context.AfterFunc(ctx, func() { _ = s.Stop() })
	return s, nil
}

// run starts the process. It returns its output, which goes on to grow. After an error nothing runs, and the folder is still open. With a
// folder and a password, the command and its standard input are such as:
//
//	redis-server --bind 127.0.0.1 --port 6379 --save "" --daemonize no --dir /var/lib/analytics-api --appendonly yes -
//	requirepass "\x73\x33\x63"
func (s *Server) run(o Options) (*head, error) {
	output := &head{}
	s.cmd = exec.Command(o.Binary, o.args(s.addr, s.folder.path)...) //nolint:gosec // the caller's binary
	s.cmd.Stdout, s.cmd.Stderr = output, output
	s.cmd.SysProcAttr = endWithParent()
	// Other users of the machine can see arguments and the environment, so the password comes from standard input.
	if s.password != "" {
		s.cmd.Args = append(s.cmd.Args, "-")
		s.cmd.Stdin = strings.NewReader("requirepass " + quote(s.password) + "\n")
	}
	// The child holds the lock too: if this process is killed, the folder is in use until the child has ended.
	if s.folder.lock != nil {
		s.cmd.ExtraFiles = []*os.File{s.folder.lock}
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		s.err = s.cmd.Wait()
		s.folder.close()
	}()
	return output, nil
}

// password returns the password of the options.
func (o Options) password() (string, error) {
	if o.PasswordFile == "" {
		return o.Password, nil
	}
	return ReadPassword(o.PasswordFile)
}

// ReadPassword returns the password in a file: see [secret.Read]. If the file is missing, it creates it with a new password and
// the mode 0600.
func ReadPassword(path string) (string, error) {
	password, err := secret.Read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return password, err
	}
	password = secret.New(passwordLength)
	return password, secret.Write(path, []byte(password+"\n"))
}

// CheckPasswordFile returns an error for a file from which [ReadPassword] could not read a password, and which it could not make.
// It makes no file.
func CheckPasswordFile(path string) error {
	_, err := secret.Read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := secret.CheckNew(path); err != nil {
		return err
	}
	return canWrite(filepath.Dir(path))
}

// quote returns a text as a quoted word of the configuration of redis-server: each byte is an escape, so that none has a meaning there.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// args returns the arguments. redis-server loads a dump from its working folder, so that is never the one of this
// process. Those of the options come last, so that they override the others. The first four are the host and the port, in this order:
// the Sentinels of package redistest rely on that.
func (o Options) args(addr, dir string) []string {
	host, port, _ := net.SplitHostPort(addr)
	args := []string{"--bind", host, "--port", port, "--save", "", "--daemonize", "no", "--dir", dir}
	if o.Dir != "" {
		args = append(args, "--appendonly", "yes")
	}
	return append(args, o.Args...)
}

// free returns the address, with a free port instead of port 0. It returns an error if the address is in use. Another program may still
// take the port before redis-server does, which then ends: redis-server cannot inherit a listening socket.
func free(addr string) (string, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("redis-server cannot listen on %s: %w", addr, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits until the server answers. A server that reads its data answers that, and may take as long as it needs. An answer that the
// password or a permission is missing does not show whose it is. Then it is enough that the process has not ended shortly after it, as it
// does without its port.
func (s *Server) ready(ctx context.Context, patience time.Duration) error {
	client := redis.NewClient(&redis.Options{
		Addr: s.addr, Password: s.password, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	// Each attempt has the time that is left, and the next one comes 20 ms after it: the client itself does not try again.
	var reason error // of the last attempt that did not only run out of time
	for deadline := time.Now().Add(patience); ; {
		attempt, cancel := context.WithDeadline(ctx, deadline)
		err := s.answers(attempt, client)
		cancel()
		if timeout := net.Error(nil); reason == nil || !errors.As(err, &timeout) || !timeout.Timeout() {
			reason = err
		}
		switch {
		case err == nil:
			return nil
		case redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "NOPERM"):
			select {
			case <-s.done:
				return errEnded
			case <-time.After(shortly):
				return nil
			}
		case redis.HasErrorPrefix(err, "LOADING"):
			deadline = time.Now().Add(patience)
		case time.Now().After(deadline):
			return fmt.Errorf("no answer: %w", reason)
		}
		select {
		case <-s.done:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", reason)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers returns an error if the server does not answer. Another server may have taken the port since it was free, so the one that
// answers must be the process that was started.
func (s *Server) answers(ctx context.Context, client *redis.Client) error {
	if err := client.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return err
	}
	if id, own := info["Server"]["process_id"], strconv.Itoa(s.cmd.Process.Pid); id != own {
		return fmt.Errorf("the process %q has the port, want %s", id, own)
	}
	return nil
}

// Addr returns the host and port on which the server listens.
func (s *Server) Addr() string { return s.addr }

// Password returns the password of the default user, or "" if clients need none.
func (s *Server) Password() string { return s.password }

// Done returns a channel that is closed when the server has ended, for any reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop asks the server to save its data and to end, waits for its end, and kills it after 10 seconds. Another call only waits
// for the end. It returns an error if waiting for the process fails; an exit status is not an error.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		_ = terminate(s.cmd.Process)
		select {
		case <-s.done:
		case <-time.After(stopTimeout):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	})
	<-s.done
	var exit *exec.ExitError
	if s.err != nil && !errors.As(s.err, &exit) {
		return s.err
	}
	return nil
}

// head keeps the first maxOutput bytes of the server's output. If the server does not start, they contain the reason.
// It is safe for concurrent use.
type head struct {
	mu  sync.Mutex   // the output and the errors of the process may come at once
	buf bytes.Buffer // guarded by mu
}

// Write keeps what fits into maxOutput. It implements [io.Writer] and never fails.
func (t *head) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := maxOutput - t.buf.Len(); room > 0 {
		t.buf.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// String returns what was kept.
func (t *head) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
