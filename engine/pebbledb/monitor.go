package pebbledb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"dkv/engine"
)

const (
	// monitorEvery is how much is applied between looks at Pebble's state, which
	// cost some ten microseconds.
	monitorEvery = 1 << 20

	// metricsWait is how long Metrics waits for figures of this moment.
	metricsWait = 200 * time.Millisecond
)

// monitor looks at Pebble's figures from a goroutine of its own: DB.Metrics of
// Pebble waits while the MANIFEST is written, which on a full disk lasts until
// there is space, and neither Apply nor whoever asks for metrics may wait for
// that without a way out.
//
// For Apply it finds out whether there is room: memtables that are not all
// waiting for their flush, and a level 0 that compactions keep up with. Pebble
// has the same two limits and would wait by itself, but in a way that only its
// own background work ends: a node whose disk is full could not be stopped.
type monitor struct {
	p     *pebble.DB
	guard *guard
	// maxMemtables is how many bytes of memtables there may be.
	maxMemtables uint64
	// slack is how much may be applied while no look succeeds.
	slack int64

	look chan struct{} // asks for a look; has room for one
	// since is how much was applied since the last look.
	since atomic.Int64
	full  atomic.Bool

	stalls     atomic.Uint64
	stallNanos atomic.Int64

	mu struct {
		sync.Mutex
		last        *pebble.Metrics
		begun, done uint64 // looks
		// changed is closed, and replaced, when a look is done.
		changed chan struct{}
	}
}

func newMonitor(p *pebble.DB, g *guard, o Options) *monitor {
	m := &monitor{
		p:            p,
		guard:        g,
		maxMemtables: uint64(o.MemtableCount) * uint64(o.MemtableBytes),
		slack:        o.MemtableBytes,
		look:         make(chan struct{}, 1),
	}
	m.mu.changed = make(chan struct{})
	m.mu.last = p.Metrics()
	return m
}

// run looks when asked to, until ctx ends.
func (m *monitor) run(ctx context.Context) {
	for {
		select {
		case <-m.look:
			m.lookNow()
		case <-ctx.Done():
			return
		}
	}
}

func (m *monitor) lookNow() {
	m.mu.Lock()
	m.mu.begun++
	look := m.mu.begun
	m.mu.Unlock()

	since := m.since.Load()
	p := m.p.Metrics()
	sublevels := p.Levels[0].Sublevels
	m.guard.crowded.Store(sublevels >= l0StopSublevels/2)
	m.full.Store(p.MemTable.Size > m.maxMemtables || sublevels >= l0StopSublevels)
	m.since.Add(-since)

	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.last, m.mu.done = p, look
	close(m.mu.changed)
	m.mu.changed = make(chan struct{})
}

func (m *monitor) ask() {
	select {
	case m.look <- struct{}{}:
	default: // asked already
	}
}

// applied notes that n bytes were applied.
func (m *monitor) applied(n int) {
	if m.since.Add(int64(n)) >= monitorEvery {
		m.ask()
	}
}

func (m *monitor) hasRoom() bool {
	return !m.full.Load() && m.since.Load() <= m.slack
}

// waitForRoom waits until more may be applied.
func (m *monitor) waitForRoom() error {
	if m.hasRoom() {
		return nil
	}
	m.stalls.Add(1)
	began := time.Now()
	defer func() { m.stallNanos.Add(int64(time.Since(began))) }()
	for {
		// Taken before the look: what happens after it closes the channel.
		changed := m.guard.changed()
		m.freshLook(nil)
		if m.hasRoom() {
			return nil
		}
		if err := m.guard.stopped(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-m.guard.ctx.Done():
			return engine.ErrClosed
		}
	}
}

// metrics returns the figures of now, or, when they cannot be had soon, the last
// ones.
func (m *monitor) metrics() *pebble.Metrics {
	timer := time.NewTimer(metricsWait)
	defer timer.Stop()
	m.freshLook(timer.C)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.last
}

// freshLook waits until a look is done that began after now; or until the
// timeout, or Close, which the caller sees to.
func (m *monitor) freshLook(timeout <-chan time.Time) {
	m.mu.Lock()
	want := m.mu.begun + 1
	m.mu.Unlock()
	for {
		m.mu.Lock()
		done, changed := m.mu.done, m.mu.changed
		m.mu.Unlock()
		if done >= want {
			return
		}
		m.ask()
		select {
		case <-changed:
		case <-timeout:
			return
		case <-m.guard.ctx.Done():
			return
		}
	}
}
