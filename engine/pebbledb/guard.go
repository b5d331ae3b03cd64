package pebbledb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"dkv/engine"
)

const (
	// Failed background work is retried after retryMin, then twice as long as
	// before, up to retryMax. Pebble itself retries at once: a full disk would
	// cost a CPU, and write the same table over and over.
	retryMin = 100 * time.Millisecond
	retryMax = 2 * time.Second

	// spacePoll is how often a waiting retry looks whether there is space again,
	// and how seldom Writable does.
	spacePoll = 50 * time.Millisecond
)

// work is a kind of background work.
type work int

const (
	workFlush work = iota
	workCompaction
	workManifest // writes that Pebble cannot survive failing; they wait instead
	workKinds
)

func (w work) String() string {
	return [...]string{"flush", "compaction", "manifest"}[w]
}

// guard watches over the background work of a DB: whether it gets on, when it
// may try again, and whether the store had to be stopped.
type guard struct {
	fs      vfs.FS
	dir     string
	reserve uint64
	ballast ballast

	// ctx ends when Close begins.
	ctx   context.Context
	close context.CancelFunc

	// crowded says that level 0 is filling up: writes will have to wait for
	// compactions if those do not get on.
	crowded atomic.Bool
	// troubled says that some work failed last time; it spares Writable the lock.
	troubled atomic.Bool
	// patient says that MANIFEST writes that find no space use the ballast, and
	// then wait: true once the store is open (an Open fails at once).
	patient atomic.Bool
	// flushSynced says that BeforeFlush was called since the last flush began.
	flushSynced atomic.Bool

	mu struct {
		sync.Mutex
		work  [workKinds]workState
		fatal error
		// changed is closed, and replaced, when any of this changes or
		// background work ended.
		changed chan struct{}
	}
}

// workState is how a kind of work got on last time.
type workState struct {
	err      error     // nil: it succeeded
	failed   int       // times in a row
	failedAt time.Time // the last of them
	// retryAt is when it may try again.
	retryAt time.Time
	// checkedAt is when the free space was last looked at for it.
	checkedAt time.Time
}

// reserveError says that writing a table would eat into the disk's reserve.
type reserveError struct {
	avail, reserve uint64
	// atCreate says that the table was not begun, so that the work may try
	// again as soon as there is space. Otherwise what was written of it is
	// removed, which looks like space but is not enough.
	atCreate bool
}

func (e *reserveError) Error() string {
	return fmt.Sprintf("%d bytes free on the data disk, %d are kept in reserve", e.avail, e.reserve)
}

func (e *reserveError) Is(target error) bool {
	return target == syscall.ENOSPC
}

func refusedAtCreate(err error) bool {
	var reserved *reserveError
	return errors.As(err, &reserved) && reserved.atCreate
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func newGuard(fs vfs.FS, dir string, reserve int64) *guard {
	g := &guard{fs: fs, dir: dir, ballast: ballast{fs: fs, path: fs.PathJoin(dir, ballastName)}}
	g.ctx, g.close = context.WithCancel(context.Background())
	g.mu.changed = make(chan struct{})
	usage, err := fs.GetDiskUsage(dir)
	switch {
	case reserve > 0:
		g.reserve = uint64(reserve)
	case reserve == 0 && err == nil:
		g.reserve = min(defaultReserveBytes, usage.TotalBytes/reserveDiskFraction)
	}
	return g
}

// checkSpace returns a reserveError when fewer than n bytes beyond the reserve
// are free; n is 0 before a table is begun. Flushes go down to the reserve;
// compactions stop at twice it, so that they do not take the space that flushes
// need. A file system that cannot tell (one in memory) has space.
func (g *guard) checkSpace(w work, n int) error {
	if g.reserve == 0 {
		return nil
	}
	usage, err := g.fs.GetDiskUsage(g.dir)
	if err != nil {
		return nil
	}
	reserve := g.reserve
	if w == workCompaction {
		reserve *= 2
	}
	if usage.AvailBytes < reserve+uint64(n) {
		return &reserveError{avail: usage.AvailBytes, reserve: reserve, atCreate: n == 0}
	}
	return nil
}

// admit is called before a table is created. After a failure it waits until the
// work may try again, which for lack of space is when there is space again.
func (g *guard) admit(w work) error {
	for {
		g.mu.Lock()
		if g.mu.fatal != nil {
			g.mu.Unlock()
			// Pebble would try again at once, so it is kept here until Close.
			<-g.ctx.Done()
			return engine.ErrFailed
		}
		s := g.mu.work[w]
		g.mu.Unlock()
		wait := time.Until(s.retryAt)
		if wait <= 0 {
			break
		}
		if refusedAtCreate(s.err) {
			if g.checkSpace(w, 0) == nil {
				break
			}
			wait = min(wait, spacePoll)
		}
		if !g.sleep(wait) {
			return engine.ErrClosed
		}
	}
	if w == workCompaction && g.isClosing() {
		return engine.ErrClosed
	}
	err := g.checkSpace(w, 0)
	if err == nil {
		err = g.ballast.ensure()
	}
	if err != nil {
		// Known before Pebble has given up the whole attempt.
		g.fail(w, err)
		return err
	}
	g.clearRefused(w)
	return nil
}

// sleep waits for d; false means that the DB is being closed.
func (g *guard) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.ctx.Done():
		return false
	}
}

func (g *guard) isClosing() bool {
	return g.ctx.Err() != nil
}

// fail notes that work failed. The same failure may be reported twice: where it
// happened, and when Pebble gave up.
func (g *guard) fail(w work, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	s := &g.mu.work[w]
	if s.err == nil || now.After(s.retryAt) {
		s.failed++
		s.retryAt = now.Add(min(retryMin<<min(s.failed-1, 10), retryMax))
	}
	s.err, s.failedAt = err, now
	g.troubled.Store(true)
	g.changedLocked()
}

// succeed notes that work was done.
func (g *guard) succeed(w work) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clearLocked(w)
	g.changedLocked()
}

// moved wakes who waits for a change of what the guard does not know.
func (g *guard) moved() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changedLocked()
}

// clearRefused forgets that the work was refused for the reserve's sake, once
// there is space.
func (g *guard) clearRefused(w work) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if refusedAtCreate(g.mu.work[w].err) {
		g.clearLocked(w)
		g.changedLocked()
	}
}

func (g *guard) clearLocked(w work) {
	g.mu.work[w] = workState{}
	troubled := false
	for i := range g.mu.work {
		troubled = troubled || g.mu.work[i].err != nil
	}
	g.troubled.Store(troubled || g.mu.fatal != nil)
}

// stop notes the first fatal error; it reports whether this is it.
func (g *guard) stop(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.fatal != nil {
		return false
	}
	g.mu.fatal = err
	g.troubled.Store(true)
	g.changedLocked()
	return true
}

func (g *guard) changedLocked() {
	close(g.mu.changed)
	g.mu.changed = make(chan struct{})
}

// changed returns a channel that is closed when the state changes next.
func (g *guard) changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.changed
}

// stopped returns ErrFailed, wrapped, after a fatal error.
func (g *guard) stopped() error {
	if !g.troubled.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stoppedLocked()
}

func (g *guard) stoppedLocked() error {
	if g.mu.fatal == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", engine.ErrFailed, g.mu.fatal)
}

// flushErr returns what a flush failed with since that time; nil if none did.
func (g *guard) flushErr(since time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.stoppedLocked(); err != nil {
		return err
	}
	for _, w := range []work{workFlush, workManifest} {
		if s := g.mu.work[w]; s.err != nil && s.failedAt.After(since) {
			return workError(w, s.err)
		}
	}
	return nil
}

// writable implements DB.Writable.
func (g *guard) writable() error {
	if !g.troubled.Load() {
		return nil
	}
	for w := range workKinds {
		if err := g.writableFor(w); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) writableFor(w work) error {
	now := time.Now()
	g.mu.Lock()
	if err := g.stoppedLocked(); err != nil {
		g.mu.Unlock()
		return err
	}
	s := &g.mu.work[w]
	err := s.err
	look := refusedAtCreate(err) && now.Sub(s.checkedAt) >= spacePoll
	if look {
		s.checkedAt = now
	}
	g.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case w == workCompaction && !g.crowded.Load():
		return nil // flushes still have somewhere to go
	case look && g.checkSpace(w, 0) == nil:
		g.clearRefused(w)
		return nil
	}
	return workError(w, err)
}

// workError wraps what background work failed with for a caller of the DB.
func workError(w work, err error) error {
	switch {
	case isNoSpace(err):
		return fmt.Errorf("%w: %s: %v", engine.ErrNoSpace, w, err)
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %s: %w", engine.ErrCorrupt, w, err)
	}
	return fmt.Errorf("pebbledb: %s: %w", w, err)
}
