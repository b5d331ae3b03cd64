package consensus

import (
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// An election that does not wait for the election timeout: when the leader's
// process is known to be gone (its machine refuses connections to it), members
// forget it and campaign in turn, the one with the lowest id first. The others
// still have to agree, so a member that is wrong about the leader's death
// achieves nothing while a majority hears from it.

// Waiting times in ticks: for the others to notice as well, for each member that
// comes before this one, and between two tries.
const (
	eagerDelay  = 1
	eagerStep   = 3
	eagerTries  = 4
	eagerPeriod = 4
)

type eagerElection struct {
	wait  int // ticks; 0: nothing is planned
	tries int
	dead  deadLeader
}

// deadLeader is a leader whose process is gone. What it sent before may still be
// on its way, and must not bring it back: the members would wait for it again.
// For an election timeout at most; should it be alive after all it is heard then.
type deadLeader struct {
	id    NodeID
	ticks int
}

func (d *deadLeader) tick() {
	if d.ticks--; d.ticks <= 0 {
		*d = deadLeader{}
	}
}

// sent says whether m is a word of the dead leader as such: in a later term it
// would be one that was started again.
func (d *deadLeader) sent(m *pb.Message, term raftlog.Term) bool {
	return d.id != 0 && NodeID(m.GetFrom()) == d.id && m.GetTerm() <= uint64(term)
}

func (e *eagerElection) plan(rank int) {
	e.wait, e.tries = eagerDelay+rank*eagerStep, eagerTries
}

func (e *eagerElection) stop() { e.wait, e.tries = 0, 0 }

// tick says whether to campaign now.
func (e *eagerElection) tick() bool {
	if e.wait == 0 {
		return false
	}
	if e.wait--; e.wait > 0 {
		return false
	}
	if e.tries--; e.tries > 0 {
		e.wait = eagerPeriod
	}
	return true
}

// peerGone is told that a member's process does not exist any more.
func (c *core) peerGone(id NodeID) {
	if c.leading || c.lead != id || c.o.Lease || !c.isVoter(c.o.ID) {
		return
	}
	if err := c.rn.ForgetLeader(); err != nil {
		return
	}
	rank := 0
	for _, v := range c.conf.GetVoters() {
		if v < uint64(c.o.ID) && v != uint64(id) {
			rank++
		}
	}
	c.elect.plan(rank)
	c.elect.dead = deadLeader{id, c.o.ElectionTicks}
}

// transfer begins to hand the leadership to a voter.
func (c *core) transfer(to NodeID) {
	c.lease.block()
	c.rn.TransferLeader(uint64(to))
}
