package keyspace

import (
	"encoding/binary"
	"fmt"
)

// Entry is a key as a Tx found it. Meta is zero when the key does not exist or
// its time has come. Body is the end of a buffer of the Tx: it may be changed and
// appended to, and is valid until the next lookup, or the next write of another
// key. The key is referred to, not copied.
type Entry struct {
	Meta

	key    []byte
	hash   uint64
	slot   Slot
	db     physical
	dbNum  uint8 // logical
	stored bool  // there is a record, maybe of an expired key
	// replaced: the key was deleted since it was found, so that what is put next is
	// not a new key.
	replaced bool
	was      Meta // that record, without its body
	// wasHead is the head of that record, if it is a collection's.
	wasHead head
}

// Exists reports whether the key is there.
func (e *Entry) Exists() bool { return e.Type != TypeNone }

// Key is the key's name, which the caller of the lookup has given.
func (e *Entry) Key() []byte { return e.key }

// Replaced reports whether the key was there when it was found, and has been deleted
// since.
func (e *Entry) Replaced() bool { return e.replaced }

// Separate reports whether the key is a collection whose elements are records of
// their own, so that reading several of them wants a Tx that sees one state.
func (e *Entry) Separate() bool { return e.Exists() && e.wasHead.separate }

// Read looks a key up for a command that reads its value: counted as a hit or
// miss, and noted as a use of the key.
func (tx *Tx) Read(db int, key []byte) (Entry, error) {
	e, err := tx.find(db, key, &tx.value)
	tx.countLookup(&e)
	tx.touch(&e)
	return e, err
}

// Peek looks a key up for a command that reads about it: counted as a hit or
// miss, but no use of the key.
func (tx *Tx) Peek(db int, key []byte) (Entry, error) {
	e, err := tx.find(db, key, &tx.value)
	tx.countLookup(&e)
	return e, err
}

// Find looks a key up for a command that changes it: not counted, but a use.
func (tx *Tx) Find(db int, key []byte) (Entry, error) {
	e, err := tx.find(db, key, &tx.value)
	tx.touch(&e)
	return e, err
}

// Inspect looks a key up without a trace: not counted, and no use of the key.
func (tx *Tx) Inspect(db int, key []byte) (Entry, error) {
	return tx.find(db, key, &tx.value)
}

// FindTarget is Find for the second key of a command: the body of the Entry
// found before stays valid.
func (tx *Tx) FindTarget(db int, key []byte) (Entry, error) {
	e, err := tx.find(db, key, &tx.aside)
	tx.touch(&e)
	return e, err
}

// Idle returns for how many seconds the key has not been used, at least: see
// accessTable.
func (tx *Tx) Idle(e *Entry) int64 {
	return tx.ks.access.idle(e.hash, tx.now)
}

// SetIdle has Idle say that the key was last used that many seconds ago.
func (tx *Tx) SetIdle(e *Entry, seconds int64) {
	tx.ks.access.setIdle(e.hash, tx.now, seconds)
}

func (tx *Tx) countLookup(e *Entry) {
	if e.Exists() {
		tx.Hits++
	} else {
		tx.Misses++
		tx.noteMissing(e)
	}
}

func (tx *Tx) touch(e *Entry) {
	if e.Exists() && !tx.NoTouch {
		tx.ks.access.touch(e.hash, tx.now)
	}
}

// find reads and decodes a key's record; buf is where it goes.
func (tx *Tx) find(db int, key []byte, buf *[]byte) (e Entry, err error) {
	e.key, e.dbNum = key, uint8(db)
	e.slot = SlotOf(key)
	e.hash = tx.ks.hash(key)
	if cap(*buf) > maxScratchBytes {
		*buf = nil
	}
	for {
		m, err := tx.openView()
		if err != nil {
			return e, err
		}
		e.db = m.of(db)
		tx.key = appendMetaKey(tx.key[:0], e.db, e.slot, key)
		*buf, e.stored, err = tx.r.Get((*buf)[:0], tx.key)
		if err != nil {
			return e, fmt.Errorf("keyspace: read key: %w", err)
		}
		if ok, err := tx.closeView(); err != nil {
			return e, err
		} else if ok {
			break
		}
	}
	if !e.stored {
		return e, nil
	}
	m, err := DecodeMeta(*buf)
	if err != nil {
		return e, err
	}
	if m.Type != TypeString {
		if e.wasHead, _, err = parseHead(m.Type, m.Body); err != nil {
			return e, err
		}
	}
	if tx.KeepExpired || !m.expired(tx.now) {
		e.Meta = m
	}
	m.Body = nil
	e.was = m
	return e, nil
}

func appendUint64(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(dst, n)
}
