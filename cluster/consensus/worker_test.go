package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
)

// member is a group of one voter on a worker that it shares with others.
type member struct {
	g     *Group
	sm    *recorder
	term  raftlog.Term
	fatal chan error
}

func startOn(t *testing.T, w *Worker, l Log) *member {
	t.Helper()
	m := &member{sm: newRecorder(), fatal: make(chan error, 1)}
	var err error
	if m.g, err = Start(Options{ID: 1, Log: l, StateMachine: m.sm, Worker: w, Applied: 1, OnFatal: func(err error) { m.fatal <- err }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.g.Stop)
	select {
	case m.term = <-m.sm.leading:
	case <-time.After(10 * time.Second):
		t.Fatal("a single voter did not lead")
	}
	return m
}

func (m *member) propose(data string) error { return propose(m.g, m.term, data) }

func (m *member) mustPropose(t *testing.T, data string) {
	t.Helper()
	if err := m.propose(data); err != nil {
		t.Fatal(err)
	}
}

// TestWorkerGoesOnWithoutFullDisk: a group that waits for space on its disk keeps no
// other one waiting, and ends what it had begun when there is space again.
func TestWorkerGoesOnWithoutFullDisk(t *testing.T) {
	w, full := NewWorker(), newMemLog(t, 1)
	stuck, other := startOn(t, w, full), startOn(t, w, newMemLog(t, 1))
	full.breakWith(engine.ErrNoSpace)
	done := make(chan error, 1)
	go func() { done <- stuck.propose("late") }()
	for i := range 100 {
		other.mustPropose(t, fmt.Sprint(i))
	}
	waitUntil(t, stuck.g.away.Load)
	other.mustPropose(t, "more")
	select {
	case err := <-done:
		t.Fatalf("the proposal ended while the disk was full: %v", err)
	default:
	}
	full.breakWith(nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := stuck.sm.list(); len(got) != 1 || got[0] != "3:late" {
		t.Errorf("applied %v", got)
	}
	stuck.mustPropose(t, "after")

	// One that is stopped while it waits does not count as failed.
	full.breakWith(engine.ErrNoSpace)
	go func() { done <- stuck.propose("never") }()
	waitUntil(t, stuck.g.away.Load)
	stuck.g.Stop()
	if err := <-done; !errors.Is(err, ErrUncertain) {
		t.Errorf("got %v, want ErrUncertain", err)
	}
	if err := stuck.g.Err(); err != nil {
		t.Error(err)
	}
	other.mustPropose(t, "last")
}

// TestWorkerGoesOnWithoutBusy: nor does one that is busy with a command that lasts.
func TestWorkerGoesOnWithoutBusy(t *testing.T) {
	w := NewWorker()
	busy, other := startOn(t, w, newMemLog(t, 1)), startOn(t, w, newMemLog(t, 1))
	release, began := make(chan struct{}), make(chan struct{})
	if err := busy.g.do(t.Context(), func(*core) error {
		close(began)
		<-release
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	<-began
	other.mustPropose(t, "x")
	// Whoever gives up before the group has taken the command can be sure that it
	// never runs.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	if err := busy.g.do(ctx, func(*core) error { ran = true; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	close(release)
	busy.mustPropose(t, "y")
	busy.g.Stop()
	if ran {
		t.Error("a command ran whose caller had given it up")
	}
}

// TestWorkerKeepsATick: a group that was busy while time went by is told of it once, and
// not never: its heartbeats and elections go by ticks.
func TestWorkerKeepsATick(t *testing.T) {
	c, _ := newTestCore(t, Options{Lease: true}, 1, 2, 3)
	w := NewWorker()
	g := &Group{o: c.o, c: c, w: w, stop: make(chan struct{})}
	g.changed.c = make(chan struct{})
	g.publish()
	w.mu.groups = []*Group{g}
	left := c.young // counts ticks down
	for _, step := range []struct {
		away, ticked bool
		ticks        int
	}{{false, true, 1}, {true, true, 0}, {true, true, 0}, {true, false, 0}, {false, false, 1}, {false, false, 0}, {false, true, 1}} {
		g.away.Store(step.away)
		w.pass(step.ticked)
		if left -= step.ticks; c.young != left {
			t.Fatalf("%+v: %d ticks are left, want %d", step, c.young, left)
		}
	}
}

// TestWorkerGoesOnWithoutFailed: a group that has failed ends, and no other.
func TestWorkerGoesOnWithoutFailed(t *testing.T) {
	w, broken := NewWorker(), newMemLog(t, 1)
	failed, other := startOn(t, w, broken), startOn(t, w, newMemLog(t, 1))
	broken.breakWith(errors.New("broken disk"))
	if err := failed.propose("x"); !errors.Is(err, ErrUncertain) {
		t.Errorf("got %v, want ErrUncertain", err)
	}
	if err := <-failed.fatal; err == nil {
		t.Error("no fatal error")
	}
	other.mustPropose(t, "y")
	other.g.Stop()
	waitUntil(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.mu.running
	})
	startOn(t, w, newMemLog(t, 1)).mustPropose(t, "a new start")
}

// TestWorkerOnOneLog: groups whose logs are shards of one log, with proposals small and
// large, which leave the worker.
func TestWorkerOnOneLog(t *testing.T) {
	log, err := raftlog.Open(raftlog.Options{FS: vfs.NewMem(), Dir: "log", Fsync: raftlog.FsyncAlways})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	w := NewWorker()
	var wg sync.WaitGroup
	for id := range raftlog.ShardID(4) {
		s := log.Shard(id)
		if err := s.Reset(1, 1, &pb.ConfState{Voters: []uint64{1}}); err != nil {
			t.Fatal(err)
		}
		m := startOn(t, w, s)
		wg.Go(func() {
			want := 0
			for i := range 200 {
				data := make([]byte, 8)
				if i%50 == 49 {
					data = make([]byte, 2*aloneBytes)
				}
				if err := m.propose(string(data)); err != nil {
					t.Errorf("shard %d: %v", id, err)
				}
				if want++; len(m.sm.list()) != want {
					t.Errorf("shard %d: %d entries applied, want %d", id, len(m.sm.list()), want)
				}
				for _, err := range ReadBarriers(t.Context(), []*Group{m.g}) {
					if err != nil {
						t.Errorf("shard %d: %v", id, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that")
		}
	}
}
