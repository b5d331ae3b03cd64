package front

import (
	"context"

	"dkv/engine"
	"dkv/engine/layer"
)

// Store holds sorted tables on disk. Write is called by one goroutine at a time;
// everything else may be called concurrently with it.
type Store interface {
	// View returns a view of what has been written. What it shows would survive a
	// crash.
	View() (View, error)

	// Write makes a change, of which base shows the state before it. When it
	// returns nil the change is durable; a crash before that leaves all of it or
	// nothing. After an error no view shows any of it, and the same change is tried
	// again before any other, unless it is Listed. Errors: engine.ErrNoSpace and engine.ErrFailed, wrapped, where that is
	// known. A panic is taken for engine.ErrFailed.
	Write(ctx context.Context, change *Change, base View) error

	// Checkpoint is engine.Engine's, of what view shows, or later changes as well.
	// ctx ends when the engine is closed.
	Checkpoint(ctx context.Context, view View, dir string) error

	// Compact is engine.Engine's.
	Compact(ctx context.Context, lower, upper []byte) error

	// Writable returns why a Write could not be, or should not be, made now. nil:
	// it can. Asking is cheap.
	Writable() error

	// Metrics fills in what the store knows.
	Metrics(m *engine.Metrics)

	// Close is called last, when no view is open.
	Close() error
}

// View is a reader of one state of a Store.
type View interface {
	engine.Reader
	Close() error
}

// Change is what a memtable holds at the end, or a list that is loaded: for each key
// the last that was done to it, and ranges that were deleted.
type Change struct {
	mem    *memtable
	list   *list // in place of mem
	ranges []Range
}

// Range is what a delete-range deleted: keys from Start on, below End.
type Range = layer.Range

// Listed reports whether the change is a list that is loaded: after an error another
// change may follow instead of the same one.
func (c *Change) Listed() bool { return c.list != nil }

// Ranges returns the deleted ranges, disjoint and in order. Keys in them that
// Records has are not deleted by them, whatever was in the store is.
func (c *Change) Ranges() []Range { return c.ranges }

// Records returns the keys and what they are set to, in order. Keys that are
// deleted, and lie in a range of Ranges, are left out. All slices stay valid and
// unchanged until Write returns. It can be asked for once for each Write.
func (c *Change) Records() *Records {
	if c.list != nil {
		return &Records{list: c.list, change: c}
	}
	return &Records{it: memIter{m: c.mem, seq: maxSeq}, change: c}
}

// Records goes through a Change's keys.
type Records struct {
	it      memIter
	list    *list
	change  *Change
	started bool
	at      int // in ranges
}

// Next moves to the next key; false at the end, and when Err says why not.
func (r *Records) Next() bool {
	if r.list != nil {
		for r.list.step() {
			if r.list.kind == engine.KindPut || !r.inRange(r.list.key) {
				return true
			}
		}
		return false
	}
	for {
		if r.started {
			r.it.Next()
		} else {
			r.started = true
			r.it.SeekGE(nil)
		}
		if !r.it.Valid() {
			return false
		}
		if !r.it.Deleted() || !r.inRange(r.it.Key()) {
			return true
		}
	}
}

// Key returns the key.
func (r *Records) Key() []byte {
	if r.list != nil {
		return r.list.key
	}
	return r.it.Key()
}

// Value returns what it is set to; ok is false when it is deleted.
func (r *Records) Value() (value []byte, ok bool) {
	switch {
	case r.list != nil:
		return r.list.value, r.list.kind == engine.KindPut
	case r.it.Deleted():
		return nil, false
	}
	return r.it.n.value, true
}

// Err returns why Next ended early: there is no more room, or the engine is being
// closed. The change must not be made then.
func (r *Records) Err() error {
	if r.list != nil {
		return r.list.err
	}
	return nil
}

// inRange reports whether a range covers key; keys are asked for in rising order.
func (r *Records) inRange(key []byte) bool {
	ranges := r.change.ranges
	for r.at < len(ranges) && string(ranges[r.at].End) <= string(key) {
		r.at++
	}
	return r.at < len(ranges) && string(ranges[r.at].Start) <= string(key)
}
