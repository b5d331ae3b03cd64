package hot

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"dkv/engine"
)

const (
	// A checkpoint that failed is tried again after retryMin, then twice as long as
	// before, up to retryMax.
	retryMin = 100 * time.Millisecond
	retryMax = 2 * time.Second

	// troublePoll is how often a Flush that waits for a checkpoint asks whether the
	// engine gets on.
	troublePoll = 20 * time.Millisecond

	// A checkpoint pauses after each paceRecords records for as long as they took,
	// unless the active generation is half full by then.
	paceRecords  = 4096
	paceMaxPause = 20 * time.Millisecond

	// What nobody has added to for two looks is written down if it is at least
	// idleBytes, so that a restart need not replay it. Less is not worth a file.
	idleLook  = 500 * time.Millisecond
	idleBytes = 8 << 20
)

// run writes generations down, until Close.
func (l *Layer) run() {
	tick := time.NewTicker(l.o.Interval)
	defer tick.Stop()
	look := time.NewTicker(idleLook)
	defer look.Stop()
	var rest rest
	for {
		select {
		case <-l.kick:
			l.checkpoint()
		case <-tick.C:
			l.freeze()
			l.checkpoint()
		case <-look.C:
			if rest.look(l.visible.Load(), l.current.Load().active.size()) {
				l.freeze()
				l.checkpoint()
				// The system gets the memory back, which else would be a matter of
				// minutes: nothing that is written now needs it.
				debug.FreeOSMemory()
			}
		case <-l.ctx.Done():
			return
		}
	}
}

// rest notices when nobody writes any more.
type rest struct {
	seen  uint64 // the last record's number at the last look
	still bool   // and at the one before
}

// look reports whether what is held back, size bytes up to the record seq, should be
// written down, because there is time for it now.
func (r *rest) look(seq uint64, size int64) bool {
	same := seq == r.seen
	now := same && r.still && size >= idleBytes
	r.seen, r.still = seq, same && !now
	return now
}

// freeze freezes the active generation, if it holds anything and none is frozen.
func (l *Layer) freeze() {
	l.apply.Lock()
	defer l.apply.Unlock()
	if e := l.current.Load(); e.frozen == nil && !e.active.empty() {
		l.freezeLocked()
	}
}

// checkpoint writes the frozen generation down, if there is one, and tries until
// it succeeds. Then the engine is told to flush: what it has not made durable
// keeps the log from being cut, and is replayed after a crash.
func (l *Layer) checkpoint() {
	g := l.current.Load().frozen
	if g == nil || l.stopped() != nil {
		return
	}
	began := time.Now()
	order := l.order(g)
	give, bytes := l.giver(g, order)
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		l.settleViews()
		err := give()
		if err == nil {
			break
		}
		if l.ctx.Err() != nil || l.fail(err) || !l.sleep(wait) {
			return
		}
	}
	give = nil
	l.written.Store(g.number)
	l.succeed()
	l.retire(g, order)
	l.counts.checkpoint(*bytes, time.Since(began))
	if err := l.below.Flush(); err != nil && l.ctx.Err() == nil {
		// The engine goes on trying, and Writable says so.
		l.o.Logger.Warn("the engine cannot flush after a checkpoint of the hot layer", "err", err)
	}
}

// order returns the records of a frozen generation in the order of their keys.
func (l *Layer) order(g *generation) []ref {
	all := make([]ref, 0, g.records.Load())
	for i := range g.index.kinds {
		if k := g.index.kinds[i].Load(); k != nil {
			all = append(all, k.sorted(g)...)
		}
	}
	return all
}

// pace leaves the processor to commands for as long as the work since began took,
// unless writes would soon have to wait; or unless somebody waits for the checkpoint,
// and nobody writes.
func (l *Layer) pace(began time.Time) {
	seq := l.visible.Load()
	still := seq == l.paced
	l.paced = seq
	if l.waiting.Load() > 0 && still || l.current.Load().active.size() > l.o.WriteBytes/4 {
		runtime.Gosched()
		return
	}
	l.sleep(min(time.Since(began), paceMaxPause))
}

// sleep waits for d; false means that the layer is being closed.
func (l *Layer) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// retire lets go of a generation that the engine has: its records become records
// of the engine's, as far as there is room.
func (l *Layer) retire(g *generation, order []ref) {
	l.sweep(g)
	began := time.Now()
	for i, r := range order {
		if i%paceRecords == paceRecords-1 {
			l.pace(began)
			began = time.Now()
		}
		l.keep(g, r)
	}
	// Nothing points into it any more.
	l.current.Store(&epoch{active: l.current.Load().active})
	l.notify()
}

// sweep takes records out that ranges of g have deleted, stripe by stripe. From
// then on a stripe's records are newer than g's ranges.
func (l *Layer) sweep(g *generation) {
	any := g.ranges.Any()
	for i := range l.table {
		s := &l.table[i]
		s.mu.Lock()
		s.through = g.number
		if any {
			s.gone++ // what a reader has got from the engine may be of before
			s.sweep(func(key []byte) bool {
				_, covered := g.ranges.Covers(key, maxSeq)
				return covered
			})
		}
		s.mu.Unlock()
	}
}

// keep makes a record of g one of the ring. One that has been written since is
// left alone.
func (l *Layer) keep(g *generation, r ref) {
	rec := g.record(r)
	tag := rec.tag()
	s := &l.table[stripeOf(tag)]
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.slotAt(slot{tag&tagMask | g.kind()<<tagBits, uint32(r)})
	if i < 0 {
		return
	}
	s.deleteSlot(i)
	key, v := rec.key(), g.version(rec.newest())
	size := cachedSize(len(key), v.valueLen())
	if g.gone(key, v, maxSeq) || !s.fits(key, size) {
		s.gone++
		return
	}
	s.bringBack(tag, flagPresent, key, v.value(), size)
}

// fail notes that a checkpoint failed, and reports whether that is the end.
func (l *Layer) fail(err error) (fatal bool) {
	fatal = errors.Is(err, engine.ErrFailed)
	l.counts.failures.Add(1)
	l.mu.Lock()
	first := l.mu.err == nil
	l.mu.err, l.mu.failedAt, l.mu.fatal = err, time.Now(), fatal
	l.troubled.Store(true)
	l.mu.Unlock()
	if first || fatal {
		l.o.Logger.Error("the hot layer cannot write down", "err", err, "stopped", fatal)
	}
	l.notify()
	return fatal
}

func (l *Layer) succeed() {
	l.mu.Lock()
	l.mu.err = nil
	l.troubled.Store(false)
	l.mu.Unlock()
	l.notify()
}

func (l *Layer) notify() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.mu.changed)
	l.mu.changed = make(chan struct{})
}

// changed returns a channel that is closed when a checkpoint next gets on or fails.
func (l *Layer) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.changed
}

// stopped returns engine.ErrFailed, wrapped, after a failure for good.
func (l *Layer) stopped() error {
	if !l.troubled.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.fatal {
		return l.mu.err
	}
	return nil
}

// since returns what a checkpoint failed with since a time.
func (l *Layer) since(when time.Time) error {
	if !l.troubled.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.fatal || l.mu.failedAt.After(when) {
		return l.mu.err
	}
	return nil
}

// writeDown writes everything down that was applied before the call. Errors: why
// the engine does not get on; it goes on being tried.
func (l *Layer) writeDown() error {
	if l.closed.Load() {
		return engine.ErrClosed
	}
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	began := time.Now()
	l.apply.Lock()
	active := l.current.Load().active
	upTo := active.number
	if active.empty() {
		upTo--
	}
	l.apply.Unlock()
	if l.written.Load() >= upTo {
		return nil
	}
	poll := time.NewTicker(troublePoll)
	defer poll.Stop()
	for {
		changed := l.changed()
		l.apply.Lock()
		if e := l.current.Load(); e.frozen == nil && e.active.number <= upTo {
			l.freezeLocked()
		}
		l.apply.Unlock()
		if l.written.Load() >= upTo {
			return nil
		}
		if err := l.since(began); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-poll.C:
			// The engine's Apply may wait for space, and then does not return.
			if err := l.below.Writable(); err != nil && l.written.Load() < upTo {
				return err
			}
		case <-l.ctx.Done():
			return engine.ErrClosed
		}
	}
}

// Flush implements engine.Engine.
func (l *Layer) Flush() error {
	if err := l.writeDown(); err != nil {
		return err
	}
	return l.below.Flush()
}

// Checkpoint implements engine.Engine. What is applied while it runs is in the
// copy up to some point.
func (l *Layer) Checkpoint(dir string) error {
	if err := l.writeDown(); err != nil {
		return fmt.Errorf("hot: checkpoint: %w", err)
	}
	return l.below.Checkpoint(dir)
}

// Compact implements engine.Engine.
func (l *Layer) Compact(ctx context.Context, lower, upper []byte) error {
	if err := l.writeDown(); err != nil {
		return fmt.Errorf("hot: compact: %w", err)
	}
	return l.below.Compact(ctx, lower, upper)
}
