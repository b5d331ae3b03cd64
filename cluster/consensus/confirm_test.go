package consensus

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestConfirms: a member's read index request confirms a leader only where the two are
// a majority of the voters, of both halves of a joint membership, in one term.
func TestConfirms(t *testing.T) {
	const term = 7
	three := &pb.ConfState{Voters: []uint64{1, 2, 3}}
	for _, c := range []struct {
		name  string
		conf  *pb.ConfState
		from  uint64
		in    uint64
		ready bool
		lease bool
		want  bool
	}{
		{"two of three", three, 2, term, true, false, true},
		{"two of two", &pb.ConfState{Voters: []uint64{1, 2}}, 2, term, true, false, true},
		{"a later term", three, 2, term + 1, true, false, false},
		{"an earlier term", three, 2, term - 1, true, false, false},
		{"no term", three, 2, 0, true, false, false},
		{"no entry of the term is applied", three, 2, term, false, false, false},
		{"leases", three, 2, term, true, true, false},
		{"two of five", &pb.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}, 2, term, true, false, false},
		{"two of four", &pb.ConfState{Voters: []uint64{1, 2, 3, 4}}, 2, term, true, false, false},
		{"a learner", &pb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4}}, 4, term, true, false, false},
		{"a learner of a leader alone", &pb.ConfState{Voters: []uint64{1}, Learners: []uint64{4}}, 4, term, true, false, true},
		{"a learner of two", &pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{4}}, 4, term, true, false, false},
		{"a removed one of two that are left", &pb.ConfState{Voters: []uint64{1, 2}}, 3, term, true, false, false},
		{"a stranger", three, 9, term, true, false, false},
		{"no voters", &pb.ConfState{}, 2, term, true, false, false},
		{"a leader that is no voter", &pb.ConfState{Voters: []uint64{2, 3, 4}}, 2, term, true, false, false},
		{"both halves", &pb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 2}}, 2, term, true, false, true},
		{"the new half alone", &pb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 3, 4}}, 2, term, true, false, false},
		{"the old half alone", &pb.ConfState{Voters: []uint64{1, 3, 4}, VotersOutgoing: []uint64{1, 2, 3}}, 2, term, true, false, false},
	} {
		co := &core{o: Options{ID: 1, Lease: c.lease}, term: raftlog.Term(term), ready: c.ready, conf: c.conf}
		m := &pb.Message{Type: pb.MsgReadIndex.Enum(), From: new(c.from), LogTerm: new(c.in)}
		if got := co.confirms(m); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// cores is a group whose messages are carried by hand.
type cores struct {
	t    *testing.T
	list []*core
	sent []*sentBy
	cut  map[NodeID]bool // nothing gets to or from it
}

// newCores makes a group in which node 1 leads, and no clock runs.
func newCores(t *testing.T, n int) *cores {
	t.Helper()
	s := &cores{t: t, cut: make(map[NodeID]bool)}
	var voters []uint64
	for i := range n {
		voters = append(voters, uint64(i+1))
	}
	for i := range n {
		sent := &sentBy{}
		c, err := newCore(Options{
			ID: NodeID(i + 1), Log: newMemLog(t, voters...), StateMachine: newRecorder(), Transport: sent, Applied: 1, Seed: uint64(i + 1),
		}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		s.list, s.sent = append(s.list, c), append(s.sent, sent)
	}
	s.elect(1)
	return s
}

func (s *cores) core(id NodeID) *core { return s.list[id-1] }

// take returns what a node has sent since the last time.
func (s *cores) take(id NodeID) []*pb.Message {
	msgs := s.sent[id-1].msgs
	s.sent[id-1].msgs = nil
	return msgs
}

// give hands messages over, and returns when the receivers are through with them.
func (s *cores) give(msgs ...*pb.Message) {
	s.t.Helper()
	for _, m := range msgs {
		if to := NodeID(m.GetTo()); !s.cut[to] && !s.cut[NodeID(m.GetFrom())] {
			s.core(to).step(m)
			s.core(to).mustSettle(s.t)
		}
	}
}

// calm carries messages until there are none.
func (s *cores) calm() {
	s.t.Helper()
	for busy := true; busy; {
		busy = false
		for i := range s.list {
			msgs := s.take(NodeID(i + 1))
			s.give(msgs...)
			busy = busy || len(msgs) > 0
		}
	}
}

// elect has a node lead that can be elected. The others do not wait for the old leader.
func (s *cores) elect(id NodeID) {
	s.t.Helper()
	for i, c := range s.list {
		if !s.cut[NodeID(i+1)] && c.lead != 0 && c.lead != id {
			if err := c.rn.ForgetLeader(); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	if err := s.core(id).rn.Campaign(); err != nil {
		s.t.Fatal(err)
	}
	s.core(id).mustSettle(s.t)
	s.calm()
	if !s.core(id).ready {
		s.t.Fatalf("node %d does not lead", id)
	}
}

// write has a leader commit one entry, and returns its index.
func (s *cores) write(id NodeID) raftlog.Index {
	s.t.Helper()
	c := s.core(id)
	if err := c.propose(&Proposal{Term: c.term, Data: fmt.Append(nil, c.applied), done: make(chan error, 1)}); err != nil {
		s.t.Fatal(err)
	}
	c.mustSettle(s.t)
	s.calm()
	return c.applied
}

// ask begins a read on a node, whose messages stay with it.
func (s *cores) ask(id NodeID) *readWait {
	s.t.Helper()
	w := &readWait{done: make(chan error, 1)}
	s.core(id).reads.add(w)
	s.core(id).startRead()
	s.core(id).mustSettle(s.t)
	return w
}

// request returns the read index request among messages.
func (s *cores) request(msgs []*pb.Message) *pb.Message {
	s.t.Helper()
	i := slices.IndexFunc(msgs, func(m *pb.Message) bool { return m.GetType() == pb.MsgReadIndex })
	if i < 0 {
		s.t.Fatal("nobody was asked")
	}
	return msgs[i]
}

func (w *readWait) served() bool { return len(w.done) == 1 }

// answer returns the index that a leader has answered a request with; ok: it has.
func (s *cores) answer(id NodeID) (index raftlog.Index, ok bool) {
	for _, m := range s.sent[id-1].msgs {
		if m.GetType() == pb.MsgReadIndexResp {
			index, ok = raftlog.Index(m.GetIndex()), true
		}
	}
	return index, ok
}

// One of three asks, the leader answers, and nobody else has to be there.
func TestReadOfAMemberAsksTheLeaderAlone(t *testing.T) {
	s := newCores(t, 3)
	index := s.write(1)
	s.cut[3] = true
	w := s.ask(2)
	s.give(s.take(2)...)
	if got, ok := s.answer(1); !ok || got != index {
		t.Fatalf("the leader answers %d, %v, want %d at once", got, ok, index)
	}
	msgs := s.take(1)
	if len(msgs) != 1 {
		t.Errorf("the leader has sent %v", msgs)
	}
	s.give(msgs...)
	if !w.served() {
		t.Error("the read waits")
	}

	// Where the two are no majority, others have to confirm the leader.
	for _, n := range []int{4, 5} {
		s := newCores(t, n)
		w := s.ask(2)
		s.give(s.take(2)...)
		if _, ok := s.answer(1); ok {
			t.Errorf("of %d: answered at once", n)
		}
		if s.calm(); !w.served() {
			t.Errorf("of %d: the read waits", n)
		}
	}
}

// A leader that was deposed and does not know it yet is not confirmed by a member of
// the term that came after its own.
func TestDeposedLeaderAnswersNoMember(t *testing.T) {
	s := newCores(t, 3)
	s.write(1)
	s.cut[1] = true
	s.elect(2)
	s.write(2)
	s.cut[1] = false
	s.ask(3)
	m := s.request(s.take(3))
	m.To = new(uint64(1))
	s.give(m)
	if index, ok := s.answer(1); ok {
		t.Errorf("it answers that %d is committed, but %d is", index, s.core(2).applied)
	}

	// Elected again, in a later term than the member was in when it asked, it has to
	// ask as well: which terms there were in between the request does not say.
	for range s.core(2).o.HeartbeatTicks { // the next leader brings it up to date
		s.core(2).tick()
		s.core(2).mustSettle(t)
		s.calm()
	}
	s.elect(1)
	s.take(1)
	s.give(m)
	if _, ok := s.answer(1); ok {
		t.Error("a request of an earlier term confirms the leader")
	}
}

// A request may be on its way for any time. What it is answered with holds all that
// was committed when it was sent, whoever leads since; and nothing that began later
// is served by it.
func TestRequestThatComesLate(t *testing.T) {
	s := newCores(t, 3)
	index := s.write(1)
	first := s.ask(3)
	late := s.request(s.take(3))
	s.cut[1] = true
	s.elect(2)
	committed := s.write(2)
	s.cut[1] = false
	s.give(late) // node 1 still leads its term, of which the request is
	if got, ok := s.answer(1); !ok || got < index {
		t.Fatalf("answered with %d, %v, want %d or more", got, ok, index)
	}
	answer := s.take(1)
	s.give(answer...)
	// The member is in a later term by now: it takes no more word of the last one, and
	// asks again, for the first read and for others.
	second := s.ask(3)
	for range 2 {
		s.core(3).tick()
		s.core(3).mustSettle(t)
	}
	s.give(answer...)
	if second.served() {
		t.Error("a read is served by the answer to an earlier request")
	}
	s.calm()
	if !first.served() || !second.served() || s.core(3).applied < committed {
		t.Errorf("served: %v, %v, at %d of %d", first.served(), second.served(), s.core(3).applied, committed)
	}
}

// A frame that comes twice is answered twice, and the second answer serves nothing.
func TestRequestThatComesTwice(t *testing.T) {
	s := newCores(t, 3)
	s.write(1)
	first := s.ask(2)
	m := s.request(s.take(2))
	s.give(m, m)
	answers := s.take(1)
	if len(answers) != 2 {
		t.Fatalf("the leader has sent %v", answers)
	}
	s.give(answers[0])
	if !first.served() {
		t.Error("the read waits")
	}
	second := s.ask(2)
	if s.give(answers[1]); second.served() {
		t.Error("a read is served by the answer to an earlier request")
	}
}

// A request that a leader of the past passes on says in which term the asking member
// was, not in which this one is.
func TestRequestThatIsPassedOn(t *testing.T) {
	s := newCores(t, 3)
	s.write(1)
	s.ask(3)
	m := s.request(s.take(3))
	s.elect(2)
	s.give(m)
	on := s.request(s.take(1))
	if on.GetTo() != 2 || on.GetFrom() != 3 || raftlog.Term(on.GetLogTerm()) == s.core(2).term {
		t.Errorf("passed on as %v", on)
	}
	s.give(on)
	if _, ok := s.answer(2); ok {
		t.Error("it confirms a leader of a later term")
	}
}

// A member that was removed is no part of a majority, whatever it believes.
func TestRemovedMemberConfirmsNobody(t *testing.T) {
	s := newCores(t, 3)
	s.cut[3] = true // so that it learns nothing
	if err := s.core(1).changeMembership(&Proposal{done: make(chan error, 1)}, removal(3)); err != nil {
		t.Fatal(err)
	}
	s.core(1).mustSettle(t)
	s.calm()
	s.cut[3], s.cut[2] = false, true
	s.ask(3)
	s.give(s.request(s.take(3)))
	if _, ok := s.answer(1); ok {
		t.Error("it confirms a leader that cannot reach its only other voter")
	}
}

// A leader that has not applied an entry of its term does not know what is committed.
func TestNewLeaderAnswersNoMember(t *testing.T) {
	s := newCores(t, 3)
	index := s.write(1)
	c := s.core(1)
	if err := c.propose(&Proposal{Term: c.term, Data: []byte("x"), done: make(chan error, 1)}); err != nil {
		t.Fatal(err)
	}
	c.mustSettle(t)
	s.give(s.take(1)...) // the others have the entry, but do not know that it is committed
	for _, id := range []NodeID{2, 3} {
		for _, m := range s.take(id) {
			c.step(m)
		}
	}
	c.mustSettle(t)
	s.take(1)
	if c.applied != index+1 {
		t.Fatalf("applied up to %d, want %d", c.applied, index+1)
	}
	s.cut[1] = true
	if err := errors.Join(s.core(2).rn.ForgetLeader(), s.core(3).rn.ForgetLeader(), s.core(2).rn.Campaign()); err != nil {
		t.Fatal(err)
	}
	s.core(2).mustSettle(t)
	for !s.core(2).leading {
		s.give(s.take(2)...)
		s.give(s.take(3)...)
	}
	for _, m := range s.take(2) { // node 3 learns who leads
		s.core(3).step(m)
	}
	s.core(3).mustSettle(t)
	s.take(3)
	s.ask(3)
	m := s.request(s.take(3))
	if s.core(2).ready || raftlog.Term(m.GetLogTerm()) != s.core(2).term {
		t.Fatalf("node 2 is ready: %v, the request is of term %d", s.core(2).ready, m.GetLogTerm())
	}
	s.give(m)
	if got, ok := s.answer(2); ok {
		t.Errorf("it answers that %d is committed, but %d is", got, index+1)
	}
}

// A member that is told to wait for a commit is told of the commit.
func TestWithheldCommitGoesWithTheAnswer(t *testing.T) {
	s := newCores(t, 3)
	s.write(1)
	c := s.core(1)
	c.o.MoreSoon = func() bool { return true }
	index := s.write(1)
	if s.core(2).applied >= index {
		t.Fatal("nothing was held back")
	}
	w := s.ask(2)
	s.give(s.take(2)...)
	s.give(s.take(1)...)
	if !w.served() || s.core(2).applied != index {
		t.Errorf("served: %v, at %d of %d", w.served(), s.core(2).applied, index)
	}
}
