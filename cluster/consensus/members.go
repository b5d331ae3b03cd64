package consensus

import (
	"context"
	"slices"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Peer is how far a member has got, as its leader knows.
type Peer struct {
	ID              NodeID
	Match, Next     raftlog.Index
	State           string // probe, replicate, snapshot
	Active          bool   // heard from within an election timeout
	Learner         bool
	PendingSnapshot raftlog.Index
}

// Progress returns the members' progress in ascending order of their ids, this
// node included. Errors: ErrNotLeader, ErrStopped, ctx's.
func (g *Group) Progress(ctx context.Context) (peers []Peer, err error) {
	done := make(chan struct{})
	var failed error
	err = g.do(ctx, func(c *core) error {
		defer close(done)
		if !c.leading {
			failed = ErrNotLeader
			return nil
		}
		peers = c.progress()
		return nil
	})
	if err != nil {
		return nil, err
	}
	<-done
	return peers, failed
}

func (c *core) progress() []Peer {
	var peers []Peer
	c.rn.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		p := Peer{
			ID: NodeID(id), Match: raftlog.Index(pr.Match), Next: raftlog.Index(pr.Next),
			Active: pr.RecentActive, Learner: typ == raft.ProgressTypeLearner,
			PendingSnapshot: raftlog.Index(pr.PendingSnapshot),
		}
		switch pr.State {
		case tracker.StateProbe:
			p.State = "probe"
		case tracker.StateReplicate:
			p.State = "replicate"
		case tracker.StateSnapshot:
			p.State = "snapshot"
		}
		if p.ID == c.o.ID {
			p.Active = true
		}
		peers = append(peers, p)
	})
	slices.SortFunc(peers, func(a, b Peer) int { return int(int64(a.ID) - int64(b.ID)) })
	return peers
}

func nodeIDs(ids []uint64) []NodeID {
	out := make([]NodeID, len(ids))
	for i, id := range ids {
		out[i] = NodeID(id)
	}
	slices.Sort(out)
	return out
}
