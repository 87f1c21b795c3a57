package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// example has three values of a setting, which differ from each other and from the default, and the variables without which they are not
// valid. A boolean has two values.
type example struct {
	values []string
	with   []string
}

// otherValues returns an example for each setting. It makes the files that they name.
func otherValues(t *testing.T) map[string]example {
	t.Helper()
	dir := t.TempDir()
	p := writePair(t, dir, "service")
	tokens := filepath.Join(dir, "tokens")
	createToken(t, tokens, "db:*:read")
	password := filepath.Join(dir, "password")
	write(t, password, []byte("S3cretPW\n"))
	copies := func(path string) (all []string) { // of one file, so that each key belongs to each certificate
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for i := range 3 {
			all = append(all, path+strconv.Itoa(i))
			write(t, all[i], content)
		}
		return all
	}
	ofTLS := []string{"ANALYTICS_API_TLS_CERT=" + p.cert, "ANALYTICS_API_TLS_KEY=" + p.key}
	master := []string{"ANALYTICS_API_REDIS_MASTER_NAME=main"}
	return map[string]example{
		"listen":       {values: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}},
		"allow_public": {values: []string{"true", "false", "true"}},
		"hosts":        {values: []string{"a", "b,c", "d"}}, "max_connections": {values: []string{"1", "2", "3"}},
		"max_connections_per_address": {values: []string{"1", "2", "3"}}, "health_listen": {values: []string{"127.0.0.1:1", ":2", ":3"}},
		"tokens":     {values: copies(tokens)},
		"token_rate": {values: []string{"1", "2", "3"}, with: []string{"ANALYTICS_API_TOKENS=" + tokens}}, "address_rate": {values: []string{"1", "2", "3"}},
		"trusted_proxies": {values: []string{"10.0.0.0/8", "10.0.0.1,10.0.0.2", "::1"}},
		"cors_origins":    {values: []string{"*", "http://a,http://b", "https://c"}},
		"tls_cert":        {values: copies(p.cert), with: ofTLS[1:]}, "tls_key": {values: copies(p.key), with: ofTLS[:1]},
		"tls_client_ca": {values: copies(p.cert), with: ofTLS},
		"log_format":    {values: []string{"json", "text", "json"}}, "log_level": {values: []string{"debug", "warn", "error"}},
		"redis":             {values: []string{"redis://a", "redis://b,redis://c", "unix:///d"}},
		"redis_master_name": {values: []string{"a", "b", "c"}}, "redis_username": {values: []string{"a", "b", "c"}},
		"redis_password": {values: []string{"a", "b", "c"}}, "redis_password_file": {values: copies(password)},
		"redis_sentinel_username": {values: []string{"a", "b", "c"}, with: master}, "redis_sentinel_password": {values: []string{"a", "b", "c"}, with: master},
		"redis_sentinel_password_file": {values: copies(password), with: master},
		"redis_db":                     {values: []string{"1", "2", "3"}}, "redis_timeout": {values: []string{"1s", "2s", "1h3m"}},
		"redis_tls_ca":          {values: copies(p.cert)},
		"redis_tls_cert":        {values: copies(p.cert), with: []string{"ANALYTICS_API_REDIS_TLS_KEY=" + p.key}},
		"redis_tls_key":         {values: copies(p.key), with: []string{"ANALYTICS_API_REDIS_TLS_CERT=" + p.cert}},
		"redis_tls_server_name": {values: []string{"a", "b", "c"}},
		"embedded":              {values: []string{"memory", "auto", "memory"}}, "embedded_listen": {values: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}},
		"embedded_dir":           {values: []string{dir, dir + "/a", dir + "/b"}, with: []string{"ANALYTICS_API_EMBEDDED=auto"}},
		"embedded_password":      {values: []string{"12345678", "12345679", "12345670"}},
		"embedded_password_file": {values: copies(password)},
		"default_database":       {values: []string{"a", "b", "c"}}, "max_records": {values: []string{"1", "2", "3"}}, "max_buckets": {values: []string{"1", "2", "3"}},
		"max_bytes": {values: []string{"1", "2", "3"}}, "max_scanned": {values: []string{"1", "2", "3"}}, "max_streams": {values: []string{"1", "2", "3"}},
		"max_total_bytes": {values: []string{"67108864", "67108865", "67108866"}}, "cache_size": {values: []string{"0", "1", "2"}},
		"export_max_age": {values: []string{"1s", "2s", "1h"}}, "export_max_series": {values: []string{"1", "2", "3"}}, "export_buckets": {values: []string{"1", "2", "3"}},
	}
}

// inFile returns a setting as a line of the file.
func inFile(name, value string) string {
	c := defaults()
	switch at := fieldOf(reflect.ValueOf(&c).Elem(), name); at.Interface().(type) {
	case string, duration:
		value = strconv.Quote(value)
	case []string:
		value = fmt.Sprintf("[%q]", value)
		value = strings.ReplaceAll(value, ",", `", "`)
	}
	return name + " = " + value + "\n"
}

// withoutDerived returns a configuration without what validate makes from the settings.
func withoutDerived(c config) config {
	c.tls, c.proxies = nil, nil
	return c
}

// Each setting alone changes its own field, and what the program makes of the configuration. The environment overrides the file, and a flag
// overrides both.
func TestEverySettingHasAnEffectFromEachPlace(t *testing.T) {
	redistest.Need(t) // embedded_dir is an error without a redis-server
	examples := otherValues(t)
	require.Len(t, examples, len(settings()))
	standard := effects(t, defaults())
	for _, s := range settings() {
		e, ok := examples[s.name]
		require.True(t, ok, "there is no example of %s", s.name)
		variable := envPrefix + strings.ToUpper(s.name) + "="
		base, err := load(t, "", e.with)
		if err != nil { // such as a key without its certificate
			base = defaults()
			require.NoError(t, base.readEnvironment(e.with, make(sources)))
		}
		one := func(file string, env []string, args ...string) config {
			c, err := load(t, file, slices.Concat(e.with, env), args...)
			require.NoError(t, err, s.name)
			require.NotEqual(t, withoutDerived(base), withoutDerived(c), s.name)
			c2 := c
			fieldOf(reflect.ValueOf(&c2).Elem(), s.name).Set(fieldOf(reflect.ValueOf(&base).Elem(), s.name))
			if !strings.HasSuffix(s.name, "password_file") { // the password is in another field
				require.Equal(t, withoutDerived(base), withoutDerived(c2), "%s changes another setting", s.name)
			}
			return c
		}
		file, env := one(inFile(s.name, e.values[0]), nil), one("", []string{variable + e.values[2]})
		require.Equal(t, withoutDerived(file), withoutDerived(one("", []string{variable + e.values[0]})), s.name)
		without := standard
		if e.with != nil {
			without = effects(t, base)
		}
		require.NotEqual(t, without, effects(t, file), "%s has no effect", s.name)
		if s.flagged {
			flagged := one(inFile(s.name, e.values[1]), []string{variable + e.values[1]}, "--"+s.flag()+"="+e.values[2])
			require.Equal(t, withoutDerived(env), withoutDerived(flagged), s.name)
		}
		require.Equal(t, withoutDerived(env), withoutDerived(one(inFile(s.name, e.values[1]), []string{variable + e.values[2]})), s.name)
	}
	c, err := load(t, inFile("redis", "redis://a"), []string{"ANALYTICS_API_REDIS=redis://b"}, "--redis", "redis://c", "--redis=redis://d")
	require.NoError(t, err)
	require.Equal(t, []string{"redis://c", "redis://d"}, c.Redis)
}

// A file with another value of each setting that goes with the others is valid as a whole.
func TestAFileWithOtherValuesOfAllSettingsIsValid(t *testing.T) {
	redistest.Need(t)
	sample, err := os.ReadFile(defaultFile)
	require.NoError(t, err)
	examples := otherValues(t)
	text := string(sample)
	contrary := []string{"redis_password_file", "redis_sentinel_password_file", "embedded_password_file", "embedded_dir"} // to other settings
	for name, e := range examples {
		if !slices.Contains(contrary, name) {
			before := text
			text = replaceLine(text, name, inFile(name, e.values[0]))
			require.NotEqual(t, before, text, name)
		}
	}
	text = replaceLine(text, "listen", inFile("listen", "127.0.0.1:9"))
	text = replaceLine(text, "embedded_listen", inFile("embedded_listen", "127.0.0.1:8"))
	c, err := load(t, text+"[[export]]\ndatabase = \"a\"\ntable = \"b\"\nagents = \"each\"\n", nil)
	require.NoError(t, err)
	value, standard := reflect.ValueOf(c), reflect.ValueOf(defaults())
	for i := range value.NumField() {
		if name := value.Type().Field(i).Tag.Get("toml"); name != "" && !slices.Contains(contrary, name) {
			require.NotEqual(t, standard.Field(i).Interface(), value.Field(i).Interface(), name)
		}
	}
	require.True(t, c.apiOptions("", "", nil).Export[0].EachAgent)
}

// replaceLine replaces the line of a setting.
func replaceLine(text, name, line string) string {
	lines := strings.SplitAfter(text, "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], name+" = ") {
			lines[i] = line
		}
	}
	return strings.Join(lines, "")
}

// effects describes what the program makes of a configuration.
func effects(t *testing.T, c config) string {
	t.Helper()
	var b strings.Builder
	add := func(values ...any) { fmt.Fprintf(&b, "%+v\n", values) }
	add(c.Listen, c.validateAddress("listen", "0.0.0.0:1", c.AllowPublic, ""), c.HealthListen, c.MaxConnections, c.MaxPerAddress, c.MaxStreams)
	certificates := c.certificates(nil)
	add(c.Tokens, certificates.cert, certificates.key, certificates.clientCA)
	level, err := c.logLevel()
	require.NoError(t, err)
	add(level, fmt.Sprintf("%T", c.newLog(io.Discard).Handler()))
	dial := c.dialOptions()
	if dial.TLS != nil {
		add("TLS", dial.TLS.ServerName, dial.TLS.RootCAs != nil, len(dial.TLS.Certificates), c.RedisTLSCA, c.RedisTLSCert, c.RedisTLSKey)
	}
	if dial.PasswordFrom != nil {
		password, err := dial.PasswordFrom()
		add("from a file", password, err, c.RedisPasswordFile)
	}
	dial.TLS, dial.PasswordFrom = nil, nil
	add(dial, c.RedisSentinelFile)
	add(c.Embedded, c.EmbeddedListen, c.EmbeddedDir, c.EmbeddedPassword, c.embeddedPasswordFile(), time.Duration(c.RedisTimeout))
	o := c.apiOptions("", "", nil)
	add(o)
	return b.String()
}

// A field that is only parsed and checked would be a setting without an effect.
func TestEveryFieldOfTheConfigurationIsUsed(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			// The first ones define the settings. What the others check has an effect elsewhere too, except for the address.
			if !ok || strings.HasSuffix(f.Name.Name, "Settings") || strings.HasPrefix(f.Name.Name, "validate") && f.Name.Name != "validateListen" {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok {
					used[selector.Sel.Name] = true
				}
				return true
			})
		}
	}
	unused := make(map[string]bool)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config]()) {
		if !used[field.Name] {
			unused[field.Name] = true
		}
	}
	require.Empty(t, slices.Collect(maps.Keys(unused)))
}
