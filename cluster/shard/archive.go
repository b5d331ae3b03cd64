package shard

import (
	"errors"
	"fmt"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
)

// TermOf returns the term of an entry. Errors: ErrCut where the log does not have it,
// any more or yet.
func (s *Shard) TermOf(index raftlog.Index) (raftlog.Term, error) {
	term, err := s.o.Log.Term(uint64(index))
	switch {
	case errors.Is(err, raft.ErrCompacted), errors.Is(err, raft.ErrUnavailable):
		return 0, fmt.Errorf("%w: term of entry %d", ErrCut, index)
	case err != nil:
		return 0, fmt.Errorf("shard: term of entry %d: %w", index, err)
	}
	return raftlog.Term(term), nil
}

// LogStart is the place before the first entry that the log still has.
func (s *Shard) LogStart() (Position, error) {
	first, err := s.o.Log.FirstIndex()
	if err != nil {
		return Position{}, fmt.Errorf("shard: first index: %w", err)
	}
	at := Position{Index: raftlog.Index(first - 1)}
	at.Term, err = s.TermOf(at.Index)
	return at, err
}
