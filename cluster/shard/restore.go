package shard

import (
	"errors"
	"fmt"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Store keeps a shard's engine, and the one that a raft snapshot is received
// into. Its owner receives; the shard switches.
type Store interface {
	// Switch makes the state that was received for snap the current one, durably
	// and atomically, and opens it. After engine.ErrNoSpace nothing has changed
	// and it can be tried again.
	Switch(snap *pb.Snapshot) (engine.Engine, error)
	// Pending returns the snapshot of the last Switch when Done was not called
	// since: a crash came in between.
	Pending() (*pb.Snapshot, bool)
	// Done says that the log begins after the snapshot.
	Done() error
	// Retire closes and removes an engine that was current before.
	Retire(old engine.Engine)
}

// finishSwitch makes the log follow an engine that was switched to: it begins
// after the snapshot. Doing it twice changes nothing.
func (s *Shard) finishSwitch(eng engine.Engine, snap *pb.Snapshot) error {
	md := snap.GetMetadata()
	index := raftlog.Index(md.GetIndex())
	var b engine.Batch
	putPosition(&b, index)
	if err := putConf(&b, md.GetConfState()); err != nil {
		return err
	}
	if source := snap.GetData(); len(source) > 0 {
		b.DeleteRange(rawPrefix, rawPrefixEnd)
		b.Put(sourceKey, source)
	}
	if err := eng.Apply(b.Repr()); err != nil {
		return fmt.Errorf("shard: write position of the raft snapshot: %w", err)
	}
	if err := eng.Flush(); err != nil {
		return fmt.Errorf("shard: flush the raft snapshot: %w", err)
	}
	if err := s.o.Log.Reset(index, raftlog.Term(md.GetTerm()), md.GetConfState()); err != nil {
		return fmt.Errorf("shard: reset log: %w", err)
	}
	if err := s.o.Log.Sync(); err != nil {
		return fmt.Errorf("shard: reset log: %w", err)
	}
	return s.o.Store.Done()
}

// Restore switches to the raft snapshot that was received.
func (m *stateMachine) Restore(snap *pb.Snapshot) error {
	s := (*Shard)(m)
	if s.o.Store == nil {
		return errors.New("shard: a raft snapshot without a store")
	}
	var eng engine.Engine
	err := s.awaitSpace(func() (err error) {
		eng, err = s.o.Store.Switch(snap)
		return err
	})
	if err != nil {
		return fmt.Errorf("shard: switch to raft snapshot: %w", err)
	}
	if err := s.awaitSpace(func() error { return s.finishSwitch(eng, snap) }); err != nil {
		return errors.Join(err, eng.Close())
	}
	st, err := s.newState(eng)
	if err != nil {
		return errors.Join(err, eng.Close())
	}
	source, err := readSource(eng)
	if err != nil {
		return errors.Join(err, eng.Close())
	}
	s.source.Store(source)
	old := s.state.Swap(st)
	s.conf = snap.GetMetadata().GetConfState()
	s.moved(raftlog.Index(snap.GetMetadata().GetIndex()))
	old.Release()
	s.o.OnReplaced()
	s.o.OnRestore()
	return nil
}

// spaceRetry is the pause between two tries of what a full disk has refused.
const spaceRetry = 100 * time.Millisecond

// awaitSpace calls f, which can be called again after engine.ErrNoSpace, until the
// disk is not full: a member that cannot switch is like one that is cut off, and
// goes on when there is space, as it does when it cannot append. Errors: f's others,
// and consensus.ErrStopped when the shard closes meanwhile; then the next start
// goes on from what there is.
func (s *Shard) awaitSpace(f func() error) error {
	for waited := false; ; waited = true {
		err := f()
		if !errors.Is(err, engine.ErrNoSpace) {
			if waited && err == nil {
				s.o.Logger.Info("there is space again: the switch to a raft snapshot goes on")
			}
			return err
		}
		if !waited {
			s.o.Logger.Warn("no space on the disk to switch to a raft snapshot: waiting for it", "err", err)
		}
		select {
		case <-time.After(spaceRetry):
		case <-s.ctx.Done():
			return fmt.Errorf("%w: %w", consensus.ErrStopped, err)
		}
	}
}

// pin is the engine's state at the index of a raft snapshot that raft wants sent.
type pin struct {
	index raftlog.Index
	snap  engine.Snapshot
	st    *state
	made  time.Time
	hold  *Hold // of the log behind a raft snapshot, so that its receiver finds what comes after
}

// Bounds of pins: how many raft snapshots may wait to be sent, and for how long
// before somebody begins.
const (
	maxPins     = 8
	pinLifetime = 30 * time.Second
)

// raftSnapshot is asked for by raft, on the group's goroutine, when a member
// needs what the log does not have any more.
func (s *Shard) raftSnapshot() (*pb.Snapshot, error) {
	if s.o.Store == nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	index := raftlog.Index(s.applied.Load())
	term, err := s.o.Log.Term(uint64(index))
	if err != nil {
		return nil, fmt.Errorf("shard: term of %d: %w", index, err)
	}
	s.pins.Lock()
	defer s.pins.Unlock()
	if len(s.pins.waiting) >= maxPins {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	st := s.acquire()
	s.pins.waiting = append(s.pins.waiting, pin{
		index: index, snap: st.eng.NewSnapshot(), st: st, made: s.o.Clock(), hold: s.keepLocked(index),
	})
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: new(uint64(index)), Term: new(term), ConfState: s.conf,
	}}, nil
}

// Pinned is an engine snapshot that is to be sent to a member.
type Pinned struct {
	engine.Snapshot
	pin  pin
	s    *Shard
	done bool
}

// TakePinned returns the state of the raft snapshot at index, which raft has asked
// to be sent, and a hold of the log after it. The caller closes the one when it has
// been sent, and releases the other when its receiver has the log too. false: it
// waited too long and is gone.
func (s *Shard) TakePinned(index raftlog.Index) (*Pinned, *Hold, bool) {
	s.pins.Lock()
	defer s.pins.Unlock()
	for i, p := range s.pins.waiting {
		if p.index == index {
			s.pins.waiting = append(s.pins.waiting[:i:i], s.pins.waiting[i+1:]...)
			return &Pinned{Snapshot: p.snap, pin: p, s: s}, p.hold, true
		}
	}
	return nil, nil, false
}

// Close gives the state back. Calling it again does nothing.
func (p *Pinned) Close() error {
	if p.done {
		return nil
	}
	p.done = true
	return p.pin.close()
}

func (p *pin) close() error {
	err := p.snap.Close()
	p.st.Release()
	return err
}

// expirePins gives back what nobody came for.
func (s *Shard) expirePins(all bool) {
	now := s.o.Clock()
	s.pins.Lock()
	defer s.pins.Unlock()
	kept := s.pins.waiting[:0]
	for _, p := range s.pins.waiting {
		if all || now.Sub(p.made) > pinLifetime {
			s.logIfErr("close a snapshot", p.close())
			delete(s.pins.kept, p.hold)
			continue
		}
		kept = append(kept, p)
	}
	s.pins.waiting = kept
}

func (s *Shard) logHolds() int {
	s.pins.Lock()
	defer s.pins.Unlock()
	return len(s.pins.kept)
}

// held returns how far up to upTo the log may be cut for all who hold it.
func (s *Shard) held(upTo raftlog.Index) raftlog.Index {
	s.pins.Lock()
	defer s.pins.Unlock()
	for h := range s.pins.kept {
		upTo = min(upTo, h.index)
	}
	return upTo
}
