package api

import (
	"sync"
)

// Rules of the byte budget, so that neither one client nor a few large answers use all of it.
//
// With the default of 128 MiB, answers of at most 1 MiB can use all of it, larger ones until 96 MiB are in use, and one client 64
// MiB. So a small answer finds room while large ones are refused.
const (
	// smallAnswer is the most bytes of an answer that may use the whole budget.
	smallAnswer = 1 << 20
	// largeShare is the share of the budget for larger answers, in quarters.
	largeShare = 3
	// clientShare divides the budget: one client uses at most this part of it.
	clientShare = 2
)

// budget bounds the bytes of all answers that are read or written at the same time. It is safe for concurrent use.
//
// Nobody waits for bytes: what does not fit is refused, because requests that wait for each other's memory could wait for ever. The numbers
// are estimates of the memory, and each holder gives back exactly what it took: used is the sum of clients, and 0 when nothing runs
// and no window is kept.
type budget struct {
	limit int // bytes

	mu      sync.Mutex     // guards the fields below
	used    int            // bytes
	clients map[string]int // the bytes by client, all above 0
}

// take adds n bytes to an answer of the client that has size bytes already. It returns an error, and adds nothing, if they do not fit.
// size is only compared with smallAnswer: an answer that grows is large from there on. The error is a busy, whose field client shows
// whether the limit is that of the client.
func (b *budget) take(client string, size, n int) error {
	limit := b.limit
	if size+n > smallAnswer {
		limit = b.limit / 4 * largeShare
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.used+n > limit:
		return busy{what: "the answers to other requests use the memory for answers", reason: "bytes"}
	case b.clients[client]+n > b.limit/clientShare:
		return busy{what: "the answers to this client use its share of the memory for answers", reason: "client_bytes", client: true}
	}
	b.used += n
	b.clients[client] += n
	return nil
}

// give returns n bytes of an answer of the client. The client is the one of take, and n is at most what it has.
func (b *budget) give(client string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.clients[client] -= n; b.clients[client] <= 0 {
		delete(b.clients, client)
	}
}

// bytes returns how many bytes are in use.
func (b *budget) bytes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
