package consensus

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// handleReady does what raft asks for, in its order: what was received as a raft
// snapshot, then persist, send, apply. A leader's entries leave before its own
// write of them: a majority of writes counts, whoever's they are.
func (c *core) handleReady() error {
	c.begin()
	return c.carryOut()
}

// begin takes from raft what is to be done.
func (c *core) begin() {
	c.beginHeavy(c.unapplied)
	c.rd = c.rn.Ready()
	c.beginHeavy(entryBytes(c.rd.Entries))
	c.observe(c.rd)
	if !raft.IsEmptyHardState(c.rd.HardState) {
		// Before others are told of it.
		c.lease.committed.Store(c.rd.HardState.GetCommit())
	}
	c.sort(c.rd)
}

// carryOut does what begin has taken.
func (c *core) carryOut() error {
	c.send(c.out)
	if !raft.IsEmptySnap(c.rd.Snapshot) {
		if err := c.restore(c.rd.Snapshot); err != nil {
			c.heavy.end()
			return err
		}
	}
	return c.persist()
}

// persist writes what is to be written, and goes on from there.
func (c *core) persist() error {
	if c.writes() {
		if err := c.append(c.rd); err != nil {
			c.heavy.end()
			return fmt.Errorf("consensus: append: %w", err)
		}
	}
	c.send(c.late)
	return c.conclude()
}

// writes says whether there is something for the log.
func (c *core) writes() bool {
	return len(c.rd.Entries) > 0 || !raft.IsEmptyHardState(c.rd.HardState)
}

func (c *core) send(msgs []*pb.Message) {
	if len(msgs) > 0 {
		c.o.Transport.Send(msgs)
	}
}

// conclude is what is left when all has been written, and messages were sent.
func (c *core) conclude() error {
	defer c.heavy.end()
	rd := c.rd
	if changesMembers(rd.CommittedEntries) {
		if err := c.persistCommit(); err != nil {
			return err
		}
	}
	for _, e := range rd.CommittedEntries {
		if err := c.apply(e); err != nil {
			return err
		}
	}
	c.confirmReads(rd.ReadStates)
	c.rn.Advance(rd)
	c.rd = raft.Ready{}
	return nil
}
