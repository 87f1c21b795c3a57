package cache

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// IsAnswer reports whether Redis answered with this error. Any other error means that Redis did not answer.
func IsAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// isRefused reports whether Redis rejects the user or a command of that user. A second try would fail too.
func isRefused(err error) bool {
	return hasPrefix(err, "WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password")
}

// IsPermanent reports whether the error of the first command of a connection stays until someone changes the
// configuration: wrong credentials, a missing permission, or a database that does not exist.
func IsPermanent(err error) bool { return isRefused(err) || isNoDB(err) }

// Explain adds the addresses of the servers and the options to check to an error of the first command of a
// connection. The result contains no secret.
func (o DialOptions) Explain(err error, n Names) error {
	at := strings.Join(o.Addrs(), ", ")
	var check []string
	switch {
	case isRefused(err):
		check = []string{n.Username, n.Password, n.Servers}
	case isNoDB(err):
		check = []string{n.DB, n.Servers}
	case isTLS(err):
		check = append(slices.Clone(n.TLS), n.Servers)
	case !IsAnswer(err):
		check = []string{n.Servers}
	default:
		return fmt.Errorf("redis at %s: %w", at, err)
	}
	return fmt.Errorf("redis at %s: %w; check '%s'", at, err, strings.Join(check, "', '"))
}

// isTLS reports whether TLS failed: one side rejected the certificate of the other, or the server does not use TLS.
func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &header) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") // the names of alerts in crypto/tls
}

func isNoDB(err error) bool { return hasPrefix(err, "ERR DB index") }

// hasPrefix reports whether err is an answer of Redis that begins with one of the prefixes.
func hasPrefix(err error, prefixes ...string) bool {
	var answer redis.Error
	return errors.As(err, &answer) && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(answer.Error(), p) })
}
