package shard

import (
	"errors"
	"fmt"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrCut says that the log does not have entries any more that somebody who
// follows it needs.
var ErrCut = errors.New("shard: the log does not reach back that far")

// Position names a place in a shard's log. Two logs of one history that have an
// entry of the same index and term are the same up to there (Ongaro and
// Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, 5.3).
type Position struct {
	Index raftlog.Index
	Term  raftlog.Term
}

// Changed returns a channel that is closed when Applied next moves. Who asks for
// it before looking at Applied misses nothing.
func (s *Shard) Changed() <-chan struct{} {
	for {
		if c := s.watch.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if s.watch.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// moved publishes the applied index, and wakes those that wait for it.
func (s *Shard) moved(index raftlog.Index) {
	s.applied.Store(uint64(index))
	if s.marked.Load() > 0 {
		s.reachMarks()
	}
	if c := s.watch.Load(); c != nil && s.watch.CompareAndSwap(c, nil) {
		close(*c)
	}
}

// Has says whether p is a place in this shard's log from which on all entries can
// still be read, and which nothing can undo.
func (s *Shard) Has(p Position) bool {
	if p.Index == 0 || p.Index > s.Applied() {
		return false
	}
	term, err := s.o.Log.Term(uint64(p.Index))
	return err == nil && raftlog.Term(term) == p.Term
}

// Committed returns applied entries from index from on, as many as are together no
// larger than maxBytes but at least one; none when from is the next one to be
// applied. They are shared and must not be changed. Errors: ErrCut, and those of
// reading the log.
func (s *Shard) Committed(from raftlog.Index, maxBytes uint64) ([]*pb.Entry, error) {
	applied := s.Applied()
	if from > applied {
		return nil, nil
	}
	entries, err := s.o.Log.Entries(uint64(from), uint64(applied)+1, maxBytes)
	switch {
	case errors.Is(err, raft.ErrCompacted), errors.Is(err, raft.ErrUnavailable):
		// Unavailable: the state was replaced meanwhile, and the log with it.
		return nil, fmt.Errorf("%w: wanted is entry %d", ErrCut, from)
	case err != nil:
		return nil, fmt.Errorf("shard: read entry %d: %w", from, err)
	}
	return entries, nil
}

// Hold keeps the log from being cut at the entry after a place. A Shard has as many
// as its owner asks for; the owner bounds them and how long they last.
type Hold struct {
	s     *Shard
	index raftlog.Index
}

// Move lets go of the log up to index.
func (h *Hold) Move(index raftlog.Index) {
	h.s.pins.Lock()
	defer h.s.pins.Unlock()
	h.index = max(h.index, index)
}

// Release ends the hold. Calling it again does nothing.
func (h *Hold) Release() {
	h.s.pins.Lock()
	defer h.s.pins.Unlock()
	delete(h.s.pins.kept, h)
}

// Pin returns the present state of the shard, which the caller closes, its place
// in the log, and a hold of the log after it.
func (s *Shard) Pin() (*Pinned, Position, *Hold, error) {
	h := s.KeepFrom(s.Applied())
	st := s.acquire()
	p := &Pinned{Snapshot: st.eng.NewSnapshot(), s: s}
	p.pin = pin{snap: p.Snapshot, st: st, made: s.o.Clock()}
	index, err := readPosition(p.Snapshot)
	var term uint64
	if err == nil {
		term, err = s.o.Log.Term(uint64(index))
	}
	if err != nil {
		h.Release()
		return nil, Position{}, nil, errors.Join(fmt.Errorf("shard: pin: %w", err), p.Close())
	}
	p.pin.index = index
	h.Move(index)
	return p, Position{index, raftlog.Term(term)}, h, nil
}

// SyncLog makes all that the log holds durable, whatever the mode of its syncs.
func (s *Shard) SyncLog() error { return s.o.Log.Sync() }

// KeepFrom is a hold of the log after index, which another hold has kept until now.
func (s *Shard) KeepFrom(index raftlog.Index) *Hold {
	s.pins.Lock()
	defer s.pins.Unlock()
	return s.keepLocked(index)
}

func (s *Shard) keepLocked(index raftlog.Index) *Hold {
	h := &Hold{s: s, index: index}
	if s.pins.kept == nil {
		s.pins.kept = make(map[*Hold]struct{})
	}
	s.pins.kept[h] = struct{}{}
	return h
}
