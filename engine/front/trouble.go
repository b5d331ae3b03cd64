package front

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dkv/engine"
)

const (
	// Failed flushes are retried after retryMin, then twice as long as before, up
	// to retryMax.
	retryMin = 100 * time.Millisecond
	retryMax = 2 * time.Second

	// spacePoll is how often a waiting retry looks whether there is space again,
	// and how seldom Writable does.
	spacePoll = 50 * time.Millisecond

	// errorLogInterval is how often errors of flushes, which repeat, are logged.
	errorLogInterval = 5 * time.Second
)

// trouble knows how flushes get on.
type trouble struct {
	o     Options
	count atomic.Uint64
	// some says that the last flush failed; it spares Writable the lock.
	some atomic.Bool

	mu struct {
		sync.Mutex
		err       error // of the last flush
		fatal     error
		failed    int // times in a row
		failedAt  time.Time
		loggedAt  time.Time
		checkedAt time.Time // when the free space was last looked at
		need      int64     // what the flush that failed takes
	}
}

// reserveError says that a flush would eat into the disk's reserve.
type reserveError struct {
	avail, need uint64
}

func (e *reserveError) Error() string {
	return fmt.Sprintf("%d bytes free on the data disk, %d are needed, reserve included", e.avail, e.need)
}

func (e *reserveError) Is(target error) bool { return target == syscall.ENOSPC }

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, engine.ErrNoSpace)
}

func (t *trouble) init(o Options) { t.o = o }

// checkSpace returns a reserveError when the disk has not got n bytes, times what
// the store needs for them, beyond the reserve.
func (t *trouble) checkSpace(n int64) error {
	if t.o.FreeBytes == nil || t.o.ReserveBytes == 0 {
		return nil
	}
	free, ok := t.o.FreeBytes()
	if need := t.o.ReserveBytes + uint64(n*t.o.WriteFactor); ok && free < need {
		return &reserveError{avail: free, need: need}
	}
	return nil
}

// fail notes that a flush failed, and reports whether that is the end.
func (t *trouble) fail(err error) (fatal bool) {
	t.count.Add(1)
	fatal = errors.Is(err, engine.ErrFailed)
	now := time.Now()
	t.mu.Lock()
	t.mu.err, t.mu.failedAt = err, now
	t.mu.failed++
	if fatal {
		t.mu.fatal = err
	}
	log := fatal || now.Sub(t.mu.loggedAt) >= errorLogInterval
	if log {
		t.mu.loggedAt = now
	}
	t.some.Store(true)
	t.mu.Unlock()
	if log {
		t.o.Logger.Error("the engine cannot flush", "engine", t.o.Name, "err", err, "stopped", fatal)
	}
	return fatal
}

func (t *trouble) succeed() {
	if !t.some.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.err, t.mu.failed = nil, 0
	t.some.Store(t.mu.fatal != nil)
}

// wait waits until a flush of n bytes may be tried again; false when ctx ends.
func (t *trouble) wait(ctx context.Context, n int64) bool {
	t.mu.Lock()
	wait := min(retryMin<<min(t.mu.failed-1, 10), retryMax)
	reserve := isReserve(t.mu.err)
	t.mu.need = n
	t.mu.Unlock()
	tick := time.NewTicker(spacePoll)
	defer tick.Stop()
	until := time.NewTimer(wait)
	defer until.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-until.C:
			return true
		case <-tick.C:
			if reserve && t.checkSpace(n) == nil {
				return true
			}
		}
	}
}

func isReserve(err error) bool {
	var r *reserveError
	return errors.As(err, &r)
}

// stopped returns engine.ErrFailed, wrapped, after a fatal error.
func (t *trouble) stopped() error {
	if !t.some.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wrap(t.mu.fatal)
}

// since returns what a flush failed with since a time.
func (t *trouble) since(when time.Time) error {
	if !t.some.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.fatal != nil {
		return t.wrap(t.mu.fatal)
	}
	if t.mu.err != nil && t.mu.failedAt.After(when) {
		return t.wrap(t.mu.err)
	}
	return nil
}

// writable returns why flushes fail.
func (t *trouble) writable() error {
	if !t.some.Load() {
		return nil
	}
	now := time.Now()
	t.mu.Lock()
	err, n := t.mu.err, t.mu.need
	if t.mu.fatal != nil {
		err = t.mu.fatal
	}
	look := isReserve(err) && now.Sub(t.mu.checkedAt) >= spacePoll
	if look {
		t.mu.checkedAt = now
	}
	t.mu.Unlock()
	if look && t.checkSpace(n) == nil {
		return nil // the flusher will notice as well
	}
	return t.wrap(err)
}

func (t *trouble) wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrFailed), errors.Is(err, engine.ErrCorrupt):
		return fmt.Errorf("%s: flush: %w", t.o.Name, err)
	case isNoSpace(err):
		return fmt.Errorf("%w: flush: %v", engine.ErrNoSpace, err)
	}
	return fmt.Errorf("%s: flush: %w", t.o.Name, err)
}
