package pebbledb

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"dkv/engine"
)

// Checkpoint implements engine.Engine. What is applied while it runs is in the
// copy up to some point.
func (db *DB) Checkpoint(dir string) error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	if err := db.guard.writableFor(workManifest); err != nil {
		return fmt.Errorf("pebbledb: checkpoint: %w", err) // it would wait for the MANIFEST
	}
	db.checkpoint.Lock()
	defer db.checkpoint.Unlock()
	if err := db.flush(); err != nil {
		return fmt.Errorf("pebbledb: checkpoint: %w", err)
	}
	db.fs.otherDirErr.Store(nil)
	err := db.p.Checkpoint(dir)
	if dirErr := db.fs.otherDirErr.Load(); dirErr != nil && err == nil {
		err = errors.Join(*dirErr, db.fs.RemoveAll(dir))
	}
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		return fmt.Errorf("pebbledb: checkpoint: %w: %v", engine.ErrNoSpace, err)
	}
	return fmt.Errorf("pebbledb: checkpoint: %w", err)
}

// Compact implements engine.Engine. nil bounds are no bounds. A cancelled ctx
// stops it between the compactions that it is made of.
func (db *DB) Compact(ctx context.Context, lower, upper []byte) error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	if err := db.flush(); err != nil {
		return fmt.Errorf("pebbledb: compact: %w", err)
	}
	if len(upper) == 0 {
		var err error
		if upper, err = db.afterLastKey(); err != nil {
			return err
		}
	}
	if len(lower) == 0 {
		lower = []byte{0} // Pebble and empty keys: see engine.Batch
	}
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(db.guard.ctx, cancel)()
	// Not in parallel: it would take the cores from the commands.
	err := db.p.Compact(ctx, lower, upper, false)
	switch {
	case err == nil:
		return nil
	case db.guard.isClosing():
		return engine.ErrClosed
	case isNoSpace(err):
		return fmt.Errorf("pebbledb: compact: %w: %v", engine.ErrNoSpace, err)
	}
	return fmt.Errorf("pebbledb: compact: %w", err)
}

// afterLastKey returns a key above all that tables hold, deletions included (for
// which an iterator's Last would not do); nil when there are no tables.
func (db *DB) afterLastKey() ([]byte, error) {
	levels, err := db.p.SSTables()
	if err != nil {
		return nil, fmt.Errorf("pebbledb: list tables: %w", err)
	}
	var last []byte
	found := false
	for _, tables := range levels {
		for _, t := range tables {
			if !found || bytes.Compare(t.Largest.UserKey, last) > 0 {
				last, found = t.Largest.UserKey, true
			}
		}
	}
	if !found {
		return nil, nil
	}
	return append(append([]byte(nil), last...), 0), nil
}
