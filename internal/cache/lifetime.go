package cache

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// lifetime extends the lives of keys and of members of sorted sets whose scores are expiry times. Agents with different
// retentions may write the same key, so a life is never shortened.
type lifetime struct {
	retention time.Duration // from the command on, of this writer
	// old is true for a server before Redis 7, which cannot compare times to live. Such a server gives a key the
	// retention of its last writer.
	old bool
}

// creation shows whether commands have created a key. The zero creation is that of a key that they have not created.
type creation struct {
	answer  *redis.BoolCmd // to EXPIRE
	created bool           // the answer if the key is new
}

// isNew reports whether the commands have created the key. It is false before the answer.
func (c creation) isNew() bool {
	return c.answer != nil && c.answer.Err() == nil && c.answer.Val() == c.created
}

// write adds the commands of queue, which may create a key, and those after which the key lives for the retention or longer.
//
// On a server before Redis 7, another EXPIRE before the commands of queue shows whether the key exists. If queue adds nothing there, the
// key counts as new.
func (l lifetime) write(ctx context.Context, pipe redis.Pipeliner, key string, queue func()) creation {
	var before *redis.BoolCmd
	if l.old {
		before = pipe.Expire(ctx, key, l.retention)
	}
	queue()
	after := l.expire(ctx, pipe, key)
	if l.old {
		return creation{answer: before, created: false}
	}
	return creation{answer: after, created: true}
}

// expire adds the commands after which the key lives for the retention or longer. Its result is true if the key had no
// time to live, which means that it is new. It returns nil for a server before Redis 7.
func (l lifetime) expire(ctx context.Context, pipe redis.Pipeliner, key string) *redis.BoolCmd {
	if l.old {
		pipe.Expire(ctx, key, l.retention)
		return nil
	}
	// Both commands are needed. NX only sets the time to live of a key that has none, and GT only raises the one of a key that has one:
	// for GT, a key without one lives for ever.
	first := pipe.ExpireNX(ctx, key, l.retention)
	pipe.ExpireGT(ctx, key, l.retention)
	return first
}

// extend adds members to a sorted set whose scores are expiry times. A member keeps its score if that is higher. ZADD GT is
// new in Redis 6.2, so it is not sent to an old server.
func (l lifetime) extend(ctx context.Context, pipe redis.Pipeliner, key string, members ...redis.Z) {
	if l.old {
		pipe.ZAdd(ctx, key, members...)
		return
	}
	pipe.ZAddGT(ctx, key, members...)
}

// set adds the commands that set a string. A plain SET would remove the time to live, which may be the longer one of another
// agent.
func (l lifetime) set(ctx context.Context, pipe redis.Pipeliner, key, value string) {
	if l.old {
		pipe.Set(ctx, key, value, l.retention)
		return
	}
	pipe.Set(ctx, key, value, redis.KeepTTL)
	l.expire(ctx, pipe, key)
}

// isOldServer reports whether an error is the answer of a server before Redis 7 to EXPIRE with a condition: that the number of arguments is
// wrong.
func isOldServer(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "wrong number of arguments for 'expire'")
}
