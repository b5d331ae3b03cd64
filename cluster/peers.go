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

	pb "go.etcd.io/raft/v3/raftpb"
)

// What members ask each other.
const (
	// callRun runs a request on the shard's leader, see SetExecutor.
	callRun transport.CallKind = 1
	// callTable asks shard 0's leader to change the members table: tableRequest.
	callTable transport.CallKind = 2
	// callLead hands leadership on: leadRequest, to the shard's leader.
	callLead transport.CallKind = 3
	// callMayLead asks whether the node could lead the shard: an error says why not.
	callMayLead transport.CallKind = 4
	// callViews asks how far the members are in the shards that the node leads: a
	// list of shardView. Any shard will do.
	callViews transport.CallKind = 5
	// callRoom asks whether the node has the space for a raft snapshot of the
	// shard: its size as a uvarint, answered by a byte, 1 for yes.
	callRoom transport.CallKind = 6
	// callMessages has messages to be delivered there, see Node.Publish. Any shard
	// will do; the answer is empty.
	callMessages transport.CallKind = 7
	// callMembers asks for the members table that the node has. Any shard will do.
	callMembers transport.CallKind = 8
)

// What nodes ask each other whether they are members or not.
const (
	adminProbe   = "probe"   // who are you: hello
	adminWelcome = "welcome" // be a member: welcome
)

var errNoShards = errors.New("cluster: the node has no shards at the moment")

// peerHandler is the side of a node that its transport sees.
type peerHandler struct{ n *Node }

var _ transport.Handler = (*peerHandler)(nil)

// Messages implements transport.Handler.
func (h *peerHandler) Messages(from consensus.NodeID, list []transport.Delivery) {
	for _, d := range list {
		s := h.n.Shard(d.Shard)
		if s == nil {
			continue
		}
		g := s.Group()
		for _, m := range d.Messages {
			// A raft snapshot comes by Snapshot, with its data.
			if m.GetFrom() == uint64(from) && m.GetType() != pb.MsgSnap {
				g.Offer(m)
			}
		}
	}
	// Only now: groups of one worker then share a round.
	for _, d := range list {
		if s := h.n.Shard(d.Shard); s != nil {
			s.Group().Wake()
		}
	}
}

// Call implements transport.Handler.
func (h *peerHandler) Call(ctx context.Context, from consensus.NodeID, kind transport.CallKind, id raftlog.ShardID, payload []byte) ([]byte, error) {
	answer, err := h.call(ctx, from, kind, id, payload)
	if err == nil && int64(len(answer)) > h.n.o.MaxCallBytes {
		err = fmt.Errorf("%w: %d bytes, the limit is %d", ErrAnswerTooLarge, len(answer), h.n.o.MaxCallBytes)
	}
	if err != nil {
		return nil, errors.New(encodeError(err))
	}
	return answer, nil
}

func (h *peerHandler) call(ctx context.Context, _ consensus.NodeID, kind transport.CallKind, id raftlog.ShardID, payload []byte) ([]byte, error) {
	n := h.n
	s := n.Shard(id)
	if s == nil {
		return nil, shard.ErrNotLeader
	}
	switch kind {
	case callRun:
		n.answering.Add(1)
		defer n.answering.Add(-1)
		n.lastCall.Store(time.Now().UnixNano())
		run := n.executor.Load()
		if run == nil || !s.Group().Status().Leading {
			return nil, shard.ErrNotLeader
		}
		return (*run)(ctx, id, payload)
	case callTable:
		return n.answerTable(ctx, payload)
	case callLead:
		return nil, n.answerLead(ctx, id, payload)
	case callMayLead:
		return nil, n.mayLead(id)
	case callViews:
		return n.answerViews()
	case callRoom:
		return n.answerRoom(id, payload)
	case callMessages:
		n.takeMessages(payload)
		return nil, nil
	case callMembers:
		return n.members().encode(), nil
	}
	return nil, fmt.Errorf("ERR Unknown request %d between nodes: do they run the same version?", kind)
}

// Admin implements transport.Handler.
func (h *peerHandler) Admin(ctx context.Context, method string, payload []byte) ([]byte, error) {
	switch method {
	case adminProbe:
		return h.n.hello().encode(), nil
	case adminWelcome:
		return nil, h.n.takeWelcome(ctx, payload)
	}
	return nil, fmt.Errorf("cluster: unknown request %q: do the nodes run the same version?", method)
}

// PeerUp implements transport.Handler.
func (h *peerHandler) PeerUp(id consensus.NodeID) {
	h.n.connected.Store(id, true)
	h.n.messagesUp(id)
	h.n.kickReconcilers()
}

// PeerDown implements transport.Handler.
func (h *peerHandler) PeerDown(id consensus.NodeID, refused bool) {
	n := h.n
	n.connected.Delete(id)
	n.messagesDown(id)
	set := n.shards.Load()
	if set == nil {
		return
	}
	for i := range *set {
		g := (*set)[i].Group()
		g.ReportUnreachable(id)
		if refused {
			g.PeerGone(id)
		}
	}
}

// Removed implements transport.Handler.
func (h *peerHandler) Removed(by consensus.NodeID) {
	h.n.o.Logger.Warn("this node was removed from the cluster", "told_by", by)
	kick(h.n.removed)
}

// Unknown implements transport.Handler.
func (h *peerHandler) Unknown(consensus.NodeID) { kick(h.n.strangers) }

// isConnected says whether messages to a member flow.
func (n *Node) isConnected(id consensus.NodeID) bool {
	_, ok := n.connected.Load(id)
	return ok || id == n.identity().node()
}

// kick makes sure that c's reader wakes up once more.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
