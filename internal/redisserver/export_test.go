package redisserver

import (
	"context"
	"time"
)

// StartWithin is Start with another time for the first answer.
func StartWithin(ctx context.Context, o Options, patience time.Duration) (*Server, error) {
	o.patience = patience
	return Start(ctx, o)
}

// PublishWithin is Publish with another time to wait for a program that reads the file or ends.
func PublishWithin(addr, password string, wait time.Duration) (*Publication, error) {
	return publish(addr, password, wait)
}
