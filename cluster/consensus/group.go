package consensus

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Bounds of a group. The number of proposals is bounded by the shard, which
// has one in flight; the channel only needs room so that Propose never waits.
const (
	proposalQueue   = 16
	maxSizePerMsg   = 1 << 20
	maxInflightMsgs = 256
)

// Group is one member of one Raft group.
type Group struct {
	o         Options
	rn        *raft.RawNode
	proposals chan *Proposal
	stop      chan struct{}
	stopOnce  sync.Once
	done      chan struct{}
	status    atomic.Pointer[Status]

	// The rest belongs to the group's goroutine.
	pending pending
	term    raftlog.Term
	leading bool // raft says leader
	ready   bool // StateMachine.Leading was called for this term
	applied raftlog.Index
	err     error
}

// Status is a moment's view of a group.
type Status struct {
	ID      NodeID
	Leader  NodeID // zero when unknown
	Term    raftlog.Term
	Commit  raftlog.Index
	Applied raftlog.Index
	Leading bool // leads, and has applied an entry of its term
}

// Start opens a group on its log. A group whose only voter is this node
// campaigns at once instead of waiting for an election timeout.
func Start(o Options) (*Group, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	hs, cs, err := o.Log.InitialState()
	if err != nil {
		return nil, fmt.Errorf("consensus: read initial state: %w", err)
	}
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(o.ID),
		ElectionTick:              o.ElectionTicks,
		HeartbeatTick:             o.HeartbeatTicks,
		Storage:                   o.Log,
		Applied:                   uint64(o.Applied),
		MaxSizePerMsg:             maxSizePerMsg,
		MaxCommittedSizePerReady:  math.MaxUint64,
		MaxInflightMsgs:           maxInflightMsgs,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		Logger:                    raftLogger{o.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("consensus: start raft: %w", err)
	}
	g := &Group{
		o: o, rn: rn, applied: o.Applied, term: raftlog.Term(hs.GetTerm()),
		proposals: make(chan *Proposal, proposalQueue),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	g.publish()
	if v := cs.GetVoters(); len(v) == 1 && v[0] == uint64(o.ID) {
		if err := rn.Campaign(); err != nil {
			return nil, fmt.Errorf("consensus: campaign: %w", err)
		}
	}
	go g.run()
	return g, nil
}

// Propose hands a batch to the group. The outcome comes from p.Wait.
func (g *Group) Propose(p *Proposal) {
	p.done = make(chan error, 1)
	select {
	case g.proposals <- p:
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

// Status returns the latest published view.
func (g *Group) Status() Status { return *g.status.Load() }

// Done is closed when the group has stopped; Err then says why (nil: Stop).
func (g *Group) Done() <-chan struct{} { return g.done }

// Err is what stopped the group. Only valid after Done.
func (g *Group) Err() error { return g.err }

// Stop ends the group and waits for its goroutine.
func (g *Group) Stop() {
	g.stopOnce.Do(func() { close(g.stop) })
	<-g.done
}

func (g *Group) run() {
	ticker := time.NewTicker(g.o.TickInterval)
	defer ticker.Stop()
	err := g.loop(ticker.C)
	g.err = err
	close(g.done)
	g.pending.failAll(ErrUncertain)
	g.drain()
	if err != nil {
		g.o.OnFatal(err)
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

func (g *Group) loop(ticks <-chan time.Time) error {
	for {
		for g.rn.HasReady() {
			if err := g.handleReady(); err != nil {
				return err
			}
		}
		select {
		case <-g.stop:
			return nil
		case <-ticks:
			g.rn.Tick()
		case p := <-g.proposals:
			if err := g.propose(p); err != nil {
				return err
			}
		}
	}
}

// propose steps one proposal into raft, or refuses it. Raft appends it at the
// index after the log's last one: the log is complete whenever this runs, since
// every Ready is handled before the next proposal is taken.
func (g *Group) propose(p *Proposal) error {
	switch {
	case !g.leading:
		p.finish(ErrNotLeader)
		return nil
	case p.Term != g.term:
		p.finish(ErrTermChanged)
		return nil
	}
	last, err := g.o.Log.LastIndex()
	if err != nil {
		p.finish(ErrStopped)
		return fmt.Errorf("consensus: last index: %w", err)
	}
	p.setIndex(raftlog.Index(last) + 1)
	if err := g.rn.Propose(p.Data); err != nil {
		// Raft refuses before it appends (no leader, leadership transfer).
		p.finish(ErrNotLeader)
		return nil
	}
	g.pending.push(p)
	return nil
}

// handleReady does what raft asks for, in the order that it asks for: persist,
// then (later: send, then) apply.
func (g *Group) handleReady() error {
	rd := g.rn.Ready()
	g.observe(rd)
	if len(rd.Entries) > 0 || !raft.IsEmptyHardState(rd.HardState) {
		if err := g.o.Log.Append(rd.HardState, rd.Entries, rd.MustSync); err != nil {
			return fmt.Errorf("consensus: append: %w", err)
		}
	}
	for _, e := range rd.CommittedEntries {
		if err := g.apply(e); err != nil {
			return err
		}
	}
	g.rn.Advance(rd)
	g.publish()
	return nil
}

// observe follows changes of term and role.
func (g *Group) observe(rd raft.Ready) {
	if !raft.IsEmptyHardState(rd.HardState) {
		g.term = raftlog.Term(rd.HardState.GetTerm())
	}
	if rd.SoftState == nil {
		return
	}
	leading := rd.SoftState.RaftState == raft.StateLeader
	if g.leading && !leading {
		g.o.StateMachine.Following(NodeID(rd.SoftState.Lead))
		g.pending.failAll(ErrUncertain)
	}
	g.leading = leading
	g.ready = false
}

func (g *Group) apply(e *pb.Entry) error {
	index, term := raftlog.Index(e.GetIndex()), raftlog.Term(e.GetTerm())
	if index != g.applied+1 {
		panic(fmt.Sprintf("consensus: invariant: entry %d applied after %d", index, g.applied))
	}
	data := e.Data
	if e.GetType() != pb.EntryNormal {
		if err := g.applyConfChange(e); err != nil {
			return err
		}
		data = nil
	}
	own := g.pending.take(index, term)
	if err := g.o.StateMachine.Apply(index, term, data, own); err != nil {
		if own != nil {
			own.finish(ErrUncertain)
		}
		return fmt.Errorf("consensus: apply entry %d: %w", index, err)
	}
	g.applied = index
	if own != nil {
		own.finish(nil)
	}
	if g.leading && !g.ready && term == g.term {
		g.ready = true
		g.o.StateMachine.Leading(term)
	}
	return nil
}

// applyConfChange refuses what this version never proposes.
func (g *Group) applyConfChange(e *pb.Entry) error {
	return fmt.Errorf("consensus: entry %d is a membership change, which this version does not know", e.GetIndex())
}

func (g *Group) publish() {
	st := g.rn.BasicStatus()
	g.status.Store(&Status{
		ID:      g.o.ID,
		Leader:  NodeID(st.Lead),
		Term:    raftlog.Term(st.GetTerm()),
		Commit:  raftlog.Index(st.GetCommit()),
		Applied: g.applied,
		Leading: g.ready,
	})
}
