package consensus

import "dkv/cluster/raftlog"

// Status is a moment's view of a group.
type Status struct {
	ID      NodeID
	Leader  NodeID // zero when unknown
	Term    raftlog.Term
	Commit  raftlog.Index
	Applied raftlog.Index
	Leading bool // leads, and has applied an entry of its term
	// Voters and Learners are the members as of Applied, in ascending order. The
	// slices are shared.
	Voters, Learners []NodeID
	Counters         Counters
	Inbox            int    // messages that wait
	Dropped          uint64 // messages dropped because too many waited
}

// Status returns the latest published view.
func (g *Group) Status() Status {
	st := *g.status.Load()
	st.Inbox, st.Dropped = len(g.inbox), g.dropped.Load()
	return st
}

// LeaderChanged returns a channel that is closed when Status.Leader, Leading or
// the members next change.
func (g *Group) LeaderChanged() <-chan struct{} {
	g.changed.Lock()
	defer g.changed.Unlock()
	return g.changed.c
}

// publish makes Status show what has changed.
func (g *Group) publish() {
	c := g.c
	b := c.rn.BasicStatus()
	old := g.status.Load()
	leader, sameMembers := NodeID(b.Lead), old != nil && c.published == c.conf
	if sameMembers && old.Leader == leader && old.Leading == c.ready && old.Applied == c.applied &&
		uint64(old.Commit) == b.GetCommit() && uint64(old.Term) == b.GetTerm() && old.Counters == c.counters {
		return
	}
	st := &Status{
		ID:       g.o.ID,
		Leader:   leader,
		Term:     raftlog.Term(b.GetTerm()),
		Commit:   raftlog.Index(b.GetCommit()),
		Applied:  c.applied,
		Leading:  c.ready,
		Counters: c.counters,
	}
	if sameMembers {
		st.Voters, st.Learners = old.Voters, old.Learners
	} else {
		st.Voters, st.Learners = nodeIDs(c.conf.GetVoters()), nodeIDs(c.conf.GetLearners())
		c.published = c.conf
	}
	g.fast.Store(c.ready && c.solitary())
	g.status.Store(st)
	if old != nil && (old.Leader != st.Leader || old.Leading != st.Leading || !sameMembers) {
		g.changed.Lock()
		defer g.changed.Unlock()
		close(g.changed.c)
		g.changed.c = make(chan struct{})
	}
}
