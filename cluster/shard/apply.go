package shard

import (
	"bytes"
	"fmt"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
)

// stateMachine is the side of a shard that consensus sees.
type stateMachine Shard

// Apply makes an entry visible: data and position in one engine write, then
// what the keyspace keeps in memory, then the tasks that wait for it.
func (m *stateMachine) Apply(index raftlog.Index, _ raftlog.Term, data []byte, own *consensus.Proposal) error {
	s := (*Shard)(m)
	st := s.state.Load()
	mine := own != nil && own.Context == any(s) && s.w.st == st
	var err error
	s.notes = s.notes[:0]
	switch {
	case len(data) == 0:
		// The position moves all the same: a raft snapshot's data says how far it is.
		s.batch.Reset()
		putPosition(&s.batch, index)
		err = st.eng.Apply(s.batch.Repr())
	case mine && !s.w.copies:
		// The writer waits for this proposal and touches nothing meanwhile.
		if err = st.eng.Apply(data); err == nil {
			if notes := s.w.tx.Notes(); len(notes) > 0 {
				s.notes = append(s.notes, bytes.Clone(notes))
			}
			s.metrics.changes.Add(s.w.tx.Changes)
			st.ks.Publish(&s.w.tx)
			if uint64(index) != s.w.position {
				// What it changed is noted at an earlier position, and might count as seen.
				st.ks.ResetChanges(uint64(index))
			}
		}
	default:
		err = s.applyForeign(st, data)
	}
	if err != nil {
		return fmt.Errorf("shard: apply: %w", err)
	}
	s.moved(index)
	for _, notes := range s.notes {
		s.o.OnNotes(notes)
	}
	clear(s.notes)
	if len(data) > 0 {
		s.o.OnApplied(data)
	}
	if mine {
		if s.w.raw {
			if err := s.scanRecords(data, nil); err != nil {
				return err
			}
			s.tellRecords()
		}
		s.finish(nil)
	}
	return nil
}

// applyForeign applies a batch that was not evaluated by the writer as it is now.
func (s *Shard) applyForeign(st *state, data []byte) error {
	s.foreign.Reset()
	if err := s.scanRecords(data, s.foreign.Record); err != nil {
		return err
	}
	st.ks.BeginForeign(&s.foreign)
	err := st.eng.Apply(data)
	st.ks.EndForeign(&s.foreign)
	if err == nil {
		s.tellRecords()
	}
	return err
}

// scanRecords looks for the shard's own records among those of a batch: record is
// called with each, and those that Options.OnRecord wants are kept for tellRecords.
func (s *Shard) scanRecords(data []byte, record func(key, value []byte) error) error {
	s.records = s.records[:0]
	r, err := engine.ReadBatch(data)
	if err != nil {
		return err
	}
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		if key[0] != 's' {
			if record != nil && key[0] == 'm' {
				s.metrics.changes.Add(1)
			}
			continue
		}
		if bytes.Equal(key, sourceKey) {
			if err := s.followSource(kind, value); err != nil {
				return err
			}
			continue
		}
		if kind != engine.KindPut {
			continue
		}
		if bytes.Equal(key, keyspace.NotesKey) {
			s.notes = append(s.notes, bytes.Clone(value))
			continue
		}
		if bytes.HasPrefix(key, rawPrefix) {
			s.records = append(s.records, ownRecord{bytes.Clone(key), bytes.Clone(value)})
		} else if record != nil {
			if err := record(key, value); err != nil {
				return err
			}
		}
	}
}

// ownRecord is a record that was written by Task.EvalRaw.
type ownRecord struct{ key, value []byte }

func (s *Shard) tellRecords() {
	for _, r := range s.records {
		s.o.OnRecord(r.key, r.value)
	}
	s.records = s.records[:0]
}

// ApplyConf writes the membership down, with the position that it holds from.
func (m *stateMachine) ApplyConf(index raftlog.Index, _ raftlog.Term, cs *pb.ConfState) error {
	s := (*Shard)(m)
	s.batch.Reset()
	putPosition(&s.batch, index)
	if err := putConf(&s.batch, cs); err != nil {
		return err
	}
	if err := s.state.Load().eng.Apply(s.batch.Repr()); err != nil {
		return fmt.Errorf("shard: apply membership: %w", err)
	}
	s.conf = cs
	s.moved(index)
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
	m.lot.clear(ErrNotLeader)
	kick(m.lead)
}
