package pebbledb

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// events receives what Pebble reports, mostly with Pebble's DB.mu held: nothing
// here calls Pebble, and the DB's own callbacks run on the notifier goroutine.
type events struct {
	g   *guard
	log *slog.Logger

	// flushed and fatal wake the notifier; each has room for one.
	flushed chan struct{}
	fatal   chan error

	backgroundErrors atomic.Uint64
	// Pebble's own write stalls, which waitForRoom is there to prevent.
	stalls     atomic.Uint64
	stallNanos atomic.Int64

	stalledSince time.Time // used by the one writer that stalls

	mu struct {
		sync.Mutex
		flushErr error // of the last flush
		loggedAt time.Time
	}
}

// errorLogInterval is how often background errors, which repeat, are logged.
const errorLogInterval = 5 * time.Second

func newEvents(g *guard, log *slog.Logger) *events {
	return &events{g: g, log: log, flushed: make(chan struct{}, 1), fatal: make(chan error, 1)}
}

func (e *events) listener() *pebble.EventListener {
	return &pebble.EventListener{
		FlushBegin:      func(pebble.FlushInfo) { e.g.flushSynced.Store(false) },
		FlushEnd:        e.flushEnd,
		CompactionEnd:   e.compactionEnd,
		BackgroundError: e.backgroundError,
		DataCorruption:  e.dataCorruption,
		WriteStallBegin: func(pebble.WriteStallBeginInfo) {
			e.stalls.Add(1)
			e.stalledSince = time.Now()
		},
		WriteStallEnd: func() { e.stallNanos.Add(int64(time.Since(e.stalledSince))) },
		LowDiskSpace: func(info pebble.LowDiskSpaceInfo) {
			e.log.Warn("disk space is running low", "avail_bytes", info.AvailBytes, "total_bytes", info.TotalBytes)
		},
	}
}

func (e *events) flushEnd(info pebble.FlushInfo) {
	e.mu.Lock()
	e.mu.flushErr = info.Err
	e.mu.Unlock()
	if info.Err != nil {
		// Either a failure, and then a BackgroundError with the same error
		// follows, or the flush had nothing to write, which is no failure: a
		// memtable less, too, for which somebody may wait.
		e.g.moved()
		return
	}
	if e.g.stopped() != nil {
		return // Pebble was not told that a folder's sync failed
	}
	e.g.succeed(workFlush)
	select {
	case e.flushed <- struct{}{}:
	default: // the notifier has not taken the last one yet
	}
}

func (e *events) compactionEnd(info pebble.CompactionInfo) {
	switch {
	case info.Err == nil:
		e.g.succeed(workCompaction)
	case !errors.Is(info.Err, pebble.ErrCancelledCompaction):
		e.g.fail(workCompaction, info.Err)
	}
}

func (e *events) backgroundError(err error) {
	if e.g.isClosing() {
		return // work that was cut short
	}
	e.backgroundErrors.Add(1)
	e.mu.Lock()
	now := time.Now()
	log := now.Sub(e.mu.loggedAt) >= errorLogInterval
	if log {
		e.mu.loggedAt = now
	}
	ofFlush := e.mu.flushErr != nil && errors.Is(err, e.mu.flushErr)
	e.mu.Unlock()
	if ofFlush {
		e.g.fail(workFlush, err)
	}
	if log {
		e.log.Error("background work of the engine failed", "err", err)
	}
}

// dataCorruption does not stop the store: the reads that meet the damage get
// ErrCorrupt, the others go on.
func (e *events) dataCorruption(info pebble.DataCorruptionInfo) {
	e.backgroundErrors.Add(1)
	e.log.Error("data corruption", "path", info.Path, "details", info.Details)
}

// stop stops the store for good: nothing on disk is changed any more.
func (e *events) stop(err error) {
	if !e.g.stop(err) || e.g.isClosing() {
		return // known already, or a write that Close cut short
	}
	e.log.Error("the engine stopped", "err", err)
	e.fatal <- err // has room: guard.stop is true once
}

// notify runs the callbacks of a DB until stop is closed.
func (e *events) notify(stop <-chan struct{}, onFlush func(), onFatal func(error)) {
	for {
		select {
		case <-e.flushed:
			if onFlush != nil {
				onFlush()
			}
		case err := <-e.fatal:
			if onFatal != nil {
				onFatal(err)
			}
		case <-stop:
			return
		}
	}
}

// logger is Pebble's logger on slog.
type logger struct {
	e *events
}

func (l logger) Infof(format string, args ...any) {
	l.e.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	if l.e.g.isClosing() {
		return
	}
	l.e.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf is how Pebble reports what it cannot go on after; with its own logger
// the process would exit. Here the store is stopped, and Fatalf returns. At its
// call sites Pebble then returns the error as well, without installing the
// version that it could not write, so the state in memory is what it was and
// reads go on. (It would retry a flush, into a MANIFEST whose end is unknown:
// guardFS refuses that.) The next Open reads what is on disk, which is the
// recovery that Pebble itself counts on.
func (l logger) Fatalf(format string, args ...any) {
	l.e.stop(fmt.Errorf("pebble: "+format, args...))
}
