package consensus

import (
	"encoding/binary"

	"dkv/cluster/raftlog"
)

// A Proposal is one batch on its way through the log.
type Proposal struct {
	// Term is the term under which Data was evaluated.
	Term raftlog.Term
	// Data becomes the entry. The group owns it from Propose on.
	Data []byte
	// IndexOffset, when not zero, is where in Data the entry's own index is to
	// be written (8 bytes, big endian) as soon as it is known, so that a batch
	// carries the position that it leads to.
	IndexOffset int
	// Context is for whoever proposes; StateMachine.Apply finds it again.
	Context any

	index raftlog.Index
	done  chan error
}

// Wait returns how the proposal ended; see the package's invariants. It must
// be called once after Propose.
func (p *Proposal) Wait() error { return <-p.done }

// setIndex records the position that the proposal will have in the log.
func (p *Proposal) setIndex(i raftlog.Index) {
	p.index = i
	if p.IndexOffset > 0 {
		binary.BigEndian.PutUint64(p.Data[p.IndexOffset:], uint64(i))
	}
}

func (p *Proposal) finish(err error) { p.done <- err }

// pending holds the proposals that are in the log but not yet applied, by
// index, oldest first.
type pending struct{ queue []*Proposal }

func (q *pending) push(p *Proposal) { q.queue = append(q.queue, p) }

func (q *pending) empty() bool { return len(q.queue) == 0 }

// take returns the proposal that the entry at (index, term) came from, or nil.
// Proposals at or below index that this entry is not are lost for good: another
// leader's entry was committed in their place.
func (q *pending) take(index raftlog.Index, term raftlog.Term) *Proposal {
	for len(q.queue) > 0 {
		p := q.queue[0]
		if p.index > index {
			return nil
		}
		q.queue = q.queue[:copy(q.queue, q.queue[1:])]
		if p.index == index && p.Term == term {
			return p
		}
		p.finish(ErrTermChanged)
	}
	return nil
}

// failUpTo ends the proposals up to an index with err.
func (q *pending) failUpTo(index raftlog.Index, err error) {
	n := 0
	for n < len(q.queue) && q.queue[n].index <= index {
		q.queue[n].finish(err)
		n++
	}
	q.queue = q.queue[:copy(q.queue, q.queue[n:])]
}

// failAll ends every proposal with err.
func (q *pending) failAll(err error) {
	for _, p := range q.queue {
		p.finish(err)
	}
	q.queue = nil
}
