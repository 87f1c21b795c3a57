package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/buildinfo"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// TestMain runs the command instead of the tests in the processes that [start] starts, and a Redis that never ends loading in those of
// [TestTheEndDoesNotWaitForTheStartOfTheEmbeddedRedis].
func TestMain(m *testing.M) {
	if asked := os.Getenv("LOADING_REDIS"); asked != "" {
		loadForEver(asked, os.Args[1:])
		return
	}
	if os.Getenv("RUN_ANALYTICS_API") == "1" {
		os.Unsetenv("RUN_ANALYTICS_API")
		main()
		return
	}
	os.Exit(m.Run())
}

// patience is how long the tests wait for what must come. A machine that does other work can stand still for many seconds.
const patience = 2 * time.Minute

// buffer keeps the output of a command. It is safe for concurrent use.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed by the next write; nil if nobody waits
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// wait waits until the output contains a text.
func (b *buffer) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		found := strings.Contains(b.b.String(), text)
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the output does not contain %q:\n%s", text, b)
		}
	}
}

// child is a running command.
type child struct {
	cmd    *exec.Cmd
	stderr *buffer
	url    string
	// redis is the address of the embedded Redis, and passwordFile has its password.
	redis, passwordFile string
}

// client returns a client of the embedded Redis.
func (c *child) client(t *testing.T) *redis.Client {
	t.Helper()
	password, err := secret.Read(c.passwordFile)
	require.NoError(t, err)
	client := redis.NewClient(&redis.Options{Addr: c.redis, Password: password, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// environment returns the environment of a child process, which consists of these variables and of those that make the test program the
// command. A program that counts its coverage writes the counts to the folder GOCOVERDIR, which go test sets. Without it, the program prints
// a warning.
func environment(t *testing.T, variables ...string) []string {
	t.Helper()
	return append([]string{"RUN_ANALYTICS_API=1", "GOCOVERDIR=" + cmp.Or(os.Getenv("GOCOVERDIR"), t.TempDir())}, variables...)
}

// launch starts the command as a child process. It kills the child when the test ends. The child waits for its Redis as long as it takes,
// unless env has another time: with the default of 5 s, requests would fail on a machine that stands still for so long.
func launch(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], args...), stderr: &buffer{}}
	c.cmd.Env = append(environment(t, "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir(), "ANALYTICS_API_REDIS_TIMEOUT=10m"), env...)
	c.cmd.Dir, c.cmd.Stderr = t.TempDir(), c.stderr
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// start starts the command as a child process and waits until it serves. It kills the child when the test ends.
func start(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	c := launch(t, env, args...)
	c.stderr.wait(t, "msg=serving")
	c.url = regexp.MustCompile(`address=(https?://\S+)`).FindStringSubmatch(c.stderr.String())[1]
	if m := regexp.MustCompile(`address=redis://(\S+)`).FindStringSubmatch(c.stderr.String()); m != nil {
		c.redis = m[1]
	}
	if m := regexp.MustCompile(`password_for_programs_of_this_user=(\S+)`).FindStringSubmatch(c.stderr.String()); m != nil {
		c.passwordFile = m[1]
	}
	return c
}

func (c *child) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := apitest.Client.Get(c.url + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func (c *child) wait(t *testing.T) error {
	t.Helper()
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	err := c.cmd.Wait()
	require.True(t, timer.Stop(), "the command did not end by itself")
	return err
}

// put writes a record to the embedded Redis.
func (c *child) put(t *testing.T) {
	t.Helper()
	w := cache.NewWriter(c.client(t), cache.Options{Retention: time.Hour})
	r := record.Record{Table: "analytics_solar", Field: "f", Agent: "a", Start: time.Unix(0, 0), Stats: []record.Stat{{Name: "mean", Value: 1.5}}}
	require.NoError(t, w.Put(t.Context(), record.Table{Database: "db", Name: "analytics_solar"}, []record.Record{r}))
}

func TestEmbeddedRedisServesAndEndsWithTheService(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct{ storage, path string }{
		"memory":                    {"in memory, not persistent", os.Getenv("PATH")},
		"redis-server":              {"embedded redis-server, not persistent", os.Getenv("PATH")},
		"auto":                      {"embedded redis-server, not persistent", os.Getenv("PATH")},
		"auto without redis-server": {"in memory, not persistent", "/nowhere"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(want.storage, "redis-server") {
				redistest.Need(t)
			}
			c := start(t, []string{"PATH=" + want.path}, "--listen", "127.0.0.1:0", "--embedded", strings.Fields(kind)[0], "--embedded-listen", "127.0.0.1:0")
			require.Contains(t, c.stderr.String(), want.storage)
			_, health := c.get(t, "/health")
			require.Contains(t, health, want.storage)
			c.put(t)
			for _, path := range []string{"/analytics/solar?database=db", "/analytics/analytics_solar?database=db"} {
				status, body := c.get(t, path)
				require.Equal(t, http.StatusOK, status)
				require.JSONEq(t, `[{"table_name":"analytics_solar","field_name":"f","time_bucket":"1970-01-01T00:00:00Z","time":0,"agent":"a","mean":1.5}]`, body)
			}
			ended := c.watchRedis(t)
			require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, c.wait(t))
			ended()
		})
	}
}

// watchRedis connects to the embedded Redis. The returned function waits until that has ended. It does not look whether the port is free:
// another program may have it by then.
func (c *child) watchRedis(t *testing.T) (ended func()) {
	t.Helper()
	conn, err := net.Dial("tcp", c.redis)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return func() {
		t.Helper()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection to Redis is still open")
	}
}

func TestRecordsInAFolderSurviveARestart(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	dir := t.TempDir()
	dir = filepath.Join(dir, "made", "where it is missing")
	args := []string{"--listen", "127.0.0.1:0", "--embedded", "auto", "--embedded-listen", "127.0.0.1:0", "--embedded-dir", dir}
	c := start(t, nil, args...)
	require.Contains(t, c.stderr.String(), "persistent in "+dir)
	c.put(t)
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, c.wait(t))
	status, body := start(t, nil, args...).get(t, "/analytics/solar?database=db")
	require.Equal(t, http.StatusOK, status, body)
}

func TestServiceEndsWhenItsRedisEnds(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	c := start(t, nil, "--listen", "127.0.0.1:0", "--embedded", "redis-server", "--embedded-listen", "127.0.0.1:0")
	_ = c.client(t).Shutdown(t.Context())
	require.Error(t, c.wait(t))
	require.Contains(t, c.stderr.String(), "analytics-api: the embedded Redis has ended")
}

func TestEmbeddedRedisEndsWhenTheServiceIsKilled(t *testing.T) {
	t.Parallel()
	redistest.Need(t)
	c := start(t, nil, "--listen", "127.0.0.1:0", "--embedded", "redis-server", "--embedded-listen", "127.0.0.1:0")
	ended := c.watchRedis(t)
	require.NoError(t, c.cmd.Process.Kill())
	require.Error(t, c.wait(t))
	ended()
}

// runOnce runs the command to its end.
func runOnce(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs buffer
	err = run(ctx, args, env, &out, &errs)
	return out.String(), errs.String(), err
}

func TestPortInUseIsReportedWithItsSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	addr := l.Addr().String()
	_, _, err = runOnce(t, nil, "--listen", addr)
	require.ErrorContains(t, err, "cannot listen on "+addr)
	require.ErrorContains(t, err, "--listen, ANALYTICS_API_LISTEN or listen")
	kinds := []string{"memory"}
	if _, err := exec.LookPath("redis-server"); err == nil {
		kinds = append(kinds, "redis-server", "auto")
	}
	for _, kind := range kinds {
		_, _, err = runOnce(t, nil, "--listen", "127.0.0.1:0", "--embedded", kind, "--embedded-listen", addr)
		require.ErrorContains(t, err, addr)
		require.ErrorContains(t, err, "--embedded-listen, ANALYTICS_API_EMBEDDED_LISTEN or embedded_listen")
		require.ErrorContains(t, err, "if a Redis runs there already, start without --embedded to use it")
	}
}

// A failure that is not about the address does not mention the setting of the address.
func TestEmbeddedRedisThatCannotStartReportsTheReason(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err := runOnce(t, nil, "--listen", "127.0.0.1:0", "--embedded", "redis-server", "--embedded-listen", "127.0.0.1:0", "--embedded-dir", file)
	require.ErrorContains(t, err, "--embedded-dir")
	require.NotContains(t, err.Error(), "--embedded-listen")
	_, _, err = runOnce(t, nil, "--listen", "127.0.0.1:0", "--embedded", "memory", "--embedded-listen", "127.0.0.1:0", "--embedded-dir", file)
	require.ErrorContains(t, err, "install redis-server, or remove embedded_dir")
	require.NotContains(t, err.Error(), "--embedded-listen")
	t.Setenv("PATH", "/nowhere")
	_, _, err = runOnce(t, nil, "--listen", "127.0.0.1:0", "--embedded", "redis-server", "--embedded-listen", "127.0.0.1:0")
	require.EqualError(t, err, `flag --embedded: invalid 'embedded' setting "redis-server": no redis-server on PATH, want it to be installed, or another kind`)
}

// The password, database and TLS settings are for the Redis that would be used otherwise.
func TestEmbeddedRedisIgnoresTheSettingsOfAConfiguredRedis(t *testing.T) {
	t.Parallel()
	env := []string{
		"ANALYTICS_API_REDIS_MASTER_NAME=m", "ANALYTICS_API_REDIS_USERNAME=u", "ANALYTICS_API_REDIS_PASSWORD=p", "ANALYTICS_API_REDIS_DB=3",
		"ANALYTICS_API_REDIS_TLS_SERVER_NAME=x",
	}
	c := start(t, env, "--listen", "127.0.0.1:0", "--embedded", "memory", "--embedded-listen", "127.0.0.1:0")
	c.put(t)
	status, body := c.get(t, "/analytics/solar?database=db")
	require.Equal(t, http.StatusOK, status, body)
}

func TestKubernetesServiceVariablesAreIgnored(t *testing.T) {
	for _, service := range []string{"ANALYTICS_API", "ANALYTICS_API_REDIS_MASTER", "ANALYTICS_API_X9"} {
		_, err := load(t, "", []string{
			service + "_SERVICE_HOST=10.0.0.1", service + "_SERVICE_HOST=fd00::1", service + "_SERVICE_PORT=8001", service + "_SERVICE_PORT_HTTP_ALT=8001",
			service + "_PORT=tcp://10.0.0.1:8001", service + "_PORT=udp://[fd00::1]:53",
			service + "_PORT_8001_TCP=tcp://10.0.0.1:8001", service + "_PORT_8001_TCP_PROTO=tcp", service + "_PORT_8001_TCP_PORT=8001",
			service + "_PORT_8001_TCP_ADDR=10.0.0.1", service + "_PORT_53_UDP=udp://10.0.0.1:53", service + "_PORT_53_UDP_ADDR=10.0.0.1",
		})
		require.NoError(t, err)
	}
	for _, variable := range []string{"ANALYTICS_API_PORT=8001", "ANALYTICS_API_LISTEN_PORT=8001", "ANALYTICS_API_SERVICE=x", "ANALYTICS_API_SERVICE_PORT=x"} {
		_, err := load(t, "", []string{variable})
		name, _, _ := strings.Cut(variable, "=")
		require.ErrorContains(t, err, "unknown environment variable "+name)
	}
}

func TestUnknownFlagIsReportedInOneLine(t *testing.T) {
	_, stderr, err := runOnce(t, nil, "--lisen", "x")
	require.EqualError(t, err, "unknown flag --lisen, did you mean --listen?: --help lists the flags")
	require.Empty(t, stderr)
}

func TestVersionCheckAndHelpPrintAndExit(t *testing.T) {
	out, _, err := runOnce(t, []string{"ANALYTICS_API_NO_SUCH=1"}, "--version")
	require.NoError(t, err)
	require.Equal(t, "analytics-api "+buildinfo.Version("")+"\n", out)
	out, _, err = runOnce(t, nil, "--check")
	require.NoError(t, err)
	require.Equal(t, "the configuration is valid\n", out)
	again, _, err := runOnce(t, nil, "version")
	require.NoError(t, err)
	require.Equal(t, "analytics-api "+buildinfo.Version("")+"\n", again)
	for _, flag := range []string{"--help", "-h", "help"} {
		out, errs, err := runOnce(t, nil, flag)
		require.NoError(t, err)
		require.Equal(t, help, out)
		require.Empty(t, errs)
	}
}

// The text of --help is written by hand.
func TestHelpHasEveryFlagAndTheDefaults(t *testing.T) {
	t.Parallel()
	want := []string{"--check", "--config", "--help", "--redis", "--version"}
	for _, s := range settings() {
		if s.flagged {
			want = append(want, "--"+s.flag())
		}
	}
	described := regexp.MustCompile(`(?m)^  (--[a-z-]+)`).FindAllString(help, -1)
	for i := range described {
		described[i] = strings.TrimSpace(described[i])
	}
	require.ElementsMatch(t, want, described)
	d := defaults()
	for _, value := range []string{d.Listen, d.Redis[0], d.EmbeddedListen, d.LogLevel, defaultFile} {
		require.Contains(t, help, value)
	}
	for line := range strings.SplitSeq(help, "\n") {
		require.True(t, len(line) <= 84 || strings.HasPrefix(line, "https://"), line)
	}
}

func TestMistakesInTheFileAreExplained(t *testing.T) {
	for file, want := range map[string]string{
		`redis = "redis://127.0.0.1:6379"`: `configuration analytics-api.toml: line 1: invalid value of the setting "redis", want a list in brackets, such as ["a", "b"]`,
		`max_records = "5"`:                `line 1: invalid value of the setting "max_records", want a whole number without quotes`,
		`listen = 8001`:                    `line 1: invalid value of the setting "listen", want a text in quotes`,
		`allow_public = "yes"`:             `line 1: invalid value of the setting "allow_public", want true or false`,
		`lisen = "127.0.0.1:1"`:            `configuration analytics-api.toml: line 1: unknown setting "lisen", did you mean "listen"?`,
		"[[export]]\ntabel = \"cpu\"":      `unknown setting "export.tabel", did you mean "table"?`,
		"[[exprot]]\ntable = \"cpu\"":      `unknown setting "exprot", did you mean "export"?`,
	} {
		_, err := load(t, file, nil)
		require.ErrorContains(t, err, want)
	}
	// A name that is known only elsewhere in the file would be another mistake.
	for _, file := range []string{`databse = "db"`, `tabel = "cpu"`, "[[export]]\nlisen = \"127.0.0.1:1\"", "[other]\ntabel = \"cpu\""} {
		_, err := load(t, file, nil)
		require.ErrorContains(t, err, "unknown setting")
		require.NotContains(t, err.Error(), "did you mean", file)
	}
	_, err := load(t, "", []string{"ANALYTICS_API_LISTENN=x"})
	require.EqualError(t, err, `unknown environment variable ANALYTICS_API_LISTENN, did you mean "ANALYTICS_API_LISTEN"?`)
}

// The file is not a Telegraf configuration, which replaces variables. Without this check, records would be in a folder "${DIR}".
func TestVariablesInSettingsAreErrors(t *testing.T) {
	for setting, value := range map[string]string{
		"embedded_dir": `"${DIR}"`, "listen": `"$LISTEN"`, "redis": `["redis://:pa55${HOST}@a"]`, "tokens": `"/etc/$TOKENS/x"`, "default_database": `"$DB"`,
		"redis_password": `"${DIR}"`, "embedded_password": `"${DIR}"`, "redis_sentinel_password": `"${DIR}"`, "redis_username": `"${DIR}"`,
		"tls_cert": `"${DIR}"`, "log_level": `"${DIR}"`, "hosts": `["${DIR}"]`, "cors_origins": `["${DIR}"]`,
	} {
		t.Setenv("DIR", "x")
		_, err := load(t, setting+" = "+value, nil)
		require.ErrorContains(t, err, "invalid '"+setting+"' setting: it has the variable ")
		require.ErrorContains(t, err, ", which is not replaced here: write the value, or set the environment variable ANALYTICS_API_"+strings.ToUpper(setting))
		require.Len(t, strings.Split(err.Error(), "\n"), 1, "no other error about the setting")
		require.NotContains(t, err.Error(), "pa55")
	}
	_, err := load(t, "[[export]]\ndatabase = \"d\"\ntable = \"${T}\"", nil)
	require.ErrorContains(t, err, `invalid 'export.table' setting: it has the variable T, which is not replaced here: write the value`)
	_, err = load(t, "", []string{"ANALYTICS_API_EMBEDDED_DIR=${DIR}"}, "--embedded", "auto")
	require.ErrorContains(t, err, "invalid 'embedded_dir' setting: it has the variable DIR, ")
	_, err = load(t, `redis_password = "a${DIR}$b"`, nil)
	require.NoError(t, err, "a password may have these characters")
}

func load(t *testing.T, file string, env []string, args ...string) (config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		require.NoError(t, os.WriteFile(defaultFile, []byte(file), 0o600))
	}
	return loadConfig(args, env)
}

func TestFlagsOverrideTheEnvironmentWhichOverridesTheFile(t *testing.T) {
	const file = "listen = \"127.0.0.1:1\"\nembedded = \"auto\"\nembedded_dir = \"file\"\nmax_records = 5\nredis = [\"redis://file\"]\nredis_timeout = \"7s\"\n"
	env := []string{"ANALYTICS_API_LISTEN=127.0.0.1:2", "ANALYTICS_API_MAX_RECORDS=6", "ANALYTICS_API_REDIS=redis://a,redis://b", "OTHER=1"}
	c, err := load(t, file, env, "--listen", "127.0.0.1:3")
	require.NoError(t, err)
	require.Equal(t, []any{"127.0.0.1:3", "file", 6, []string{"redis://a", "redis://b"}, duration(7 * time.Second), 10000},
		[]any{c.Listen, c.EmbeddedDir, c.MaxRecords, c.Redis, c.RedisTimeout, c.MaxBuckets})
	c, err = load(t, file, env, "--redis", "redis://x", "--redis", "redis://y")
	require.NoError(t, err)
	require.Equal(t, []string{"redis://x", "redis://y"}, c.Redis)

	named := filepath.Join(t.TempDir(), "named.toml")
	require.NoError(t, os.WriteFile(named, []byte("max_records = 9\n"), 0o600))
	for _, how := range [][]string{{"--config", named}, {"env"}} {
		if how[0] == "env" {
			c, err = load(t, file, []string{"ANALYTICS_API_CONFIG=" + named})
		} else {
			c, err = load(t, file, nil, how...)
		}
		require.NoError(t, err)
		require.Equal(t, 9, c.MaxRecords)
		require.Equal(t, "127.0.0.1:8001", c.Listen, "the default file is not read then")
	}
}

func TestBooleanFlagOverridesTheFileAndTheEnvironment(t *testing.T) {
	const on, off = "allow_public = true\n", "allow_public = false\n"
	for _, test := range []struct {
		file string
		env  string
		flag string
		want bool
	}{
		{file: on, want: true},
		{file: on, env: "false", want: false},
		{file: off, env: "true", want: true},
		{file: on, flag: "--allow-public=false", want: false},
		{file: on, env: "true", flag: "--allow-public=false", want: false},
		{file: off, env: "false", flag: "--allow-public", want: true},
		{file: off, flag: "--allow-public=true", want: true},
	} {
		var env, args []string
		if test.env != "" {
			env = []string{"ANALYTICS_API_ALLOW_PUBLIC=" + test.env}
		}
		if test.flag != "" {
			args = []string{test.flag}
		}
		c, err := load(t, test.file, env, args...)
		require.NoError(t, err)
		require.Equal(t, test.want, c.AllowPublic, "%+v", test)
	}
	_, err := load(t, "listen = \"0.0.0.0:1\"\nallow_public = true\n", nil, "--allow-public=false")
	require.ErrorContains(t, err, "invalid 'listen' setting \"0.0.0.0:1\"")
	_, err = load(t, "", nil, "--allow-public=maybe")
	require.EqualError(t, err, `flag --allow-public: "maybe" is neither true nor false`)
}

func TestEmptyFlagOverridesTheFile(t *testing.T) {
	c, err := load(t, "embedded = \"auto\"\nembedded_dir = \"d\"\n", nil, "--embedded", "", "--embedded-dir", "")
	require.NoError(t, err)
	require.Empty(t, c.Embedded+c.EmbeddedDir)
}

func TestDocumentedConfigurationHasTheDefaults(t *testing.T) {
	b, err := os.ReadFile(defaultFile)
	require.NoError(t, err)
	c, err := load(t, string(b), nil)
	require.NoError(t, err)
	require.Equal(t, defaults(), c)
	text := strings.ReplaceAll(string(b), "# [[export]]\n# database", "[[export]]\ndatabase")
	text = strings.ReplaceAll(text, "# table = ", "table = ")
	c, err = load(t, strings.ReplaceAll(text, "# agents = ", "agents = "), nil)
	require.NoError(t, err)
	require.Equal(t, []export{{"mydb", "cpu", "merged"}}, c.Export)
	for _, s := range settings() {
		require.Contains(t, string(b), "\n"+s.name+" = ")
	}
}

func TestBadSettingIsReportedWithValueAndRule(t *testing.T) {
	for file, want := range map[string]string{
		`lisen = "x"`:           `unknown setting "lisen"`,
		"[[export]]\ntabel = 1": `unknown setting "export.tabel"`,
		`listen = 1`:            "listen",
		`listen = "8001"`:       `invalid 'listen' setting "8001", want host:port`,
		`listen = "0.0.0.0:1"`:  `invalid 'listen' setting "0.0.0.0:1": this address is reachable from other machines`,
		`listen = ":8001"`:      `invalid 'listen' setting ":8001": this address is reachable from other machines`,
		"embedded = \"auto\"\nembedded_listen = \":1\"":                 `invalid 'embedded_listen' setting ":1": this address is reachable from other machines`,
		`listen = "127.0.0.1:99999"`:                                    `invalid 'listen' setting "127.0.0.1:99999": port "99999", want a number from 0 (any free one) to 65535`,
		`listen = "127.0.0.1:abc"`:                                      `invalid 'listen' setting "127.0.0.1:abc": port "abc", want a number from 0 (any free one) to 65535`,
		`listen = "127.0.0.1:"`:                                         `invalid 'listen' setting "127.0.0.1:": port "", want a number`,
		"embedded = \"auto\"\nembedded_listen = \"127.0.0.1:-1\"":       `invalid 'embedded_listen' setting "127.0.0.1:-1": port "-1", want a number`,
		`redis_sentinel_password = "p"`:                                 `line 1: invalid 'redis_sentinel_password' setting: there is no 'redis_master_name', want the name of the primary that the Sentinels watch`,
		`redis_db = -1`:                                                 "invalid 'redis_db' setting -1, want a number from 0 to 2147483647",
		`redis_timeout = "-1s"`:                                         `invalid 'redis_timeout' setting "-1s", want more than 0s`,
		`redis_timeout = "0s"`:                                          `invalid 'redis_timeout' setting "0s", want more than 0s`,
		`embedded = "yes"`:                                              `invalid 'embedded' setting "yes", want auto, redis-server or memory`,
		`max_records = 0`:                                               "configuration analytics-api.toml: line 1: invalid 'max_records' setting 0, want a number from 1 to 1000000000",
		`export_max_age = "-1s"`:                                        `invalid 'export_max_age' setting "-1s", want 0s or more`,
		`redis_timeout = "soon"`:                                        "redis_timeout",
		`redis = []`:                                                    "invalid 'redis' setting: no server, want a URL",
		`redis = ["http://x"]`:                                          `invalid 'redis' setting: server "http://x"`,
		`redis = ["redis://u:p@a", "redis://u:q@b"]`:                    `invalid 'redis' setting: server "redis://b": its credentials differ from those of the first server, "redis://a"`,
		`redis = ["redis://a?read_timeout=9s"]`:                         `invalid 'redis' setting: server "redis://a": the only option of a URL is "db"`,
		`redis_tls_ca = "/none"`:                                        "invalid 'redis_tls_ca' setting: open /none",
		"[[export]]\ndatabase = \"\"\ntable = \"t\"":                    "invalid 'export.database' setting \"\": want a name",
		"[[export]]\ndatabase = \"a/b\"\ntable = \"t\"":                 `invalid 'export.database' setting "a/b": a name has none of { } /`,
		"[[export]]\ndatabase = \"d\"\ntable = \"c\"\nagents = \"all\"": `invalid 'export.agents' setting "all", want "merged" or "each"`,
		"[[export]]\ndatabase = \"d\"\ntable = \"c{}\"":                 `invalid 'export.table' setting "c{}": a name has none of { } /`,
		`default_database = "a/b\n"`:                                    `invalid 'default_database' setting "a/b\n": a name has no control characters`,
		`default_database = "a{b"`:                                      `invalid 'default_database' setting "a{b": a name has none of { } /`,
		`not toml`:                                                      "configuration analytics-api.toml",
	} {
		_, err := load(t, file, nil)
		require.ErrorContains(t, err, want, file)
	}
	for _, test := range []struct {
		env, args []string
		want      string
	}{
		{[]string{"ANALYTICS_API_LISEN=x"}, nil, "unknown environment variable ANALYTICS_API_LISEN"},
		{[]string{"ANALYTICS_API_MAX_RECORDS=x"}, nil, `environment variable ANALYTICS_API_MAX_RECORDS: "x" is not a whole number`},
		{[]string{"ANALYTICS_API_EXPORT_MAX_AGE=x"}, nil, `environment variable ANALYTICS_API_EXPORT_MAX_AGE: "x" is not a time, want one such as "5s" or "1h30m"`},
		{[]string{"ANALYTICS_API_ALLOW_PUBLIC=x"}, nil, `environment variable ANALYTICS_API_ALLOW_PUBLIC: "x" is neither true nor false`},
		{[]string{"ANALYTICS_API_DEFAULT_DATABASE=\xff"}, nil, `invalid 'default_database' setting "\xff": a name is valid UTF-8`},
		{nil, []string{"--lisen", "x"}, "unknown flag --lisen"},
		{nil, []string{"--check", "--embedded-dir", "d"}, `invalid 'embedded_dir' setting "d": only an embedded redis-server stores data there`},
		{nil, []string{"--check", "--embedded", "memory", "--embedded-dir", "d"}, `invalid 'embedded_dir' setting "d": a Redis in memory stores nothing`},
		{nil, []string{"--check", "--embedded", "auto", "--embedded-dir", "~/redis"}, `invalid 'embedded_dir' setting "~/redis": "~" is not replaced here: write the whole path`},
		{nil, []string{"serve"}, `unknown argument "serve"`},
		{nil, []string{"--config", "/no/such.toml"}, "/no/such.toml"},
	} {
		_, err := load(t, "", test.env, test.args...)
		require.ErrorContains(t, err, test.want)
	}
	_, err := load(t, "listen = \"0.0.0.0:1\"\n", nil, "--allow-public")
	require.NoError(t, err)
}

func TestServiceStartsWithoutItsRedis(t *testing.T) {
	t.Parallel()
	const addr = "127.0.0.1:1" // no program gets this port by chance
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "redis://"+addr)
	status, _ := c.get(t, "/health")
	require.Equal(t, http.StatusOK, status)
	status, body := c.get(t, "/ready")
	require.Equal(t, http.StatusServiceUnavailable, status)
	var problem map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &problem))
	require.IsType(t, "", problem["detail"])
	c.stderr.wait(t, ` path=/ready status=503 redis=`+addr+" error=")
	c.stderr.wait(t, "level=WARN")
	c.stderr.wait(t, "connection refused; check 'redis'")
}

// Connecting and a command together take longer than redis_timeout. No request for records comes. Each alone takes 3.6 s less than that, so
// that a machine can stand still for a moment.
func TestReadyFindsASlowRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	addr := redistest.Slow(t, server.Addr(), 4400*time.Millisecond)
	c := start(t, []string{"ANALYTICS_API_REDIS_TIMEOUT=8s"}, "--listen", "127.0.0.1:0", "--redis", "redis://"+addr)
	var body string
	require.Eventually(t, func() bool {
		var status int
		status, body = c.get(t, "/ready")
		return status == http.StatusOK
	}, patience, time.Millisecond)
	require.JSONEq(t, `{"status":"ready"}`, body)
	require.NotContains(t, c.stderr.String(), "the settings of a server cannot be read")
}

func TestRefusedPasswordIsReportedButNotShown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Password: "right"})
	for _, how := range []struct{ env, redis string }{
		{"ANALYTICS_API_REDIS_PASSWORD=s3cret", "redis://" + server.Addr()}, {"NONE=", "redis://:s3cret@" + server.Addr()}, {"NONE=", "redis://" + server.Addr()},
	} {
		c := start(t, []string{how.env}, "--listen", "127.0.0.1:0", "--redis", how.redis)
		c.stderr.wait(t, "level=WARN")
		status, _ := c.get(t, "/databases")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, c.stderr.String(), "redis at "+server.Addr())
		require.Contains(t, c.stderr.String(), "; check 'redis_username', 'redis_password', 'redis_password_file', 'redis'")
		c.stderr.wait(t, "status=503 redis="+server.Addr())
		require.NotContains(t, c.stderr.String(), "s3cret")
	}
}

// Redis answers, also to the ping at the start, but refuses a command of the requests.
func TestARefusedCommandIsReportedWithWhatToChange(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	require.NoError(t, redistest.Client(t, server).Do(t.Context(), "ACL", "SETUSER", "default", "-zrevrange").Err())
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "redis://"+server.Addr())
	status, body := c.get(t, "/databases")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "the list of all tables cannot be read now, try again; the log of the service has the reason")
	c.stderr.wait(t, "run the 'zrevrange' command: the user lacks a rule of the documented ACL, add it by ACL SETUSER; check 'redis_username', 'redis'")
}

// Redis has no room for the connections of the service: at the start, for a probe, for a request and for a stream.
func TestARedisWithoutRoomForClientsIsReportedWithWhatToChange(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	admin := redistest.Client(t, server)
	require.NoError(t, admin.ConfigSet(t.Context(), "maxclients", "1").Err())
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "redis://"+server.Addr())
	const reason = "ERR max number of clients reached: raise maxclients in Redis, or close other connections"
	c.stderr.wait(t, "cannot read from Redis, requests fail until that works\" error=\"redis at "+server.Addr()+": "+reason)
	for _, path := range []string{"/ready", "/databases", "/analytics/cpu?database=db"} {
		status, _ := c.get(t, path)
		require.Equal(t, http.StatusServiceUnavailable, status, path)
	}
	c.stderr.wait(t, " path=/ready status=503 redis="+server.Addr()+" error=\"redis at "+server.Addr()+": "+reason)
	require.NotContains(t, c.stderr.String(), "broken pipe")
	require.NotContains(t, c.stderr.String(), "EOF")
	require.NoError(t, admin.ConfigSet(t.Context(), "maxclients", "100").Err())
	status, _ := c.get(t, "/ready")
	require.Equal(t, http.StatusOK, status)
}

func TestTLSFailureIsReportedWithItsSettings(t *testing.T) {
	t.Parallel()
	addr, _, _ := redistest.TLS(t)
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "rediss://"+addr)
	c.stderr.wait(t, "level=WARN")
	require.Contains(t, c.stderr.String(), "; check 'redis_tls_ca', 'redis_tls_cert', 'redis_tls_key', 'redis_tls_server_name'")
}

func TestCommandDoesNotDependOnTelegraf(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	require.NotContains(t, string(out), "influxdata/telegraf")
}

func TestSentinelCredentialsAreNotThoseOfThePrimary(t *testing.T) {
	c, err := load(t, "redis_master_name = \"main\"\nredis_password = \"p\"\nredis_sentinel_username = \"u\"\n", []string{"ANALYTICS_API_REDIS_SENTINEL_PASSWORD=s"})
	require.NoError(t, err)
	o := c.dialOptions()
	require.Equal(t, []string{"main", "", "p", "u", "s"}, []string{o.MasterName, o.Username, o.Password, o.SentinelUsername, o.SentinelPassword})
}

// A default that differs from the sample, or a setting that is missing there, fails this test.
func TestSampleHasEverySettingWithItsDefault(t *testing.T) {
	t.Parallel()
	var c config
	meta, err := toml.DecodeFile("analytics-api.toml", &c)
	require.NoError(t, err)
	require.Empty(t, meta.Undecoded())
	require.Equal(t, defaults(), c)
	sample, err := os.ReadFile("analytics-api.toml")
	require.NoError(t, err)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config]()) {
		if name := field.Tag.Get("toml"); name != "" {
			require.Regexp(t, `(?m)^(# \[\[)?`+name+`( = |\]\])`, string(sample))
		}
	}
	for _, s := range settings() {
		require.True(t, meta.IsDefined(s.name), "the sample has no %s", s.name)
	}
}
