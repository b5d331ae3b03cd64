package shard

import (
	"errors"
	"fmt"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Saved is what a backup of a shard holds.
type Saved struct {
	Position
	// Time is that of the last entry that has one, in Unix milliseconds; 0: not known.
	Time int64
	Keys int64
	// Source is set when the shard follows one, or did and is not promoted.
	Source *SourcePosition
}

// Backup writes a copy of the shard's state to dir, which must not exist, while it
// serves, and says what is in it. open opens an engine in dir: what a checkpoint
// covers is only known from itself, and one that does not open is none. Errors:
// ErrNothing, and those of the engine and the log.
func (s *Shard) Backup(dir string, open func(dir string) (engine.Engine, error)) (Saved, error) {
	// The term of the copy's position must still be known when it is.
	h := s.KeepFrom(s.Applied())
	defer h.Release()
	if s.Applied() == 0 {
		return Saved{}, ErrNothing
	}
	if err := s.Checkpoint(dir); err != nil {
		return Saved{}, err
	}
	eng, err := open(dir)
	if err != nil {
		return Saved{}, fmt.Errorf("shard: open what was copied: %w", err)
	}
	saved, err := ReadSaved(eng)
	if err = errors.Join(err, eng.Close()); err != nil {
		return Saved{}, err
	}
	term, err := s.o.Log.Term(uint64(saved.Index))
	if err != nil {
		return Saved{}, fmt.Errorf("shard: term of entry %d: %w", saved.Index, err)
	}
	saved.Term = raftlog.Term(term)
	saved.Time, err = s.timeOf(saved.Index)
	return saved, err
}

// ReadSaved says what an engine holds, but for Term and Time, which only a log knows.
func ReadSaved(eng engine.Engine) (saved Saved, err error) {
	if saved.Index, err = readPosition(eng); err != nil {
		return saved, err
	}
	if saved.Source, err = readSource(eng); err != nil {
		return saved, err
	}
	ks, err := keyspace.Open(eng)
	if err != nil {
		return saved, fmt.Errorf("shard: open keyspace: %w", err)
	}
	for _, c := range ks.Counts() {
		saved.Keys += c.Keys
	}
	return saved, nil
}

// timeEntries is how many entries timeOf looks at. Few in a row have no time: those
// of elections and of changes of the membership.
const timeEntries = 16

// timeOf returns the time of the last entry, up to index, that has one; zero where
// the log does not say.
func (s *Shard) timeOf(index raftlog.Index) (int64, error) {
	for i := index; i > 0 && i+timeEntries > index; i-- {
		entries, err := s.Committed(i, 1)
		if errors.Is(err, ErrCut) || err == nil && len(entries) == 0 {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if t := EntryTime(entries[0]); t != 0 {
			return t, nil
		}
	}
	return 0, nil
}

// EntryTime is when an entry was made, in Unix milliseconds by the clock of the node
// that led; 0: it does not say.
func EntryTime(e *pb.Entry) int64 {
	if e.GetType() != pb.EntryNormal {
		return 0
	}
	return engine.BatchTime(e.GetData())
}

// Refound makes what a backup of a shard holds the beginning of a new history, of a
// group of self alone: after the position, with no members and no source but what a
// new shard has. It can be repeated. The engine and the log are not in use.
func Refound(self consensus.NodeID, eng engine.Engine, log *raftlog.ShardLog, at Position) error {
	var b engine.Batch
	b.DeleteRange(rawPrefix, rawPrefixEnd)
	b.Delete(sourceKey)
	if err := eng.Apply(b.Repr()); err != nil {
		return fmt.Errorf("shard: restore: %w", err)
	}
	cs := &pb.ConfState{Voters: []uint64{uint64(self)}}
	if err := Create(eng, at.Index, cs); err != nil {
		return err
	}
	return resetLog(log, at.Index, at.Term, cs)
}

// CheckSaved compares an engine with what a backup says of it. Errors wrap
// engine.ErrCorrupt, and those of reading.
func CheckSaved(eng engine.Engine, index raftlog.Index) error {
	at, err := readPosition(eng)
	if err != nil {
		return err
	}
	if at != index {
		return fmt.Errorf("%w: the data goes to entry %d, the manifest says %d", engine.ErrCorrupt, at, index)
	}
	return nil
}
