package consensus

import (
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A leader that is asked for a read index must know that nobody leads in a later term.
// Raft asks all members, and counts those that answer in the leader's term. A member's
// own read index request says as much as such an answer: the member, too, was in its
// term at a moment after the reads came that the request is for. So a request counts as
// an answer where it is enough: where the leader and the member are a majority.
//
// Why that is right, however late the request comes, is in docs/adr/0024-shared-rounds.md.

// stamp writes into this node's read index request, which raft leaves without a term,
// which one the node is in. It was made after the reads came. One that is passed on is
// the asking member's, and keeps what that has written.
func (c *core) stamp(m *pb.Message) {
	if NodeID(m.GetFrom()) == c.o.ID {
		m.LogTerm = new(uint64(c.term))
	}
}

// confirms says whether a member's read index request itself confirms that this node
// leads, so that nobody need be asked.
//
// With leases it is not enough, since a round renews them.
func (c *core) confirms(m *pb.Message) bool {
	if c.o.Lease || !c.ready || raftlog.Term(m.GetLogTerm()) != c.term {
		return false
	}
	most := func(voters []uint64) bool {
		n := 0
		for _, v := range voters {
			if v == uint64(c.o.ID) || v == m.GetFrom() {
				n++
			}
		}
		return n > len(voters)/2
	}
	outgoing := c.conf.GetVotersOutgoing() // of a joint membership
	return most(c.conf.GetVoters()) && (len(outgoing) == 0 || most(outgoing))
}
