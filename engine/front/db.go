package front

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"dkv/engine"
)

// DB is an engine.Engine over a Store.
type DB struct {
	o     Options
	store Store
	use   usage

	// seq is the number of the last record that reads see.
	seq     atomic.Uint64
	current atomic.Pointer[version]
	trouble trouble

	// ctx ends when Close begins.
	ctx    context.Context
	cancel context.CancelFunc

	// apply is held while the newest memtable is changed, or replaced.
	apply sync.Mutex

	// writing is held while a change is handed to the store, a memtable or a list.
	// Before apply and mu.
	writing sync.Mutex
	// loadNeeds is how much of the last list was written before the disk was full. Guarded
	// by writing.
	loadNeeds int64

	// kick wakes the flusher; it has room for one.
	kick    chan struct{}
	flusher sync.WaitGroup

	mu struct {
		sync.Mutex
		// flushed is the number of the newest memtable that the store has.
		flushed uint64
		// changed is closed, and replaced, when a flush ended, well or not.
		changed chan struct{}
	}

	flushes, flushBytes, stalls, stallNanos atomic.Int64

	closing struct {
		sync.Mutex
		done bool
	}
}

var _ engine.Engine = (*DB)(nil)

// Open returns an engine over a store, which Close then closes. When Open fails the
// store is the caller's to close. Errors: engine.ErrOptions, wrapped; what
// Store.View returns.
func Open(store Store, o Options) (*DB, error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	db := &DB{o: o, store: store, kick: make(chan struct{}, 1)}
	db.use.init()
	db.trouble.init(o)
	db.mu.changed = make(chan struct{})
	view, err := store.View()
	if err != nil {
		return nil, err
	}
	db.current.Store(newVersion([]*memtable{newMemtable(1)}, &sharedView{View: view}))
	db.ctx, db.cancel = context.WithCancel(context.Background())
	db.flusher.Go(db.flushAll)
	return db, nil
}

// acquire returns the current version with a reference. The caller is a user.
func (db *DB) acquire() *version {
	for {
		if v := db.current.Load(); v.ref() {
			return v
		}
	}
}

// release gives a reference, and a use, back.
func (db *DB) release(v *version) {
	if err := v.unref(); err != nil {
		db.o.Logger.Error("the engine cannot close a view", "engine", db.o.Name, "err", err)
	}
	db.use.leave()
}

func (db *DB) releaser(v *version) func() { return func() { db.release(v) } }

// Get implements engine.Reader.
func (db *DB) Get(dst, key []byte) (value []byte, found bool, err error) {
	if !db.use.enter() {
		return dst, false, engine.ErrClosed
	}
	v := db.acquire()
	defer db.release(v)
	return v.get(dst, key, db.seq.Load())
}

// GetDurable implements engine.Engine: it reads the store only.
func (db *DB) GetDurable(dst, key []byte) (value []byte, found bool, err error) {
	if !db.use.enter() {
		return dst, false, engine.ErrClosed
	}
	v := db.acquire()
	defer db.release(v)
	return v.view.Get(dst, key)
}

// NewIter implements engine.Reader.
func (db *DB) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if !db.use.enter() {
		return nil, engine.ErrClosed
	}
	v := db.acquire()
	return newIter(v, db.seq.Load(), o, db.releaser(v))
}

// NewSnapshot implements engine.Engine. The reads of a snapshot of a closed DB
// return engine.ErrClosed.
func (db *DB) NewSnapshot() engine.Snapshot {
	if !db.use.enter() {
		return &snapshot{}
	}
	v := db.acquire()
	return &snapshot{db: db, v: v, seq: db.seq.Load()}
}

// Apply implements engine.Engine. It waits while all memtables are full, or the
// store is behind; where that is for lack of disk space, Writable says so.
func (db *DB) Apply(repr []byte) error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	count, err := validate(repr)
	if err != nil || count == 0 {
		return err
	}
	if err := db.waitForRoom(); err != nil {
		return err
	}
	db.apply.Lock()
	defer db.apply.Unlock()
	m := db.newest()
	seq := db.seq.Load()
	records, err := engine.ReadBatch(repr)
	for err == nil {
		kind, key, value, ok, rerr := records.Next()
		if err = rerr; err != nil || !ok {
			break
		}
		seq++
		if kind == engine.KindDeleteRange {
			m.addRange(seq, key, value)
		} else {
			m.add(kind, seq, key, value)
		}
	}
	if err != nil {
		return err // validate has seen to it
	}
	m.ranges.Publish()
	db.seq.Store(seq)
	if db.full(m) && db.hasRoom() {
		db.freezeLocked()
	}
	return nil
}

// validate checks that repr is a batch, and returns the number of its records.
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

// newest returns the memtable that is being filled.
func (db *DB) newest() *memtable { return db.current.Load().mems[0] }

func (db *DB) full(m *memtable) bool {
	return m.size() >= db.o.MemtableBytes || m.ranges.Count() >= maxRanges
}

// hasRoom reports whether there may be one more memtable.
func (db *DB) hasRoom() bool { return len(db.current.Load().mems) < db.o.MemtableCount }

// waitForRoom waits until the newest memtable is not full, or can be replaced.
func (db *DB) waitForRoom() error {
	began := time.Time{}
	for {
		if err := db.trouble.stopped(); err != nil {
			return err
		}
		changed := db.changed()
		db.apply.Lock()
		room := !db.full(db.newest())
		if !room && db.hasRoom() {
			db.freezeLocked()
			room = true
		}
		db.apply.Unlock()
		if room {
			break
		}
		if began.IsZero() {
			began = time.Now()
			db.stalls.Add(1)
		}
		select {
		case <-changed:
		case <-db.ctx.Done():
			return engine.ErrClosed
		}
	}
	if !began.IsZero() {
		db.stallNanos.Add(int64(time.Since(began)))
	}
	return nil
}

// freezeLocked gives the newest memtable to the flusher. apply is held.
func (db *DB) freezeLocked() {
	db.mu.Lock()
	old := db.current.Load()
	mems := append([]*memtable{newMemtable(old.mems[0].number + 1)}, old.mems...)
	db.current.Store(newVersion(mems, old.view))
	db.mu.Unlock()
	// Not the last reference to the view: the new version has one.
	_ = old.unref()
	select {
	case db.kick <- struct{}{}:
	default:
	}
}

// changed returns a channel that is closed when the next flush ends.
func (db *DB) changed() <-chan struct{} {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.mu.changed
}

func (db *DB) changedLocked() {
	close(db.mu.changed)
	db.mu.changed = make(chan struct{})
}

// Writable implements engine.Engine.
func (db *DB) Writable() error {
	if db.ctx.Err() != nil {
		return engine.ErrClosed
	}
	if err := db.trouble.writable(); err != nil {
		return err
	}
	return db.store.Writable()
}

// Metrics implements engine.Engine.
func (db *DB) Metrics() engine.Metrics {
	if !db.use.enter() {
		return engine.Metrics{}
	}
	v := db.acquire()
	defer db.release(v)
	var m engine.Metrics
	db.store.Metrics(&m)
	for _, mem := range v.mems {
		m.MemtableBytes += uint64(mem.size())
	}
	m.MemtableCount = len(v.mems)
	m.ReadAmplification += len(v.mems)
	m.FlushCount = uint64(db.flushes.Load())
	m.FlushBytes = uint64(db.flushBytes.Load())
	m.WriteStalls += uint64(db.stalls.Load())
	m.WriteStallDuration += time.Duration(db.stallNanos.Load())
	m.BackgroundErrors += db.trouble.count.Load()
	return m
}

// Close implements engine.Engine. Calls that begin later return
// engine.ErrClosed. It waits until the calls under way have returned and every
// iterator and snapshot has been closed; if that takes too long (closeWait) it
// gives up with an error, and the store stays open until the process ends.
func (db *DB) Close() error {
	db.closing.Lock()
	defer db.closing.Unlock()
	if db.closing.done {
		return nil
	}
	db.closing.done = true
	db.cancel()
	err := db.use.close()
	db.flusher.Wait()
	if err == nil {
		err = errors.Join(db.current.Load().unref(), db.store.Close())
	}
	if err != nil {
		return fmt.Errorf("%s: close: %w", db.o.Name, err)
	}
	return nil
}
