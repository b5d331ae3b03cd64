package consensus

import (
	"context"
	"errors"
	"fmt"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrNotAlone says that a group has other members, whose states would have to be
// replaced with this one's.
var ErrNotAlone = errors.New("consensus: the group has other members")

// Replace has the state machine restore snap, which did not come from this group,
// and the group go on behind it as one that was just started on that state. The
// snapshot's index must be above all that this node ever had in its log, so that
// no index means two things. It is for a group of this node alone. Errors:
// ErrNotAlone, ErrStopped, ctx's when the group did not get to it in time; that
// the state could not be replaced is fatal, like all that keeps a group from
// going on.
func (g *Group) Replace(ctx context.Context, snap *pb.Snapshot) error {
	result := make(chan error, 1)
	err := g.do(ctx, func(c *core) error {
		if !c.solitary() {
			result <- ErrNotAlone
			return nil
		}
		err := c.replace(snap)
		if err == nil {
			err = c.settle() // it leads again
		}
		result <- err
		return err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-g.done:
		return ErrStopped
	}
}

func (c *core) replace(snap *pb.Snapshot) error {
	md := snap.GetMetadata()
	last, err := c.o.Log.LastIndex()
	if err != nil {
		return fmt.Errorf("consensus: last index: %w", err)
	}
	if md.GetIndex() <= last {
		return fmt.Errorf("consensus: replace the state: %d is not above the log's last index %d", md.GetIndex(), last)
	}
	if c.leading {
		c.o.StateMachine.Following(0)
	}
	c.lead, c.leading, c.ready, c.leaving = 0, false, false, 0
	c.lease.unblock()
	if err := c.restore(snap); err != nil {
		return err
	}
	hs, _, err := c.o.Log.InitialState()
	if err != nil {
		return fmt.Errorf("consensus: read state of the log: %w", err)
	}
	c.term = raftlog.Term(hs.GetTerm())
	c.lease.committed.Store(uint64(c.applied))
	c.lease.applied.Store(uint64(c.applied))
	if c.rn, err = c.o.rawNode(c.applied, c.conf, &c.brief); err != nil {
		return err
	}
	if err := c.rn.Campaign(); err != nil {
		return fmt.Errorf("consensus: campaign: %w", err)
	}
	return nil
}

// rawNode makes raft's part of a group on what its log holds.
func (o *Options) rawNode(applied raftlog.Index, cs *pb.ConfState, brief *bool) (*raft.RawNode, error) {
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(o.ID),
		ElectionTick:              o.ElectionTicks,
		HeartbeatTick:             o.HeartbeatTicks,
		Storage:                   storage{o.Log, cs, brief},
		Applied:                   uint64(applied),
		MaxSizePerMsg:             maxSizePerMsg,
		MaxCommittedSizePerReady:  maxCommittedSize,
		MaxInflightMsgs:           maxInflightMsgs,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{o.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("consensus: start raft: %w", err)
	}
	return rn, nil
}
