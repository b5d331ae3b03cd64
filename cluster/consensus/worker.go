package consensus

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Worker drives the groups of a node in rounds that they share. A round takes what
// has come for each of them, sends all their messages, writes all their entries
// with one sync, sends what those promise, and applies. So what costs as much for
// one group as for four (a frame to a peer, a sync, being woken) is paid once.
//
// Nothing in a round waits long: a group whose turn takes its time (a raft
// snapshot, large entries, a full disk, the replay at its start) leaves the worker for
// a goroutine of its own, and comes back when it is done.
//
// Invariant: a group is driven by one goroutine at a time: the worker's, or its own
// while Group.away is set.
// Invariant: when a round ends, and when a group comes back, nothing is left of what
// raft asks for: propose relies on it.
type Worker struct {
	wake chan struct{}

	mu struct {
		sync.Mutex
		groups  []*Group // never changed, replaced
		running bool
	}

	// The rest is the goroutine's, and reused.
	active []*Group // have work in this pass
	round  []*Group
	writes []raftlog.Write
}

const (
	// burst is how many messages of a group are taken before raft is asked what to do.
	burst = 64
	// aloneBytes of entries to be written or applied are not the others' to wait for.
	aloneBytes = 1 << 20
)

// NewWorker makes a worker. It has a goroutine as long as it has groups, all of
// which must have the same Options.TickInterval.
func NewWorker() *Worker { return &Worker{wake: make(chan struct{}, 1)} }

// Wake has the worker look at what its groups were offered.
func (w *Worker) Wake() { kick(w.wake) }

// add takes a group. What there is to be done at its start may be much.
func (w *Worker) add(g *Group) {
	g.leave(func() error { return nil })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.groups = append(slices.Clone(w.mu.groups), g)
	if !w.mu.running {
		w.mu.running = true
		go w.run(g.o.TickInterval)
	}
}

// remove forgets groups that have ended. false: there are none left, and the
// worker's goroutine ends.
func (w *Worker) remove() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.groups = slices.DeleteFunc(slices.Clone(w.mu.groups), func(g *Group) bool { return !g.away.Load() && g.over })
	w.mu.running = len(w.mu.groups) > 0
	return w.mu.running
}

func (w *Worker) run(tick time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		ticked := false
		select {
		case <-w.wake:
			// Whoever is about to bring more does so first.
			runtime.Gosched()
		case <-ticker.C:
			ticked = true
		}
		if ended := w.pass(ticked); ended && !w.remove() {
			return
		}
	}
}

// pass takes what has come for the groups, and does all that raft asks for then.
func (w *Worker) pass(ticked bool) (ended bool) {
	w.mu.Lock()
	groups := w.mu.groups
	w.mu.Unlock()
	w.active = w.active[:0]
	for _, g := range groups {
		g.tickDue = g.tickDue || ticked
		if g.away.Load() {
			continue // one tick at most waits for it, as a ticker's does
		}
		if !g.over && g.stopping() {
			g.end(nil)
		}
		if !g.over && g.take() {
			w.active = append(w.active, g)
		}
		ended = ended || !g.away.Load() && g.over
	}
	for w.doRound() {
	}
	for _, g := range w.active {
		switch {
		case g.away.Load():
		case g.over:
			ended = true
		default:
			g.publish()
		}
	}
	clear(w.active)
	return ended
}

// doRound does what raft asks of the groups that are active; false: nothing.
func (w *Worker) doRound() bool {
	w.round = w.round[:0]
	for _, g := range w.active {
		if g.away.Load() || g.over || !g.c.rn.HasReady() {
			continue
		}
		if g.c.unapplied >= aloneBytes {
			g.leave(func() error { return nil })
			continue
		}
		if g.c.begin(); g.c.takesLong() {
			g.leave(g.c.carryOut)
			continue
		}
		w.round = append(w.round, g)
	}
	for _, g := range w.round {
		g.c.send(g.c.out)
	}
	did := len(w.round) > 0
	w.write()
	for _, g := range w.round {
		g.c.send(g.c.late)
	}
	for _, g := range w.round {
		if err := g.c.conclude(); err != nil {
			g.end(err)
		}
	}
	clear(w.round)
	return did
}

// write writes what the groups of a round have for their logs. Those for which that
// did not succeed are no longer in the round.
func (w *Worker) write() {
	w.writes = w.writes[:0]
	for _, g := range w.round {
		if s, ok := g.o.Log.(*raftlog.ShardLog); ok && g.c.writes() {
			rd := &g.c.rd
			w.writes = append(w.writes, raftlog.Write{Shard: s, HardState: rd.HardState, Entries: rd.Entries, MustSync: rd.MustSync})
		}
	}
	raftlog.AppendTogether(w.writes)
	done := w.writes
	w.round = slices.DeleteFunc(w.round, func(g *Group) bool {
		if !g.c.writes() {
			return false
		}
		var err error
		if _, ok := g.o.Log.(*raftlog.ShardLog); ok {
			err, done = done[0].Err, done[1:]
		} else {
			err = g.o.Log.Append(g.c.rd.HardState, g.c.rd.Entries, g.c.rd.MustSync)
		}
		return !g.written(err)
	})
	clear(w.writes)
}

// written takes how the write of a round ended; false: the group is not part of the
// round any more.
func (g *Group) written(err error) bool {
	switch {
	case err == nil:
		g.c.unapplied += entryBytes(g.c.rd.Entries)
		return true
	case errors.Is(err, engine.ErrNoSpace):
		g.leave(g.c.persist) // which waits for space
	default:
		g.end(fmt.Errorf("consensus: append: %w", err))
	}
	return false
}

// takesLong says whether what raft asks for may keep others waiting.
func (c *core) takesLong() bool {
	return !raft.IsEmptySnap(c.rd.Snapshot) || entryBytes(c.rd.Entries) >= aloneBytes ||
		changesMembers(c.rd.CommittedEntries) || entryBytes(c.rd.CommittedEntries) >= aloneBytes
}

// leave has f, and then all that raft asks for, done on a goroutine of the group's
// own, so that the worker's other groups need not wait for it.
func (g *Group) leave(f func() error) {
	g.away.Store(true)
	go func() {
		err := f()
		if err == nil {
			err = g.c.settle()
		}
		if err == nil {
			g.publish()
		} else {
			g.end(err)
		}
		g.away.Store(false)
		g.Wake()
	}()
}

// take takes what has come for the group: the one proposal that there may be first,
// since nothing is left then of what raft asked for before. false: nothing has come.
func (g *Group) take() (any bool) {
	select {
	case cmd := <-g.ctl:
		if cmd.claimed.CompareAndSwap(false, true) {
			close(cmd.taken)
			g.leave(func() error { return cmd.f(g.c) })
			return false
		}
	default:
	}
	select {
	case p := <-g.proposals:
		any = true
		if err := g.c.propose(p); err != nil {
			g.end(err)
			return false
		}
	default:
	}
	any = g.takeMessages() || any
	select {
	case f := <-g.reports:
		any = true
		f(g.c)
	default:
	}
	select {
	case <-g.readKick:
		any = true
		g.c.startRead()
	default:
	}
	if g.tickDue {
		any, g.tickDue = true, false
		g.c.tick()
	}
	if len(g.ctl)+len(g.proposals)+len(g.inbox)+len(g.reports) > 0 {
		g.Wake() // once more
	}
	return any
}

func (g *Group) takeMessages() bool {
	for n := range burst {
		var m *pb.Message
		select {
		case m = <-g.inbox:
		default:
			return n > 0
		}
		g.queued.Add(-entryBytes(m.GetEntries()))
		g.c.step(m)
	}
	return true
}
