package shard

import (
	"errors"
	"fmt"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrNothing says that a shard to recover has never got any of the data.
var ErrNothing = errors.New("shard: the node has not received the shard's data yet")

// recoverBytes is how much of the log Recover reads at a time.
const recoverBytes = 4 << 20

// Recovered is where the history of a recovered shard ends.
type Recovered struct {
	Index raftlog.Index
	Term  raftlog.Term
	// Unconfirmed entries, the last ones, were not known to be committed.
	Unconfirmed uint64
	// Voter says that the node was one, so that its log counted.
	Voter bool
}

// Recover makes a shard that is not open a group of self alone, all of whose log is
// committed. records returns what is to be put beside the data, of which it may read
// the last state. It can be repeated when it was cut short.
//
// The log is applied to its end and then emptied, so that a change of the members
// that stands in it, which this node might have applied later, is gone for good.
func Recover(self consensus.NodeID, eng engine.Engine, log *raftlog.ShardLog, store Store,
	records func(engine.Reader) (map[string][]byte, error)) (Recovered, error) {
	cs := &pb.ConfState{Voters: []uint64{uint64(self)}}
	if snap, pending := store.Pending(); pending {
		// A raft snapshot was switched to, and the log does not follow it yet.
		md := snap.GetMetadata()
		if err := Create(eng, raftlog.Index(md.GetIndex()), md.GetConfState()); err != nil {
			return Recovered{}, err
		}
		if err := resetLog(log, raftlog.Index(md.GetIndex()), raftlog.Term(md.GetTerm()), md.GetConfState()); err != nil {
			return Recovered{}, err
		}
		if err := store.Done(); err != nil {
			return Recovered{}, err
		}
	}
	r, err := applyAll(self, eng, log)
	if err != nil {
		return r, err
	}
	own, err := records(eng)
	if err != nil {
		return r, err
	}
	var b engine.Batch
	for key, value := range own {
		b.Put([]byte(key), value)
	}
	if err := eng.Apply(b.Repr()); err != nil {
		return r, fmt.Errorf("shard: recover: %w", err)
	}
	if err := Create(eng, r.Index, cs); err != nil {
		return r, err
	}
	return r, resetLog(log, r.Index, r.Term, cs)
}

func resetLog(log *raftlog.ShardLog, index raftlog.Index, term raftlog.Term, cs *pb.ConfState) error {
	if err := log.Reset(index, term, cs); err != nil {
		return fmt.Errorf("shard: reset log: %w", err)
	}
	if err := log.Sync(); err != nil {
		return fmt.Errorf("shard: reset log: %w", err)
	}
	return nil
}

// applyAll applies what the log holds beyond the engine's position.
func applyAll(self consensus.NodeID, eng engine.Engine, log *raftlog.ShardLog) (r Recovered, err error) {
	position, err := readPosition(eng)
	if err != nil {
		return r, err
	}
	first, err := log.FirstIndex()
	if err != nil {
		return r, fmt.Errorf("shard: first index: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return r, fmt.Errorf("shard: last index: %w", err)
	}
	switch {
	case position == 0:
		return r, ErrNothing
	case uint64(position)+1 < first || uint64(position) > last:
		return r, fmt.Errorf("%w: engine at %d, log from %d to %d", ErrGap, position, first, last)
	}
	for at := uint64(position) + 1; at <= last; {
		entries, err := log.Entries(at, last+1, recoverBytes)
		if err != nil {
			return r, fmt.Errorf("shard: read entry %d: %w", at, err)
		}
		for _, e := range entries {
			if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
				if err := eng.Apply(e.GetData()); err != nil {
					return r, fmt.Errorf("shard: apply entry %d: %w", e.GetIndex(), err)
				}
			}
			at = e.GetIndex() + 1
		}
	}
	term, err := log.Term(last)
	if err != nil {
		return r, fmt.Errorf("shard: term of entry %d: %w", last, err)
	}
	hs, cs, err := log.InitialState()
	if err != nil {
		return r, fmt.Errorf("shard: state of the log: %w", err)
	}
	if conf, err := readConf(eng); err != nil {
		return r, err
	} else if conf != nil {
		cs = conf
	}
	for _, v := range cs.GetVoters() {
		r.Voter = r.Voter || v == uint64(self)
	}
	r.Index, r.Term = raftlog.Index(last), raftlog.Term(term)
	r.Unconfirmed = last - min(last, max(hs.GetCommit(), uint64(position)))
	return r, nil
}
