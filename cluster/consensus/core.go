package consensus

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Bounds of a group. The number of proposals is bounded by the shard, which
// has one in flight, and by membership changes, which come one at a time.
const (
	maxSizePerMsg    = 1 << 20
	maxInflightMsgs  = 256
	maxInflightBytes = 32 << 20 // half of what a peer's queue takes
	maxCommittedSize = math.MaxUint64
)

// core is a group without goroutines or clocks of its own: whoever owns it feeds
// it events one at a time (tick, step, propose, read ...) and calls settle after
// each. So a test can run a whole cluster on one goroutine and replay it.
type core struct {
	o  Options
	rn *raft.RawNode

	pending pending
	reads   readQueue
	elect   eagerElection
	lease   lease
	heard   heard
	brief   bool // see storage
	heavy   heavy
	// beat is called while work is heavy.
	beat func()
	// unapplied is how many bytes of entries this node has appended since it was
	// started and not applied: raft reads them back.
	unapplied int64
	// young counts down the ticks for which a member that was just started does
	// not vote: see lease.
	young int

	term    raftlog.Term
	lead    NodeID
	leading bool // raft says leader
	ready   bool // StateMachine.Leading was called for this term
	applied raftlog.Index
	conf    *pb.ConfState
	// leaving is where the log has the removal of this leader, until that is
	// applied; zero: nowhere. Nothing is proposed behind it: this node will not
	// lead again, and with a longer log than the others it would not let them.
	leaving raftlog.Index
	// published is the conf that the group's status shows.
	published *pb.ConfState
	// unresolved counts the ticks since leadership was lost with proposals in the
	// log, whose fate the next leader decides.
	unresolved int
	// pause waits a little for space on the disk; false: stop waiting.
	pause func() bool
	// withheld are the last messages to members where those were left out: see spared.
	withheld []*pb.Message
	// out and late are reused: messages that may go before an append, and those
	// that promise what it writes.
	out, late []*pb.Message
	// rd is what raft has asked for, between begin and conclude.
	rd raft.Ready

	counters Counters
}

// Counters of a group since it was started.
type Counters struct {
	Proposals     uint64 // taken into the log by this node
	LeaderChanges uint64 // seen by this node
	ReadRounds    uint64 // read index requests
	Refused       uint64 // messages with entries refused for lack of disk space
}

func newCore(o Options) (*core, error) {
	hs, cs, err := o.Log.InitialState()
	if err != nil {
		return nil, fmt.Errorf("consensus: read initial state: %w", err)
	}
	if o.ConfState != nil {
		cs = o.ConfState
	}
	c := &core{
		o: o, conf: raftConfState(cs),
		applied: o.Applied, term: raftlog.Term(hs.GetTerm()),
		pause: func() bool { return false },
		beat:  func() {},
	}
	if c.rn, err = o.rawNode(o.Applied, cs, &c.brief); err != nil {
		return nil, err
	}
	c.reads.init(o.Seed)
	if o.Lease {
		c.young = o.ElectionTicks
	}
	return c, nil
}

// storage is the log with the membership that belongs to the applied index: the
// state machine keeps it with its data, so both are of one moment after a crash.
type storage struct {
	Log
	conf  *pb.ConfState
	brief *bool // no large messages now
}

func (s storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	hs, _, err := s.Log.InitialState()
	return hs, s.conf, err
}

func raftConfState(cs *pb.ConfState) *pb.ConfState {
	if cs == nil {
		return &pb.ConfState{}
	}
	return cs
}

// alone says whether this node is the only voter.
func (c *core) alone() bool {
	v := c.conf.GetVoters()
	return len(v) == 1 && v[0] == uint64(c.o.ID)
}

// solitary says whether there is nobody else to have seen what was committed:
// no learner either.
func (c *core) solitary() bool { return c.alone() && len(c.conf.GetLearners()) == 0 }

func (c *core) isVoter(id NodeID) bool {
	for _, v := range c.conf.GetVoters() {
		if v == uint64(id) {
			return true
		}
	}
	return false
}

// tick passes one TickInterval.
func (c *core) tick() {
	c.rn.Tick()
	c.heard.tick()
	c.young = max(c.young-1, 0)
	c.elect.dead.tick()
	if c.reads.tick(c.o.ElectionTicks) {
		c.startRead()
	}
	if c.elect.tick() && c.lead == 0 && !c.leading {
		// An error means that this node may not campaign: then it need not.
		_ = c.rn.Campaign()
	}
	if !c.leading && !c.pending.empty() {
		if c.unresolved++; c.unresolved > 2*c.o.ElectionTicks {
			c.pending.failAll(ErrUncertain)
		}
	}
}

// step takes a peer's message.
func (c *core) step(m *pb.Message) {
	switch m.GetType() {
	case pb.MsgProp, pb.MsgTransferLeader:
		return // nobody may do that from afar
	case pb.MsgVote, pb.MsgPreVote:
		if c.young > 0 {
			return
		}
	case pb.MsgReadIndex:
		if c.leading {
			c.readFor(m)
			return
		}
	case pb.MsgHeartbeatResp:
		if c.leading && m.GetTerm() == uint64(c.term) {
			c.stepHeard(m)
			return
		}
	case pb.MsgHeartbeat:
		if c.elect.dead.sent(m, c.term) {
			return
		}
	case pb.MsgApp:
		if c.elect.dead.sent(m, c.term) {
			return
		}
		if n := entryBytes(m.GetEntries()); n > 0 && m.GetTerm() >= uint64(c.term) {
			if err := c.o.Admit(n); err != nil {
				c.counters.Refused++
				return
			}
		}
	}
	// What raft refuses is out of date or not meant for this node.
	_ = c.rn.Step(m)
}

func entryBytes(entries []*pb.Entry) (n int64) {
	for _, e := range entries {
		n += int64(len(e.GetData()))
	}
	return n
}

// propose steps one proposal into raft, or refuses it. Raft appends it at the
// index after the log's last one: the log is complete whenever this runs, since
// settle is called after every event.
func (c *core) propose(p *Proposal) error {
	switch {
	case !c.leading || c.leaving != 0:
		p.finish(ErrNotLeader)
		return nil
	case p.Term != c.term:
		p.finish(ErrTermChanged)
		return nil
	}
	return c.enter(p, func() error { return c.rn.Propose(p.Data) })
}

// changeMembership is propose for a change of the membership.
func (c *core) changeMembership(p *Proposal, cc *pb.ConfChangeV2) error {
	if !c.ready || c.leaving != 0 {
		p.finish(ErrNotLeader)
		return nil
	}
	p.Term = c.term
	return c.enter(p, func() error {
		err := c.rn.ProposeConfChange(cc)
		if err == nil && removes(cc, c.o.ID) {
			c.leaving = p.index
		}
		return err
	})
}

func removes(cc *pb.ConfChangeV2, id NodeID) bool {
	for _, ch := range cc.GetChanges() {
		if ch.GetNodeId() == uint64(id) && ch.GetType() != pb.ConfChangeAddNode {
			return true
		}
	}
	return false
}

func (c *core) enter(p *Proposal, step func() error) error {
	last, err := c.o.Log.LastIndex()
	if err != nil {
		p.finish(ErrStopped)
		return fmt.Errorf("consensus: last index: %w", err)
	}
	p.setIndex(raftlog.Index(last) + 1)
	if err := step(); err != nil {
		// Raft refuses before it appends (no leader, leadership transfer).
		p.finish(ErrNotLeader)
		return nil
	}
	c.counters.Proposals++
	c.pending.push(p)
	return nil
}

// settle does all that raft asks for. It must run after every event.
func (c *core) settle() error {
	for c.rn.HasReady() {
		if err := c.handleReady(); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) beginHeavy(bytes int64) {
	c.heavy.begin(bytes, time.Duration(c.o.HeartbeatTicks)*c.o.TickInterval, c.beat)
}

// sort parts messages into those that may leave at once and those that must wait
// until what they promise is on disk.
func (c *core) sort(rd raft.Ready) {
	c.out, c.late = c.out[:0], c.late[:0]
	// A leader that removes itself must tell the others that it is done: they
	// would go on asking for its vote.
	spare := c.leading && !changesMembers(rd.CommittedEntries) && c.o.MoreSoon()
	for _, m := range rd.Messages {
		switch m.GetType() {
		case pb.MsgApp:
			if !c.spared(m, spare) {
				c.out = append(c.out, m)
			}
		case pb.MsgHeartbeat:
			c.reads.beat = m.GetContext()
			c.out = append(c.out, m)
		case pb.MsgReadIndex:
			c.stamp(m)
			c.out = append(c.out, m)
		case pb.MsgSnap, pb.MsgReadIndexResp:
			c.out = append(c.out, m)
		default:
			c.late = append(c.late, m)
		}
	}
}

// spared says whether a message can be left out. Raft tells the members of each
// commit in a message of its own, and each answers; but the next entries say the
// same, and so does every heartbeat. It never leaves two out in a row, since an
// empty message may be there for another reason: to find out what a member has.
func (c *core) spared(m *pb.Message, may bool) bool {
	was := c.takeWithheld(m.GetTo())
	if len(m.GetEntries()) == 0 && was == nil && may {
		c.withheld = append(c.withheld, m)
		return true
	}
	return false
}

// takeWithheld returns the last message to a member if it was left out, once.
func (c *core) takeWithheld(to uint64) *pb.Message {
	i := slices.IndexFunc(c.withheld, func(m *pb.Message) bool { return m.GetTo() == to })
	if i < 0 {
		return nil
	}
	m := c.withheld[i]
	c.withheld = slices.Delete(c.withheld, i, i+1)
	return m
}

// append writes what a Ready has for the log. On a full disk it waits: the node
// is like one that is cut off, and goes on when there is space.
func (c *core) append(rd raft.Ready) error {
	for {
		err := c.o.Log.Append(rd.HardState, rd.Entries, rd.MustSync)
		if !errors.Is(err, engine.ErrNoSpace) {
			c.unapplied += entryBytes(rd.Entries)
			return err
		}
		c.heavy.end() // it may take for ever
		if !c.pause() {
			return err
		}
	}
}

// observe follows changes of term and role.
func (c *core) observe(rd raft.Ready) {
	if !raft.IsEmptyHardState(rd.HardState) {
		c.term = raftlog.Term(rd.HardState.GetTerm())
	}
	if rd.SoftState == nil {
		return
	}
	leading := rd.SoftState.RaftState == raft.StateLeader
	lead := NodeID(rd.SoftState.Lead)
	if lead != c.lead {
		c.lead = lead
		c.counters.LeaderChanges++
		if lead != 0 {
			c.elect.stop()
			c.reads.hurry() // what was asked of the last one may be lost
		}
	}
	c.lease.unblock()
	if c.leading && !leading {
		// Proposals that are in the log stay pending: if the next leader has them
		// they are applied, if not another entry takes their place.
		c.unresolved = 0
		c.o.StateMachine.Following(lead)
	}
	c.leading, c.ready, c.leaving, c.withheld = leading, false, 0, nil
}
