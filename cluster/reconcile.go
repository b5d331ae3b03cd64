package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"

	pb "go.etcd.io/raft/v3/raftpb"
)

// The reconciler of a shard runs on every node and acts on the shard's leader: it
// brings the group's configuration to what the members table says, one member and
// one step at a time. It keeps nothing of its own, so whoever leads next goes on.

const (
	reconcileInterval = 250 * time.Millisecond
	// reconcileTimeout bounds one step; it is tried again.
	reconcileTimeout = 10 * time.Second
	// caughtUpEntries is how many entries a learner may be behind to be made a
	// voter. A shard has one batch in flight, so one that follows is hardly behind.
	caughtUpEntries = 128
)

// stepKind is what is to be done to a group.
type stepKind int

const (
	stepNone stepKind = iota
	stepLearner
	stepPromote
	stepRemove
	stepHandOver // leadership, by a leader that is leaving
)

// nextStep returns what brings the group of peers closer to the table. commit is
// the leader's commit index.
//
// Invariant: a member is removed only when the table says that it is leaving or
// that it was removed, never because the table does not know it (yet).
func nextStep(t *memberTable, self consensus.NodeID, commit raftlog.Index, peers []consensus.Peer, connected func(consensus.NodeID) bool) (stepKind, consensus.NodeID) {
	goes := func(id consensus.NodeID) bool {
		m := t.find(id)
		return m != nil && m.Leaving || t.wasRemoved(id)
	}
	voters := 0
	for _, p := range peers {
		if p.Learner && goes(p.ID) {
			return stepRemove, p.ID
		}
		if !p.Learner {
			voters++
		}
	}
	for _, p := range peers {
		if p.Learner && t.wants(p.ID) && p.Active && p.State == "replicate" && p.Match+caughtUpEntries >= commit {
			return stepPromote, p.ID
		}
	}
	for _, p := range peers {
		if p.ID != self && !p.Learner && goes(p.ID) {
			return stepRemove, p.ID
		}
	}
	for _, p := range peers {
		if p.ID == self && goes(self) && voters > 1 {
			return stepHandOver, self
		}
	}
	for _, m := range t.Members {
		id := consensus.NodeID(m.ID)
		known := slices.ContainsFunc(peers, func(p consensus.Peer) bool { return p.ID == id })
		if !known && !m.Leaving && connected(id) {
			return stepLearner, id
		}
	}
	return stepNone, 0
}

// reconcile runs until the node closes or the shard stops.
func (n *Node) reconcile(ctx context.Context, s *openShard) {
	tick := time.NewTicker(reconcileInterval)
	defer tick.Stop()
	var warned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.Group().Done():
			return
		case <-tick.C:
		case <-s.kicked:
		}
		for s.leads() && n.hasWork(s) {
			again, err := n.reconcileOnce(ctx, s)
			if err != nil && ctx.Err() == nil && !passing(err) && time.Since(warned) > reconcileTimeout {
				n.o.Logger.Warn("the membership is not as it should be yet", "shard", s.id, "err", err)
				warned = time.Now()
			}
			if err != nil || !again {
				break
			}
		}
		n.releaseFollower(s)
	}
}

// passing says that an error is of a kind that goes away by itself.
func passing(err error) bool {
	return errors.Is(err, consensus.ErrNotLeader) || errors.Is(err, shard.ErrNotLeader) || errors.Is(err, consensus.ErrMembershipPending)
}

// kickReconcilers makes all shards' reconcilers look.
func (n *Node) kickReconcilers() {
	for i := range n.list() {
		kick(n.list()[i].kicked)
	}
}

// hasWork says whether there may be something to do, at no cost.
func (n *Node) hasWork(s *openShard) bool {
	t := n.table.Load()
	if t == nil {
		return s.id == 0
	}
	st := s.Group().Status()
	if len(st.Learners) > 0 || len(st.Voters) != len(t.Members) || n.remembersSent(s.id) {
		return true
	}
	for _, m := range t.Members {
		if m.Leaving || !slices.Contains(st.Voters, consensus.NodeID(m.ID)) {
			return true
		}
	}
	return false
}

// reconcileOnce does one step. again: another one may follow at once.
func (n *Node) reconcileOnce(ctx context.Context, s *openShard) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	if n.table.Load() == nil {
		// The first leader writes the first table.
		if err := n.updateTable(func(*memberTable) error { return nil }); err != nil {
			return false, err
		}
		kick(n.tableKick)
		return false, nil
	}
	// As of now: a leader that was told late must not bring back who was removed.
	t, err := n.currentTable(ctx)
	if err != nil {
		return false, err
	}
	peers, err := s.Group().Progress(ctx)
	if err != nil {
		return false, err
	}
	n.releaseSent(s.id, peers, s.Group().Status().Commit)
	if s.id == 0 {
		n.welcomeNew(t, peers)
		if again, err := n.finishRemovals(ctx, t); again || err != nil {
			return again, err
		}
	}
	kind, id := nextStep(t, n.identity().node(), s.Group().Status().Commit, peers, n.isConnected)
	if s.id == 0 && kind == stepRemove {
		if left, err := n.leftOthers(ctx, id); !left || err != nil {
			return false, err
		}
	}
	return kind != stepNone, n.step(ctx, s, kind, id)
}

// leftOthers says whether a member is in no shard but perhaps shard 0. It has to
// leave that one last: what it leads it can only hand over while it can read the
// members table, which is there.
func (n *Node) leftOthers(ctx context.Context, id consensus.NodeID) (bool, error) {
	for i := range n.list() {
		s := &n.list()[i]
		if s.id == 0 {
			continue
		}
		// What this node sees of the other shards may be old.
		if err := n.barrier(ctx, s); err != nil {
			return false, err
		}
		if st := s.Group().Status(); slices.Contains(st.Voters, id) || slices.Contains(st.Learners, id) {
			return false, nil
		}
	}
	return true, nil
}

func (n *Node) step(ctx context.Context, s *openShard, kind stepKind, id consensus.NodeID) error {
	var change pb.ConfChangeType
	switch kind {
	case stepNone:
		return nil
	case stepHandOver:
		return n.giveLead(ctx, s, 0)
	case stepLearner:
		change = pb.ConfChangeAddLearnerNode
	case stepPromote:
		change = pb.ConfChangeAddNode
	case stepRemove:
		change = pb.ConfChangeRemoveNode
	}
	n.o.Logger.Info("changing the membership", "shard", s.id, "node", id, "change", change)
	return s.Group().ChangeMembership(ctx, &pb.ConfChangeV2{
		Changes: []*pb.ConfChangeSingle{{Type: change.Enum(), NodeId: new(uint64(id))}},
	})
}

// finishRemovals takes members out of the table that no group has any more.
func (n *Node) finishRemovals(ctx context.Context, t *memberTable) (changed bool, err error) {
	for _, m := range t.Members {
		id := consensus.NodeID(m.ID)
		if !m.Leaving || !n.inNoShard(id) {
			continue
		}
		// What this node sees of the other shards may be old.
		for i := range n.list() {
			if err := n.barrier(ctx, &n.list()[i]); err != nil {
				return false, err
			}
		}
		if !n.inNoShard(id) {
			continue
		}
		err := n.updateTable(func(t *memberTable) error {
			if m := t.find(id); m == nil || !m.Leaving {
				return errUnchanged
			}
			t.drop(id)
			return nil
		})
		if err != nil {
			return false, err
		}
		n.o.Logger.Info("a member was removed", "node", id, "addr", m.PeerAddr)
		kick(n.tableKick)
		changed = true
	}
	return changed, nil
}

// welcomeNew tells new members that they are, until they show up.
func (n *Node) welcomeNew(t *memberTable, peers []consensus.Peer) {
	for _, m := range t.Members {
		id := consensus.NodeID(m.ID)
		known := slices.ContainsFunc(peers, func(p consensus.Peer) bool { return p.ID == id })
		if m.Leaving || known || n.isConnected(id) {
			continue
		}
		if _, running := n.welcoming.LoadOrStore(id, true); running {
			continue
		}
		w := welcome{
			ClusterID: n.identity().ClusterID, NodeID: m.ID, Incarnation: m.Incarnation,
			Shards: n.identity().Shards, Table: *t,
		}
		n.goes(func(ctx context.Context) {
			defer n.welcoming.Delete(id)
			if err := n.sendWelcome(ctx, m.PeerAddr, w); err != nil && ctx.Err() == nil {
				n.o.Logger.Warn("a new member cannot be told", "node", id, "addr", m.PeerAddr, "err", err)
				// The reconciler tries again; not too often.
				_ = pause(ctx, time.Second)
			}
		})
	}
}

func (n *Node) sendWelcome(ctx context.Context, addr string, w welcome) error {
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	_, err = n.transport.Admin(ctx, addr, adminWelcome, data)
	return err
}
