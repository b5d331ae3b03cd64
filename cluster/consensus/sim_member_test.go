package consensus

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

// The membership changes one step at a time, as the reconciler of package cluster
// would have it: a new node becomes a learner and, when it has caught up, a voter; a
// node to be removed is removed, the leader too. A node that was removed learns it
// from any member that has applied its removal.

// changeMembers has whoever leads take one step.
func (w *world) changeMembers() {
	n := w.pick(true)
	if n == nil || n.leads == 0 {
		return
	}
	n.onCore(0, func() error {
		cc := n.memberChange()
		if cc == nil || !n.core.ready {
			return nil
		}
		w.log(n.id, "change members", uint64(cc.GetChanges()[0].GetType()), cc.GetChanges()[0].GetNodeId())
		p := &Proposal{Context: cc, done: make(chan error, 1)}
		n.changes = append(n.changes, p)
		return n.core.changeMembership(p, cc)
	})
}

func (n *simNode) memberChange() *pb.ConfChangeV2 {
	w := n.w
	voters, learners := n.state.conf.GetVoters(), n.state.conf.GetLearners()
	change := func(t pb.ConfChangeType, id uint64) *pb.ConfChangeV2 {
		return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: t.Enum(), NodeId: new(id)}}}
	}
	switch {
	case len(learners) > 0 && w.keepLearners && w.chance(0.9):
	case len(learners) > 0 && w.chance(0.8):
		id := learners[w.r.IntN(len(learners))]
		for _, p := range n.core.progress() {
			if uint64(p.ID) == id && (p.State == "replicate" || w.chance(0.05)) {
				return change(pb.ConfChangeAddNode, id)
			}
		}
	case len(learners) == 0 && w.joined < w.joiners && w.chance(0.7):
		w.joined++
		id := NodeID(w.nodeCount + w.joined)
		o := w.node(id)
		o.newDisk(nil)
		o.start()
		return change(pb.ConfChangeAddLearnerNode, uint64(id))
	case len(voters) > 2 || len(voters) == 2 && w.chance(0.3):
		if w.chance(0.3) {
			return change(pb.ConfChangeRemoveNode, voters[w.r.IntN(len(voters))])
		}
	}
	return nil
}

func (w *world) memberChangeDone(n *simNode, _ *Proposal, err error) {
	w.log(n.id, "members changed").note = errText(err)
}

// membersApplied follows the membership, which is the same on all nodes.
func (w *world) membersApplied(n *simNode) {
	if n.state.index <= w.truth.membersAt {
		return
	}
	w.truth.membersAt = n.state.index
	w.stats.ConfChange++
	for _, o := range w.nodes {
		is := isMember(n.state.conf, o.id)
		if o.member && !is {
			o.removedAt = n.state.index
		}
		o.member = is
	}
}

func isMember(cs *pb.ConfState, id NodeID) bool {
	return slices.Contains(cs.GetVoters(), uint64(id)) || slices.Contains(cs.GetLearners(), uint64(id))
}

// refuses says whether n takes nothing from a node because it knows that it was
// removed; it tells it so.
func (w *world) refuses(n *simNode, from NodeID) bool {
	o := w.node(from)
	if o == nil || o.removedAt == 0 || n.state.index < o.removedAt || w.healed == 0 && w.chance(0.2) {
		return false
	}
	w.after(w.travel(), func() {
		if o.removed || w.net.broken(n.id, from) {
			return
		}
		w.log(from, "removed")
		o.removed = true
		o.crash(loseNothing)
	})
	return true
}
