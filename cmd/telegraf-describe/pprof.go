package main

import (
	"log"
	"net/http"
	_ "net/http/pprof" //nolint:gosec // served on --pprof-addr only
	"time"
)

// servePprof serves profiles on the address, if there is one, and returns where its end is reported.
func servePprof(address string) <-chan error {
	failed := make(chan error, 1)
	if address == "" {
		return failed
	}
	// A profile takes half a minute by default.
	server := &http.Server{Addr: address, ReadTimeout: 10 * time.Second, WriteTimeout: 5 * time.Minute}
	log.Printf("I! Serving profiles at http://%s/debug/pprof/", address)
	go func() { failed <- server.ListenAndServe() }()
	return failed
}
