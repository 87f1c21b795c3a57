package main

import (
	"errors"
	"io"
	"log/slog"
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
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
