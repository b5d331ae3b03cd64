package cluster

import (
	"context"
	"errors"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// withdrawPause is how long a node waits for the answer to a request that it has asked
// the leader to withdraw before it asks again: the first time may have come before the
// request itself.
const withdrawPause = 100 * time.Millisecond

// RunParking is Run for a request whose task may be parked (see shard.Task.Park),
// here or on the leader's node, for as long as it takes. When ctx ends it is
// withdrawn: the error is then shard.ErrWithdrawn, unless it has had its turn before.
// withdraw is what the leader's node gets to withdraw what Encode made; its executor
// must know.
//
// When the shard gets another leader while the request waits, it goes on waiting
// there, behind those who came before. Where the leader's node is lost with it, the
// outcome is not known: shard.ErrUncertain.
func (n *Node) RunParking(ctx context.Context, id raftlog.ShardID, r *Request, withdraw []byte) error {
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		// Each leader that was found begins a new wait for the next.
		err := n.runParking(ctx, s, r, withdraw)
		if !errors.Is(err, errParkAgain) {
			return err
		}
	}
	return shard.ErrWithdrawn
}

// errParkAgain says that the request was with a leader, which is one no more.
var errParkAgain = errors.New("cluster: park again")

// runParking waits for a leader and leaves the request with it.
func (n *Node) runParking(ctx context.Context, s *openShard, r *Request, withdraw []byte) error {
	w := waiter{n: n, s: s, ctx: ctx}
	defer w.stop()
	for {
		changed := s.Group().LeaderChanged()
		began := time.Now()
		err := n.tryParking(ctx, s, r, withdraw)
		if !tryAgain(err) {
			return err
		}
		if time.Since(began) > n.o.Timeout {
			return errParkAgain
		}
		if why := w.wait(changed); why != nil {
			if ctx.Err() != nil {
				return shard.ErrWithdrawn
			}
			return why
		}
	}
}

// tryParking runs the request where the leader is believed to be.
func (n *Node) tryParking(ctx context.Context, s *openShard, r *Request, withdraw []byte) error {
	if s.leads() {
		s.Submit(r.Task)
		stop := context.AfterFunc(ctx, func() { s.Withdraw(r.Task) })
		defer stop()
		return r.Task.Wait()
	}
	route := s.route.Load()
	if route == nil || route.leader == n.identity().node() || r.Encode == nil {
		return errTryAgain
	}
	if ctx.Err() != nil {
		return shard.ErrWithdrawn
	}
	answered := make(chan struct{})
	defer close(answered)
	stop := context.AfterFunc(ctx, func() { n.withdraw(route, s.id, withdraw, answered) })
	defer stop()
	// Not with ctx: what was not withdrawn in time may have been done.
	reply, err := n.forward(n.ctx, route, s.id, callRun, r.Encode())
	if errors.Is(err, shard.ErrUncertain) && r.Idempotent {
		return errTryAgain
	}
	if err != nil {
		return err
	}
	return r.Decode(reply)
}

// withdraw asks the leader's node to withdraw a request until it is answered.
func (n *Node) withdraw(to *route, id raftlog.ShardID, payload []byte, answered <-chan struct{}) {
	pause := time.NewTicker(withdrawPause)
	defer pause.Stop()
	for {
		// What fails here fails for the request too, or is tried again.
		_, _ = n.forward(n.ctx, to, id, callRun, payload)
		select {
		case <-answered:
			return
		case <-pause.C:
		case <-n.ctx.Done():
			return
		}
	}
}
