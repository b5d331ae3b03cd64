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

// Errors that end a proposal. ErrTermChanged and ErrNotLeader mean that it did
// not happen and never will; ErrUncertain that this is not known.
var (
	ErrTermChanged = errors.New("consensus: the term has changed")
	ErrNotLeader   = errors.New("consensus: not the leader")
	ErrUncertain   = errors.New("consensus: the outcome of the proposal is not known")
	ErrStopped     = errors.New("consensus: the group has stopped")
)

// Log is the durable log of one group: raft's Storage, and appending to it.
type Log interface {
	raft.Storage
	// Append writes a hard state (nil: unchanged) and entries, and when
	// mustSync returns only once they are as durable as the fsync mode says.
	Append(hs *pb.HardState, entries []*pb.Entry, mustSync bool) error
}

// StateMachine is what a group's committed entries are applied to. All its
// methods are called on the group's goroutine and must not call back into it.
type StateMachine interface {
	// Apply makes one committed entry visible. data is empty for an entry that
	// raft made itself. own is the proposal that the entry came from when this
	// group proposed it and still waits for it, else nil. An error is fatal.
	Apply(index raftlog.Index, term raftlog.Term, data []byte, own *Proposal) error
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
	// Applied is the index up to which the state machine has the entries.
	Applied raftlog.Index
	// TickInterval is raft's unit of time; default 100 ms.
	TickInterval time.Duration
	// ElectionTicks and HeartbeatTicks are in units of TickInterval; defaults
	// 10 and 1.
	ElectionTicks  int
	HeartbeatTicks int
	Logger         *slog.Logger
	// OnFatal is called once, from the group's goroutine, when the group has
	// to stop: a failed append or apply.
	OnFatal func(error)
}

func (o Options) withDefaults() Options {
	if o.TickInterval == 0 {
		o.TickInterval = 100 * time.Millisecond
	}
	if o.ElectionTicks == 0 {
		o.ElectionTicks = 10
	}
	if o.HeartbeatTicks == 0 {
		o.HeartbeatTicks = 1
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
