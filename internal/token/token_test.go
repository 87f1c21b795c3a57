package token_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func permissions(t testing.TB, texts ...string) []token.Permission {
	t.Helper()
	var all []token.Permission
	for _, text := range texts {
		p, err := token.ParsePermission(text)
		require.NoError(t, err)
		require.Equal(t, text, p.String())
		all = append(all, p)
	}
	return all
}

// add adds a token to a file and returns its text.
func add(t testing.TB, path string, expires time.Time, texts ...string) (string, token.Token) {
	t.Helper()
	text, made := token.New("a test", permissions(t, texts...), start, expires)
	require.NoError(t, token.Add(path, made))
	return text, made
}

func TestPermissionsSelectDatabasesAndActions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	text, made := add(t, path, time.Time{}, "db:mydb:read", "db:plant_*,50%25,a%2Cb,s%2A,c:d:read,stream", "db:*:metrics")
	require.Regexp(t, `^aapi_`+made.ID+`_[a-z2-7]{32}$`, text)
	s, err := token.Open(path, func() time.Time { return start }, nil)
	require.NoError(t, err)
	g, ok := s.Check(text)
	require.True(t, ok)
	require.Equal(t, made.ID, g.ID())
	for database, want := range map[string][2]bool{
		"mydb": {true, false}, "mydb2": {}, "MYDB": {}, "": {}, "plant_": {true, true}, "plant_1": {true, true}, "plant": {}, "50%": {true, true}, "a,b": {true, true},
		"a": {}, "s*": {true, true}, "sx": {}, "c:d": {true, true}, "*": {}, "plant_*": {true, true},
	} {
		require.Equal(t, want, [2]bool{g.Allows(token.Read, database), g.Allows(token.Stream, database)}, "%q", database)
		require.True(t, g.Allows(token.Metrics, database))
	}
	require.True(t, g.AllowsSome(token.Stream))
	require.False(t, g.AllowsSystem())

	text, _ = add(t, path, time.Time{}, "system:metrics:read")
	s, err = token.Open(path, func() time.Time { return start }, nil)
	require.NoError(t, err)
	g, ok = s.Check(text)
	require.True(t, ok)
	require.True(t, g.AllowsSystem())
	require.False(t, g.AllowsSome(token.Metrics))
	require.False(t, g.Allows(token.Read, "mydb"))

	var none token.Grant
	require.False(t, none.Allows(token.Read, "mydb") || none.AllowsSome(token.Read) || none.AllowsSystem())
	all := token.All()
	require.True(t, all.Allows(token.Read, "mydb") && all.AllowsSome(token.Metrics) && all.AllowsSystem())
}

func TestBadPermissionIsReportedWithItsFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                    `permission "", want one such as "db:mydb:read"`,
		"mydb:read":           `permission "mydb:read", want one such as`,
		"db:mydb":             `permission "db:mydb", want one such as`,
		"db::read":            `database "": a name has at least one character`,
		"db:a,:read":          `database "": a name has at least one character`,
		"db:mydb:write":       `action "write" is not one of read, stream and metrics`,
		"db:mydb:":            `action "" is not one of`,
		"db:mydb:read, write": `action " write" is not one of`,
		"db:a*b:read":         `database "a*b": a star is only possible at the end`,
		"db:50%:read":         `database "50%": a percent sign is written as %25`,
		"db:%ff:read":         `database "%ff": a name is valid UTF-8`,
		"system:metrics":      `permission "system:metrics", want one such as`,
		"system:*:read":       `permission "system:*:read", want one such as`,
	} {
		_, err := token.ParsePermission(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestWrongTokensAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	now := start
	text, made := add(t, path, start.Add(time.Hour), "db:*:read")
	other, _ := add(t, path, time.Time{}, "db:*:read")
	s, err := token.Open(path, func() time.Time { return now }, nil)
	require.NoError(t, err)
	require.Equal(t, 2, s.Len())
	for _, wrong := range []string{
		"", " ", made.ID, text[:len(text)-1], text + "a", text + strings.Repeat("a", 10000), strings.ToUpper(text), " " + text, text + "\n",
		"aapi_" + made.ID + "_" + other[len(other)-32:], "aapi_abcdefgh_" + text[len(text)-32:], "aapi_" + made.ID + "_" + strings.Repeat("a", 32),
	} {
		g, ok := s.Check(wrong)
		require.False(t, ok, "%q", wrong)
		require.False(t, g.AllowsSome(token.Read))
	}
	now = start.Add(time.Hour - time.Nanosecond)
	_, ok := s.Check(text)
	require.True(t, ok)
	now = start.Add(time.Hour)
	_, ok = s.Check(text)
	require.False(t, ok, "the time of expiry is not included")
	_, ok = s.Check(other)
	require.True(t, ok)
}

func TestFileHasNoSecretAndMode0600(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	text, made := add(t, path, time.Time{}, "db:*:read")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(b), text[len(text)-32:])
	require.Contains(t, string(b), made.ID)
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.NoError(t, os.Chmod(path, 0o666))
		_, err = token.List(path)
		require.EqualError(t, err, path+": everybody can change the file (mode 0666), want mode 0600")
	}
}

func TestStoreFollowsItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	first, made := add(t, path, time.Time{}, "db:*:read")
	now := start
	var counts []int
	var failed error
	s, err := token.Open(path, func() time.Time { return now }, func(n int, err error) { counts, failed = append(counts, n), err })
	require.NoError(t, err)
	valid := func(text string) bool {
		now = now.Add(time.Second)
		_, ok := s.Check(text)
		return ok
	}
	second, _ := add(t, path, time.Time{}, "db:*:read")
	_, ok := s.Check(second)
	require.False(t, ok, "within the pause the file is not looked at")
	require.True(t, valid(second))
	require.NoError(t, token.Delete(path, made.ID))
	require.False(t, valid(first))
	require.True(t, valid(second))
	require.ErrorIs(t, token.Delete(path, made.ID), token.ErrUnknown)

	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	require.True(t, valid(second), "the tokens of the last valid file stay")
	require.ErrorContains(t, failed, path+": not a file of tokens: unexpected EOF")
	require.NoError(t, os.Remove(path))
	require.False(t, valid(second), "without a file no token is valid")
	require.NoError(t, os.WriteFile(path, good, 0o600))
	require.True(t, valid(second))
	require.Equal(t, []int{2, 1, 0, 0, 1}, counts)
}

func TestMalformedFileIsRefused(t *testing.T) {
	t.Parallel()
	hash := `"hash":"sha256:` + strings.Repeat("0a", 32) + `"`
	one := `{"id":"abcdefgh",` + hash + `,"permissions":["db:a:read"],"created":"2026-01-02T03:04:05Z"}`
	for text, want := range map[string]string{
		``:                            "not a file of tokens: it is empty",
		`[]`:                          "not a file of tokens",
		`{"version":2}`:               "version 2 of a file of tokens, want 1",
		`{"tokens":[]}`:               "version 0 of a file of tokens, want 1",
		`{"version":1,"tokens":[{}]}`: `token "": an id has 8 characters`,
		`{"version":1,"tokens":[{"id":"abcdefgh"}]}`:                            `token "abcdefgh" has no hash`,
		`{"version":1,"tokens":[{"id":"abcdefgh","hash":"x"}]}`:                 "a hash is sha256: and 64 hexadecimal digits",
		`{"version":1,"tokens":[` + one + `,` + one + `]}`:                      `two tokens have the id "abcdefgh"`,
		`{"version":1,"tokens":[` + one + `]}x`:                                 "there is more after its end",
		`{"version":1,"tokens":[{"expire":1}]}`:                                 `unknown field "expire"`,
		`{"version":1,"tokens":[` + strings.Replace(one, "read", "x", 1) + `]}`: `action "x" is not one of`,
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := token.Open(path, time.Now, nil)
		require.ErrorContains(t, err, want)
	}
	for text, line := range map[string]int{
		"{\n\"version\":1,\n\"tokens\":[\n" + one + ",\n{\"id\":\"abcdefgi\"}]}":                        5,
		"{\n\"version\":1,\n\"tokens\":[\n" + one + ",\n" + one + "]}":                                  5,
		"{\n\"version\":1,\n\"tokens\":[" + one + "\n,\n\n" + strings.Replace(one, "db:", "", 1) + "]}": 6,
		"{\n\"version\":1,\n\"tokens\":[\n" + one + "\n":                                                4,
		"{\n\"version\":1,\n\"tokens\":\n5}":                                                            4,
		"\n{\"version\":1,\"tokns\":[]}":                                                                0,
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := token.List(path)
		require.Error(t, err)
		require.Equal(t, line > 0, strings.HasSuffix(err.Error(), fmt.Sprintf(", at line %d", line)), "%s: %v", text, err)
	}
	large := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, 17<<20))
	_, err := token.List(large)
	require.EqualError(t, err, large+": the file has more than 16777216 bytes")
	_, err = token.Open(filepath.Join(t.TempDir(), "none"), time.Now, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestProcessesThatAddTokensLoseNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, made := token.New("", nil, start, time.Time{})
			errs[i] = token.Add(path, made)
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	tokens, err := token.List(path)
	require.NoError(t, err)
	require.Len(t, tokens, len(errs))
}

// The three ways to be wrong are an id that is unknown, a wrong secret, and a text that is no token. They are measured by
// turns, and compared by their medians, so that other programs on the machine slow all of them alike.
func TestWrongTokensNeedTheSameTime(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector changes the times")
	}
	path := filepath.Join(t.TempDir(), "tokens")
	text, made := add(t, path, time.Time{}, "db:*:read")
	s, err := token.Open(path, time.Now, nil)
	require.NoError(t, err)
	const rounds, calls = 5000, 20
	given := []string{"aapi_" + made.ID + "_" + strings.Repeat("a", 32), "aapi_abcdefgh_" + strings.Repeat("a", 32), strings.Repeat("a", len(text))}
	times := make([][]time.Duration, len(given))
	for range rounds {
		for i, text := range given {
			began := time.Now()
			for range calls {
				s.Check(text)
			}
			times[i] = append(times[i], time.Since(began)/calls)
		}
	}
	var medians []time.Duration
	for _, all := range times {
		slices.Sort(all)
		medians = append(medians, all[rounds/2])
	}
	t.Logf("medians: wrong secret %s, unknown id %s, no token %s", medians[0], medians[1], medians[2])
	require.Less(t, float64(slices.Max(medians)), 1.3*float64(slices.Min(medians)))
}

func BenchmarkCheck(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tokens")
	text, made := add(b, path, time.Time{}, "db:*:read")
	s, err := token.Open(path, time.Now, nil)
	require.NoError(b, err)
	for name, given := range map[string]string{
		"valid": text, "wrong-secret": "aapi_" + made.ID + "_" + strings.Repeat("a", 32), "unknown-id": "aapi_abcdefgh_" + strings.Repeat("a", 32),
		"no-token": strings.Repeat("a", len(text)), "16-KiB": strings.Repeat("a", 16<<10),
	} {
		b.Run("token="+name, func(b *testing.B) {
			_, ok := s.Check(given)
			require.Equal(b, name == "valid", ok)
			for b.Loop() {
				s.Check(given)
			}
		})
	}
}
