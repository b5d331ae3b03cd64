package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
	"dkv/engine/keyspace"
)

// A Request is what Run sees through: a run of commands, or a transaction, of
// one shard.
type Request struct {
	// Task is used when this node leads the shard. Its Eval may be called more
	// than once, when leadership was lost before anything was written, and each
	// call must then begin anew: forget the replies of the one before.
	Task *shard.Task
	// Encode returns what the leader's node gets, see SetExecutor. nil: the
	// request is not forwarded, it ends in shard.ErrNotLeader.
	Encode func() []byte
	// Decode is given the leader's answer, which it owns. It replaces whatever
	// Task.Eval has left.
	Decode func(reply []byte) error
	// Idempotent says that the request changes nothing, so that it can be sent
	// again when the outcome is not known.
	Idempotent bool
}

// An Executor runs a forwarded request on this node, which leads its shard: it
// submits to the local shard and never forwards. The payload is the
// executor's. Its error goes back by text, and those of package shard keep
// their identity. An answer of more than Node.MaxCallBytes cannot go back:
// then the client is told that the request was carried out, and no more.
type Executor func(ctx context.Context, id raftlog.ShardID, payload []byte) ([]byte, error)

// ReadOptions says how a read is to begin.
type ReadOptions = shard.ReadOptions

// SetExecutor gives the function that runs what other nodes forward. Until then
// their requests are refused, which they take as if there were no leader.
func (n *Node) SetExecutor(f Executor) { n.executor.Store(&f) }

// retryPause is how long a request waits before it tries again when nothing says
// that the leader has changed.
const retryPause = 20 * time.Millisecond

// Run sees a request through: it is evaluated here when this node leads the
// shard and sent to the leader otherwise, at most once unless it certainly did
// not happen. It waits for a leader up to Options.Timeout. Errors: those of
// package shard, whose texts are replies; shard.ErrUncertain alone leaves open
// whether the request happened, and ErrAnswerTooLarge alone says that it did. A
// request that is too large to be passed on ends as shard.ErrTooBig, with a text
// of its own.
func (n *Node) Run(ctx context.Context, id raftlog.ShardID, r *Request) error {
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	if s.leads() {
		// Nothing but the task itself in the common case.
		s.Submit(r.Task)
		if err := r.Task.Wait(); !errors.Is(err, shard.ErrNotLeader) {
			return err
		}
	}
	return n.runElsewhere(ctx, s, r)
}

// runElsewhere tries until the request has an outcome or time is up.
func (n *Node) runElsewhere(ctx context.Context, s *openShard, r *Request) error {
	w := waiter{n: n, s: s, ctx: ctx}
	defer w.stop()
	for {
		changed := s.Group().LeaderChanged()
		err := n.tryRun(ctx, s, r)
		if !tryAgain(err) {
			return err
		}
		if why := w.wait(changed); why != nil {
			return why
		}
	}
}

// errTryAgain says that a request had no effect and may have one the next time.
var errTryAgain = errors.New("cluster: try again")

func tryAgain(err error) bool {
	return errors.Is(err, shard.ErrNotLeader) || errors.Is(err, errTryAgain)
}

// tryRun runs the request where the leader is believed to be.
func (n *Node) tryRun(ctx context.Context, s *openShard, r *Request) error {
	if s.leads() {
		s.Submit(r.Task)
		return r.Task.Wait()
	}
	route := s.route.Load()
	if route == nil || route.leader == n.identity().node() || r.Encode == nil {
		return errTryAgain
	}
	reply, err := n.forward(ctx, route, s.id, callRun, r.Encode())
	if errors.Is(err, shard.ErrUncertain) && r.Idempotent {
		return errTryAgain
	}
	if err != nil {
		return err
	}
	return r.Decode(reply)
}

// ErrAnswerTooLarge: the request was carried out, but what the leader had to say
// of it is more than it can pass on. Its text, with the limit, is a reply.
var ErrAnswerTooLarge = errors.New("REPLYTOOBIG The request was carried out, but the reply exceeds the limit for replies between nodes")

// tooLarge is the reply to a request that cannot be passed on.
func (n *Node) tooLarge(bytes int) error {
	return &remoteError{fmt.Sprintf("ERR The request of %d bytes exceeds the limit of %d bytes for requests between nodes. "+
		"Nothing happened: send it to the shard's leader, or in parts", bytes, n.o.MaxCallBytes), shard.ErrTooBig}
}

// forward sends a request to the leader that the route leads to. Errors:
// errTryAgain, shard.ErrNotLeader, shard.ErrTooBig: it did not happen;
// shard.ErrUncertain; and what the leader answers.
func (n *Node) forward(ctx context.Context, to *route, id raftlog.ShardID, kind transport.CallKind, payload []byte) ([]byte, error) {
	ctx, cancel := to.join(ctx)
	defer cancel()
	reply, err := n.transport.Call(ctx, to.leader, kind, id, payload)
	if err == nil {
		return reply, nil
	}
	var remote *transport.RemoteError
	switch {
	case errors.As(err, &remote):
		err = decodeError(err)
		if errors.Is(err, shard.ErrClosed) {
			return nil, errTryAgain // it is the leader's node that closes
		}
		return nil, err
	case errors.Is(err, transport.ErrTooLarge):
		return nil, n.tooLarge(len(payload)) // it would be the next time too
	case errors.Is(err, transport.ErrNotSent), errors.Is(err, transport.ErrClosed):
		return nil, errTryAgain
	}
	return nil, shard.ErrUncertain
}

// Read waits until this node has everything that was acknowledged before (unless
// o.Stale) and readies tx for reading. The caller must tx.Close, also after an
// error. Errors: shard.ErrNotLeader when there is no leader within
// Options.Timeout.
func (n *Node) Read(ctx context.Context, id raftlog.ShardID, tx *keyspace.Tx, o ReadOptions) error {
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	if !o.Stale && !s.alone.Load() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.o.Timeout)
		defer cancel()
	}
	return n.readError(id, s.BeginRead(ctx, tx, o))
}

// ReadsAtOnce says whether a read of the shard waits for nobody at present: the
// node is alone, or holds the lease.
func (n *Node) ReadsAtOnce(id raftlog.ShardID) bool {
	s, err := n.serving(id)
	return err == nil && (s.alone.Load() && s.Group().Alone() || n.o.ReadMode == ReadLease && s.Group().LeaseValid())
}

// Barrier returns when this node has everything of the shard that was acknowledged
// before. A Read with o.Stale that follows is as good as one without. Errors as
// Read's.
func (n *Node) Barrier(ctx context.Context, id raftlog.ShardID) error {
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	return n.barrier(ctx, s)
}

// WatchPosition is the position that WATCH remembers: a change of a key after it
// is a change that EXEC must notice, and none before it is hidden from reads
// here. Errors as Read's.
func (n *Node) WatchPosition(ctx context.Context, id raftlog.ShardID) (uint64, error) {
	s, err := n.serving(id)
	if err != nil {
		return 0, err
	}
	if err := n.barrier(ctx, s); err != nil {
		return 0, err
	}
	return uint64(s.Applied()), nil
}

// barrier returns when everything that was acknowledged before is applied here.
func (n *Node) barrier(ctx context.Context, s *openShard) error {
	ctx, cancel := context.WithTimeout(ctx, n.o.Timeout)
	defer cancel()
	return n.readError(s.id, s.Group().ReadBarrier(ctx))
}

// readError turns what a read barrier ends with into a reply.
func (n *Node) readError(id raftlog.ShardID, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return shard.ErrNotLeader
	case errors.Is(err, consensus.ErrStopped):
		if _, err := n.serving(id); err != nil {
			return err
		}
		return shard.ErrClosed
	}
	return err
}

// waiter bounds the wait for a leader of one request.
type waiter struct {
	n     *Node
	s     *openShard
	ctx   context.Context
	until *time.Timer // for Options.Timeout
	pause *time.Timer // for retryPause
}

// wait returns nil when it is worth trying again, otherwise the request's outcome.
func (w *waiter) wait(changed <-chan struct{}) error {
	if w.until == nil {
		w.until, w.pause = time.NewTimer(w.n.o.Timeout), time.NewTimer(retryPause)
	} else {
		w.pause.Reset(retryPause)
	}
	select {
	case <-changed:
		return w.stillServing()
	case <-w.pause.C:
		return w.stillServing()
	case <-w.until.C:
	case <-w.ctx.Done():
	case <-w.s.Group().Done():
		if err := w.stillServing(); err != nil {
			return err
		}
		return shard.ErrClosed
	case <-w.n.ctx.Done():
		return shard.ErrClosed
	}
	return shard.ErrNotLeader
}

func (w *waiter) stillServing() error {
	_, err := w.n.serving(w.s.id)
	return err
}

func (w *waiter) stop() {
	if w.until != nil {
		w.until.Stop()
		w.pause.Stop()
	}
}
