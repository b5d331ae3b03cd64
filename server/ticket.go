package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"dkv/cluster/shard"
)

// ticket names a blocking request between nodes, so that the one that sent it can
// withdraw it: what is random to a process, and a number.
type ticket [16]byte

// tickets are the requests of other nodes that are under way here.
type tickets struct {
	process [8]byte
	last    atomic.Uint64
	mu      struct {
		sync.Mutex
		held map[ticket]func() // withdraws it
	}
}

func (ts *tickets) init() {
	_, _ = rand.Read(ts.process[:]) // it never fails
	ts.mu.held = make(map[ticket]func())
}

// next returns a ticket for a request of this node's.
func (ts *tickets) next() (t ticket) {
	copy(t[:], ts.process[:])
	binary.BigEndian.PutUint64(t[8:], ts.last.Add(1))
	return t
}

func (ts *tickets) hold(t ticket, withdraw func()) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.mu.held[t] = withdraw
}

func (ts *tickets) drop(t ticket) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.mu.held, t)
}

// withdraw withdraws a request, unless it is over, or not here yet: then its node
// asks again.
func (ts *tickets) withdraw(t ticket) {
	ts.mu.Lock()
	withdraw := ts.mu.held[t]
	ts.mu.Unlock()
	if withdraw != nil {
		withdraw()
	}
}

// runParking runs a request of another node that may be parked. It ends with ctx, as
// that node is lost then.
func (e *execution) runParking(ctx context.Context, local *shard.Shard) error {
	s := e.srv
	withdraw := func() { local.Withdraw(&e.task) }
	e.task.Reads = !e.writes()
	s.tickets.hold(e.ticket, withdraw)
	defer s.tickets.drop(e.ticket)
	local.Submit(&e.task)
	stop := context.AfterFunc(ctx, withdraw)
	defer stop()
	return e.task.Wait()
}
