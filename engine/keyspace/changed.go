package keyspace

import (
	"bytes"
	"encoding/binary"

	"dkv/engine"
)

// What a batch says of the keys that it changes, for who keeps copies of their values.
//
// The record of a key changes with nearly everything that happens to it, and its engine
// key has its name. Two changes leave it alone: of the value of an element that has a
// record of its own, and of a whole database by one range. They are noted among the
// batch's events, whoever asks: ClassTouched with no name and the key, or with the name
// "flush" and no key. The same key is noted once in a row.
//
// ClassOwned notes who has made a change: the name is what SetWriter was given. There is
// one for each record of a key and each ClassTouched of a key that the writer is
// responsible for. So a key of which a batch has as many ClassOwned of one writer as
// it has changes was changed by nobody else. Such a batch is kept with every record,
// also those that others of it hide: see Tx.Owned.

// flushNote is the name of the ClassTouched of a database.
const flushNote = "flush"

// Track says whether keys are to be noted as well to which was written without a change
// (HSET of the value that a field has, FLUSHDB of nothing): Redis invalidates them. What
// has changed is noted in any case.
func (n *Notifier) Track(on bool) { n.tracked.Store(on) }

// SetWriter has the changes from here on noted as those of a writer; nil: of nobody in
// particular. name is not changed while it is set. For write Txs, after BeginWrite.
func (tx *Tx) SetWriter(name []byte) {
	tx.writer = name
	tx.touchedAt = 0 // the next change is another one's
}

// Writer returns what SetWriter has set.
func (tx *Tx) Writer() []byte { return tx.writer }

// noteOwned is called for every record of a key that is written.
func (tx *Tx) noteOwned(e *Entry) {
	if tx.writer != nil {
		tx.owned = true
		tx.note(ClassOwned, string(tx.writer), int(e.dbNum), e.key)
	}
}

// Owned reports whether the batch says of changes who has made them. Then who else has
// changed the same keys is known by the number of their records.
func (tx *Tx) Owned() bool { return tx.owned }

// noteTouched is called for a key whose record stays as it is. elements says whether
// records of elements were written.
func (tx *Tx) noteTouched(e *Entry, elements bool) {
	if !elements && !tx.tracked || tx.touched(e.dbNum, e.key) {
		return
	}
	tx.touchedAt = max(len(tx.notes), 1) // behind the version
	tx.note(ClassTouched, "", int(e.dbNum), e.key)
	tx.noteOwned(e)
}

// touched reports whether the last ClassTouched was of this key.
func (tx *Tx) touched(db uint8, key []byte) bool {
	if tx.touchedAt == 0 {
		return false
	}
	b := tx.notes[tx.touchedAt+2:] // behind the class
	n, w := binary.Uvarint(b[2:])  // behind the database and the empty name
	return b[0] == db && w > 0 && n == uint64(len(key)) && bytes.HasPrefix(b[2+w:], key)
}

// noteFlushed is called for a database of which all keys are deleted.
func (tx *Tx) noteFlushed(any bool) {
	if any || tx.tracked {
		tx.note(ClassTouched, flushNote, 0, nil)
	}
}

// HasEvents reports whether a record of notes has anything that is for subscribers.
func HasEvents(notes []byte) (has bool) {
	err := EachNote(notes, func(e Event) { has = has || e.Class&(ClassTouched|ClassOwned) == 0 })
	return has || err != nil // whoever reads them says what is wrong
}

// Changes is told what a batch has changed.
type Changes interface {
	// Key: a key may have changed. The same is told more than once.
	Key(key []byte)
	// Owned: one of the changes of the key is that of a writer, see SetWriter.
	Owned(writer, key []byte)
	// All: any key may have changed.
	All()
}

// EachChange tells c what a batch changes, in which the slices lie. Errors are those of
// engine.ReadBatch, or wrap ErrCorrupt.
func EachChange(batch []byte, c Changes) error {
	r, err := engine.ReadBatch(batch)
	if err != nil {
		return err
	}
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		switch {
		case kind == engine.KindDeleteRange:
			if key[0] <= kindMeta && value[0] >= kindMeta && !bytes.Equal(value, []byte{kindMeta}) {
				c.All()
			}
		case key[0] == kindMeta:
			_, _, name, err := parseMetaKey(key)
			if err != nil {
				return err
			}
			c.Key(name)
		case kind == engine.KindPut && bytes.Equal(key, dbMapKey):
			c.All()
		case kind == engine.KindPut && bytes.Equal(key, NotesKey):
			if err := eachChangeNoted(value, c); err != nil {
				return err
			}
		}
	}
}

func eachChangeNoted(notes []byte, c Changes) error {
	return EachNote(notes, func(e Event) {
		switch {
		case e.Class == ClassOwned:
			c.Owned(e.Name, e.Key)
		case e.Class != ClassTouched:
		case len(e.Name) == 0:
			c.Key(e.Key)
		default:
			c.All()
		}
	})
}
