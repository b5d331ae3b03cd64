package pebbledb

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"dkv/engine"
)

// DB is an engine.Engine on Pebble.
type DB struct {
	p       *pebble.DB
	cache   *pebble.Cache
	lock    *pebble.Lock
	fs      *guardFS
	guard   *guard
	events  *events
	monitor *monitor
	use     usage
	misses  missRate

	// applied counts batches; flushed is how many of the first of them Flush
	// made durable. They spare Flush from writing when nothing is new.
	applied atomic.Uint64
	flushed atomic.Uint64

	// Used by Apply, which is not called concurrently.
	batch    *pebble.Batch
	applyBuf []byte

	// How Load writes its tables, and how large.
	loadOptions sstable.WriterOptions
	loadTable   int64

	stopNotify chan struct{}
	notifier   sync.WaitGroup
	monitoring sync.WaitGroup

	// checkpoint is held during one, for fs.otherDirErr.
	checkpoint sync.Mutex

	closing struct {
		sync.Mutex
		done bool
	}
}

var _ engine.Engine = (*DB)(nil)

const (
	// maxRetainedApplyBytes is how much memory Apply keeps between batches.
	maxRetainedApplyBytes = 8 << 20

	// seqNumBytes is how much of a batch's header Pebble overwrites.
	seqNumBytes = 8
)

// NewIter implements engine.Reader.
func (db *DB) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if !db.use.enter() {
		return nil, engine.ErrClosed
	}
	return newIter(db.p, o, &db.use)
}

// NewSnapshot implements engine.Engine. The reads of a snapshot of a closed DB
// return engine.ErrClosed.
func (db *DB) NewSnapshot() engine.Snapshot {
	if !db.use.enter() {
		return &snapshot{}
	}
	return &snapshot{s: db.p.NewSnapshot(), use: &db.use}
}

// Apply implements engine.Engine. It waits while the memtables, or level 0, are
// full; where that is for lack of disk space, Writable says so. Errors:
// engine.ErrCorruptBatch; engine.ErrFailed after a fatal error; engine.ErrClosed,
// also when Close begins while it waits. Nothing is applied then.
func (db *DB) Apply(repr []byte) error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	count, err := validate(repr)
	if err != nil || count == 0 {
		return err
	}
	if err := db.guard.stopped(); err != nil {
		return err
	}
	if err := db.monitor.waitForRoom(); err != nil {
		return err
	}

	// Pebble gets a copy: it writes the sequence number over the start of the
	// header (and wants zeros there), and it keeps the bytes of a batch that is
	// too large for a memtable until they are flushed.
	db.batch.Reset() // first, since it clears the header in applyBuf
	buf := append(db.applyBuf[:0], repr...)
	clear(buf[:seqNumBytes])
	if err := db.batch.SetRepr(buf); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrCorruptBatch, err)
	}
	if err := db.p.Apply(db.batch, pebble.NoSync); err != nil {
		return fmt.Errorf("pebbledb: apply: %w", err)
	}
	db.applied.Add(1)
	db.monitor.applied(len(repr))
	kept := db.batch.Len() < len(buf) // Pebble empties a batch that it keeps
	if db.applyBuf = buf; kept || cap(buf) > maxRetainedApplyBytes {
		db.applyBuf = nil
	}
	return nil
}

// validate checks that repr is a batch, and returns the number of its records.
// (Pebble would find some of the faults only after the first records are in.)
func validate(repr []byte) (uint32, error) {
	r, err := engine.ReadBatch(repr)
	if err != nil {
		return 0, err
	}
	for {
		if _, _, _, ok, err := r.Next(); err != nil || !ok {
			return r.Count(), err
		}
	}
}

// Flush implements engine.Engine. Errors: engine.ErrNoSpace, or what else the
// flush failed with (it goes on being tried in the background);
// engine.ErrFailed; engine.ErrClosed.
func (db *DB) Flush() error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	return db.flush()
}

func (db *DB) flush() error {
	n := db.applied.Load()
	if db.flushed.Load() >= n {
		return nil
	}
	if err := db.guard.stopped(); err != nil {
		return err
	}
	began := time.Now()
	changed := db.guard.changed()
	done, err := db.p.AsyncFlush()
	if err != nil {
		return fmt.Errorf("pebbledb: flush: %w", err)
	}
	for {
		select {
		case <-done:
			if err := db.guard.stopped(); err != nil {
				return err
			}
			for f := db.flushed.Load(); f < n && !db.flushed.CompareAndSwap(f, n); {
				f = db.flushed.Load()
			}
			return nil
		case <-changed:
			changed = db.guard.changed()
			if err := db.guard.flushErr(began); err != nil {
				return err
			}
		case <-db.guard.ctx.Done():
			return engine.ErrClosed
		}
	}
}

// Writable implements engine.Engine. Besides engine.ErrNoSpace it returns
// engine.ErrFailed after a fatal error, and whatever else keeps flushes (or,
// once writes wait for them, compactions) from getting on.
func (db *DB) Writable() error {
	if db.guard.isClosing() {
		return engine.ErrClosed
	}
	return db.guard.writable()
}

// Close implements engine.Engine. Calls that begin later return
// engine.ErrClosed. It waits until the calls under way have returned and every
// iterator and snapshot has been closed; if that takes too long (closeWait) it
// gives up with an error, and the store, its lock included, stays open until the
// process ends. Compactions under way are given up.
func (db *DB) Close() error {
	db.closing.Lock()
	defer db.closing.Unlock()
	if db.closing.done {
		return nil
	}
	db.closing.done = true
	db.guard.close()
	if err := db.use.close(); err != nil {
		return fmt.Errorf("pebbledb: close: %w", err)
	}
	db.monitoring.Wait()
	err := db.p.Close()
	close(db.stopNotify)
	db.notifier.Wait()
	err = errors.Join(err, db.lock.Close())
	db.cache.Unref()
	if err != nil {
		return fmt.Errorf("pebbledb: close: %w", err)
	}
	return nil
}
