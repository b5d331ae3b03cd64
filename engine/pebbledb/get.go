package pebbledb

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"dkv/engine"
)

// Get implements engine.Reader. Errors: engine.ErrClosed; engine.ErrCorrupt,
// wrapped; an I/O failure.
func (db *DB) Get(dst, key []byte) (value []byte, found bool, err error) {
	if !db.use.enter() {
		return dst, false, engine.ErrClosed
	}
	defer db.use.leave()
	if db.misses.many.Load() {
		value, found, err = db.getFiltered(dst, key)
	} else {
		value, found, err = getFrom(db.p, dst, key)
	}
	db.misses.count(found)
	return value, found, err
}

// getFrom reads from the top of the store down, and stops where the key is.
func getFrom(r pebble.Reader, dst, key []byte) (value []byte, found bool, err error) {
	v, closer, err := r.Get(key)
	if err != nil {
		return dst, false, readError(err)
	}
	dst = append(dst, v...)
	return dst, true, readError(closer.Close())
}

// getFiltered is for keys that are probably absent. Pebble's Get does not use the
// Bloom filters of the last level, where nine tenths of a store are, so that an
// absent key costs it the read of a block; an iterator can be told to. It looks
// into all levels at once, though, so that a key in a memtable costs three times
// what Get takes (one in the last level about the same, an absent one half, if
// all is cached).
func (db *DB) getFiltered(dst, key []byte) (value []byte, found bool, err error) {
	it, err := db.p.NewIter(&filteredRead)
	if err != nil {
		return dst, false, readError(err)
	}
	value = dst
	// The whole key is its prefix in the default order.
	if it.SeekPrefixGE(key) {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			value, found = append(dst, v...), true
		}
	}
	if cerr := it.Close(); cerr != nil { // the iterator's error as well
		err = cerr
	}
	if err != nil {
		return dst, false, readError(err)
	}
	return value, found, nil
}

// GetMany implements engine.ManyGetter. Keys that are probably absent share one
// iterator, which costs as much to make as a look-up by it. Errors are those of Get.
func (db *DB) GetMany(keys [][]byte, got func(i int, value []byte, found bool)) error {
	if len(keys) == 1 || !db.misses.many.Load() {
		var value []byte
		for i, key := range keys {
			var found bool
			var err error
			if value, found, err = db.Get(value[:0], key); err != nil {
				return err
			}
			got(i, value, found)
		}
		return nil
	}
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	it, err := db.p.NewIter(&filteredRead)
	if err != nil {
		return readError(err)
	}
	for i, key := range keys {
		var value []byte
		found := it.SeekPrefixGE(key)
		if found {
			value, err = it.ValueAndErr()
		} else {
			err = it.Error()
		}
		if err != nil {
			break
		}
		db.misses.count(found)
		got(i, value, found)
	}
	if cerr := it.Close(); cerr != nil { // the iterator's error as well
		err = cerr
	}
	if err != nil {
		return readError(err)
	}
	return nil
}

var filteredRead = pebble.IterOptions{UseL6Filters: true}

// missRate tells whether most of the reads of late were of absent keys, as when
// new keys are written and each is looked for first.
type missRate struct {
	many          atomic.Bool
	reads, misses atomic.Uint32
}

// missWindow is how many reads are judged together.
const missWindow = 1024

func (m *missRate) count(found bool) {
	if !found {
		m.misses.Add(1)
	}
	if m.reads.Add(1)%missWindow == 0 {
		m.many.Store(m.misses.Swap(0) > missWindow/2)
	}
}

// readError translates an error of a read; not finding the key is none.
func readError(err error) error {
	switch {
	case err == nil || err == pebble.ErrNotFound:
		return nil
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %w", engine.ErrCorrupt, err)
	}
	return fmt.Errorf("pebbledb: read: %w", err)
}

// GetDurable implements engine.Engine: it reads the tables only. Pebble installs
// a flushed table for readers after the MANIFEST that names it was synced. After
// a fatal error it is not known what is durable: engine.ErrFailed.
func (db *DB) GetDurable(dst, key []byte) (value []byte, found bool, err error) {
	if !db.use.enter() {
		return dst, false, engine.ErrClosed
	}
	defer db.use.leave()
	n := len(dst)
	upper := append(append(make([]byte, 0, len(key)+1), key...), 0)
	it, err := db.p.NewIter(&pebble.IterOptions{
		LowerBound:                upper[:len(key)],
		UpperBound:                upper,
		OnlyReadGuaranteedDurable: true,
	})
	if err != nil {
		return dst, false, readError(err)
	}
	if it.First() {
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			dst, found = append(dst, v...), true
		}
	}
	// Close returns the iterator's error as well.
	if err := errors.Join(err, it.Close()); err != nil {
		return dst, false, readError(err)
	}
	// Last: what was read before the failure may be in tables since then.
	if err := db.guard.stopped(); err != nil {
		return dst[:n], false, err
	}
	return dst, found, nil
}
