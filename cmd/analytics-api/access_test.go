package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// pair is a certificate of its own authority, in files.
type pair struct{ cert, key string }

// writePair writes a new certificate for 127.0.0.1 with a name into a folder. It is valid for an hour.
func writePair(t *testing.T, dir, name string) pair {
	t.Helper()
	return writePairUntil(t, dir, name, time.Now().Add(time.Hour))
}

// writePairUntil is writePair with the end of the certificate.
func writePairUntil(t *testing.T, dir, name string, end time.Time) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	p := pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	require.NoError(t, os.WriteFile(p.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	// Some kernels give files that are written within 4 ms the same time, and two certificates can have the same size.
	at := time.Now()
	require.NoError(t, os.Chtimes(p.cert, at, at))
	require.NoError(t, os.Chtimes(p.key, at, at))
	return p
}

// peer returns the name in the certificate that the service presents to a client with a configuration.
func peer(t *testing.T, address string, config *tls.Config) (string, error) {
	t.Helper()
	config.InsecureSkipVerify = true // the test compares the names of the certificates
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /health HTTP/1.0\r\n\r\n")); err != nil {
		return "", err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // a refusal of the client's certificate comes with the first answer
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := writePair(t, dir, "first")
	c := start(t, nil, "--listen", "127.0.0.1:0", "--tls-cert", p.cert, "--tls-key", p.key)
	require.True(t, strings.HasPrefix(c.url, "https://"), c.url)
	address := strings.TrimPrefix(c.url, "https://")
	name, err := peer(t, address, &tls.Config{})
	require.NoError(t, err)
	require.Equal(t, "first", name)
	_, err = peer(t, address, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	require.ErrorContains(t, err, "protocol version")

	require.NoError(t, os.WriteFile(p.key, []byte("no key"), 0o600))
	require.Eventually(t, func() bool {
		name, err = peer(t, address, &tls.Config{})
		return strings.Contains(c.stderr.String(), "the changed TLS files are not valid, the last ones stay in use")
	}, patience, 100*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, "first", name)
	writePair(t, dir, "second")
	require.Eventually(t, func() bool {
		name, err := peer(t, address, &tls.Config{})
		return err == nil && name == "second"
	}, patience, 100*time.Millisecond)
}

func TestAnExpiredCertificateIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), &buffer{}
	end := time.Now().Add(time.Hour)
	p := writePairUntil(t, dir, "first", end)
	c := &certificates{cert: p.cert, key: p.key, log: slog.New(slog.NewTextHandler(log, nil))}
	warnings := func(now time.Time) int {
		config, err := c.get(now)
		require.NoError(t, err)
		require.Len(t, config.Certificates, 1)
		return strings.Count(log.String(), "the certificate has expired")
	}
	require.Zero(t, warnings(end.Add(-time.Minute)))
	require.Equal(t, 1, warnings(end.Add(time.Minute)))
	require.Equal(t, 1, warnings(end.Add(2*time.Minute)))
	require.Contains(t, log.String(), "expired="+end.UTC().Format(time.RFC3339))
	writePairUntil(t, dir, "second", end.Add(2*time.Hour))
	require.Equal(t, 1, warnings(end.Add(3*time.Minute)))
	writePairUntil(t, dir, "third", end) // it has expired already
	require.Equal(t, 2, warnings(end.Add(4*time.Minute)))
}

func TestClientsNeedACertificateOfTheAuthority(t *testing.T) {
	t.Parallel()
	p, client, stranger := writePair(t, t.TempDir(), "service"), writePair(t, t.TempDir(), "client"), writePair(t, t.TempDir(), "stranger")
	c := start(t, []string{"ANALYTICS_API_TLS_CLIENT_CA=" + client.cert}, "--listen", "127.0.0.1:0", "--tls-cert", p.cert, "--tls-key", p.key)
	address := strings.TrimPrefix(c.url, "https://")
	for _, test := range []struct {
		pair
		want string
	}{{client, ""}, {stranger, "remote error: tls:"}, {pair{}, "remote error: tls: certificate required"}} {
		config := &tls.Config{}
		if test.cert != "" {
			own, err := tls.LoadX509KeyPair(test.cert, test.key)
			require.NoError(t, err)
			config.Certificates = []tls.Certificate{own}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		}
		_, err := peer(t, address, config)
		if test.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, test.want)
	}
}

func TestServiceWithTokensMayListenEverywhere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	_, err := load(t, "listen = \"0.0.0.0:1\"\n", []string{"ANALYTICS_API_TOKENS=" + file})
	require.ErrorContains(t, err, "invalid 'tokens' setting: open "+file)
	require.ErrorContains(t, err, "make the first token with: analytics-api token create --tokens "+file)
	text := createToken(t, file, "db:*:read")
	if os.Getuid() != 0 { // root may read every file
		require.NoError(t, os.Chmod(file, 0))
		_, err = load(t, "", []string{"ANALYTICS_API_TOKENS=" + file})
		require.ErrorContains(t, err, "invalid 'tokens' setting: open "+file+": permission denied; the user of the service must own the file")
		require.NoError(t, os.Chmod(file, 0o600))
	}
	_, err = load(t, "listen = \"0.0.0.0:1\"\n", []string{"ANALYTICS_API_TOKENS=" + file})
	require.NoError(t, err)
	_, err = load(t, "listen = \"0.0.0.0:1\"\nembedded = \"auto\"\nembedded_listen = \"0.0.0.0:2\"\n", []string{"ANALYTICS_API_TOKENS=" + file})
	require.ErrorContains(t, err, "invalid 'embedded_listen' setting \"0.0.0.0:2\": this address is reachable from other machines and its traffic is not encrypted; set allow_public")

	c := start(t, nil, "--listen", "0.0.0.0:0", "--tokens", file)
	require.Contains(t, c.stderr.String(), "tokens are sent without encryption")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(c.url, "http://"))
	require.NoError(t, err)
	c.url = "http://127.0.0.1:" + port
	status, _ := c.get(t, "/")
	require.Equal(t, http.StatusUnauthorized, status)
	status = c.getWith(t, "/", text)
	require.Equal(t, http.StatusOK, status)

	tokens, err := token.List(file)
	require.NoError(t, err)
	require.NoError(t, token.Delete(file, tokens[0].ID))
	require.Eventually(t, func() bool { return c.getWith(t, "/", text) == http.StatusUnauthorized }, patience, 100*time.Millisecond)
	c.stderr.wait(t, `msg="read the changed file of tokens" tokens=0`)
	require.NotContains(t, c.stderr.String(), text)
}

// createToken runs "token create" and returns the token.
func createToken(t *testing.T, file, permission string) string {
	t.Helper()
	out, _, err := runOnce(t, nil, "token", "create", "--tokens", file, "--permission", permission)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

// getWith returns the status of a request with a token.
func (c *child) getWith(t *testing.T, path, text string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+text)
	resp, err := apitest.Client.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestSettingsOfAccessAreChecked(t *testing.T) {
	for file, want := range map[string]string{
		`tls_cert = "/none"`: "'tls_cert' and 'tls_key' belong together",
		"tls_cert = \"/tmp/none\"\ntls_key = \"/tmp/none\"":     "invalid 'tls_cert' setting: open /tmp/none",
		`tls_client_ca = "/none"`:                               "invalid 'tls_client_ca' setting: there is no 'tls_cert'",
		`address_rate = -1`:                                     "invalid 'address_rate' setting -1, want a number from 0 to 1000000000",
		`token_rate = 5`:                                        "invalid 'token_rate' setting: there are no tokens",
		`cors_origins = ["example.com"]`:                        `invalid 'cors_origins' setting "example.com", want an origin such as`,
		`trusted_proxies = ["proxy"]`:                           `invalid 'trusted_proxies' setting "proxy", want an address or a network such as "10.0.0.0/8"`,
		`trusted_proxies = ["10.0.0.1", "::ffff:10.0.0.0/104"]`: `invalid 'trusted_proxies' setting "::ffff:10.0.0.0/104"`,
		`cors_origins = ["https://example.com/"]`:               `invalid 'cors_origins' setting "https://example.com/"`,
		`log_level = "all"`:                                     `invalid 'log_level' setting "all", want debug, info, warn or error`,
		`log_format = "xml"`:                                    `invalid 'log_format' setting "xml", want text or json`,
		`redis_password_file = "/tmp/none"`:                     "invalid 'redis_password_file' setting: open /tmp/none",
		"redis_password = \"p\"\nredis_password_file = \"/f\"":  "'redis_password' and 'redis_password_file' are both set, want one of them",
		"redis_master_name = \"m\"\nredis_sentinel_password = \"p\"\nredis_sentinel_password_file = \"/f\"": "'redis_sentinel_password' and 'redis_sentinel_password_file' are both set",
	} {
		_, err := load(t, file, nil)
		require.ErrorContains(t, err, want, file)
	}
}

func TestPasswordsAreReadFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("S3cretPW\n"), 0o600))
	c, err := load(t, "redis_master_name = \"m\"\n", []string{"ANALYTICS_API_REDIS_PASSWORD_FILE=" + file, "ANALYTICS_API_REDIS_SENTINEL_PASSWORD_FILE=" + file})
	require.NoError(t, err)
	require.Equal(t, "S3cretPW", c.dialOptions().SentinelPassword)
	password, err := c.dialOptions().PasswordFrom()
	require.NoError(t, err)
	require.Equal(t, "S3cretPW", password)
}

func TestNoMistakePrintsAPassword(t *testing.T) {
	for _, file := range []string{
		`redis_password = S3cretPW`, `redis_password = "S3cretPW`, "redis_password = 'S3cretPW\"", `redis = "redis://:S3cretPW@h`, `redis = redis://:S3cretPW@h`,
		`redis_password = ["S3cretPW"]`, `redis = ["redis://h/S3cretPW"]`, `redis = ["redis:u:S3cretPW@h"]`, `redis_password = 1S3cretPW`, `redis_pasword = "S3cretPW"`,
		`redis_password_file = "S3cretPW"`, "redis_password = \"p\"\nredis_password_file = \"S3cretPW\"", "redis_master_name = \"m\"\nredis_sentinel_password_file = \"/S3cretPW\"",
		"tls_cert = \"access_test.go\"\ntls_key = \"\"\"-----BEGIN PRIVATE KEY-----\nS3cretPW\n\"\"\"", "redis_tls_cert = \"access_test.go\"\nredis_tls_key = \"S3cretPW\"",
		"embedded_password = \"longenough\"\nembedded_password_file = \"S3cretPW\"",
	} {
		_, err := load(t, file, nil)
		require.Error(t, err, file)
		require.NotContains(t, err.Error(), "S3cretPW", file)
	}
	for _, args := range [][]string{{"--redis", "u:S3cretPW@127.0.0.1:1"}, {"--redis", "redis://host?S3cretPW=1"}, {"redis://:S3cretPW@h"}, {"--redis-url=redis://:S3cretPW@h"}} {
		_, stderr, err := runOnce(t, nil, args...)
		require.Error(t, err)
		require.NotContains(t, err.Error()+stderr, "S3cretPW")
	}
}

func TestServiceManagerIsNotified(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortFolder(t), "notify")
	l := manager(t, socket)
	c := start(t, []string{"NOTIFY_SOCKET=" + socket}, "--listen", "127.0.0.1:0")
	require.Equal(t, "READY=1", state(t, l))
	status, _ := c.get(t, "/health")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, "STOPPING=1", state(t, l))
	require.NoError(t, c.wait(t))
}

func TestLogIsJSONOnRequest(t *testing.T) {
	t.Parallel()
	c := &child{stderr: &buffer{}}
	log := (&config{LogFormat: "json", LogLevel: "warn"}).newLog(c.stderr)
	log.Info("hidden")
	log.Warn("shown", "n", 1)
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(c.stderr.String()), &line))
	require.Equal(t, []any{"WARN", "shown", 1.0}, []any{line["level"], line["msg"], line["n"]})
}

// The metrics of the service include those of its connections to Redis.
func TestServiceMetricsHaveTheConnectionsToRedis(t *testing.T) {
	t.Parallel()
	c := start(t, nil, "--listen", "127.0.0.1:0", "--embedded", "memory", "--embedded-listen", "127.0.0.1:0")
	status, _ := c.get(t, "/ready")
	require.Equal(t, http.StatusOK, status)
	_, body := c.get(t, "/metrics")
	require.Regexp(t, `(?m)^analytics_api_redis_connections [1-9]`, body)
	require.Regexp(t, `(?m)^analytics_api_redis_pool_timeouts_total 0`, body)
}
