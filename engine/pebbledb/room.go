package pebbledb

import (
	"sync/atomic"
	"time"

	"dkv/engine"
)

// roomCheckBytes is how much is applied between looks at Pebble's state, which
// take its lock and some microseconds.
const roomCheckBytes = 1 << 20

// room is what Apply waits for: memtables that are not all waiting for their
// flush, and a level 0 that compactions keep up with.
type room struct {
	unchecked  int // applied since the last look
	stalls     atomic.Uint64
	stallNanos atomic.Int64
}

// waitForRoom waits until n bytes may be applied. Pebble has the same two limits
// and would wait by itself, but in a way that only its background work ends: a
// node whose disk is full could not be stopped.
func (db *DB) waitForRoom(n int) error {
	r := &db.room
	if r.unchecked += n; r.unchecked < roomCheckBytes {
		return nil
	}
	if !db.full() {
		r.unchecked = n
		return nil
	}
	r.stalls.Add(1)
	began := time.Now()
	defer func() { r.stallNanos.Add(int64(time.Since(began))) }()
	for {
		changed := db.guard.changed()
		if !db.full() {
			r.unchecked = n
			return nil
		}
		select {
		case <-changed:
		case <-db.guard.ctx.Done():
			return engine.ErrClosed
		}
		if err := db.guard.stopped(); err != nil {
			return err
		}
	}
}

func (db *DB) full() bool {
	m := db.p.Metrics()
	sublevels := m.Levels[0].Sublevels
	db.guard.crowded.Store(sublevels >= l0StopSublevels/2)
	return sublevels >= l0StopSublevels ||
		m.MemTable.Size > uint64(db.opts.MemtableCount)*uint64(db.opts.MemtableBytes)
}
