package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/conns"
)

// An answer must be read at slowestRate on average, except for the first slowGrace. A client that reads more slowly is
// disconnected, because its answer stays in memory.
const (
	slowGrace   = 30 * time.Second
	slowestRate = 64 << 10 // bytes a second
	// writeSize is how many bytes are written at a time.
	writeSize = 64 << 10
)

// pacedWriter writes the body of an answer. Before each write, it moves the deadline of the connection by the bytes that
// were written.
//
// The deadline is start + slowGrace + written / slowestRate, so a client may be slow for a while and catch up. One goroutine uses it.
//
// For example, a client to which 1 MiB was written has 46 s from the beginning on to read the next part. The server's own timeout for
// writing would end every answer after 30 s, however fast the client reads.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController // of w, for the deadline
	start   time.Time                // when the body began
	written int64                    // bytes of the body that w has taken
}

// newPacedWriter returns a writer of the body.
func newPacedWriter(w http.ResponseWriter) *pacedWriter {
	return &pacedWriter{w: w, control: http.NewResponseController(w), start: time.Now()}
}

// Write writes b. It returns an error if the client has closed the connection or reads too slowly.
func (p *pacedWriter) Write(b []byte) (int, error) {
	total := 0
	for len(b) > 0 {
		part := b[:min(len(b), writeSize)]
		allowed := slowGrace + time.Duration(p.written)*time.Second/slowestRate
		_ = p.control.SetWriteDeadline(p.start.Add(allowed)) // writers in tests have no deadline
		n, err := p.w.Write(part)
		p.written, total = p.written+int64(n), total+n
		if err != nil {
			return total, err
		}
		b = b[n:]
	}
	return total, nil
}

// gone wraps the error of writing a body: the client has closed the connection, or reads too slowly.
//
// Such a request is counted with statusGone. It is not a failure of the service.
type gone struct{ err error }

func (e gone) Error() string { return "the client is gone: " + e.err.Error() }
func (e gone) Unwrap() error { return e.err }

// writeJSON answers with v as JSON. If work is not nil, the body is counted as its bytes. The work gives up its place first, as
// nothing more is read. The error is busy if the budget has no room for the body, and a gone if the client does not read it.
// net/http removes the body from the answer to HEAD.
func writeJSON(w http.ResponseWriter, work *work, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if work != nil {
		work.rest()
		if err := work.grow(len(b)); err != nil {
			return err
		}
	}
	setJSON(w, len(b))
	if _, err := newPacedWriter(w).Write(b); err != nil {
		return gone{err}
	}
	return nil
}

// sendBody writes a body, or only its headers for the method HEAD. The error is a gone.
func sendBody(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	setBody(w, contentType, len(body))
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := newBodyWriter(w, r, len(body)).Write(body); err != nil {
		return gone{err}
	}
	return nil
}

// newBodyWriter returns a writer of a body of so many bytes. The caller must write the first writeSize of them, or all, in one call, or
// return an error: see [conns.Join].
func newBodyWriter(w http.ResponseWriter, r *http.Request, size int) io.Writer {
	conns.Join(r.Context(), min(size, writeSize))
	if size <= writeSize {
		return w // the server's timeout for writing is slowGrace
	}
	return newPacedWriter(w)
}

// setJSON sets the headers of a JSON body of so many bytes.
func setJSON(w http.ResponseWriter, size int) { setBody(w, "application/json", size) }

// setBody sets the headers of a body of so many bytes.
func setBody(w http.ResponseWriter, contentType string, size int) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(size))
}
