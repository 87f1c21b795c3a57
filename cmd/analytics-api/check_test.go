package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/unprivileged"
)

// mistake checks a configuration with one fault: --check and the start return the same error, which has one line with this text, and
// no part of a secret.
func mistake(t *testing.T, file string, env []string, want string, args ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		require.NoError(t, os.WriteFile(defaultFile, []byte(file), 0o600))
	}
	ended, end := context.WithCancel(t.Context())
	end() // a start that should fail ends at once if it does not
	var out, log buffer
	checked := run(ended, append([]string{"--check"}, args...), env, &out, &log)
	require.Error(t, checked, "%.200s", file)
	require.Contains(t, checked.Error(), want, "%.200s", file)
	require.Len(t, strings.Split(checked.Error(), "\n"), 1, checked.Error())
	require.NotContains(t, checked.Error(), "S3cret")
	require.NotContains(t, checked.Error(), "main.", "a type of Go")
	require.Less(t, len(checked.Error()), 600)
	require.Empty(t, out.String()+log.String())
	require.EqualError(t, run(ended, args, env, &out, &log), checked.Error())
}

// typeNames are the types of settings, for the values of [wrongTypes].
var typeNames = map[reflect.Type]string{
	reflect.TypeFor[string](): "text", reflect.TypeFor[int](): "number", reflect.TypeFor[bool](): "boolean", reflect.TypeFor[[]string](): "list",
	reflect.TypeFor[duration](): "time",
}

func TestEverySettingOfAWrongTypeIsReportedWithItsLine(t *testing.T) {
	values := []struct{ value, found string }{
		{`"S3cret"`, "a text"}, {`17`, "a whole number"}, {`1.5`, "a number with a fraction"}, {`true`, "true or false"}, {`["S3cret"]`, "a list"},
		{`["a", 1]`, "a list with other values than texts"}, {`{S3cret = 1}`, "a block"}, {`[{S3cret = 1}]`, "a list with other values than texts"}, {`2026-01-02`, "a date or time"},
	}
	valid := map[string]string{"text": "a text", "number": "a whole number", "boolean": "true or false", "list": "a list"}
	wants := map[string]string{
		"text": "a text in quotes", "number": "a whole number without quotes", "boolean": "true or false", "list": `a list in brackets, such as ["a", "b"]`,
		"time": `a time in quotes, such as "5s"`,
	}
	for _, s := range settings() {
		c := defaults()
		kind := typeNames[fieldOf(reflect.ValueOf(&c).Elem(), s.name).Type()]
		for _, v := range values {
			if valid[kind] == v.found {
				continue
			}
			want := fmt.Sprintf("configuration analytics-api.toml: line 2: invalid value of the setting %q, want %s, found %s", s.name, wants[kind], v.found)
			mistake(t, "\n"+s.name+" = "+v.value+"\n", nil, want)
		}
	}
	for _, value := range []string{`"S3cret"`, "17", "[1]", "true", "{S3cret = 1}", `["S3cret"]`} {
		mistake(t, "\n\nexport = "+value, nil, `configuration analytics-api.toml: line 3: "export" is no list of blocks, want [[export]] above`)
	}
	mistake(t, "[export]\ndatabase = \"d\"\ntable = \"t\"", nil, `line 1: "export" is no list of blocks, want [[export]] above`)
	mistake(t, "[[export]]\ndatabase = \"d\"\ntable = \"t\"\n[[export]]\ndatabase = 1\ntable = \"t\"", nil,
		`configuration analytics-api.toml: block 2 of [[export]]: invalid value of the setting "export.database", want a text in quotes, found a whole number`)
}

func TestAMisspelledSettingIsReportedWithItsLineAndTheRightName(t *testing.T) {
	for _, s := range settings() {
		mistake(t, "# a comment\n"+s.name+"x = 1\n", nil, fmt.Sprintf("configuration analytics-api.toml: line 2: unknown setting %q, did you mean ", s.name+"x"))
		mistake(t, "", []string{envPrefix + strings.ToUpper(s.name) + "X=S3cret"}, "unknown environment variable "+envPrefix+strings.ToUpper(s.name)+"X, did you mean ")
		if s.flagged {
			mistake(t, "", nil, "unknown flag --"+s.flag()+"x, did you mean --"+s.flag()+"?", "--"+s.flag()+"x", "S3cret")
		}
	}
	mistake(t, "Listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", nil, `line 2: the setting "listen" is there twice, also as "Listen"`)
	mistake(t, "listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", nil, `line 2: `)
	mistake(t, "\n[redis_password]\nS3cret = 1", nil, `line 2: invalid value of the setting "redis_password", want a text in quotes, found a block`)
}

func TestNumbersOutOfRangeAreReportedWithTheRange(t *testing.T) {
	zero := map[string]bool{"token_rate": true, "address_rate": true, "cache_size": true, "redis_db": true}
	for _, s := range settings() {
		c := defaults()
		if typeNames[fieldOf(reflect.ValueOf(&c).Elem(), s.name).Type()] != "number" {
			continue
		}
		values := []string{"-1", "-9223372036854775808", "9223372036854775807"}
		if !zero[s.name] {
			values = append(values, "0")
		}
		for _, value := range values {
			rule := fmt.Sprintf("invalid '%s' setting %s, want a number from ", s.name, value)
			mistake(t, s.name+" = "+value, nil, "configuration analytics-api.toml: line 1: "+rule)
			name := envPrefix + strings.ToUpper(s.name)
			mistake(t, "", []string{name + "=" + value}, "environment variable "+name+": "+rule)
		}
		mistake(t, s.name+" = 9223372036854775808", nil, "configuration analytics-api.toml: line 1: ")
	}
	mistake(t, "max_bytes = 100\nmax_total_bytes = 199", nil, "line 2: invalid 'max_total_bytes' setting 199, want at least two times max_bytes, 100")
}

// Every fault is reported, in the order of the file, whichever it is.
func TestAllFaultsOfAFileAreReported(t *testing.T) {
	_, err := load(t, "listn = 1\nmax_records = \"x\"\nredis = 1\nlog_level = 2\n[[export]]\ntabel = 1\n[other]\nx = 1", nil)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 6, err)
	for i, want := range []string{"line 1: unknown", "line 2: invalid", "line 3: invalid", "line 4: invalid", "block 1 of [[export]]: unknown", "line 7: unknown"} {
		require.Contains(t, lines[i], want)
	}
	_, err = load(t, "listen = \"x\"\nhealth_listen = \"y\"\nmax_records = 0\nmax_bytes = 0\nlog_level = \"x\"\nlog_format = \"x\"\nhosts = [\"a:1\", \"b/\"]\n"+
		"redis_tls_ca = \"/none\"\nredis_tls_cert = \"x\"\nembedded_dir = \"x\"\nredis_timeout = \"0s\"", nil)
	require.Len(t, strings.Split(err.Error(), "\n"), 12, err)
	_, err = load(t, "", nil, "--allow-public=x", "--tokens", "/none", "--embedded=memory")
	require.EqualError(t, err, `flag --allow-public: "x" is neither true nor false`)
}

// The TOML library would need gigabytes of memory and minutes for some of these.
func TestAbsurdFilesAreRefusedAtOnce(t *testing.T) {
	for text, want := range map[string]string{
		"redis = " + strings.Repeat("[\n", 100_000):                    "configuration analytics-api.toml: line 100000: not TOML",
		"redis = " + strings.Repeat("{a=[\n", 40_000):                  "configuration analytics-api.toml: the file has more than 1000 braces",
		"\n" + strings.Repeat("a.", 50_000) + "a = 1":                  "configuration analytics-api.toml: line 2 has more than 10000 bytes",
		strings.Repeat("b."+strings.Repeat("a.", 4_000)+"a = 1\n", 25): "configuration analytics-api.toml: line 1 has a key of more than 300 parts",
		strings.Repeat("#", 1<<20):                                     "configuration analytics-api.toml: read analytics-api.toml: the file has more than 262144 bytes",
	} {
		_, err := load(t, text, nil)
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 300)
	}
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, "a%d = 1\n", i)
	}
	_, err := load(t, many.String(), nil)
	require.Len(t, strings.Split(err.Error(), "\n"), maxFileFaults+1)
	require.ErrorContains(t, err, "configuration analytics-api.toml: there are more faults")
}

// broken is a way in which a file can be broken.
var broken = map[string]func(t *testing.T, path string, good []byte){
	"missing": func(*testing.T, string, []byte) {},
	"folder":  func(t *testing.T, path string, _ []byte) { t.Helper(); require.NoError(t, os.Mkdir(path, 0o700)) },
	"empty": func(t *testing.T, path string, _ []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	},
	"unreadable": func(t *testing.T, path string, good []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, good, 0o600))
		require.NoError(t, os.Chmod(path, 0))
	},
	"100 MB": func(t *testing.T, path string, good []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, good, 0o600))
		require.NoError(t, os.Truncate(path, 100<<20))
	},
	"binary": func(t *testing.T, path string, _ []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{0xff, 0, 0x1b, '\n', 'S', '3', 'c', 'r', 'e', 't'}, 100), 0o600))
	},
	"BOM": func(t *testing.T, path string, good []byte) {
		t.Helper()
		write(t, path, append([]byte("\xef\xbb\xbf"), good...))
	},
	"CRLF": func(t *testing.T, path string, good []byte) {
		t.Helper()
		write(t, path, bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
	},
	"NUL":  func(t *testing.T, path string, good []byte) { t.Helper(); write(t, path, append(good, 0)) },
	"half": func(t *testing.T, path string, good []byte) { t.Helper(); write(t, path, good[:len(good)*2/3]) },
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

func TestBrokenFilesAreReportedWithTheirSetting(t *testing.T) {
	dir := t.TempDir()
	p := writePair(t, dir, "service")
	tokens := filepath.Join(dir, "tokens")
	createToken(t, tokens, "db:*:read")
	password := filepath.Join(dir, "password")
	write(t, password, []byte("S3cretPassword\n"))
	config := filepath.Join(dir, "config.toml")
	write(t, config, []byte("listen = \"127.0.0.1:1\"\nredis_password = \"S3cretPassword\"\n"))
	for _, test := range []struct {
		setting, good string
		env           []string
		accepted      string // the ways that are no faults
	}{
		{"config", config, nil, "BOM CRLF empty"},
		{"tokens", tokens, nil, "CRLF"},
		{"tls_cert", p.cert, []string{"ANALYTICS_API_TLS_KEY=" + p.key}, "CRLF NUL"},
		{"tls_key", p.key, []string{"ANALYTICS_API_TLS_CERT=" + p.cert}, "CRLF NUL"},
		{"tls_client_ca", p.cert, []string{"ANALYTICS_API_TLS_CERT=" + p.cert, "ANALYTICS_API_TLS_KEY=" + p.key}, "CRLF NUL"},
		{"redis_password_file", password, nil, "CRLF half"},
		{"redis_sentinel_password_file", password, []string{"ANALYTICS_API_REDIS_MASTER_NAME=m"}, "CRLF half"},
		{"redis_tls_ca", p.cert, nil, "CRLF NUL"},
		{"redis_tls_cert", p.cert, []string{"ANALYTICS_API_REDIS_TLS_KEY=" + p.key}, "CRLF NUL"},
		{"redis_tls_key", p.key, []string{"ANALYTICS_API_REDIS_TLS_CERT=" + p.cert}, "CRLF NUL"},
		{"embedded_password_file", password, []string{"ANALYTICS_API_EMBEDDED=memory"}, "missing CRLF half"},
	} {
		good, err := os.ReadFile(test.good)
		require.NoError(t, err)
		for how, breakIt := range broken {
			path := filepath.Join(t.TempDir(), "the file")
			breakIt(t, path, bytes.Clone(good))
			name := envPrefix + strings.ToUpper(test.setting)
			env := append([]string{name + "=" + path}, test.env...)
			if strings.Contains(test.accepted, how) {
				_, err := load(t, "", env)
				require.NoError(t, err, "%s: %s", test.setting, how)
				continue
			}
			want := "environment variable " + name + ": invalid '" + test.setting + "' setting: "
			if test.setting == "config" {
				want = "configuration " + path + ": "
			}
			check := func() {
				mistake(t, "", env, want)
				_, err := load(t, "", env)
				require.ErrorContains(t, err, path)
			}
			if how == "unreadable" {
				unprivileged.Do(t, check) // root may read every file
				continue
			}
			check()
		}
	}
}

func TestCertificatesThatCannotBeUsedAreReported(t *testing.T) {
	p, other := writePair(t, t.TempDir(), "a"), writePair(t, t.TempDir(), "b")
	for _, side := range []string{"", "REDIS_"} {
		setting := func(name, value string) string { return envPrefix + side + "TLS_" + name + "=" + value }
		low := strings.ToLower(side)
		for _, test := range []struct{ cert, key, want string }{
			{p.cert, other.key, "'" + low + "tls_key' setting: " + other.key + " is not the key of the certificate in " + p.cert + ": "},
			{p.key, p.cert, "'" + low + "tls_cert' setting: " + p.key + " has no certificate, want one in PEM"},
			{p.cert, p.cert, "'" + low + "tls_key' setting: " + p.cert + " has no private key, want one in PEM"},
			{p.cert, "", "'" + low + "tls_cert' and '" + low + "tls_key' belong together, want both or none"},
			{"", p.key, "'" + low + "tls_cert' and '" + low + "tls_key' belong together, want both or none"},
		} {
			mistake(t, "", []string{setting("CERT", test.cert), setting("KEY", test.key)}, test.want)
		}
	}
}

func TestALineOfTheTokensThatIsWrongIsReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	createToken(t, file, "db:a:read")
	createToken(t, file, "db:b:read")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, test := range []struct {
		from, to, want string
	}{
		{`"db:b:read"`, `"db:b:red"`, `action "red" is not one of read, stream and metrics, want one such as `},
		{`"db:b:read"`, `"db:b:read`, "invalid character '\\n' in string literal, at line "},
		{`"permissions": [`, `"permission": [`, `unknown field "permission", at line 4`},
		{`"version": 1`, `"version": "1"`, "cannot unmarshal string into Go struct field file.version of type int, at line 2"},
		{"sha256:", "md5:", "a hash is sha256: and 64 hexadecimal digits, at line 4"},
		{`"version": 1`, `"version": 2`, "version 2 of a file of tokens, want 1"},
	} {
		write(t, file, bytes.Replace(good, []byte(test.from), []byte(test.to), 1))
		mistake(t, "", []string{"ANALYTICS_API_TOKENS=" + file}, "invalid 'tokens' setting: "+file+": ")
		mistake(t, "", []string{"ANALYTICS_API_TOKENS=" + file}, test.want)
	}
	write(t, file, good)
	require.NoError(t, os.Chmod(file, 0o622))
	mistake(t, "", []string{"ANALYTICS_API_TOKENS=" + file}, "everybody can change the file (mode 0622), want mode 0600")
}

func TestTheEmbeddedRedisIsCheckedWithoutAStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, nil)
	public := filepath.Join(dir, "public")
	require.NoError(t, os.Mkdir(public, 0o700))
	require.NoError(t, os.Chmod(public, 0o777))
	_, missing := exec.LookPath("redis-server")
	for path, want := range map[string]string{
		file: file + " is not a folder", file + "/below": "not a directory", public: "every user can write in the folder " + public + " (mode 0777), want one",
	} {
		if missing == nil {
			mistake(t, "embedded = \"auto\"\nembedded_dir = \""+path+"\"", nil, "configuration analytics-api.toml: line 2: invalid 'embedded_dir' setting")
			mistake(t, "embedded = \"auto\"\nembedded_dir = \""+path+"\"", nil, want)
		}
	}
	for _, secret := range []string{"S3cret", "/S3cret", "a/S3cret", dir + "/none/S3cret"} {
		mistake(t, "embedded = \"memory\"\nembedded_password_file = \""+secret+"\"", nil, "line 2: invalid 'embedded_password_file' setting: there is no such file; the value is not "+
			"shown, because it may be the secret itself, want the path of a file, or of a new one in a folder that exists, such as \"./redis.password\"")
	}
	mistake(t, "embedded = \"memory\"\nembedded_password_file = \""+strings.Repeat("S3cret", 100)+"\"", nil, "the value is not shown, because it may be the secret itself, want the path")
	for _, path := range []string{"./password", filepath.Join(dir, "password")} {
		_, err := load(t, "embedded = \"memory\"\nembedded_password_file = \""+path+"\"", nil)
		require.NoError(t, err)
		require.NoFileExists(t, path, "a check makes no file")
	}
	t.Setenv("PATH", "/nowhere")
	mistake(t, `embedded = "redis-server"`, nil, `line 1: invalid 'embedded' setting "redis-server": no redis-server on PATH, want it to be installed`)
	mistake(t, "embedded = \"auto\"\nembedded_dir = \"d\"", nil, "line 2: invalid 'embedded_dir' setting \"d\": a Redis in memory stores nothing in a folder: install redis-server")
}

func TestAddressesAndNamesThatCannotWorkAreReported(t *testing.T) {
	for file, want := range map[string]string{
		"listen = \"127.0.0.1:8001\"\nhealth_listen = \"127.0.0.1:8001\"": `line 2: invalid 'health_listen' setting "127.0.0.1:8001", want another address than that of 'listen', "127.0.0.1:8001"`,
		"listen = \"127.0.0.1:8001\"\nhealth_listen = \":08001\"":         `line 2: invalid 'health_listen' setting ":08001", want another address`,
		"embedded = \"memory\"\nembedded_listen = \"127.0.0.1:8001\"":     `line 2: invalid 'embedded_listen' setting "127.0.0.1:8001", want another address than that of 'listen'`,
		`listen = "256.1.1.1:80"`:                                         `line 1: invalid 'listen' setting "256.1.1.1:80": host "256.1.1.1", want an address or a name`,
		`health_listen = "a b:80"`:                                        `line 1: invalid 'health_listen' setting "a b:80": host "a b", want an address or a name`,
		`health_listen = "a\nb"`:                                          `line 1: invalid 'health_listen' setting "a\nb", want host:port`,
		"redis_sentinel_username = \"u\"":                                 `line 1: invalid 'redis_sentinel_username' setting: there is no 'redis_master_name'`,
		`hosts = ["stats.example.com", "stats.example.com:80"]`:           `line 1: invalid 'hosts' setting "stats.example.com:80", want the name or address of a host, without a port`,
		`hosts = ["http://stats"]`:                                        `line 1: invalid 'hosts' setting "http://stats"`,
		`hosts = ["stats."]`:                                              `line 1: invalid 'hosts' setting "stats."`,
		`hosts = [""]`:                                                    `line 1: invalid 'hosts' setting ""`,
		`cors_origins = ["https://Example.com"]`:                          `line 1: invalid 'cors_origins' setting "https://Example.com"`,
		`cors_origins = ["https://example.com:443"]`:                      `line 1: invalid 'cors_origins' setting "https://example.com:443"`,
		`cors_origins = ["http://example.com:"]`:                          `line 1: invalid 'cors_origins' setting "http://example.com:"`,
	} {
		mistake(t, file, nil, want)
	}
	for _, address := range []string{"localhost:1", "my-host.example.:1", "[fe80::1%lo]:1", "host_1:1"} {
		_, err := load(t, "health_listen = \""+address+"\"", nil)
		require.NoError(t, err)
	}
	_, err := load(t, "listen = \"127.0.0.1:0\"\nhealth_listen = \"127.0.0.1:0\"\nhosts = [\"a\", \"10.0.0.1\", \"2001:db8::1\"]\ncors_origins = [\"*\", \"http://[::1]:3000\"]", nil)
	require.NoError(t, err)
}

// The README of the example shows how to export tables of one's own.
func TestTheExportOfTheExampleIsValid(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../examples/prometheus/README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```toml\n(.*?)```").FindSubmatch(b)
	require.Len(t, shown, 2)
	config := filepath.Join(t.TempDir(), "analytics-api.toml")
	require.NoError(t, os.WriteFile(config, shown[1], 0o600))
	ended, end := context.WithCancel(t.Context())
	end() // a check that starts the service ends at once
	var out, log bytes.Buffer
	require.NoError(t, run(ended, []string{"--check", "--config", config}, nil, &out, &log))
}

// The process itself: its exit status and what it prints.
func TestAFaultIsOneLineOnStandardErrorAndStatusOne(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--check"}, {}} {
		command := exec.CommandContext(t.Context(), os.Args[0], args...)
		command.Env = environment(t, "ANALYTICS_API_MAX_RECORDS=0")
		command.Dir = t.TempDir()
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		require.Error(t, command.Run())
		require.Equal(t, 1, command.ProcessState.ExitCode())
		require.Empty(t, stdout.String())
		require.Equal(t, "analytics-api: environment variable ANALYTICS_API_MAX_RECORDS: invalid 'max_records' setting 0, want a number from 1 to 1000000000\n", stderr.String())
	}
}

// An unquoted password, or one with a wrong escape, is quoted in messages of the TOML library.
func TestNoFaultOfTOMLPrintsAPassword(t *testing.T) {
	for _, value := range []string{
		"SecretWord", `"S3cret\"S3cret\uS3cret"`, `"S3cret\x"`, "123456789012345678901", "01234567890", "1_000__0000", "2024-13-45", "0xS3cret", "+S3cret", "1e9999999999", "12345678.",
		`"""S3cret`, "'S3cret", "[S3cret", "[\"S3cret\"", "{S3cret", `{a = "S3cret"`, "infSecretWord", "-0x12345678", "0b12345678", "0o9999999", `"a" "S3cret"`, "12:34:99",
	} {
		_, err := load(t, "\nredis_password = "+value+"\n", nil)
		require.ErrorContains(t, err, "configuration analytics-api.toml: line ", value)
		for _, part := range []string{"S3cret", "SecretWord", "2345678", "0000", "13-45", "9999", "34:99"} {
			if strings.Contains(value, part) {
				require.NotContains(t, err.Error(), part)
			}
		}
	}
}

// Any text is read, or is an error with the path of the file.
func FuzzFile(f *testing.F) {
	for _, text := range []string{ // the whole sample would take a minute to minimize
		"", "listen = 1", "a.b.c = 1\n[a.b]\nc = 2", "[[export]]\ndatabase = 1", "export = [1]", "\"\" = 1", "redis = [[], [1, 'a']]", "redis_timeout = 0x1", "export.x = 1",
		"LISTEN = ''\nlisten = ''", "[[export.x]]\n[export]", "listen = \"\\u12", "a = {b = {c = [{}]}}", "\xef\xbb\xbflisten = ''", "[[redis]]\nlisten = 1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := defaults()
		if err := c.readText("the file", text, make(sources)); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				require.True(t, strings.HasPrefix(line, "configuration the file: "), "%q", err)
			}
			return
		}
		_ = c.checkVariables()
	})
}
