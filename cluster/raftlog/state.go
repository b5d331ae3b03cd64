package raftlog

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// SetConfState writes the group's configuration and returns when it is durable
// in mode always. The log copies cs. Errors as Append's.
func (s *ShardLog) SetConfState(cs *raftpb.ConfState) error {
	conf, raw, err := encodeConf(cs)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	st, _ := s.state()
	st.conf = raw
	s.add = addition{hasHard: st.hard != hardState{}, hard: st.hard, conf: conf, confRaw: raw}
	return s.writeState(kindState, &st)
}

// Reset empties the shard's log after a raft snapshot was installed: it goes on
// with index+1. The hard state becomes one that a node with this snapshot can
// have: committed up to index, and of term at least, without a vote if it rises.
// Returns when it is durable in mode always, and in every mode when the term rises.
// The log copies cs. Errors as Append's.
func (s *ShardLog) Reset(index Index, term Term, cs *raftpb.ConfState) error {
	conf, raw, err := encodeConf(cs)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	st, _ := s.state()
	st.last, st.lastTerm, st.mark, st.conf = index, term, index, raw
	st.hard.commit = uint64(index)
	if st.hard.term < uint64(term) {
		st.hard.term, st.hard.vote = uint64(term), 0
	}
	s.add = addition{
		reset: true, first: index + 1, prev: term,
		hasHard: true, hard: st.hard, conf: conf, confRaw: raw,
	}
	return s.writeState(kindReset, &st)
}

// writeState writes s.add, of which st is the encoding. s.writing is held.
func (s *ShardLog) writeState(k kind, st *shardState) error {
	defer s.release()
	if err := s.l.usable(); err != nil {
		return err
	}
	s.rec.kind, s.rec.dataLen, s.rec.entries = k, 0, nil
	s.rec.buf = appendState(s.header(), st)
	s.rec.metaLen = len(s.rec.buf) - recordHeaderBytes
	s.req.sync = s.l.fsync() == FsyncAlways || s.newVote()
	return s.l.do(&s.req)
}

func encodeConf(cs *raftpb.ConfState) (*raftpb.ConfState, []byte, error) {
	if cs == nil {
		cs = &raftpb.ConfState{}
	}
	cs = proto.Clone(cs).(*raftpb.ConfState)
	raw, err := proto.Marshal(cs)
	if err != nil {
		return nil, nil, fmt.Errorf("raftlog: encode configuration: %w", err)
	}
	return cs, raw, nil
}

// Truncate says that the shard's engine has durably applied the entries up to
// upTo and needs them no more. Segments that no shard needs are dropped, but
// for RetainBytes of them; until then the entries can be read. That Truncate
// was called is written down with the next head or state and may be forgotten
// in a crash. It may sync, and must not be called where that is not allowed.
func (s *ShardLog) Truncate(upTo Index) error {
	if err := s.l.usable(); err != nil {
		return err
	}
	s.mu.Lock()
	upTo = min(upTo, s.mu.last)
	if upTo <= s.mu.mark {
		s.mu.Unlock()
		return nil
	}
	s.mu.mark = upTo
	s.mu.Unlock()
	if s.l.droppable() == 0 {
		return nil
	}
	return s.l.do(&request{fn: s.l.drop, wake: make(chan struct{}, 1)})
}

func (l *Log) usable() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return l.failed()
}

// state returns what a head says about the shard, and whether its hard state is
// newer than what the log has.
func (s *ShardLog) state() (st shardState, pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return shardState{
		id: s.id, hard: s.mu.hard, mark: s.mu.mark,
		last: s.mu.last, lastTerm: s.mu.term(s.mu.last), conf: s.mu.confRaw,
	}, s.mu.pending
}

// stateBytes bounds the encoding of state.
func (s *ShardLog) stateBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 8*maxUvarintLen + int64(len(s.mu.confRaw))
}

// hardWritten says that the log has this hard state.
func (s *ShardLog) hardWritten(h hardState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.hard == h {
		s.setHardLocked(h, false)
	}
}

func (s *ShardLog) needed() (seq uint64, upTo Index, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.needed(s.mu.mark)
}

func (s *ShardLog) forget(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.index.forget(seq)
	if n := Index(s.mu.cache.len()); n > s.mu.last-s.mu.base {
		// Cached entries are among those that can be read.
		freed := int64(0)
		for ; n > s.mu.last-s.mu.base; n-- {
			freed += s.mu.cache.evict(1)
		}
		s.l.cached.Add(-freed)
	}
}
