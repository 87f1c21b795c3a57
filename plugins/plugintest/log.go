// Package plugintest has a logger and an accumulator that keep what plugins log and emit, and a comparison of metrics, for tests.
//
// Telegraf's own package testutil has such types too, but brings some 40 modules for tests with containers.
package plugintest

import (
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"

	"github.com/influxdata/telegraf"
)

// Log keeps messages in their order, each with the letter of its level: "W! text". Errors and warnings also go to the standard log,
// where a failed test shows them. The zero Log is empty and ready to use. Its methods may run concurrently.
type Log struct {
	telegraf.Logger // nil: a method that is missing below panics

	mu       sync.Mutex
	messages []string
}

func (l *Log) keep(level, text string) {
	message := level + text
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, message)
	if level != info {
		log.Print(message)
	}
}

// What messages begin with.
const (
	failure = "E! "
	warning = "W! "
	info    = "I! "
)

func (l *Log) Errorf(format string, args ...any) { l.keep(failure, fmt.Sprintf(format, args...)) }
func (l *Log) Error(args ...any)                 { l.keep(failure, fmt.Sprint(args...)) }
func (l *Log) Warnf(format string, args ...any)  { l.keep(warning, fmt.Sprintf(format, args...)) }
func (l *Log) Warn(args ...any)                  { l.keep(warning, fmt.Sprint(args...)) }
func (l *Log) Infof(format string, args ...any)  { l.keep(info, fmt.Sprintf(format, args...)) }
func (l *Log) Info(args ...any)                  { l.keep(info, fmt.Sprint(args...)) }

// Messages returns the messages of all levels.
func (l *Log) Messages() []string { return l.begin("") }

// Errors returns the messages of the level error.
func (l *Log) Errors() []string { return l.begin(failure) }

// Warnings returns the messages of the level warning.
func (l *Log) Warnings() []string { return l.begin(warning) }

// Infos returns the messages of the level information.
func (l *Log) Infos() []string { return l.begin(info) }

// begin returns the messages that begin with the letter of a level.
func (l *Log) begin(level string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.messages), func(m string) bool { return !strings.HasPrefix(m, level) })
}

// Clear forgets all messages.
func (l *Log) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = nil
}
