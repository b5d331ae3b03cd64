package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Bounds of a group's queues. At the bound of the inbox messages are dropped,
// which raft takes for a slow network.
const (
	proposalQueue = 16
	reportQueue   = 64
	controlQueue  = 16
	inboxMessages = 4096
	inboxBytes    = 64 << 20
	// spaceRetry is the pause between two tries to write to a full disk.
	spaceRetry = 100 * time.Millisecond
)

// Group is one member of one Raft group: a core, and what waits for the goroutine
// that drives it. That is a worker's, or one of its own while away is set.
type Group struct {
	o    Options
	c    *core // belongs to the goroutine
	w    *Worker
	away atomic.Bool
	over bool // has ended; belongs to the goroutine
	// tickDue says that time has passed which core has not been told of; the worker's.
	tickDue bool

	proposals chan *Proposal
	inbox     chan *pb.Message
	queued    atomic.Int64 // bytes of entries in inbox
	dropped   atomic.Uint64
	readKick  chan struct{}
	ctl       chan *command
	reports   chan func(*core)
	stop      chan struct{}
	stopOnce  sync.Once
	done      chan struct{}
	err       error

	status  atomic.Pointer[Status]
	fast    atomic.Bool // alone and leading: what was acknowledged is applied
	changed struct {
		sync.Mutex
		c chan struct{}
	}
}

// Start opens a group on its log. A group whose only voter is this node
// campaigns at once instead of waiting for an election timeout.
func Start(o Options) (*Group, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	c, err := newCore(o)
	if err != nil {
		return nil, err
	}
	g := &Group{
		o: o, c: c,
		proposals: make(chan *Proposal, proposalQueue),
		inbox:     make(chan *pb.Message, inboxMessages),
		readKick:  make(chan struct{}, 1),
		ctl:       make(chan *command, controlQueue),
		reports:   make(chan func(*core), reportQueue),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	g.changed.c = make(chan struct{})
	c.pause, c.beat = g.pause, g.beat
	g.publish()
	if c.alone() {
		if err := c.rn.Campaign(); err != nil {
			return nil, fmt.Errorf("consensus: campaign: %w", err)
		}
	}
	if g.w = o.Worker; g.w == nil {
		g.w = NewWorker()
	}
	g.w.add(g)
	return g, nil
}

// Propose hands a batch to the group. The outcome comes from p.Wait.
func (g *Group) Propose(p *Proposal) {
	p.done = make(chan error, 1)
	select {
	case g.proposals <- p:
		g.Wake()
	case <-g.done:
		p.finish(ErrStopped)
		return
	}
	// The group may have stopped between taking p into its channel and reading
	// it; whoever finds it there ends it.
	select {
	case <-g.done:
		g.drain()
	default:
	}
}

// Step hands the group a message of a peer, which must not be changed any more.
// false: too many wait, it was dropped.
func (g *Group) Step(m *pb.Message) bool {
	defer g.Wake()
	return g.Offer(m)
}

// Offer is Step without Wake, which must follow when there are no more.
func (g *Group) Offer(m *pb.Message) bool {
	g.answerBusy(m)
	n := entryBytes(m.GetEntries())
	if n > 0 && g.queued.Load() > inboxBytes {
		g.dropped.Add(1)
		return false
	}
	g.queued.Add(n)
	select {
	case g.inbox <- m:
		return true
	default:
		g.queued.Add(-n)
		g.dropped.Add(1)
		return false
	}
}

// Wake has the group look at what it was offered.
func (g *Group) Wake() { g.w.Wake() }

// Install steps the MsgSnap of a raft snapshot that has been received, and returns
// when the group is through with it: it has switched to it, or did not want it.
// Errors: ErrStopped, or ctx's when the group did not get to it in time; it never
// will then.
func (g *Group) Install(ctx context.Context, m *pb.Message) error {
	done := make(chan struct{})
	err := g.do(ctx, func(c *core) error {
		defer close(done)
		c.step(m)
		return c.settle()
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-g.done:
		return ErrStopped
	}
}

// ReadBarrier returns when this node has applied all that had been committed
// when it was called. Errors: ErrStopped, or ctx's: then there was no leader that
// a majority follows.
func (g *Group) ReadBarrier(ctx context.Context) error { return g.barrier(ctx, nil) }

// ConfirmLeading returns nil when this node has led in term from before the call
// until a majority confirmed it, so that nothing was committed meanwhile but by
// it. Errors: ErrNotLeader, ErrStopped, ctx's.
func (g *Group) ConfirmLeading(ctx context.Context, term raftlog.Term) error {
	for {
		changed := g.LeaderChanged()
		if st := g.Status(); !st.Leading || st.Term != term {
			return ErrNotLeader
		}
		err := g.barrier(ctx, changed)
		if st := g.Status(); err == nil && (!st.Leading || st.Term != term) {
			return ErrNotLeader
		}
		if !errors.Is(err, errChanged) {
			return err
		}
	}
}

// errChanged ends a wait because leader or members have changed.
var errChanged = errors.New("consensus: the group has changed")

// barrier is ReadBarrier that can be ended by changed.
func (g *Group) barrier(ctx context.Context, changed <-chan struct{}) error {
	w := g.askRead()
	if w == nil {
		return nil
	}
	g.Wake()
	return w.wait(ctx, changed)
}

// askRead queues a read; nil: it needs no barrier. Wake must follow.
func (g *Group) askRead() *readWait {
	if g.fast.Load() || g.o.Lease && g.LeaseValid() {
		return nil
	}
	w := readWaits.Get().(*readWait)
	if g.c.reads.add(w) {
		kick(g.readKick)
	}
	return w
}

// Alone says whether this node is the only member, and leads: there is nobody to ask
// before a read.
func (g *Group) Alone() bool { return g.fast.Load() }

// LeaseValid says whether this node leads and no other can: what is applied here
// now is all that was ever acknowledged.
func (g *Group) LeaseValid() bool { return g.c.lease.valid(g.o.Now()) }

// ChangeMembership proposes a change and returns when it is applied here.
// Errors: ErrNotLeader, ErrMembershipPending (nothing happened), ErrUncertain,
// ErrStopped, or ctx's, after which it may still happen.
func (g *Group) ChangeMembership(ctx context.Context, cc *pb.ConfChangeV2) error {
	p := &Proposal{Context: cc, done: make(chan error, 1)}
	if err := g.do(ctx, func(c *core) error { return c.changeMembership(p, cc) }); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.done:
		return ErrUncertain
	}
}

// TransferLeader hands the leadership to a voter that is up to date and returns
// when this node does not lead any more. Errors: ErrNotLeader, ErrNoTransfer
// after an election timeout, ErrStopped, ctx's.
func (g *Group) TransferLeader(ctx context.Context, to NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, 2*g.o.electionTimeout())
	defer cancel()
	began := make(chan error, 1)
	err := g.do(ctx, func(c *core) error {
		if !c.leading {
			began <- ErrNotLeader
			return nil
		}
		c.transfer(to)
		began <- nil
		return nil
	})
	if err == nil {
		err = <-began
	}
	if err != nil {
		return err
	}
	for {
		changed := g.LeaderChanged()
		if st := g.Status(); st.Leader != g.o.ID && st.Leader != 0 {
			return nil
		}
		select {
		case <-changed:
		case <-g.done:
			return ErrStopped
		case <-ctx.Done():
			return ErrNoTransfer
		}
	}
}

// PeerGone says that a member's process does not exist any more. When it led, a
// new leader is elected without waiting for the election timeout.
func (g *Group) PeerGone(id NodeID) { g.report(func(c *core) { c.peerGone(id) }) }

// ReportUnreachable says that messages to a member were lost.
func (g *Group) ReportUnreachable(id NodeID) {
	g.report(func(c *core) { c.rn.ReportUnreachable(uint64(id)) })
}

// ReportSnapshot says how the transfer of a raft snapshot to a member ended. It
// may wait for the group, which must know.
func (g *Group) ReportSnapshot(id NodeID, ok bool) {
	status := raft.SnapshotFailure
	if ok {
		status = raft.SnapshotFinish
	}
	select {
	case g.reports <- func(c *core) { c.rn.ReportSnapshot(uint64(id), status) }:
		g.Wake()
	case <-g.done:
	}
}

// report tells the group what helps it but what it can do without.
func (g *Group) report(f func(*core)) {
	select {
	case g.reports <- f:
		g.Wake()
	default:
	}
}

// Done is closed when the group has stopped; Err then says why (nil: Stop).
func (g *Group) Done() <-chan struct{} { return g.done }

// Err is what stopped the group. Only valid after Done.
func (g *Group) Err() error { return g.err }

// Stop ends the group, and waits until what it is doing is done.
func (g *Group) Stop() {
	g.stopOnce.Do(func() { close(g.stop) })
	g.Wake()
	<-g.done
}

// end is the group's last act; err says why, nil: Stop.
func (g *Group) end(err error) {
	if errors.Is(err, ErrStopped) || errors.Is(err, engine.ErrNoSpace) && g.stopping() {
		err = nil // it waited for space, and the next start goes on from there
	}
	g.over = true
	g.err = err
	g.fast.Store(false)
	g.c.lease.drop()
	close(g.done)
	g.c.pending.failAll(ErrUncertain)
	g.c.reads.close(ErrStopped)
	g.drain()
	if err != nil {
		g.o.OnFatal(err)
	}
}

// stopping says that Stop was called.
func (g *Group) stopping() bool {
	select {
	case <-g.stop:
		return true
	default:
		return false
	}
}

// drain ends the proposals that never reached raft.
func (g *Group) drain() {
	for {
		select {
		case p := <-g.proposals:
			p.finish(ErrStopped)
		default:
			return
		}
	}
}

// pause waits for space on the disk.
func (g *Group) pause() bool {
	select {
	case <-g.stop:
		return false
	case <-time.After(spaceRetry):
		return true
	}
}

// kick makes sure that c's reader wakes up once more.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
