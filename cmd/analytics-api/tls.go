package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
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

	mu      sync.Mutex  // guards the fields below; held while files are read
	checked time.Time   // when the files were last looked at
	seen    [3]stamp    // of the files that were last read, in the order of stat
	current *tls.Config // of the last files that were valid; nil before the first
}

// stamp changes when the content of a file does. It is zero for a missing file. It costs a call of stat, while
// comparing contents would read the files every second.
type stamp struct {
	size     int64 // bytes
	modified time.Time
}

// stat returns the stamps of the files. For symbolic links, as Kubernetes has for secrets, they are those of the targets.
func (c *certificates) stat() (found [3]stamp) {
	for i, path := range []string{c.cert, c.key, c.clientCA} {
		if info, err := os.Stat(path); err == nil { //nolint:gosec // the files of the settings
			found[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return found
}

// load reads the files and returns a new configuration. It does not use the guarded fields.
func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("invalid 'tls_cert' or 'tls_key' setting: %w", secret.HidePath(err))
	}
	// HTTP/2 has limits of its own for requests and memory. Without it, those of the connections are enough.
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if c.clientCA == "" {
		return config, nil
	}
	if config.ClientCAs, err = readAuthorities(c.clientCA); err != nil {
		return nil, fmt.Errorf("invalid 'tls_client_ca' setting: %w", err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

// readAuthorities reads the certificates of authorities in PEM. A file without one is an error: an empty pool would reject
// all certificates.
func readAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path) //nolint:gosec // the files of the settings
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no certificate", path)
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
	found := c.stat()
	if c.current != nil && found == c.seen {
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
