package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/secretstores"
	"github.com/stretchr/testify/require"
)

// testStore is a secret store with its secrets as JSON in a file. If it has a password, only that password unlocks it.
type testStore struct {
	Path     string `toml:"path"`
	Password string `toml:"password"`
	ReadOnly bool   `toml:"read_only"`
}

func init() {
	secretstores.Add("test", func(string) telegraf.SecretStore { return &testStore{} })
}

func (*testStore) SampleConfig() string { return "" }
func (*testStore) Init() error          { return nil }

func (s *testStore) read() (secrets map[string]string, err error) {
	if s.Password != "" {
		given, err := config.Password.Get()
		if err != nil {
			return nil, err
		}
		defer given.Destroy()
		if given.String() != s.Password {
			return nil, errors.New("the store is locked")
		}
	}
	text, err := os.ReadFile(s.Path)
	if err == nil {
		err = json.Unmarshal(text, &secrets)
	}
	return secrets, err
}

func (s *testStore) Get(key string) ([]byte, error) {
	secrets, err := s.read()
	if err != nil {
		return nil, err
	}
	value, ok := secrets[key]
	if !ok {
		return nil, fmt.Errorf("no secret %q", key)
	}
	return []byte(value), nil
}

func (s *testStore) List() (keys []string, err error) {
	secrets, err := s.read()
	return sorted(secrets), err
}

func (s *testStore) Set(key, value string) error {
	if s.ReadOnly {
		return errors.New("the store is read-only")
	}
	secrets, err := s.read()
	if err != nil {
		return err
	}
	secrets[key] = value
	text, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	return os.WriteFile(s.Path, text, 0o600)
}

func (s *testStore) GetResolver(key string) (telegraf.ResolveFunc, error) {
	return func() ([]byte, bool, error) {
		value, err := s.Get(key)
		return value, false, err
	}, nil
}

func TestSecretsAreListedReadAndWritten(t *testing.T) {
	t.Parallel()
	secrets := writeFile(t, "secrets.json", `{"token":"s3cret","other":"0ther"}`)
	config := writeFile(t, "telegraf.conf", "[[secretstores.test]]\n  id = \"mine\"\n  path = \""+secrets+"\"\n[[inputs.cpu]]\n[[outputs.discard]]\n")

	r := runTelegraf(t, "--config", config, "secrets", "list")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, []string{`Known secrets for store "mine":`, "other", "token"}, trimmedLines(r.stdout))
	r = runTelegraf(t, "secrets", "list", "--config", config, "--reveal-secret", "mine")
	require.Contains(t, r.stdout, "s3cret")

	require.Zero(t, runTelegraf(t, "--config", config, "secrets", "set", "mine", "token", "changed").code)
	r = runTelegraf(t, "secrets", "--config", config, "get", "mine", "token")
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, "mine:token = changed\n", r.stdout)
}

func TestAPasswordUnlocksStores(t *testing.T) {
	t.Parallel()
	secrets := writeFile(t, "secrets.json", `{"token":"s3cret"}`)
	config := writeFile(t, "telegraf.conf", "[[secretstores.test]]\n  id = \"mine\"\n  password = \"sesame\"\n  path = \""+secrets+"\"\n")
	for _, args := range [][]string{
		{"--config", config, "--password", "sesame", "secrets", "list"},
		{"secrets", "--password", "sesame", "--config", config, "list"},
		{"secrets", "list", "--config", config, "--password", "sesame"},
	} {
		r := runTelegraf(t, args...)
		require.Zero(t, r.code, r.stderr)
		require.Contains(t, r.stdout, "token")
	}
	r := runTelegraf(t, "--config", config, "--password", "simsim", "secrets", "list")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "the store is locked")
}

func TestInvalidSecretsCommands(t *testing.T) {
	t.Parallel()
	secrets := writeFile(t, "secrets.json", "{}")
	config := writeFile(t, "telegraf.conf", "[[secretstores.test]]\n  id = \"mine\"\n  path = \""+secrets+"\"\n  read_only = true\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list", "theirs"}, `unknown secret store "theirs", known are ["mine"]`},
		{[]string{"get", "mine"}, "want two arguments"},
		{[]string{"get", "mine", "nonesuch"}, `no secret "nonesuch"`},
		{[]string{"set", "mine"}, "want two or three arguments"},
		{[]string{"set", "mine", "token", "value"}, "read-only"},
	} {
		r := runTelegraf(t, append([]string{"--config", config, "secrets"}, c.args...)...)
		require.Equal(t, 1, r.code)
		require.Contains(t, r.stderr, c.want)
	}
}

func trimmedLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}
