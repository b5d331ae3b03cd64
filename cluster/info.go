package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
)

// progressTimeout bounds how long Members waits for what the leaders know.
const progressTimeout = 200 * time.Millisecond

// Member is a node of the cluster as this one sees it.
type Member struct {
	ID          consensus.NodeID
	PeerAddr    string
	ClientAddr  string // empty when not known
	Incarnation string
	// State is "voter", "learner" (catching up in some shard), "joining" (added,
	// in no shard yet) or "leaving".
	State     string
	Self      bool
	Connected bool // Self, or there is a connection to it
	// Shards has one element a shard.
	Shards []MemberShard
}

// MemberShard is a member's place in one shard.
type MemberShard struct {
	Leader  bool
	Voter   bool
	Learner bool
	// Term is the one in which the shard's leader leads, for a node that has no
	// word from it its own; zero: not known.
	Term raftlog.Term
	// Known says that Match is: only the shard's leader knows it of the others,
	// and each node of itself. LagKnown says the same of Lag.
	Known, LagKnown bool
	// Match is the last log index that the member is known to have, Lag how many
	// entries that is behind the commit index. What a node says of itself is what
	// it has applied, and its lag behind what it knows to be committed.
	Match raftlog.Index
	Lag   uint64
	// Progress is raft's word for how entries are sent to it: probe, replicate,
	// snapshot. Empty for a node's own.
	Progress string
}

// Info is the state of the cluster as CLUSTER INFO tells it.
type Info struct {
	Enabled bool // the node has a peer address
	// OK says that every shard has a leader that this node knows.
	OK bool
	// State is "ready", or why the node serves nothing: "forming", "joining",
	// "creating", "removed".
	State     string
	Reason    string // the reply to requests while State is not "ready"
	ClusterID string
	Self      consensus.NodeID
	Shards    int
	Members   int
	Voters    int // members that vote in every shard
	Led       int // shards that this node leads
	// Term is the sum of the shards' terms: a number that grows with each election.
	Term uint64
	// TableVersion counts the changes of the membership.
	TableVersion uint64
	// Changes are the membership changes that are under way, in words.
	Changes []string
}

// Members lists the cluster's nodes by id, as this node knows them without asking
// anybody; none while the node is of no cluster. See Survey.
func (n *Node) Members() []Member {
	list, id := n.list(), n.identity()
	if len(list) == 0 {
		return nil
	}
	t := n.members()
	members := make([]Member, len(t.Members))
	for i, m := range t.Members {
		members[i] = Member{
			ID: consensus.NodeID(m.ID), PeerAddr: m.PeerAddr, ClientAddr: m.ClientAddr, Incarnation: m.Incarnation,
			Self: m.ID == id.NodeID, Connected: n.isConnected(consensus.NodeID(m.ID)),
			Shards: make([]MemberShard, len(list)),
		}
	}
	for i := range list {
		n.places(&list[i], members)
	}
	for i := range members {
		members[i].State = stateOf(&members[i], t.Members[i].Leaving)
	}
	return members
}

// places fills in the members' places in one shard.
func (n *Node) places(s *openShard, members []Member) {
	st := s.Group().Status()
	var peers []consensus.Peer
	if st.Leading && len(members) > 1 {
		ctx, cancel := context.WithTimeout(n.ctx, progressTimeout)
		peers, _ = s.Group().Progress(ctx) // none: not known
		cancel()
	}
	for i := range members {
		m := &members[i]
		at := &m.Shards[s.id]
		at.Leader = st.Leader == m.ID
		at.Voter = slices.Contains(st.Voters, m.ID)
		at.Learner = slices.Contains(st.Learners, m.ID)
		if m.Self {
			at.Term, at.Known, at.LagKnown = st.Term, true, true
			at.Match, at.Lag = st.Applied, uint64(st.Commit-min(st.Commit, st.Applied))
			continue
		}
		for _, p := range peers {
			if p.ID == m.ID {
				at.Term, at.Known, at.LagKnown = st.Term, true, true
				at.Match, at.Lag, at.Progress = p.Match, uint64(st.Commit-min(st.Commit, p.Match)), p.State
			}
		}
	}
}

func stateOf(m *Member, leaving bool) string {
	voter, learner := true, false
	for _, at := range m.Shards {
		voter = voter && at.Voter
		learner = learner || at.Learner || at.Voter
	}
	switch {
	case leaving:
		return "leaving"
	case voter:
		return "voter"
	case learner:
		return "learner"
	}
	return "joining"
}

// Leader returns the leader of a shard as far as this node knows.
func (n *Node) Leader(id raftlog.ShardID) (Member, bool) {
	s, err := n.serving(id)
	if err != nil {
		return Member{}, false
	}
	m := n.members().find(s.Group().Status().Leader)
	if m == nil {
		return Member{}, false
	}
	return Member{
		ID: consensus.NodeID(m.ID), PeerAddr: m.PeerAddr, ClientAddr: m.ClientAddr, Incarnation: m.Incarnation,
		Self: m.ID == n.identity().NodeID, Connected: n.isConnected(consensus.NodeID(m.ID)),
	}, true
}

// ClusterInfo returns the state of the cluster.
func (n *Node) ClusterInfo() Info {
	id, list := n.identity(), n.list()
	info := Info{
		Enabled: n.o.PeerAddr != "", State: id.State, ClusterID: id.ClusterID, Self: id.node(), Shards: n.Shards(),
		OK: len(list) > 0,
	}
	if len(list) == 0 {
		info.Reason = (*n.down.Load()).Error()
		return info
	}
	for i := range list {
		st := list[i].Group().Status()
		info.Term += uint64(st.Term)
		info.OK = info.OK && st.Leader != 0
		if st.Leading {
			info.Led++
		}
	}
	t := n.members()
	info.Members, info.TableVersion = len(t.Members), t.Version
	for _, m := range t.Members {
		switch {
		case m.Leaving:
			info.Changes = append(info.Changes, fmt.Sprintf("removing node %d (%s)", m.ID, m.PeerAddr))
		case n.votesEverywhere(consensus.NodeID(m.ID)):
			info.Voters++
		default:
			info.Changes = append(info.Changes, fmt.Sprintf("adding node %d (%s)", m.ID, m.PeerAddr))
		}
	}
	return info
}
