package consensus

import (
	"errors"
	"log/slog"
	"time"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// NodeID names a member of a group. It is never zero and never used again.
type NodeID uint64

// Errors that end a proposal. ErrUncertain means that its outcome is not known; all
// others that it did not happen and never will.
var (
	ErrTermChanged = errors.New("consensus: the term has changed")
	ErrNotLeader   = errors.New("consensus: not the leader")
	ErrUncertain   = errors.New("consensus: the outcome of the proposal is not known")
	ErrStopped     = errors.New("consensus: the group has stopped")
	// ErrMembershipPending: another change of the membership is under way.
	ErrMembershipPending = errors.New("consensus: another membership change is under way")
	// ErrNoTransfer: leadership could not be handed over in time.
	ErrNoTransfer = errors.New("consensus: the leadership was not taken over")
)

// Log is the durable log of one group: raft's Storage, and appending to it.
type Log interface {
	raft.Storage
	// Append writes a hard state (nil: unchanged) and entries, and when
	// mustSync returns only once they are as durable as the fsync mode says.
	// engine.ErrNoSpace means that nothing was written: the group tries again.
	Append(hs *pb.HardState, entries []*pb.Entry, mustSync bool) error
}

// Transport carries messages to the other members.
type Transport interface {
	// Send hands messages over. It never blocks, and it may drop: raft sends
	// again what matters. The messages must not be changed. A MsgSnap is only
	// the announcement of a raft snapshot, whose data the transport's owner
	// brings by its own ways and reports with Group.ReportSnapshot.
	Send(msgs []*pb.Message)
}

// StateMachine is what a group's committed entries are applied to. All its
// methods are called on the group's goroutine and must not call back into it.
type StateMachine interface {
	// Apply makes one committed entry visible. data is empty for an entry that
	// raft made itself. own is the proposal that the entry came from when this
	// group proposed it and still waits for it, else nil. An error is fatal.
	Apply(index raftlog.Index, term raftlog.Term, data []byte, own *Proposal) error
	// ApplyConf records the membership that holds after the entry. An error is
	// fatal.
	ApplyConf(index raftlog.Index, term raftlog.Term, cs *pb.ConfState) error
	// Restore replaces the whole state by a raft snapshot that was received and
	// verified, and empties the log up to it. It waits where the disk is full. An
	// error is fatal, but for one that wraps ErrStopped: the group then stops as it
	// does by Stop.
	Restore(snap *pb.Snapshot) error
	// Leading says that this node leads in the given term and has applied an
	// entry of it: evaluation may begin.
	Leading(term raftlog.Term)
	// Following says that this node does not lead (any more).
	Following(leader NodeID)
}

// Options configures a group. Zero values mean the defaults.
type Options struct {
	ID           NodeID
	Log          Log
	StateMachine StateMachine
	// Transport reaches the other members; nil: there are none.
	Transport Transport
	// Worker drives the group, with others; nil: one of its own.
	Worker *Worker
	// Applied is the index up to which the state machine has the entries.
	Applied raftlog.Index
	// ConfState is the membership at Applied; nil: what the log says.
	ConfState *pb.ConfState
	// TickInterval is raft's unit of time; default 50 ms.
	TickInterval time.Duration
	// ElectionTicks and HeartbeatTicks are in units of TickInterval; defaults
	// 15 and 2.
	ElectionTicks  int
	HeartbeatTicks int
	// Admit says whether a follower can store entries of that many bytes now;
	// when not, they are not taken, and the leader sends them again. nil: yes.
	Admit func(bytes int64) error
	// MoreSoon says whether a proposal is about to come. Then a leader keeps the
	// news of a commit back, to go along with it. nil: no.
	MoreSoon func() bool
	// Seed tells the read index requests of this run from those of any other
	// run of any member; it must never repeat.
	Seed uint64
	// Lease lets the leader answer reads without asking the others for a while
	// after they confirmed it. It relies on all members' clocks running at about
	// the same speed.
	Lease bool
	// Now is a monotonic clock; default time.Now.
	Now    func() time.Time
	Logger *slog.Logger
	// OnFatal is called once, from the group's goroutine, when the group has
	// to stop: a failed append or apply.
	OnFatal func(error)
}

func (o Options) withDefaults() Options {
	if o.TickInterval == 0 {
		o.TickInterval = 50 * time.Millisecond
	}
	if o.ElectionTicks == 0 {
		o.ElectionTicks = 15
	}
	if o.HeartbeatTicks == 0 {
		o.HeartbeatTicks = 2
	}
	if o.Transport == nil {
		o.Transport = nowhere{}
	}
	if o.Admit == nil {
		o.Admit = func(int64) error { return nil }
	}
	if o.MoreSoon == nil {
		o.MoreSoon = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.ID == 0:
		return errors.New("consensus: Options.ID is zero")
	case o.Log == nil:
		return errors.New("consensus: Options.Log is nil")
	case o.StateMachine == nil:
		return errors.New("consensus: Options.StateMachine is nil")
	case o.ElectionTicks <= o.HeartbeatTicks:
		return errors.New("consensus: ElectionTicks must be greater than HeartbeatTicks")
	}
	return nil
}

// electionTimeout is the shortest time without a leader's word after which a
// member campaigns; raft waits up to twice as long.
func (o *Options) electionTimeout() time.Duration {
	return time.Duration(o.ElectionTicks) * o.TickInterval
}

// nowhere is the Transport of a group without other members.
type nowhere struct{}

func (nowhere) Send([]*pb.Message) {}
