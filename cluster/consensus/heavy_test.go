package consensus

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// slowLog takes a while for large entries, once it is slow.
type slowLog struct {
	*memLog
	pause time.Duration
	slow  atomic.Bool
}

func (l *slowLog) Append(hs *pb.HardState, entries []*pb.Entry, sync bool) error {
	if l.slow.Load() && entryBytes(entries) >= heavyBytes {
		time.Sleep(l.pause) // it is the disk
	}
	return l.memLog.Append(hs, entries, sync)
}

// trio is three groups that reach each other by function calls.
type trio struct {
	mu     sync.Mutex
	groups map[NodeID]*Group
}

func (tr *trio) Send(msgs []*pb.Message) {
	for _, m := range msgs {
		tr.mu.Lock()
		g := tr.groups[NodeID(m.GetTo())]
		tr.mu.Unlock()
		if g != nil {
			g.Step(m) // as it is: to copy it would take longer than the timeout here
		}
	}
}

// TestLargeEntriesStartNoElection: members whose disks take longer for an entry than
// an election timeout do not lose their leader over it: neither when it is the
// leader's, so that the others hear nothing of it, nor when it is theirs, so that
// it hears nothing of them.
func TestLargeEntriesStartNoElection(t *testing.T) {
	for _, who := range []string{"leader", "followers"} {
		t.Run(who, func(t *testing.T) { largeEntries(t, who) })
	}
}

func largeEntries(t *testing.T, who string) {
	const tick, ticks = 100 * time.Millisecond, 20 // a timeout that a busy machine keeps
	tr := &trio{groups: make(map[NodeID]*Group)}
	leading := make(chan *Group, 16)
	logs := make(map[NodeID]*slowLog)
	for id := NodeID(1); id <= 3; id++ {
		sm := newRecorder()
		logs[id] = &slowLog{memLog: newMemLog(t, 1, 2, 3), pause: 2 * ticks * tick}
		g, err := Start(Options{
			ID: id, Log: logs[id], StateMachine: sm, Applied: 1, Transport: tr,
			TickInterval: tick, ElectionTicks: ticks, Seed: uint64(id),
		})
		if err != nil {
			t.Fatal(err)
		}
		tr.mu.Lock()
		tr.groups[id] = g
		tr.mu.Unlock()
		go func() {
			for range sm.leading {
				leading <- g
			}
		}()
		t.Cleanup(func() { g.Stop(); close(sm.leading) })
	}
	var leader *Group
	select {
	case leader = <-leading:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody leads")
	}
	for id, l := range logs {
		l.slow.Store((id == leader.o.ID) == (who == "leader"))
	}
	term := leader.Status().Term
	if err := propose(leader, term, string(make([]byte, 5*heavyBytes))); err != nil {
		t.Fatalf("a large entry: %v", err)
	}
	for id, g := range tr.groups {
		if st := g.Status(); st.Term != term || st.Leader != leader.o.ID {
			t.Errorf("node %d is in term %d under %d, want %d under %d", id, st.Term, st.Leader, term, leader.o.ID)
		}
	}
}

// TestHeavyWorkIsBounded: small work is nothing to tell of, and a disk that hangs is
// not covered up.
func TestHeavyWorkIsBounded(t *testing.T) {
	var h heavy
	h.begin(heavyBytes-1, time.Millisecond, func() {})
	if h.active() {
		t.Error("small work is heavy")
	}
	h.end()
	beats := make(chan struct{}, 1)
	h.begin(heavyBytes, time.Millisecond, func() {
		select {
		case beats <- struct{}{}:
		default:
		}
	})
	<-beats
	if !h.active() {
		t.Error("heavy work is not")
	}
	h.until.Store(time.Now().Add(-time.Second).UnixNano())
	if h.active() {
		t.Error("it is heavy for ever")
	}
	h.end()
	h.end()
	if h.active() {
		t.Error("it is heavy after its end")
	}
}
