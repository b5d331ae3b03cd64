package keyspace

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Class is a set of classes of keyspace events, as notify-keyspace-events names them.
// The numbers are part of the wire form of notes.
type Class uint16

const (
	ClassGeneric Class = 1 << iota // g
	ClassString                    // $
	ClassList                      // l
	ClassSet                       // s
	ClassHash                      // h
	ClassZSet                      // z
	ClassExpired                   // x
	ClassEvicted                   // e
	ClassStream                    // t
	ClassModule                    // d
	ClassMiss                      // m, not one of A
	ClassNew                       // n, not one of A

	// These are not events: the name is a message, the key the channel that a script
	// has published it to. They are noted whoever asks.
	ClassMessage
	ClassShardMessage

	// ClassAll is A.
	ClassAll = ClassGeneric | ClassString | ClassList | ClassSet | ClassHash | ClassZSet | ClassExpired | ClassEvicted | ClassStream | ClassModule
)

// Notifier says which events of keys are noted, for all keyspaces that share it. What
// a batch does to its keys is noted in the batch, so it is known wherever the batch is
// applied; a key that a read does not find only there, at once. The zero value notes
// nothing. See docs/adr/0013-keyspace-events.md.
type Notifier struct {
	classes atomic.Uint32
	miss    func(db int, key []byte)
}

// OnMiss gives the function that is called with a key that was not found while
// ClassMiss is noted. It must not block and keeps nothing. It is set before first use.
func (n *Notifier) OnMiss(f func(db int, key []byte)) { n.miss = f }

// Set says what is noted from now on.
func (n *Notifier) Set(c Class) { n.classes.Store(uint32(c)) }

// Classes is what is noted.
func (n *Notifier) Classes() Class { return Class(n.classes.Load()) }

// SetNotifier is called before the keyspace is used; without it nothing is noted.
func (ks *Keyspace) SetNotifier(n *Notifier) { ks.notifier = n }

// NotesKey is the key of the record that holds what a batch's commands did to which
// keys. It is put once in a batch that has notes; what stays of it in an engine means
// nothing.
//
//	"snotes"   version 1 (1 byte), then for each event in order:
//	           class 2 (big endian), database 1, uvarint(len event) event, uvarint(len key) key
var NotesKey = []byte("snotes")

const (
	notesVersion  = 1
	noteHeadBytes = 3
	maxKeptNotes  = 64 << 10
	maxNotedBytes = 64 << 20 // of a batch; what is more is not noted
)

// Note records an event of a key for those who have asked for its class. name is
// Redis's. Keys that a failed command has noted are forgotten with it. On a read Tx
// nothing happens.
func (tx *Tx) Note(class Class, name string, db int, key []byte) {
	if tx.noting&class != 0 { // a function of its own, so that this is inlined
		tx.note(class, name, db, key)
	}
}

func (tx *Tx) note(class Class, name string, db int, key []byte) {
	if tx.ov == nil || len(tx.notes)+len(name)+len(key) > maxNotedBytes {
		return
	}
	if len(tx.notes) == 0 {
		tx.notes = append(tx.notes, notesVersion)
	}
	tx.notes = binary.BigEndian.AppendUint16(tx.notes, uint16(class))
	tx.notes = append(tx.notes, byte(db))
	tx.notes = append(binary.AppendUvarint(tx.notes, uint64(len(name))), name...)
	tx.notes = append(binary.AppendUvarint(tx.notes, uint64(len(key))), key...)
}

// NoteMessage records that a message was published. Subscribers get it where and when
// the batch is applied. On a read Tx nothing happens.
func (tx *Tx) NoteMessage(class Class, channel, message []byte) {
	tx.note(class, string(message), 0, channel)
}

// Notes returns what the batch has noted, in the form of the record, and nil when it
// is nothing. It is valid until Publish or Discard.
func (tx *Tx) Notes() []byte { return tx.notes }

// noteMissing is called for each key that a lookup has not found.
func (tx *Tx) noteMissing(e *Entry) {
	if tx.noting&ClassMiss != 0 && tx.ks.notifier.miss != nil {
		tx.ks.notifier.miss(int(e.dbNum), e.key)
	}
}

// Event is something that happened to a key.
type Event struct {
	Class Class
	DB    int
	Name  []byte
	Key   []byte
}

// EachNote calls f with each event of a record of notes, whose parts the event's are.
// Errors wrap ErrCorrupt. A version that is not known has none.
func EachNote(b []byte, f func(e Event)) error {
	if len(b) == 0 || b[0] != notesVersion {
		return nil
	}
	b = b[1:]
	for len(b) > 0 {
		if len(b) < noteHeadBytes {
			return fmt.Errorf("%w: a note of %d bytes", ErrCorrupt, len(b))
		}
		e := Event{Class: Class(binary.BigEndian.Uint16(b)), DB: int(b[2])}
		b = b[noteHeadBytes:]
		for _, part := range [...]*[]byte{&e.Name, &e.Key} {
			n, w := binary.Uvarint(b)
			if w <= 0 || n > uint64(len(b)-w) {
				return fmt.Errorf("%w: length in a note", ErrCorrupt)
			}
			end := w + int(n)
			*part, b = b[w:end:end], b[end:]
		}
		f(e)
	}
	return nil
}
