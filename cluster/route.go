package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// forwardGrace is how long a request that was sent to a leader is waited for after
// the shard has another one. Where leadership was handed over the answers are on
// their way; where the leader is cut off they never come.
const forwardGrace = 500 * time.Millisecond

// openShard is a shard that is open, and what the node keeps about it.
type openShard struct {
	*shard.Shard
	id    raftlog.ShardID
	store *snapStore
	// route leads to the shard's leader, nil while none is known; alone says that
	// this node is the only voter. Both follow the group, see watchLeader.
	route atomic.Pointer[route]
	alone atomic.Bool
	// kicked wakes the shard's reconciler.
	kicked chan struct{}
	// full says that the last raft snapshot found no space.
	full atomic.Bool
	// archiver copies the log to the archive; nil: there is none.
	archiver *archiver
}

// leads says whether this node leads the shard and can evaluate.
func (s *openShard) leads() bool { return s.Group().Status().Leading }

// route is a leader of a shard. Requests that were sent to it end with ctx, which
// is when another one has taken its place.
type route struct {
	leader consensus.NodeID
	ctx    context.Context
	cancel context.CancelFunc
}

// join returns a context for one request that is sent along the route.
func (r *route) join(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil {
		return r.ctx, func() {}
	}
	joined, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.ctx, cancel)
	return joined, func() { stop(); cancel() }
}

// watchLeader keeps the shard's route up to date.
func (n *Node) watchLeader(ctx context.Context, s *openShard) {
	var last *route // to the last leader that was known
	for {
		changed := s.Group().LeaderChanged()
		st := s.Group().Status()
		s.alone.Store(len(st.Voters) == 1 && st.Voters[0] == st.ID)
		switch {
		case st.Leader == 0:
			// It may be the same one again, with what was sent to it.
			s.route.Store(nil)
		case last == nil || last.leader != st.Leader:
			r := &route{leader: st.Leader}
			r.ctx, r.cancel = context.WithCancel(n.ctx)
			s.route.Store(r)
			if last != nil {
				n.giveUpLater(last)
			}
			last = r
		default:
			s.route.Store(last)
		}
		kick(s.kicked)
		select {
		case <-changed:
		case <-s.Group().Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// giveUpLater ends the requests that were sent to one who does not lead any more.
func (n *Node) giveUpLater(old *route) {
	n.goes(func(ctx context.Context) {
		_ = pause(ctx, forwardGrace) // over, or the node closes
		old.cancel()
	})
}
