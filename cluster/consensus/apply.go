package consensus

import (
	"fmt"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// apply hands the next committed entry to the state machine, and ends what waits for it.
func (c *core) apply(e *pb.Entry) error {
	index, term := raftlog.Index(e.GetIndex()), raftlog.Term(e.GetTerm())
	if index != c.applied+1 {
		panic(fmt.Sprintf("consensus: invariant: entry %d applied after %d", index, c.applied))
	}
	own := c.pending.take(index, term)
	var err error
	if e.GetType() != pb.EntryNormal {
		err = c.applyConf(index, term, e)
	} else {
		err = c.o.StateMachine.Apply(index, term, e.GetData(), own)
	}
	if err != nil {
		if own != nil {
			own.finish(ErrUncertain)
		}
		return fmt.Errorf("consensus: apply entry %d: %w", index, err)
	}
	c.applied = index
	c.unapplied = max(c.unapplied-int64(len(e.GetData())), 0)
	c.lease.applied.Store(uint64(index))
	if own != nil {
		own.finish(own.result(e))
	}
	if c.leaving <= index {
		c.leaving = 0
	}
	if c.leading && !c.ready && term == c.term {
		c.ready = true
		c.o.StateMachine.Leading(term)
	}
	c.reads.applied(index)
	return nil
}

// result tells a membership change that raft replaced by an empty entry, because
// another one was under way, from one that was made.
func (p *Proposal) result(e *pb.Entry) error {
	if _, ok := p.Context.(*pb.ConfChangeV2); ok && e.GetType() == pb.EntryNormal {
		return ErrMembershipPending
	}
	return nil
}

// applyConf changes the membership.
func (c *core) applyConf(index raftlog.Index, term raftlog.Term, e *pb.Entry) error {
	var change pb.ConfChangeI
	if e.GetType() == pb.EntryConfChange {
		cc := &pb.ConfChange{}
		if err := unmarshal(e.GetData(), cc); err != nil {
			return err
		}
		change = cc
	} else {
		cc := &pb.ConfChangeV2{}
		if err := unmarshal(e.GetData(), cc); err != nil {
			return err
		}
		change = cc
	}
	c.conf = c.rn.ApplyConfChange(change)
	return c.o.StateMachine.ApplyConf(index, term, c.conf)
}

// restore switches to a raft snapshot.
func (c *core) restore(snap *pb.Snapshot) error {
	md := snap.GetMetadata()
	if err := c.o.StateMachine.Restore(snap); err != nil {
		return fmt.Errorf("consensus: restore at %d: %w", md.GetIndex(), err)
	}
	c.applied, c.unapplied = raftlog.Index(md.GetIndex()), 0
	c.conf = raftConfState(md.GetConfState())
	// Whether they are in the snapshot cannot be seen.
	c.pending.failUpTo(c.applied, ErrUncertain)
	c.reads.applied(c.applied)
	return nil
}

func changesMembers(entries []*pb.Entry) bool {
	for _, e := range entries {
		if e.GetType() != pb.EntryNormal {
			return true
		}
	}
	return false
}

// persistCommit makes durable that what is committed is committed. Usually that
// need not be: a majority tells it again. But the old majority may be gone for good
// after a change of the membership. Where one of two members was removed and its
// process ended, the other one must know that, also after a crash.
func (c *core) persistCommit() error {
	hs := c.rn.BasicStatus().HardState
	if err := c.append(raft.Ready{HardState: hs, MustSync: true}); err != nil {
		return fmt.Errorf("consensus: persist the commit index: %w", err)
	}
	return nil
}

func unmarshal(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("decode membership change: %w", err)
	}
	return nil
}
