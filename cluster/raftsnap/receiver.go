package raftsnap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"dkv/engine"
)

// stuckPoll is how often an engine that makes Apply wait is asked whether it still
// can write.
const stuckPoll = 50 * time.Millisecond

// Receiver builds the engine of a raft snapshot that is being received. Its methods
// may be called concurrently; they wait for each other.
type Receiver struct {
	st     *Store
	id     uint64
	meta   []byte
	folder string

	// mu is held over I/O, which it serializes.
	mu struct {
		sync.Mutex
		eng     engine.Engine // nil once complete or ended
		begun   bool          // at is of the sender's stream
		at      mark
		lastKey []byte
		done    bool  // everything is there and synced
		err     error // why it ended
	}
}

func newReceiver(st *Store, id uint64, meta []byte, folder string, eng engine.Engine) *Receiver {
	r := &Receiver{st: st, id: id, meta: slices.Clone(meta), folder: folder}
	r.mu.eng = eng
	return r
}

// is reports whether r, which may be nil, receives that snapshot and can go on.
func (r *Receiver) is(id uint64, meta []byte) bool {
	if r == nil || r.id != id || !bytes.Equal(r.meta, meta) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.err == nil
}

// Meta returns what was given to Receive. The caller must not change it.
func (r *Receiver) Meta() []byte { return r.meta }

// Complete says that the whole snapshot was received, checked and synced.
func (r *Receiver) Complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.done && r.mu.err == nil
}

// Position returns where the sender is to go on; nil is the start. The caller owns
// it.
func (r *Receiver) Position() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mu.begun {
		return nil
	}
	return makePosition(r.mu.at, r.mu.lastKey)
}

// Chunk takes the chunk that follows Position. position and last are what the
// source returned with it. After the last one everything is on disk: Complete. data
// is not kept.
//
// ErrCorruptChunk and ErrOutOfOrder (wrapped) leave the receiver as it was, to go
// on from Position. Any other error ended it and removed its folder:
// engine.ErrNoSpace for a full disk, ErrDiscarded, and the engine's.
func (r *Receiver) Chunk(data, position []byte, last bool) error {
	if err := r.chunk(data, position, last); err != nil {
		return fmt.Errorf("raftsnap: shard %s: receive: %w", r.st.o.Name, err)
	}
	if !last {
		return nil
	}
	return r.st.completed(r)
}

func (r *Receiver) chunk(data, position []byte, last bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err != nil {
		return r.mu.err
	}
	c, err := parseChunk(data)
	if err != nil {
		return err
	}
	if err := r.checkLocked(&c, position, last); err != nil {
		return err
	}
	if r.mu.done {
		return nil // the end once more: the sender did not learn that we have it
	}
	if err := r.takeLocked(&c); err != nil {
		r.failLocked(err)
		return r.mu.err
	}
	return nil
}

// checkLocked says whether a chunk is the one that follows.
func (r *Receiver) checkLocked(c *chunk, position []byte, last bool) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOutOfOrder, fmt.Sprintf(format, args...))
	}
	at := r.mu.at
	if !r.mu.begun {
		at.stream = c.before.stream
	}
	if c.before != at {
		return bad("it follows record %d of stream %016x (checksum %016x), here is record %d of %016x (%016x)",
			c.before.records, c.before.stream, c.before.checksum, at.records, at.stream, at.checksum)
	}
	lastKey := r.mu.lastKey
	if len(c.lastKey) > 0 {
		if bytes.Compare(c.firstKey(), lastKey) <= 0 {
			return fmt.Errorf("%w: its first key is not above the last one before", ErrCorruptChunk)
		}
		lastKey = c.lastKey
	}
	switch m, key, err := parsePosition(position); {
	case err != nil || m != c.after || !bytes.Equal(key, lastKey):
		return bad("its position is another one")
	case c.last != last:
		return bad("it is the last one, or not, against what its message says")
	case r.mu.done && len(c.lastKey) > 0:
		return bad("the snapshot is complete")
	}
	return nil
}

// takeLocked puts a chunk's records into the engine, and completes it after the
// last one. An error ends the receiver.
func (r *Receiver) takeLocked(c *chunk) error {
	if free := r.st.o.FreeBytes(); free < uint64(len(c.repr)) {
		return fmt.Errorf("%w: %d bytes are left for it", engine.ErrNoSpace, free)
	}
	if err := r.applyLocked(c.repr); err != nil {
		return err
	}
	r.mu.begun, r.mu.at = true, c.after
	if len(c.lastKey) > 0 {
		r.mu.lastKey = append(r.mu.lastKey[:0], c.lastKey...)
	}
	r.st.progress(len(c.repr), c.after.records)
	if !c.last {
		return nil
	}
	if err := r.mu.eng.Flush(); err != nil {
		return err
	}
	eng := r.mu.eng
	r.mu.eng = nil
	if err := eng.Close(); err != nil {
		return err
	}
	// The engine syncs its files; that the folder itself has a name is not its
	// concern.
	if err := errors.Join(syncDir(r.st.o.FS, r.st.dir(r.folder)), syncDir(r.st.o.FS, r.st.o.Dir)); err != nil {
		return err
	}
	r.mu.done = true
	return nil
}

// applyLocked applies a batch, unless the engine cannot write. Apply of an engine
// whose disk is full waits for space, for as long as it takes; so somebody has to
// watch, and closing the engine is what ends the wait.
func (r *Receiver) applyLocked(repr []byte) error {
	eng := r.mu.eng
	if err := eng.Writable(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- eng.Apply(repr) }()
	tick := time.NewTicker(stuckPoll)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		if err := eng.Writable(); err != nil {
			r.mu.eng = nil
			err = errors.Join(err, eng.Close())
			<-done
			return err
		}
	}
}

// failLocked ends the receiver and removes its folder.
func (r *Receiver) failLocked(why error) {
	err := noSpace(why)
	if closeErr := r.endLocked(err); closeErr != nil {
		r.st.o.Logger.Warn("cannot remove a half-received raft snapshot", "shard", r.st.o.Name, "folder", r.folder, "err", closeErr)
	}
	r.st.o.Logger.Error("a raft snapshot cannot be received", "shard", r.st.o.Name, "id", r.id, "records", r.mu.at.records, "err", err)
	r.st.failed(r)
}

// endLocked closes the engine and removes the folder. One whose engine cannot be
// closed stays until the next process sweeps it.
func (r *Receiver) endLocked(why error) error {
	r.mu.err = why
	if eng := r.mu.eng; eng != nil {
		r.mu.eng = nil
		if err := eng.Close(); err != nil {
			return err
		}
	}
	return r.st.remove(r.folder)
}

// Discard gives the snapshot up and removes what there is of it: the sender is not
// going to come back, or raft has no use for it. It does nothing once Switch has
// begun.
func (r *Receiver) Discard() error {
	if !r.st.take(r) {
		return nil
	}
	return r.end(ErrDiscarded)
}

// end ends a receiver that was taken from the store; nil is none.
func (r *Receiver) end(why error) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err != nil {
		return nil
	}
	if err := r.endLocked(why); err != nil {
		return fmt.Errorf("raftsnap: shard %s: discard %s: %w", r.st.o.Name, r.folder, err)
	}
	return nil
}

// notComplete says why r is not one to switch to.
func (r *Receiver) notComplete() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err != nil {
		return r.mu.err
	}
	if r.mu.done {
		// Another one was complete after it, or Switch took it: its end is
		// decided, and may not have come to r yet.
		return ErrDiscarded
	}
	return ErrNotComplete
}
