package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
)

type transportKind = transport.CallKind

// mayLeadTimeout bounds the question whether a member could lead.
const mayLeadTimeout = 500 * time.Millisecond

// errNobodyElse says that no other member can take a leadership over.
var errNobodyElse = errors.New("no other member is able to take it")

// leadRequest asks a shard's leader to hand over.
type leadRequest struct {
	To uint64 `json:"to"` // zero: to any other
}

// askLead has the shard's leader hand over to a member, and returns when it has.
func (n *Node) askLead(ctx context.Context, s *openShard, to consensus.NodeID) error {
	payload, err := json.Marshal(leadRequest{uint64(to)})
	if err != nil {
		return fmt.Errorf("cluster: encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, n.leadTimeout())
	defer cancel()
	st := s.Group().Status()
	connected := n.connectedOf(st.Voters)
	if to == n.identity().node() && connected <= len(st.Voters)/2 {
		return fmt.Errorf("this node is connected with %s, itself counted: it cannot lead", ofVoters(connected, st.Voters))
	}
	_, err = n.askLeader(ctx, s.id, callLead, payload, func(ctx context.Context, payload []byte) ([]byte, error) {
		return nil, n.answerLead(ctx, s.id, payload)
	})
	if errors.Is(err, shard.ErrNotLeader) {
		st := s.Group().Status()
		return fmt.Errorf("no leader has answered within %v; this node is connected with %s, itself counted",
			min(n.o.Timeout, n.leadTimeout()), ofVoters(n.connectedOf(st.Voters), st.Voters))
	}
	return err
}

// leadTimeout bounds the wait for a leadership to be handed over: for an election, if
// one is under way, for the question whether the next leader is able, and for it to
// catch up and be elected.
func (n *Node) leadTimeout() time.Duration { return 4*n.electionTimeout() + mayLeadTimeout }

// connectedOf is how many of some members this node is connected with, itself
// counted if it is one.
func (n *Node) connectedOf(ids []consensus.NodeID) int {
	count := 0
	for _, id := range ids {
		if n.isConnected(id) {
			count++
		}
	}
	return count
}

func ofVoters(n int, voters []consensus.NodeID) string {
	return fmt.Sprintf("%d of the %d voters", n, len(voters))
}

// answerLead is askLead on the leader.
func (n *Node) answerLead(ctx context.Context, id raftlog.ShardID, payload []byte) error {
	var req leadRequest
	if err := json.Unmarshal(payload, &req); err != nil {
		return fmt.Errorf("ERR The request between nodes cannot be read: %w", err)
	}
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	n.holdBalance()
	return n.giveLead(ctx, s, consensus.NodeID(req.To))
}

// giveLead hands the leadership of a shard over to a member, zero: to the one that
// is furthest of those that can lead. Errors: errNobodyElse, shard.ErrNotLeader, and
// why it did not work.
func (n *Node) giveLead(ctx context.Context, s *openShard, to consensus.NodeID) error {
	self := n.identity().node()
	peers, err := s.Group().Progress(ctx)
	if err != nil {
		return leadError(err)
	}
	// Only the leader knows that nothing is to be done: what another node knows of
	// the leader may be old.
	if to == self {
		return nil
	}
	t := n.members()
	able := slices.DeleteFunc(peers, func(p consensus.Peer) bool {
		return p.Learner || p.ID == self || !t.wants(p.ID) || !n.isConnected(p.ID) || to != 0 && p.ID != to
	})
	slices.SortFunc(able, func(a, b consensus.Peer) int {
		return cmp.Or(boolFirst(a.Active, b.Active), cmp.Compare(b.Match, a.Match))
	})
	failed := errNobodyElse
	for _, p := range able {
		if err := n.askMayLead(ctx, s.id, p.ID); err != nil {
			failed = err
			continue
		}
		if err := s.Group().TransferLeader(ctx, p.ID); err != nil {
			if failed = leadError(err); ctx.Err() != nil || errors.Is(failed, shard.ErrNotLeader) {
				return failed
			}
			continue
		}
		n.o.Logger.Info("leadership handed over", "shard", s.id, "to", p.ID)
		return nil
	}
	return failed
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func leadError(err error) error {
	if errors.Is(err, consensus.ErrNotLeader) {
		return shard.ErrNotLeader
	}
	return err
}

func (n *Node) askMayLead(ctx context.Context, id raftlog.ShardID, to consensus.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, mayLeadTimeout)
	defer cancel()
	_, err := n.transport.Call(ctx, to, callMayLead, id, nil)
	if err != nil {
		return fmt.Errorf("node %d: %w", to, decodeError(err))
	}
	return nil
}

// mayLead answers it.
func (n *Node) mayLead(id raftlog.ShardID) error {
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	if err := s.Writable(); err != nil {
		return fmt.Errorf("it cannot write: %w", err)
	}
	if n.ctx.Err() != nil {
		return shard.ErrClosed
	}
	return nil
}
