package keyspace

import (
	"bytes"
	"fmt"

	"dkv/engine"
)

// walkOptions say which keys of a database a walk goes over: those of the slots
// from first to last that begin with prefix.
type walkOptions struct {
	first, last Slot
	after       []byte // in slot first, only keys after this one; nil: all
	prefix      []byte
	keysOnly    bool
	// maxSeeks bounds the jumps from slot to slot that a prefix costs; 0: no
	// bound. A walk that stops there has cut set, and slot is where to go on.
	maxSeeks int
}

// walk goes over keys in the order of slots, and of bytes within a slot. With a
// prefix it seeks in each slot instead of reading the keys in between; empty slots
// cost nothing.
type walk struct {
	o       walkOptions
	tx      *Tx
	db      physical
	it      engine.Iterator
	started bool
	seeks   int
	cut     bool
	err     error

	// Where the walk stands, valid until next is called again.
	slot Slot
	key  []byte
}

// walk starts a walk, which the caller must close.
func (tx *Tx) walk(db physical, o walkOptions) (*walk, error) {
	w := &walk{o: o, tx: tx, db: db, slot: o.first}
	lower := appendMetaSlotStart(nil, db, o.first)
	if o.after != nil {
		lower = append(append(lower, o.after...), 0)
	}
	upper := appendMetaSlotStart(nil, db, o.last+1)
	var err error
	w.it, err = tx.r.NewIter(engine.IterOptions{Lower: lower, Upper: upper, KeysOnly: o.keysOnly})
	if err != nil {
		return nil, fmt.Errorf("keyspace: iterate: %w", err)
	}
	return w, nil
}

// next moves to the next key and reports whether there is one.
func (w *walk) next() bool {
	valid := false
	if w.started {
		valid = w.it.Next()
	} else if w.started = true; len(w.o.prefix) == 0 || w.o.after != nil {
		valid = w.it.First()
	} else {
		valid = w.seek(w.slot)
	}
	for ; valid; valid = w.seek(w.slot) {
		_, slot, key, err := parseMetaKey(w.it.Key())
		if err != nil {
			w.err = err
			return false
		}
		w.slot, w.key = slot, key
		order := comparePrefix(key, w.o.prefix)
		if order == 0 {
			return true
		}
		if order > 0 { // past the prefix: it can only be in the next slot
			if w.slot++; w.slot > w.o.last {
				return false
			}
		}
		if w.o.maxSeeks != 0 && w.seeks >= w.o.maxSeeks {
			w.cut = true
			return false
		}
	}
	return false
}

// seek moves to the first key of a slot that could have the prefix.
func (w *walk) seek(slot Slot) bool {
	w.seeks++
	w.tx.key = append(appendMetaSlotStart(w.tx.key[:0], w.db, slot), w.o.prefix...)
	return w.it.SeekGE(w.tx.key)
}

// meta decodes the record that the walk stands on; its body is valid until next.
func (w *walk) meta() (Meta, error) {
	v, err := w.it.Value()
	if err != nil {
		return Meta{}, fmt.Errorf("keyspace: iterate: %w", err)
	}
	return DecodeMeta(v)
}

func (w *walk) close() error {
	err := w.err
	if err == nil && w.it.Err() != nil {
		err = fmt.Errorf("keyspace: iterate: %w", w.it.Err())
	}
	if closeErr := w.it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("keyspace: iterate: %w", closeErr)
	}
	return err
}

// comparePrefix returns 0 when key begins with prefix, otherwise how key compares
// to the keys that do.
func comparePrefix(key, prefix []byte) int {
	if len(prefix) == 0 {
		return 0
	}
	return bytes.Compare(key[:min(len(key), len(prefix))], prefix)
}
