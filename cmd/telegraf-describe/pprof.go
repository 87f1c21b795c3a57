package main

import (
	"log"
	"net/http"
	_ "net/http/pprof" //nolint:gosec // served on --pprof-addr only
	"time"
)

// servePprof serves profiles on the address until the process ends. The channel that it returns gets the error of the server, such as that
// of an address in use; it has room for it. With an empty address nothing is served, and the channel never gets anything.
func servePprof(address string) <-chan error {
	failed := make(chan error, 1)
	if address == "" {
		return failed
	}
	// A CPU profile takes 30 seconds by default, and a user may ask for minutes. The handlers are those of package net/http/pprof in the
	// default mux, as upstream has them.
	server := &http.Server{Addr: address, ReadTimeout: 10 * time.Second, WriteTimeout: 5 * time.Minute}
	log.Printf("I! Serving profiles at http://%s/debug/pprof/", address)
	go func() { failed <- server.ListenAndServe() }()
	return failed
}
