package consensus

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/cluster/raftlog"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/raft/v3/raftpb"
)

// simTruth is what an onlooker knows who sees all nodes at once.
type simTruth struct {
	w       *world
	ops     uint64
	history []*simOp
	stopped bool // clients begin nothing any more

	entries   []simEntry // what was applied, by index
	membersAt raftlog.Index
	opAt      map[uint64]raftlog.Index // where a command was applied
	refused   map[uint64]string        // commands that a server refused
	leaders   map[raftlog.Term]NodeID
	contexts  map[[16]byte]bool
}

// simEntry is what the first node that applied an index found there, and the state
// that it led to; term 0: no node has yet.
type simEntry struct {
	term raftlog.Term
	data uint64
	sum  uint64
}

func (t *simTruth) init(w *world) {
	*t = simTruth{
		w: w, opAt: make(map[uint64]raftlog.Index), refused: make(map[uint64]string),
		leaders: make(map[raftlog.Term]NodeID), contexts: make(map[[16]byte]bool),
	}
}

func (t *simTruth) nextOp() uint64 {
	t.ops++
	return t.ops
}

func (t *simTruth) at(index raftlog.Index) *simEntry {
	for len(t.entries) <= int(index) {
		t.entries = append(t.entries, simEntry{})
	}
	return &t.entries[index]
}

// applied compares an entry, and the state after it, with what others have there.
func (t *simTruth) applied(n *simNode, index raftlog.Index, term raftlog.Term, data []byte, writes []simWrite) {
	h := fnv.New64a()
	h.Write(data)
	sum, state := h.Sum64(), n.state.sum()
	t.w.log(n.id, "apply", uint64(index), uint64(term), sum, state)
	e := t.at(index)
	if e.term == 0 {
		*e = simEntry{term, sum, state}
		for _, wr := range writes {
			if at, twice := t.opAt[wr.op]; twice {
				t.w.fail("token %d is applied at %d and at %d", wr.op, at, index)
			}
			t.opAt[wr.op] = index
			if why, refused := t.refused[wr.op]; refused {
				t.w.fail("token %d is applied at %d, but it was refused: %s", wr.op, index, why)
			}
		}
		return
	}
	switch {
	case e.term != term || e.data != sum:
		t.w.fail("node %d: the entry at %d is of term %d, was of %d, or has other data", n.id, index, term, e.term)
	case e.sum != state:
		t.w.fail("node %d: the state at %d is not that of others", n.id, index)
	}
}

// restored compares a state that comes from a disk or another node.
func (t *simTruth) restored(n *simNode) {
	t.w.log(n.id, "state", uint64(n.state.index), n.state.sum())
	if n.state.index <= simFirstIndex {
		return
	}
	if e := t.at(n.state.index); e.sum != n.state.sum() {
		t.w.fail("node %d: the state that it has for %d is not that of others", n.id, n.state.index)
	}
}

func (t *simTruth) refuse(op *simOp, err error) {
	t.refused[op.id] = err.Error()
	if at, applied := t.opAt[op.id]; applied && op.writes() {
		t.w.fail("%v was refused with %q, but was applied at %d", op, err, at)
	}
}

// acked: what a server acknowledges must be in the log of a majority of the voters
// that it knows, or knew when the entry was committed.
func (t *simTruth) acked(n *simNode, op *simOp) {
	at, applied := t.opAt[op.id]
	if !applied {
		if op.kind != opCas {
			t.w.fail("%v was acknowledged by node %d without being applied", op, n.id)
		}
		return
	}
	if !t.onMajority(n.state.conf, at) && (n.before == nil || !t.onMajority(n.before, at)) {
		t.w.fail("%v was acknowledged by node %d at %d, which no majority has", op, n.id, at)
	}
}

// onMajority says whether most voters have the entry. Into the logs of those that
// are down it does not look.
func (t *simTruth) onMajority(cs *pb.ConfState, at raftlog.Index) bool {
	have := 0
	for _, v := range cs.GetVoters() {
		o := t.w.node(NodeID(v))
		if !o.up || o.log == nil {
			have++
			continue
		}
		term, err := o.shard.Term(uint64(at))
		if first, _ := o.shard.FirstIndex(); err == nil && term == uint64(t.at(at).term) || uint64(at) < first {
			have++
		}
	}
	return have > len(cs.GetVoters())/2
}

// observe looks at a node after each of its events.
func (t *simTruth) observe(n *simNode) {
	c := n.core
	if c.term < n.lastTerm {
		t.w.fail("node %d: term %d after %d", n.id, c.term, n.lastTerm)
	}
	n.lastTerm = c.term
	if c.leading {
		switch was := t.leaders[c.term]; was {
		case n.id:
		case 0:
			t.leaders[c.term] = n.id
			t.w.stats.Elections++
			t.w.log(n.id, "elected", uint64(c.term))
		default:
			t.w.fail("nodes %d and %d lead in term %d", was, n.id, c.term)
		}
	}
	if c.ready && t.w.lease {
		for _, o := range t.w.nodes {
			if o.up && o.core != nil && o.core.term < c.term && o.core.lease.valid(o.clock()) {
				t.w.fail("node %d has a lease in term %d while node %d leads in term %d", o.id, o.core.term, n.id, c.term)
			}
		}
	}
	if c.counters.ReadRounds != n.rounds {
		n.rounds = c.counters.ReadRounds
		if t.contexts[c.reads.context] {
			t.w.fail("node %d: a read index context was used before: %x", n.id, c.reads.context)
		}
		t.contexts[c.reads.context] = true
	}
	if c.applied != n.state.index {
		t.w.fail("node %d: the core has applied %d, its state is at %d", n.id, c.applied, n.state.index)
	}
}

// healTime bounds how long after the end of all faults a write is acknowledged, and
// until everybody has everything.
const (
	writeTime = 8 * time.Second
	healTime  = 30 * time.Second
)

func (w *world) firstWrite(op *simOp) {
	if w.healed != 0 && op.writes() && w.wrote == 0 && op.kind != opCas {
		w.wrote = w.now
		w.stats.FirstWrite = w.now - w.healed
	}
}

// watch waits, after the healing, for a write, then for calm, then for all members
// to have the same.
func (w *world) watch() {
	w.after(20*time.Millisecond, func() {
		since := w.now - w.healed
		switch {
		case w.wrote == 0 && since > writeTime:
			w.fail("no write was acknowledged within %v of the healing", since)
			return
		case since > healTime:
			w.fail("not settled %v after the healing: %s", since, w.unsettled())
			return
		case w.wrote != 0 && since > 500*time.Millisecond:
			w.truth.stopped = true
			if w.unsettled() == "" {
				w.ended = true
				return
			}
		}
		w.watch()
	})
}

// unsettled says what has not come to its end yet.
func (w *world) unsettled() string {
	for _, op := range w.truth.history {
		if op.outcome == opRunning {
			return op.String() + " runs"
		}
	}
	var most *simNode
	for _, n := range w.nodes {
		if n.member && !n.up {
			return "node " + strconv.Itoa(int(n.id)) + " is down"
		}
		if n.member && (most == nil || n.state.index > most.state.index) {
			most = n
		}
	}
	for _, n := range w.nodes {
		if n.member && (n.state.index != most.state.index || n.core.lead == 0 || n.writer.state != writerIdle || len(n.reads) > 0) {
			return fmt.Sprintf("node %d is at %d of %d, follows %d, its writer is in state %d, %d reads wait",
				n.id, n.state.index, most.state.index, n.core.lead, n.writer.state, len(n.reads))
		}
	}
	if b := most.core.rn.BasicStatus(); b.GetCommit() != uint64(most.state.index) || int(most.state.index) < len(w.truth.entries)-1 {
		return "not all is applied"
	}
	return ""
}

// checkEnd looks at what is there in the end, with all members at the same
// position.
func (w *world) checkEnd() {
	t := &w.truth
	var last simState
	for _, n := range w.nodes {
		if n.member {
			if last.index != 0 && last.sum() != n.state.sum() {
				w.fail("node %d ends with another state", n.id)
			}
			last = n.state
		}
	}
	for _, op := range t.history {
		if at, applied := t.opAt[op.id]; op.outcome == opAcked && op.writes() && op.kind != opCas && (!applied || at > last.index) {
			w.fail("%v was acknowledged, and is lost", op)
		}
	}
	// One more read of each key on each member.
	w.stamp++
	for key := range simKeys {
		t.history = append(t.history, &simOp{
			kind: opGet, key: key, outcome: opAcked, result: last.values[key], call: w.stamp, ret: w.stamp + 1,
		})
	}
}

// simModel is a register with the commands of simStep.
var simModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		op := input.(*simOp)
		next, result := simStep(op, state.(string))
		return op.outcome != opAcked || result == op.result, next
	},
}

// checkHistory returns whether what clients saw is linearizable, key by key. It is
// porcupine.Unknown when the search was given up: a dozen appends of unknown outcome
// that show late have more orders than it can try.
func (w *world) checkHistory() porcupine.CheckResult {
	for key := range simKeys {
		seen := make(map[string]int64) // the earliest answer that shows a token
		for _, op := range w.truth.history {
			if op.key == key && op.outcome == opAcked {
				for _, token := range strings.Split(op.result, ",") {
					if at, ok := seen[token]; !ok || op.ret < at {
						seen[token] = op.ret
					}
				}
			}
		}
		var ops []porcupine.Operation
		for _, op := range w.truth.history {
			o := porcupine.Operation{ClientId: op.client, Input: op, Call: op.call, Return: op.ret}
			switch {
			case op.key != key || op.outcome == opRefused || op.outcome == opRunning:
				continue
			case op.outcome == opUnknown:
				// It stays open until an answer shows it: by then it has happened. If
				// none does, nothing tells whether it happened after all else or not at
				// all.
				shown, ok := seen[strconv.FormatUint(op.id, 10)]
				if !op.writes() || !ok {
					continue
				}
				o.Return = shown
			}
			ops = append(ops, o)
		}
		slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		if r := porcupine.CheckOperationsTimeout(simModel, ops, 5*time.Second); r != porcupine.Ok {
			return r
		}
	}
	return porcupine.Ok
}
