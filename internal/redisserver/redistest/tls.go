package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
)

// certificate writes a self-signed certificate for the host, an IP address, and returns the names of its files, which are PEM. The
// certificate is valid for an hour, for servers and clients, and is its own authority: a file with it is also the list of authorities
// by which the other side verifies it. It is valid from an hour ago, as clocks differ.
func certificate(t testing.TB, host string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

// TLS starts a server with a second port for TLS. It returns the address of that port and the files of the server's
// certificate, which is valid for 127.0.0.1. Clients must present a certificate of the same authority, for example
// the server's own.
func TLS(t testing.TB) (addr, cert, key string) {
	t.Helper()
	cert, key = certificate(t, "127.0.0.1")
	startOn(t, func() redisserver.Options {
		addr = Free(t)
		return redisserver.Options{Addr: Free(t), Args: tlsArgs(t, addr, cert, key, cert)}
	})
	return addr, cert, key
}

// TLSCluster starts a cluster with TLS, in which each node has its own host and certificate. It returns the addresses and
// a file with all certificates. Clients need no certificate. The test is skipped on a system that has only one loopback address.
//
// The hosts are 127.0.0.1 to 127.0.0.3: a client that verifies every node against the name of the first one fails at the others. Each node
// also has a port without TLS, by which the cluster is made.
func TLSCluster(t testing.TB) (addrs []string, authorities string) {
	t.Helper()
	Need(t)
	hosts := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
	certs, keys, all := make([]string, 0, len(hosts)), make([]string, 0, len(hosts)), []byte(nil)
	for _, host := range hosts {
		if !isFree(net.JoinHostPort(host, "0")) {
			t.Skipf("this system has no address %s", host)
		}
		cert, key := certificate(t, host)
		pem, err := os.ReadFile(cert)
		require.NoError(t, err)
		certs, keys, all = append(certs, cert), append(keys, key), append(all, pem...)
	}
	authorities = filepath.Join(t.TempDir(), "all.pem")
	require.NoError(t, os.WriteFile(authorities, all, 0o600)) //nolint:gosec // a path of this test
	nodes := make([]node, 0, len(hosts))
	for i, host := range hosts {
		var addr string
		s := startOn(t, func() redisserver.Options {
			addr = busFree(t, host)
			args := append(clusterArgs(t), tlsArgs(t, addr, certs[i], keys[i], authorities)...)
			args = append(args, "--tls-cluster", "yes", "--tls-auth-clients", "no", "--cluster-announce-ip", host)
			return redisserver.Options{Addr: choose(t, host, 0), Args: args}
		})
		nodes = append(nodes, node{addr, Client(t, s)})
	}
	return join(t, nodes), authorities
}

// tlsArgs returns the arguments of a server that accepts TLS on the port of addr, beside its port without TLS. authorities is a file with
// the certificates by which it judges those of clients and other nodes.
func tlsArgs(t testing.TB, addr, cert, key, authorities string) []string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return []string{"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", authorities}
}
