package shard

import (
	"fmt"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
)

// stateMachine is the side of a shard that consensus sees.
type stateMachine Shard

// Apply makes an entry visible: data and position in one engine write, then
// what the keyspace keeps in memory, then the tasks that wait for it.
func (m *stateMachine) Apply(index raftlog.Index, _ raftlog.Term, data []byte, own *consensus.Proposal) error {
	s := (*Shard)(m)
	if len(data) > 0 {
		if err := s.eng.Apply(data); err != nil {
			return fmt.Errorf("shard: apply: %w", err)
		}
	}
	if own != nil {
		// The writer waits for this proposal and touches nothing meanwhile.
		s.ks.Publish(&s.w.tx)
	}
	s.applied.Store(uint64(index))
	if own != nil {
		s.finish(nil)
	}
	return nil
}

// Leading lets the writer evaluate under term.
func (m *stateMachine) Leading(term raftlog.Term) {
	m.leads.Store(uint64(term))
	kick(m.lead)
}

// Following stops the writer from evaluating.
func (m *stateMachine) Following(consensus.NodeID) {
	m.leads.Store(0)
	kick(m.lead)
}
