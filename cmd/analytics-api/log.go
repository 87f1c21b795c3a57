package main

import (
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// logLevel returns the level of the log, or an error for another word. [slog.Level] alone would accept more: "INFO+2".
func (c *config) logLevel() (level slog.Level, err error) {
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		err = level.UnmarshalText([]byte(c.LogLevel))
		return level, err
	}
	return 0, invalid("log_level", " %q, want debug, info, warn or error", c.LogLevel)
}

// validateLog checks the settings of the log.
func (c *config) validateLog() error {
	_, err := c.logLevel()
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return errors.Join(invalid("log_format", " %q, want text or json", c.LogFormat), err)
	}
	return err
}

// newLog returns a log that writes lines to w, for settings that validate has accepted. It is safe for concurrent use.
//
// For example, the same line in both formats:
//
//	time=2026-01-02T03:04:05.000Z level=INFO msg=serving address=http://127.0.0.1:8001 version=1.2.0
//	{"time":"2026-01-02T03:04:05.000Z","level":"INFO","msg":"serving","address":"http://127.0.0.1:8001","version":"1.2.0"}
func (c *config) newLog(w io.Writer) *slog.Logger {
	level, _ := c.logLevel() // validateLog has checked it
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: plainly}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// plainly replaces characters in the texts of a line that are not visible and that the handlers leave as they are, such as DEL and the
// control characters of terminals from U+0080 on. Clients can write them into paths. For example, U+009B becomes \u009b. It is a
// ReplaceAttr of [slog.HandlerOptions].
func plainly(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch a.Value.Kind() { //nolint:exhaustive // the others have no text
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		err, ok := a.Value.Any().(error)
		if !ok {
			return a
		}
		text = err.Error()
	default:
		return a
	}
	if strings.IndexFunc(text, hidden) < 0 {
		return a
	}
	var b strings.Builder
	for _, c := range text {
		if hidden(c) {
			quoted := strconv.QuoteRuneToASCII(c)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(c)
	}
	return slog.String(a.Key, b.String())
}

// hidden reports whether plainly replaces a character. The handlers escape those below U+0020.
func hidden(c rune) bool { return c >= 0x7f && !unicode.IsPrint(c) }

// connectionsEvery is the shortest time between two lines about faults of connections.
const connectionsEvery = time.Minute

// connectionLog logs the faults of connections that package net/http reports, such as handshakes that fail: at most one line in
// connectionsEvery, with the number of those that were not logged, because clients can cause any number. It is safe for concurrent use.
type connectionLog struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex // guards the fields below
	logged time.Time  // the last line; zero if there was none
	others int        // faults since then
}

// Write logs a line of net/http. It implements [io.Writer] for [log.New], and never fails.
func (c *connectionLog) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !c.logged.IsZero() && now.Sub(c.logged) < connectionsEvery {
		c.others++
		return len(line), nil
	}
	attrs := []any{"error", strings.TrimSuffix(string(line), "\n")}
	if c.others > 0 {
		attrs = append(attrs, "others", c.others)
	}
	c.log.Warn("a connection failed", attrs...)
	c.logged, c.others = now, 0
	return len(line), nil
}
