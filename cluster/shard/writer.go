package shard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"
)

// positionOffset is where the position's 8 bytes stand in a batch: after the
// batch header, the record's kind, the key's length and the key, and the
// value's length.
const positionOffset = 12 + 1 + 1 + len("sapplied") + 1

// emptyPosition holds the place of the index, which consensus fills in.
var emptyPosition [8]byte

// writer is the state of the single writer: everything is reused from batch to
// batch.
type writer struct {
	overlay  *engine.Overlay
	tx       keyspace.Tx
	tasks    []*Task
	term     raftlog.Term // the term that the keyspace's state was read in
	stale    bool         // a source's batches were applied since
	st       *state       // in use since beginBatch, until the batch ends
	raw      bool         // a task of the batch wrote records of its own
	copies   bool         // the batch is a source's, see runSource: tx has no part in it
	settle   func()       // Shard.settle, for the tasks
	next     *Task        // taken from the queue, and to be run alone
	proposal consensus.Proposal
	started  time.Time
	position uint64 // of the batch, unless a change of the membership comes between
}

func (w *writer) init(settle func()) {
	w.settle = settle
	w.tasks = make([]*Task, 0, maxBatchTasks)
}

// runWriter evaluates one batch after the other until the shard closes and the
// queue is empty.
func (s *Shard) runWriter() {
	defer close(s.writerDone)
	for {
		if t := s.w.next; t != nil {
			s.w.next = nil
			s.runBatch(t)
			continue
		}
		if s.lot.more {
			s.runReady()
			continue
		}
		select {
		case t := <-s.queue:
			if t.Source == nil && t.Step == nil {
				s.waitForRoom()
			}
			s.runBatch(t)
		case t := <-s.room:
			s.runBatch(t)
		case <-s.closing:
			select {
			case t := <-s.queue:
				s.runBatch(t)
			case t := <-s.room:
				s.runBatch(t)
			default:
				return
			}
		}
	}
}

// runBatch evaluates first and what waits behind it, and sees the batch through
// to its end.
func (s *Shard) runBatch(first *Task) {
	w := &s.w
	if first.Source != nil {
		s.runSource(first)
		return
	}
	// Connections that are ready to run queue their tasks first: a batch costs
	// the same for one task as for many. Without others this returns at once.
	runtime.Gosched()
	w.started = s.o.Clock()
	if err := s.beginBatch(); err != nil {
		first.finish(err)
		return
	}
	if err := w.st.eng.Writable(); err != nil {
		s.refuseWrites(first, refusal(err))
		return
	}
	if first.Step != nil {
		s.runStep(first)
		return
	}
	if s.following.Load() {
		s.refuseWrites(first, ErrReadOnly)
		return
	}
	s.evaluate(first)
	s.endBatch()
}

// runReady tries tasks that an earlier batch had no room for.
func (s *Shard) runReady() {
	w := &s.w
	s.lot.more = false
	w.started = s.o.Clock()
	if err := s.beginBatch(); err != nil {
		return // their waits are over
	}
	w.tasks = w.tasks[:0]
	s.settle()
	s.endBatch()
}

// beginBatch adopts a new term's state, and starts an empty batch whose first
// record is the position.
func (s *Shard) beginBatch() error {
	w := &s.w
	term := raftlog.Term(s.leads.Load())
	if term == 0 {
		return ErrNotLeader
	}
	st := s.acquire()
	if term != w.term || w.stale {
		if err := s.adopt(st, term); err != nil {
			st.Release()
			return err
		}
	}
	w.st, w.raw = st, false
	if w.overlay == nil {
		w.overlay = engine.NewOverlay(st.eng)
	}
	w.overlay.Reset(st.eng)
	w.overlay.Put(positionKey, emptyPosition[:])
	w.position = s.applied.Load() + 1
	st.ks.BeginWrite(&w.tx, w.overlay, w.started.UnixMilli(), w.position)
	w.tx.Observe(&s.lot)
	s.lot.fresh, s.lot.held = nil, false
	return nil
}

// adopt readies the keyspace for evaluating under a new term, or behind a source's
// batches. What was evaluated under an earlier term may be missing, and entries that
// were not evaluated here may have been applied: start from the engine.
func (s *Shard) adopt(st *state, term raftlog.Term) error {
	w := &s.w
	if term != w.term {
		s.lot.clear(ErrNotLeader) // they come again
	}
	w.term = 0
	if err := st.ks.Reload(st.eng); err != nil {
		s.lot.clear(ErrNotLeader) // nobody would look after them
		return fmt.Errorf("shard: reload keyspace: %w", err)
	}
	st.ks.ResetChanges(s.applied.Load())
	w.term, w.stale = term, false
	return nil
}

// evaluate runs tasks, first and then those that wait, until the queue is empty
// or the batch is full.
func (s *Shard) evaluate(first *Task) {
	w := &s.w
	w.tasks = w.tasks[:0]
	s.evaluateOne(first)
	for !first.alone && len(w.tasks) < maxBatchTasks && w.overlay.Batch().Len() < maxBatchBytes {
		select {
		case t := <-s.queue:
			if t.Source != nil || t.Step != nil {
				w.next = t
				return
			}
			w.tx.SetNow(s.o.Clock().UnixMilli())
			s.evaluateOne(t)
		default:
			return
		}
	}
}

// evaluateOne runs one task, and those that wait for what it has changed. One that
// writes more than an entry may hold is undone and refused; the others of the batch
// go on.
func (s *Shard) evaluateOne(t *Task) {
	w := &s.w
	mark, before := w.tx.Mark(), len(w.tasks)
	w.run(t)
	if !w.fits(mark) {
		served := w.tasks[before:]
		w.tasks = w.tasks[:before]
		s.putBack(served) // what they got was what t had written
		t.finish(ErrTooBig)
		return
	}
	if t.wishes != nil {
		s.park(t)
		return
	}
	w.tasks = append(w.tasks, t)
	s.settle()
}

// fits undoes what was written since mark if the batch is then more than an entry may
// hold, and reports whether it is not.
func (w *writer) fits(mark keyspace.Mark) bool {
	if b := w.overlay.Batch(); b.Err() == nil && b.Len()+len(w.tx.Notes()) <= maxEntryBytes {
		return true
	}
	w.tx.Rollback(mark)
	return false
}

func (w *writer) run(t *Task) {
	t.settle, t.wishes = w.settle, nil
	if t.Eval != nil {
		t.Eval(&w.tx)
		return
	}
	w.raw = true
	t.EvalRaw(w.overlay)
}

// endBatch proposes what the tasks wrote and waits until it is applied, which
// also tells the tasks.
func (s *Shard) endBatch() {
	w := &s.w
	if err := w.overlay.Rest(); err != nil {
		s.abandon(refusal(err))
		return
	}
	if w.overlay.Batch().Count() == 1 && len(w.tx.Notes()) == 0 {
		s.endUnwritten()
		return
	}
	w.tx.Finish()
	s.propose(w.term, s.takeBatch())
}

// barrierTimeout bounds how long tasks that wrote nothing wait for a majority.
const barrierTimeout = 5 * time.Second

// endUnwritten ends a batch without mutations, which needs no log entry. But its
// tasks have read, so a majority has to confirm that this node still leads: then
// nothing can have been committed that they did not see.
func (s *Shard) endUnwritten() {
	if s.group.Alone() || len(s.w.tasks) == 0 { // all were parked
		s.abandon(nil)
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, barrierTimeout)
	defer cancel()
	switch err := s.group.ConfirmLeading(ctx, s.w.term); {
	case err == nil:
		s.abandon(nil)
	case s.ctx.Err() != nil:
		s.abandon(ErrClosed)
	default:
		s.abandon(ErrNotLeader)
	}
}

// takeBatch returns the batch's bytes for good, which the log keeps. They are
// copied, without the records that others of the batch hide, so that the overlay's
// memory serves the next batch; a large batch takes the memory along.
func (s *Shard) takeBatch() []byte {
	// Later than the clients' sending of all that is in it, earlier than the replies:
	// what point-in-time recovery goes by.
	s.w.overlay.Batch().SetTime(s.o.Clock().UnixMilli())
	repr := s.w.overlay.Batch().Repr()
	switch {
	case len(repr) <= maxBatchCopy && (s.w.raw || s.w.tx.Owned()): // each is told of, or counted
		return bytes.Clone(repr)
	case len(repr) <= maxBatchCopy:
		return s.w.overlay.AppendFinal(nil)
	}
	s.w.overlay = engine.NewOverlay(s.w.st.eng)
	return repr
}

// abandon ends a batch that was not applied.
func (s *Shard) abandon(err error) {
	if !s.w.copies {
		s.w.st.ks.Discard(&s.w.tx)
		if err := s.w.overlay.Rest(); err != nil {
			s.o.Logger.Error("cannot end a read", "err", err)
		}
	}
	if err != nil {
		s.lot.unpark(err)
		s.keepWaiting(err)
	}
	s.finish(err)
}

// keepWaiting parks the tasks again that were waiting and had their turn, when writes
// are refused: the disk that is full is not the reader's fault.
func (s *Shard) keepWaiting(err error) {
	if err != ErrNoSpace && err != ErrNotWritable {
		return
	}
	w := &s.w
	var waiting []*Task
	w.tasks = slices.DeleteFunc(w.tasks, func(t *Task) bool {
		if t.waited {
			waiting = append(waiting, t)
		}
		return t.waited
	})
	s.putBack(waiting)
}

// finish tells the tasks of a batch how it ended, and lets go of the state.
func (s *Shard) finish(err error) {
	w := &s.w
	w.st.Release()
	w.st = nil
	s.lot.fresh = nil
	s.metrics.batch(len(w.tasks), s.o.Clock().Sub(w.started))
	for i, t := range w.tasks {
		w.tasks[i] = nil
		t.finish(err)
	}
	w.tasks = w.tasks[:0]
}

// refusal is the reply for writes that cannot be taken because of err.
func refusal(err error) error {
	if errors.Is(err, engine.ErrNoSpace) {
		return ErrNoSpace
	}
	return ErrNotWritable
}

// refuseWrites evaluates a task alone while nothing can be written: one that changes
// nothing (a transaction of reads) is answered, one that waits to read is parked, any
// other is refused.
func (s *Shard) refuseWrites(t *Task, reason error) {
	w := &s.w
	s.lot.held = true
	w.tasks = append(w.tasks[:0], t)
	w.run(t)
	if t.wishes != nil && t.Reads {
		w.tasks = w.tasks[:0]
		s.park(t)
		s.abandon(nil)
		return
	}
	if t.wishes != nil {
		s.abandon(reason) // it would write when it has its turn
		return
	}
	if w.overlay.Batch().Count() > 1 {
		s.abandon(reason)
		return
	}
	s.endUnwritten()
}
