package consensus

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine"

	pb "go.etcd.io/raft/v3/raftpb"
)

// errSimOff ends what a node does after its machine has stopped.
var errSimOff = errors.New("the machine has stopped")

// Where a new group begins.
const simFirstIndex, simFirstTerm = 1, 1

// simNode is a node: its disk, and its process when there is one.
type simNode struct {
	w       *world
	id      NodeID
	disk    *simDisk
	durable simDurable // the engine's part of the disk
	created bool       // belongs to the group, or did
	removed bool       // knows that it was removed, and stays off

	member    bool          // as of truth.membersAt
	removedAt raftlog.Index // where it was removed
	callers   []*simOp      // who waits for an answer

	// The process. run tells one from the next.
	up       bool
	run      uint64
	log      *raftlog.Log
	shard    *raftlog.ShardLog
	core     *core
	fast     bool           // Group.fast
	leads    raftlog.Term   // Shard.leads
	state    simState       // what is applied
	before   *pb.ConfState  // the membership before the last change
	epoch    int            // counts the states that were switched to
	pins     []simState     // states to be sent
	recv     *simTransfer   // a raft snapshot on its way in
	received []*simTransfer // complete, given to raft

	writer   simWriter
	reads    []*simReader
	changes  []*Proposal // of the membership
	inbox    []*pb.Message
	draining bool

	// What time is to it.
	rate     float64       // ticks and clock against the world's
	ahead    time.Duration // what its clock has gained by changes of rate
	tickDue  bool
	inCore   bool          // one of its events is under way
	busy     time.Duration // the group's goroutine is busy until then
	paused   time.Duration // the process stands still until then
	rounds   uint64        // of reads, at the last look
	lastTerm raftlog.Term
}

// simReader is a read that waits for the barrier.
type simReader struct {
	wait *readWait
	done func(error)
}

// newDisk makes the node's folder. A member of the first hour starts from the same
// state as all others, one that joins later from nothing.
func (n *simNode) newDisk(voters []uint64) {
	n.disk = newSimDisk()
	n.durable = simDurable{}
	n.durable.setConf(&pb.ConfState{})
	n.created = true
	if voters == nil {
		return
	}
	cs := &pb.ConfState{Voters: voters}
	n.durable.index = simFirstIndex
	n.durable.setConf(cs)
	log, err := n.openLog()
	if err == nil {
		err = errors.Join(log.Shard(0).Reset(simFirstIndex, simFirstTerm, cs), log.Close())
	}
	if err != nil {
		n.w.fail("create: %v", err)
	}
}

func (n *simNode) openLog() (*raftlog.Log, error) {
	o := raftlog.Options{
		FS: n.fs(), Dir: simLogDir, SegmentBytes: n.w.segment, RetainBytes: n.w.retain, CacheBytes: n.w.cache,
		Salt: n.w.r.Uint64, Clock: n.clock,
	}
	if n.w.mutant == mutantNoFsync {
		o.Fsync = raftlog.FsyncNo
	}
	return raftlog.Open(o)
}

// clock is the node's monotonic clock.
func (n *simNode) clock() time.Time {
	t := n.ahead + time.Duration(float64(n.w.now+n.disk.spent)*n.rate)
	if n.w.mutant == mutantSlowClock {
		t /= 3
	}
	return leaseBase.Add(time.Hour + t)
}

// setRate changes how fast the clock runs, from what it shows now.
func (n *simNode) setRate(rate float64) {
	n.ahead += time.Duration(float64(n.w.now) * (n.rate - rate))
	n.rate = rate
}

// start begins a process on what the disk holds, as shard.Open does.
func (n *simNode) start() {
	if n.up || n.removed || !n.created {
		return
	}
	w := n.w
	w.starts++
	n.up, n.run = true, w.starts
	n.busy, n.paused, n.tickDue, n.draining, n.fast, n.leads = w.now, 0, false, false, false, 0
	n.inbox, n.reads, n.changes, n.pins, n.recv, n.received = nil, nil, nil, nil, nil, nil
	n.writer, n.before = simWriter{n: n}, nil
	n.epoch++
	w.log(n.id, "start", n.run)
	w.stats.Restarts++
	n.event(func() error { return n.open() })
	if n.up {
		n.tickLoop(n.run)
	}
}

func (n *simNode) open() error {
	var err error
	if n.log, err = n.openLog(); err != nil {
		return err
	}
	n.shard = n.log.Shard(0)
	if n.durable.pending != nil {
		if err := n.finishSwitch(); err != nil {
			return err
		}
	}
	n.state = n.durable.simState
	first, _ := n.shard.FirstIndex()
	last, _ := n.shard.LastIndex()
	n.w.log(n.id, "opened", uint64(n.state.index), first, last)
	if uint64(n.state.index)+1 < first || uint64(n.state.index) > last {
		return fmt.Errorf("the engine is at %d, the log goes from %d to %d", n.state.index, first, last)
	}
	n.w.truth.restored(n)
	n.shard.SetSnapshot(n.snapshot)
	o := Options{
		ID: n.id, Log: n.shard, StateMachine: (*simMachine)(n), Transport: simTransport{n},
		Applied: n.state.index, ConfState: n.state.conf,
		TickInterval: simTick, ElectionTicks: n.w.electionTicks,
		Seed: n.run, Lease: n.w.lease, Now: n.clock,
		Admit:    func(bytes int64) error { return n.shard.Reserve(bytes) },
		MoreSoon: func() bool { return n.w.r.IntN(2) == 0 },
	}
	if n.w.mutant == mutantSameSeed {
		o.Seed = 1
	}
	if n.core, err = newCore(o.withDefaults()); err != nil {
		return err
	}
	n.rounds, n.lastTerm = 0, n.core.term
	n.core.pause = n.waitForSpace
	if n.core.alone() {
		return n.core.rn.Campaign()
	}
	return nil
}

// waitForSpace is Group.pause: the group's goroutine sleeps, the world goes on.
func (n *simNode) waitForSpace() bool {
	n.w.log(n.id, "no space")
	n.w.run(n.w.now + spaceRetry)
	return !n.disk.off && !n.w.ended && n.w.failed == ""
}

// event runs f on the group's goroutine, and then what Group.loop does after it.
func (n *simNode) event(f func() error) {
	n.inCore = true
	n.disk.spent = 0
	err := n.protect(func() error {
		if err := f(); err != nil {
			return err
		}
		return n.core.settle()
	})
	n.inCore = false
	n.busy = n.w.now + n.disk.spent
	switch {
	case n.disk.off:
		n.reap()
	case n.w.ended || n.w.failed != "":
	case errors.Is(err, engine.ErrNoSpace) && n.disk.full:
		// Only appending entries waits for space: the process ends, and starts again.
		n.crash(loseNothing)
	case err != nil:
		n.w.fail("node %d: %v", n.id, err)
	default:
		n.look()
	}
}

// protect makes a panic in raft or in the log a failure of the schedule.
func (n *simNode) protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			n.w.fail("node %d: panic: %v\n%s", n.id, v, debug.Stack())
		}
	}()
	return f()
}

// look is what runs after each event: what Group publishes, what others wait for,
// and what must hold.
func (n *simNode) look() {
	c := n.core
	n.fast = c.ready && c.solitary()
	if n.w.mutant == mutantEarlyLead && c.leading && n.leads != c.term {
		n.leads = c.term
		n.kickWriter()
	}
	n.w.truth.observe(n)
	n.writer.look()
	kept := n.changes[:0]
	for _, p := range n.changes {
		select {
		case err := <-p.done:
			n.w.memberChangeDone(n, p, err)
		default:
			kept = append(kept, p)
		}
	}
	n.changes = kept
	waiting := n.reads
	n.reads = nil
	for _, rd := range waiting {
		select {
		case err := <-rd.wait.done:
			rd.done(err)
		default:
			if !rd.wait.gone.Load() {
				n.reads = append(n.reads, rd)
			}
		}
	}
}

// onCore plans something for the group's goroutine. It waits while the goroutine is
// busy or the process stands still, and is forgotten when the process ends.
func (n *simNode) onCore(d time.Duration, f func() error) {
	run := n.run
	var try func()
	try = func() {
		if !n.up || n.run != run {
			return
		}
		if n.paused > max(n.w.now, n.busy) {
			// Who comes first when the process goes on is left to chance.
			n.w.after(n.paused-n.w.now+n.w.hop(), try)
		} else if n.busy > n.w.now {
			n.w.after(n.busy-n.w.now, try)
		} else if n.inCore {
			n.w.after(spaceRetry/4, try)
		} else {
			n.event(f)
		}
	}
	n.w.after(d, try)
}

// onNode plans something for another goroutine of the process.
func (n *simNode) onNode(d time.Duration, f func()) {
	run := n.run
	var try func()
	try = func() {
		if !n.up || n.run != run {
			return
		}
		if n.paused > n.w.now {
			n.w.after(n.paused-n.w.now+n.w.hop(), try)
			return
		}
		f()
		if n.disk.off && !n.inCore {
			n.reap()
		}
	}
	n.w.after(d, try)
}

// tickLoop is a time.Ticker: one tick at most waits until it is taken.
func (n *simNode) tickLoop(run uint64) {
	n.w.after(time.Duration(float64(simTick)/n.rate), func() {
		if !n.up || n.run != run {
			return
		}
		if !n.tickDue {
			n.tickDue = true
			n.onCore(0, func() error {
				n.tickDue = false
				n.core.tick()
				return nil
			})
		}
		n.tickLoop(run)
	})
}

// take is Group.Step.
func (n *simNode) take(m *pb.Message) bool {
	if len(n.inbox) >= 512 {
		return false
	}
	n.inbox = append(n.inbox, m)
	n.drain()
	return true
}

// drain steps the messages that wait.
func (n *simNode) drain() {
	if n.draining || len(n.inbox) == 0 {
		return
	}
	n.draining = true
	n.onCore(0, func() error {
		n.draining = false
		n.stepWaiting()
		n.drain()
		return nil
	})
}

// stepWaiting steps messages that wait, sometimes several before raft is asked what
// to do, as Group.takeMessages does.
func (n *simNode) stepWaiting() {
	k := min(1, len(n.inbox))
	for k < len(n.inbox) && k < burst && n.w.chance(0.7) {
		k++
	}
	for _, m := range n.inbox[:k] {
		if !n.lone(m) {
			n.core.step(m)
		}
	}
	n.inbox = n.inbox[k:]
}

// readBarrier is Group.ReadBarrier. done may be called at once; cancel gives up.
func (n *simNode) readBarrier(done func(error)) (cancel func()) {
	if n.w.mutant == mutantNoBarrier {
		done(nil)
		return func() {}
	}
	if n.fast {
		done(nil)
		return func() {}
	}
	if n.w.lease && n.core.lease.valid(n.clock()) {
		n.w.stats.LeaseReads++
		done(nil)
		return func() {}
	}
	// Not from readWaits: its channels must be of this schedule's bubble.
	wait := &readWait{done: make(chan error, 1)}
	n.reads = append(n.reads, &simReader{wait, done})
	if n.core.reads.add(wait) {
		n.onCore(0, func() error {
			n.core.startRead()
			return nil
		})
	}
	return func() { wait.gone.Store(true) }
}

// crash stops the machine, or kills the process, at once.
func (n *simNode) crash(loss simLoss) {
	if !n.up || n.disk.off {
		return
	}
	n.w.log(n.id, "crash", uint64(loss))
	n.switchOff(loss)
	if !n.inCore {
		n.reap()
	}
}

// reap ends the process of a machine that has stopped.
func (n *simNode) reap() {
	n.w.stats.Crashes++
	n.end()
	n.disk.switchOn()
	n.w.crashed(n)
}

// end takes the process away. Whoever waits for it learns that it broke.
func (n *simNode) end() {
	n.up, n.leads, n.fast = false, 0, false
	n.run = 0
	if n.log != nil {
		off := n.disk.off
		n.disk.off = true
		if n.protect(n.log.Close) == nil {
			n.log = nil
		}
		n.disk.off = off
	}
	n.core = nil
	n.writer.lost()
	for _, rd := range n.reads {
		rd.done(ErrStopped)
	}
	n.reads, n.changes = nil, nil
	n.w.net.forget(n)
}

// stop is a clean end: see Group.run and Shard.Close.
func (n *simNode) stop() {
	if !n.up || n.inCore {
		return
	}
	n.w.log(n.id, "stop")
	n.core.pending.failAll(ErrUncertain)
	n.core.reads.close(ErrStopped)
	n.look()
	n.flush()
	if n.disk.off {
		n.reap()
		return
	}
	if err := n.protect(n.log.Close); err != nil {
		n.w.fail("node %d: close: %v", n.id, err)
	}
	if n.disk.off {
		n.reap()
		return
	}
	n.log = nil
	n.end()
	n.w.crashed(n)
}
