package consensus

import (
	"errors"

	"dkv/cluster/raftlog"
	"dkv/engine"
)

// simWriter is a node's single writer: see shard/writer.go. It evaluates what
// waits as one batch on the applied state, proposes the effects under the term in
// which it evaluated, and waits.
type simWriter struct {
	n     *simNode
	queue []*simOp
	state int
	kick  bool // runBatch is planned

	term     raftlog.Term // of the batch in hand, as epoch
	epoch    int
	batch    []*simOp
	proposal *Proposal
}

const (
	writerIdle = iota
	writerProposed
	writerConfirms
)

// submit is Shard.Submit.
func (n *simNode) submit(op *simOp) {
	if n.leads == 0 {
		op.end(n, ErrNotLeader)
		return
	}
	n.writer.queue = append(n.writer.queue, op)
	n.kickWriter()
}

func (n *simNode) kickWriter() {
	wr := &n.writer
	if wr.kick || wr.state != writerIdle || len(wr.queue) == 0 {
		return
	}
	wr.kick = true
	n.onNode(n.w.hop(), func() {
		wr.kick = false
		wr.runBatch()
	})
}

func (wr *simWriter) runBatch() {
	n := wr.n
	if wr.state != writerIdle || len(wr.queue) == 0 {
		return
	}
	defer n.kickWriter()
	if n.leads == 0 {
		wr.queue[0].end(n, ErrNotLeader)
		wr.queue = wr.queue[1:]
		return
	}
	k := min(len(wr.queue), 4)
	wr.term, wr.epoch = n.leads, n.epoch
	wr.batch, wr.queue = wr.queue[:k:k], wr.queue[k:]
	values := n.state.values
	var writes []simWrite
	for _, op := range wr.batch {
		if v, wrote := op.evaluate(values[op.key]); wrote {
			values[op.key] = v
			writes = append(writes, simWrite{op.id, op.key, v})
		}
	}
	n.w.log(n.id, "evaluate", uint64(wr.term), uint64(n.state.index), uint64(len(writes)), wr.batch[0].id)
	if len(writes) == 0 {
		wr.confirm()
		return
	}
	wr.propose(encodeSimBatch(writes, n.w.r.IntN(n.w.padding)))
}

func (wr *simWriter) propose(data []byte) {
	n := wr.n
	if err := n.shard.Reserve(int64(len(data))); err != nil {
		if n.disk.off {
			return
		}
		if !errors.Is(err, engine.ErrNoSpace) {
			n.w.fail("node %d: reserve: %v", n.id, err)
		}
		n.finishBatch(err)
		return
	}
	if n.disk.off {
		return
	}
	wr.state = writerProposed
	p := &Proposal{Term: wr.term, Data: data, IndexOffset: simIndexOffset, Context: wr, done: make(chan error, 1)}
	wr.proposal = p
	n.onCore(n.w.stalled(), func() error {
		if n.w.mutant == mutantNoTermCheck {
			p.Term = n.core.term
		}
		err := n.core.propose(p)
		if n.w.mutant == mutantEarlyAck && n.core.leading {
			n.finishBatch(nil)
		}
		if err == nil && n.w.chance(0.5) {
			n.stepWaiting() // a worker takes both in one round
		}
		return err
	})
}

// look takes the outcome of a proposal, as Shard.endBatch does.
func (wr *simWriter) look() {
	if wr.state != writerProposed {
		return
	}
	select {
	case err := <-wr.proposal.done:
		wr.n.w.log(wr.n.id, "outcome", uint64(wr.proposal.index)).note = errText(err)
		wr.state = writerIdle
		wr.n.finishBatch(err)
		wr.n.kickWriter()
	default:
	}
}

// confirm ends a batch that wrote nothing: see Shard.endUnwritten.
func (wr *simWriter) confirm() {
	n := wr.n
	wr.state = writerConfirms
	term := wr.term
	end := func(err error) {
		wr.state = writerIdle
		if err == nil && n.leads != term {
			err = ErrNotLeader
		}
		n.finishBatch(err)
		n.kickWriter()
	}
	if n.w.mutant == mutantUnconfirmed {
		end(nil)
		return
	}
	n.readBarrier(func(err error) {
		if !n.up {
			return
		}
		n.onNode(n.w.hop(), func() { end(err) })
	})
}

// finishBatch tells the clients how the batch ended.
func (n *simNode) finishBatch(err error) {
	batch := n.writer.batch
	n.writer.batch = nil
	for _, op := range batch {
		op.end(n, err)
	}
}

// lost is the end of the process.
func (wr *simWriter) lost() {
	for _, op := range append(wr.batch, wr.queue...) {
		op.broken()
	}
	wr.batch, wr.queue, wr.state = nil, nil, writerIdle
}

func errText(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}
