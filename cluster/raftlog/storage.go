package raftlog

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// InitialState returns the newest hard state, nil when there is none, and the
// configuration, an empty one when there is none. The caller owns both.
func (s *ShardLog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hs *raftpb.HardState
	if h := s.mu.hard; h != (hardState{}) {
		hs = &raftpb.HardState{Term: new(h.term), Vote: new(h.vote), Commit: new(h.commit)}
	}
	cs := &raftpb.ConfState{}
	if s.mu.conf != nil {
		cs = proto.Clone(s.mu.conf).(*raftpb.ConfState)
	}
	return hs, raftpb.EnsureConfState(cs), nil
}

// Entries returns the entries lo to hi-1, or fewer: as many as are together no
// larger than maxSize bytes of raft's encoding, but at least one. The caller
// owns the slice; the entries are shared and must not be changed. Errors:
// raft.ErrCompacted when lo is not above the first index less one,
// raft.ErrUnavailable when hi-1 is above the last, ErrCorrupt or an I/O error
// when entries cannot be read back.
func (s *ShardLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	s.mu.Lock()
	if Index(lo) <= s.mu.base {
		s.mu.Unlock()
		return nil, raft.ErrCompacted
	}
	if Index(hi) > s.mu.last+1 {
		s.mu.Unlock()
		return nil, raft.ErrUnavailable
	}
	if lo >= hi {
		s.mu.Unlock()
		return nil, nil
	}
	cachedFrom := s.mu.last + 1 - Index(s.mu.cache.len())
	if Index(lo) >= cachedFrom {
		all := s.mu.cache.from(Index(lo), s.mu.last)[:hi-lo]
		n := 1
		for size := entrySize(all[0]); n < len(all); n++ {
			if size += entrySize(all[n]); size > maxSize {
				break
			}
		}
		out := make([]*raftpb.Entry, n)
		copy(out, all)
		s.mu.Unlock()
		return out, nil
	}
	s.mu.Unlock()
	// What is cached beyond is left for the next call: raft asks again.
	r := diskReader{s: s, maxSize: maxSize}
	defer r.close()
	return r.read(Index(lo), min(Index(hi), cachedFrom))
}

// Tail is Entries from an index on up to the last one, for those who follow
// the log: nothing and no error when from is the next index to be appended.
// What it returns need not be committed nor durable.
func (s *ShardLog) Tail(from Index, maxBytes uint64) ([]*raftpb.Entry, error) {
	s.mu.Lock()
	last := s.mu.last
	s.mu.Unlock()
	switch {
	case from == last+1:
		return nil, nil
	case from > last:
		return nil, raft.ErrUnavailable
	}
	return s.Entries(uint64(from), uint64(last)+1, maxBytes)
}

// Term returns the term of entry i, which may also be the one before the first.
// Errors: raft.ErrCompacted, raft.ErrUnavailable.
func (s *ShardLog) Term(i uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if Index(i) < s.mu.base {
		return 0, raft.ErrCompacted
	}
	if Index(i) > s.mu.last {
		return 0, raft.ErrUnavailable
	}
	return uint64(s.mu.term(Index(i))), nil
}

// LastIndex returns the index of the last entry, or of the one before the
// first when there is none.
func (s *ShardLog) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.mu.last), nil
}

// FirstIndex returns the index of the first entry that can still be read:
// truncated entries are among them until their segment is dropped.
func (s *ShardLog) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.mu.base) + 1, nil
}

// Snapshot returns what the function given to SetSnapshot returns, and
// raft.ErrSnapshotTemporarilyUnavailable without one: the state is the
// engine's, the log has none.
func (s *ShardLog) Snapshot() (*raftpb.Snapshot, error) {
	s.mu.Lock()
	snapshot := s.mu.snapshot
	s.mu.Unlock()
	if snapshot == nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return snapshot()
}

// SetSnapshot gives the function that answers Snapshot.
func (s *ShardLog) SetSnapshot(f func() (*raftpb.Snapshot, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.snapshot = f
}
