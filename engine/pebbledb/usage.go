package pebbledb

import (
	"fmt"
	"sync/atomic"
	"time"
)

// usage counts what is using a DB: calls under way, open iterators, open
// snapshots. Pebble must not be closed under any of them (it would panic, or
// read memory that it gave back).
//
// A sync.RWMutex would do for the calls, but not for iterators: a goroutine that
// holds one and calls Get would wait for the Close that waits for it.
type usage struct {
	// n is the count, less closedBias once closed.
	n    atomic.Int64
	idle chan struct{} // has room for one; a hint to look at n again
}

const (
	closedBias = 1 << 40

	// closeWait is how long Close waits for what is still open. What has not
	// been closed by then never will be, and a process that is to end should.
	closeWait = 10 * time.Second
)

func (u *usage) init() {
	u.idle = make(chan struct{}, 1)
}

// enter adds a user; false means that the DB is closed.
func (u *usage) enter() bool {
	if u.n.Add(1) > 0 {
		return true
	}
	u.leave()
	return false
}

func (u *usage) leave() {
	if u.n.Add(-1) == -closedBias {
		select {
		case u.idle <- struct{}{}:
		default:
		}
	}
}

// close keeps new users out and waits for those there are, for closeWait at most.
func (u *usage) close() error {
	u.n.Add(-closedBias)
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	for {
		open := u.n.Load() + closedBias
		if open == 0 {
			return nil
		}
		select {
		case <-u.idle:
		case <-timer.C:
			return fmt.Errorf("%d reads, iterators or snapshots are still open", open)
		}
	}
}
