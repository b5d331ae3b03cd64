package consensus

import (
	"errors"
	"slices"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// What the simulation found, each as a case of its own.

// sentBy collects what a core sends.
type sentBy struct{ msgs []*pb.Message }

func (s *sentBy) Send(msgs []*pb.Message) { s.msgs = append(s.msgs, msgs...) }

func (s *sentBy) count(t pb.MessageType) (n int) {
	for _, m := range s.msgs {
		if m.GetType() == t {
			n++
		}
	}
	return n
}

func newTestCore(t *testing.T, o Options, voters ...uint64) (*core, *sentBy) {
	t.Helper()
	sent := &sentBy{}
	o.ID, o.Log, o.StateMachine, o.Transport, o.Applied = 1, newMemLog(t, voters...), newRecorder(), sent, 1
	c, err := newCore(o.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return c, sent
}

func (c *core) mustSettle(t *testing.T) {
	t.Helper()
	if err := c.settle(); err != nil {
		t.Fatal(err)
	}
}

// A member that was started anew does not know that it has confirmed a leader a
// moment ago. With leases on it must not help to elect another one.
func TestLeaseSurvivesAMembersRestart(t *testing.T) {
	vote := func() *pb.Message {
		return &pb.Message{
			Type: pb.MsgPreVote.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(5)),
			Index: new(uint64(9)), LogTerm: new(uint64(4)),
		}
	}
	for _, lease := range []bool{false, true} {
		c, sent := newTestCore(t, Options{Lease: lease}, 1, 2, 3)
		c.step(vote())
		c.mustSettle(t)
		if answered := sent.count(pb.MsgPreVoteResp) > 0; answered == lease {
			t.Fatalf("lease %v: answered right after the start: %v", lease, answered)
		}
		for range c.o.ElectionTicks {
			c.tick()
		}
		sent.msgs = nil
		c.step(vote())
		c.mustSettle(t)
		if sent.count(pb.MsgPreVoteResp) == 0 {
			t.Fatalf("lease %v: no answer an election timeout later", lease)
		}
	}
}

// The message that asks a member to campaign at once may come at any later time.
func TestNoLeaseAfterATransferInTheTerm(t *testing.T) {
	var l lease
	now := time.Now()
	l.renew(now, time.Second)
	if !l.valid(now) {
		t.Fatal("no lease")
	}
	l.block()
	l.renew(now.Add(time.Hour), time.Second)
	if l.valid(now) || l.valid(now.Add(time.Hour)) {
		t.Fatal("a lease after a transfer began")
	}
	l.unblock()
	l.renew(now, time.Second)
	if !l.valid(now) {
		t.Fatal("no lease in another term")
	}
}

// A read whose index is reached by a raft snapshot, and not by an entry, is served.
func TestReadIsServedByARaftSnapshot(t *testing.T) {
	c, _ := newTestCore(t, Options{}, 1, 2, 3)
	w := &readWait{index: 7, done: make(chan error, 1)}
	c.reads.ready = append(c.reads.ready, w)
	snap := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: new(uint64(7)), Term: new(uint64(1)), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}},
	}}
	if err := c.restore(snap); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-w.done:
		if err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatal("the read still waits")
	}
}

// pair makes a group of two in which node 1 leads.
func pair(t *testing.T) *world {
	w := &world{}
	w.plan(1, mutantNone)
	w.truth.init(w)
	w.healed = 1 // without faults
	w.lease, w.flushRate, w.electionTicks = false, 0, 6
	w.net.loss, w.net.slow = 0, 0
	for id := range NodeID(2) {
		n := &simNode{w: w, id: id + 1, rate: 1, member: true}
		w.nodes = append(w.nodes, n)
		n.newDisk([]uint64{1, 2})
	}
	for _, n := range w.nodes {
		n.start()
	}
	w.nodes[0].onCore(0, func() error { return w.nodes[0].core.rn.Campaign() })
	w.run(2 * time.Second)
	if w.nodes[0].leads == 0 {
		t.Fatalf("node 1 does not lead: %s\n%s", w.failed, w.tail(50))
	}
	return w
}

func (w *world) closeLogs() {
	w.ended = true
	for _, n := range w.nodes {
		if n.log != nil {
			n.disk.off = true
			_ = n.log.Close()
		}
	}
}

func removal(id uint64) *pb.ConfChangeV2 {
	return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(id)}}}
}

// Where one of two is removed, the other one goes on alone, also when its machine
// stops at that moment. So it must not forget that the removal is committed.
func TestLastMemberSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, 1)
		w := pair(t)
		defer w.closeLogs()
		one, two := w.nodes[0], w.nodes[1]
		one.onCore(0, func() error {
			p := &Proposal{done: make(chan error, 1)}
			return one.core.changeMembership(p, removal(2))
		})
		for range 1000 {
			if w.run(w.now + time.Millisecond); len(one.state.conf.GetVoters()) == 1 {
				break
			}
		}
		two.removed = true
		two.crash(loseAll)
		one.crash(loseAll)
		w.run(w.now + 5*time.Second)
		if w.failed != "" || one.leads == 0 {
			t.Fatalf("node 1 does not lead alone: %s\n%s", w.failed, w.tail(50))
		}
	})
}

// A leader that is to be removed proposes nothing behind that: with the longer log
// it would keep the others from electing anybody.
func TestLeaderThatLeavesProposesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, 1)
		w := pair(t)
		defer w.closeLogs()
		one, two := w.nodes[0], w.nodes[1]
		var last raftlog.Index
		one.onCore(0, func() error {
			if err := one.core.changeMembership(&Proposal{done: make(chan error, 1)}, removal(1)); err != nil {
				return err
			}
			last = one.core.leaving
			p := &Proposal{Term: one.core.term, Data: encodeSimBatch(nil, 0), done: make(chan error, 1)}
			if err := one.core.propose(p); err != nil {
				return err
			}
			select {
			case err := <-p.done:
				if !errors.Is(err, ErrNotLeader) {
					t.Errorf("a proposal behind the removal: %v", err)
				}
			default:
				t.Error("a proposal was taken behind the removal")
			}
			return nil
		})
		w.run(w.now + 5*time.Second)
		if last == 0 || w.failed != "" || two.leads == 0 {
			t.Fatalf("node 2 does not lead alone: %s\n%s", w.failed, w.tail(50))
		}
	})
}

// The words of a leader that is gone may arrive after the news of its death. They
// must not make a member wait for it again, but a later term's must be heard.
func TestLastWordsOfADeadLeader(t *testing.T) {
	heartbeat := func(term uint64) *pb.Message {
		return &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(term)}
	}
	c, sent := newTestCore(t, Options{}, 1, 2, 3)
	c.step(heartbeat(5))
	c.mustSettle(t)
	if c.lead != 2 {
		t.Fatalf("the leader is %d, want 2", c.lead)
	}
	c.peerGone(2)
	c.mustSettle(t)
	c.step(heartbeat(5))
	c.mustSettle(t)
	if c.lead != 0 {
		t.Fatalf("a dead leader leads again: %d", c.lead)
	}
	for range eagerDelay {
		c.tick()
		c.mustSettle(t)
	}
	if sent.count(pb.MsgPreVote) == 0 {
		t.Fatal("no election")
	}
	c.step(heartbeat(6))
	c.mustSettle(t)
	if c.lead != 2 {
		t.Fatalf("the leader of a later term is not heard: %d", c.lead)
	}
}

// The news of a commit is left out once when a proposal is about to come, and not
// twice in a row.
func TestCommitGoesAlong(t *testing.T) {
	c, _ := newTestCore(t, Options{}, 1, 2, 3)
	empty := &pb.Message{Type: pb.MsgApp.Enum(), To: new(uint64(2))}
	full := &pb.Message{Type: pb.MsgApp.Enum(), To: new(uint64(2)), Entries: []*pb.Entry{{}}}
	for i, step := range []struct {
		m           *pb.Message
		may, spared bool
	}{{empty, false, false}, {empty, true, true}, {empty, true, false}, {empty, true, true}, {full, true, false}, {empty, true, true}} {
		if got := c.spared(step.m, step.may); got != step.spared {
			t.Errorf("step %d: spared %v", i, got)
		}
	}
}

// A member that lacks entries answers thousands of heartbeats at once, before it
// says what it has. The leader does not send it a megabyte for each.
func TestAnswersOfALateMemberCostLittle(t *testing.T) {
	c, sent := newTestCore(t, Options{}, 1, 2, 3)
	if err := c.rn.Campaign(); err != nil {
		t.Fatal(err)
	}
	c.mustSettle(t)
	for _, answer := range []pb.MessageType{pb.MsgPreVoteResp, pb.MsgVoteResp} {
		term := sent.msgs[len(sent.msgs)-1].GetTerm()
		c.step(&pb.Message{Type: answer.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(term)})
		c.mustSettle(t)
	}
	if !c.leading {
		t.Fatal("no leader")
	}
	for range 2000 {
		if err := c.propose(&Proposal{Term: c.term, Data: make([]byte, 1000), done: make(chan error, 1)}); err != nil {
			t.Fatal(err)
		}
		c.mustSettle(t)
		last, err := c.o.Log.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		c.step(&pb.Message{Type: pb.MsgAppResp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(c.term)), Index: new(last)})
		c.mustSettle(t)
	}
	heartbeat := func(from uint64, context []byte) {
		c.step(&pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: new(from), To: new(uint64(1)), Term: new(uint64(c.term)), Context: context})
		c.mustSettle(t)
	}
	sentBytes := func() (n int64) {
		for _, m := range sent.msgs {
			n += entryBytes(m.GetEntries())
		}
		return n
	}
	sent.msgs = nil
	for range 1000 {
		heartbeat(3, make([]byte, 8)) // of no request
	}
	if n := sentBytes(); n == 0 || n > 2*maxSizePerMsg {
		t.Errorf("1000 old answers made the leader send %d bytes", n)
	}
	// Those that reads wait for count, each of them.
	sent.msgs = nil
	served, bytes := 0, int64(0)
	for range 100 {
		w := &readWait{done: make(chan error, 1)}
		c.reads.add(w)
		c.startRead()
		c.mustSettle(t)
		asked := slices.IndexFunc(sent.msgs, func(m *pb.Message) bool { return m.GetType() == pb.MsgHeartbeat })
		if asked < 0 {
			t.Fatal("nobody was asked")
		}
		context := sent.msgs[asked].GetContext()
		sent.msgs = sent.msgs[:0]
		heartbeat(3, context)
		bytes += sentBytes()
		select {
		case err := <-w.done:
			if err != nil {
				t.Fatal(err)
			}
			served++
		default:
		}
	}
	if served != 100 {
		t.Errorf("%d of 100 reads were served", served)
	}
	if bytes == 0 || bytes > 100*2*briefBytes {
		t.Errorf("100 reads made the leader send %d bytes", bytes)
	}
}
