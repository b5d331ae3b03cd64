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
// A transfer of leadership makes members vote at once, and so ends it; and so
// would an eager election, which members do not begin when leases are on.
type lease struct {
	until   atomic.Int64  // nanoseconds after base; 0: none
	blocked time.Duration // none is taken before that
}

var leaseBase = time.Now()

// leaseTime leaves a tick for the followers' granularity and a tenth for clocks.
func (o *Options) leaseTime() time.Duration {
	return (o.electionTimeout() - o.TickInterval) * 9 / 10
}

func (l *lease) renew(from time.Time, d time.Duration) {
	if since := from.Sub(leaseBase); since > l.blocked {
		l.until.Store(int64(since + d))
	}
}

func (l *lease) drop() { l.until.Store(0) }

// block gives the lease up and takes none for requests made before the end of d.
func (l *lease) block(now time.Time, d time.Duration) {
	l.drop()
	l.blocked = now.Sub(leaseBase) + d
}

// valid may be called from any goroutine.
func (l *lease) valid(now time.Time) bool {
	until := l.until.Load()
	return until != 0 && int64(now.Sub(leaseBase)) < until
}
