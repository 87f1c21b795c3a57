package execd

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/logger"
)

// maxLogLine is the most bytes of a line of the log. processors.execd stops reading its child's log at a line of 64 KiB.
const maxLogLine = 8 << 10

// RedirectLog makes Telegraf's logger write to w what processors.execd expects from its child: lines that begin with their level,
// such as "E! ", and have no time. Messages below the level are left out. The function stop ends that, and no message is
// written after it.
func RedirectLog(w io.Writer, level telegraf.LogLevel) (stop func(), err error) {
	logger.RedirectLogging(io.Discard)
	var mu sync.Mutex // one message is written at a time
	id, err := logger.AddCallback(func(l telegraf.LogLevel, _ time.Time, source string, _ map[string]any, args ...any) {
		if !level.Includes(l) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(w, logLines(l, source, fmt.Sprint(args...))) // nothing could be done about an error
	})
	return func() { logger.RemoveCallback(id) }, err
}

// logLines returns the lines of a message, such as "W! [aggregators.describe] …\n". Each of them has the level, without which Telegraf would
// log it as an error. Longer lines than maxLogLine are cut.
func logLines(level telegraf.LogLevel, source, text string) string {
	if source != "" {
		text = "[" + source + "] " + text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		fmt.Fprintf(&b, "%s %s\n", level.Indicator(), line[:min(len(line), maxLogLine)])
	}
	return b.String()
}
