package consensus

import (
	"errors"
	"fmt"
	"time"
)

type simKind int

const (
	opSet     simKind = iota
	opSwap            // set, and return what was there
	opAppend          // returns what is there then
	opCas             // set if the value is the one last seen; returns what was there
	opGet             // a read behind the barrier, on any node
	opGetTask         // a read in the leader's writer
)

var simKindNames = [...]string{"set", "swap", "append", "cas", "get", "gettask"}

type simOutcome int

const (
	opRunning simOutcome = iota
	opAcked
	opRefused // it did not happen
	opUnknown
)

// simOp is one command of a client.
type simOp struct {
	w      *world
	id     uint64 // unique, and the value that it writes
	client int
	kind   simKind
	key    int
	expect string
	result string

	outcome  simOutcome // as the client saw it
	call     int64
	ret      int64
	answered bool // the server has given its answer, whether or not it arrived
	cancel   func()
}

func (op *simOp) String() string {
	return fmt.Sprintf("%s key %d token %d", simKindNames[op.kind], op.key, op.id)
}

// maxSimValue bounds values, so that a length fits a byte.
const maxSimValue = 120

// simStep is the meaning of a command: the value after it and what it returns.
func simStep(op *simOp, value string) (next, result string) {
	token := fmt.Sprint(op.id)
	switch op.kind {
	case opSet:
		return token, ""
	case opSwap:
		return token, value
	case opAppend:
		if len(value) > maxSimValue {
			return token, token
		}
		return value + "," + token, value + "," + token
	case opCas:
		if value == op.expect {
			return token, value
		}
		return value, value
	default:
		return value, value
	}
}

// evaluate runs the command on a value.
func (op *simOp) evaluate(value string) (next string, wrote bool) {
	next, op.result = simStep(op, value)
	return next, next != value
}

func (op *simOp) writes() bool { return op.kind != opGet && op.kind != opGetTask }

// simClient has one command under way at a time.
type simClient struct {
	w     *world
	id    int
	reads float64 // share of its commands
	seen  [simKeys]string

	// Of a visitor, which does only one thing: see world.visit.
	visits simKind
	at     func() *simNode
	until  time.Duration
}

// next begins a command, on a node that says it leads more often than not.
func (c *simClient) next() {
	w := c.w
	if w.ended || w.truth.stopped {
		return
	}
	if c.at != nil {
		c.visit()
		return
	}
	op := &simOp{w: w, id: w.truth.nextOp(), client: c.id, key: w.r.IntN(simKeys)}
	if w.chance(c.reads) {
		op.kind = opGet
		if w.chance(0.4) {
			op.kind = opGetTask
		}
	} else {
		op.kind = simKind(w.r.IntN(int(opCas) + 1))
		op.expect = c.seen[op.key]
	}
	c.send(op, w.pick(op.kind != opGet && w.chance(0.9)))
}

// patience is how long the client waits for an answer.
func (c *simClient) patience() time.Duration {
	if c.at != nil {
		return visitPatience
	}
	return c.w.patience
}

// send sends a command to a node; nil: there is none.
func (c *simClient) send(op *simOp, n *simNode) {
	w := c.w
	w.stamp++
	op.call = w.stamp
	w.truth.history = append(w.truth.history, op)
	if n == nil {
		op.finish(opRefused)
		return
	}
	w.log(n.id, "call", op.id, uint64(op.kind), uint64(op.key))
	run := n.run
	w.after(w.hop(), func() {
		switch {
		case !n.up:
			op.finish(opRefused)
		case n.run != run:
			op.finish(opUnknown)
		default:
			n.onNode(0, func() { op.arrive(n) })
			w.after(c.patience(), op.giveUp)
		}
	})
	n.waits(op)
}

// waits makes the client notice when the node's process ends.
func (n *simNode) waits(op *simOp) {
	kept := n.callers[:0]
	for _, o := range n.callers {
		if o.outcome == opRunning {
			kept = append(kept, o)
		}
	}
	n.callers = append(kept, op)
}

func (op *simOp) arrive(n *simNode) {
	if op.kind != opGet {
		n.submit(op)
		return
	}
	op.cancel = n.readBarrier(func(err error) {
		if err != nil || !n.up {
			op.end(n, ErrStopped)
			return
		}
		// The state is looked at later, by another goroutine.
		n.onNode(n.w.hop(), func() {
			op.result = n.state.values[op.key]
			op.end(n, nil)
		})
	})
}

// end is the server's answer.
func (op *simOp) end(n *simNode, err error) {
	if op.answered || n.disk.off {
		return
	}
	op.answered = true
	outcome := opRefused
	switch {
	case err == nil:
		outcome = opAcked
		if op.writes() {
			op.w.truth.acked(n, op)
		}
	case errors.Is(err, ErrUncertain):
		outcome = opUnknown
	default:
		op.w.truth.refuse(op, err)
	}
	result := op.result
	op.w.after(n.disk.spent+op.w.hop(), func() {
		op.result = result
		op.finish(outcome)
	})
}

// broken is the end of the server's process.
func (op *simOp) broken() { op.finish(opUnknown) }

func (op *simOp) giveUp() {
	if op.cancel != nil {
		op.cancel()
	}
	op.finish(opUnknown)
}

// finish is what the client sees, once.
func (op *simOp) finish(outcome simOutcome) {
	if op.outcome != opRunning {
		return
	}
	w := op.w
	w.stamp++
	op.outcome, op.ret = outcome, w.stamp
	w.log(0, "done", op.id, uint64(outcome), uint64(op.client)).note = op.result
	c := w.clients[op.client]
	pause := w.around(w.think)
	switch outcome {
	case opAcked:
		w.stats.Acked++
		if op.kind != opSet {
			c.seen[op.key] = op.result
		}
		if op.kind == opCas && op.result == op.expect {
			c.seen[op.key] = fmt.Sprint(op.id)
		}
		if !op.writes() {
			w.stats.Reads++
		}
		w.firstWrite(op)
	case opRefused:
		w.stats.Refused++
		pause += 20 * time.Millisecond
	case opUnknown:
		w.stats.Unknown++
	}
	w.after(pause, c.next)
}

// pick chooses a node that runs; leading: one that says it leads, if there is any.
func (w *world) pick(leading bool) *simNode {
	var some []*simNode
	for _, n := range w.nodes {
		if n.up && (!leading || n.leads != 0) {
			some = append(some, n)
		}
	}
	if len(some) == 0 && leading {
		return w.pick(false)
	}
	if len(some) == 0 {
		return nil
	}
	return some[w.r.IntN(len(some))]
}

// node returns the node with an id, nil when there is none.
func (w *world) node(id NodeID) *simNode {
	if id == 0 || int(id) > len(w.nodes) {
		return nil
	}
	return w.nodes[id-1]
}
