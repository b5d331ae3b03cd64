package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// memLog is a Log in memory; appends fail once fail is set.
type memLog struct {
	*raft.MemoryStorage
	mu   sync.Mutex
	fail error
}

func newMemLog(t *testing.T, voters ...uint64) *memLog {
	t.Helper()
	l := &memLog{MemoryStorage: raft.NewMemoryStorage()}
	snap := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &pb.ConfState{Voters: voters},
	}}
	if err := l.ApplySnapshot(snap); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *memLog) Append(hs *pb.HardState, entries []*pb.Entry, _ bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	if !raft.IsEmptyHardState(hs) {
		if err := l.SetHardState(hs); err != nil {
			return err
		}
	}
	return l.MemoryStorage.Append(entries)
}

func (l *memLog) breakWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// recorder is a StateMachine that remembers what it was told.
type recorder struct {
	mu      sync.Mutex
	applied []string
	owned   int
	leading chan raftlog.Term
	fail    error
}

func newRecorder() *recorder { return &recorder{leading: make(chan raftlog.Term, 8)} }

func (r *recorder) Apply(index raftlog.Index, _ raftlog.Term, data []byte, own *Proposal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if len(data) > 0 {
		r.applied = append(r.applied, fmt.Sprintf("%d:%s", index, data))
	}
	if own != nil {
		r.owned++
	}
	return nil
}
func (r *recorder) Leading(t raftlog.Term)                                     { r.leading <- t }
func (r *recorder) Following(NodeID)                                           {}
func (r *recorder) ApplyConf(raftlog.Index, raftlog.Term, *pb.ConfState) error { return nil }
func (r *recorder) Restore(*pb.Snapshot) error                                 { return nil }

func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.applied...)
}

func startSingle(t *testing.T, l *memLog, sm *recorder, applied raftlog.Index, onFatal func(error)) (*Group, raftlog.Term) {
	t.Helper()
	g, err := Start(Options{ID: 1, Log: l, StateMachine: sm, Applied: applied, OnFatal: onFatal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	select {
	case term := <-sm.leading:
		return g, term
	case <-time.After(10 * time.Second):
		t.Fatal("a single voter did not lead")
		return nil, 0
	}
}

func propose(g *Group, term raftlog.Term, data string) error {
	p := &Proposal{Term: term, Data: []byte(data)}
	g.Propose(p)
	return p.Wait()
}

func TestSingleVoterAppliesInOrder(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	g, term := startSingle(t, l, sm, 1, nil)
	for i := range 10 {
		if err := propose(g, term, fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
	}
	// Index 2 is the entry that raft makes at the start of a term.
	got := sm.list()
	for i := range 10 {
		if want := fmt.Sprintf("%d:v%d", i+3, i); got[i] != want {
			t.Fatalf("applied %v: want %s at %d", got, want, i)
		}
	}
	if sm.owned != 10 {
		t.Fatalf("%d entries were known as own proposals, want 10", sm.owned)
	}
	// A proposal is told before the status shows it; a group that has stopped shows
	// all that it did.
	g.Stop()
	if st := g.Status(); !st.Leading || st.Leader != 1 || st.Applied != 12 || st.Commit != 12 {
		t.Fatalf("status %+v", st)
	}
}

func TestIndexIsWrittenIntoTheProposal(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	g, term := startSingle(t, l, sm, 1, nil)
	p := &Proposal{Term: term, Data: make([]byte, 12), IndexOffset: 4}
	g.Propose(p)
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	entries, err := l.Entries(3, 4, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint64(entries[0].Data[4:]); got != 3 {
		t.Fatalf("index in the entry is %d, want 3", got)
	}
}

func TestProposalOfAnotherTermIsRefused(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	g, term := startSingle(t, l, sm, 1, nil)
	if err := propose(g, term-1, "old"); !errors.Is(err, ErrTermChanged) {
		t.Fatalf("got %v, want ErrTermChanged", err)
	}
	if got := sm.list(); len(got) != 0 {
		t.Fatalf("a refused proposal was applied: %v", got)
	}
}

func TestFollowerRefuses(t *testing.T) {
	l, sm := newMemLog(t, 1, 2, 3), newRecorder()
	g, err := Start(Options{ID: 1, Log: l, StateMachine: sm, Applied: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	if err := propose(g, 1, "x"); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("got %v, want ErrNotLeader", err)
	}
}

func TestFailedAppendIsFatalAndUncertain(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	fatal := make(chan error, 2)
	g, term := startSingle(t, l, sm, 1, func(err error) { fatal <- err })
	broken := errors.New("broken disk")
	l.breakWith(broken)
	if err := propose(g, term, "x"); !errors.Is(err, ErrUncertain) {
		t.Fatalf("got %v, want ErrUncertain", err)
	}
	<-g.Done()
	if !errors.Is(g.Err(), broken) || !errors.Is(<-fatal, broken) {
		t.Fatalf("the group stopped with %v", g.Err())
	}
	if err := propose(g, term, "y"); !errors.Is(err, ErrStopped) {
		t.Fatalf("after the end: got %v, want ErrStopped", err)
	}
	if got := sm.list(); len(got) != 0 {
		t.Fatalf("applied without being in the log: %v", got)
	}
}

func TestFailedApplyIsFatalAndUncertain(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	fatal := make(chan error, 2)
	g, term := startSingle(t, l, sm, 1, func(err error) { fatal <- err })
	broken := errors.New("broken engine")
	sm.mu.Lock()
	sm.fail = broken
	sm.mu.Unlock()
	if err := propose(g, term, "x"); !errors.Is(err, ErrUncertain) {
		t.Fatalf("got %v, want ErrUncertain", err)
	}
	if err := <-fatal; !errors.Is(err, broken) {
		t.Fatalf("fatal error %v", err)
	}
}

func TestRestartAppliesWhatTheStateMachineLacks(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	g, term := startSingle(t, l, sm, 1, nil)
	for i := range 5 {
		if err := propose(g, term, fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
	}
	g.Stop()

	again := newRecorder()
	_, term2 := startSingle(t, l, again, 4, nil)
	if term2 <= term {
		t.Fatalf("term %d after a restart in term %d", term2, term)
	}
	got := again.list()
	if len(got) != 3 || got[0] != "5:v2" || got[2] != "7:v4" {
		t.Fatalf("replayed %v", got)
	}
}

func TestStopEndsProposals(t *testing.T) {
	l, sm := newMemLog(t, 1), newRecorder()
	g, term := startSingle(t, l, sm, 1, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if err := propose(g, term, "x"); err != nil {
					if !errors.Is(err, ErrStopped) && !errors.Is(err, ErrUncertain) {
						t.Errorf("got %v", err)
					}
					return
				}
			}
		})
	}
	g.Stop()
	wg.Wait()
}
