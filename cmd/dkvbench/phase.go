package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	drainTimeout     = 10 * time.Second // for the last replies when the time is over
	interruptTimeout = time.Second      // the same, when the user interrupts
	tick             = time.Second      // of the time series and the progress line
)

// phase is one stretch of load on one server: loading, warming up, or a
// measured run.
type phase struct {
	cfg    *config
	ctx    context.Context // its end interrupts the phase
	target target
	vals   *values
	seed   uint64

	w        workload
	dist     string
	ks       keySpace
	pipeline int
	limit    uint64        // operations; 0: no limit
	duration time.Duration // 0: until limit
	interval float64       // ns between the schedule's operations; 0: no schedule
	keep     int           // replyParser.keep
	giveUp   time.Duration // reconnectLimit
	onTick   func(point)   // may be nil

	begun   time.Time
	tickets atomic.Uint64
	stop    chan struct{} // closed when no more operations are to be sent
	stopNS  atomic.Int64  // when that was; 0: not yet

	mu struct {
		sync.Mutex
		conns    []net.Conn // by client
		deadline time.Time  // for replies; zero until the phase stops
	}
}

// point is one tick of a phase.
type point struct {
	at      time.Duration // its end, since the phase began
	width   time.Duration
	ops     uint64
	errors  uint64 // error replies and lost operations
	late    uint64
	latency quantiles
}

// outcome is what a phase measured.
type outcome struct {
	total       *tally
	points      []point
	began       time.Time
	elapsed     time.Duration
	interrupted bool
}

// newPhase prepares a measured run; the caller may change it before run.
func newPhase(ctx context.Context, cfg *config, t target, vals *values) *phase {
	ph := &phase{
		cfg: cfg, ctx: ctx, target: t, vals: vals, seed: cfg.seed,
		w: cfg.workload, dist: cfg.dist, pipeline: cfg.pipeline, limit: cfg.count, duration: cfg.duration,
		giveUp: reconnectLimit,
	}
	ph.ks.base, ph.ks.inAir = cfg.keys, uint64(cfg.conns*cfg.pipeline)
	if cfg.rate > 0 {
		ph.interval = 1e9 / cfg.rate
	}
	if ph.w.has(opScan) {
		ph.keep = 32 // a cursor
	}
	return ph
}

// run carries the phase out.
func (ph *phase) run() (*outcome, error) {
	ph.stop = make(chan struct{})
	clients, recs, err := ph.open()
	if err != nil {
		return nil, err
	}
	ph.begun = time.Now()
	var wg, helpers sync.WaitGroup
	failure := make(chan error, len(clients))
	for _, c := range clients {
		wg.Go(func() {
			if err := c.run(); err != nil {
				failure <- err
				ph.end(0)
			}
		})
	}
	finished := make(chan struct{})
	helpers.Go(func() { ph.endInTime(finished) })
	if ph.interval > 0 {
		helpers.Go(func() { ph.pace(clients) })
	}
	out := &outcome{began: ph.begun, total: newTally(len(ph.w.parts), ph.interval > 0)}
	helpers.Go(func() { ph.collect(out, recs, finished) })
	wg.Wait()
	out.elapsed = time.Since(ph.begun)
	out.interrupted = ph.ctx.Err() != nil
	if ph.interval > 0 && !out.interrupted {
		out.elapsed = max(out.elapsed, ph.duration) // a schedule is not over with its last operation
	}
	close(finished)
	ph.end(0)
	helpers.Wait()
	select {
	case err := <-failure:
		return nil, err
	default:
		return out, nil
	}
}

// open connects the clients.
func (ph *phase) open() (clients []*client, recs []*recorder, err error) {
	for range min(ph.cfg.conns, maxRecorders) {
		recs = append(recs, newRecorder(len(ph.w.parts), ph.interval > 0))
	}
	for id := range ph.cfg.conns {
		nc, err := dial(ph.ctx, ph.target, ph.cfg.db)
		if err != nil {
			for _, c := range clients {
				c.nc.Close()
			}
			return nil, nil, err
		}
		ph.mu.conns = append(ph.mu.conns, nc)
		clients = append(clients, &client{
			ph: ph, id: id, nc: nc, gen: newGenerator(ph, id), rec: recs[id%len(recs)],
			parser: replyParser{keep: ph.keep}, rbuf: make([]byte, readBuffer), wake: make(chan struct{}, 1),
		})
	}
	return clients, recs, nil
}

// now is the time since the phase began, in nanoseconds.
func (ph *phase) now() int64 { return int64(time.Since(ph.begun)) }

// take hands out up to n operations: their numbers are first and those after it.
func (ph *phase) take(n uint64) (first, got uint64) {
	if n == 0 || ph.stopping() {
		return 0, 0
	}
	first = ph.tickets.Add(n) - n
	if ph.limit == 0 {
		return first, n
	}
	if first >= ph.limit {
		return 0, 0
	}
	return first, min(n, ph.limit-first)
}

// schedule says which operation is a client's slot-th one and when it is due.
// ok is false when the phase is over before it.
func (ph *phase) schedule(client int, slot uint64) (ticket uint64, dueNS int64, ok bool) {
	ticket = uint64(client) + slot*uint64(ph.cfg.conns)
	dueNS = int64(float64(ticket) * ph.interval)
	ok = (ph.limit == 0 || ticket < ph.limit) && (ph.duration == 0 || dueNS < int64(ph.duration))
	return ticket, dueNS, ok
}

func (ph *phase) stopping() bool { return ph.stopNS.Load() != 0 }

// endNS is when the phase stopped.
func (ph *phase) endNS() int64 { return ph.stopNS.Load() }

// end stops the phase; replies in flight are waited for until patience is over.
func (ph *phase) end(patience time.Duration) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	if ph.mu.deadline.IsZero() {
		ph.mu.deadline = time.Now().Add(patience)
		ph.stopNS.Store(max(1, ph.now()))
		close(ph.stop)
	} else if patience == 0 {
		ph.mu.deadline = time.Now()
	}
	for _, nc := range ph.mu.conns {
		nc.SetDeadline(ph.mu.deadline)
	}
}

// adopt makes nc a client's new connection.
func (ph *phase) adopt(client int, nc net.Conn) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.mu.conns[client] = nc
	nc.SetDeadline(ph.mu.deadline)
}

// endInTime ends the phase when its duration is over or the user interrupts.
func (ph *phase) endInTime(finished <-chan struct{}) {
	var over <-chan time.Time
	if ph.duration > 0 {
		t := time.NewTimer(ph.duration)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
		ph.end(drainTimeout)
	case <-ph.ctx.Done():
		ph.end(interruptTimeout)
		return
	case <-ph.stop:
	case <-finished:
		return
	}
	// A user who interrupts the waiting for last replies means it.
	select {
	case <-ph.ctx.Done():
		ph.end(0)
	case <-finished:
	}
}

// collect moves what the clients record into out, a tick at a time.
func (ph *phase) collect(out *outcome, recs []*recorder, finished <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	interval := newTally(len(ph.w.parts), ph.interval > 0)
	last := time.Duration(0)
	for over := false; !over; {
		select {
		case <-ticker.C:
		case <-finished:
			over = true
		}
		for _, r := range recs {
			r.drain(interval)
		}
		now := time.Since(ph.begun)
		if over && now-last < tick/2 && interval.allOps() == 0 && interval.late+interval.failures() == 0 {
			return // nothing since the last tick
		}
		p := point{
			at: now, width: now - last, ops: interval.allOps(), errors: interval.failures(), late: interval.late,
			latency: quantilesOf(interval.allLatency()),
		}
		out.total.merge(interval)
		out.points = append(out.points, p)
		interval.reset()
		last = now
		if ph.onTick != nil {
			ph.onTick(p)
		}
	}
}
