package front

import (
	"errors"
	"fmt"

	"dkv/engine"
)

var _ engine.Loader = (*DB)(nil)

// loadCheckBytes is how much of a list is given to the store between looks at the free
// space, and at whether the engine is being closed.
const loadCheckBytes = 4 << 20

// Load implements engine.Loader: the list goes to the store as one change, past the
// memtables.
func (db *DB) Load(ranges []engine.KeyRange, next func() (engine.Kind, []byte, []byte, bool)) error {
	if !db.use.enter() {
		return engine.ErrClosed
	}
	defer db.use.leave()
	l := &list{db: db, next: next}
	l.pull()
	if !l.more && len(ranges) == 0 {
		return db.trouble.stopped()
	}
	// What is in memtables is older.
	if err := db.flush(); err != nil {
		return err
	}
	change := &Change{list: l}
	for _, r := range ranges {
		change.ranges = append(change.ranges, Range{Start: r.Start, End: r.End})
	}
	err := db.load(change)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrFailed):
		db.trouble.fail(err)
		if db.o.OnFatal != nil {
			db.o.OnFatal(err)
		}
	case db.ctx.Err() != nil:
		return engine.ErrClosed
	case isNoSpace(err):
		return fmt.Errorf("%s: load: %w: %v", db.o.Name, engine.ErrNoSpace, err)
	}
	return fmt.Errorf("%s: load: %w", db.o.Name, err)
}

func (db *DB) load(change *Change) (err error) {
	db.writing.Lock()
	defer db.writing.Unlock()
	// How large the list is shows when it is written. One that the disk had no room for
	// is not begun again before there is more: it leaves work for compactions.
	if err := db.trouble.checkSpace(db.loadNeeds + loadCheckBytes); err != nil {
		return err
	}
	defer func() {
		db.loadNeeds = 0
		if isNoSpace(err) {
			db.loadNeeds = change.list.bytes
		}
	}()
	if db.o.BeforeFlush != nil {
		if err := db.o.BeforeFlush(); err != nil {
			return err
		}
	}
	if err := db.hand(change, func(old *version) []*memtable { return old.mems }); err != nil {
		return err
	}
	db.flushed(change.list.bytes)
	return nil
}

// Space implements engine.Loader.
func (db *DB) Space() (bytes int64, known bool) {
	if db.o.FreeBytes == nil {
		return 0, false
	}
	free, known := db.o.FreeBytes()
	room := max(int64(min(free, 1<<62))-int64(db.o.ReserveBytes), 0)
	return room / db.o.WriteFactor, known
}

// list is what Load was given, one record ahead.
type list struct {
	db   *DB
	next func() (engine.Kind, []byte, []byte, bool)

	// The record that it is at.
	kind       engine.Kind
	key, value []byte
	// The one after it, if there is one.
	more                bool
	nextKind            engine.Kind
	nextKey, nextValue  []byte
	bytes, checkedBytes int64
	err                 error
}

func (l *list) pull() { l.nextKind, l.nextKey, l.nextValue, l.more = l.next() }

// step moves to the next record; false at the end, or with err.
func (l *list) step() bool {
	if !l.more || l.err != nil {
		return false
	}
	l.kind, l.key, l.value = l.nextKind, l.nextKey, l.nextValue
	if l.kind != engine.KindPut && l.kind != engine.KindDelete {
		l.err = fmt.Errorf("%w: %v in a list to load", engine.ErrCorruptBatch, l.kind)
		return false
	}
	l.bytes += int64(len(l.key) + len(l.value))
	if l.bytes-l.checkedBytes >= loadCheckBytes {
		l.checkedBytes = l.bytes
		if l.err = l.db.ctx.Err(); l.err == nil {
			l.err = l.db.trouble.checkSpace(loadCheckBytes)
		}
		if l.err != nil {
			return false
		}
	}
	l.pull()
	return true
}
