package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// errSentinel is the error of every command if the only server is a Sentinel and MasterName is empty.
var errSentinel = errors.New("the server is a Sentinel, which keeps no data")

// oneServer is the client of a single address, which may be a server or a node of a cluster, such as the configuration
// endpoint of a managed one. The first command asks the server with HELLO, which no ACL can deny. In a cluster, each
// command goes to the node that has its keys. A subscription stays at the address, because a cluster publishes every
// message on all nodes.
//
// If the server does not support HELLO (before Redis 6, or some proxies), it is used as a single server.
type oneServer struct {
	*redis.Client
	topology *topology
}

// newOneServer returns the client. It does not connect.
func newOneServer(u *redis.UniversalOptions) *oneServer {
	c := &oneServer{Client: redis.NewClient(u.Simple()), topology: newTopology(u)}
	c.AddHook(c.topology)
	return c
}

// Close closes all connections. Commands that wait for the topology fail.
func (c *oneServer) Close() error {
	c.topology.close()
	err := c.Client.Close()
	if cluster := c.topology.cluster.Load(); cluster != nil {
		err = errors.Join(err, cluster.Close())
	}
	return err
}

// PoolStats returns the state of the connections that commands use.
func (c *oneServer) PoolStats() *redis.PoolStats {
	if cluster := c.topology.cluster.Load(); cluster != nil {
		return cluster.PoolStats()
	}
	return c.Client.PoolStats()
}

// topology is a hook that passes the commands of a client on to a cluster, if the server of the client is one.
//
// It asks with a client of its own, because the commands of the other client wait for the answer in this hook. Until an answer
// shows the mode, commands ask again, one question at a time:
//
//	first command   find ─▶ begins the question ─┐
//	second command  find ────────────────────────┴─▶ waits for its answer, or for the end of its own context
//
// A question does not end with the command that began it. Each of its steps (connect, HELLO of the client, HELLO of the question) has the
// timeout of the client. So the question is answered even if the steps together take longer than the command may.
type topology struct {
	options *redis.UniversalOptions
	single  atomic.Bool                         // whether the server has answered that it is not a node of a cluster: see doubt
	cluster atomic.Pointer[redis.ClusterClient] // nil unless the server is known to be a node of a cluster

	closing context.Context // ends with close, and so does a question
	end     context.CancelFunc
	running sync.WaitGroup // the goroutine of a question

	mu      sync.Mutex // guards the field below
	pending *question  // the question without an answer, or nil
}

// question is a question for the mode of the server. Its results are set before answered is closed.
type question struct {
	answered chan struct{}
	cluster  *redis.ClusterClient // as find returns it
	err      error
}

func newTopology(u *redis.UniversalOptions) *topology {
	t := &topology{options: u}
	t.closing, t.end = context.WithCancel(context.Background())
	return t
}

// close ends the pending question, and waits for that. No other one begins.
func (t *topology) close() {
	t.mu.Lock()
	t.end()
	t.mu.Unlock()
	t.running.Wait()
}

// DialHook changes nothing.
func (*topology) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook passes a command on.
func (t *topology) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		cluster, err := t.find(ctx)
		switch {
		case err != nil:
			cmd.SetErr(err)
			return err
		case cluster != nil:
			return cluster.Process(ctx, cmd)
		}
		err = next(ctx, cmd)
		t.doubt(cmd)
		return err
	}
}

// doubt makes the next command ask for the mode again if the answer to one of these is that of a node of a cluster: another server may have
// taken over the address.
func (t *topology) doubt(cmds ...redis.Cmder) {
	if slices.ContainsFunc(cmds, refused) {
		t.single.Store(false)
	}
}

// ProcessPipelineHook passes a pipeline or a transaction on. The commands of a transaction are between MULTI and EXEC, which the client of
// the cluster adds again by itself.
func (t *topology) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		cluster, err := t.find(ctx)
		switch {
		case err != nil:
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		case cluster == nil:
			err = next(ctx, cmds)
			t.doubt(cmds...)
			return err
		case cmds[0].Name() == "multi":
			_, err = cluster.TxPipelined(ctx, queueAll(ctx, cmds[1:len(cmds)-1]))
		default:
			_, err = cluster.Pipelined(ctx, queueAll(ctx, cmds))
		}
		return err
	}
}

// queueAll returns a function that adds the commands to a pipeline. Their results are set in the commands themselves.
func queueAll(ctx context.Context, cmds []redis.Cmder) func(redis.Pipeliner) error {
	return func(pipe redis.Pipeliner) error {
		return pipe.BatchProcess(ctx, cmds...)
	}
}

// find returns the client of the cluster, or nil if the server is not a node of one. It asks the server until it has an
// answer; an error means that there is none, or that the server cannot be used. If ctx ends before the answer comes, it returns the
// reason, and the next command waits for the same question.
func (t *topology) find(ctx context.Context) (*redis.ClusterClient, error) {
	if cluster := t.cluster.Load(); cluster != nil || t.single.Load() {
		return cluster, nil
	}
	q := t.join()
	if q == nil {
		return nil, redis.ErrClosed
	}
	select {
	case <-q.answered:
		return q.cluster, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the pending question, or begins one. It returns nil after close.
func (t *topology) join() *question {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending != nil || t.closing.Err() != nil {
		return t.pending
	}
	q := &question{answered: make(chan struct{})}
	t.pending = q
	t.running.Go(func() {
		q.cluster, q.err = t.learn()
		t.mu.Lock()
		t.pending = nil
		t.mu.Unlock()
		close(q.answered)
	})
	return q
}

// learn asks the server once, and keeps what does not change any more. The result is that of find:
//
//	answer to HELLO                     result                   the next command
//	mode standalone                     nil                      asks no more, unless a later answer is MOVED: see doubt
//	mode cluster                        the client of a cluster  asks no more, unless a database is set: an error, asks again
//	mode sentinel                       errSentinel              asks again
//	unknown command                     nil                      asks no more
//	another refusal, as of a password   nil                      asks again; this one gets the refusal too
//	none                                the error                asks again
func (t *topology) learn() (*redis.ClusterClient, error) {
	if cluster := t.cluster.Load(); cluster != nil || t.single.Load() {
		return cluster, nil // another question was answered after find looked
	}
	mode, err := t.ask(t.closing)
	switch {
	case hasPrefix(err, "ERR unknown command"):
		t.single.Store(true)
		return nil, nil //nolint:nilnil // documented above
	case IsAnswer(err): // the command itself gets the error too
		return nil, nil //nolint:nilnil // documented above
	case err != nil:
		return nil, err
	case mode == "sentinel":
		return nil, errSentinel
	case mode != "cluster":
		t.single.Store(true)
		return nil, nil //nolint:nilnil // documented above
	case t.options.DB != 0:
		return nil, noDatabase(t.options.DB)
	}
	cluster := newCluster(t.options)
	t.cluster.Store(cluster)
	return cluster, nil
}

// ask returns the mode of the server: standalone, cluster or sentinel. It is "" if the answer has no mode. HELLO answers a map with RESP3
// and a list of keys and values with RESP2. The end of ctx closes the connection, because the client reads until its timeout.
func (t *topology) ask(ctx context.Context) (string, error) {
	o := t.options.Simple()
	o.DB, o.PoolSize = 0, 1 // a cluster and a Sentinel refuse another database
	o.MaxRetries = -1       // the next command asks again
	o.ReadBufferSize, o.WriteBufferSize = 4<<10, 4<<10
	client := redis.NewClient(o)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	reply, err := client.Do(ctx, "HELLO").Result()
	if err != nil {
		return "", err
	}
	switch reply := reply.(type) {
	case map[any]any:
		return fmt.Sprint(reply["mode"]), nil
	case []any:
		for i := 0; i+1 < len(reply); i += 2 {
			if reply[i] == "mode" {
				return fmt.Sprint(reply[i+1]), nil
			}
		}
	}
	return "", nil
}

// noDatabase returns the error for a database of a cluster.
func noDatabase(number int) error {
	return fmt.Errorf("database %d of Redis, but %w", number, errOneDatabase)
}

// errOneDatabase is the reason of an error about a database of a cluster.
var errOneDatabase = errors.New("a cluster has only database 0")
