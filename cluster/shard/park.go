package shard

import (
	"errors"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
)

// Errors of a task that was parked. In both cases nothing was written.
var (
	// ErrWithdrawn: Withdraw took it back.
	ErrWithdrawn = errors.New("ERR The command was withdrawn before it was done")
	// ErrForcedOut: the shard began to follow a source.
	ErrForcedOut = errors.New("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
)

// A Wish is a key that a parked task waits for.
type Wish struct {
	DB  int
	Key []byte
	// Type is what the key must hold for another try to be worth it.
	Type keyspace.Type
	// Any has the task tried after every change, also when the key is gone or holds
	// another type.
	Any bool
}

// Park is called by Eval, which has written nothing, to wait until one of the keys
// has changed and then be called again: by a task that is evaluated later, whose
// batch it joins, or by one of a batch after that. The wishes are kept until Wait
// returns.
func (t *Task) Park(wishes []Wish) { t.wishes = wishes }

// Settle is called by an Eval that runs several commands, after each that others may
// see on its own: tasks that wait for what it changed have their turn then, as they
// have after every Eval.
func (t *Task) Settle() {
	if t.settle != nil {
		t.settle()
	}
}

// Withdraw ends the wait of a task that was submitted with Submit and is parked, or
// would be: Wait then returns ErrWithdrawn. When it has had its turn, or does not want
// to wait, nothing changes. It may be called from any goroutine, before Wait has
// returned or after.
func (s *Shard) Withdraw(t *Task) {
	l := &s.lot
	t.withdrawn.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.trying {
		l.mu.leaving = append(l.mu.leaving, t)
		return
	}
	l.endLocked(t, ErrWithdrawn)
}

// Parked is the number of tasks that wait for keys.
func (s *Shard) Parked() int { return int(s.lot.count.Load()) }

// park has a task wait whose Eval asked for it, unless it may not wait any more.
func (s *Shard) park(t *Task) {
	l, w := &s.lot, &s.w
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t.withdrawn.Load():
		t.finish(ErrWithdrawn)
	case raftlog.Term(s.leads.Load()) != w.term:
		t.finish(ErrNotLeader) // what ended the waits of all others may be over
	case s.following.Load() && !t.Reads:
		t.finish(ErrForcedOut)
	default:
		l.addLocked(t, w.st.ks.Hash)
		if !t.waited {
			t.waited = true
			l.fresh = append(l.fresh, t)
			if t.OnPark != nil {
				t.OnPark()
			}
		}
	}
}

// settle tries the tasks that wait for keys that were changed. What it does for them
// may change others.
func (s *Shard) settle() {
	l, w := &s.lot, &s.w
	if len(l.ready) == 0 || l.held || l.mu.trying {
		return
	}
	noTouch, hits, misses, writer := w.tx.NoTouch, w.tx.Hits, w.tx.Misses, w.tx.Writer()
	l.beginTrying()
	for len(l.ready) > 0 {
		if l.more = !s.batchHasRoom(); l.more {
			break // the next batch goes on
		}
		at := l.ready[0]
		l.ready = l.ready[1:]
		if p := l.mu.places[at]; p != nil {
			p.ready = false
			s.tryAll(at, p)
		}
	}
	if len(l.ready) == 0 {
		l.ready = nil
	}
	l.endTrying()
	w.tx.NoTouch, w.tx.Hits, w.tx.Misses = noTouch, hits, misses
	w.tx.SetWriter(writer)
}

// batchHasRoom says whether more can go into the batch.
func (s *Shard) batchHasRoom() bool {
	b := s.w.overlay.Batch()
	return b.Err() == nil && b.Len() < maxBatchBytes
}

// tryAll tries those who stand at a place, as long as there is something for them.
func (s *Shard) tryAll(at placeKey, p *place) {
	l, w := &s.lot, &s.w
	var found keyspace.Type
	var key []byte // whose type found is; nil: look
	for sp := p.first; sp != nil; {
		if key == nil || string(key) != string(sp.wish.Key) {
			e, err := w.tx.Inspect(sp.wish.DB, sp.wish.Key)
			if err != nil {
				return // who asks for the key next is told
			}
			found, key = e.Type, sp.wish.Key
		}
		if p.wants[found] == 0 && p.any == 0 {
			return
		}
		t, next := sp.task, sp.next
		if (found == sp.wish.Type || sp.wish.Any) && t.parked && !t.withdrawn.Load() {
			if !s.batchHasRoom() {
				l.KeyChanged(at.db, at.hash) // the others are tried in the next batch
				return
			}
			if s.attempt(t) {
				l.removeLocked(t) // nobody else touches the queues now
			}
			key = nil
		}
		sp = next
	}
}

// attempt evaluates a parked task again and reports whether it is done.
func (s *Shard) attempt(t *Task) bool {
	w := &s.w
	mark, wishes := w.tx.Mark(), t.wishes
	t.wishes = nil
	t.Eval(&w.tx)
	again := t.wishes != nil
	t.wishes = wishes
	if again {
		return false
	}
	if !w.fits(mark) {
		t.finish(ErrTooBig)
		return true
	}
	w.tasks = append(w.tasks, t)
	return true
}

// putBack parks tasks again that had their turn in a batch that came to nothing.
func (s *Shard) putBack(tasks []*Task) {
	for _, t := range tasks {
		s.park(t)
	}
}
