//go:build unix

// Package sqltest runs the SQL of documentation and examples, which is for InfluxDB 3, in PostgreSQL. InfluxDB 3 is not installed
// by package managers, and its SQL follows that of PostgreSQL. Without PostgreSQL, the tests are skipped: see [Start].
//
// Two things differ. Timestamps have microseconds instead of nanoseconds, so [Server.Fill] makes microseconds of the nanoseconds
// of revisions. And date_bin has a third argument in PostgreSQL, which is optional here as in InfluxDB 3.
package sqltest

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Server is a PostgreSQL with an empty database.
type Server struct {
	bin, folder string
	credential  *syscall.Credential // nil for the user of the test
}

// Row is a row of a table: a point of a database for time series. The values of Fields are int64 or float64.
type Row struct {
	Time   time.Time
	Tags   map[string]string
	Fields map[string]any
}

// find returns the folder of PostgreSQL's programs. Debian has it outside of PATH. PATH can have links to some of the programs.
func find() (folder string, err error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path)
		return filepath.Dir(path), err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
	if len(found) == 0 {
		return "", fmt.Errorf("initdb: %w", exec.ErrNotFound)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// Start starts a server and stops it when the test ends. Its function now() returns now. If there is no PostgreSQL, it skips the test, or
// fails it if the environment variable REQUIRE_POSTGRES is 1. It must be called in the goroutine of the test.
func Start(t testing.TB, now time.Time) *Server {
	t.Helper()
	bin, err := find()
	switch {
	case err == nil:
	case os.Getenv("REQUIRE_POSTGRES") == "1":
		t.Fatalf("%v, but REQUIRE_POSTGRES is 1", err)
	default:
		t.Skipf("%v: install postgresql to run this test", err)
	}
	s := &Server{bin: bin}
	// The path of a socket has at most 107 bytes, and another user must be able to enter the folder.
	s.folder, err = os.MkdirTemp("/tmp", "sqltest") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(s.folder)) })
	if os.Geteuid() == 0 {
		s.credential = nobody(t)
		require.NoError(t, os.Chown(s.folder, int(s.credential.Uid), int(s.credential.Gid)))
	}
	// Segments of the log are as small as possible, because the first one is written whole.
	initdb := s.command("initdb", "--pgdata", s.folder+"/data", "--username=test", "--auth=trust", "--encoding=UTF8", "--no-locale",
		"--no-sync", "--wal-segsize=1")
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, string(out))
	s.run(t)
	s.exec(t, fmt.Sprintf(`
		CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$SELECT TIMESTAMPTZ %s$$;
		CREATE FUNCTION date_bin(interval, timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
			$$SELECT date_bin($1, $2, TIMESTAMP '1970-01-01')$$;
		CREATE FUNCTION date_bin(interval, timestamptz) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
			$$SELECT date_bin($1, $2::timestamp, TIMESTAMP '1970-01-01')$$;`, literal(now.Format(time.RFC3339))))
	return s
}

// nobody returns the user that runs the server instead of root, which PostgreSQL refuses.
func nobody(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// command returns a command of PostgreSQL.
func (s *Server) command(name string, arguments ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), arguments...) //nolint:gosec // the programs of find
	c.Dir = s.folder
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	return c
}

// run starts the server, which only listens at a socket in its folder, and waits until it is ready.
func (s *Server) run(t testing.TB) {
	t.Helper()
	c := s.command("postgres", "-D", s.folder+"/data", "-k", s.folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "timezone=UTC",
		"-c", "search_path=public,pg_catalog") // functions of the tests precede those of PostgreSQL
	log, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGQUIT) // an immediate shutdown, which ends its children too
		_ = c.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return
		}
		t.Log(lines.Text())
	}
	t.Fatal("PostgreSQL does not start")
}

// exec runs SQL and returns the output of psql, which is CSV.
func (s *Server) exec(t testing.TB, sql string) string {
	t.Helper()
	c := s.command("psql", "--host", s.folder, "--username=test", "--dbname=postgres", "--no-psqlrc", "--quiet", "--csv", "--set=ON_ERROR_STOP=1")
	c.Stdin = strings.NewReader(sql)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s\n%s", sql, out)
	return string(out)
}

// Query returns the rows of a query, as text by the names of the columns. The text of NULL is empty.
func (s *Server) Query(t testing.TB, sql string) (rows []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(s.exec(t, sql))).ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, all, "the names of the columns")
	for _, values := range all[1:] {
		row := make(map[string]string)
		for i, name := range all[0] {
			row[name] = values[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// Fill creates a table with the columns of the rows, and adds the rows.
func (s *Server) Fill(t testing.TB, table string, rows []Row) {
	t.Helper()
	columns := map[string]string{`"time"`: "timestamp"}
	var inserts strings.Builder
	for _, row := range rows {
		values := map[string]string{`"time"`: literal(microseconds(row.Time).Format("2006-01-02 15:04:05.000000"))}
		for name, value := range row.Tags {
			columns[quoted(name)], values[quoted(name)] = "text", literal(value)
		}
		for name, value := range row.Fields {
			columns[quoted(name)], values[quoted(name)] = columnType(t, value), fmt.Sprint(value)
		}
		names := slices.Sorted(maps.Keys(values))
		list := make([]string, len(names))
		for i, name := range names {
			list[i] = values[name]
		}
		fmt.Fprintf(&inserts, "INSERT INTO %s (%s) VALUES (%s);\n", quoted(table), strings.Join(names, ", "), strings.Join(list, ", "))
	}
	definitions := make([]string, 0, len(columns))
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		definitions = append(definitions, name+" "+columns[name])
	}
	s.exec(t, fmt.Sprintf("CREATE TABLE %s (%s);\n%s", quoted(table), strings.Join(definitions, ", "), inserts.String()))
}

// columnType returns the type of the column of a value.
func columnType(t testing.TB, value any) string {
	t.Helper()
	switch value.(type) {
	case int64:
		return "bigint"
	case float64:
		return "double precision"
	}
	require.Fail(t, "unknown type", "%T", value)
	return ""
}

// microseconds makes microseconds of the nanoseconds that a revision adds to the start of a bucket.
func microseconds(at time.Time) time.Time {
	second := at.UTC().Truncate(time.Second)
	return second.Add(1000 * at.Sub(second) % time.Second)
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
