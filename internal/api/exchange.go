package api

import "net/http"

// exchange is a request with its answer. Every handler gets it as the writer of the answer: a context that has it would need a
// copy of the request. The goroutine of the request uses it.
type exchange struct {
	http.ResponseWriter
	request *http.Request // as it arrived
	find    func(*http.Request) string
	client  string    // the result of find, or empty until it is asked for
	id      [1]string // the value of the header requestID
	code    int       // the status of the answer, or 0 until the header is written
}

// idOf returns the id of a request, given the writer of its answer.
func idOf(w http.ResponseWriter) string { return w.(*exchange).id[0] }

// clientOf returns the client of a request, given the writer of its answer: see [server.client].
func clientOf(w http.ResponseWriter) string {
	x := w.(*exchange)
	if x.client == "" {
		x.client = x.find(x.request)
	}
	return x.client
}

func (x *exchange) WriteHeader(code int) {
	if x.code == 0 {
		x.code = code
	}
	x.ResponseWriter.WriteHeader(code)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.code == 0 {
		x.code = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// status returns the status of the answer, which is 200 if the handler wrote nothing.
func (x *exchange) status() int {
	if x.code == 0 {
		return http.StatusOK
	}
	return x.code
}

// statusGone is the status in the metrics for a request whose client closed the connection before the answer. nginx
// uses the same number.
const statusGone = 499

// Unwrap returns the writer below, for [http.ResponseController].
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
