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
