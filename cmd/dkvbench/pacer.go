package main

import "time"

// pacerStep is the shortest time that the pacer sleeps: at rates that need
// shorter ones, several operations become due at once.
const pacerStep = 50 * time.Microsecond

// pace wakes each client when an operation of its schedule is due, until the
// phase stops. One goroutine with a precise sleep does this for all of them: Go's
// timers may be a millisecond late, which is more than a reply takes.
func (ph *phase) pace(clients []*client) {
	defer beginPreciseSleep()()
	conns := uint64(len(clients))
	for ticket := uint64(0); ; {
		now := ph.now()
		due := uint64(float64(now)/ph.interval) + 1 // operations due by now
		if due > ticket+conns {
			ticket = due - conns // all clients have something to do
		}
		for ; ticket < due; ticket++ {
			select {
			case clients[ticket%conns].wake <- struct{}{}:
			default: // it has been told
			}
		}
		if !ph.sleepUntil(max(int64(float64(ticket)*ph.interval), ph.now()+int64(pacerStep))) {
			return
		}
	}
}

// sleepUntil returns at the phase's time ns, or with false when the phase stops.
func (ph *phase) sleepUntil(ns int64) bool {
	const coarse = 3 * time.Millisecond // a timer's lateness, amply
	if d := time.Duration(ns - ph.now()); d > coarse {
		t := time.NewTimer(d - coarse)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ph.stop:
			return false
		}
	}
	if d := time.Duration(ns - ph.now()); d > 0 {
		preciseSleep(d)
	}
	return !ph.stopping()
}
