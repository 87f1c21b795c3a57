package cache

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

// IsAnswer reports whether Redis answered a command with this error. Any other error means that Redis did not answer it. It is false for
// nil, and if Redis has turned the client away, as at its maxclients.
//
// Such an answer is a text like "NOPERM No permissions to run the 'get' command". Its first word is the kind of the error; ERR is for
// errors without a kind of their own. The functions below compare the beginnings of answers.
func IsAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// IsUnavailable reports whether the server of a table does not answer, or a cluster has no server for the table. Tables on
// other servers of the cluster may be written all the same. It is false for nil.
func IsUnavailable(err error) bool {
	return err != nil && !IsAnswer(err) || hasPrefix(err, "CLUSTERDOWN")
}

// isRefused reports whether Redis rejects the user or a command of that user. A second try would fail too.
func isRefused(err error) bool {
	return hasPrefix(err, "WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password")
}

// IsPermanent reports whether the error of the first command of a connection stays until someone changes the
// configuration: wrong credentials, a missing permission, a database that does not exist, or another kind of server.
func IsPermanent(err error) bool {
	return isRefused(err) || isNoDB(err) || isNoCluster(err) || isUnknownPrimary(err) || isNoSentinel(err) || errors.Is(err, errSentinel)
}

// Explain adds the addresses of the servers, the meaning of the error where Redis does not give it, and the options to
// check to an error of a command, which is not nil. It leaves out options whose names are empty. The result wraps err and
// contains no secret. Its text has no control characters of a server, which a terminal would obey; joined errors have a line each.
func (o DialOptions) Explain(err error, n Names) error {
	at := strings.Join(o.Addrs(), ", ")
	meaning, check := diagnose(err, n)
	check = slices.DeleteFunc(check, func(name string) bool { return name == "" })
	hint := meaning
	if len(check) > 0 {
		hint += "; check '" + strings.Join(check, "', '") + "'"
	}
	return fmt.Errorf("redis at %s: %w%s", at, legible{err}, hint)
}

// legible is an error whose text can be shown in a log.
type legible struct{ error }

func (e legible) Error() string {
	lines := strings.Split(e.error.Error(), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

func (e legible) Unwrap() error { return e.error }

// printable returns the text with "?" in place of each control character and invalid byte.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// diagnose returns the meaning of an error, which begins with a separator or is empty, and the options to check.
//
// The order of the cases matters: an error of a Sentinel, a refusal or a failure of TLS would also match a more general case
// below it.
func diagnose(err error, n Names) (meaning string, check []string) {
	switch {
	case errors.Is(err, errSentinel):
		return ", want the name of the primary that it watches", []string{n.MasterName, n.Servers}
	case isUnknownPrimary(err):
		return ": the Sentinels watch no primary of that name", []string{n.MasterName}
	case isNoSentinel(err):
		return ": a server that is given together with the name of a primary must be a Sentinel", []string{n.MasterName, n.Servers}
	case isRefused(err) && isOfSentinel(err):
		return ": the Sentinels have credentials of their own", []string{n.SentinelUsername, n.SentinelPassword}
	case isNoCluster(err):
		return ": several servers must be nodes of a cluster, or Sentinels together with the name of a primary", []string{n.Servers, n.MasterName}
	case hasPrefix(err, "NOPERM"):
		return ": the user lacks a rule of the documented ACL, add it by ACL SETUSER", []string{n.Username, n.Servers}
	case isRefused(err):
		return "", []string{n.Username, n.Password, n.PasswordFile, n.Servers}
	case isNoDB(err):
		return "", []string{n.DB, n.Servers}
	case isTLS(err):
		return "", append(slices.Clone(n.TLS), n.Servers)
	case isTurnedAway(err):
		if meaning, check = diagnoseServer(err, n); meaning == "" {
			return ": Redis has closed the connection", []string{n.Servers}
		}
		return meaning, check
	case isUnanswered(err):
		return ": the server closed the connection; it may want TLS (\"rediss://\")", []string{n.Servers}
	case errors.Is(err, io.EOF):
		return ": the server closed the connection", []string{n.Servers}
	case !IsAnswer(err):
		return "", []string{n.Servers}
	}
	return diagnoseServer(err, n)
}

// diagnoseServer is diagnose for the answers of a server that refuses everybody, because of its own state.
func diagnoseServer(err error, n Names) (meaning string, check []string) {
	switch {
	case hasPrefix(err, "READONLY"):
		return ": a replica refuses writes, want the primary, or Sentinels that know it", []string{n.Servers, n.MasterName}
	case hasPrefix(err, "MASTERDOWN"):
		return ": a replica has lost its primary, want the primary", []string{n.Servers, n.MasterName}
	case hasPrefix(err, "OOM"):
		return ": raise maxmemory in Redis, or keep less", n.Limits
	case hasPrefix(err, "MISCONF"):
		return ": Redis cannot write to its disk, see its log", nil
	case hasPrefix(err, "NOREPLICAS"):
		return ": fewer replicas are connected than min-replicas-to-write in Redis", nil
	case hasPrefix(err, "BUSY"):
		return ": a script of another program keeps Redis busy; it can be ended by SCRIPT KILL", nil
	case hasPrefix(err, "LOADING"):
		return ": Redis reads its data after a start, and then accepts writes", nil
	case hasPrefix(err, "CLUSTERDOWN"):
		return ": a part of the cluster has no server; with cluster-require-full-coverage no in Redis, the tables on the other servers are written", nil
	case isMoving(err):
		return ": the cluster moves the table to another server, and then accepts writes", nil
	case hasPrefix(err, "ERR max number of clients"):
		return ": raise maxclients in Redis, or close other connections", nil
	case hasPrefix(err, "DENIED"):
		return ": without a password, Redis refuses other hosts (protected-mode)", []string{n.Password, n.Servers}
	case hasPrefix(err, "WRONGTYPE"):
		return ": another program has written a key of that name, delete it", nil
	}
	return "", nil
}

// isMoving reports whether a server of a cluster refused a command because its slot is on another server, or is being moved to one.
func isMoving(err error) bool { return hasPrefix(err, "TRYAGAIN ", "MOVED ", "ASK ") }

// isOfSentinel reports whether an error is that of the connection to a Sentinel. The client marks such errors by their
// text only.
func isOfSentinel(err error) bool { return strings.Contains(err.Error(), "all sentinels specified") }

// isUnknownPrimary reports whether the Sentinels answered that they do not watch the primary.
func isUnknownPrimary(err error) bool { return isOfSentinel(err) && errors.Is(err, redis.Nil) }

// isNoSentinel reports whether a server that should be a Sentinel does not know the commands of one.
func isNoSentinel(err error) bool { return isOfSentinel(err) && hasPrefix(err, "ERR unknown command") }

// isNoCluster reports whether a server that should be a node of a cluster is not one.
func isNoCluster(err error) bool {
	return hasPrefix(err, "ERR This instance has cluster support disabled") ||
		!isOfSentinel(err) && hasPrefix(err, "ERR unknown command 'CLUSTER'", "ERR unknown command 'cluster'")
}

// isTLS reports whether TLS failed: one side rejected the certificate of the other, or the server does not use TLS.
func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &header) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") // the names of alerts in crypto/tls
}

// isNoDB reports whether the database does not exist. A cluster refuses SELECT.
func isNoDB(err error) bool {
	return errors.Is(err, errOneDatabase) || hasPrefix(err, "ERR DB index", "ERR SELECT is not allowed")
}

// isTurnedAway reports whether Redis has closed the connection after it had answered with the reason.
func isTurnedAway(err error) bool {
	var away *turnedAway
	return errors.As(err, &away)
}

// isUnanswered reports whether the server has closed the connection before it sent anything.
func isUnanswered(err error) bool {
	var closed *unanswered
	return errors.As(err, &closed)
}

// hasPrefix reports whether err is an answer of Redis that begins with one of the prefixes, or the reason why it closed the connection.
func hasPrefix(err error, prefixes ...string) bool {
	var answer redis.Error
	var away *turnedAway
	switch {
	case errors.As(err, &answer):
		err = answer
	case errors.As(err, &away):
		err = away
	default:
		return false
	}
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(err.Error(), p) })
}
