package consensus

import (
	"math/rand/v2"
	"slices"
	"time"
)

// simTick is the nodes' TickInterval.
const simTick = 50 * time.Millisecond

// simMutant is a mistake that is made on purpose, to see whether it is found.
type simMutant int

const (
	mutantNone           simMutant = iota
	mutantNoBarrier                // reads do not ask
	mutantUnconfirmed              // tasks that write nothing do not ask
	mutantEarlyAck                 // a write is acknowledged when it is proposed
	mutantNoTermCheck              // what was evaluated in one term is proposed in another
	mutantEarlyLead                // evaluates before an entry of the term was applied
	mutantNoPosition               // the engine's data is flushed, its position is not
	mutantOldConf                  // the engine's data is flushed, its membership is not
	mutantNoFsync                  // the log does not sync
	mutantDefinite                 // a leader that steps down refuses what it has proposed
	mutantSameSeed                 // read index contexts repeat
	mutantNoReset                  // the log does not follow a raft snapshot
	mutantLateSnapshot             // a raft snapshot has more than its index says
	mutantSlowClock                // leases last three times as long as members keep to them
	mutantLoneConfirm              // one member's request confirms a leader, majority or not
	mutantLearnerConfirm           // so does a learner's, as a voter's would
	mutantEarlyConfirm             // a leader is confirmed before it has applied an entry of its term
)

// simPlan is what a seed decides before anything happens.
type simPlan struct {
	seed                            uint64
	mutant                          simMutant
	nodeCount, joiners, clientCount int
	lease                           bool
	electionTicks                   int
	segment, retain, cache          int64
	flushRate                       float64
	padding                         int // bytes of an entry, at most
	think, patience                 time.Duration
	length                          time.Duration // of the faults
	faultEvery                      time.Duration
	members                         float64 // share of the faults that change the membership
	chunkTime                       time.Duration
	calm                            bool    // hardly anybody writes
	churn                           bool    // leaders change all the time
	strands                         bool    // leaders are cut off with others: see strand
	keepLearners                    bool    // most of the time nobody is promoted
	stall                           float64 // share of proposals that come late
	slowDisk                        float64
	drift                           float64
}

func (w *world) plan(seed uint64, mutant simMutant) {
	w.r = rand.New(rand.NewPCG(seed, 0x5eed))
	w.ring = make([]simTrace, simRing)
	r := w.r
	oneOf := func(values ...int64) int64 { return values[r.IntN(len(values))] }
	p := simPlan{
		seed: seed, mutant: mutant,
		nodeCount: int(oneOf(1, 3, 3, 3, 3, 5)), joiners: r.IntN(3), clientCount: 3 + r.IntN(6),
		lease: r.IntN(3) == 0 || *simLease, electionTicks: int(oneOf(6, 10, 15)),
		segment: oneOf(8<<10, 12<<10, 32<<10), retain: oneOf(-1, -1, 16<<10), cache: oneOf(-1, 4<<10, 1<<20),
		padding:    int(oneOf(10, 500, 3000)),
		flushRate:  []float64{0.005, 0.03, 0.2}[r.IntN(3)],
		think:      time.Duration(oneOf(5, 20, 100)) * time.Millisecond,
		patience:   time.Duration(oneOf(200, 1000, 4000)) * time.Millisecond,
		length:     time.Duration(oneOf(4, 7, 12)) * time.Second,
		faultEvery: time.Duration(oneOf(100, 250, 700)) * time.Millisecond,
		members:    []float64{0, 0.1, 0.4}[r.IntN(3)],
		chunkTime:  time.Duration(oneOf(1, 50, 300)) * time.Millisecond,
		churn:      r.IntN(6) == 0, calm: r.IntN(5) == 0,
		stall:    []float64{0.01, 0.2}[r.IntN(2)],
		slowDisk: []float64{0, 0.01, 0.1}[r.IntN(3)],
		drift:    0.3,
	}
	p.lease = p.lease || mutant == mutantSlowClock
	if p.lease {
		p.drift = 0.03
	}
	if p.churn {
		p.faultEvery = 100 * time.Millisecond
	}
	if p.nodeCount == 1 {
		p.joiners, p.members = 2, 0.4
	}
	p.planStrands()
	w.simPlan = p
	w.net = simNet{
		loss: []float64{0, 0.01, 0.1}[r.IntN(3)], twice: []float64{0, 0.05}[r.IntN(2)],
		delay: time.Duration(oneOf(50, 500)) * time.Microsecond, spread: time.Duration(oneOf(50, 1000, 10000)) * time.Microsecond,
		slow: []float64{0, 0.01, 0.05}[r.IntN(3)], slowTime: time.Duration(oneOf(100, 800)) * time.Millisecond,
		cut: make(map[[2]NodeID]int),
	}
}

// hop is how long something takes to get from one goroutine, or from a client, to
// another.
func (w *world) hop() time.Duration {
	d := w.around(100 * time.Microsecond)
	if w.healed == 0 && w.chance(0.01) {
		d += w.around(300 * time.Millisecond)
	}
	return d
}

// stalled is how long a proposal takes to get to the group: the writer may have to
// wait for the disk first.
func (w *world) stalled() time.Duration {
	if w.healed == 0 && w.chance(w.stall) {
		return min(w.around(time.Second), 2*time.Second)
	}
	return w.hop()
}

// syncTime is how long a sync of the disk takes.
func (w *world) syncTime(*simNode) time.Duration {
	d := w.around(500 * time.Microsecond)
	if w.healed == 0 && w.chance(w.slowDisk) {
		d += w.around(100 * time.Millisecond)
	}
	return d
}

// rate is how fast a node's clock and ticks run.
func (w *world) rate() float64 { return 1 + w.drift*(2*w.r.Float64()-1) }

// nextFault plans faults until the cluster is healed.
func (w *world) nextFault() {
	w.after(w.around(w.faultEvery), func() {
		if w.healed != 0 {
			return
		}
		if w.chance(w.members) {
			w.changeMembers()
		} else {
			w.fault()
		}
		w.nextFault()
	})
}

func (w *world) fault() {
	n := w.nodes[w.r.IntN(len(w.nodes))]
	if l := w.pick(true); l != nil && w.chance(0.4) {
		n = l
	}
	loss := simLoss(w.r.IntN(3))
	kind := w.r.IntN(17)
	if l := w.pick(true); w.churn && l != nil && w.chance(0.8) {
		n, kind = l, 13
	}
	if w.lease && n.leads != 0 && w.chance(0.4) {
		w.depose(n, loss)
		return
	}
	if w.strands && n.leads != 0 && w.chance(0.5) {
		w.strand(n)
		return
	}
	switch kind {
	case 0, 1:
		n.crash(loss)
	case 2, 3:
		if n.up && !n.disk.off {
			n.disk.crashAt, n.disk.loss = n.disk.ops+1+w.r.IntN(30), loss
		}
	case 4:
		if w.chance(0.3) {
			for _, n := range w.nodes {
				n.crash(loss)
			}
		}
	case 5:
		n.stop()
	case 6, 7:
		if n.up {
			d := w.between(50*time.Millisecond, 4*time.Second)
			w.log(n.id, "pause", uint64(d))
			n.paused = max(n.paused, w.now+d)
		}
	case 8, 9, 10:
		w.partition(n)
	case 11:
		d := w.between(100*time.Millisecond, 2*time.Second)
		w.log(n.id, "full", uint64(d))
		n.disk.full = true
		disk := n.disk
		w.after(d, func() { disk.full = false })
	case 12:
		gone := w.nodes[w.r.IntN(len(w.nodes))] // it need not be
		w.hint(n, gone)
	case 13:
		n.transfer(w.nodes[w.r.IntN(len(w.nodes))].id)
	case 14:
		if n.up && !w.lease {
			n.onCore(0, func() error {
				w.log(n.id, "campaign")
				_ = n.core.rn.Campaign()
				return nil
			})
		}
	case 15:
		if n.up && !n.inCore {
			n.onNode(0, func() {
				if !n.inCore {
					n.flush()
				}
			})
		}
	case 16:
		gone := w.nodes[w.r.IntN(len(w.nodes))].id
		if n.up {
			n.onCore(0, func() error {
				n.core.rn.ReportUnreachable(uint64(gone))
				return nil
			})
		}
	}
}

// depose has a leader lose its followers one by one: the first does not hear it any
// more and wants to be elected, the second has just confirmed it, and may start anew
// and know nothing of that. It is what a lease must not be fooled by.
func (w *world) depose(n *simNode, loss simLoss) {
	first, second := w.nodes[w.r.IntN(len(w.nodes))], w.nodes[w.r.IntN(len(w.nodes))]
	if first == n || second == n {
		return
	}
	cut := func(o *simNode) {
		w.log(n.id, "cut off", uint64(o.id))
		for _, l := range [][2]NodeID{{n.id, o.id}, {o.id, n.id}} {
			w.net.cut[l]++
			w.after(3*time.Second, func() { w.net.cut[l]-- })
		}
	}
	cut(first)
	w.after(w.between(0, 1500*time.Millisecond), func() {
		if n.leads == 0 || w.healed != 0 {
			return
		}
		for _, o := range w.nodes {
			if o != n && o != first {
				cut(o)
			}
		}
		if w.chance(0.7) {
			second.crash(loss)
			w.after(2*time.Millisecond, second.start)
		}
	})
}

// transfer is Group.TransferLeader.
func (n *simNode) transfer(to NodeID) {
	if !n.up || n.id == to {
		return
	}
	n.onCore(0, func() error {
		if n.core.leading {
			n.w.log(n.id, "transfer", uint64(to))
			n.w.stats.Transfers++
			n.core.transfer(to)
		}
		return nil
	})
}

// hint is Group.PeerGone.
func (w *world) hint(n, gone *simNode) {
	if n.up {
		n.onCore(w.travel(), func() error {
			w.log(n.id, "peer gone", uint64(gone.id))
			n.core.peerGone(gone.id)
			return nil
		})
	}
}

// crashed is called when a process has ended: others may be told, the clients
// notice, and it is started again.
func (w *world) crashed(n *simNode) {
	for _, op := range n.callers {
		op := op
		w.after(w.travel(), op.broken)
	}
	n.callers = nil
	if w.healed == 0 && w.chance(0.5) {
		for _, o := range w.nodes {
			if o != n {
				w.hint(o, n)
			}
		}
	}
	d := w.between(time.Millisecond, 3*time.Second)
	if w.chance(0.3) {
		d = w.between(time.Millisecond, 100*time.Millisecond)
	}
	if w.healed != 0 {
		d = time.Millisecond
	}
	w.after(d, n.start)
}

// partition cuts links about n for a while.
func (w *world) partition(n *simNode) {
	var links [][2]NodeID
	cut := func(a, b *simNode, both bool) {
		links = append(links, [2]NodeID{a.id, b.id})
		if both {
			links = append(links, [2]NodeID{b.id, a.id})
		}
	}
	kind := w.r.IntN(4)
	if n.leads != 0 && w.chance(0.5) {
		kind = 0
	}
	switch kind {
	case 0: // n alone
		for _, o := range w.nodes {
			cut(n, o, true)
		}
	case 1: // two sides
		side := make([]bool, len(w.nodes))
		for i := range side {
			side[i] = w.chance(0.5)
		}
		for i, a := range w.nodes {
			for j, b := range w.nodes {
				if side[i] && !side[j] {
					cut(a, b, true)
				}
			}
		}
	case 2: // one link
		cut(n, w.nodes[w.r.IntN(len(w.nodes))], w.chance(0.7))
	case 3: // one way: n is not heard, or hears nothing
		in := w.chance(0.5)
		for _, o := range w.nodes {
			if in {
				cut(o, n, false)
			} else {
				cut(n, o, false)
			}
		}
	}
	d := w.between(100*time.Millisecond, 4*time.Second)
	w.log(n.id, "partition", uint64(len(links)), uint64(d))
	for _, l := range links {
		w.net.cut[l]++
	}
	w.after(d, func() {
		for _, l := range links {
			w.net.cut[l]--
		}
	})
}

// heal ends all faults.
func (w *world) heal() {
	w.healed = w.now
	w.log(0, "healed")
	clear(w.net.cut)
	w.net.cut = make(map[[2]NodeID]int)
	w.net.loss, w.net.slow = 0, 0
	w.chunkTime = time.Millisecond
	for _, c := range w.clients {
		c.reads = 0.3
	}
	w.think, w.patience = 30*time.Millisecond, time.Second
	for _, n := range slices.Clone(w.nodes) {
		n.paused = 0
		n.setRate(1)
		if n.disk != nil {
			n.disk.full, n.disk.crashAt = false, 0
		}
		n.start()
	}
}
