package shard

import "fmt"

// SourceStep makes a task a part of following a source that is no dkv: Eval's writes
// and the position that they lead to are one entry of the log. Such a task is
// evaluated alone, while the shard follows.
type SourceStep struct {
	// From is the position that the shard must have, To the one that it then has.
	// With Anew it may have any.
	From, To SourcePosition
	Anew     bool
	// Err is set by Eval when nothing of what it wrote is to remain. Wait returns it.
	Err error
}

// partialHistory is the history of a shard while it loads the data of its source.
const partialHistory = "partial"

// PartialPosition is the position of a shard that has only a part of what its source
// has, which is nothing to be read.
func PartialPosition() SourcePosition { return SourcePosition{History: partialHistory} }

// Partial says whether p is PartialPosition.
func (p *SourcePosition) Partial() bool { return p.History == partialHistory }

// runStep evaluates a task with a step.
func (s *Shard) runStep(t *Task) {
	w, step := &s.w, t.Step
	w.tasks = w.tasks[:0]
	var at SourcePosition
	if p := s.source.Load(); p != nil {
		at = *p
	}
	err := error(nil)
	switch {
	case !step.Anew && at != step.From:
		err = ErrSourceMoved
	case len(step.To.History) > maxHistoryBytes || step.To.History == "":
		err = fmt.Errorf("shard: a source's history of %d bytes", len(step.To.History))
	default:
		step.Err = nil
		w.overlay.Put(sourceKey, step.To.encode())
		w.raw = true // the record of the position has to be looked at
		s.evaluateOne(t)
		if len(w.tasks) == 0 {
			s.abandon(nil) // it was too big, and has been told
			return
		}
		err = step.Err
	}
	if err != nil {
		if len(w.tasks) > 0 {
			s.putBack(w.tasks[1:]) // what they read comes to nothing
		}
		w.tasks = append(w.tasks[:0], t)
		s.abandon(err)
		return
	}
	s.endBatch()
}
