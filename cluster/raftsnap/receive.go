package raftsnap

import (
	"errors"
	"fmt"
	"math"

	"dkv/engine"
)

// Receive returns the receiver of the snapshot with that id, which is unique among
// transfers. A half-received one of the same id and meta goes on where it is; one
// of another id is discarded. A complete one stays until it is switched to, until
// Discard, or until another one completes. meta is copied. estimatedBytes is about
// how large the snapshot is on disk; 0: unknown. Errors: engine.ErrNoSpace
// (wrapped) when it does not fit the disk, ErrUncertain, ErrClosed, and those of
// the disk.
func (st *Store) Receive(id uint64, meta []byte, estimatedBytes uint64) (*Receiver, error) {
	st.changing.Lock()
	defer st.changing.Unlock()
	st.mu.Lock()
	receiving, complete, failed := st.mu.receiving, st.mu.complete, st.mu.failed
	st.mu.Unlock()
	switch {
	case failed != nil:
		return nil, failed
	case complete.is(id, meta):
		return complete, nil
	case receiving.is(id, meta):
		return receiving, nil
	}
	st.giveUp(receiving, "another one comes")
	if err := st.admit(estimatedBytes); err != nil {
		return nil, fmt.Errorf("raftsnap: shard %s: %w", st.o.Name, err)
	}
	r, err := st.newReceiver(id, meta, estimatedBytes)
	if err != nil {
		st.mu.Lock()
		st.mu.metrics.Failed++
		st.mu.Unlock()
		return nil, fmt.Errorf("raftsnap: shard %s: receive: %w", st.o.Name, noSpace(err))
	}
	return r, nil
}

// admit refuses a snapshot that would fill the disk.
func (st *Store) admit(estimatedBytes uint64) error {
	need, free := needed(estimatedBytes), st.o.FreeBytes()
	if need > free {
		st.mu.Lock()
		waiting := st.mu.complete
		st.mu.Unlock()
		// Raft did not take it, or the leader would not send another one.
		st.giveUp(waiting, "another one needs its space")
		free = st.o.FreeBytes()
	}
	if need <= free {
		return nil
	}
	st.mu.Lock()
	st.mu.metrics.Failed++
	st.mu.Unlock()
	return fmt.Errorf("%w: a snapshot of about %d bytes does not fit the %d that are free", engine.ErrNoSpace, estimatedBytes, free)
}

// needed is how much must be free for a snapshot: its size is an estimate, and
// compactions need room.
func needed(estimatedBytes uint64) uint64 {
	need := estimatedBytes + estimatedBytes/8
	if need < estimatedBytes {
		return math.MaxUint64
	}
	return need
}

// Fits says whether Receive would find the space for a snapshot of about that size.
func (st *Store) Fits(estimatedBytes uint64) bool { return needed(estimatedBytes) <= st.o.FreeBytes() }

// newReceiver makes a folder that there never was, and an engine in it. changing is
// held.
func (st *Store) newReceiver(id uint64, meta []byte, estimatedBytes uint64) (*Receiver, error) {
	st.mu.Lock()
	ptr := st.mu.ptr
	st.mu.Unlock()
	folder := folderName(st.o.Name, ptr.Next)
	ptr.Next++
	if err := st.setPointer(ptr); err != nil {
		return nil, err
	}
	st.mu.Lock()
	st.mu.used[folder] = nil
	st.mu.Unlock()
	eng, err := st.o.OpenReceiving(st.dir(folder))
	if err != nil {
		return nil, errors.Join(err, st.remove(folder))
	}
	r := newReceiver(st, id, meta, folder, eng)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mu.receiving = r
	m := &st.mu.metrics
	m.Begun++
	m.ReceivedBytes, m.ReceivedRecords, m.EstimatedBytes = 0, 0, estimatedBytes
	st.o.Logger.Info("receiving a raft snapshot", "shard", st.o.Name, "id", id, "folder", folder, "estimated_bytes", estimatedBytes)
	return r, nil
}

// progress notes what a receiver has got.
func (st *Store) progress(bytes int, records uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mu.metrics.ReceivedBytes += uint64(bytes)
	st.mu.metrics.ReceivedRecords = records
}

// completed makes r the one that waits for Switch, unless it was taken meanwhile.
func (st *Store) completed(r *Receiver) error {
	st.mu.Lock()
	before, mine := st.mu.complete, st.mu.receiving == r
	if mine {
		st.mu.receiving, st.mu.complete = nil, r
		st.mu.metrics.Completed++
	}
	st.mu.Unlock()
	switch {
	case before == r:
		return nil // it was before, and the sender did not know
	case !mine:
		return fmt.Errorf("raftsnap: shard %s: receive: %w", st.o.Name, ErrDiscarded)
	}
	st.o.Logger.Info("received a raft snapshot", "shard", st.o.Name, "id", r.id, "folder", r.folder)
	st.end(before, "another one is complete")
	return nil
}

// failed notes that r ended by itself.
func (st *Store) failed(r *Receiver) {
	st.take(r)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mu.metrics.Failed++
}

// take takes a receiver out of the store. Who gets true decides its end; nobody
// else will.
func (st *Store) take(r *Receiver) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch r {
	case st.mu.receiving:
		st.mu.receiving = nil
	case st.mu.complete:
		st.mu.complete = nil
	default:
		return false
	}
	return true
}

// takeComplete is take of a receiver that waits for Switch.
func (st *Store) takeComplete(r *Receiver) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.mu.complete != r {
		return false
	}
	st.mu.complete = nil
	return true
}

// putBack undoes takeComplete.
func (st *Store) putBack(r *Receiver) {
	st.mu.Lock()
	newer := st.mu.complete
	if newer == nil {
		st.mu.complete = r
	}
	st.mu.Unlock()
	if newer != nil {
		st.end(r, "another one is complete")
	}
}

// giveUp takes r, which may be nil, and ends it.
func (st *Store) giveUp(r *Receiver, reason string) {
	if r != nil && st.take(r) {
		st.end(r, reason)
	}
}

// end ends a receiver that was taken; nil is none.
func (st *Store) end(r *Receiver, reason string) {
	if r == nil {
		return
	}
	st.o.Logger.Info("discarding a received raft snapshot", "shard", st.o.Name, "id", r.id, "folder", r.folder, "reason", reason)
	if err := r.end(ErrDiscarded); err != nil {
		st.o.Logger.Warn("cannot remove a received raft snapshot", "shard", st.o.Name, "folder", r.folder, "err", err)
	}
}
