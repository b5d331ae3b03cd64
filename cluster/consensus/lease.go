package consensus

import (
	"sync/atomic"
	"time"
)

// lease is the time within which no other member can have become leader. A
// majority confirmed this leader at some moment after a read index request was
// made; for an election timeout from then on none of that majority votes for
// another one (raft's CheckQuorum). So the lease runs from the moment of the
// request, and is shorter than the timeout by what clocks may differ in speed.
//
// What makes members vote all the same ends it or must not be:
//   - A transfer of leadership asks a member to campaign at once, and that message
//     may be under way for any length of time: there are no more leases in the term.
//   - A member that has just been started does not know whom it has heard from. When
//     leases are on it does not vote for an election timeout: see core.step.
//   - Members begin no eager election when leases are on.
type lease struct {
	until   atomic.Int64 // nanoseconds after base; 0: none
	blocked bool         // none is taken until leadership changes

	// A follower may learn that an entry is committed, apply it and answer reads
	// before the leader itself has applied it. Until it has, its lease is of no use.
	committed, applied atomic.Uint64
}

var leaseBase = time.Now()

// leaseTime is shorter than the timeout by a tenth for clocks, and by two ticks: a
// follower that was busy finds one tick waiting and gets the next one soon, so that
// its timeout may be almost that much shorter.
func (o *Options) leaseTime() time.Duration {
	return (o.electionTimeout() - 2*o.TickInterval) * 9 / 10
}

func (l *lease) renew(from time.Time, d time.Duration) {
	if !l.blocked && d > 0 {
		l.until.Store(int64(from.Sub(leaseBase) + d))
	}
}

func (l *lease) drop() { l.until.Store(0) }

// block gives the lease up and takes none until leadership changes.
func (l *lease) block() {
	l.drop()
	l.blocked = true
}

// unblock is for when leadership has changed.
func (l *lease) unblock() {
	l.drop()
	l.blocked = false
}

// valid may be called from any goroutine.
func (l *lease) valid(now time.Time) bool {
	until := l.until.Load()
	return until != 0 && int64(now.Sub(leaseBase)) < until && l.applied.Load() >= l.committed.Load()
}
