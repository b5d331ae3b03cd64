package consensus

import (
	"math/rand/v2"
	"slices"
	"time"

	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A leader that is cut off together with one member, while the others have a majority
// and elect another one, is what the rule of confirm.go is about: the member asks, in
// the leader's own term, and the leader must not take the two of them for a majority.
// By chance that hardly comes about while somebody writes on the one side and reads on
// the other. So there are schedules in which it is brought about, with clients that do
// just that.

// strandShare: one in so many schedules has this fault.
const strandShare = 8

// planStrands chooses the schedules. It does so apart, so that the others are what
// they were before there was this fault.
func (p *simPlan) planStrands() {
	r := rand.New(rand.NewPCG(p.seed, 0x57a4d))
	if p.lease || r.IntN(strandShare) > 0 {
		return
	}
	p.strands = true
	if r.IntN(3) > 0 {
		p.nodeCount = 5
		return
	}
	// With three voters the member has to be a learner.
	p.nodeCount, p.joiners, p.members, p.keepLearners = 3, 2, 0.4, true
}

// strand cuts a leader and one member off from all others for a while.
func (w *world) strand(n *simNode) {
	o := w.companion(n)
	if o == nil {
		return
	}
	w.stats.Strandings++
	d := w.between(time.Second, 3*time.Second)
	w.log(n.id, "strand", uint64(o.id), uint64(d))
	var rest []*simNode
	noticed := w.chance(0.7)
	for _, x := range w.nodes {
		if x == n || x == o {
			continue
		}
		rest = append(rest, x)
		for _, l := range [][2]NodeID{{n.id, x.id}, {x.id, n.id}, {o.id, x.id}, {x.id, o.id}} {
			w.net.cut[l]++
			w.after(d, func() { w.net.cut[l]-- })
		}
		if noticed { // they elect before the leader knows that it is alone
			w.hint(x, n)
		}
	}
	w.visit(d, opSet, func() *simNode {
		i := slices.IndexFunc(rest, func(x *simNode) bool { return x.up && x.leads != 0 })
		if i < 0 {
			return nil
		}
		return rest[i]
	})
	w.visit(d, opGet, func() *simNode {
		if o.up {
			return o
		}
		return nil
	})
}

// companion chooses a member without which, and without the leader, the others have a
// majority: a learner if there is one.
func (w *world) companion(n *simNode) *simNode {
	var some []*simNode
	voters, learners := n.state.conf.GetVoters(), n.state.conf.GetLearners()
	for _, o := range w.nodes {
		if o == n || !o.up {
			continue
		}
		if slices.Contains(learners, uint64(o.id)) && len(voters)-1 > len(voters)/2 {
			return o
		}
		if slices.Contains(voters, uint64(o.id)) && len(voters)-2 > len(voters)/2 {
			some = append(some, o)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[w.r.IntN(len(some))]
}

// visitPatience is how long a visitor waits for an answer: those of the cut off side
// may get none.
const visitPatience = 200 * time.Millisecond

// visit has one more client do the same again and again, wherever at says.
func (w *world) visit(d time.Duration, kind simKind, at func() *simNode) {
	c := &simClient{w: w, id: len(w.clients), visits: kind, at: at, until: w.now + d}
	w.clients = append(w.clients, c)
	w.after(w.hop(), c.next)
}

func (c *simClient) visit() {
	w := c.w
	if w.now > c.until {
		return
	}
	n := c.at()
	if n == nil {
		w.after(10*time.Millisecond, c.next)
		return
	}
	c.send(&simOp{w: w, id: w.truth.nextOp(), client: c.id, key: w.r.IntN(simKeys), kind: c.visits}, n)
}

// lone looks at a member's request that the leader must not take for enough, and
// answers it all the same where that is the schedule's mistake.
func (n *simNode) lone(m *pb.Message) (answered bool) {
	c, w := n.core, n.w
	if m.GetType() != pb.MsgReadIndex || len(m.GetEntries()) != 1 || !c.leading || c.o.Lease ||
		raftlog.Term(m.GetLogTerm()) != c.term || c.confirms(m) {
		return false
	}
	commit, voters := c.rn.BasicStatus().GetCommit(), len(c.conf.GetVoters())
	if c.ready {
		w.stats.LoneRequests++
		if uint64(len(w.truth.entries)) > commit+1 {
			w.stats.Overtaken++ // somebody else has committed more
		}
	}
	switch w.mutant {
	case mutantLoneConfirm:
		answered = c.ready && isMember(c.conf, NodeID(m.GetFrom()))
	case mutantLearnerConfirm:
		answered = c.ready && slices.Contains(c.conf.GetLearners(), m.GetFrom()) && 2 > voters/2
	case mutantEarlyConfirm:
		answered = !c.ready && c.isVoter(NodeID(m.GetFrom())) && 2 > voters/2
	}
	if answered {
		c.answerRead(&readWait{member: NodeID(m.GetFrom()), context: m.GetEntries()[0].GetData()}, commit)
	}
	return answered
}
