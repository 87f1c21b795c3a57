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

// IsAnswer reports whether an error is an answer of Redis. Other errors mean that Redis did not answer.
func IsAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// isRefused reports whether Redis refuses the user, or a command of that user. A second try would fail too.
func isRefused(err error) bool {
	return hasPrefix(err, "WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password")
}

// IsPermanent reports whether the first command of a connection failed for a reason that lasts until the configuration
// changes.
func IsPermanent(err error) bool { return isRefused(err) || isNoDB(err) }

// Explain adds to an error of the first command of a connection at which servers it occurred and which options to check.
// The result contains no secret.
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

// isTLS reports whether an error is one of TLS: either side rejects the certificate of the other, or the server does not
// use TLS.
func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &header) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") // the names of alerts in crypto/tls
}

func isNoDB(err error) bool { return hasPrefix(err, "ERR DB index") }

func hasPrefix(err error, prefixes ...string) bool {
	var answer redis.Error
	return errors.As(err, &answer) && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(answer.Error(), p) })
}
