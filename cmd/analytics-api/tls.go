package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// certificates are the files of the TLS settings of the service. They are read again after a change, so a renewed
// certificate needs no restart. Handshakes use them concurrently.
//
// Connections keep the configuration that they began with. A file that is not valid, or not complete yet, changes nothing: see get.
type certificates struct {
	cert, key string       // paths
	clientCA  string       // "" if clients need no certificate
	log       *slog.Logger // for changes

	mu      sync.Mutex     // guards the fields below; held while files are read
	checked time.Time      // when the files were last looked at
	seen    [3]fs.FileInfo // of the files that were last read, in the order of stat
	current *tls.Config    // of the last files that were valid; nil before the first
	expired *tls.Config    // the current one whose expired certificate was logged
}

// stat returns what is known of the files without reading them, nil for a missing one. For symbolic links, as Kubernetes has for secrets,
// it is that of the targets.
func (c *certificates) stat() (found [3]fs.FileInfo) {
	for i, path := range []string{c.cert, c.key, c.clientCA} {
		if info, err := os.Stat(path); err == nil { //nolint:gosec // the files of the settings
			found[i] = info
		}
	}
	return found
}

// unchanged reports whether both describe the same content of the files. A new file in place of another one is a change, even if it has its
// size and time, as files that a tool has copied with their times can have.
func unchanged(a, b [3]fs.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			if a[i] != b[i] {
				return false
			}
			continue
		}
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// load reads the files and returns a new configuration. It does not use the guarded fields.
func (c *certificates) load() (*tls.Config, error) {
	pair, err := readPair("tls_cert", c.cert, "tls_key", c.key)
	if err != nil {
		return nil, err
	}
	// HTTP/2 has limits of its own for requests and memory. Without it, those of the connections are enough.
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if c.clientCA == "" {
		return config, nil
	}
	if config.ClientCAs, err = readAuthorities(c.clientCA); err != nil {
		return nil, invalid("tls_client_ca", ": %w", err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

// maxPEM is the largest size of a file of certificates, in bytes. The authorities of a system have about 200,000.
const maxPEM = 16 << 20

// readPair reads a certificate and its key, in PEM, from the files of two settings. The error is about the setting whose file is wrong, and
// has nothing of the key.
func readPair(certSetting, cert, keySetting, key string) (pair tls.Certificate, err error) {
	certText, err := readAtMost(cert, maxPEM)
	if err != nil {
		return pair, invalid(certSetting, ": %w", secret.HidePath(err))
	}
	keyText, err := readAtMost(key, maxPEM)
	if err != nil {
		return pair, invalid(keySetting, ": %w", secret.HidePath(err))
	}
	if err := checkCertificate(certText); err != nil {
		return pair, invalid(certSetting, ": %s %w", cert, err)
	}
	if !strings.Contains(keyText, "PRIVATE KEY-----") {
		return pair, invalid(keySetting, ": %s has no private key, want one in PEM", key)
	}
	if pair, err = tls.X509KeyPair([]byte(certText), []byte(keyText)); err != nil {
		return pair, invalid(keySetting, ": %s is not the key of the certificate in %s: %w", key, cert, err)
	}
	return pair, nil
}

// checkCertificate returns an error for the first certificate in a text in PEM, which is the one of the service: the others are of authorities.
func checkCertificate(text string) error {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return errors.New("has no certificate, want one in PEM")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("has a malformed certificate: %w", err)
		}
		return nil
	}
}

// readAuthorities reads the certificates of authorities in PEM. A file without one is an error: an empty pool would reject
// all certificates.
func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := readAtMost(path, maxPEM)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, fmt.Errorf("%s has no certificate, want those of authorities in PEM", path)
	}
	return pool, nil
}

// server returns the configuration for a listener. It fails if the files are not valid now. Each handshake asks it for the
// configuration of now, so that a change needs no new listener.
func (c *certificates) server() (*tls.Config, error) {
	if _, err := c.get(time.Now()); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return c.get(time.Now())
	}}, nil
}

// get returns the configuration. It looks for changed files at most once a second. If the new files are not valid, as
// between the replacement of the certificate and that of its key, it returns the last configuration and logs a warning.
//
// What it does, at most once a second, depends on the files and on the configuration that it has:
//
//	files unchanged            current
//	changed, valid             the new one, and a line in the log
//	changed, not valid         current, and one warning until they change again
//	not valid, and no current  an error: only at the start
func (c *certificates) get(now time.Time) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && now.Sub(c.checked) < time.Second {
		return c.current, nil
	}
	c.checked = now
	defer c.warnExpired(now)
	found := c.stat()
	if c.current != nil && unchanged(found, c.seen) {
		return c.current, nil
	}
	config, err := c.load() // under mu: the other handshakes wait instead of reading the same files
	switch {
	case err != nil && c.current == nil:
		return nil, err
	case err != nil:
		c.seen = found // one warning for each change, not one a second
		c.log.Warn("the changed TLS files are not valid, the last ones stay in use", "error", err)
		return c.current, nil
	case c.current != nil:
		c.log.Info("read the changed TLS files")
	}
	c.current, c.seen = config, found
	return config, nil
}

// warnExpired logs once for each certificate that it has expired. The certificate stays in use, because some clients, such as probes, do
// not verify it. The caller holds mu.
func (c *certificates) warnExpired(now time.Time) {
	if c.current == nil || c.current == c.expired {
		return
	}
	if end := c.current.Certificates[0].Leaf.NotAfter; now.After(end) {
		c.expired = c.current
		c.log.Warn("the certificate has expired, so that most clients refuse it; replace the files of tls_cert and tls_key", "tls_cert", c.cert,
			"expired", end.Format(time.RFC3339))
	}
}
