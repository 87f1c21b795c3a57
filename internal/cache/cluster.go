package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// slotsEvery is the longest time between two readings of the map of a cluster's slots while commands are sent. The
	// client's own default is a minute. It also reads the map after MOVED, and newCluster makes it do so after an error.
	slotsEvery = 2 * time.Second
	// pauseAfter is how long a node of a cluster gets no commands after one of them was not answered in time. So the
	// retries of the command and the next reading of the map do not wait for the node again.
	pauseAfter = 3 * time.Second
)

// newCluster returns a client of a cluster that soon notices if a replica takes over from a primary that has died.
func newCluster(u *redis.UniversalOptions) *redis.ClusterClient {
	o := u.Cluster()
	o.ClusterStateReloadInterval = slotsEvery
	o.MaxRetries = -1 // the client of the cluster tries again itself; the number of tries would multiply
	client := redis.NewClusterClient(o)
	client.AddHook(reloading{client})
	client.AddHook(moving{})
	client.OnNewNode(func(node *redis.Client) { node.AddHook(&pausing{timeout: o.ReadTimeout, addr: node.Options().Addr}) })
	return client
}

// reloading is a hook of a cluster that makes it read the map of the slots after an error: a primary that has died does not
// answer, and so never answers MOVED.
type reloading struct{ cluster *redis.ClusterClient }

// DialHook changes nothing.
func (reloading) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook reads the map after an error of a command.
func (r reloading) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.after(ctx, err)
		return err
	}
}

// ProcessPipelineHook reads the map after an error of a pipeline or a transaction.
func (r reloading) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.after(ctx, err)
		return err
	}
}

// after reads the map if Redis did not answer, or if the answer shows that the map may be outdated.
func (r reloading) after(ctx context.Context, err error) {
	if err != nil && (!IsAnswer(err) || hasPrefix(err, "CLUSTERDOWN", "READONLY")) {
		r.cluster.ReloadState(ctx) // in the background, one reading at a time
	}
}

// While a cluster moves a slot, a transaction is refused as long as its keys are on two servers: a fraction of a second, unless
// the table is large. Servers may also disagree for a moment about which of them has the slot. The client follows such answers without a
// pause, and gives up at the fourth one. Commands are then sent again after these pauses.
const (
	firstMovePause = 50 * time.Millisecond
	lastMovePause  = 400 * time.Millisecond // each pause is twice as long as the one before
)

// moving is a hook of a cluster that sends commands again if they were refused because the cluster moves their slot. After the last
// pause, or when ctx ends, the error is the last answer. The commands had no effect: a transaction is refused as a whole.
type moving struct{}

// DialHook changes nothing.
func (moving) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook sends a command again.
func (moving) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		for pause := firstMovePause; isMoving(err) && rest(ctx, &pause); {
			err = next(ctx, cmd)
		}
		return err
	}
}

// ProcessPipelineHook sends a transaction again, or those commands of a pipeline that were refused.
func (moving) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for pause := firstMovePause; slices.ContainsFunc(cmds, refused) && rest(ctx, &pause); {
			if cmds[0].Name() == "multi" {
				err = sendAgain(ctx, cmds, next)
				continue
			}
			_ = sendAgain(ctx, slices.DeleteFunc(slices.Clone(cmds), func(cmd redis.Cmder) bool { return !refused(cmd) }), next)
			err = firstError(cmds)
		}
		return err
	}
}

// sendAgain sends commands that have the errors of an earlier try.
func sendAgain(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
	for _, cmd := range cmds {
		cmd.SetErr(nil)
	}
	return next(ctx, cmds)
}

// refused reports whether a command was refused because the cluster moves its slot.
func refused(cmd redis.Cmder) bool { return isMoving(cmd.Err()) }

// firstError returns the error of the first command that has one, or nil.
func firstError(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

// rest waits for the pause, and doubles it. It returns false without waiting after the last pause, and if ctx ends.
func rest(ctx context.Context, pause *time.Duration) bool {
	if *pause > lastMovePause {
		return false
	}
	select {
	case <-time.After(*pause):
		*pause *= 2
		return true
	case <-ctx.Done():
		return false
	}
}

// errPaused is the error of a command to a node that has not answered shortly before.
var errPaused = errors.New("the server has not answered a command")

// pausing is a hook of a node of a cluster. It refuses commands for pauseAfter after one was not answered in time.
// Its methods may be called concurrently. After the pause the node gets all commands again; if it still does not answer, each of those that
// were sent meanwhile waits for the timeout once more.
type pausing struct {
	addr    string        // of the node, for errors
	timeout time.Duration // of the client for one read
	until   atomic.Int64  // the end of the pause in nanoseconds since 1970; 0 before the first one
}

// DialHook changes nothing.
func (*pausing) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook refuses a command during a pause.
func (p *pausing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := p.paused(); err != nil {
			cmd.SetErr(err)
			return err
		}
		began := time.Now()
		err := next(ctx, cmd)
		p.after(err, began)
		return err
	}
}

// ProcessPipelineHook refuses a pipeline or a transaction during a pause.
func (p *pausing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := p.paused(); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		began := time.Now()
		err := next(ctx, cmds)
		p.after(err, began)
		return err
	}
}

// paused returns an error during a pause.
func (p *pausing) paused() error {
	if time.Now().UnixNano() < p.until.Load() {
		return fmt.Errorf("node %s: %w within %s", p.addr, errPaused, p.timeout)
	}
	return nil
}

// after begins a pause if a command was not answered within the timeout of the client. A context of the caller that
// ended before does not count.
func (p *pausing) after(err error, began time.Time) {
	var failed net.Error
	if errors.As(err, &failed) && failed.Timeout() && time.Since(began) >= p.timeout {
		p.until.Store(time.Now().Add(pauseAfter).UnixNano())
	}
}

// ping returns an error if Redis does not answer. One primary of a cluster is enough, because the others may never come back.
//
// It first asks the primaries that the client knows. Only if none of them answers, it calls eachPrimary, which reads the map of the slots
// and may wait for a server that does not answer until ctx ends.
func ping(ctx context.Context, client redis.UniversalClient) error {
	cluster, err := clusterOf(ctx, client)
	switch {
	case err != nil:
		return err
	case cluster == nil:
		return client.Ping(ctx).Err()
	}
	known, err := knownPrimaries(ctx, cluster)
	if err != nil || anyAnswers(ctx, known) {
		return err
	}
	var answered atomic.Bool
	err = eachPrimary(ctx, client, func(ctx context.Context, client redis.Cmdable) error {
		err := client.Ping(ctx).Err()
		if err == nil {
			answered.Store(true)
		}
		return err
	})
	if answered.Load() {
		return nil
	}
	return err
}

// knownPrimaries returns the primaries of knownSlots slots. These are all primaries of a cluster that has a few with equal shares. It reads
// the map of the slots only if the client has none yet.
func knownPrimaries(ctx context.Context, cluster *redis.ClusterClient) ([]*redis.Client, error) {
	const knownSlots = 32
	found := make(map[*redis.Client]bool)
	for i := range knownSlots {
		node, err := cluster.MasterForKey(ctx, strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		found[node] = true
	}
	return slices.Collect(maps.Keys(found)), nil
}

// anyAnswers reports whether one of the servers answers. It asks all at the same time, and returns with the first answer.
func anyAnswers(ctx context.Context, servers []*redis.Client) bool {
	answers := make(chan error, len(servers)) // with room for all, so that no goroutine waits
	for _, server := range servers {
		go func() { answers <- server.Ping(ctx).Err() }() // ends with the timeout of the client
	}
	for range servers {
		if <-answers == nil {
			return true
		}
	}
	return false
}
