package consensus

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// readQueue gathers reads that wait for the read barrier. While one read index
// request is under way the reads that come in the meantime wait for the next, so
// a round serves however many there are.
//
// Invariant: a read is served only by a request that was made after it came.
// Invariant: a request's context is never used twice, not over restarts either,
// so an answer that was delayed can only be for the request that it names.
type readQueue struct {
	mu struct {
		sync.Mutex
		next   []*readWait // no request yet
		closed error
	}

	// The rest belongs to the group's goroutine.
	asked   []*readWait // wait for the answer to context
	context [16]byte    // seed, count
	started time.Time
	age     int    // ticks since
	beat    []byte // what raft's latest heartbeats carry for it
	ready   []*readWait
}

// readWait is one read.
type readWait struct {
	index raftlog.Index
	done  chan error  // of capacity one
	gone  atomic.Bool // nobody waits any more

	// A member's request, for which this leader's next one serves as well: to whom
	// the answer goes, and the request's context.
	member  NodeID
	context []byte
}

var readWaits = sync.Pool{New: func() any { return &readWait{done: make(chan error, 1)} }}

// wait waits for the read's turn, or for changed.
func (w *readWait) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case err := <-w.done:
		readWaits.Put(w)
		return err
	case <-ctx.Done():
		w.gone.Store(true) // it is left to the group
		return ctx.Err()
	case <-changed:
		w.gone.Store(true)
		return errChanged
	}
}

// ReadBarriers is ReadBarrier of several groups, which are asked before the first one
// is waited for. errs are the groups' own.
func ReadBarriers(ctx context.Context, groups []*Group) (errs []error) {
	waits := make([]*readWait, len(groups))
	for i, g := range groups {
		waits[i] = g.askRead()
	}
	for _, g := range groups {
		g.Wake()
	}
	errs = make([]error, len(groups))
	for i, w := range waits {
		if w != nil {
			errs[i] = w.wait(ctx, nil)
		}
	}
	return errs
}

func (q *readQueue) init(seed uint64) {
	binary.BigEndian.PutUint64(q.context[:], seed)
}

// add queues a read. first says that the group has to be told.
func (q *readQueue) add(w *readWait) (first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed != nil {
		w.done <- q.mu.closed
		return false
	}
	q.mu.next = append(q.mu.next, w)
	return len(q.mu.next) == 1
}

// tick ages the request that is under way; true: make a new one.
func (q *readQueue) tick(electionTicks int) (again bool) {
	if len(q.asked) == 0 {
		return false
	}
	q.age++
	return q.age > max(electionTicks/3, 2)
}

// hurry makes the next tick ask again.
func (q *readQueue) hurry() { q.age = 1 << 20 }

// startRead makes a read index request for the reads that wait, if none is under
// way or the one that is has got no answer. Those of a request without an answer
// are served by the new one.
func (c *core) startRead() {
	q := &c.reads
	again := q.age > max(c.o.ElectionTicks/3, 2)
	if len(q.asked) > 0 && !again {
		return
	}
	q.asked = slices.DeleteFunc(q.asked, func(w *readWait) bool { return w.gone.Load() })
	q.mu.Lock()
	q.asked = append(q.asked, q.mu.next...)
	clear(q.mu.next)
	q.mu.next = q.mu.next[:0]
	q.mu.Unlock()
	if len(q.asked) == 0 {
		return
	}
	count := binary.BigEndian.Uint64(q.context[8:])
	binary.BigEndian.PutUint64(q.context[8:], count+1)
	q.age, q.started = 0, c.o.Now()
	c.counters.ReadRounds++
	c.rn.ReadIndex(append([]byte(nil), q.context[:]...))
}

// readFor takes a member's read index request. Were each handed to raft, each
// would ask all members again; so they wait for this node's own next one.
func (c *core) readFor(m *pb.Message) {
	if len(m.GetEntries()) != 1 {
		return
	}
	w := &readWait{member: NodeID(m.GetFrom()), context: m.GetEntries()[0].GetData()}
	if c.o.Lease && c.ready && c.lease.valid(c.o.Now()) {
		c.answerRead(w, uint64(c.applied)) // which is all that is committed, see valid
		return
	}
	if c.confirms(m) {
		if news := c.takeWithheld(m.GetFrom()); news != nil {
			// No heartbeat goes out that tells the member of the commit it is to wait for.
			c.send([]*pb.Message{news})
		}
		c.answerRead(w, c.rn.BasicStatus().GetCommit())
		return
	}
	q := &c.reads
	q.mu.Lock()
	// A member has one request at a time: an earlier one was given up.
	q.mu.next = slices.DeleteFunc(q.mu.next, func(o *readWait) bool { return o.member == w.member })
	q.mu.next = append(q.mu.next, w)
	q.mu.Unlock()
	c.startRead()
}

func (c *core) answerRead(w *readWait, index uint64) {
	c.o.Transport.Send([]*pb.Message{{
		Type: pb.MsgReadIndexResp.Enum(), From: new(uint64(c.o.ID)), To: new(uint64(w.member)),
		Term: new(uint64(c.term)), Index: new(index), Entries: []*pb.Entry{{Data: w.context}},
	}})
}

// confirmReads takes raft's answers.
func (c *core) confirmReads(states []raft.ReadState) {
	q := &c.reads
	for _, rs := range states {
		if len(q.asked) == 0 || string(rs.RequestCtx) != string(q.context[:]) {
			continue // an earlier request, which has been made again
		}
		if c.ready {
			c.lease.renew(q.started, c.o.leaseTime())
		}
		index := raftlog.Index(rs.Index)
		for _, w := range q.asked {
			if w.member != 0 {
				c.answerRead(w, rs.Index)
				continue
			}
			w.index = index
			q.ready = append(q.ready, w)
		}
		clear(q.asked)
		q.asked = q.asked[:0]
		q.applied(c.applied)
		c.startRead()
	}
}

// applied serves the reads whose index has been applied.
func (q *readQueue) applied(index raftlog.Index) {
	if len(q.ready) == 0 {
		return
	}
	kept := q.ready[:0]
	for _, w := range q.ready {
		if w.index <= index {
			w.done <- nil
		} else {
			kept = append(kept, w)
		}
	}
	clear(q.ready[len(kept):])
	q.ready = kept
}

// close ends all reads, and those to come.
func (q *readQueue) close(err error) {
	q.mu.Lock()
	waiting := q.mu.next
	q.mu.next, q.mu.closed = nil, err
	q.mu.Unlock()
	for _, list := range [][]*readWait{waiting, q.asked, q.ready} {
		for _, w := range list {
			if w.member == 0 {
				w.done <- err
			}
		}
	}
	q.asked, q.ready = nil, nil
}
