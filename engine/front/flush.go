package front

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dkv/engine"
)

// Flush implements engine.Engine.
func (db *DB) Flush() error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	return db.flush()
}

func (db *DB) flush() error {
	if err := db.trouble.stopped(); err != nil {
		return err
	}
	began := time.Now()
	db.apply.Lock()
	if !db.newest().empty() {
		db.freezeLocked()
	}
	last := db.newest().number - 1
	db.apply.Unlock()
	for {
		db.mu.Lock()
		flushed, changed := db.mu.flushed, db.mu.changed
		db.mu.Unlock()
		if flushed >= last {
			return nil
		}
		if err := db.trouble.since(began); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-db.ctx.Done():
			return engine.ErrClosed
		}
	}
}

// flushAll is the flusher: it hands frozen memtables to the store, oldest first,
// until Close.
func (db *DB) flushAll() {
	for {
		select {
		case <-db.kick:
		case <-db.ctx.Done():
			return
		}
		for db.flushOldest() {
		}
	}
}

// flushOldest hands the oldest memtable to the store, and tries until it succeeds;
// false when there is none that is frozen, or nothing can be done any more.
func (db *DB) flushOldest() bool {
	v := db.current.Load()
	if len(v.mems) < 2 || db.ctx.Err() != nil || db.trouble.stopped() != nil {
		return false
	}
	m := v.mems[len(v.mems)-1]
	change := &Change{mem: m, ranges: m.ranges.Merged()}
	for synced := false; ; {
		err := db.tryFlush(change, &synced)
		if err == nil {
			break
		}
		if db.ctx.Err() != nil {
			return false
		}
		fatal := db.trouble.fail(err)
		db.mu.Lock()
		db.changedLocked()
		db.mu.Unlock()
		if fatal {
			if db.o.OnFatal != nil {
				db.o.OnFatal(err)
			}
			return false
		}
		if !db.trouble.wait(db.ctx, m.size()) {
			return false
		}
	}
	db.trouble.succeed()
	return true
}

// flushed notes that a change became durable.
func (db *DB) flushed(bytes int64) {
	db.flushes.Add(1)
	db.flushBytes.Add(bytes)
	if db.o.OnFlush != nil {
		db.o.OnFlush()
	}
}

// tryFlush makes one try to write a change, and shows readers what it led to.
// synced says that BeforeFlush has seen to it; the change does not grow.
func (db *DB) tryFlush(change *Change, synced *bool) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	bytes := change.mem.size()
	if err := db.trouble.checkSpace(bytes); err != nil {
		return err
	}
	if !*synced && db.o.BeforeFlush != nil {
		if err := db.o.BeforeFlush(); err != nil {
			return err
		}
	}
	*synced = true
	err := db.hand(change, func(old *version) []*memtable {
		db.mu.flushed = change.mem.number
		return old.mems[:len(old.mems)-1]
	})
	if err == nil {
		db.flushed(bytes)
	}
	return err
}

// hand gives a change to the store, and shows readers what it led to, over what left
// says of the memtables. writing is held.
func (db *DB) hand(change *Change, left func(old *version) []*memtable) error {
	v := db.current.Load() // its view is current: who replaces it holds writing
	if err := db.write(change, v.view.View); err != nil {
		return err
	}
	view, err := db.store.View()
	if err != nil {
		return fmt.Errorf("%w: read what was flushed: %w", engine.ErrFailed, err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	old := db.current.Load()
	db.current.Store(newVersion(left(old), &sharedView{View: view}))
	db.changedLocked()
	if err := old.unref(); err != nil {
		db.o.Logger.Error("the engine cannot close a view", "engine", db.o.Name, "err", err)
	}
	return nil
}

// write calls Store.Write, and takes a panic for the end of the store.
func (db *DB) write(change *Change, base View) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", engine.ErrFailed, p)
		}
	}()
	return db.store.Write(db.ctx, change, base)
}

// Checkpoint implements engine.Engine. What is applied while it runs is in the
// copy up to some point.
func (db *DB) Checkpoint(dir string) error {
	return db.maintain("checkpoint", func(v *version) error { return db.store.Checkpoint(db.ctx, v.view.View, dir) })
}

// Compact implements engine.Engine.
func (db *DB) Compact(ctx context.Context, lower, upper []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(db.ctx, cancel)()
	return db.maintain("compact", func(*version) error { return db.store.Compact(ctx, lower, upper) })
}

// maintain flushes, and then does something with the store.
func (db *DB) maintain(what string, do func(*version) error) (err error) {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	if err := db.flush(); err != nil {
		return fmt.Errorf("%s: %s: %w", db.o.Name, what, err)
	}
	db.use.n.Add(1) // for release; this call's keeps the DB open
	v := db.acquire()
	defer db.release(v)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %s: panic: %v", db.o.Name, what, p)
		}
	}()
	err = do(v)
	switch {
	case err == nil:
		return nil
	case db.ctx.Err() != nil:
		return engine.ErrClosed
	case isNoSpace(err) && !errors.Is(err, engine.ErrNoSpace):
		return fmt.Errorf("%s: %s: %w: %v", db.o.Name, what, engine.ErrNoSpace, err)
	}
	return fmt.Errorf("%s: %s: %w", db.o.Name, what, err)
}
